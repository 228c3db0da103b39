"""The softmax function over classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._support.checks import text
from .._support.typing import FloatArray
from .base import Layer
from .inputs import floats


class SoftmaxLayer(Layer):
    """Z = exp(X) / sum of exp(X) over axis 1: probabilities from scores of shape (N, K).

    No probability is less than the smallest normal number of its dtype, so that the gradient of a
    cross-entropy after this layer, which divides by them, comes back through it.

    Parameters
    ----------
    name : str
        Name of the layer.
    """

    description = "Softmax"

    def __init__(self, name: str = "") -> None:
        self.name = text("name", name)

    def predict(self, X: FloatArray) -> FloatArray:
        """Turn scores of shape (N, K) into probabilities."""
        X = floats("X", X)
        if X.ndim != 2:
            raise ValueError(
                f"the input of SoftmaxLayer must be scores of shape (N, K), not {X.shape}"
            )
        E = np.exp(X - X.max(axis=1, keepdims=True, initial=-np.inf))
        Z: FloatArray = np.maximum(E / E.sum(axis=1, keepdims=True), np.finfo(X.dtype).tiny)
        return Z

    def backward(self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: Any) -> FloatArray:
        """Compute dLdX = Z * dLdZ - Z * (sum of Z * dLdZ over axis 1)."""
        Z, dLdZ = floats("Z", Z), floats("dLdZ", dLdZ)
        # The product first: dLdZ alone may be as large as 1 / tiny.
        product: FloatArray = Z * dLdZ
        dLdX: FloatArray = product - Z * product.sum(axis=1, keepdims=True)
        return dLdX
