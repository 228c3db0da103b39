"""What all pictures share: how a figure is made, its look, and how it becomes a file."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

from .._support.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of Okabe and Ito's colours, which colour-blind people can tell apart.
BLUE = "#0072B2"
ORANGE = "#D55E00"
GREEN = "#009E73"

TEXT_SIZE = 9.0
"""In points."""


def new_figure(width: float, height: float) -> Figure:
    """Make an empty figure outside pyplot.

    Parameters
    ----------
    width, height : float
        In inches.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        from ._notebook import NotebookFigure
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "matplotlib":
            raise
        raise ImportError(
            "pictures need the package matplotlib: pip install 'elulayer[plot]'"
        ) from error
    return NotebookFigure(figsize=(width, height), dpi=110, layout="constrained")


def tidy(axes: Axes, title: str = "", xlabel: str = "", ylabel: str = "") -> None:
    """Give axes the look that the pictures share."""
    axes.set_title(title, fontsize=TEXT_SIZE, loc="left")
    axes.set_xlabel(xlabel, fontsize=TEXT_SIZE)
    axes.set_ylabel(ylabel, fontsize=TEXT_SIZE)
    axes.tick_params(labelsize=TEXT_SIZE)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a picture whole: whoever looks at the file meanwhile sees the old one.

    Parameters
    ----------
    figure : Figure
    path : str or path
        The file; its extension names the format, PNG if there is none.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If matplotlib does not know the format.
    """
    picture = io.BytesIO()
    figure.savefig(picture, format=Path(path).suffix[1:] or "png")
    write_whole(path, picture.getvalue())
