"""Checks of arguments that several modules make."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np

from .typing import AnyArray
from .wording import shown


def kind_of(value: object) -> str:
    """Return the type of a value, as messages name it."""
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def as_array(what: str, value: Any) -> AnyArray:
    """Return what NumPy makes of `value`, or raise an error that says that `what` must be one."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{what} must not be a masked array, whose mask would be ignored: fill it")
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{what} must be an array, not {kind_of(value)}: {error}") from error


def text(what: str, value: Any) -> str:
    """Return `value` if it is a str, or raise an error that says that `what` must be one."""
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a str, not {shown(value)}")
    return value


def characters(what: str, value: str) -> None:
    """Check that a str can be written: half a pair of surrogates is no character.

    Raises
    ------
    ValueError
        If it cannot.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{what} must be text that UTF-8 can write, not {value!r}") from error


def integer(what: str, value: Any, least: int = 1) -> int:
    """Return `value` as an int, or raise an error that says that `what` must be one."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{what} must be an integer, not {shown(value)}")
    if value < least:
        raise ValueError(f"{what} must be at least {least}, not {value}")
    return int(value)


def number(
    what: str,
    value: Any,
    least: float = 0.0,
    below: float = math.inf,
    most: float = math.inf,
    positive: bool = False,
) -> float:
    """Return `value` as a float, or raise an error that says that `what` must be one in range."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{what} must be a number, not {shown(value)}")
    if positive and not 0 < float(value) < math.inf:
        raise ValueError(f"{what} must be greater than 0 and finite, not {shown(value)}")
    if not least <= float(value) < below:
        limit = "finite" if below == math.inf else f"less than {below:g}"
        raise ValueError(f"{what} must be at least {least:g} and {limit}, not {shown(value)}")
    if float(value) > most:
        raise ValueError(f"{what} must be from {least:g} to {most:g}, not {shown(value)}")
    return float(value)


def size_pair(what: str, value: Any) -> tuple[int, int]:
    """Return a height and a width, given as two integers or as one for both."""
    pair = value if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2:
        raise ValueError(f"{what} must be an integer or (height, width), not {shown(value)}")
    return integer(what, pair[0]), integer(what, pair[1])


def batch_shape(shape: tuple[int, ...]) -> str:
    """Return the shape of a batch of arrays of this shape, as messages have it: (N, 3, 8, 8)."""
    return f"(N, {', '.join(map(str, shape))})" if shape else "(N,)"


def choice(what: str, value: Any, choices: tuple[str, ...]) -> str:
    """Return `value` if it is one of `choices`, or raise an error that lists them."""
    if not isinstance(value, str) or value not in choices:
        *most, last = map(repr, choices)
        listed = ", ".join(most) + " or " + last if most else last
        raise ValueError(f"{what} must be {listed}, not {shown(value)}")
    return value
