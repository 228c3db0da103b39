"""Where the elements of an array stand in memory."""

from __future__ import annotations

import math
from functools import lru_cache
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
    def is_dense(self) -> bool:
        """Whether the elements fill one block of memory, the axes in any order."""
        return _dense_axes(self) is not None

    @property
    def is_c_order(self) -> bool:
        """Whether they do so with the last axis the fastest."""
        return _is_c_order(self)

    def axes(self) -> tuple[int, ...]:
        """Return the axes of a dense array from the slowest to the fastest in memory."""
        axes = _dense_axes(self)
        assert axes is not None
        return axes

    def matches(self, other: Layout) -> bool:
        """Whether the elements of an array of the same shape stand in the same places."""
        if self.strides == other.strides or self.size == 0:
            return True
        strides = zip(self.shape, self.strides, other.strides, strict=True)
        return all(extent == 1 or own == others for extent, own, others in strides)

    def rows(self, axis: int) -> tuple[int, int, int]:
        """Return a dense array's memory as (outer, channels, inner), the channels on this axis."""
        return _rows(self, axis)

    def span(self) -> tuple[int, int]:
        """Return where an array's bytes begin and end, seen from its first element."""
        return _span(self)


# A program has few layouts, and asks the same of them in every call.


@lru_cache(maxsize=1024)
def _dense_axes(layout: Layout) -> tuple[int, ...] | None:
    """Return the axes of an array from the slowest to the fastest in memory; None if not dense."""
    shape, strides, itemsize = layout
    in_c_order = tuple(range(len(shape)))
    if 0 in shape:
        return in_c_order
    # An axis of length 1 may have any stride: its place among the others means nothing.
    for axes in (in_c_order, tuple(sorted(in_c_order, key=lambda axis: -strides[axis]))):
        expected = itemsize
        for axis in reversed(axes):
            if shape[axis] != 1:
                if strides[axis] != expected:
                    break
                expected *= shape[axis]
        else:
            return axes
    return None


@lru_cache(maxsize=1024)
def _is_c_order(layout: Layout) -> bool:
    return _dense_axes(layout) == tuple(range(len(layout.shape)))


@lru_cache(maxsize=1024)
def _rows(layout: Layout, axis: int) -> tuple[int, int, int]:
    if layout.shape[axis] == 1:  # where an axis of length 1 stands in memory is not defined
        return 1, 1, layout.size
    axes = layout.axes()
    place, extents = axes.index(axis), [layout.shape[i] for i in axes]
    return math.prod(extents[:place]), extents[place], math.prod(extents[place + 1 :])


@lru_cache(maxsize=1024)
def _span(layout: Layout) -> tuple[int, int]:
    if layout.size == 0:
        return 0, 0
    reach = [(n - 1) * stride for n, stride in zip(layout.shape, layout.strides, strict=True)]
    return sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach) + layout.itemsize
