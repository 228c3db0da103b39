"""A network in a file: its layers as classes and arguments, its values as arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import layers as builtin
from .._support.checks import kind_of
from .._support.typing import AnyArray
from .._support.wording import shown
from ..layers import Layer
from ..layers.contract import label
from .labels import require_characters
from .network import Network
from .tensors import read_tensors, write_tensors

KIND = "elulayer network 1"

_LARGEST = 2**30
"""Numbers, 4 GiB of them, that a layer may need for an image: a forged file could ask for any."""

_BUILT_IN: dict[str, type[Layer]] = {
    name: getattr(builtin, name) for name in builtin.__all__ if name != "Layer"
}


def save_network(network: Network, path: str | os.PathLike[str]) -> None:
    """Save a network in a safetensors file.

    The file holds the values of the learnables and of the layers' `Layer.state`, the layers'
    classes and arguments as JSON, and a description for people. Layers of your own are saved too;
    see `Layer.arguments`.

    Parameters
    ----------
    network : Network
        With values: trained or initialized.
    path : str or path
        The file, whatever its extension a safetensors file. One that is there is replaced, in one
        step: a write that is cut off leaves it.

    Raises
    ------
    ImportError
        If the package safetensors is not installed.
    OSError
        If the file cannot be written.
    RuntimeError
        If the network has no values yet.
    TypeError
        If an argument of a layer or a label of the classes is of a type that the file cannot hold.
    ValueError
        If two different layer classes of your own have one name, or a value is NaN or infinite.
    """
    require_values(network)
    found = values(network.layers)
    check_finite(network.layers, found)
    content = {"layers": describe_layers(network.layers), "classes": pack_labels(network.classes)}
    write_tensors(path, KIND, found, content, repr(network))


def load_network(
    path: str | os.PathLike[str], custom_layers: Iterable[type[Layer]] = ()
) -> Network:
    """Load a network that `save_network` saved.

    Nothing in the file is executed: it names classes, and those that are not elulayer's own are
    taken from `custom_layers` alone, also where one of elulayer's has the same name.

    Parameters
    ----------
    path : str or path
        The file.
    custom_layers : iterable of classes
        Your own layer classes, found by their names. Files of earlier versions do not say whose
        a class is: one that is given here is then taken before elulayer's.

    Returns
    -------
    network : Network

    Raises
    ------
    ImportError
        If the package safetensors is not installed.
    OSError
        If the file cannot be read.
    TypeError
        If `custom_layers` holds something else than classes of layers.
    ValueError
        If the file is damaged or holds something else, a layer's class is not known, or
        `custom_layers` holds two different classes of one name.
    """
    custom = custom_classes(custom_layers)
    tensors, content = read_tensors(path, KIND)
    try:
        layers = [
            build_layer(index, description, tensors, custom)
            for index, description in enumerate(content["layers"])
        ]
        network = Network(layers, unpack_labels(content["classes"]))
        _give_values(network.layers, tensors)
        with np.errstate(all="ignore"):  # of what the values lead to, they are not told here
            network._initialize(np.random.default_rng(0), _LARGEST)
            set_values(network.layers, tensors)
            network.initialize(0)
            set_values(network.layers, tensors)  # a layer of one's own may have drawn them anew
        if network.classes is not None and len(network.classes) != network.num_classes:
            raise ValueError(
                f"it must hold {network.num_classes} classes, one for each output, not "
                f"{len(network.classes)}"
            )
    except Exception as error:  # a forged file can make constructors raise what they want
        what = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise ValueError(f"{os.fspath(path)}: {what}{error}") from error
    return network


def describe_layers(layers: Sequence[Layer]) -> list[dict[str, Any]]:
    """Describe layers as JSON can hold it: class, arguments, factors.

    "custom" is None for elulayer's own classes. For others it is the full name, which tells the
    classes of two runs apart; a network may be loaded where its classes are in other modules, so
    `build_layer` looks at the mere name.

    Raises
    ------
    TypeError
        If JSON cannot hold an argument.
    ValueError
        If two different classes that are not elulayer's own have one name.
    """
    described = []
    custom: dict[str, tuple[int, type[Layer]]] = {}
    for index, layer in enumerate(layers):
        cls = type(layer)
        built_in = _is_built_in(cls)
        if not built_in:
            first, other = custom.setdefault(cls.__name__, (index, cls))
            if other is not cls:
                raise ValueError(
                    f"layers[{first}] and layers[{index}] must be of one class, or of classes of "
                    f"different names, to be saved, not of two different classes {cls.__name__}: "
                    f"{_full_name(other)} and {_full_name(cls)}"
                )
        try:
            arguments = layer.arguments()
        except TypeError as error:
            raise TypeError(f"{label(index, layer)} cannot be saved: {error}") from error
        for name, value in arguments.items():
            if not _plain(value):
                raise TypeError(
                    f"{label(index, layer)} cannot be saved: its argument {name} must be "
                    f"a number, a string, a boolean, None or a list of them, not {shown(value)}"
                )
        described.append(
            {
                "class": cls.__name__,
                "custom": None if built_in else _full_name(cls),
                "arguments": {name: _to_json(value) for name, value in arguments.items()},
                "learn_rate_factors": _to_json(layer.learn_rate_factors),
                "l2_factors": _to_json(layer.l2_factors),
            }
        )
    return described


def build_layer(
    index: int,
    description: Mapping[str, Any],
    tensors: Mapping[str, AnyArray],
    custom: Mapping[str, type[Layer]],
) -> Layer:
    """Make the layer that `describe_layers` described."""
    name = description["class"]
    if "custom" not in description:  # in files of earlier versions
        cls = custom.get(name) or _BUILT_IN.get(name)
    elif description["custom"] is None:
        cls = _BUILT_IN.get(name)
    else:
        cls = custom.get(name)
    if cls is None:
        what = f"a class {name} other than elulayer's" if name in _BUILT_IN else f"class {name}"
        raise ValueError(
            f"layers[{index}] must be of a known class, not of {what}; pass it in custom_layers, "
            "or to the command by --layer"
        )
    arguments = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in description["arguments"].items()
    }
    for key in cls.constructor_names():
        if key in cls.learnables and f"{index}.{key}" in tensors:
            arguments[key] = tensors[f"{index}.{key}"]
    layer = cls(**arguments)
    layer.learn_rate_factors = dict(description["learn_rate_factors"])
    layer.l2_factors = dict(description["l2_factors"])
    return layer


def custom_classes(custom_layers: Iterable[type[Layer]]) -> dict[str, type[Layer]]:
    """Return the layer classes that are not elulayer's own by their names."""
    custom: dict[str, type[Layer]] = {}
    given: Iterable[Any] = (custom_layers,) if isinstance(custom_layers, type) else custom_layers
    for cls in given:
        if not isinstance(cls, type) or not issubclass(cls, Layer):
            raise TypeError(f"custom_layers must hold classes of layers, not {shown(cls)}")
        if _is_built_in(cls):
            continue
        other = custom.setdefault(cls.__name__, cls)
        if other is not cls:
            raise ValueError(
                "custom_layers must hold classes of different names, not two of the name "
                f"{cls.__name__}: {_full_name(other)} and {_full_name(cls)}"
            )
    return custom


def _is_built_in(cls: type[Layer]) -> bool:
    return cls in _BUILT_IN.values()


def require_values(network: Any) -> None:
    """Check that a network is one, and has values.

    Raises
    ------
    RuntimeError
        If it has none yet.
    TypeError
        If it is something else.
    """
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, not {kind_of(network)}")
    if network.num_classes == 0:
        raise RuntimeError("the network has no values yet: train it or call initialize")


def require_built_in(index: int, layer: Layer) -> None:
    """Check that a layer is of one of elulayer's own classes, and not of one derived from them.

    Raises
    ------
    TypeError
        If it is not.
    """
    if not _is_built_in(type(layer)):
        raise TypeError(f"{label(index, layer)} must be of one of elulayer's own classes")


def _full_name(cls: type[Layer]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def values(layers: Sequence[Layer]) -> dict[str, AnyArray]:
    """Return the values of learnables and states, by the layer's position and their name."""
    return {
        f"{index}.{name}": np.asarray(getattr(layer, name))
        for index, layer in enumerate(layers)
        for name in (*layer.learnables, *layer.state)
    }


def _give_values(layers: Sequence[Layer], tensors: Mapping[str, AnyArray]) -> None:
    """Give layers that are not initialized the values of a file.

    So none are drawn, of a size that a forged file may only claim.
    """
    check_finite(layers, tensors)
    for index, layer in enumerate(layers):
        for name in (*layer.learnables, *layer.state):
            value, old = tensors.get(f"{index}.{name}"), getattr(layer, name, None)
            if value is None:
                raise ValueError(f"it must hold {name} of {label(index, layer)}")
            if old is None:
                setattr(layer, name, value.copy())
            elif np.shape(old) != value.shape:
                raise ValueError(
                    f"{name} of {label(index, layer)} must have shape {np.shape(old)}, not "
                    f"{value.shape}"
                )


def check_finite(layers: Sequence[Layer], tensors: Mapping[str, AnyArray]) -> None:
    """Check the values that layers compute with; states of one's own layers may be infinite."""
    for index, layer in enumerate(layers):
        names = (*layer.learnables, *(layer.state if _is_built_in(type(layer)) else ()))
        for name in names:
            value = tensors.get(f"{index}.{name}")
            if value is not None and value.dtype.kind == "f" and not np.isfinite(value).all():
                raise ValueError(f"{name} of {label(index, layer)} must be finite")


def set_values(layers: Sequence[Layer], tensors: Mapping[str, AnyArray]) -> None:
    """Give layers, initialized as those that were saved, the values of a file."""
    check_values(layers, tensors)
    for index, layer in enumerate(layers):
        for name in (*layer.learnables, *layer.state):
            setattr(layer, name, tensors[f"{index}.{name}"].copy())


def check_values(layers: Sequence[Layer], tensors: Mapping[str, AnyArray]) -> None:
    """Check that values are those of such layers."""
    expected = values(layers)
    if expected.keys() != tensors.keys():
        odd = sorted(expected.keys() ^ tensors.keys())
        raise ValueError(f"the values of the file and those of its layers differ: {odd}")
    for index, layer in enumerate(layers):
        for name in (*layer.learnables, *layer.state):
            key = f"{index}.{name}"
            new, old = tensors[key], expected[key]
            if (new.shape, new.dtype) != (old.shape, old.dtype):
                raise ValueError(
                    f"{name} of {label(index, layer)} must have shape {old.shape} and dtype "
                    f"{old.dtype}, not {new.shape} and {new.dtype}"
                )
        is_normalization = isinstance(layer, builtin.BatchNormalizationLayer)
        if is_normalization and (tensors[f"{index}.variance"] < 0).any():
            raise ValueError(f"variance of {label(index, layer)} must be at least 0")


def pack_labels(classes: AnyArray | None) -> dict[str, Any] | None:
    """Put labels into what JSON can hold."""
    if classes is None:
        return None
    if classes.dtype.kind not in "biufU" or classes.dtype.char == "g":  # a long double
        raise TypeError(
            "classes must be numbers, booleans or str to be saved, not of dtype "
            f"{classes.dtype}; labels.astype(str) makes them str"
        )
    if classes.dtype.kind == "f" and not np.isfinite(classes).all():
        raise TypeError("classes must be finite to be saved, not NaN or infinity")
    return {"dtype": classes.dtype.str, "labels": classes.tolist()}


def unpack_labels(packed: Mapping[str, Any] | None) -> AnyArray | None:
    """Return the labels that `pack_labels` packed."""
    if packed is None:
        return None
    dtype = np.dtype(packed["dtype"])
    if dtype.kind not in "biufU":
        raise ValueError(f"labels must be numbers, booleans or str, not of dtype {dtype}")
    labels = np.array(packed["labels"], dtype=dtype)
    require_characters("labels", labels)
    if labels.tolist() != packed["labels"]:
        raise ValueError(f"the labels must be of dtype {dtype}, not {packed['labels']}")
    return labels


def _plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_plain, value))
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        value = value.item()
    if isinstance(value, float):
        return bool(np.isfinite(value))
    return value is None or isinstance(value, (bool, int, str))


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
