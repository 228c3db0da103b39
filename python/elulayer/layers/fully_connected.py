"""The fully connected layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from .._support.checks import integer, text
from .._support.parallel import in_parallel
from .._support.typing import FloatArray
from .base import Layer
from .inputs import floats
from .weights import check_shapes, draw, initializer

_PART = 2048
"""How many inputs one product takes. A layer with more has several, over threads."""


class FullyConnectedLayer(Layer):
    """Z = X @ weights.T + bias, each observation of X taken as one row.

    Parameters
    ----------
    num_outputs : int
        Width of the output.
    weights_initializer : {"narrow-normal", "he"}
        How the weights are drawn: normal with mean 0 and standard deviation 0.01, as in MATLAB
        R2017b, or sqrt(2 / inputs) after He et al., which several such layers in a row need.
    name : str
        Name of the layer.

    Attributes
    ----------
    weights : ndarray of shape (num_outputs, inputs), float32
        At first drawn.
    bias : ndarray of shape (num_outputs,), float32
        At first 0. Its L2 factor is 0.

    Raises
    ------
    TypeError, ValueError
        If `num_outputs` is not a positive integer, or `weights_initializer` unknown.
    """

    learnables: ClassVar[tuple[str, ...]] = ("weights", "bias")
    backward_uses_output: bool = False
    weights: FloatArray | None = None
    bias: FloatArray | None = None

    def __init__(
        self, num_outputs: int, *, weights_initializer: str = "narrow-normal", name: str = ""
    ) -> None:
        self.name = text("name", name)
        self.num_outputs = integer("num_outputs", num_outputs)
        self.weights_initializer = initializer(weights_initializer)
        self.description = f"{num_outputs} fully connected outputs"
        self.l2_factors = {"bias": 0.0}

    def initialize(self, input_shape: tuple[int, ...], rng: np.random.Generator) -> None:
        """Draw the weights."""
        shape = (self.num_outputs, math.prod(input_shape))
        if self.weights is None:
            self.weights = draw(self.weights_initializer, shape, rng)
        if self.bias is None:
            self.bias = np.zeros(self.num_outputs, dtype=np.float32)
        check_shapes(self, weights=shape, bias=shape[:1])

    def predict(self, X: FloatArray) -> FloatArray:
        """Multiply.

        Parameters
        ----------
        X : ndarray of shape (N, ...), float32 or float64

        Returns
        -------
        Z : ndarray of shape (N, num_outputs) and X's dtype

        Raises
        ------
        RuntimeError
            If the weights have no values yet.
        ValueError
            If `X` does not fit the weights.
        """
        if self.weights is None or self.bias is None:
            raise RuntimeError(
                "FullyConnectedLayer has no weights yet: train the network or call initialize"
            )
        X = floats("X", X)
        inputs = self.weights.shape[1]
        if X.ndim == 0 or math.prod(X.shape[1:]) != inputs:
            raise ValueError(
                f"the input of FullyConnectedLayer must have {inputs} values for each observation, "
                f"not shape {X.shape}"
            )
        weights = self.weights.astype(X.dtype, copy=False)
        rows = X.reshape(len(X), inputs)
        sums = np.empty((-(-inputs // _PART), len(X), len(weights)), dtype=X.dtype)

        def multiply(k: int, part: slice) -> None:
            np.matmul(rows[:, part], weights[:, part].T, out=sums[k])

        _for_each_part(multiply, inputs)
        Z: FloatArray = sums.sum(axis=0)
        Z += self.bias.astype(X.dtype, copy=False)
        return Z

    def backward(
        self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: Any
    ) -> tuple[FloatArray | None, FloatArray, FloatArray]:
        """Compute dLdX (None if it is not needed), dLdweights and dLdbias from X and dLdZ."""
        X, dLdZ = floats("X", X), floats("dLdZ", dLdZ)
        weights, bias = np.asarray(self.weights), np.asarray(self.bias)
        rows = X.reshape(len(X), weights.shape[1])
        dweights = np.empty(weights.shape, dtype=X.dtype)
        dX = np.empty_like(rows) if self.needs_input_gradient else None
        factors = weights.astype(X.dtype, copy=False)

        def multiply(k: int, part: slice) -> None:
            np.matmul(dLdZ.T, rows[:, part], out=dweights[:, part])
            if dX is not None:
                np.matmul(dLdZ, factors[:, part], out=dX[:, part])

        _for_each_part(multiply, rows.shape[1])
        dbias = dLdZ.sum(axis=0, dtype=np.float64).astype(bias.dtype)
        return (
            None if dX is None else dX.reshape(X.shape),
            dweights.astype(weights.dtype, copy=False),
            dbias,
        )


def _for_each_part(work: Callable[[int, slice], None], inputs: int) -> None:
    """Call ``work(k, part)`` for the parts of the inputs, over threads; the parts are fixed."""

    def several(parts: slice) -> None:
        for k in range(parts.start, parts.stop):
            work(k, slice(k * _PART, (k + 1) * _PART))

    in_parallel(several, -(-inputs // _PART))
