"""The last layer of a network: the cross-entropy loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._support.checks import text
from .._support.typing import FloatArray
from .base import Layer
from .inputs import floats


class ClassificationLayer(Layer):
    """Passes probabilities on, and computes their cross-entropy loss against the targets.

    loss = -sum(T * log(Y)) / N, for probabilities Y and targets T of shape (N, K). T has a one for
    the class of each observation and zeros beside it. After a `SoftmaxLayer` the gradient with
    respect to the scores comes out as (Y - T) / N.

    Parameters
    ----------
    name : str
        Name of the layer.
    """

    description = "Cross-entropy over classes"

    def __init__(self, name: str = "") -> None:
        self.name = text("name", name)

    def predict(self, X: FloatArray) -> FloatArray:
        """Return `X`, probabilities of shape (N, K)."""
        return floats("X", X)

    def backward(self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: Any) -> FloatArray:
        """Return `dLdZ`."""
        return floats("dLdZ", dLdZ)

    def loss(self, Y: FloatArray, T: FloatArray) -> float:
        """Compute the mean over the batch of the cross-entropy, in natural units.

        Raises
        ------
        ValueError
            If `Y` and `T` differ in shape, or `Y` holds no probabilities.
        """
        Y, T = floats("Y", Y), np.asarray(T)
        clipped = self._clipped(Y, T)
        return 0.0 - float((T * np.log(clipped)).sum(dtype=np.float64)) / len(Y)  # never -0.0

    def backward_loss(self, Y: FloatArray, T: FloatArray) -> FloatArray:
        """Compute the loss's derivative with respect to `Y`: -T / (Y * N)."""
        Y, T = floats("Y", Y), np.asarray(T)
        dLdY: FloatArray = -T / (self._clipped(Y, T) * len(Y))
        return dLdY.astype(Y.dtype, copy=False)

    @staticmethod
    def _clipped(Y: FloatArray, T: FloatArray) -> FloatArray:
        if Y.ndim != 2 or Y.shape != T.shape:
            raise ValueError(
                "probabilities and targets of ClassificationLayer must have one shape (N, K), "
                f"not {Y.shape} and {T.shape}"
            )
        if np.any(Y < 0) or np.any(Y > 1 + 1e-3):
            raise ValueError(
                "the input of ClassificationLayer must be probabilities, from 0 to 1: "
                "is there a SoftmaxLayer before it?"
            )
        return np.maximum(Y, np.finfo(Y.dtype).tiny)
