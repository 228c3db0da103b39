"""Where the elements of an array stand in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache


@dataclass(frozen=True, eq=False)
class Layout:
    """The memory layout of an array in host memory or on a GPU; `layout_of` makes it.

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

    @cached_property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @cached_property
    def axes(self) -> tuple[int, ...] | None:
        """The axes from the slowest to the fastest in memory, None where there are gaps.

        Without gaps the elements fill one block of memory, and the array is called dense.
        """
        in_c_order = tuple(range(len(self.shape)))
        if self.size == 0:
            return in_c_order
        # An axis of length 1 may have any stride: its place among the others means nothing.
        by_stride = tuple(sorted(in_c_order, key=lambda axis: -self.strides[axis]))
        for axes in (in_c_order, by_stride):
            expected = self.itemsize
            for axis in reversed(axes):
                if self.shape[axis] != 1:
                    if self.strides[axis] != expected:
                        break
                    expected *= self.shape[axis]
            else:
                return axes
        return None

    @cached_property
    def is_dense(self) -> bool:
        """Whether the elements fill one block of memory, the axes in any order."""
        return self.axes is not None

    @cached_property
    def is_c_order(self) -> bool:
        """Whether they do so with the last axis the fastest."""
        return self.axes == tuple(range(len(self.shape)))

    @cached_property
    def rows(self) -> tuple[tuple[int, int, int], ...]:
        """A dense array's memory as (outer, channels, inner), for the channels on each axis."""
        return tuple(self._rows(axis) for axis in range(len(self.shape)))

    def _rows(self, axis: int) -> tuple[int, int, int]:
        assert self.axes is not None
        if self.shape[axis] == 1:  # where an axis of length 1 stands in memory is not defined
            return 1, 1, self.size
        place, extents = self.axes.index(axis), [self.shape[i] for i in self.axes]
        return math.prod(extents[:place]), extents[place], math.prod(extents[place + 1 :])

    @cached_property
    def span(self) -> tuple[int, int]:
        """Where the bytes of an array that has some begin and end, from its first element."""
        reach = [(n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)]
        return sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach) + self.itemsize

    def matches(self, other: Layout) -> bool:
        """Whether the elements of an array of the same shape stand in the same places."""
        if self.strides == other.strides or self.size == 0:
            return True
        strides = zip(self.shape, self.strides, other.strides, strict=True)
        return all(extent == 1 or own == others for extent, own, others in strides)


# A program has few layouts, and asks the same of them in every call.
layout_of = lru_cache(maxsize=1024)(Layout)
