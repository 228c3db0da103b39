"""Photos of digits, as the networks of digits have seen them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._support.checks import as_array, size_pair

__all__ = ["prepare_digit"]

_Plane = npt.NDArray[np.float64]

_PART = 0.7
"""Of the height and width of the image, what the digit takes at most."""

_FAINT = 0.3
"""Of the ink's strength, what paper and pencil lines do not reach."""


def prepare_digit(
    image: npt.ArrayLike, size: int | tuple[int, int] = 28
) -> npt.NDArray[np.float32]:
    """Make a photo of one digit an image such as `load_digits` and MNIST hold.

    A network that was trained on light digits on black, in the middle of small images, has never
    seen a photo of ink on paper, and gives any label for it. So the paper is made black and the ink
    light, whichever of them is darker; shades of the light are taken away; what is around the digit
    is cut off; the digit is scaled to 0.7 of the image, and its centre of mass put into the middle.

    Parameters
    ----------
    image : array-like of shape (H, W), (1, H, W) or (3, H, W)
        Values of any range; of three channels the mean is taken. One digit, which touches no edge.
    size : int or (int, int)
        Height and width of the result.

    Returns
    -------
    ndarray of float32, shape (1, *size)
        Values in [0, 1].

    Raises
    ------
    TypeError, ValueError
        If `image` is no such array of finite numbers, or nothing stands out from its background.
    """
    height, width = size_pair("size", size)
    given = as_array("image", image)
    if given.dtype.kind not in "biuf" or given.ndim not in (2, 3) or given.size == 0:
        raise ValueError(
            "image must hold numbers of shape (H, W), (1, H, W) or (3, H, W), not "
            f"{given.dtype} of shape {given.shape}"
        )
    if given.ndim == 3 and len(given) not in (1, 3):
        raise ValueError(f"image must have 1 or 3 channels, not {len(given)}")
    grey = given.astype(np.float64)
    if not np.isfinite(grey).all():
        raise ValueError("image must be finite, not hold NaN or infinity")
    ink = _ink(grey.mean(axis=0) if grey.ndim == 3 else grey)
    if not ink.any():
        raise ValueError(f"image must show a digit, and be larger than {grey.shape[-2:]}")
    rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = _PART * min(height / digit.shape[0], width / digit.shape[1])
    shape = [max(round(extent * scale), 1) for extent in digit.shape]
    small = _scaled(_scaled(digit, shape[0]).T, shape[1]).T
    small = np.clip(small / small.max(), 0, 1)
    result = np.zeros((1, height, width), dtype=np.float32)
    places = [
        slice(start, start + extent)
        for start, extent in (
            (_start(small.sum(axis=1), height), shape[0]),
            (_start(small.sum(axis=0), width), shape[1]),
        )
    ]
    result[0][tuple(places)] = small
    return result


def _ink(grey: _Plane) -> _Plane:
    """Return how far each pixel stands out from the background, from 0 to 1."""
    difference = grey - _background(grey)
    # Ink covers little and stands out far: the long tail of the differences is on its side.
    if (difference**3).sum() < 0:
        difference = -difference
    strong = float(np.percentile(difference, 99.5))
    noise = float(np.median(np.abs(difference)))
    if strong <= max(6 * noise, 1e-6 * np.ptp(grey)):
        raise ValueError("image must show a digit; nothing in it stands out from its background")
    ink: _Plane = np.clip(difference / strong, 0, 1)
    ink[_smoothed(ink) < _FAINT] = 0
    return ink


def _background(grey: _Plane) -> _Plane:
    """Return the quadratic that fits the most of an image: paper, and the light on it."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, n) for n in grey.shape), indexing="ij")
    terms = [rows**i * columns**j for i in range(3) for j in range(3 - i)]
    matrix = np.stack([term.ravel() for term in terms], axis=1)
    values = grey.ravel()
    kept = np.ones(values.size, dtype=bool)
    for _ in range(4):
        solution = np.linalg.lstsq(matrix[kept], values[kept], rcond=None)[0]
        away = np.abs(values - matrix @ solution)
        kept = away <= np.percentile(away, 75)
    background: _Plane = (matrix @ solution).reshape(grey.shape)
    return background


def _smoothed(ink: _Plane) -> _Plane:
    """Return means over 3x3 pixels, so that a single one does not count."""
    padded = np.pad(ink, 1)
    height, width = ink.shape
    total: _Plane = sum(
        (padded[i : i + height, j : j + width] for i in range(3) for j in range(3)),
        np.zeros_like(ink),
    )
    return total / 9


def _scaled(plane: _Plane, height: int) -> _Plane:
    """Return a plane of another height, whose rows are means over those that they cover."""
    sums = np.concatenate([np.zeros((1, plane.shape[1])), plane.cumsum(axis=0)])
    edges = np.linspace(0, len(plane), height + 1)
    below = np.minimum(edges.astype(int), len(plane) - 1)
    part = (edges - below)[:, np.newaxis]
    at = (1 - part) * sums[below] + part * sums[below + 1]
    scaled: _Plane = np.diff(at, axis=0) * (height / len(plane))
    return scaled


def _start(sums: _Plane, extent: int) -> int:
    """Return where a digit begins whose centre of mass is in the middle, all of it inside."""
    centre = (sums * (np.arange(len(sums)) + 0.5)).sum() / sums.sum()
    return int(np.clip(round(extent / 2 - centre), 0, extent - len(sums)))
