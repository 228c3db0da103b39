"""The files that a command writes: one that fails costs neither the others nor what is printed."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .._support.streams import write
from .._support.whole_files import UnwrittenWarning
from ._messages import tell


class Outputs:
    """A command's files: each is told of, and what goes wrong with them is its exit status.

    Parameters
    ----------
    quiet : bool
        Whether to tell only of what goes wrong.

    Attributes
    ----------
    failed : bool
    """

    def __init__(self, quiet: bool = False) -> None:
        self.failed = False
        self._quiet = quiet

    def write(self, save: Callable[..., object], *arguments: Any) -> None:
        """Call ``save(*arguments)``, which writes a file whose path is the last of them."""
        try:
            save(*arguments)
        except OSError as error:
            self._fail(error)
            return
        self.tell(arguments[-1])

    def tell(self, path: Path) -> None:
        """Say that a file was written."""
        if not self._quiet:
            write(f"Wrote {path}\n", sys.stdout)

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

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Tell of a file that cannot be read in the block, as of one that cannot be written."""
        try:
            yield
        except (OSError, ValueError) as error:
            self._fail(error)

    def status(self, otherwise: int = 0) -> int:
        """Return the exit status."""
        return 1 if self.failed else otherwise

    def _fail(self, what: object) -> None:
        self.failed = True
        tell(f"error: {what}")
