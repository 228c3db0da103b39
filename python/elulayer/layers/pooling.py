"""Two-dimensional pooling: the maximum or the mean of each window."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .._support.checks import integer, size_pair, text
from .._support.typing import FloatArray
from .._support.wording import shown
from .base import Layer
from .inputs import floats

_Windows = tuple[slice, slice]


class Pooling2DLayer(Layer):
    """What the two poolings share: the windows' places.

    Window (i, j) begins at row i * stride - padding and column j * stride - padding.
    """

    backward_uses_output: bool = False
    _what: ClassVar[str]

    def __init__(
        self,
        pool_size: int | tuple[int, int],
        *,
        stride: int = 1,
        padding: int = 0,
        ceil_mode: bool = False,
        name: str = "",
    ) -> None:
        self.pool_size = height, width = size_pair("pool_size", pool_size)
        self.stride = integer("stride", stride)
        self.padding = integer("padding", padding, least=0)
        if self.padding >= min(self.pool_size):
            raise ValueError(
                f"padding must be less than the pool size, {self.pool_size}, not {padding}: "
                "a window could hold padding alone"
            )
        given: object = ceil_mode
        if not isinstance(given, bool):
            raise TypeError(f"ceil_mode must be True or False, not {shown(ceil_mode)}")
        self.ceil_mode = ceil_mode
        self.name = text("name", name)
        self.description = (
            f"{height}x{width} {self._what} pooling, stride {stride}, padding {padding}"
            + ", ceil mode" * ceil_mode
        )

    def _padded(self, X: FloatArray, value: float) -> FloatArray:
        """Return `X` with `value` around it, as far as the windows reach."""
        rows, columns = self._positions(X)
        pad = self.padding
        height, width = (
            max(pad + n, (m - 1) * self.stride + k)
            for n, m, k in zip(X.shape[2:], (rows, columns), self.pool_size, strict=True)
        )
        if (height, width) == X.shape[2:]:
            return X
        padded: FloatArray = np.full((*X.shape[:2], height, width), value, dtype=X.dtype)
        padded[:, :, pad : pad + X.shape[2], pad : pad + X.shape[3]] = X
        return padded

    def _positions(self, X: FloatArray) -> tuple[int, int]:
        """Return the number of windows down and across."""
        who = type(self).__name__
        if X.ndim != 4:
            raise ValueError(f"the input of {who} must have shape (N, C, H, W), not {X.shape}")
        rows, columns = (
            self._count(n, k) for n, k in zip(X.shape[2:], self.pool_size, strict=True)
        )
        if rows < 1 or columns < 1:
            raise ValueError(
                f"the input of {who} must have room for windows of size {self.pool_size} with "
                f"padding {self.padding}, not shape {X.shape}"
            )
        return rows, columns

    def _count(self, extent: int, size: int) -> int:
        room = extent + 2 * self.padding - size
        if not self.ceil_mode:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        # A window that would begin behind the image holds nothing of it.
        return count - ((count - 1) * self.stride >= extent + self.padding)

    def _offsets(self, positions: tuple[int, int]) -> Iterator[_Windows]:
        """Yield, for each place in a window, where the padded input has it for all windows."""
        for i, j in np.ndindex(self.pool_size):
            yield self._places(i, positions[0]), self._places(j, positions[1])

    def _places(self, offset: int, count: int) -> slice:
        return slice(offset, offset + (count - 1) * self.stride + 1, self.stride)


class MaxPooling2DLayer(Pooling2DLayer):
    """Z = the maximum of each window of X; NaN where the window holds one.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of the windows.
    stride : int
        Step between the windows, in both directions.
    padding : int
        Rows and columns added on each side of the image, less than the pool size; they are never
        the maximum.
    ceil_mode : bool
        Whether the last windows may hang over the edge, as Caffe's do, where the stride does not
        divide the way evenly. Without it, as in MATLAB, what is left over is not looked at.
    name : str
        Name of the layer.

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer (padding: not negative), or the padding too large.
    """

    _what = "max"

    def predict(self, X: FloatArray) -> FloatArray:
        """Find the maxima.

        Parameters
        ----------
        X : ndarray of shape (N, C, H, W), float32 or float64

        Returns
        -------
        Z : ndarray of shape (N, C, H', W') and X's dtype
            H' = (H + 2 * padding - height) // stride + 1, and W' alike; in ceil mode rounded up,
            less the windows that would begin behind the image.

        Raises
        ------
        ValueError
            If `X` has not four dimensions or no window fits into it.
        """
        X = floats("X", X)
        padded = self._padded(X, -np.inf)
        # Along the rows first: a maximum of maxima.
        rows, columns = self._positions(X)
        across = _largest(padded[..., self._places(j, columns)] for j in range(self.pool_size[1]))
        return _largest(across[:, :, self._places(i, rows)] for i in range(self.pool_size[0]))

    def forward(self, X: FloatArray) -> tuple[FloatArray, npt.NDArray[np.unsignedinteger[Any]]]:
        """Find the maxima, and for each its place in its window, counted along the rows.

        The first of equal maxima counts, and the first NaN before all of them.
        """
        X = floats("X", X)
        padded = self._padded(X, -np.inf)
        parts = [padded[:, :, down, across] for down, across in self._offsets(self._positions(X))]
        Z = parts[0].copy()
        places = np.zeros(Z.shape, dtype=np.min_scalar_type(len(parts) - 1))
        if self.padding:
            # A window whose first place is padding has its maximum elsewhere, even if that is -inf.
            places[...] = _first_inside(self, X)
        for place, part in enumerate(parts[1:], start=1):
            larger = np.multiply(part > Z, place, dtype=places.dtype)
            np.maximum(places, larger, out=places)
            np.maximum(Z, part, out=Z)
        if np.isnan(Z).any():
            for place, part in reversed(list(enumerate(parts))):
                np.copyto(places, places.dtype.type(place), where=np.isnan(part))
        return Z, places

    def backward(
        self,
        X: FloatArray,
        Z: FloatArray,
        dLdZ: FloatArray,
        memory: npt.NDArray[np.unsignedinteger[Any]],
    ) -> FloatArray | None:
        """Compute dLdX (None if it is not needed): dLdZ where each maximum came from.

        Parameters
        ----------
        X, Z, dLdZ : ndarray
            As for `Layer.backward`.
        memory : ndarray of Z's shape
            The places that `forward` returned.
        """
        if not self.needs_input_gradient:
            return None
        X, dLdZ = floats("X", X), floats("dLdZ", dLdZ)
        (height, width), pad = X.shape[2:], self.padding
        rows, columns = dLdZ.shape[2:]
        down, across = np.divmod(np.arange(math.prod(self.pool_size)), self.pool_size[1])
        # Where in the image's memory each place of the first window is, and each window's first.
        place = (down - pad) * width + across - pad
        window = np.add.outer(
            np.arange(rows) * self.stride * width, np.arange(columns) * self.stride
        )
        image = np.arange(X.shape[0] * X.shape[1]).reshape(*X.shape[:2], 1, 1) * (height * width)
        target = place[memory]
        target += window
        target += image
        # The sums are in float64.
        sums = np.bincount(target.ravel(), weights=dLdZ.ravel(), minlength=X.size)
        dLdX: FloatArray = sums.astype(dLdZ.dtype, copy=False).reshape(X.shape)
        return dLdX


class AveragePooling2DLayer(Pooling2DLayer):
    """Z = the mean of each window of X.

    Padding counts as zeros; what hangs over the padded image in ceil mode does not count.

    Parameters
    ----------
    pool_size : int or (int, int)
        Height and width of the windows.
    stride : int
        Step between the windows, in both directions.
    padding : int
        Zeros added on each side of the image, less than the pool size.
    ceil_mode : bool
        Whether the last windows may hang over the edge, as Caffe's do, where the stride does not
        divide the way evenly. Without it, as in MATLAB, what is left over is not looked at.
    name : str
        Name of the layer.

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer (padding: not negative), or the padding too large.
    """

    _what = "average"

    def predict(self, X: FloatArray) -> FloatArray:
        """Compute the means.

        Parameters
        ----------
        X : ndarray of shape (N, C, H, W), float32 or float64

        Returns
        -------
        Z : ndarray of shape (N, C, H', W') and X's dtype
            H' and W' as those of `MaxPooling2DLayer.predict`.

        Raises
        ------
        ValueError
            If `X` has not four dimensions or no window fits into it.
        """
        X = floats("X", X)
        rows, columns = self._positions(X)
        padded = self._padded(X, 0.0)
        down = _total(padded[:, :, self._places(i, rows)] for i in range(self.pool_size[0]))
        Z = _total(down[..., self._places(j, columns)] for j in range(self.pool_size[1]))
        Z /= self._sizes(X)
        return Z

    def backward(
        self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: Any
    ) -> FloatArray | None:
        """Compute dLdX (None if it is not needed): dLdZ in equal parts to each window's values."""
        if not self.needs_input_gradient:
            return None
        X, dLdZ = floats("X", X), floats("dLdZ", dLdZ)
        (rows, columns), pad, (height, width) = dLdZ.shape[2:], self.padding, X.shape[2:]
        parts = dLdZ / self._sizes(X)
        reach = [
            max(pad + n, (m - 1) * self.stride + k)
            for n, m, k in zip(X.shape[2:], (rows, columns), self.pool_size, strict=True)
        ]
        across = np.zeros((*X.shape[:2], rows, reach[1]), dtype=dLdZ.dtype)
        for j in range(self.pool_size[1]):
            across[..., self._places(j, columns)] += parts
        dLdX: FloatArray = np.zeros((*X.shape[:2], *reach), dtype=dLdZ.dtype)
        for i in range(self.pool_size[0]):
            dLdX[:, :, self._places(i, rows)] += across
        return dLdX[:, :, pad : pad + height, pad : pad + width]

    def _sizes(self, X: FloatArray) -> FloatArray:
        """Return how many values each window's mean is taken over."""
        lengths = []
        for n, count, k in zip(X.shape[2:], self._positions(X), self.pool_size, strict=True):
            start = np.arange(count) * self.stride
            lengths.append(np.minimum(start + k, n + 2 * self.padding) - start)
        sizes: FloatArray = np.multiply.outer(*lengths).astype(X.dtype)
        return sizes


def _first_inside(layer: MaxPooling2DLayer, X: FloatArray) -> npt.NDArray[np.intp]:
    """Return, for each window, the first of its places that is not padding."""
    first = [
        np.maximum(layer.padding - np.arange(count) * layer.stride, 0)
        for count in layer._positions(X)
    ]
    places: npt.NDArray[np.intp] = np.add.outer(first[0] * layer.pool_size[1], first[1])
    return places


def _largest(parts: Iterator[FloatArray]) -> FloatArray:
    """Return the maximum of arrays, element by element, as an array of its own."""
    largest = next(parts).copy()
    for part in parts:
        np.maximum(largest, part, out=largest)
    return largest


def _total(parts: Iterator[FloatArray]) -> FloatArray:
    """Return the sum of arrays as an array of its own."""
    total = next(parts).copy()
    for part in parts:
        total += part
    return total
