"""Checks of the gradients' values."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from .._support.typing import FloatArray
from .behaviour import close, worst_difference
from .case import DOUBLE, Case, Failure, Skip, place
from .diagnosis import Upstream, likely_cause, make_upstream
from .gradients import Numerical, differentiate


def gradient(position: int) -> Callable[[Case], str]:
    """Make the check of one of backward's results, by its position among them."""

    def check(case: Case) -> str:
        upstream, numericals = _numericals(case)
        return _compare(case, upstream, position, numericals)

    return check


def without_input_gradient(case: Case) -> str:
    """Check that the learnables' gradients are the same where dLdX is not asked for."""
    if not case.layer.learnables:
        raise Skip("no learnables")
    X, dLdZ = case.X.astype(case.precision.dtype), case.draw(*case.Z_shape)
    expected = case.run(case.wide, X, dLdZ)
    layer = copy.deepcopy(case.wide)
    layer.needs_input_gradient = False
    found = case.run(layer, X, dLdZ)
    if len(found) != len(expected):
        raise Failure(
            f"with needs_input_gradient False backward must return {len(expected)} things, not "
            f"{len(found)}",
            f"return (None, {', '.join(case.names[1:])}): the others keep their places.",
        )
    for name, a, b in list(zip(case.names, expected, found, strict=True))[1:]:
        if not close(a, b):
            raise Failure(
                f"with needs_input_gradient False {name} is another one: "
                + worst_difference(np.asarray(a), np.asarray(b), "with dLdX", "without"),
                "only dLdX may be left out.",
            )
    return "the learnables' gradients are the same"


def _numericals(case: Case) -> tuple[Upstream, list[Numerical]]:
    """Differentiate with respect to X and all learnables, once."""
    if case.derivatives is None:
        upstream = make_upstream(case)
        names = ["X", *case.layer.learnables]
        case.derivatives = upstream, [differentiate(case, name, upstream.all()) for name in names]
    found: tuple[Upstream, list[Numerical]] = case.derivatives
    return found


def _compare(case: Case, upstream: Upstream, position: int, numericals: list[Numerical]) -> str:
    numerical, precision = numericals[position], case.precision
    X = case.X.astype(precision.dtype)
    analytic = np.asarray(case.run(case.wide, X, upstream.random[0])[position])
    bad = int(analytic.size - np.isfinite(analytic).sum())
    if bad:
        raise Failure(
            f"{bad} of {analytic.size} elements are NaN or infinite",
            "exp or log of what is out of their range, a division by zero, or inf * 0 where a "
            "mask multiplies; np.where selects.",
        )
    tolerance = precision.tolerance
    if precision is DOUBLE and analytic.dtype != np.float64:
        tolerance *= 100  # backward has rounded to float32
    smooth, where = numerical.smooth, numerical.where
    if 2 * smooth.sum() < len(where):
        raise Failure(
            f"{len(where) - smooth.sum()} of {len(where)} elements had to be left out: there the "
            "one-sided differences of forward disagree",
            "forward jumps, or rounds its values: no gradient says how such an output changes.",
        )
    computed, expected = analytic.ravel()[where], numerical.values[0]
    error = np.abs(computed - expected)
    wrong = smooth & (error > numerical.allowed(tolerance)[0])
    left_out = int((~smooth).sum())
    note = f", {left_out} at a kink left out" if left_out else ""
    if wrong.any():
        worst = int(np.where(wrong, error, -1).argmax())
        raise Failure(
            f"{wrong.sum()} of {smooth.sum()} elements tried are wrong{note}; "
            + _numbers(case, numerical, worst, analytic, expected),
            likely_cause(case, upstream, position, numericals, analytic),
        )
    rounding = "" if precision is DOUBLE else " (the layer rounds to float32)"
    return (
        f"{smooth.sum()} of {analytic.size} elements tried{note}: right within {tolerance:g}"
        + rounding
    )


def _numbers(
    case: Case, numerical: Numerical, worst: int, analytic: FloatArray, expected: Any
) -> str:
    index = int(numerical.where[worst])
    a, n = float(analytic.flat[index]), float(expected[worst])
    where = place(index, analytic.shape)
    at = f" at {where}" if where else ""
    x = f" (x = {case.X.flat[index]:.4g})" if numerical.name == "X" else ""
    largest = max(abs(a), abs(n))
    relative = abs(a - n) / largest if largest else 0.0
    return (
        f"worst{at}{x}: backward {a:.4g}, numerically {n:.4g}, difference {abs(a - n):.4g}, "
        f"relative {relative:.2g}."
    )
