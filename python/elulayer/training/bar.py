"""The progress bar that a terminal or a notebook shows."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

from .._support.notebook import NotebookOutput, in_notebook
from .._support.streams import is_terminal, show


class _Line:
    """A file whose last line is shown in a notebook; tqdm writes a bar to it."""

    def __init__(self) -> None:
        self._output = NotebookOutput()
        self._text = ""
        self.flush()

    def __repr__(self) -> str:
        return self._text

    def write(self, text: str) -> None:
        """Take the line that follows a carriage return."""
        self._text = text.rsplit("\r", 1)[-1].rstrip()

    def flush(self) -> None:
        """Show the line."""
        self._output.show(self)


class Bar:
    """A progress bar with images per second and the time left, on a terminal or in a notebook.

    Elsewhere it is nothing.

    Parameters
    ----------
    shown : bool
        Whether to show it where standard error is a terminal or a notebook's cell, and the package
        tqdm is installed.
    total : int or None
        Images of the whole run, if that is known.
    done : int
        Images that an earlier part of the run has seen.
    """

    def __init__(self, shown: bool, total: int | None, done: int = 0) -> None:
        self._bar: Any = None
        notebook = in_notebook()
        if shown and (notebook or is_terminal(sys.stderr)):
            with contextlib.suppress(ImportError):
                from tqdm import tqdm

                self._bar = tqdm(
                    total=total,
                    initial=done,
                    unit=" images",
                    unit_scale=True,
                    leave=False,
                    file=_Line() if notebook else None,
                    ncols=80 if notebook else None,
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
