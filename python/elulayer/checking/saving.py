"""Checks of what happens to a layer around training, and in files."""

from __future__ import annotations

import copy
import json

import numpy as np

from .._support.typing import AnyArray
from ..layers import Layer
from ..layers.batches import Batches
from ..layers.contract import settle_learnables
from ..network.files import build_layer, custom_classes, describe_layers, set_values, values
from .behaviour import worst_difference
from .case import Case, Failure, call, same

_HOOKS = ("before_training", "after_training")


def hooks(case: Case) -> str:
    """Check that the hooks that a layer defines take batches of its input."""
    own = [name for name in _HOOKS if getattr(type(case.layer), name) is not getattr(Layer, name)]
    trained(case)
    return f"{' and '.join(own)} can run" if own else "none defined"


def saving(case: Case) -> str:
    """Check that a layer made anew from what a file holds predicts the same bits."""
    layer = trained(case)
    try:
        description = json.loads(json.dumps(describe_layers([layer])))[0]
    except Exception as error:
        raise Failure(
            f"the layer cannot be described: {_without_label(error)}",
            "the constructor's parameters are read from attributes of the same names. Set them in "
            "__init__, or define arguments() to return numbers, strings and lists.",
        ) from error
    tensors = {key: np.array(value) for key, value in values([layer]).items()}
    try:
        twin = build_layer(0, description, tensors, custom_classes([type(layer)]))
    except Exception as error:
        raise Failure(
            f"{type(layer).__name__}(**{description['arguments']}) raised "
            f"{type(error).__name__}: {error}",
            "arguments() does not return what the constructor takes.",
        ) from error
    _load(case, twin, tensors)
    X = case.X.astype(np.float32)
    for name, value in values([twin]).items():
        if not same(value, tensors[name]):
            raise Failure(
                f"{name.split('.', 1)[1]} is another one after loading: "
                + worst_difference(np.asarray(tensors[name]), value, "saved", "loaded"),
                "initialize replaces values that are there; it must give values only to what has "
                "none, for loading and for training on.",
            )
    before, after = case.predict(layer, X), case.predict(twin, X)
    if not same(before, after):
        raise Failure(
            "the loaded layer predicts other values: "
            + worst_difference(before, after, "saved", "loaded"),
            "predict uses an attribute that the file does not hold, as it is no learnable, not "
            "named in state and no argument; or one computed from a learnable's first value.",
        )
    return "the loaded layer predicts the same bits"


def trained(case: Case) -> Layer:
    """Return a copy of the layer with values as after training, and not those of the beginning."""
    layer, X = copy.deepcopy(case.layer), case.X.astype(np.float32)
    call(layer.before_training, Batches(iter([X.copy()])))
    case.contract(settle_learnables, layer)
    for name in layer.learnables:
        setattr(layer, name, getattr(layer, name) + np.float32(0.0625))
    call(layer.forward, X.copy())
    call(layer.after_training, Batches(iter([X.copy()])))
    return layer


def _load(case: Case, twin: Layer, tensors: dict[str, AnyArray]) -> None:
    """Give the new layer its values as `load_network` does."""
    for again in (False, True):
        call(twin.initialize, case.input_shape, np.random.default_rng(0))
        case.contract(settle_learnables, twin)
        if not again:
            try:
                set_values([twin], tensors)
            except (KeyError, TypeError, ValueError) as error:
                raise Failure(
                    f"the saved values do not fit the new layer: {_without_label(error)}",
                    "arguments() leaves out something that shapes depend on.",
                ) from error


def _without_label(error: Exception) -> str:
    text = str(error)
    return text.split(": ", 1)[1] if text.startswith("layers[0]") and ": " in text else text
