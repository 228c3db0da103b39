"""Places where arrays are, and arrays there as kernels take them: host memory, a GPU."""

from __future__ import annotations

import math
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from .layout import Layout

ITEM_SIZES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
"""The dtypes that the kernels take."""


class Operand:
    """An array that a kernel reads or writes.

    Attributes
    ----------
    name : str
        Of the argument.
    array : object
        The array; for an alpha that a kernel takes by value, the number.
    dtype : str
    layout : Layout
    is_aligned : bool
        Whether each element begins at a multiple of its size.
    """

    __slots__ = ("_address", "array", "dtype", "is_aligned", "layout", "name")

    def __init__(
        self,
        name: str,
        array: Any,
        dtype: str,
        layout: Layout,
        is_aligned: bool,
        address: int | None = None,
    ) -> None:
        self.name = name
        self.array = array
        self.dtype = dtype
        self.layout = layout
        self.is_aligned = is_aligned
        self._address = address

    @property
    def address(self) -> int:
        """Of the first element. To ask NumPy takes a while, so it is asked where it matters."""
        return int(self.array.ctypes.data) if self._address is None else self._address

    def is_same_memory(self, other: Operand) -> bool:
        """Whether each element of two arrays of one dtype is that of the other too."""
        return (
            self.address == other.address
            and self.layout.shape == other.layout.shape
            and self.layout.matches(other.layout)
        )

    def overlaps(self, other: Operand) -> bool:
        """Whether two arrays may have memory in common."""
        if not self.layout.size or not other.layout.size:
            return False
        begin, end = self.layout.span
        other_begin, other_end = other.layout.span
        distance = other.address - self.address
        return begin < distance + other_end and distance + other_begin < end


class Place(ABC):
    """Where arrays are, and what can be done there.

    Used as a context around all that is made and computed.

    Attributes
    ----------
    copies_results : bool
        Whether a result can be computed elsewhere and copied to where it has to be.
    """

    copies_results: bool

    @property
    @abstractmethod
    def where(self) -> str:
        """The place, as messages have it."""

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *error: object) -> None:
        return

    @abstractmethod
    def read(self, value: Any, name: str) -> Operand:
        """Return an argument's array."""

    @abstractmethod
    def read_alpha(self, value: Any, name: str, dtype: str) -> Operand:
        """Return alpha, or what is like it: Python numbers in this dtype, or an array."""

    @abstractmethod
    def check_positive(self, alpha: Operand) -> None:
        """Check that every alpha that can be looked at without waiting is positive."""

    @abstractmethod
    def read_out(self, value: Any) -> Operand:
        """Return an array that can be written to."""

    @abstractmethod
    def dense(self, operand: Operand) -> Operand:
        """Return a dense copy."""

    @abstractmethod
    def empty_like(self, x: Operand) -> Operand:
        """Return a new array of dense x's dtype and layout."""

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: str) -> Operand:
        """Return a new vector, or an array without dimensions."""

    @abstractmethod
    def assign(self, target: Operand, source: Operand) -> None:
        """Copy the elements of an array into another one."""

    @abstractmethod
    def compute(
        self,
        kernel: str,
        inputs: Sequence[Operand],
        alpha: Operand,
        outputs: Sequence[Operand],
        rows: tuple[int, int, int],
    ) -> None:
        """Call a kernel on dense arrays of one layout, seen as (outer, channels, inner)."""

    @abstractmethod
    def given_back(self, operand: Operand) -> Any:
        """Return a result as the caller is to have it."""


def check_dtype(dtype: str, name: str) -> None:
    """Check that the kernels take a dtype."""
    if dtype not in ITEM_SIZES:
        *most, last = ITEM_SIZES
        cure = ": convert it to float32 or float64 first" * dtype.startswith(
            ("int", "uint", "bool")
        )
        raise TypeError(f"{name} must have dtype {', '.join(most)} or {last}, not {dtype}{cure}")


def dtype_of_alpha(dtype: str) -> str:
    """Return alpha's dtype for arrays of this dtype: float32 for the 16-bit ones."""
    return "float64" if dtype == "float64" else "float32"


def widens(dtype: str, wanted: str) -> bool:
    """Whether numbers of one dtype are numbers of the other: floating ones that are no wider."""
    return dtype == wanted or ITEM_SIZES.get(dtype, 8) < ITEM_SIZES[wanted]


def is_number(value: object) -> bool:
    """Whether this is a number that is converted: Python's, or NumPy's of Python's float.

    Other scalars and arrays keep their dtypes.
    """
    return type(value) in (int, float, np.float64)


_LARGEST = {dtype: float(np.finfo(dtype).max) for dtype in ("float32", "float64")}


def check_range(value: float, name: str, dtype: str) -> None:
    """Check that a Python number is in the range of a dtype, or infinite, or NaN."""
    # A comparison takes integers of any size.
    if abs(value) > _LARGEST[dtype] and not (isinstance(value, float) and math.isinf(value)):
        raise ValueError(f"{name} must be in the range of {dtype}, not {reprlib.repr(value)}")


def requires_gradient(name: str) -> TypeError:
    """Return the error for a tensor that is part of a graph, as no result would be."""
    return TypeError(
        f"{name} must not require a gradient, as the result is no part of a graph for automatic "
        f"differentiation: elulayer.torch.elu is differentiable, {name}.detach() is taken here"
    )


def not_positive(alpha: object) -> ValueError:
    """Return the error for an alpha from which backward cannot start with the output."""
    return ValueError(f"alpha must be greater than 0 where output is given, not {alpha}")
