"""One iteration's loss and gradients: of parts of the mini-batch, added over all ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from .._support.typing import AnyArray, FloatArray
from ..layers import BatchNormalizationLayer, Layer
from ..layers.contract import label
from ..network import Network
from ..network.network import BackwardInputs
from .parts import Leaf, Node, Parts, pack, unpack
from .ranks import Ranks
from .run import generators
from .sources import Batch, Part


class Step(NamedTuple):
    """What an iteration finds out; the gradients are as `Network.backward` returns them."""

    loss: float
    accuracy: float
    gradients: list[list[FloatArray]]


class Steps:
    """Computes the loss and the gradients of mini-batches.

    The loss of a mini-batch is that of its parts, each times its share of the images; so are the
    gradients.

    Parameters
    ----------
    network : Network
    first : int
        The lowest layer that learns.
    parts : Parts
    ranks : Ranks
    synchronized : bool
        Whether batch normalization takes the statistics of the whole mini-batch.
    """

    def __init__(
        self, network: Network, first: int, parts: Parts, ranks: Ranks, synchronized: bool
    ) -> None:
        self._network = network
        self._first = first
        self._parts = parts
        self._ranks = ranks
        self._together = synchronized and parts.count > 1
        self._one_hot = np.eye(network.num_classes, dtype=np.float32)

    def take(self, batch: Batch, what: str) -> Step:
        """Compute them for a mini-batch; `what` names the iteration for messages."""
        if self._parts.count == 1:
            calls: _Calls = _Calls()
        else:
            calls = _CallsOfParts(self._network.layers, self._parts.count, batch)
        # One after the other, parts stay in cache; together, all wait for their common statistics.
        groups = [batch.parts] if self._together else [[part] for part in batch.parts]
        nodes: dict[Node, Leaf] = {}
        for group in groups:
            for (part, _, _), leaf in zip(
                group, self._leaves(group, calls, batch.size), strict=True
            ):
                self._parts.add(nodes, (part, part + 1), leaf + calls.moved(part))
        loss, right, *rest = self._total(nodes, batch.size, what, calls)
        given = iter(rest)
        gradients = [
            [next(given) for _ in layer.learnables] if index >= self._first else []
            for index, layer in enumerate(self._network.layers)
        ]
        calls.settle(list(given))
        return Step(float(loss), 100 * (float(right) / batch.size), gradients)

    def _leaves(self, parts: list[Part], calls: _Calls, images: int) -> list[Leaf]:
        """Return for each part its loss, how many images are classified rightly, and gradients."""
        network = self._network
        numbers = [part for part, _, _ in parts]
        gather = self._gather if self._together else None

        def forward(index: int, layer: Layer, inputs: list[FloatArray]) -> list[Any]:
            if gather and _is_batch_normalization(layer):
                results = layer.forward_together(inputs, gather)
                calls.note(index, layer, numbers)
                return list(results)
            return calls.forward(index, layer, numbers, inputs)

        def backward(index: int, layer: Layer, items: list[BackwardInputs]) -> list[Any]:
            if gather and _is_batch_normalization(layer):
                return list(layer.backward_together(items, gather))
            return calls.backward(index, layer, numbers, items)

        tapes = network.forward_parts([X for _, X, _ in parts], forward)
        leaves: list[Leaf] = []
        derivatives: list[FloatArray] = []
        for tape, (_, _, codes) in zip(tapes, parts, strict=True):
            P, T = tape[-1][1], self._one_hot[codes]
            share = len(codes) / images
            loss = network.output_layer.loss(P, T) * share
            right = (P.argmax(axis=1) == codes).sum()
            leaves.append([np.array(loss, float), np.array(right, float)])
            dLdY = network.output_layer.backward_loss(P, T)
            derivatives.append(dLdY if share == 1 else dLdY * np.float32(share))
        if gather is None and not np.isfinite([leaf[0] for leaf in leaves]).all():
            # The run is over: no layer is given what may be NaN.
            return [[*leaf, *self._learnables(np.zeros_like)] for leaf in leaves]
        gradients = network.backward_parts(tapes, derivatives, self._first, backward)
        for leaf, of_part in zip(leaves, gradients, strict=True):
            leaf += [gradient for of_layer in of_part for gradient in of_layer]
        return leaves

    def _gather(self, own: list[Any]) -> list[Any]:
        """Return what all parts give, in their order."""
        every = self._ranks.gather_objects(own, "batch normalization")
        return [thing for things in every for thing in things]

    def _total(self, nodes: dict[Node, Leaf], images: int, what: str, calls: _Calls) -> Leaf:
        """Add up what the parts of all ranks give."""
        parts, ranks = self._parts, self._ranks
        if ranks.size > 1:
            own = [parts.total(nodes, node) for node in parts.sent(ranks.rank, images)]
            every = ranks.gather(pack(own), what)
            like = [np.zeros(()), np.zeros(()), *self._learnables(np.asarray), *calls.states()]
            nodes = {}
            for rank, data in enumerate(every):
                sent = parts.sent(rank, images)
                nodes.update(zip(sent, unpack(data, len(sent), like), strict=True))
        return parts.total(nodes)

    def _learnables(self, made_of: Any) -> list[FloatArray]:
        """Return arrays made of the learnables that have gradients."""
        return [
            made_of(getattr(layer, name))
            for layer in self._network.layers[self._first :]
            for name in layer.learnables
        ]


def _is_batch_normalization(layer: Layer) -> TypeGuard[BatchNormalizationLayer]:
    """Whether a layer normalizes batches as the package's does; a subclass may do otherwise."""
    own, known = type(layer), BatchNormalizationLayer
    return own.forward is known.forward and own.backward is known.backward


class _Calls:
    """Calls layers on mini-batches of one part."""

    def forward(
        self, index: int, layer: Layer, parts: list[int], inputs: list[FloatArray]
    ) -> list[Any]:
        """Return what `Layer.forward` gives for each part."""
        return [layer.forward(X) for X in inputs]

    def backward(
        self, index: int, layer: Layer, parts: list[int], items: list[BackwardInputs]
    ) -> list[Any]:
        """Return what `Layer.backward` gives for each part."""
        return [layer.backward(*item) for item in items]

    def note(self, index: int, layer: Layer, parts: list[int]) -> None:
        """Note what a layer's states have become in these parts."""

    def moved(self, part: int) -> Leaf:
        """Return by how much a part has moved the layers' states."""
        return []

    def states(self) -> Leaf:
        """Return arrays like those of `moved`."""
        return []

    def settle(self, moved: Leaf) -> None:
        """Move the layers' states by the sum over all parts."""


class _CallsOfParts(_Calls):
    """Calls layers on the parts of one mini-batch: each finds them as the iteration did.

    What they change in `Layer.state` moves by the mean over the parts of what each has made of it:
    moving averages move once. Of integers and flags it is the largest. NumPy generators that layers
    hold give each part numbers of its own.
    """

    def __init__(self, layers: Sequence[Layer], count: int, batch: Batch) -> None:
        self._layers = layers
        self._before = [_states_of(index, layer) for index, layer in enumerate(layers)]
        self._after: dict[int, dict[int, Leaf]] = {part: {} for part, _, _ in batch.parts}
        self._shares = {part: len(codes) / batch.size for part, _, codes in batch.parts}
        held = generators(layers)
        self._seeds = {key: each.integers(2**63, size=(2, count)) for key, each in held.items()}
        self._held = held
        self._next = {key: each.bit_generator.state for key, each in held.items()}

    def forward(
        self, index: int, layer: Layer, parts: list[int], inputs: list[FloatArray]
    ) -> list[Any]:
        results = []
        for part, X in zip(parts, inputs, strict=True):
            self._begin(index, layer, part, self._before[index], 0)
            results.append(layer.forward(X))
            self.note(index, layer, [part])
        return results

    def backward(
        self, index: int, layer: Layer, parts: list[int], items: list[BackwardInputs]
    ) -> list[Any]:
        results = []
        for part, item in zip(parts, items, strict=True):
            self._begin(index, layer, part, self._after[part][index], 1)
            results.append(layer.backward(*item))
            self.note(index, layer, [part])
        return results

    def moved(self, part: int) -> Leaf:
        share = self._shares[part]
        return [
            np.where(new == old, 0, new - old) * old.dtype.type(share) if _is_float(old) else new
            for index, before in enumerate(self._before)
            for old, new in zip(before, self._after[part][index], strict=True)
        ]

    def states(self) -> Leaf:
        return [state for states in self._before for state in states]

    def settle(self, moved: Leaf) -> None:
        given = iter(moved)
        for layer, before in zip(self._layers, self._before, strict=True):
            steps = [next(given) for _ in before]
            _set_states(
                layer,
                [
                    old + step if _is_float(old) else step
                    for old, step in zip(before, steps, strict=True)
                ],
            )
        for key, generator in self._held.items():
            generator.bit_generator.state = self._next[key]

    def _begin(self, index: int, layer: Layer, part: int, states: Leaf, direction: int) -> None:
        """Let a layer find its states, and its generators numbers of the part's own."""
        _set_states(layer, states)
        for key, generator in self._held.items():
            if key.startswith(f"{index}."):
                seed = int(self._seeds[key][direction, part])
                generator.bit_generator.state = type(generator.bit_generator)(seed).state

    def note(self, index: int, layer: Layer, parts: list[int]) -> None:
        states = _states_of(index, layer)
        for name, old, new in zip(layer.state, self._before[index], states, strict=True):
            who = f"{label(index, layer)}: its state {name!r} must "
            if (new.shape, new.dtype) != (old.shape, old.dtype):
                raise TypeError(
                    f"{who}stay of shape {old.shape} and dtype {old.dtype} where mini-batches have "
                    f"parts, not become of shape {new.shape} and dtype {new.dtype}"
                )
            if _is_float(old) and not np.isfinite(old[new != old]).all():
                raise ValueError(f"{who}begin finite where mini-batches have parts, not as {old}")
        for part in parts:
            self._after[part][index] = states


def _states_of(index: int, layer: Layer) -> Leaf:
    states = []
    for name in layer.state:
        value = getattr(layer, name)
        array = np.array(value)
        if isinstance(value, (list, tuple)) or array.dtype.kind not in "fiub":
            raise TypeError(
                f"{label(index, layer)}: its state {name!r} must be an array of numbers where "
                f"mini-batches have parts, not {type(value).__name__}"
            )
        states.append(array)
    return states


def _set_states(layer: Layer, states: Leaf) -> None:
    for name, value in zip(layer.state, states, strict=True):
        setattr(layer, name, np.array(value))


def _is_float(array: AnyArray) -> bool:
    return array.dtype.kind == "f"
