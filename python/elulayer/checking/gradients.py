"""Gradients of a layer against central differences of its forward."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._support.typing import FloatArray
from .case import Case

_MOST = 40
_LEAST = 8
_VALUES = 200_000
"""Elements tried: as many as `_MOST`, fewer where input and output have more values than this."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Numerical:
    """Numerical gradients at some elements of X or of a learnable, for several upstream gradients.

    Attributes
    ----------
    name : str
        "X", or that of the learnable.
    where : ndarray of int, shape (n,)
        The flat indices of the elements.
    values : ndarray of shape (K, n)
        By upstream gradient and element.
    scales : ndarray of shape (K, n)
        The sums of the magnitudes of the terms whose sum the value is.
    noise : ndarray of shape (K, n)
        What rounding in forward may add to the values.
    smooth : ndarray of bool, shape (n,)
        False where a kink of forward lies within the step.
    """

    name: str
    where: npt.NDArray[np.intp]
    values: Floats
    scales: Floats
    noise: Floats
    smooth: npt.NDArray[np.bool_]

    def allowed(self, tolerance: float) -> Floats:
        """Return by how much a gradient may differ from the values, of shape (K, n)."""
        return tolerance * self.scales + self.noise


def differentiate(case: Case, name: str, upstream: Sequence[FloatArray]) -> Numerical:
    """Differentiate sum(dLdZ * forward(X)) numerically, for each dLdZ in `upstream`.

    Central differences, summed elementwise before anything else, so that outputs that do not
    depend on an element add no rounding error.

    Parameters
    ----------
    case : Case
    name : str
        "X" or a learnable.
    upstream : sequence of ndarray of forward's output's shape
        The first decides what counts as a kink.

    Returns
    -------
    numerical : Numerical
    """
    X = case.X.astype(case.precision.dtype)
    values = X if name == "X" else np.asarray(getattr(case.wide, name))
    where = _sample(case, values.size)
    weights = np.stack([np.asarray(dLdZ, np.float64).ravel() for dLdZ in upstream])
    middle = case.forward(case.wide, X).ravel()
    shape = (len(weights), len(where))
    found = Numerical(
        name, where, np.zeros(shape), np.zeros(shape), np.zeros(shape), np.ones(len(where), bool)
    )
    for column, index in enumerate(where):
        _differentiate_element(case, found, column, values, int(index), weights, middle)
    return found


def _differentiate_element(
    case: Case,
    found: Numerical,
    column: int,
    values: FloatArray,
    index: int,
    weights: Floats,
    middle: FloatArray,
) -> None:
    precision = case.precision
    here = float(values.flat[index])
    step = precision.step * 2.0 ** math.ceil(math.log2(max(abs(here), 1.0)))
    outputs, reached = [], []
    for target in (here - step, here + step):
        moved = values.copy()
        moved.flat[index] = target
        outputs.append(_forward_with(case, found.name, moved))
        reached.append(float(moved.flat[index]))
    (below, above), (left, right) = outputs, reached
    (changed,) = np.nonzero((below != middle) | (above != middle))
    low, mid, high = (Z[changed].astype(np.float64) for Z in (below, middle, above))
    W = weights[:, changed]
    backward, forward = (mid - low) / (here - left), (high - mid) / (right - here)
    slopes = (high - low) / (right - left)
    found.values[:, column] = W @ slopes
    found.scales[:, column] = np.abs(W) @ np.abs(slopes)
    epsilon = float(np.finfo(precision.dtype).eps)
    rounding = 64 * epsilon * np.abs(mid) / step
    found.noise[:, column] = np.abs(W) @ rounding
    apart = np.abs(forward - backward)
    kinked = apart > precision.kink * np.maximum(np.abs(forward), np.abs(backward)) + rounding
    error = float(np.abs(W[0, kinked]) @ apart[kinked])
    found.smooth[column] = not error > found.allowed(precision.tolerance)[0, column]


def _forward_with(case: Case, name: str, values: FloatArray) -> FloatArray:
    if name == "X":
        return case.forward(case.wide, values).ravel()
    layer = copy.deepcopy(case.wide)
    setattr(layer, name, values)
    return case.forward(layer, case.X.astype(case.precision.dtype)).ravel()


def _sample(case: Case, size: int) -> npt.NDArray[np.intp]:
    load = case.X.size + case.batch_size * math.prod(case.Z_shape[1:])
    count = min(size, max(_LEAST, min(_MOST, _MOST * _VALUES // load)))
    return np.sort(case.rng.choice(size, count, replace=False)).astype(np.intp)
