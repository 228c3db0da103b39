"""The first values of weights."""

from __future__ import annotations

import math

import numpy as np

from .._support.checks import choice
from .._support.typing import FloatArray


def initializer(value: str) -> str:
    """Check the name of a way to draw weights."""
    return choice("weights_initializer", value, ("narrow-normal", "he"))


def check_shapes(layer: object, **wanted: tuple[int, ...]) -> None:
    """Check that a layer's values, which may have been given, have the shapes that it needs."""
    for name, shape in wanted.items():
        given = np.shape(getattr(layer, name))
        if given != shape:
            raise ValueError(
                f"{name} of {type(layer).__name__} must have shape {shape}, not {given}"
            )


def draw(how: str, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Draw weights of shape (outputs, inputs, ...) from a normal distribution with mean 0.

    Parameters
    ----------
    how : {"narrow-normal", "he"}
        With standard deviation 0.01, or sqrt(2 / inputs) after He, Zhang, Ren and Sun, "Delving
        Deep into Rectifiers", where all axes but the first count as inputs.
    shape : tuple of int
    rng : numpy.random.Generator

    Returns
    -------
    weights : ndarray of float32
    """
    deviation = 0.01 if how == "narrow-normal" else math.sqrt(2 / math.prod(shape[1:]))
    return rng.normal(0, deviation, shape).astype(np.float32)
