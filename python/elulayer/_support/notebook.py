"""What is shown in the output of a notebook's cell, and changes there."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class NotebookOutput:
    """A place in the output of a notebook's cell."""

    def __init__(self) -> None:
        self._handle: Any = None

    def show(self, shown: object) -> None:
        """Put an object, a figure say, in the place of what was shown there before."""
        if self._handle is None:
            display = importlib.import_module("IPython.display").display
            self._handle = display(shown, display_id=True)
        else:
            self._handle.update(shown)
