"""Checks and coercions of the arguments that the functions on arrays share."""

from __future__ import annotations

import math
import operator
import reprlib
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from .layout import dense, in_layout_of, memory_order, same_layout

_Array = npt.NDArray[Any]

_DTYPES = tuple(np.dtype(t) for t in (np.float32, np.float64, np.float16))
_DTYPE_NAMES = "float32, float64, float16 and bfloat16"


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether this is ml_dtypes' bfloat16, which need not be installed to ask."""
    return dtype.itemsize == 2 and dtype.name == "bfloat16"


def alpha_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Alpha's dtype for arrays of this dtype: float32 for the 16-bit ones."""
    return np.dtype(np.float32) if dtype.itemsize == 2 else dtype


def _check_dtype(array: _Array, name: str) -> None:
    dtype = array.dtype
    if dtype.isnative and (dtype in _DTYPES or is_bfloat16(dtype)):
        return
    if dtype.newbyteorder("=") in _DTYPES or is_bfloat16(dtype):
        raise TypeError(
            f"{name} has dtype {dtype.str!r}, which is not in this machine's byte order; "
            f"convert it with {name}.astype({name}.dtype.newbyteorder('='))"
        )
    raise TypeError(f"{name} has dtype {dtype}; {_DTYPE_NAMES} are taken")


def kind_of(value: object) -> str:
    """Return the type of a value, as messages name it."""
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def input_array(value: npt.ArrayLike, name: str) -> _Array:
    """`value` as an array of a dtype that the kernels take, dense."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be ignored; fill it first")
    try:
        array = np.asarray(value)
    except (TypeError, RuntimeError, BufferError) as error:  # of an array of another library
        raise TypeError(
            f"{name}, a {kind_of(value)}, cannot be read as an array: {error}"
        ) from error
    _check_dtype(array, name)
    if array.ndim == 0:
        raise ValueError(f"{name} has no dimension; an array with at least one is taken")
    return dense(array)


def input_like(value: npt.ArrayLike, name: str, x: _Array, x_name: str) -> _Array:
    """`value` as an array of dense x's dtype, shape and layout."""
    array = input_array(value, name)
    if array.dtype != x.dtype:
        raise TypeError(
            f"{name} has dtype {array.dtype} and {x_name} has {x.dtype}; they must be the same"
        )
    if array.shape != x.shape:
        raise ValueError(
            f"{name} has shape {array.shape} and {x_name} has {x.shape}; they must be the same"
        )
    return in_layout_of(x, array)


def alpha_and_shape(
    x: _Array, alpha: float | npt.ArrayLike, axis: int, x_name: str = "x"
) -> tuple[_Array, tuple[int, int, int]]:
    """Alpha as a vector, and dense x's memory as (outer, channels, inner)."""
    a = _alpha_in_dtype(alpha, x.dtype, x_name)
    shape = kernel_shape(x, a.shape, axis, x_name)
    return (np.require(a, requirements=["C", "A"]) if a.ndim else a.reshape(1)), shape


def kernel_shape(
    x: _Array, alpha_shape: tuple[int, ...], axis: int, x_name: str
) -> tuple[int, int, int]:
    """Dense x's memory as (outer, channels, inner), for an alpha of this shape."""
    if alpha_shape == ():
        return 1, 1, x.size
    try:
        if isinstance(axis, bool):
            raise TypeError
        axis = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis is {axis!r}; an integer is taken") from None
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis is {axis}; {x_name} has {x.ndim} dimensions")
    channels = x.shape[axis]
    if alpha_shape != (channels,):
        raise ValueError(
            f"alpha has shape {alpha_shape}; {x_name} has shape {x.shape} with {channels} channels "
            f"on axis {axis}: a scalar or shape ({channels},) is taken"
        )
    if channels == 1:  # where an axis of length 1 stands in memory is not defined
        return 1, 1, x.size
    order = memory_order(x)
    position = order.index(axis % x.ndim)
    outer = math.prod(x.shape[i] for i in order[:position])
    inner = math.prod(x.shape[i] for i in order[position + 1 :])
    return outer, channels, inner


def _alpha_in_dtype(alpha: float | npt.ArrayLike, dtype: np.dtype[Any], x_name: str) -> _Array:
    """Alpha as an array: Python numbers are converted, arrays must have alpha's dtype for x's."""
    wanted = alpha_dtype(dtype)
    a = in_range(alpha, "alpha", wanted)
    if a is not None:
        return a
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            a = np.asarray(alpha)
    except (ValueError, Warning):  # of rows that differ in length; NumPy 1.23 warns of them
        raise ValueError(
            f"alpha is {reprlib.repr(alpha)}; a number or a vector of one for each channel is taken"
        ) from None
    if isinstance(alpha, (list, tuple)) and a.ndim > 1:
        raise ValueError(f"alpha has shape {a.shape}; a scalar or a vector is taken")
    if a.dtype != wanted:
        if a.dtype.newbyteorder("=") == wanted:
            _check_dtype(a, "alpha")
        what = f"{x_name}'s dtype" if wanted == dtype else f"{wanted} (for {dtype})"
        raise TypeError(
            f"alpha has dtype {a.dtype} and {x_name} has {dtype}; "
            f"Python numbers or {what} are taken"
        )
    return a


def like_alpha(value: float | npt.ArrayLike, name: str, a: _Array, alpha: Any) -> _Array:
    """`value`, of the shape and dtype of the alpha that was given, as a vector like its `a`."""
    array = in_range(value, name, a.dtype)
    if array is None:
        array = np.asarray(value)
        if array.dtype != a.dtype or not array.dtype.isnative:
            raise TypeError(f"{name} has dtype {array.dtype} and alpha {a.dtype}")
    if array.shape != np.shape(alpha):
        raise ValueError(f"{name} has shape {array.shape} and alpha {np.shape(alpha)}")
    return np.require(array, requirements=["C", "A"]).reshape(a.shape)


def in_range(value: float | npt.ArrayLike, name: str, wanted: np.dtype[Any]) -> _Array | None:
    """Python numbers as an array of the dtype that is wanted; None for anything else."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be ignored; fill it first")
    numbers: Any = [value] if type(value) in (int, float) else value
    if not isinstance(numbers, (list, tuple)) or any(type(n) not in (int, float) for n in numbers):
        return None
    largest = float(np.finfo(wanted).max)
    for number in numbers:
        # An infinity is one in every dtype; a comparison takes integers of any size.
        if abs(number) > largest and not (isinstance(number, float) and math.isinf(number)):
            raise ValueError(
                f"{name} has {reprlib.repr(number)}, which is beyond the range of {wanted}"
            )
    return np.array(value, dtype=wanted)


def thread_count(num_threads: int | None) -> int:
    """`num_threads` as the kernels take it: 0 for OpenMP's own setting."""
    if num_threads is None:
        return 0
    if isinstance(num_threads, bool) or not isinstance(num_threads, (int, np.integer)):
        raise TypeError(f"num_threads is {num_threads!r}; None or a positive integer is taken")
    if not 1 <= num_threads < 2**31:
        raise ValueError(f"num_threads is {num_threads}; None or a positive integer is taken")
    return int(num_threads)


def _check_out(out: _Array, x: _Array) -> None:
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out is a {type(out).__name__}; an ndarray is taken")
    if out.dtype != x.dtype or not out.dtype.isnative:
        given, taken = (
            repr("bfloat16" if is_bfloat16(dtype) and dtype.isnative else dtype.str)
            for dtype in (out.dtype, x.dtype)
        )
        raise ValueError(f"out has dtype {given}; the result has {taken}")
    if out.shape != x.shape:
        raise ValueError(f"out has shape {out.shape}; the result has {x.shape}")
    if not out.flags.writeable:
        raise ValueError(f"out is read-only; the result of shape {x.shape} cannot be written to it")


class Result:
    """Where a result of dense x's layout goes: `out`, or a new array.

    Attributes
    ----------
    target : ndarray
        What the kernels write: `out` itself where it has the inputs' layout and is the same memory
        as an input or apart from it, else a temporary.
    """

    def __init__(self, out: _Array | None, x: _Array, *inputs: _Array) -> None:
        if out is None:
            self.out = self.target = np.empty_like(x)
            return
        _check_out(out, x)
        self.out = self.target = out
        if not same_layout(out, x) or not out.flags.aligned:
            self.target = np.empty_like(x)
        for array in (x, *inputs):
            same = out is array or out.ctypes.data == array.ctypes.data
            if not same and np.may_share_memory(out, array):
                self.target = np.empty_like(x)

    def apart(self, vector: _Array) -> _Array:
        """`vector`, copied where writing to `out` could change it."""
        return vector.copy() if np.may_share_memory(self.out, vector) else vector

    def finish(self) -> _Array:
        """Return `out`, with the result in it."""
        if self.target is not self.out:
            self.out[...] = self.target
        return self.out
