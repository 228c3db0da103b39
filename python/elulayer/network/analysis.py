"""Layer by layer, what a network is made of and what training it takes."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._support.checks import batch_shape, integer
from .._support.typing import AnyArray, FloatArray
from .._support.wording import by, shown, table
from ..layers import ImageInputLayer, Layer
from ..layers.contract import (
    check_definition,
    check_forward,
    check_output,
    label,
    settle_learnables,
)
from .network import Network

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerAnalysis:
    """One layer of a network.

    Attributes
    ----------
    index : int
        Position in the network.
    kind, name, description : str
        The layer's class, its own name, and its line for people.
    activations : tuple of int
        Shape of the output, without the batch axis.
    learnables, state : dict of str to tuple of int
        Shapes by name.
    num_learnables : int
        Number of values that training updates or could update.
    activation_bytes : int
        What training keeps of the output until backward, per observation, in bytes; 0 where the
        output is the input, or another view of it.
    memory_bytes : int
        The same of what forward hands backward beside X and Z.
    """

    index: int
    kind: str
    name: str
    description: str
    activations: Shape
    learnables: Mapping[str, Shape]
    state: Mapping[str, Shape]
    num_learnables: int
    activation_bytes: int
    memory_bytes: int


@dataclass(frozen=True, repr=False)
class NetworkAnalysis:
    """The layers of a network; printed, a table.

    Attributes
    ----------
    input_shape : tuple of int
        Without the batch axis.
    layers : tuple of LayerAnalysis
    input_bytes : int
        Of one observation in float32.
    """

    input_shape: Shape
    layers: tuple[LayerAnalysis, ...]
    input_bytes: int

    @property
    def num_learnables(self) -> int:
        """Number of values that can be learned."""
        return sum(layer.num_learnables for layer in self.layers)

    @property
    def learnable_bytes(self) -> int:
        """Bytes of these values, in float32."""
        return 4 * self.num_learnables

    @property
    def bytes_per_observation(self) -> int:
        """Bytes that training keeps of each observation between forward and backward."""
        kept = sum(layer.activation_bytes + layer.memory_bytes for layer in self.layers)
        return self.input_bytes + kept

    def __str__(self) -> str:
        head = ["", "layer", "activations", "learnables", "count", "output", "memory"]
        rows = []
        for layer in self.layers:
            shapes = {**layer.learnables, **{f"({k})": v for k, v in layer.state.items()}}
            rows.append(
                [
                    str(layer.index),
                    layer.kind + (f" {layer.name!r}" if layer.name else ""),
                    by(layer.activations),
                    ", ".join(f"{name} {by(shape)}" for name, shape in shapes.items()),
                    f"{layer.num_learnables:,}" if layer.num_learnables else "",
                    _size(layer.activation_bytes),
                    _size(layer.memory_bytes),
                ]
            )
        return "\n".join([*table(head, rows, right=(0, 4, 5, 6)), "", *self._totals()])

    __repr__ = __str__

    def _totals(self) -> list[str]:
        kept = self.bytes_per_observation
        return [
            f"Input: {by(self.input_shape)}. Names in parentheses are states: kept, not learned.",
            f"Learnables: {self.num_learnables:,} values, {_size(self.learnable_bytes) or '0 B'}.",
            f"Kept for backward: {_size(kept)} per observation, input, outputs and memory; "
            f"{_size(128 * kept)} for a mini-batch of 128.",
        ]


def analyze_network(
    layers: Network | Iterable[Layer], input_shape: Sequence[int] | None = None
) -> NetworkAnalysis:
    """Find the shapes, the learnables and the memory of a network's layers.

    Batches of one and of two observations pass through copies of the layers as in training; what
    the second observation adds is counted.

    Parameters
    ----------
    layers : Network, or iterable of Layer
        They stay as they are, and need not be initialized. A part of a network will do.
    input_shape : sequence of int, optional
        Shape of the input without the batch axis. An `ImageInputLayer` at the beginning knows it.

    Returns
    -------
    analysis : NetworkAnalysis
        Print it to read it.

    Raises
    ------
    TypeError
        If something in the row is not a layer, or does not keep the contract of `Layer`.
    ValueError
        If a layer does not take what the one before it gives; if the shape is not known, or
        another one than the input layer's.
    """
    given = layers.layers if isinstance(layers, Network) else layers
    if isinstance(given, Layer) or not isinstance(given, Iterable):
        raise TypeError(
            f"layers must be a Network or a list of layers, not {type(layers).__name__}"
        )
    row = list(given)
    if not row:
        raise ValueError("layers must hold at least one layer")
    for index, layer in enumerate(row):
        check_definition(index, layer)
        if any(layer is other for other in row[:index]):
            raise ValueError(f"{label(index, layer)} must stand in the network once, not twice")
    shape = _input_shape(row[0], input_shape)
    rng = np.random.default_rng(0)
    X: FloatArray = rng.standard_normal((2, *shape), dtype=np.float32)
    found = []
    for index, layer in enumerate(copy.deepcopy(row)):
        analysis, X = _analyzed(index, layer, X, rng)
        found.append(analysis)
    return NetworkAnalysis(shape, tuple(found), 4 * math.prod(shape))


def _input_shape(first: Layer, given: object) -> Shape:
    own = first.input_shape if isinstance(first, ImageInputLayer) else None
    if given is None:
        if own is None:
            raise ValueError(
                "input_shape must be given, the input's shape without the batch axis: the first "
                f"layer is no ImageInputLayer but {label(0, first)}"
            )
        return own
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise TypeError(
            "input_shape must be the input's shape without the batch axis, such as (1, 28, 28), "
            f"not {shown(given)}"
        )
    shape = tuple(integer("input_shape", n) for n in given)
    if own is not None and shape != own:
        raise ValueError(f"input_shape must be {own}, as of {label(0, first)}, not {shape}")
    return shape


def _analyzed(
    index: int, layer: Layer, X: FloatArray, rng: np.random.Generator
) -> tuple[LayerAnalysis, FloatArray]:
    try:
        layer.initialize(X.shape[1:], rng)
    except Exception as error:
        raise _error(index, layer, X, "initialize", error) from error
    settle_learnables(index, layer)
    own = [np.asarray(getattr(layer, name)) for name in (*layer.learnables, *layer.state)]
    one = copy.deepcopy(layer)
    Z, memory = _forward(index, layer, X)
    first = X[:1].copy()
    Z_one, memory_one = _forward(index, one, first)
    own += [np.asarray(getattr(one, name)) for name in (*one.learnables, *one.state)]
    check_output(index, layer, "forward", Z_one, 1, Z.shape[1:])
    learnables = {name: np.shape(getattr(layer, name)) for name in layer.learnables}
    analysis = LayerAnalysis(
        index=index,
        kind=type(layer).__name__,
        name=layer.name,
        description=layer.description,
        activations=Z.shape[1:],
        learnables=learnables,
        state={name: np.shape(getattr(layer, name)) for name in layer.state},
        num_learnables=sum(map(math.prod, learnables.values())),
        activation_bytes=0 if _owner(X) is _owner(Z) else 4 * math.prod(Z.shape[1:]),
        memory_bytes=_bytes(memory, [X, Z, *own]) - _bytes(memory_one, [first, Z_one, *own]),
    )
    return analysis, Z


def _forward(index: int, layer: Layer, X: FloatArray) -> tuple[FloatArray, Any]:
    try:
        with np.errstate(all="ignore"):
            result = layer.forward(X)
    except Exception as error:
        raise _error(index, layer, X, "forward", error) from error
    Z, memory = check_forward(index, layer, result)
    return check_output(index, layer, "forward", Z, len(X), None), memory


def _error(index: int, layer: Layer, X: FloatArray, method: str, error: Exception) -> ValueError:
    return ValueError(
        f"{label(index, layer)}: {method} raised {type(error).__name__} for input of shape "
        f"{batch_shape(X.shape[1:])}: {error}"
    )


def _bytes(memory: object, others: Sequence[AnyArray]) -> int:
    """Bytes of the arrays in a layer's memory that are not kept already."""
    kept = {id(_owner(array)) for array in others}
    total = 0
    for array in _arrays(memory, set()):
        owner = _owner(array)
        if id(owner) not in kept:
            kept.add(id(owner))
            total += owner.nbytes
    return total


def _owner(array: AnyArray) -> AnyArray:
    """Return the array that holds the memory of a view; the view keeps all of it."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _arrays(value: object, seen: set[int]) -> Iterator[AnyArray]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _arrays(item, seen)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _arrays(item, seen)
    elif hasattr(value, "__dict__") and not isinstance(value, (type, Layer)):
        yield from _arrays(vars(value), seen)


def _size(count: int) -> str:
    """Write a number of bytes for people; nothing for 0."""
    if count == 0:
        return ""
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
