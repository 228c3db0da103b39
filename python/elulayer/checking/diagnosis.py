"""What mistake explains a wrong gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .._support.typing import FloatArray
from .case import Case
from .gradients import Floats, Numerical

_SLACK = 100.0
"""By how much more than the check's tolerance a gradient may differ from a mistake's."""

# What a learnable's term of the gradient may have been computed as; and what the difference is.
_EXPONENTIALS: tuple[tuple[Callable[[Floats], Floats], str], ...] = (
    (
        lambda x: np.exp(np.minimum(x, 0) - 1),
        "exp(min(X, 0) - 1) was computed where exp(min(X, 0)) - 1 is meant: look at the "
        "parenthesis in {gradient}. As it is, the sign is wrong where x < 0, and dLdZ leaks into "
        "the sum where x > 0.",
    ),
    (
        lambda x: np.exp(np.minimum(x, 0)),
        "exp(min(X, 0)) was computed where exp(min(X, 0)) - 1 is meant: look for the missing - 1 "
        "in {gradient}.",
    ),
    (
        np.expm1,
        "exp(X) - 1 was computed where exp(min(X, 0)) - 1 is meant: look for the missing min(X, 0) "
        "in {gradient}; dLdZ leaks into the sum where x > 0.",
    ),
)


@dataclass(frozen=True)
class Upstream:
    """The upstream gradients that backward and the numerical gradients are tried with.

    Attributes
    ----------
    random : list of ndarray
        Of Z's shape; the first is the one of the check.
    ones : ndarray
    positive, negative : ndarray or None
        The first where x > 0, and elsewhere; None where Z's shape is not X's.
    """

    random: list[FloatArray]
    ones: FloatArray
    positive: FloatArray | None
    negative: FloatArray | None

    def all(self) -> list[FloatArray]:
        """Return them in the order in which `Numerical` holds them."""
        halves = [half for half in (self.positive, self.negative) if half is not None]
        return [*self.random, self.ones, *halves]


def make_upstream(case: Case) -> Upstream:
    """Draw upstream gradients for a layer."""
    random: list[FloatArray] = [case.draw(*case.Z_shape) for _ in range(3)]
    positive = negative = None
    if case.Z_shape == case.X.shape:
        positive = np.where(case.X > 0, random[0], 0)
        negative = np.where(case.X > 0, 0, random[0])
    return Upstream(random, np.ones(case.Z_shape), positive, negative)


def likely_cause(
    case: Case,
    upstream: Upstream,
    position: int,
    numericals: Sequence[Numerical],
    analytic: FloatArray,
) -> str:
    """Say what mistake explains a wrong gradient.

    Parameters
    ----------
    case : Case
    upstream : Upstream
    position : int
        Of the gradient among backward's results.
    numericals : sequence of Numerical
        Those of all of backward's results.
    analytic : ndarray
        The gradient for the first upstream gradient.
    """
    return _Search(case, upstream, position, numericals, analytic).cause()


class _Search:
    def __init__(
        self,
        case: Case,
        upstream: Upstream,
        position: int,
        numericals: Sequence[Numerical],
        analytic: FloatArray,
    ) -> None:
        self.case, self.upstream, self.position = case, upstream, position
        self.numericals = numericals
        self.numerical = numericals[position]
        self.gradient = case.names[position]
        self.analytic = np.asarray(analytic, np.float64)
        self.slack = min(_SLACK * case.precision.tolerance, 0.1)
        self.smooth = self.numerical.smooth
        self.random = self._tried(upstream.random)
        self.expected = self.numerical.values[: len(upstream.random)][:, self.smooth]
        self.allowed = self.numerical.allowed(self.slack)[:, self.smooth]

    def cause(self) -> str:
        for search in (
            self._zero,
            self._flat,
            self._exponential,
            self._order,
            self._transposed,
            self._upstream_missing,
            self._factor,
            self._half,
        ):
            found = search()
            if found:
                return found
        if self.position == 0:
            return (
                "no mistake that is known to this check. dLdX[i] is the sum over Z's elements of "
                "dLdZ[j] * dZ[j]/dX[i]: compare backward with the derivative of forward."
            )
        return (
            f"no mistake that is known to this check. {self.gradient} is the sum of dLdZ * "
            f"dZ/d{self.numerical.name} over all of Z's elements that {self.numerical.name} takes "
            "part in: compare backward with the derivative of forward."
        )

    def _tried(self, upstream: Sequence[FloatArray]) -> Floats:
        """Return what backward gives at the elements tried, for some upstream gradients."""
        X = self.case.X.astype(self.case.precision.dtype)
        rows = [
            np.asarray(self.case.run(self.case.wide, X, dLdZ)[self.position], np.float64)
            for dLdZ in upstream
        ]
        return np.stack([row.ravel()[self.numerical.where[self.smooth]] for row in rows])

    def _explains(self, values: Floats) -> bool:
        """Whether backward gives `values` for the random upstream gradients."""
        return bool((np.abs(self.random - values) <= self.allowed[: len(self.random)]).all())

    def _zero(self) -> str:
        if self.analytic.any():
            return ""
        return f"{self.gradient} is zero everywhere: backward does not compute it."

    def _flat(self) -> str:
        if self.numerical.values.any():
            return ""
        return (
            f"Z does not change with {self.numerical.name}, so that the gradient is zero: look at "
            "predict or forward."
        )

    def _exponential(self) -> str:
        if self.position == 0 or self.case.Z_shape != self.case.X.shape:
            return ""
        X, dLdZ = self.case.X, np.asarray(self.upstream.random[0], np.float64)
        for function, text in _EXPONENTIALS:
            terms = dLdZ * function(X)
            wrong = _summed(terms, self.analytic.shape)
            size = _summed(np.abs(terms), self.analytic.shape)
            if wrong is None or size is None:
                return ""
            if (np.abs(self.analytic - wrong) <= self.slack * size).all():
                return text.format(gradient=self.gradient)
        return ""

    def _order(self) -> str:
        for position, other in enumerate(self.numericals):
            if position == self.position or not np.array_equal(other.where, self.numerical.where):
                continue
            values = other.values[: len(self.random)][:, self.smooth]
            if self._explains(values):
                return (
                    f"this is {self.case.names[position]}: backward must return "
                    f"({', '.join(self.case.names)}) in this order."
                )
        return ""

    def _transposed(self) -> str:
        if self.analytic.ndim < 2:
            return ""
        rank = self.analytic.ndim
        X = self.case.X.astype(self.case.precision.dtype)
        full = [
            np.asarray(self.case.run(self.case.wide, X, dLdZ)[self.position], np.float64)
            for dLdZ in self.upstream.random
        ]
        where = self.numerical.where[self.smooth]
        for a in range(rank):
            for b in range(a + 1, rank):
                shape = list(self.analytic.shape)
                shape[a], shape[b] = shape[b], shape[a]
                # Also what was transposed and then reshaped to fit.
                turned = [one.reshape(shape).swapaxes(a, b).ravel()[where] for one in full]
                error = np.abs(np.stack(turned) - self.expected)
                if (error <= self.allowed[: len(full)]).all():
                    return f"{self.gradient} is transposed: its axes {a} and {b} are interchanged."
        return ""

    def _upstream_missing(self) -> str:
        ones = self.numerical.values[len(self.upstream.random)][self.smooth]
        if not self._explains(np.broadcast_to(ones, self.random.shape)):
            return ""
        return f"{self.gradient} does not depend on dLdZ: multiply by it (chain rule)."

    def _factor(self) -> str:
        square = float(np.sum(self.expected**2))
        factor = float(np.sum(self.random * self.expected)) / square if square else 0.0
        if not factor or not self._explains(factor * self.expected):
            return ""
        n = self.case.batch_size
        count = self.case.X.size // max(self.analytic.size, 1)
        if _near(factor, -1):
            return f"{self.gradient} has the wrong sign."
        if _near(factor, 1 / n):
            return (
                f"{self.gradient} is divided by {n}, the number of observations: it must be the "
                "sum over the batch, not the mean (the loss has divided already)."
            )
        if self.position and count > 1 and _near(factor, 1 / count):
            return (
                f"{self.gradient} is divided by {count}, the number of terms: it must be their "
                "sum, not their mean."
            )
        return f"{self.gradient} is {factor:.6g} times what it must be: look for a constant factor."

    def _half(self) -> str:
        """Find out whether the error comes from x > 0 alone, or from x <= 0 alone."""
        if self.upstream.positive is None or self.upstream.negative is None:
            return ""
        computed = self._tried([self.upstream.positive, self.upstream.negative])
        first = len(self.upstream.random) + 1
        expected: Floats = self.numerical.values[first : first + 2][:, self.smooth]
        allowed = self.numerical.allowed(self.case.precision.tolerance)
        error = np.abs(computed - expected)
        wrong = error > allowed[first : first + 2][:, self.smooth]
        above, below = bool(wrong[0].any()), bool(wrong[1].any())
        if above and not below:
            if self.position and not expected[0].any():
                return (
                    f"dLdZ leaks into {self.gradient} where x > 0, where forward does not depend "
                    f"on {self.numerical.name}; where x <= 0 the terms are right. Look for a "
                    "missing min(X, 0) or np.where(X > 0, 0, ...)."
                )
            return (
                f"{self.gradient} is wrong where x > 0 alone: look at that branch, and at what "
                "leaks into it from the other."
            )
        if below and not above:
            return f"{self.gradient} is wrong where x <= 0 alone: look at that branch."
        return ""


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= 0.01 * abs(b)


def _summed(terms: Floats, shape: tuple[int, ...]) -> Floats | None:
    """Sum terms of X's shape to a learnable's: a scalar, one per channel, or as it broadcasts."""
    if shape == (terms.shape[1],):
        axes: tuple[int, ...] = (0, *range(2, terms.ndim))
        return np.asarray(terms.sum(axis=axes))
    if len(shape) > terms.ndim:
        return None
    padded = (1,) * (terms.ndim - len(shape)) + shape
    if any(p not in (1, n) for p, n in zip(padded, terms.shape, strict=True)):
        return None
    axes = tuple(axis for axis, p in enumerate(padded) if p == 1)
    return np.asarray(terms.sum(axis=axes)).reshape(shape)
