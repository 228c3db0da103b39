"""The progress bar that a terminal shows."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from .._support.streams import is_terminal, show


class Bar:
    """A progress bar on a terminal, with images per second and the time left; else nothing.

    Parameters
    ----------
    shown : bool
        Whether to show it where standard error is a terminal and the package tqdm is installed.
    total : int or None
        Images of the whole run, if that is known.
    done : int
        Images that an earlier part of the run has seen.
    """

    def __init__(self, shown: bool, total: int | None, done: int = 0) -> None:
        self._bar: Any = None
        if shown and is_terminal(sys.stderr):
            with contextlib.suppress(ImportError):
                from tqdm.auto import tqdm

                self._bar = tqdm(
                    total=total, initial=done, unit=" images", unit_scale=True, leave=False
                )

    def advance(self, images: int, loss: float) -> None:
        """Count the images of an iteration."""
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            self._bar.update(images)

    def print(self, text: str) -> None:
        """Print a line above the bar."""
        meanwhile = (
            contextlib.nullcontext() if self._bar is None else self._bar.external_write_mode()
        )
        with meanwhile:
            show(f"{text}\n", sys.stdout)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


@contextlib.contextmanager
def bar(shown: bool, total: int | None, done: int = 0) -> Iterator[Bar]:
    """Show a `Bar` while the block runs."""
    one = Bar(shown, total, done)
    try:
        yield one
    finally:
        one.close()
