"""Figures that notebooks show; imports matplotlib, so it is imported when a figure is made."""

from __future__ import annotations

from matplotlib.figure import Figure

from ._figure import encoded


class NotebookFigure(Figure):
    """A figure that a notebook shows although pyplot does not know it."""

    def _repr_png_(self) -> bytes:
        return encoded(self, "png")
