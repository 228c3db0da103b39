"""Batch normalization per channel."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support.checks import number
from .._support.typing import FloatArray
from .base import Layer
from .inputs import floats

_Values = npt.NDArray[np.float64]
"""A value for each channel."""


class BatchNormalizationLayer(Layer):
    """Z = scale[c] * (X - mean[c]) / sqrt(variance[c] + epsilon) + offset[c], channels on axis 1.

    After Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing
    Internal Covariate Shift". Training uses the mean and variance of the mini-batch. Prediction
    uses moving averages of them while training goes on, from 0 and 1 at first; when it has ended,
    the statistics of the whole training set, unless the options choose the moving ones.

    Parameters
    ----------
    epsilon : float
        Added to the variance; positive.
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
        If `epsilon` is not a positive number.
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
        self.name = name
        self.mean_decay = number("mean_decay", mean_decay, most=1.0)
        self.variance_decay = number("variance_decay", variance_decay, most=1.0)
        self.epsilon = number("epsilon", epsilon, least=float(np.finfo(np.float32).tiny))
        self.description = "Batch normalization"

    def initialize(self, input_shape: tuple[int, ...], rng: np.random.Generator) -> None:
        """Set the scale to 1, the offset to 0."""
        channels = input_shape[0]
        self.description = f"Batch normalization with {channels} channels"
        self.scale = np.ones(channels, np.float32) if self.scale is None else self.scale
        self.offset = np.zeros(channels, np.float32) if self.offset is None else self.offset
        self.mean = np.zeros(channels, np.float32) if self.mean is None else self.mean
        self.variance = np.ones(channels, np.float32) if self.variance is None else self.variance

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

    def forward(self, X: FloatArray) -> tuple[FloatArray, tuple[_Values, _Values]]:
        """Normalize with the batch's statistics; keep the mean and 1 / sqrt(variance + epsilon).

        The moving averages go on: new = decay * batch's + (1 - decay) * old.
        """
        X = floats("X", X)
        rows = self._rows(X)
        mean, variance = np.empty((2, rows.shape[1]))
        _core.channel_moments(rows, mean, variance)
        if rows.size:
            self.mean = _moved(self.mean, mean, self.mean_decay)
            self.variance = _moved(self.variance, variance, self.variance_decay)
        inverse = 1 / np.sqrt(variance + self.epsilon)
        Z = self._normalized(rows, mean, np.asarray(self.scale) * inverse)
        return Z.reshape(X.shape), (mean, inverse)

    def backward(
        self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: tuple[_Values, _Values]
    ) -> tuple[FloatArray | None, FloatArray, FloatArray]:
        """Compute dLdX (None if it is not needed), dLdscale and dLdoffset.

        With U = (X - mean) / sqrt(variance + epsilon) and means over the M values of a channel:
        dLdoffset = sum of dLdZ; dLdscale = sum of dLdZ * U;
        dLdX = scale / sqrt(variance + epsilon) * (dLdZ - dLdoffset / M - U * dLdscale / M).
        """
        X, dLdZ = floats("X", X), floats("dLdZ", dLdZ)
        mean, inverse = memory
        scale, offset = np.asarray(self.scale), np.asarray(self.offset)
        rows = self._rows(X)
        gradient = _contiguous(dLdZ.astype(rows.dtype, copy=False)).reshape(rows.shape)
        doffset, dscale = np.empty((2, rows.shape[1]))
        _core.channel_dots(gradient, rows, mean, doffset, dscale)
        dscale *= inverse
        dLdX = None
        if self.needs_input_gradient:
            count = max(rows.size // rows.shape[1], 1)
            factor = scale * inverse
            dLdX = np.empty_like(rows)
            _core.channel_affine_gradient(
                gradient,
                rows,
                mean,
                factor,
                -factor * inverse * dscale / count,
                -factor * doffset / count,
                dLdX,
            )
            dLdX = dLdX.reshape(X.shape)
        return dLdX, dscale.astype(scale.dtype), doffset.astype(offset.dtype)

    def after_training(self, batches: Iterable[FloatArray]) -> None:
        """Compute the mean and the variance of the training set, in float64."""
        # Chan, Golub and LeVeque's update: batches are merged by their means and deviations.
        mean, deviation, count = np.zeros(1), np.zeros(1), 0
        for X in batches:
            rows = self._rows(X).astype(np.float64)
            more = rows.size // rows.shape[1]
            batch_mean = rows.mean(axis=(0, 2))
            step = batch_mean - mean
            rows -= batch_mean[:, np.newaxis]
            deviation = deviation + np.square(rows, out=rows).sum(axis=(0, 2))
            deviation += step**2 * (count * more / (count + more))
            mean = mean + step * (more / (count + more))
            count += more
        self.mean = mean.astype(np.float32)
        self.variance = (deviation / count).astype(np.float32)

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


def _contiguous(X: FloatArray) -> FloatArray:
    """Return X as the kernels take it: in C order, float32 or float64."""
    return np.ascontiguousarray(X, dtype=np.result_type(X, np.float32))


def _moved(old: FloatArray | None, batch: _Values, decay: float) -> FloatArray:
    """Return a moving average with a mini-batch's statistics in it."""
    new: FloatArray = (decay * batch + (1 - decay) * np.asarray(old)).astype(np.float32)
    return new
