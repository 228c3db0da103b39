"""Images with their labels, and those that a network took for something else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .._support.checks import as_array, integer
from .._support.typing import AnyArray
from ._figure import TEXT_SIZE, new_figure
from ._labels import as_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 10
_GAP = 0.12
_TITLE = 0.3
"""Room around an image and above it, in its own widths."""


def plot_images(X: npt.ArrayLike, Y: npt.ArrayLike, count: int = 20, seed: int = 0) -> Figure:
    """Show images with their labels.

    Parameters
    ----------
    X : array-like of shape (N, 1, H, W) or (N, 3, H, W), or without N for one image
        Grey or RGB images. uint8 is 0 to 255; other dtypes are 0 to 1, or what the images shown
        range over where that is more.
    Y : array-like of shape (N,)
        Labels, or the label of one image.
    count : int
        How many to show, drawn at random; all if there are no more.
    seed : int
        Of the draw.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument does not fit.
    """
    if np.ndim(X) == 3 and np.ndim(Y) == 0:
        X, Y = np.asarray(X)[np.newaxis], np.atleast_1d(Y)
    images = _as_images(X)
    labels = as_labels("Y", Y, len(images))
    count = integer("count", count)
    rng = np.random.default_rng(integer("seed", seed, least=0))
    chosen = rng.permutation(len(images))[:count]
    return _draw(images[chosen], [str(label) for label in labels[chosen]])


def plot_misclassified(
    X: npt.ArrayLike, Y: npt.ArrayLike, Y_predicted: npt.ArrayLike, count: int = 20
) -> Figure:
    """Show images that were classified wrongly, titled "true → predicted".

    Parameters
    ----------
    X : array-like of shape (N, 1, H, W) or (N, 3, H, W)
        Images, as `plot_images` takes them.
    Y, Y_predicted : array-like of shape (N,)
        Their labels, and those that a network gave them.
    count : int
        How many to show, in their order.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument does not fit.
    """
    images = _as_images(X)
    labels = as_labels("Y", Y, len(images))
    predicted = as_labels("Y_predicted", Y_predicted, len(images))
    wrong = np.flatnonzero(labels != predicted)
    chosen = wrong[: integer("count", count)]
    share = f"{len(wrong)} of {len(images)} images classified wrongly"
    if len(chosen) < len(wrong):
        share += f"; the first {len(chosen)}, true \N{RIGHTWARDS ARROW} predicted"
    elif len(wrong):
        share += ", true \N{RIGHTWARDS ARROW} predicted"
    titles = [f"{labels[i]} \N{RIGHTWARDS ARROW} {predicted[i]}" for i in chosen]
    return _draw(images[chosen], titles, share)


def _draw(images: AnyArray, titles: Sequence[str], heading: str = "") -> Figure:
    columns = max(1, min(len(images), _COLUMNS))
    rows = max(1, -(-len(images) // columns))
    height, width = images.shape[2:]
    across, down = width * (1 + _GAP), height + width * (_TITLE + _GAP)
    # Few images are drawn larger; a heading needs some width.
    inch = max(0.95, min(3.0, 4.5 / columns)) / across
    room = rows * down * inch if titles else 0.1
    figure = new_figure(max(columns * across * inch, 3.5), room + 0.3 * bool(heading))
    axes = figure.subplots()
    axes.set_axis_off()
    if heading:
        axes.set_title(heading, fontsize=TEXT_SIZE)
    low, high = _limits(images)
    for index, (image, title) in enumerate(zip(images, titles, strict=True)):
        left, top = index % columns * across, index // columns * down
        pixels = (np.moveaxis(image, 0, -1).astype(np.float64) - low) / (high - low)
        axes.imshow(
            pixels[..., 0] if pixels.shape[2] == 1 else pixels,
            cmap="gray",
            vmin=0,
            vmax=1,
            interpolation="nearest",
            extent=(left, left + width, top + height, top),
        )
        axes.text(
            left + width / 2,
            top - 0.04 * width,
            title,
            ha="center",
            va="bottom",
            fontsize=TEXT_SIZE,
        )
    axes.set_xlim(-_GAP * width, columns * across)
    axes.set_ylim(rows * down - _TITLE * width, -_TITLE * width)
    axes.set_aspect("equal")
    return figure


def _limits(images: AnyArray) -> tuple[float, float]:
    """Return what is black and what is white."""
    if images.dtype == np.uint8:
        return 0.0, 255.0
    if images.size == 0:
        return 0.0, 1.0
    return min(0.0, float(images.min())), max(1.0, float(images.max()))


def _as_images(X: npt.ArrayLike) -> AnyArray:
    images = as_array("X", X)
    if images.dtype.kind not in "fiub":
        raise TypeError(f"X must hold real numbers, not dtype {images.dtype}")
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(f"X must have shape (N, 1, H, W) or (N, 3, H, W), not {images.shape}")
    if images.size == 0:
        raise ValueError(f"X must hold at least one image, not have shape {images.shape}")
    return images
