"""Mini-batches in parts, and the order in which what the parts give is added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from .._support.typing import AnyArray

Leaf = list[AnyArray]
"""What a part gives: arrays, of the same shapes and dtypes for all parts."""

Node = tuple[int, int]
"""The parts from the first number up to the second: a node of the tree of sums."""


class Parts:
    """How mini-batches are cut, and which of the parts are one rank's.

    The parts of a mini-batch differ by one image at most. Ranks have neighbouring parts, and what
    the parts give is added in a binary tree that the number of parts determines: sums have the same
    bits for any number of ranks.

    Parameters
    ----------
    count : int
        Parts of a mini-batch.
    rank, size : int
        The rank, and the number of ranks.
    """

    def __init__(self, count: int, rank: int = 0, size: int = 1) -> None:
        self.count = count
        self._size = size
        self.own = self._of(rank)
        self._siblings = dict(_siblings((0, count)))

    def _of(self, rank: int) -> range:
        return range(rank * self.count // self._size, (rank + 1) * self.count // self._size)

    def slices(self, images: int) -> list[tuple[int, slice]]:
        """Return the rank's own parts of so many images that hold any: their numbers and places."""
        bounds = [part * images // self.count for part in range(self.count + 1)]
        places = ((part, slice(bounds[part], bounds[part + 1])) for part in self.own)
        return [(part, place) for part, place in places if place.start < place.stop]

    def sent(self, rank: int, images: int) -> list[Node]:
        """Return the largest nodes that lie within a rank's parts and hold images."""
        own = self._of(rank)
        return [
            node
            for node in _within((0, self.count), own.start, own.stop)
            if node[0] * images // self.count < node[1] * images // self.count
        ]

    def add(self, nodes: dict[Node, Leaf], node: Node, leaf: Leaf) -> None:
        """Put what lies below a node to the others: siblings are replaced by their sum."""
        while node in self._siblings and self._siblings[node][0] in nodes:
            sibling, parent = self._siblings[node]
            leaf = _sum(nodes.pop(sibling), leaf)
            node = parent
        nodes[node] = leaf

    def total(self, nodes: Mapping[Node, Leaf], node: Node | None = None) -> Leaf:
        """Add up what lies below a node, by default the root; it must hold images."""
        total = _total(nodes, node or (0, self.count))
        assert total is not None
        return total


def _total(nodes: Mapping[Node, Leaf], node: Node) -> Leaf | None:
    """Add up what lies below a node; None if that is nothing."""
    if node in nodes or node[1] - node[0] == 1:
        return nodes.get(node)
    left, right = (_total(nodes, half) for half in _halves(node))
    if left is None or right is None:
        return right if left is None else left
    return _sum(left, right)


def _siblings(node: Node) -> Iterator[tuple[Node, tuple[Node, Node]]]:
    """Yield each node below one, its sibling and their parent."""
    if node[1] - node[0] > 1:
        left, right = _halves(node)
        yield left, (right, node)
        yield right, (left, node)
        yield from _siblings(left)
        yield from _siblings(right)


def _halves(node: Node) -> tuple[Node, Node]:
    middle = (node[0] + node[1]) // 2
    return (node[0], middle), (middle, node[1])


def _within(node: Node, first: int, end: int) -> Iterator[Node]:
    if node[1] <= first or end <= node[0]:
        return
    if first <= node[0] and node[1] <= end:
        yield node
        return
    for half in _halves(node):
        yield from _within(half, first, end)


def _sum(one: Leaf, other: Leaf) -> Leaf:
    """Add; of counters and flags, which every part has moved alike, take the largest."""
    return [
        a + b if a.dtype.kind == "f" else np.maximum(a, b) for a, b in zip(one, other, strict=True)
    ]


def pack(leaves: list[Leaf]) -> npt.NDArray[np.uint8]:
    """Return the bytes of the arrays, one after the other."""
    arrays = [np.ascontiguousarray(array) for leaf in leaves for array in leaf]
    return np.concatenate([np.empty(0, np.uint8), *(a.reshape(-1).view(np.uint8) for a in arrays)])


def unpack(data: memoryview, count: int, like: Leaf) -> list[Leaf]:
    """Return so many leaves, whose arrays are like those of another, of what `pack` returned."""
    leaves, start = [], 0
    for _ in range(count):
        leaf = []
        for array in like:
            values = np.frombuffer(data, array.dtype, array.size, start)
            leaf.append(values.reshape(array.shape))
            start += array.nbytes
        leaves.append(leaf)
    assert start == len(data)
    return leaves
