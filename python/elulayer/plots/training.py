"""The course of a training run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..network import TrainingRecord
from ._figure import BLUE, ORANGE, TEXT_SIZE, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_REACH = 10
"""Iterations on both sides that the smoothed curve averages over."""

SIZE = (8.0, 5.6)
"""Width and height of the figure in inches."""


def plot_training(record: TrainingRecord) -> Figure:
    """Draw loss and accuracy of a training run over its iterations.

    The mini-batches' values are drawn pale, their mean over 21 iterations (fewer at the ends, 11 at
    the last one) strong, the validation data as points. The loss has a logarithmic axis.

    Parameters
    ----------
    record : TrainingRecord
        What `train_network` returns beside the network.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        If `record` is something else.
    """
    if not isinstance(record, TrainingRecord):
        raise TypeError(
            "record must be the TrainingRecord that train_network returns beside the network, "
            f"not {type(record).__name__}"
        )
    figure = new_figure(*SIZE)
    draw_training(figure, record)
    return figure


def draw_training(figure: Figure, record: TrainingRecord, total: int | None = None) -> None:
    """Draw a run, finished or not, into an empty figure; `total` iterations fit on the axis."""
    accuracy, loss = figure.subplots(2, 1, sharex=True)
    _draw_curves(accuracy, record, record.accuracy, record.validation_accuracy)
    _draw_curves(loss, record, record.loss, record.validation_loss)
    tidy(accuracy, _title(record), ylabel="accuracy (%)")
    tidy(loss, xlabel="iteration", ylabel="loss: cross-entropy (nats)")
    accuracy.set_ylim(0, 101)
    if (record.loss > 0).any():
        _make_logarithmic(loss)
    for axes in (accuracy, loss):
        axes.grid(axis="y", color="0.9", linewidth=0.8)
    last = total or (record.iteration[-1] if len(record.iteration) else None)
    if last is not None:
        accuracy.set_xlim(0, last * 1.01)
    if len(record.iteration):
        accuracy.legend(loc="lower right", frameon=False, fontsize=TEXT_SIZE)


def smoothed(values: npt.NDArray[np.float64], reach: int = _REACH) -> npt.NDArray[np.float64]:
    """Return the mean of each value and up to `reach` values on both sides.

    As many after it as before it at the beginning, where means of one side would trail behind a
    steep curve; at the end no fewer before it than elsewhere, lest it follow the last values.
    """
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    before = np.minimum(reach, index)
    after = np.minimum(before, len(values) - 1 - index)
    means: npt.NDArray[np.float64] = (sums[index + after + 1] - sums[index - before]) / (
        before + after + 1
    )
    return means


def _draw_curves(
    axes: Axes,
    record: TrainingRecord,
    values: npt.NDArray[np.float64],
    validation: npt.NDArray[np.float64],
) -> None:
    axes.plot(record.iteration, values, color=BLUE, alpha=0.3, linewidth=0.8, label="mini-batch")
    axes.plot(
        record.iteration, smoothed(values), color=BLUE, linewidth=1.6, label="mini-batch, smoothed"
    )
    tried = ~np.isnan(validation)
    if tried.any():
        axes.plot(
            record.iteration[tried],
            validation[tried],
            color=ORANGE,
            linewidth=1.0,
            linestyle="--",
            marker="o",
            markersize=3.5,
            label="validation",
        )


def _make_logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    # A loss of 0, which float32 can give, is left out.
    axes.set_yscale("log", nonpositive="mask")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _title(record: TrainingRecord) -> str:
    if len(record.iteration) == 0:
        return "Training has not begun"
    epoch, iteration, time = record.epoch[-1], record.iteration[-1], record.time[-1]
    title = f"Epoch {epoch}, iteration {iteration}, {time:.0f} s"
    if record.stopped_by == "validation_patience":
        title += ", stopped: the validation loss no longer fell"
    elif record.stopped_by == "output_fcn":
        title += ", stopped by an output function"
    elif record.stopped_by == "interrupt":
        title += ", stopped by Ctrl-C"
    return title
