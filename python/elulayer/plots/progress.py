"""The training-progress figure: a run as it goes on, in a window, a notebook or a file."""

from __future__ import annotations

import os
import time
import warnings
from typing import TYPE_CHECKING

from .._support.notebook import NotebookOutput, in_notebook
from .._support.whole_files import UnwrittenWarning
from ..network import TrainingProgress
from ._display import Display, Window, open_window
from ._figure import new_figure, save_figure
from .training import SIZE, draw_training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOW_EVERY = 1.0
_WRITE_EVERY = 3.0
"""Least seconds between two updates."""

_PATIENCE = 20
"""An update waits for as many times what the last one took, so that drawing is 5 % of the time."""


class TrainingProgressFigure:
    """Draw loss and accuracy while a network trains: an output function for training.

    ::

        options = TrainingOptions("sgdm", output_fcn=TrainingProgressFigure("progress.png"))

    In a notebook the figure appears in the cell's output, elsewhere in a window if matplotlib has
    a backend with windows. It is drawn anew once a second, the file written every three seconds,
    both more rarely where drawing is slow, and at the end. Closing the window does not stop the
    training; ``matplotlib.pyplot.show()`` keeps it open after the run.

    Parameters
    ----------
    path : str or path, optional
        File to write the picture to; its extension names the format. It is replaced as a whole,
        so that a viewer can show it meanwhile. One that cannot be written is an OSError at the
        start of a run, and a RuntimeWarning at its end.
    show : bool
        Whether to use a window or a notebook. Without, and on a machine that has neither, the
        figure is drawn for `path`, and kept.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        The figure; at the end of a run it shows the whole run.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, *, show: bool = True) -> None:
        self.figure: Figure = new_figure(*SIZE)
        self._path = path
        self._display: Display | None = None
        if show and in_notebook():
            self._display = NotebookOutput()
        elif show and (window := open_window(*SIZE)) is not None:
            self.figure, self._display = window, Window()
        self._begin()

    @property
    def is_shown(self) -> bool:
        """Whether there is a window or a notebook's output that the figure appears in."""
        return self._display is not None

    def _begin(self) -> None:
        self._wait = 0.0
        self._shown = self._written = -float("inf")

    def __call__(self, progress: TrainingProgress) -> None:
        """Take in where the run stands; draw it if it is time to."""
        if progress.state == "start":
            self._begin()
        self._update(progress)

    def _update(self, progress: TrainingProgress) -> None:
        started = time.perf_counter()
        ends = progress.state == "done"
        write = self._path is not None and self._is_due(self._written, _WRITE_EVERY, started, ends)
        show = self._display is not None and self._is_due(self._shown, _SHOW_EVERY, started, ends)
        if not (write or show or ends):
            return
        self.figure.clear()
        draw_training(self.figure, progress.record(), None if ends else progress.total_iterations)
        if show and self._display is not None:
            self._display.show(self.figure)
        if write and self._path is not None:
            self._write(self._path, progress.state)
        now = time.perf_counter()
        # The first drawing is slow: it loads fonts.
        self._wait = 0.0 if progress.state == "start" else _PATIENCE * (now - started)
        self._shown = now if show else self._shown
        self._written = now if write else self._written

    def _write(self, path: str | os.PathLike[str], state: str) -> None:
        """Write the picture; what fails after the start must not cost what the run has learned."""
        try:
            save_figure(self.figure, path)
        except OSError as error:
            if state == "start":
                raise
            if state == "done":
                warnings.warn(
                    f"the picture of the run cannot be written: {error}",
                    UnwrittenWarning,
                    stacklevel=7,  # train_network's caller
                )

    def _is_due(self, last: float, every: float, now: float, ends: bool) -> bool:
        return ends or now - last >= max(every, self._wait)
