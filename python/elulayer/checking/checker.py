"""`check_layer`, and the list of its checks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from .._support.checks import integer
from .._support.wording import described, shown
from ..layers import Layer
from . import behaviour, definition, derivatives, saving
from .case import Case, Failure, Skip
from .report import CheckReport, CheckResult

Check = tuple[str, Callable[[Case], str], tuple[str, ...]]
"""A check's name, what runs it and returns its message, and the checks it needs to have passed."""

_PREDICT = ("output of predict",)
_FORWARD = ("output of forward",)
_BACKWARD = ("output of backward",)
_COUNT = "number of observations"
_UNTIL = "until '{}' passes"


def check_layer(
    layer: Layer, input_shape: Sequence[int], *, batch_size: int = 3, seed: int = 0
) -> CheckReport:
    """Check that a layer keeps the contract of `Layer`, its gradients above all.

    The layer is given standard normal input. What is checked, in this order: its definition and
    `initialize`; what predict, forward and backward return; dtypes; that the output's shape and
    values do not depend on what else is in the batch; that results repeat; that nothing given to
    the layer is written into, but X by forward where the layer works in place; that backward needs
    nothing but what it is handed; that it keeps the promise of `backward_uses_output`; each
    gradient; that training without dLdX and the hooks around training work; and that the layer
    comes out of a file as it went in.

    Gradients are compared with central differences of forward, in float64 (in float32, with wider
    bounds, for a layer that rounds to it), for a random upstream gradient, at up to 40 elements of
    X and of each learnable. Elements at a kink, where the one-sided differences disagree, are left
    out and counted. Where a gradient is wrong, the report says what mistake explains it, if it is
    a usual one.

    Parameters
    ----------
    layer : Layer
        It stays as it is: copies are checked. It need not be initialized.
    input_shape : sequence of int
        Shape of its input without the batch axis, (C, H, W) or (C,) for example. Two or three
        values along each axis find what many find, and faster.
    batch_size : int
        Number of observations, at least 2.
    seed : int
        Seed of all that is random in the check.

    Returns
    -------
    report : CheckReport
        True if no check failed. Print it to read it.

    Raises
    ------
    TypeError
        If `layer` is not a `Layer`, or another argument has the wrong type.
    ValueError
        If a size is too small.
    """
    given: object = layer
    if isinstance(given, type) and issubclass(given, Layer):
        raise TypeError(
            f"layer must be a Layer, not the class {given.__name__}: "
            f"a layer is made by calling it, {given.__name__}(...)"
        )
    if not isinstance(given, Layer):
        raise TypeError(f"layer must be a Layer, not {described(given)}")
    shape = _shape(input_shape)
    size = integer("batch_size", batch_size, least=2)
    case = Case(given, shape, size, integer("seed", seed, least=0))
    results: dict[str, CheckResult] = {}
    with np.errstate(all="ignore"):
        for check in _BEFORE:
            _run(case, check, results)
        if _defined(results) and not given.backward_uses_output:
            _run(case, _OVERWRITTEN, results)
        for check in _gradient_checks(case, results):
            _run(case, check, results)
        for check in _AFTER:
            _run(case, check, results)
    name = f" {layer.name!r}" if _defined(results) and layer.name else ""
    title = f"{type(layer).__name__}{name}, input of shape {(size, *shape)}"
    return CheckReport(title, tuple(results.values()))


def _shape(input_shape: object) -> tuple[int, ...]:
    if not isinstance(input_shape, Sequence) or isinstance(input_shape, str) or not input_shape:
        raise TypeError(
            f"input_shape must be the input's shape without the batch axis, such as (20, 24, 24), "
            f"not {shown(input_shape)}"
        )
    return tuple(integer("input_shape", n) for n in input_shape)


def _defined(results: dict[str, CheckResult]) -> bool:
    return results["definition"].outcome == "passed"


def _gradient_checks(case: Case, results: dict[str, CheckResult]) -> list[Check]:
    if not _defined(results):
        return [("dLdX", derivatives.gradient(0), _BACKWARD)]
    needed = (*_BACKWARD, "determinism")
    return [
        (name, derivatives.gradient(position), needed) for position, name in enumerate(case.names)
    ]


def _run(case: Case, check: Check, results: dict[str, CheckResult]) -> None:
    name, function, needed = check
    result = partial(CheckResult, name)
    missing = next((results[other] for other in needed if results[other].outcome != "passed"), None)
    if missing is not None:
        # A check that was skipped for another's sake says whose.
        first = missing.message if missing.outcome == "skipped" else _UNTIL.format(missing.name)
        results[name] = result("skipped", first)
        return
    try:
        results[name] = result("passed", function(case))
    except Failure as failure:
        results[name] = result("failed", failure.message, failure.cause)
    except Skip as skip:
        results[name] = result("skipped", str(skip))
    except (Exception, SystemExit) as error:
        # Attributes of a layer may be properties, and arrays may be of classes of its own.
        results[name] = result("failed", f"{type(error).__name__}: {error}")


_BEFORE: tuple[Check, ...] = (
    ("definition", definition.definition, ()),
    ("initialize", definition.initialization, ("definition",)),
    ("output of predict", definition.predict_output, ("initialize",)),
    ("output of forward", definition.forward_output, _PREDICT),
    ("output of backward", definition.backward_output, _FORWARD),
    ("dtypes", definition.dtypes, _BACKWARD),
    ("determinism", behaviour.determinism, _FORWARD),
    (_COUNT, behaviour.observations, _PREDICT),
    (
        "independence of the batch",
        behaviour.independence,
        (_COUNT, "determinism"),
    ),
    ("no writing into inputs", behaviour.unchanged, _BACKWARD),
    ("memory hand-over", behaviour.hand_over, (*_BACKWARD, "determinism")),
)

_OVERWRITTEN: Check = (
    "overwritten output",
    behaviour.overwritten_output,
    (*_BACKWARD, "determinism"),
)

_AFTER: tuple[Check, ...] = (
    ("backward without dLdX", derivatives.without_input_gradient, (*_BACKWARD, "determinism")),
    ("training hooks", saving.hooks, _FORWARD),
    ("saving and loading", saving.saving, ("training hooks", "determinism")),
)
