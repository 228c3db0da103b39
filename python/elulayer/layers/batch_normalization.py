"""Batch normalization per channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support.checks import number, text
from .._support.typing import FloatArray
from .base import Layer
from .batches import as_batches
from .inputs import floats
from .weights import check_shapes

_Values = npt.NDArray[np.float64]
"""A value for each channel."""

_Moments = tuple[_Values, _Values, int]
"""Mean, variance, and of how many values of each channel."""

_Memory = tuple[_Values, _Values, int]
"""Mean, 1 / sqrt(variance + epsilon), and of how many values of each channel."""

_Gather = Callable[[list[Any]], list[Any]]


class BatchNormalizationLayer(Layer):
    """Z = scale[c] * (X - mean[c]) / sqrt(variance[c] + epsilon) + offset[c], channels on axis 1.

    After Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing
    Internal Covariate Shift". Training uses the mean and variance of the mini-batch. Prediction
    uses moving averages of them while training goes on, from 0 and 1 at first; when it has ended,
    the statistics of the whole training set, unless the options choose the moving ones.

    Parameters
    ----------
    epsilon : float
        Added to the variance; positive, and less than 1.
    mean_decay, variance_decay : float
        Weight of a mini-batch's statistics in the moving averages, from 0 to 1.
    name : str
        Name of the layer.

    Attributes
    ----------
    scale, offset : ndarray of shape (C,), float32
        At first 1 and 0.
    mean, variance : ndarray of shape (C,), float32
        Statistics of the training set; the variance is the mean square deviation.

    Raises
    ------
    TypeError, ValueError
        If `epsilon` is not a positive number below 1, or `name` is no str.
    """

    learnables: ClassVar[tuple[str, ...]] = ("scale", "offset")
    state: ClassVar[tuple[str, ...]] = ("mean", "variance")
    backward_uses_output: bool = False
    keeps_statistics: bool = True
    scale: FloatArray | None = None
    offset: FloatArray | None = None
    mean: FloatArray | None = None
    variance: FloatArray | None = None

    def __init__(
        self,
        epsilon: float = 1e-5,
        *,
        mean_decay: float = 0.1,
        variance_decay: float = 0.1,
        name: str = "",
    ) -> None:
        self.name = text("name", name)
        self.mean_decay = number("mean_decay", mean_decay, most=1.0)
        self.variance_decay = number("variance_decay", variance_decay, most=1.0)
        self.epsilon = number("epsilon", epsilon, float(np.finfo(np.float32).tiny), below=1.0)
        self.description = "Batch normalization"

    def initialize(self, input_shape: tuple[int, ...], rng: np.random.Generator) -> None:
        """Set the scale to 1, the offset to 0."""
        channels = input_shape[0]
        self.description = f"Batch normalization with {channels} channels"
        self.scale = np.ones(channels, np.float32) if self.scale is None else self.scale
        self.offset = np.zeros(channels, np.float32) if self.offset is None else self.offset
        mean = np.zeros(channels) if self.mean is None else self.mean
        variance = np.ones(channels) if self.variance is None else self.variance
        self.mean, self.variance = np.asarray(mean, np.float32), np.asarray(variance, np.float32)
        shape = (channels,)
        check_shapes(self, scale=shape, offset=shape, mean=shape, variance=shape)

    def predict(self, X: FloatArray) -> FloatArray:
        """Normalize with the statistics of the training set.

        Parameters
        ----------
        X : ndarray of shape (N, C, ...), float32 or float64

        Returns
        -------
        Z : ndarray of X's shape and dtype

        Raises
        ------
        RuntimeError
            If the layer has no values yet.
        ValueError
            If `X` has another number of channels.
        """
        X = floats("X", X)
        rows = self._rows(X)
        factor = np.asarray(self.scale) / np.sqrt(np.asarray(self.variance, float) + self.epsilon)
        return self._normalized(rows, np.asarray(self.mean, float), factor).reshape(X.shape)

    def forward(self, X: FloatArray) -> tuple[FloatArray, _Memory]:
        """Normalize with the batch's statistics; keep them.

        The moving averages go on: new = decay * batch's + (1 - decay) * old.
        """
        return self.forward_together([X], _alone)[0]

    def forward_together(
        self, parts: list[FloatArray], gather: _Gather
    ) -> list[tuple[FloatArray, _Memory]]:
        """Normalize parts of a batch with the statistics of all its parts.

        Parameters
        ----------
        parts : list of ndarray
        gather : callable
            Takes what some parts give, a list, and returns what all parts of the batch give.

        Returns
        -------
        list of (Z, memory)
        """
        inputs = [floats("X", X) for X in parts]
        every = [self._rows(X) for X in inputs]
        mean, variance, count = _merged(gather([_moments(rows) for rows in every]))
        if count:
            self.mean = _moved(self.mean, mean, self.mean_decay)
            self.variance = _moved(self.variance, variance, self.variance_decay)
        inverse = 1 / np.sqrt(variance + self.epsilon)
        factor = np.asarray(self.scale) * inverse
        return [
            (self._normalized(rows, mean, factor).reshape(X.shape), (mean, inverse, count))
            for X, rows in zip(inputs, every, strict=True)
        ]

    def backward(
        self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: _Memory
    ) -> tuple[FloatArray | None, FloatArray, FloatArray]:
        """Compute dLdX (None if it is not needed), dLdscale and dLdoffset.

        With U = (X - mean) / sqrt(variance + epsilon) and means over the M values of a channel:
        dLdoffset = sum of dLdZ; dLdscale = sum of dLdZ * U;
        dLdX = scale / sqrt(variance + epsilon) * (dLdZ - dLdoffset / M - U * dLdscale / M).
        """
        return self.backward_together([(X, Z, dLdZ, memory)], _alone)[0]

    def backward_together(
        self, parts: list[tuple[FloatArray, FloatArray, FloatArray, _Memory]], gather: _Gather
    ) -> list[tuple[FloatArray | None, FloatArray, FloatArray]]:
        """Compute the gradients of parts that were normalized together.

        dLdX is as if dLdscale and dLdoffset were sums over all parts; those returned are sums over
        each.
        """
        scale, offset = np.asarray(self.scale), np.asarray(self.offset)
        inputs, sums = [], []
        for X, _, dLdZ, (mean, inverse, _) in parts:
            rows = self._rows(floats("X", X))
            dLdZ = floats("dLdZ", dLdZ).astype(rows.dtype, copy=False)
            gradient = _contiguous(dLdZ).reshape(rows.shape)
            doffset, dscale = np.empty((2, rows.shape[1]))
            _core.channel_dots(gradient, rows, mean, doffset, dscale)
            dscale *= inverse
            inputs.append((gradient, rows))
            sums.append((doffset, dscale))
        dLdX: list[FloatArray | None] = [None] * len(parts)
        if self.needs_input_gradient:
            all_doffset, all_dscale = (
                reduce(np.add, each) for each in zip(*gather(sums), strict=True)
            )
            for index, (gradient, rows) in enumerate(inputs):
                X, _, _, (mean, inverse, count) = parts[index]
                count = max(count, 1)
                factor = scale * inverse
                dX = np.empty_like(rows)
                _core.channel_affine_gradient(
                    gradient,
                    rows,
                    mean,
                    factor,
                    -factor * inverse * all_dscale / count,
                    -factor * all_doffset / count,
                    dX,
                )
                dLdX[index] = dX.reshape(np.shape(X))
        return [
            (dX, dscale.astype(scale.dtype), doffset.astype(offset.dtype))
            for dX, (doffset, dscale) in zip(dLdX, sums, strict=True)
        ]

    def after_training(self, batches: Iterable[FloatArray]) -> None:
        """Compute the mean and the variance of the training set, in float64."""
        moments = as_batches(batches).map(lambda X: _moments(self._rows(X)))
        mean, variance, _ = _merged(moments)
        self.mean = mean.astype(np.float32)
        self.variance = variance.astype(np.float32)

    def _rows(self, X: FloatArray) -> FloatArray:
        """Return `X` as (N, C, P), P values of each channel in each observation."""
        if self.scale is None or self.offset is None or self.mean is None or self.variance is None:
            raise RuntimeError(
                "BatchNormalizationLayer has no values yet: train the network or call initialize"
            )
        if X.ndim < 2 or X.shape[1] != len(self.scale):
            raise ValueError(
                f"the input of BatchNormalizationLayer must have {len(self.scale)} channels on "
                f"axis 1, not shape {X.shape}"
            )
        return _contiguous(X).reshape(*X.shape[:2], int(np.prod(X.shape[2:])))

    def _normalized(self, rows: FloatArray, mean: _Values, factor: _Values) -> FloatArray:
        """Return factor * (rows - mean) + offset."""
        Z = np.empty_like(rows)
        offset = np.asarray(self.offset, float)
        _core.channel_affine(rows, mean, np.asarray(factor, float), offset, Z)
        return Z


def _alone(own: list[Any]) -> list[Any]:
    """Gather what there is where one part is the batch."""
    return own


def _moments(rows: FloatArray) -> _Moments:
    mean, variance = np.empty((2, rows.shape[1]))
    _core.channel_moments(rows, mean, variance)
    return mean, variance, rows.size // rows.shape[1]


def _merged(parts: Iterable[_Moments]) -> _Moments:
    """Return the moments of parts together: Chan, Golub and LeVeque's update."""
    parts = iter(parts)
    mean, variance, count = next(parts)
    for other, its_variance, more in parts:
        if more:
            step, total = other - mean, count + more
            variance = (
                variance * count + its_variance * more + step**2 * (count * more / total)
            ) / total
            mean = mean + step * (more / total)
            count = total
    return mean, variance, count


def _contiguous(X: FloatArray) -> FloatArray:
    """Return X as the kernels take it: in C order, float32 or float64."""
    return np.ascontiguousarray(X, dtype=np.result_type(X, np.float32))


def _moved(old: FloatArray | None, batch: _Values, decay: float) -> FloatArray:
    """Return a moving average with a mini-batch's statistics in it."""
    new: FloatArray = (decay * batch + (1 - decay) * np.asarray(old)).astype(np.float32)
    return new
