"""Arrays in host memory: NumPy's, and what NumPy can read."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support.checks import as_array, kind_of
from .layout import layout_of
from .place import (
    ITEM_SIZES,
    Operand,
    Place,
    check_dtype,
    check_range,
    is_number,
    not_positive,
    requires_gradient,
)

_Array = npt.NDArray[Any]


class Host(Place):
    """Host memory.

    Parameters
    ----------
    num_threads : int
        0 for OpenMP's own setting.
    """

    copies_results = True

    def __init__(self, num_threads: int) -> None:
        self._num_threads = num_threads

    @property
    def where(self) -> str:
        """The place, as messages have it."""
        return "in host memory"

    def read(self, value: Any, name: str) -> Operand:
        """Return what NumPy makes of an argument; nothing is converted to another dtype."""
        operand = _operand(_as_array(value, name), name)
        check_dtype(operand.dtype, name)
        return operand

    def read_alpha(self, value: Any, name: str, dtype: str) -> Operand:
        """Return Python numbers as an array of this dtype; an array stays what it is."""
        if is_number(value):
            check_range(value, name, dtype)
            return _operand(np.array(value, dtype), name)
        if isinstance(value, (list, tuple)):
            leaves = list(_leaves(value))
            if all(map(is_number, leaves)):
                for number in leaves:
                    check_range(number, name, dtype)
                try:
                    return _operand(np.array(value, dtype), name)
                except ValueError:
                    text = reprlib.repr(value)
                    raise ValueError(f"{name} must be an array of numbers, not {text}") from None
        return _operand(_as_array(value, name), name)

    def check_positive(self, alpha: Operand) -> None:
        """Check all."""
        positive = alpha.array > 0
        if not positive.all():
            raise not_positive(alpha.array[~positive][0])

    def read_out(self, value: Any) -> Operand:
        """Return an ndarray that can be written to."""
        if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"out must be an ndarray, not {kind_of(value)}")
        if not value.flags.writeable:
            raise ValueError("out must be an array that can be written to, not a read-only one")
        return _operand(value, "out")

    def dense(self, operand: Operand) -> Operand:
        """Return a dense copy, its axes in the same order."""
        return _operand(np.copy(operand.array, order="K"), operand.name)

    def empty_like(self, x: Operand) -> Operand:
        """Return a new array of dense x's dtype and layout."""
        return _operand(_core.empty_like(x.array), "the result")

    def empty(self, shape: tuple[int, ...], dtype: str) -> Operand:
        """Return a new vector, or an array without dimensions."""
        return _operand(np.empty(shape, dtype), "the result")

    def zeros_like(self, x: Operand) -> Operand:
        """Return zeros in dense x's dtype and layout."""
        return _operand(np.zeros_like(x.array), "zeros")

    def assign(self, target: Operand, source: Operand) -> None:
        """Copy the elements of an array into another one."""
        target.array[...] = source.array

    def compute(
        self,
        kernel: str,
        inputs: Sequence[Operand],
        alpha: Operand,
        outputs: Sequence[Operand],
        rows: tuple[int, int, int],
    ) -> None:
        """Call a kernel of ``_core``."""
        bits = [_bits(operand) for operand in (*inputs, alpha, *outputs)]
        getattr(_core, kernel)(*bits, *rows, self._num_threads)

    def given_back(self, operand: Operand) -> Any:
        """Return the array, or the NumPy scalar that one without dimensions holds."""
        return operand.array if operand.layout.shape else operand.array[()]


_NAMES = {np.dtype(name): name for name in ("float32", "float64", "float16")}


def _leaves(value: Any) -> Iterator[Any]:
    """Yield what is in nested lists and tuples."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _as_array(value: Any, name: str) -> _Array:
    try:
        array = as_array(name, value)
    except TypeError as error:
        if getattr(value, "requires_grad", False) is True:
            raise requires_gradient(name) from None
        if type(value).__module__ == "torch":
            raise TypeError(f"{error}; elulayer.torch.elu takes tensors") from error
        raise
    if not array.dtype.isnative and array.dtype.newbyteorder("=").name in ITEM_SIZES:
        raise TypeError(
            f"{name} must be in this machine's byte order, not of dtype {array.dtype.str!r}; "
            f"convert it with {name}.astype({name}.dtype.newbyteorder('='))"
        )
    return array


def _operand(array: _Array, name: str) -> Operand:
    layout = layout_of(array.shape, array.strides, array.itemsize)
    dtype = _NAMES.get(array.dtype) or str(array.dtype)
    return Operand(name, array, dtype, layout, array.flags.aligned)


def _bits(operand: Operand) -> _Array:
    """Return a dense array's memory as the kernels take it: in C order, bfloat16 as uint16."""
    array: _Array = operand.array
    if not operand.layout.is_c_order:
        array = array.transpose(operand.layout.axes)
    return array.view(np.uint16) if operand.dtype == "bfloat16" else array
