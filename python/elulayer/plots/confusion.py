"""Which classes a network takes for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .._support.typing import AnyArray
from ..network.labels import distinct
from ._figure import TEXT_SIZE, new_figure
from ._labels import as_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NUMBERS = 30
"""Classes up to which the counts are legible."""


def plot_confusion(
    Y: npt.ArrayLike, Y_predicted: npt.ArrayLike, classes: npt.ArrayLike | None = None
) -> Figure:
    """Draw the confusion matrix: how many images of each true class got which label.

    The colour of a cell is its share of its row. Beside the rows stands the recall of each class
    (its images that were recognized), below the columns the precision (images given this label
    that deserve it), in the corner the accuracy.

    Parameters
    ----------
    Y, Y_predicted : array-like of shape (N,)
        True and predicted labels.
    classes : array-like of shape (K,), optional
        The classes in the order of the rows; by default all labels that occur, sorted.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If the arguments do not fit each other, or a label is none of `classes`.
    """
    labels = as_labels("Y", Y)
    predicted = as_labels("Y_predicted", Y_predicted, len(labels))
    if len(labels) == 0:
        raise ValueError("Y must hold at least one label, not none")
    names = (
        distinct("Y and Y_predicted", np.concatenate([labels, predicted]))
        if classes is None
        else as_labels("classes", classes)
    )
    counts = _count(labels, predicted, names)
    side = 1.6 + max(2.0, 0.42 * min(len(names), _MOST_NUMBERS))
    figure = new_figure(side + 0.3, side)
    axes = figure.subplots()
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks, texts = list(range(len(names))), [str(name) for name in names]
    if len(names) <= _MOST_NUMBERS:
        _write_counts(axes, counts, shares)
        _write_margins(axes, counts)
        end = len(names) + 0.15
        axes.set_xlim(-0.5, end + 0.75)
        axes.set_ylim(end + 0.5, -0.5)
        axes.set_xticks([*ticks, end], [*texts, "recall"], fontsize=TEXT_SIZE)
        axes.set_yticks([*ticks, end], [*texts, "precision"], fontsize=TEXT_SIZE)
        rotated = max(map(len, texts)) > 4
        axes.tick_params(axis="x", rotation=90 if rotated else 0)
    axes.tick_params(length=0, labelsize=TEXT_SIZE)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted class", fontsize=TEXT_SIZE)
    axes.set_ylabel("true class", fontsize=TEXT_SIZE)
    accuracy = np.trace(counts) / len(labels)
    axes.set_title(f"{len(labels)} images, accuracy {accuracy:.4f}", fontsize=TEXT_SIZE, loc="left")
    return figure


def _count(labels: AnyArray, predicted: AnyArray, names: AnyArray) -> npt.NDArray[np.int64]:
    order = np.argsort(names)
    positions = []
    for what, given in (("Y", labels), ("Y_predicted", predicted)):
        found = np.minimum(np.searchsorted(names, given, sorter=order), len(names) - 1)
        position = order[found]
        odd = names[position] != given
        if np.any(odd):
            raise ValueError(
                f"{what} must hold labels of the classes {names}, not the label {given[odd][0]!r}"
            )
        positions.append(position)
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, tuple(positions), 1)
    return counts


def _write_counts(axes: Axes, counts: npt.NDArray[np.int64], shares: AnyArray) -> None:
    for row, column in np.argwhere(counts):
        axes.text(
            column,
            row,
            str(counts[row, column]),
            ha="center",
            va="center",
            fontsize=TEXT_SIZE - 1,
            fontweight="bold" if row == column else "normal",
            color="white" if shares[row, column] > 0.5 else "black",
        )


def _write_margins(axes: Axes, counts: npt.NDArray[np.int64]) -> None:
    """Write recall and precision in percent; nothing for a class that does not occur."""
    end = len(counts) + 0.15
    right = np.diag(counts)
    for total, place in (
        (counts.sum(axis=1), lambda i: (end, i)),
        (counts.sum(axis=0), lambda i: (i, end)),
    ):
        for i in np.flatnonzero(total):
            _write_percent(axes, place(i), right[i] / total[i])
    _write_percent(axes, (end, end), right.sum() / counts.sum())


def _write_percent(axes: Axes, place: tuple[float, float], share: float) -> None:
    # Rounding must not make 99.96 % look like all.
    text = f"{min(100 * share, 99.9) if share < 1 else 100:.1f}" if share < 1 else "100"
    axes.text(*place, text + " %", ha="center", va="center", fontsize=TEXT_SIZE - 2, color="0.3")
