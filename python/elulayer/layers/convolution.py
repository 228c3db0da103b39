"""Two-dimensional convolution as one matrix product per image."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .._support.checks import batch_shape, integer, size_pair, text
from .._support.parallel import in_parallel
from .._support.typing import FloatArray
from .base import Layer
from .inputs import floats
from .weights import check_shapes, draw, initializer

_PATCHES_BYTES = 2**19
"""How large the patches are that a product reads next: they stay in the cache of a core."""


class Convolution2DLayer(Layer):
    """Z[n, f] = bias[f] + sum over c of the cross-correlation of X[n, c] with weights[f, c].

    Parameters
    ----------
    filter_size : int or (int, int)
        Height and width of the filters.
    num_filters : int
        Number of filters: channels of the output.
    stride : int
        Step between the filter's positions, in both directions.
    padding : int
        Zeros added on each side of the image.
    weights_initializer : {"narrow-normal", "he"}
        How the weights are drawn: normal with mean 0 and standard deviation 0.01, as in MATLAB
        R2017b, or sqrt(2 / (C * height * width)) after He et al., which several such layers in a
        row need.
    name : str
        Name of the layer.

    Attributes
    ----------
    weights : ndarray of shape (num_filters, C, height, width), float32
        At first drawn.
    bias : ndarray of shape (num_filters,), float32
        At first 0. Its L2 factor is 0.

    Raises
    ------
    TypeError, ValueError
        If a size is not a positive integer (padding: not negative), or `weights_initializer`
        unknown.
    """

    learnables: ClassVar[tuple[str, ...]] = ("weights", "bias")
    backward_uses_output: bool = False
    weights: FloatArray | None = None
    bias: FloatArray | None = None

    def __init__(
        self,
        filter_size: int | tuple[int, int],
        num_filters: int,
        *,
        stride: int = 1,
        padding: int = 0,
        weights_initializer: str = "narrow-normal",
        name: str = "",
    ) -> None:
        self.filter_size = height, width = size_pair("filter_size", filter_size)
        self.num_filters = integer("num_filters", num_filters)
        self.stride = integer("stride", stride)
        self.padding = integer("padding", padding, least=0)
        self.weights_initializer = initializer(weights_initializer)
        self.name = text("name", name)
        self.description = (
            f"{num_filters} {height}x{width} convolutions, stride {stride}, padding {padding}"
        )
        self.l2_factors = {"bias": 0.0}

    def initialize(self, input_shape: tuple[int, ...], rng: np.random.Generator) -> None:
        """Draw the weights."""
        if len(input_shape) != 3:
            raise ValueError(
                "the input of Convolution2DLayer must have shape (N, C, H, W), not "
                f"{batch_shape(input_shape)}"
            )
        shape = (self.num_filters, input_shape[0], *self.filter_size)
        if self.weights is None:
            self.weights = draw(self.weights_initializer, shape, rng)
        if self.bias is None:
            self.bias = np.zeros(self.num_filters, dtype=np.float32)
        check_shapes(self, weights=shape, bias=shape[:1])

    def predict(self, X: FloatArray) -> FloatArray:
        """Convolve.

        Parameters
        ----------
        X : ndarray of shape (N, C, H, W), float32 or float64

        Returns
        -------
        Z : ndarray of shape (N, num_filters, H', W') and X's dtype
            H' = (H + 2 * padding - height) // stride + 1, and W' alike.

        Raises
        ------
        RuntimeError
            If the weights have no values yet.
        ValueError
            If `X` does not fit the weights.
        """
        X = floats("X", X)
        kernel = self._kernel_for(X)
        windows = self._windows(X)
        rows, columns = windows.shape[4:]
        Z = np.empty((len(X), self.num_filters, rows * columns), dtype=X.dtype)
        _for_patches(windows, lambda part, patches: np.matmul(kernel, patches, out=Z[part]))
        return Z.reshape(len(X), self.num_filters, rows, columns)

    def backward(
        self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: Any
    ) -> tuple[FloatArray | None, FloatArray, FloatArray]:
        """Compute dLdX (None if it is not needed), dLdweights and dLdbias from X and dLdZ."""
        X, dLdZ = floats("X", X), floats("dLdZ", dLdZ)
        kernel = self._kernel_for(X)
        weights, bias = np.asarray(self.weights), np.asarray(self.bias)
        gradient = dLdZ.reshape(*dLdZ.shape[:2], math.prod(dLdZ.shape[2:]))
        dkernels = np.empty((len(X), *kernel.shape), dtype=X.dtype)
        dX = np.empty_like(X) if self.needs_input_gradient else None

        def differentiate(part: slice, patches: FloatArray) -> None:
            np.matmul(gradient[part], patches.transpose(0, 2, 1), out=dkernels[part])
            if dX is not None:
                np.matmul(kernel[:, :-1].T, gradient[part], out=patches[:, :-1])
                dX[part] = self._add_patches(patches[:, :-1], X.shape[1:], dLdZ.shape[2:])

        _for_patches(self._windows(X), differentiate)
        # The sum over the batch is in float64: it costs nothing beside the products.
        dkernel = dkernels.sum(axis=0, dtype=np.float64)
        dweights = dkernel[:, :-1].reshape(weights.shape).astype(weights.dtype)
        return dX, dweights, dkernel[:, -1].astype(bias.dtype)

    def _windows(self, X: FloatArray) -> FloatArray:
        """Return what each weight is multiplied with, as a view: (N, C, height, width, H', W')."""
        if self.padding:
            X = np.pad(X, ((0, 0), (0, 0), (self.padding,) * 2, (self.padding,) * 2))
        windows: FloatArray = sliding_window_view(X, self.filter_size, axis=(2, 3))
        return windows[:, :, :: self.stride, :: self.stride].transpose(0, 1, 4, 5, 2, 3)

    def _add_patches(
        self, dpatches: FloatArray, image_shape: tuple[int, ...], positions: tuple[int, ...]
    ) -> FloatArray:
        """Add the gradients of the patches up where the patches came from."""
        (channels, height, width), pad, step = image_shape, self.padding, self.stride
        n = len(dpatches)
        dpatches = dpatches.reshape(n, channels, *self.filter_size, *positions)
        dX = np.zeros((n, channels, height + 2 * pad, width + 2 * pad), dtype=dpatches.dtype)
        for i, j in np.ndindex(self.filter_size):
            down = slice(i, i + step * positions[0], step)
            across = slice(j, j + step * positions[1], step)
            dX[:, :, down, across] += dpatches[:, :, i, j]
        return dX[:, :, pad : pad + height, pad : pad + width]

    def _kernel_for(self, X: FloatArray) -> FloatArray:
        """Return the weights as rows, each followed by its bias, in X's dtype."""
        if self.weights is None or self.bias is None:
            raise RuntimeError(
                "Convolution2DLayer has no weights yet: train the network or call initialize"
            )
        if X.ndim != 4 or X.shape[1] != self.weights.shape[1]:
            raise ValueError(
                "the input of Convolution2DLayer must have shape "
                f"(N, {self.weights.shape[1]}, H, W), not {X.shape}"
            )
        if any(
            n + 2 * self.padding < k for n, k in zip(X.shape[2:], self.filter_size, strict=True)
        ):
            raise ValueError(
                f"the input of Convolution2DLayer must have room for filters of size "
                f"{self.filter_size} with padding {self.padding}, not shape {X.shape}"
            )
        rows = self.weights.reshape(self.num_filters, -1)
        return np.concatenate([rows, self.bias[:, np.newaxis]], axis=1).astype(X.dtype, copy=False)


def _for_patches(windows: FloatArray, use: Callable[[slice, FloatArray], object]) -> None:
    """Call ``use(part, patches)`` for a few images at a time, over threads.

    The patches, of shape (images, C * height * width + 1, H' * W'), are made anew each time, and
    `use` may write to them. They end in a row of ones, so that one product adds the bias too, and
    one in `backward` sums its gradient.
    """
    depth, positions = math.prod(windows.shape[1:4]), math.prod(windows.shape[4:])
    image_bytes = (depth + 1) * positions * windows.itemsize
    few = max(1, _PATCHES_BYTES // image_bytes)

    def several(images: slice) -> None:
        buffer = np.empty((few, depth + 1, positions), dtype=windows.dtype)
        for first in range(images.start, images.stop, few):
            part = slice(first, min(first + few, images.stop))
            source = windows[part]
            patches = buffer[: len(source)]
            patches[:, :depth].reshape(source.shape)[...] = source
            patches[:, depth] = 1
            use(part, patches)

    in_parallel(several, len(windows))
