"""One iteration's loss and gradients: of parts of the mini-batch, added over all ranks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._support.typing import AnyArray, FloatArray
from ..layers import Layer
from ..network import Network
from ..network.network import BackwardInputs
from .parts import Leaf, Node, Parts, pack, unpack
from .ranks import Ranks
from .sources import Batch, Part


class Step(NamedTuple):
    """What an iteration finds out; the gradients are as `Network.backward` returns them."""

    loss: float
    accuracy: float
    gradients: list[list[FloatArray]]


class Steps:
    """Computes the loss and the gradients of mini-batches.

    The loss of a mini-batch is that of its parts, each times its share of the images; so are the
    gradients. What layers change in `Layer.state` as they go forward is the mean over the parts of
    what each has made of the iteration's first values, in the same way: moving averages have moved
    once. Of integers it is the largest. NumPy generators that layers hold give each part numbers of
    its own.

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
        self._one_hot = np.eye(network.num_classes, dtype=np.float32)
        self._calls = _Apart() if parts.count == 1 else _InParts(parts, ranks, synchronized)

    def take(self, batch: Batch, what: str) -> Step:
        """Compute them for a mini-batch; `what` names the iteration for messages."""
        calls = self._calls
        calls.begin(self._network, batch)
        nodes: dict[Node, Leaf] = {}
        for places in calls.groups():
            found = self._of_group([batch.parts[place] for place in places], batch.size)
            for place, leaf in zip(places, found, strict=True):
                part = batch.parts[place][0]
                self._parts.add(nodes, (part, part + 1), leaf + calls.moved(place))
        loss, right, *rest = self._total(nodes, batch.size, what)
        given = iter(rest)
        gradients = [
            [next(given) for _ in layer.learnables] if index >= self._first else []
            for index, layer in enumerate(self._network.layers)
        ]
        calls.settle(list(given))
        return Step(float(loss), 100 * (float(right) / batch.size), gradients)

    def _of_group(self, parts: list[Part], images: int) -> list[Leaf]:
        """Return for each part its loss, how many images are classified rightly, and gradients."""
        network, calls = self._network, self._calls
        tapes = network.forward_parts([X for _, X, _ in parts], calls.forward)
        found: list[Leaf] = []
        derivatives: list[FloatArray] = []
        for tape, (_, _, codes) in zip(tapes, parts, strict=True):
            P, T = tape[-1][1], self._one_hot[codes]
            share = len(codes) / images
            loss = network.output_layer.loss(P, T) * share
            right = (P.argmax(axis=1) == codes).sum()
            found.append([np.array(loss), np.array(right, float)])
            dLdY = network.output_layer.backward_loss(P, T)
            derivatives.append(dLdY if share == 1 else dLdY * np.float32(share))
        gradients = network.backward_parts(tapes, derivatives, self._first, calls.backward)
        for leaf, of_part in zip(found, gradients, strict=True):
            leaf += [gradient for of_layer in of_part for gradient in of_layer]
        return found

    def _total(self, nodes: dict[Node, Leaf], images: int, what: str) -> Leaf:
        """Add up what the parts of all ranks give."""
        parts, ranks = self._parts, self._ranks
        if ranks.size > 1:
            own = [parts.total(nodes, node) for node in parts.sent(ranks.rank, images)]
            every = ranks.gather(pack([leaf for leaf in own if leaf is not None]), what)
            nodes, like = {}, self._like()
            for rank, data in enumerate(every):
                sent = parts.sent(rank, images)
                nodes.update(zip(sent, unpack(data, len(sent), like), strict=True))
        total = parts.total(nodes)
        assert total is not None  # a mini-batch has images
        return total

    def _like(self) -> Leaf:
        """Return arrays of the shapes and dtypes of those that a part gives."""
        learnables = [
            np.asarray(getattr(layer, name))
            for layer in self._network.layers[self._first :]
            for name in layer.learnables
        ]
        return [np.zeros(()), np.zeros(()), *learnables, *self._calls.states()]


class _Apart:
    """Calls the layers on mini-batches of one part."""

    def begin(self, network: Network, batch: Batch) -> None:
        """Begin an iteration."""
        self._count = len(batch.parts)

    def groups(self) -> Iterable[range]:
        """Return the places of parts that go through the layers together."""
        return [range(self._count)]

    def forward(self, index: int, layer: Layer, inputs: list[FloatArray]) -> list[Any]:
        """Return what the layer's `Layer.forward` gives for each part of a group."""
        return [layer.forward(X) for X in inputs]

    def backward(self, index: int, layer: Layer, items: list[BackwardInputs]) -> list[Any]:
        """Return what its `Layer.backward` gives."""
        return [layer.backward(*item) for item in items]

    def moved(self, place: int) -> Leaf:
        """Return what a part has made of the layers' states."""
        return []

    def states(self) -> Leaf:
        """Return arrays like those of a part in `moved`."""
        return []

    def settle(self, moved: Leaf) -> None:
        """Give the layers the states that the sum of all parts' has come to."""


class _InParts(_Apart):
    """Calls the layers on parts: each finds them as the iteration did."""

    def __init__(self, parts: Parts, ranks: Ranks, synchronized: bool) -> None:
        self._parts = parts
        self._ranks = ranks
        self._synchronized = synchronized

    def begin(self, network: Network, batch: Batch) -> None:
        self._network, self._batch = network, batch
        self._before = [_states_of(layer) for layer in network.layers]
        self._moved: list[Leaf] = [[] for _ in batch.parts]
        self._numbers = _Numbers(network.layers, self._parts.count)

    def groups(self) -> Iterable[range]:
        # One after the other they stay in cache; together, all wait for their common statistics.
        count = len(self._batch.parts)
        one_by_one = [range(place, place + 1) for place in range(count)]
        for group in [range(count)] if self._synchronized else one_by_one:
            self._places = group
            yield group

    def forward(self, index: int, layer: Layer, inputs: list[FloatArray]) -> list[Any]:
        if self._together(layer):
            results = layer.forward_together(inputs, self._gather)  # type: ignore[attr-defined]
            for place in self._places:
                self._note(index, layer, place)
            return list(results)
        results = []
        for place, X in zip(self._places, inputs, strict=True):
            _set_states(layer, self._before[index])
            self._numbers.of_part(layer, self._batch.parts[place][0])
            results.append(layer.forward(X))
            self._note(index, layer, place)
        return results

    def backward(self, index: int, layer: Layer, items: list[BackwardInputs]) -> list[Any]:
        if self._together(layer):
            return list(layer.backward_together(items, self._gather))  # type: ignore[attr-defined]
        return super().backward(index, layer, items)

    def moved(self, place: int) -> Leaf:
        return self._moved[place]

    def states(self) -> Leaf:
        return [state for states in self._before for state in states]

    def settle(self, moved: Leaf) -> None:
        self._numbers.of_next_iteration()
        given = iter(moved)
        for layer, before in zip(self._network.layers, self._before, strict=True):
            _set_states(
                layer,
                [
                    (old + new if _is_float(old) else new).astype(old.dtype)
                    for old, new in zip(before, given, strict=False)
                ],
            )

    def _note(self, index: int, layer: Layer, place: int) -> None:
        share = len(self._batch.parts[place][2]) / self._batch.size
        for old, new in zip(self._before[index], _states_of(layer), strict=True):
            self._moved[place].append(
                ((new - old) * share).astype(old.dtype) if _is_float(old) else new
            )

    def _together(self, layer: Layer) -> bool:
        return self._synchronized and hasattr(layer, "forward_together")

    def _gather(self, own: list[Any]) -> list[Any]:
        """Return what all parts give, in their order."""
        every = self._ranks.gather_objects(own, "batch normalization")
        return [thing for things in every for thing in things]


def _states_of(layer: Layer) -> Leaf:
    return [np.array(getattr(layer, name)) for name in layer.state]


def _set_states(layer: Layer, states: Leaf) -> None:
    for name, value in zip(layer.state, states, strict=True):
        setattr(layer, name, value.copy())


def _is_float(array: AnyArray) -> bool:
    return array.dtype.kind in "fc"


class _Numbers:
    """What the layers' generators give: other numbers for each part, whoever computes it."""

    def __init__(self, layers: Sequence[Layer], count: int) -> None:
        self._seeds = {
            id(generator): generator.integers(2**63, size=count)
            for layer in layers
            for generator in _generators_of(layer)
        }
        self._after = [
            (generator, generator.bit_generator.state)
            for layer in layers
            for generator in _generators_of(layer)
        ]

    def of_part(self, layer: Layer, part: int) -> None:
        """Let the layer's generators begin with a part's numbers."""
        for generator in _generators_of(layer):
            seed = int(self._seeds[id(generator)][part])
            generator.bit_generator.state = type(generator.bit_generator)(seed).state

    def of_next_iteration(self) -> None:
        """Let all generators go on with numbers that no part was given."""
        for generator, state in self._after:
            generator.bit_generator.state = state


def _generators_of(layer: Layer) -> list[np.random.Generator]:
    return [each for each in vars(layer).values() if isinstance(each, np.random.Generator)]
