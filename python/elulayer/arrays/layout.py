"""The memory layouts that the kernels read: dense arrays, their axes in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[Any]


def memory_order(array: _Array) -> list[int]:
    """Axes of a dense array from the slowest to the fastest in memory."""
    if array.flags.c_contiguous:
        return list(range(array.ndim))
    # An axis of length 1 may have any stride: its place among the others means nothing.
    return sorted(range(array.ndim), key=lambda axis: -array.strides[axis])


def is_dense(array: _Array) -> bool:
    """Whether the elements fill one block of memory, aligned and without gaps or repeats."""
    if not array.flags.aligned:
        return False
    if array.flags.c_contiguous or array.size == 0:
        return True
    expected = array.itemsize
    for axis in reversed(memory_order(array)):
        if array.shape[axis] != 1:
            if array.strides[axis] != expected:
                return False
            expected *= array.shape[axis]
    return True


def dense(array: _Array) -> _Array:
    """`array` itself if it is dense, else a dense copy with its axes in the same order."""
    return array if is_dense(array) else np.copy(array, order="K")


def flat(array: _Array) -> _Array:
    """Return a dense array's memory as a C-contiguous array, without a copy."""
    return array if array.flags.c_contiguous else array.transpose(memory_order(array))


def same_layout(a: _Array, b: _Array) -> bool:
    """Whether the elements of two arrays of one shape and dtype stand in the same places."""
    if a.strides == b.strides:
        return True
    return all(n == 1 or s == t for n, s, t in zip(a.shape, a.strides, b.strides, strict=True))


def in_layout_of(x: _Array, array: _Array) -> _Array:
    """`array` itself if it is aligned and has dense x's layout, else a copy that has."""
    if same_layout(array, x) and array.flags.aligned:
        return array
    copy = np.empty_like(x)
    copy[...] = array
    return copy
