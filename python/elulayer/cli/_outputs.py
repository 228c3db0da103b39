"""The files that a command writes: one that fails costs neither the others nor what is printed."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from .._support.whole_files import UnwrittenWarning
from ._messages import tell


class Outputs:
    """What goes wrong with a command's files is told at once, and is its exit status.

    Attributes
    ----------
    failed : bool
    """

    def __init__(self) -> None:
        self.failed = False

    def write(self, save: Callable[..., object], *arguments: Any) -> None:
        """Call ``save(*arguments)``, which writes a file."""
        try:
            save(*arguments)
        except OSError as error:
            self._fail(error)

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Take what the block warns of unwritten files as failures; other warnings stay theirs."""
        with warnings.catch_warnings():
            warnings.simplefilter("always", UnwrittenWarning)
            others = warnings.showwarning

            def show(message: Any, category: type[Warning], *where: Any, **more: Any) -> None:
                if issubclass(category, UnwrittenWarning):
                    self._fail(message)
                else:
                    others(message, category, *where, **more)

            warnings.showwarning = show
            yield

    def status(self, otherwise: int = 0) -> int:
        """Return the exit status."""
        return 1 if self.failed else otherwise

    def _fail(self, what: object) -> None:
        self.failed = True
        tell(f"error: {what}")
