"""The files that a command writes: one that fails costs neither the others nor what is printed."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from .._support.whole_files import UnwrittenWarning
from ._messages import tell


class Outputs:
    """What went wrong with a command's files, told in the end.

    Attributes
    ----------
    failures : list of str
    """

    def __init__(self) -> None:
        self.failures: list[str] = []

    def write(self, save: Callable[..., object], *arguments: Any) -> None:
        """Call ``save(*arguments)``, which writes a file."""
        try:
            save(*arguments)
        except OSError as error:
            self.failures.append(str(error))

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Take what the block warns of unwritten files as failures; other warnings stay theirs."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UnwrittenWarning)
            try:
                yield
            finally:
                self.failures += [
                    str(w.message) for w in told if issubclass(w.category, UnwrittenWarning)
                ]
        for w in told:
            if not issubclass(w.category, UnwrittenWarning):
                warnings.showwarning(w.message, w.category, w.filename, w.lineno)

    def status(self, otherwise: int = 0) -> int:
        """Print an error for each failure; return the exit status."""
        for failure in self.failures:
            tell(f"error: {failure}")
        return 1 if self.failures else otherwise
