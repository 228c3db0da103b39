"""Images in an array, converted as they are taken."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._support.checks import as_array, batch_shape
from .._support.typing import AnyArray, FloatArray

_CHUNK = 1024
"""Images that are looked at together, so that a file larger than memory can be mapped."""


class Images:
    """Images of any real dtype that come out as float32.

    Parameters
    ----------
    X : array-like of shape (N, C, H, W)
    image_shape : tuple of int
        (C, H, W)
    looked_at : slice
        The images that are looked through for NaN and infinity; by default all.

    Raises
    ------
    TypeError
        If `X` does not hold real numbers.
    ValueError
        If `X` has another shape, or holds NaN or infinity.
    """

    def __init__(
        self,
        X: npt.ArrayLike,
        image_shape: tuple[int, ...],
        looked_at: slice = slice(None),
    ) -> None:
        self._array: AnyArray = as_array("X", X)
        if self._array.ndim != 4 or self._array.shape[1:] != image_shape:
            raise ValueError(
                f"X must have shape {batch_shape(image_shape)}, not {self._array.shape}"
                + _cure(self._array.shape, image_shape)
            )
        if self._array.dtype.kind not in "fiub":
            raise TypeError(f"X must hold real numbers, not dtype {self._array.dtype}")
        if self._array.dtype.kind == "f":
            start, stop, _ = looked_at.indices(len(self))
            bad = sum(
                int((~np.isfinite(self[i : min(i + _CHUNK, stop)])).any(axis=(1, 2, 3)).sum())
                for i in range(start, stop, _CHUNK)
            )
            if bad:
                raise ValueError(
                    f"X must be finite, not NaN or infinity (as float32) in {bad} of its images"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return self._array.shape

    def __len__(self) -> int:
        """Return N."""
        return len(self._array)

    def __getitem__(self, which: slice | npt.NDArray[np.int64]) -> FloatArray:
        """Return some of the images, as float32; uncopied where a slice of float32 is taken."""
        with np.errstate(over="ignore"):
            return self._array[which].astype(np.float32, copy=False)


def check_image(given: tuple[int, ...], wanted: tuple[int, ...]) -> None:
    """Check the shape of one image.

    Raises
    ------
    ValueError
        If it is another one.
    """
    if given != wanted:
        channels, height, width = wanted
        cure = "; channels come first: X.transpose(2, 0, 1)"
        raise ValueError(
            f"X must have shape {batch_shape(wanted)}, or {wanted} for one image, not {given}"
            + cure * (given == (height, width, channels))
        )


def _cure(given: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """Return what helps where the axes are in another order, as other libraries have them."""
    if len(given) != 4:
        return ""
    channels, height, width = wanted
    if given[1:] == (height, width, channels):
        return "; channels come first: X.transpose(0, 3, 1, 2)"
    if given[:3] == (height, width, channels):
        return "; images and channels come first: X.transpose(3, 2, 0, 1)"
    if given[:3] == wanted and height > 3 >= width:
        right = (width, channels, height)
        return (
            f"; ImageInputLayer takes channels, height and width, {right}, and X images and "
            "channels first, X.transpose(3, 2, 0, 1)"
        )
    if given[1:] == (width, channels, height):
        return f"; ImageInputLayer takes channels, height and width: {given[1:]}"
    return ""
