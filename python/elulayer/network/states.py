"""A network's values by the names that PyTorch's modules give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from .._support.checks import as_array, kind_of
from .._support.typing import AnyArray
from .._support.wording import shown
from ..layers import (
    BatchNormalizationLayer,
    Convolution2DLayer,
    FullyConnectedLayer,
    Layer,
    PReLULayer,
)
from ..layers.contract import label

_NAMES: dict[type[Layer], dict[str, str]] = {
    Convolution2DLayer: {"weights": "weight"},
    FullyConnectedLayer: {"weights": "weight"},
    BatchNormalizationLayer: {
        "scale": "weight",
        "offset": "bias",
        "mean": "running_mean",
        "variance": "running_var",
    },
    PReLULayer: {"slope": "weight"},
}
"""What a layer calls its values, and PyTorch's module; others have one name."""

_COUNT = "num_batches_tracked"
"""Of batch normalization's module; nothing here depends on it."""


def state_dict(layers: Sequence[Layer]) -> dict[str, AnyArray]:
    """Return copies of the values; see `Network.state_dict`."""
    state: dict[str, AnyArray] = {}
    for key, (layer, name) in _places(layers).items():
        state[key] = np.array(getattr(layer, name))
        if type(layer) is BatchNormalizationLayer and name == "variance":
            state[key.removesuffix("running_var") + _COUNT] = np.array(0)
    return state


def load_state_dict(layers: Sequence[Layer], state: Mapping[str, Any]) -> None:
    """Give layers values; see `Network.load_state_dict`."""
    if not isinstance(state, Mapping):
        raise TypeError(f"state must be a mapping, as state_dict returns, not {kind_of(state)}")
    places = _places(layers)
    if odd := [key for key in state if not isinstance(key, str)]:
        raise TypeError(f"state must have keys that are str, not {shown(odd[0])}")
    given = {key for key in state if key in places or key.rpartition(".")[2] != _COUNT}
    if given != places.keys():
        raise ValueError(_other_keys(given, places.keys()))
    arrays = {}
    for key, (layer, name) in places.items():
        old = np.asarray(getattr(layer, name))
        new = as_array(f"state[{key!r}]", _values(state[key]))
        if new.shape != old.shape or new.dtype.kind != "f":
            kind = getattr(state[key], "dtype", new.dtype)
            raise ValueError(
                f"state[{key!r}] must hold floats of shape {old.shape}, not {kind} of shape "
                f"{new.shape}"
            )
        with np.errstate(over="ignore"):
            arrays[key] = new.astype(old.dtype)
        if not np.isfinite(arrays[key]).all():
            raise ValueError(f"state[{key!r}] must be finite as {old.dtype}")
        if name == "variance" and (arrays[key] < 0).any():
            raise ValueError(f"state[{key!r}] must be at least 0")
    for key, (layer, name) in places.items():
        setattr(layer, name, arrays[key])


def _values(value: Any) -> Any:
    """Return a tensor's values where NumPy takes them, whatever its device and floating dtype."""
    is_tensor = callable(getattr(value, "is_floating_point", None)) and not value.is_meta
    return value.detach().cpu().double() if is_tensor and value.is_floating_point() else value


def _other_keys(given: set[str], own: Set[str]) -> str:
    """Return the message for a state of other keys than the network's own."""
    for key in own:
        prefix = next((other.removesuffix(key) for other in given if other.endswith(f".{key}")), "")
        if prefix and {other.removeprefix(prefix) for other in given} == own:
            return f"state must have keys without {prefix!r}: each key of it begins with that"
    return "state must have the keys of the network's own state_dict; " + "; ".join(
        f"{what} {', '.join(sorted(keys))}"
        for what, keys in (("it lacks", own - given), ("it has beside them", given - own))
        if keys
    )


def prefixes(layers: Sequence[Layer]) -> list[str]:
    """Return what the keys of each layer begin with: its name, or its position.

    Raises
    ------
    ValueError
        If two layers would have the same.
    """
    found: dict[str, int] = {}
    for index, layer in enumerate(layers):
        prefix = layer.name or str(index)
        other = found.setdefault(prefix, index)
        if other != index:
            raise ValueError(
                f"{label(index, layer)} must have another name than layers[{other}], to tell their "
                f"values apart: both are {prefix!r}"
            )
    return list(found)


def _places(layers: Sequence[Layer]) -> dict[str, tuple[Layer, str]]:
    """Return the layer, and its attribute, of each key."""
    return {
        f"{prefix}.{_NAMES.get(type(layer), {}).get(name, name)}": (layer, name)
        for prefix, layer in zip(prefixes(layers), layers, strict=True)
        for name in (*layer.learnables, *layer.state)
    }
