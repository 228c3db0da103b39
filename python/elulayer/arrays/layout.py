"""Where the elements of an array stand in memory."""

from __future__ import annotations

import math
from typing import NamedTuple


class Layout(NamedTuple):
    """The memory layout of an array in host memory or on a GPU.

    Attributes
    ----------
    shape : tuple of int
    strides : tuple of int
        In bytes.
    itemsize : int
        In bytes.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_c_order(self) -> bool:
        """Whether the elements fill one block of memory, the last axis the fastest."""
        expected = self.itemsize
        for extent, stride in zip(reversed(self.shape), reversed(self.strides), strict=True):
            if extent != 1:
                if stride != expected:
                    return 0 in self.shape
                expected *= extent
        return True

    def axes(self) -> list[int]:
        """Return the axes of a dense array from the slowest to the fastest in memory."""
        if self.is_c_order:
            return list(range(len(self.shape)))
        # An axis of length 1 may have any stride: its place among the others means nothing.
        return sorted(range(len(self.shape)), key=lambda axis: -self.strides[axis])

    def in_order(self, axes: list[int]) -> Layout:
        """Return the layout of the array with its axes in this order."""
        shape, strides = self.shape, self.strides
        return Layout(tuple(shape[i] for i in axes), tuple(strides[i] for i in axes), self.itemsize)

    @property
    def is_dense(self) -> bool:
        """Whether the elements fill one block of memory, the axes in any order."""
        return self.is_c_order or self.in_order(self.axes()).is_c_order

    def matches(self, other: Layout) -> bool:
        """Whether the elements of an array of the same shape stand in the same places."""
        return (
            self.strides == other.strides
            or self.size == 0
            or all(
                extent == 1 or stride == others
                for extent, stride, others in zip(
                    self.shape, self.strides, other.strides, strict=True
                )
            )
        )

    def rows(self, axis: int) -> tuple[int, int, int]:
        """Return a dense array's memory as (outer, channels, inner), the channels on this axis."""
        if self.shape[axis] == 1:  # where an axis of length 1 stands in memory is not defined
            return 1, 1, self.size
        order = self.axes()
        extents, place = [self.shape[i] for i in order], order.index(axis)
        return math.prod(extents[:place]), extents[place], math.prod(extents[place + 1 :])

    def span(self, address: int) -> range:
        """Return the addresses of the bytes from the first to the last of an array."""
        if self.size == 0:
            return range(address, address)
        reach = [(n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)]
        first = address + sum(min(r, 0) for r in reach)
        return range(first, address + sum(max(r, 0) for r in reach) + self.itemsize)
