"""The exponential linear unit and its gradients as functions of NumPy arrays.

Here are the defaults, the checks and the coercions; the loops are in C++ (``cpp/cpu/kernels.cpp``).
"""

from __future__ import annotations

import math
import operator
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from . import _core
from ._layout import dense, flat, in_layout_of, memory_order, same_layout

__all__ = ["elu", "elu_backward"]

_T = TypeVar("_T", np.float32, np.float64)
_Array = npt.NDArray[Any]

_DTYPES = (np.dtype(np.float32), np.dtype(np.float64))
_DTYPE_NAMES = "float32 and float64"


def elu(
    x: npt.NDArray[_T],
    alpha: float | npt.ArrayLike = 1.0,
    *,
    axis: int = 1,
    out: npt.NDArray[_T] | None = None,
    num_threads: int | None = None,
) -> npt.NDArray[_T]:
    """Exponential linear unit with one alpha for all of `x` or one per channel.

    ``Z = x`` where ``x > 0``, and ``alpha * expm1(x)`` elsewhere [1]_. The function of the layer
    :class:`~elulayer.ELULayer`.

    Parameters
    ----------
    x : ndarray of float32 or float64, shape (..., C, ...)
        With at least one dimension; NCHW and NC with the default `axis`. Any memory order that is
        dense (NHWC, say, or a transpose) is read as it is; other strides are copied once.
    alpha : float or ndarray of shape (C,)
        Python numbers, or values of x's dtype. They may be zero or negative.
    axis : int
        The axis of the channels; not looked at where `alpha` is a scalar.
    out : ndarray, optional
        Where the result goes: of x's shape and dtype. It may be `x` itself; if it overlaps the
        inputs in another way, the result is as if it did not.
    num_threads : int, optional
        By default what OpenMP's own setting says (``OMP_NUM_THREADS``, threadpoolctl). Small arrays
        and forked child processes use one thread.

    Returns
    -------
    ndarray of x's shape, dtype and memory order
        `out` where it was given.

    Raises
    ------
    TypeError
        For a dtype or byte order that is not taken: nothing is converted silently.
    ValueError
        For a shape, `axis`, `out` or `num_threads` that does not fit.

    Notes
    -----
    NaN gives NaN, -0.0 gives -0.0 (for alpha > 0), -inf gives -alpha; subnormal numbers are kept.
    The bits of the result depend on the values alone: not on the number of threads, the memory
    order or an element's position.

    References
    ----------
    .. [1] D.-A. Clevert, T. Unterthiner, S. Hochreiter, "Fast and Accurate Deep Network Learning by
       Exponential Linear Units (ELUs)", https://arxiv.org/abs/1511.07289

    Examples
    --------
    >>> import numpy as np, elulayer as el
    >>> el.elu(np.array([-1.0, 0.0, 2.0]), 0.5)
    array([-0.31606028,  0.        ,  2.        ])
    """
    x = dense(_input(x, "x"))
    a, shape = _alpha_and_shape(x, alpha, axis)
    threads = _threads(num_threads)
    if out is None:
        out = target = np.empty_like(x)
    else:
        _check_out(out, x)
        a = _apart_from(out, a)
        target = _target(out, x)
    _core.elu(flat(x), a, flat(target), *shape, threads)
    if target is not out:
        out[...] = target
    return out


def elu_backward(
    grad: npt.NDArray[_T],
    x: npt.NDArray[_T],
    alpha: float | npt.ArrayLike = 1.0,
    *,
    axis: int = 1,
    out: npt.NDArray[_T] | None = None,
    num_threads: int | None = None,
) -> tuple[npt.NDArray[_T], Any]:
    """Gradients of a loss through :func:`elu`, from its input.

    With ``g = dL/dZ``: ``dL/dX = g`` where ``x > 0`` and ``g * alpha * exp(x)`` elsewhere;
    ``dL/dalpha[c]`` is the sum over channel c of 0 where ``x > 0`` and ``g * expm1(x)`` elsewhere.
    It is not divided by the number of elements or observations.

    Parameters
    ----------
    grad : ndarray of x's shape and dtype
        dL/dZ, the gradient of the loss with respect to the output of `elu`. It is copied once where
        its memory order is not x's.
    x, alpha, axis, num_threads
        As :func:`elu` had them.
    out : ndarray, optional
        Where dL/dX goes: of x's shape and dtype. It may be `grad` or `x` itself.

    Returns
    -------
    dX : ndarray of x's shape, dtype and memory order
        `out` where it was given.
    dalpha : ndarray of shape (C,), or a NumPy scalar where `alpha` is one
        Of x's dtype. Summed in float64 or better in an order that follows from the shape and the
        memory order alone: the bits do not depend on the number of threads.

    Raises
    ------
    TypeError, ValueError
        As :func:`elu`, and for a `grad` that does not match `x`.

    Examples
    --------
    >>> import numpy as np, elulayer as el
    >>> x = np.array([[-1.0, 2.0], [-2.0, -3.0]])
    >>> dX, dalpha = el.elu_backward(np.ones_like(x), x, np.array([0.5, 0.25]))
    >>> dalpha
    array([-1.49678528, -0.95021293])
    """
    x = _input(x, "x")
    grad = _input(grad, "grad")
    if grad.dtype != x.dtype:
        raise TypeError(f"grad has dtype {grad.dtype} and x has {x.dtype}; they must be the same")
    if grad.shape != x.shape:
        raise ValueError(f"grad has shape {grad.shape} and x has {x.shape}; they must be the same")
    x = dense(x)
    grad = in_layout_of(x, grad)
    a, shape = _alpha_and_shape(x, alpha, axis)
    threads = _threads(num_threads)
    if out is None:
        out = target = np.empty_like(x)
    else:
        _check_out(out, x)
        a = _apart_from(out, a)
        target = _target(out, grad, x)
    dalpha = np.empty_like(a)
    _core.elu_backward(flat(grad), flat(x), a, flat(target), dalpha, *shape, threads)
    if target is not out:
        out[...] = target
    return out, dalpha[0] if np.ndim(alpha) == 0 else dalpha


def _check_dtype(array: _Array, name: str) -> None:
    dtype = array.dtype
    if dtype in _DTYPES:
        return
    if dtype.newbyteorder("=") in _DTYPES:
        raise TypeError(
            f"{name} has dtype {dtype.str!r}, which is not in this machine's byte order; "
            f"convert it with {name}.astype({name}.dtype.newbyteorder('='))"
        )
    raise TypeError(f"{name} has dtype {dtype}; {_DTYPE_NAMES} are taken")


def _input(value: npt.ArrayLike, name: str) -> _Array:
    """`value` as an array of a dtype that the kernels take."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, whose mask would be ignored; fill it first")
    array = np.asarray(value)
    _check_dtype(array, name)
    if array.ndim == 0:
        raise ValueError(f"{name} has no dimension; an array with at least one is taken")
    return array


def _alpha_and_shape(
    x: _Array, alpha: float | npt.ArrayLike, axis: int
) -> tuple[_Array, tuple[int, int, int]]:
    """Alpha as a vector of x's dtype, and dense x's memory as (outer, channels, inner)."""
    a = _alpha_in_dtype(alpha, x.dtype)
    if a.ndim == 0:
        return a.reshape(1), (1, 1, x.size)
    try:
        axis = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis is {axis!r}; an integer is taken") from None
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis is {axis}; x has {x.ndim} dimensions")
    channels = x.shape[axis]
    if a.shape != (channels,):
        raise ValueError(
            f"alpha has shape {a.shape}; x has shape {x.shape} with {channels} channels on axis "
            f"{axis}: a scalar or shape ({channels},) is taken"
        )
    a = np.require(a, requirements=["C", "A"])
    if channels == 1:  # where an axis of length 1 stands in memory is not defined
        return a, (1, 1, x.size)
    order = memory_order(x)
    position = order.index(axis % x.ndim)
    outer = math.prod(x.shape[i] for i in order[:position])
    inner = math.prod(x.shape[i] for i in order[position + 1 :])
    return a, (outer, channels, inner)


def _alpha_in_dtype(alpha: float | npt.ArrayLike, dtype: np.dtype[Any]) -> _Array:
    """Alpha as an array of x's dtype: Python numbers are converted, arrays must have it."""
    if isinstance(alpha, np.ma.MaskedArray):
        raise TypeError("alpha is a masked array, whose mask would be ignored; fill it first")
    numbers: Any = [alpha] if type(alpha) in (int, float) else alpha
    if not isinstance(numbers, (list, tuple)) or any(type(n) not in (int, float) for n in numbers):
        a = np.asarray(alpha)
        _check_dtype(a, "alpha")
        if a.dtype != dtype:
            raise TypeError(
                f"alpha has dtype {a.dtype} and x has {dtype}; "
                "Python numbers or x's dtype are taken"
            )
        return a
    largest = float(np.finfo(dtype).max)
    for number in numbers:
        # An infinity is one in every dtype; a comparison takes integers of any size.
        if abs(number) > largest and not (isinstance(number, float) and math.isinf(number)):
            raise ValueError(f"alpha has {number!r}, which is beyond the range of {dtype}")
    return np.array(alpha, dtype=dtype)


def _threads(num_threads: int | None) -> int:
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
        raise ValueError(f"out has dtype {out.dtype.str!r}; the result has {x.dtype.str!r}")
    if out.shape != x.shape:
        raise ValueError(f"out has shape {out.shape}; the result has {x.shape}")
    if not out.flags.writeable:
        raise ValueError(f"out is read-only; the result of shape {x.shape} cannot be written to it")


def _apart_from(out: _Array, alpha: _Array) -> _Array:
    """Alpha, copied where writing to `out` could change it."""
    return alpha.copy() if np.may_share_memory(out, alpha) else alpha


def _target(out: _Array, *inputs: _Array) -> _Array:
    """`out` itself where the kernels can write to it, else a temporary in the inputs' layout.

    They can where it has the inputs' layout and is the same memory as an input or apart from it.
    """
    x = inputs[-1]
    if not same_layout(out, x) or not out.flags.aligned:
        return np.empty_like(x)
    for array in inputs:
        same = out is array or out.ctypes.data == array.ctypes.data
        if not same and np.may_share_memory(out, array):
            return np.empty_like(x)
    return out
