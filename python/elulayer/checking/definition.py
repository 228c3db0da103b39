"""Checks of a layer's definition, and of the shapes and dtypes of what it returns."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .._support.wording import shown
from ..layers import Layer
from ..layers.contract import (
    check_definition,
    check_forward,
    check_gradients,
    check_output,
    settle_learnables,
)
from .case import Case, Failure, call


def definition(case: Case) -> str:
    """Check that the methods are there, and that the layer can be copied."""
    case.contract(check_definition, case.given)
    for name in ("name", "in_place", "backward_uses_output"):  # they may be properties that raise
        getattr(case.given, name)
    try:
        case.layer = copy.deepcopy(case.given)
    except Exception as error:
        raise Failure(
            f"copy.deepcopy of the layer raised {type(error).__name__}: {error}",
            "the layer holds something that cannot be copied, such as an open file; train_network "
            "works on copies of the layers.",
        ) from error
    own = [name for name in ("forward", "initialize") if _defines(case, name)]
    return "defines " + _listed(["predict", "backward", *own])


def initialization(case: Case) -> str:
    """Check that initialize gives every learnable and every state a value."""
    call(case.layer.initialize, case.input_shape, case.rng)
    case.contract(settle_learnables, case.layer)
    for name in case.layer.state:
        if not isinstance(getattr(case.layer, name, None), np.ndarray):
            raise Failure(
                f"{name!r}, which state names, must be an array after initialize, not "
                f"{shown(getattr(case.layer, name, None))}",
                "give it a value in the constructor or in initialize; files hold it as an array.",
            )
    shapes = [f"{name} {getattr(case.layer, name).shape}" for name in case.layer.learnables]
    return f"learnables: {_listed(shapes)}" if shapes else "no learnables"


def predict_output(case: Case) -> str:
    """Check predict's shape, and that its values are finite."""
    Z = case.predict(case.layer, case.X.astype(np.float32))
    case.contract(check_output, case.layer, "predict", Z, case.batch_size, None)
    _check_finite("predict", Z)
    case.Z_shape = Z.shape
    return f"{case.X.shape} gives {Z.shape}"


def forward_output(case: Case) -> str:
    """Check that forward returns Z, like predict's, and memory."""
    result = call(copy.deepcopy(case.layer).forward, case.X.astype(np.float32))
    Z, memory = case.contract(check_forward, case.layer, result)
    case.contract(check_output, case.layer, "forward", Z, case.batch_size, case.Z_shape[1:])
    _check_finite("forward", Z)
    return "Z as predict's; memory: " + ("None" if memory is None else type(memory).__name__)


def backward_output(case: Case) -> str:
    """Check the number and the shapes of the gradients."""
    layer = copy.deepcopy(case.layer)
    X, Z, memory = case.passed(layer, case.X.astype(np.float32))
    result = call(layer.backward, X, Z, case.draw(*case.Z_shape).astype(np.float32), memory)
    case.contract(check_gradients, case.layer, X, result)
    return f"returns {_listed(case.names)}"


def dtypes(case: Case) -> str:
    """Check that float32 input gives float32 output and dLdX."""
    layer, X = copy.deepcopy(case.layer), case.X.astype(np.float32)
    found: dict[str, Any] = {"Z of predict": case.predict(layer, X)}
    given, Z, memory = case.passed(layer, X)
    found["Z of forward"] = Z
    # Z is handed on as a network does, or dLdX would not be float32 for Z's sake.
    Z32, dLdZ = Z.astype(np.float32), case.draw(*Z.shape).astype(np.float32)
    result = call(layer.backward, given, Z32, dLdZ, memory)
    found["dLdX"] = result[0] if isinstance(result, tuple) else result
    wrong = [f"{name} is {array.dtype}" for name, array in found.items() if array.dtype != X.dtype]
    if wrong:
        raise Failure(
            f"for float32 input {_listed(wrong)}",
            "an array or NumPy number of another dtype takes part, such as np.zeros(...) or "
            "rng.random(...) without dtype=X.dtype. Networks round it to float32 again.",
        )
    if case.precision.dtype == np.float64:
        return "float32 stays float32, float64 stays float64"
    return "float32 stays float32; the layer does not compute in float64"


def _check_finite(method: str, Z: Any) -> None:
    wrong = int(np.size(Z) - np.isfinite(Z).sum())
    if wrong:
        raise Failure(
            f"{method} gives {wrong} values that are NaN or infinite, for standard normal input",
            "a logarithm, root or power of a negative number, a division by zero, or exp of a "
            "large value.",
        )


def _defines(case: Case, name: str) -> bool:
    return getattr(type(case.layer), name) is not getattr(Layer, name)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
