"""The exponential linear unit and its gradients as functions of arrays.

Here are the defaults; the checks are in ``arguments.py``, the loops in C++
(``cpp/cpu/kernels.cpp``). Arrays on a GPU go to ``gpu/``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from .. import _core
from .._support.typing import GpuArray
from .arguments import check_like, choose_place, prepare, vector
from .host import Host

__all__ = ["elu", "elu_backward", "elu_double_backward", "elu_with_memory"]

_T = TypeVar("_T", bound=np.generic)
_Array = npt.NDArray[Any]
_G = TypeVar("_G", bound=GpuArray)

Alpha = float | Sequence[float] | npt.NDArray[np.floating[Any]] | np.floating[Any]


@overload
def elu(
    x: npt.NDArray[_T],
    alpha: Alpha = 1.0,
    *,
    axis: int = 1,
    out: npt.NDArray[_T] | None = None,
    num_threads: int | None = None,
    stream: None = None,
) -> npt.NDArray[_T]: ...
@overload
def elu(
    x: _G,
    alpha: float | GpuArray = 1.0,
    *,
    axis: int = 1,
    out: GpuArray | None = None,
    num_threads: None = None,
    stream: Any = None,
) -> _G: ...
def elu(
    x: Any,
    alpha: Any = 1.0,
    *,
    axis: int = 1,
    out: Any = None,
    num_threads: int | None = None,
    stream: Any = None,
) -> Any:
    """Exponential linear unit with one alpha for all of `x` or one per channel.

    ``Z = x`` where ``x > 0``, and ``alpha * expm1(x)`` elsewhere [1]_. The function of the layer
    :class:`~elulayer.ELULayer`.

    Parameters
    ----------
    x : ndarray of float32, float64, float16 or bfloat16, shape (..., C, ...)
        With at least one dimension; NCHW and NC with the default `axis`. Any memory order that is
        dense (NHWC, say, or a transpose) is read as it is; other strides are copied once. bfloat16
        is the dtype of the package ml_dtypes. The 16-bit types are computed in float32 and rounded
        once.
    alpha : float or ndarray of shape (C,)
        Numbers, or an array of x's dtype (of float32 for the 16-bit types) or of a narrower
        floating one, which widens exactly; one of float64 beside float32 is not rounded silently.
        Or of a shape that NumPy broadcasts along the channels' axis alone, as (C, 1, 1) beside
        NCHW. They may be zero or negative.
    axis : int
        The axis of the channels. The default is taken for a vector with one alpha, too.
    out : ndarray, optional
        Where the result goes: of x's shape and dtype. It may be `x` itself; if it overlaps the
        inputs in another way, the result is as if it did not. On a GPU it has x's memory order and
        no other overlap.
    num_threads : int, optional
        By default what OpenMP's own setting says (``OMP_NUM_THREADS``, threadpoolctl). There are no
        more than ``OMP_THREAD_LIMIT`` allows, nor more than 64 and four for each processor, and
        fewer where the system refuses to start as many (``ulimit``, a container's limit); where
        other threads take the last of them meanwhile, GNU's OpenMP ends the process. Small arrays
        and forked child processes use one thread.
    stream : optional
        For arrays on a GPU: where the work is put, by default the current stream of x's library. A
        stream of PyTorch or CuPy, an object with ``__cuda_stream__``, or the number of a
        ``cudaStream_t``.

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
    RuntimeError
        For arrays on a GPU where :func:`~elulayer.cuda_info` says that none can be used.

    Notes
    -----
    PyTorch's and CuPy's arrays on a CUDA device are taken too: all of one library on one device,
    alpha an array there or a number; the result is an array of the library. The call returns when
    the work is in the stream. The result is no part of a graph for automatic differentiation:
    tensors that require a gradient are refused, ``x.detach()`` is taken. With `stream`, CuPy's
    arrays must live until the work is done.

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
    if num_threads is None and stream is None:
        plain = _core.elu_plain(x, alpha, axis, out)
        if plain is not None:
            return plain
    with (
        _core.StandardFloats(),
        choose_place({"x": x, "alpha": alpha, "out": out}, num_threads, stream) as place,
    ):
        call = prepare(place, {"x": x}, alpha, axis, out)
        place.compute("elu", call.inputs, call.alpha, [call.target], call.rows)
        return call.finish(place)


@overload
def elu_with_memory(
    x: npt.NDArray[_T],
    alpha: Alpha = 1.0,
    *,
    axis: int = 1,
    num_threads: int | None = None,
    stream: None = None,
) -> tuple[npt.NDArray[_T], npt.NDArray[_T]]: ...
@overload
def elu_with_memory(
    x: _G,
    alpha: float | GpuArray = 1.0,
    *,
    axis: int = 1,
    num_threads: None = None,
    stream: Any = None,
) -> tuple[_G, _G]: ...
def elu_with_memory(
    x: Any,
    alpha: Any = 1.0,
    *,
    axis: int = 1,
    num_threads: int | None = None,
    stream: Any = None,
) -> tuple[Any, Any]:
    """:func:`elu`, and the memory from which :func:`elu_backward` can start instead of from `x`.

    Parameters
    ----------
    x, alpha, axis, num_threads, stream
        As for :func:`elu`.

    Returns
    -------
    Z : ndarray of x's shape, dtype and memory order
    memory : ndarray of x's shape, dtype and memory order
        ``expm1(min(x, 0))``. Its sign bit is clear only where ``x > 0``: zeros of either sign in
        `x` leave -0.0.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As :func:`elu`.
    """
    with (
        _core.StandardFloats(),
        choose_place({"x": x, "alpha": alpha}, num_threads, stream) as place,
    ):
        call = prepare(place, {"x": x}, alpha, axis)
        memory = place.empty_like(call.inputs[0])
        place.compute("elu_with_memory", call.inputs, call.alpha, [call.target, memory], call.rows)
        return call.finish(place), place.given_back(memory)


@overload
def elu_backward(
    grad: npt.NDArray[_T],
    x: npt.NDArray[_T] | None = None,
    alpha: float | np.floating[Any] = 1.0,
    *,
    memory: npt.NDArray[_T] | None = None,
    output: npt.NDArray[_T] | None = None,
    axis: int = 1,
    out: npt.NDArray[_T] | None = None,
    num_threads: int | None = None,
    stream: None = None,
) -> tuple[npt.NDArray[_T], np.floating[Any]]: ...
@overload
def elu_backward(
    grad: npt.NDArray[_T],
    x: npt.NDArray[_T] | None = None,
    alpha: Sequence[float] | npt.NDArray[np.floating[Any]] = ...,
    *,
    memory: npt.NDArray[_T] | None = None,
    output: npt.NDArray[_T] | None = None,
    axis: int = 1,
    out: npt.NDArray[_T] | None = None,
    num_threads: int | None = None,
    stream: None = None,
) -> tuple[npt.NDArray[_T], npt.NDArray[np.floating[Any]]]: ...
@overload
def elu_backward(
    grad: _G,
    x: _G | None = None,
    alpha: float | GpuArray = 1.0,
    *,
    memory: _G | None = None,
    output: _G | None = None,
    axis: int = 1,
    out: GpuArray | None = None,
    num_threads: None = None,
    stream: Any = None,
) -> tuple[_G, Any]: ...
def elu_backward(
    grad: Any,
    x: Any = None,
    alpha: Any = 1.0,
    *,
    memory: Any = None,
    output: Any = None,
    axis: int = 1,
    out: Any = None,
    num_threads: int | None = None,
    stream: Any = None,
) -> tuple[Any, Any]:
    """Gradients of a loss through :func:`elu`.

    With ``g = dL/dZ``: ``dL/dX = g`` where ``x > 0`` and ``g * alpha * exp(x)`` elsewhere;
    ``dL/dalpha[c]`` is the sum over channel c of 0 where ``x > 0`` and ``g * expm1(x)`` elsewhere.
    It is not divided by the number of elements or observations.

    Exactly one of `x`, `memory` and `output` is given.

    Parameters
    ----------
    grad : ndarray of x's shape and dtype
        dL/dZ, the gradient of the loss with respect to the output of `elu`. It is copied once where
        its memory order is not x's.
    x, alpha, axis, num_threads, stream
        As :func:`elu` had them.
    memory : ndarray, optional
        Instead of `x`: the memory of :func:`elu_with_memory`.
    output : ndarray, optional
        Instead of `x`: Z, the result of `elu`, so that a forward pass in place needs no copy of its
        input. Every alpha must be positive.
    out : ndarray, optional
        Where dL/dX goes: of x's shape and dtype. It may be one of the arrays given. On a GPU it has
        x's memory order.

    Returns
    -------
    dX : ndarray of x's shape, dtype and memory order
        `out` where it was given.
    dalpha : ndarray of alpha's shape, or a NumPy scalar where `alpha` is one
        Of x's dtype, float32 for the 16-bit types. Summed in an order that follows from the shape
        and the memory order alone: the bits do not depend on the number of threads. On a GPU an
        array of x's library, of shape () for one number; the order then depends on whether all
        arrays begin at multiples of 16 bytes, too.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As :func:`elu`, for a `grad` that does not match `x`, and for an alpha that is not positive
        where `output` is given.

    Notes
    -----
    From `x`, dX is within 2 ULP. From `memory` and `output`, exp(x) is ``1 + expm1(x)`` with what
    rounding has left of it: dX loses digits as x decreases, and is 0 below x = -17 in float32 and
    -37 in float64. In the 16-bit types that comes sooner, and the rounding of `output` can leave
    up to eps * abs(g * alpha) at any x below. A `memory` that :func:`elu_with_memory` did not make
    must have the sign bit set wherever x is not above 0, at 0 too: -0.0 there.

    An array of alphas on a GPU is not looked at before the work is done there: with `output`,
    channels whose alpha is not positive get NaN for dalpha and, but for Z > 0, for dX.

    Examples
    --------
    >>> import numpy as np, elulayer as el
    >>> x = np.array([[-1.0, 2.0], [-2.0, -3.0]])
    >>> dX, dalpha = el.elu_backward(np.ones_like(x), x, np.array([0.5, 0.25]))
    >>> dalpha
    array([-1.49678528, -0.95021293])
    """
    if memory is None and output is None and num_threads is None and stream is None:
        plain = _core.elu_backward_plain(grad, x, alpha, axis, out)
        if plain is not None:
            return plain[0], plain[1][0] if type(alpha) is float else plain[1]
    starts = {"x": x, "memory": memory, "output": output}
    given = {name: value for name, value in starts.items() if value is not None}
    if len(given) != 1:
        raise ValueError(
            "exactly one of x, memory and output must be given, not "
            f"{' and '.join(given) or 'none'}"
        )
    arrays = {**given, "grad": grad}
    (name,) = given
    with (
        _core.StandardFloats(),
        choose_place({**arrays, "alpha": alpha, "out": out}, num_threads, stream) as place,
    ):
        call = prepare(place, arrays, alpha, axis, out)
        if name == "output":
            place.check_positive(call.alpha)
        dalpha = place.empty(call.alpha.layout.shape, call.alpha.dtype)
        kernel = "elu_backward" + f"_from_{name}" * (name != "x")
        start, gradient = call.inputs
        place.compute(kernel, [gradient, start], call.alpha, [call.target, dalpha], call.rows)
        return call.finish(place), place.given_back(dalpha)


def elu_double_backward(
    grad_dx: npt.NDArray[_T] | None,
    grad_dalpha: float | npt.ArrayLike | None,
    grad: npt.NDArray[_T],
    x: npt.NDArray[_T],
    alpha: Alpha = 1.0,
    *,
    axis: int = 1,
    num_threads: int | None = None,
) -> tuple[npt.NDArray[_T], npt.NDArray[_T], Any]:
    """Gradients of a loss through :func:`elu_backward`, as a gradient penalty needs them.

    With v = `grad_dx`, w = `grad_dalpha` and g = `grad`:

    ===================  =========  ======================================
    ..                   x > 0      otherwise
    ===================  =========  ======================================
    dL/dgrad             v          v * alpha * exp(x) + w * expm1(x)
    dL/dX                0          g * exp(x) * (v * alpha + w)
    term of dL/dalpha    0          v * g * exp(x)
    ===================  =========  ======================================

    Parameters
    ----------
    grad_dx : ndarray of x's shape and dtype, or None for zeros
        The gradient of the loss with respect to the dX of `elu_backward`.
    grad_dalpha : scalar or array of alpha's shape and dtype, or None for zeros
        The gradient of the loss with respect to its dalpha.
    grad, x, alpha, axis, num_threads
        As `elu_backward` had them.

    Returns
    -------
    dgrad, dX : ndarray of x's shape, dtype and memory order
    dalpha : ndarray of alpha's shape, or a NumPy scalar where `alpha` is one

    Raises
    ------
    TypeError, ValueError
        As :func:`elu_backward`, and for a `grad_dx` or `grad_dalpha` that does not match.

    Notes
    -----
    Computed in float64 for every dtype and, but for float64, rounded to it once. Where a factor or
    a product on the way overflows or is subnormal in float64, as exp(x) is below x = -708, digits
    are lost that the result could have. For arrays in host memory.
    """
    arrays = {"x": x, "grad": grad} | ({} if grad_dx is None else {"grad_dx": grad_dx})
    everything = {**arrays, "alpha": alpha, "grad_dalpha": grad_dalpha}
    place = choose_place(everything, num_threads, None)
    if not isinstance(place, Host):
        raise TypeError(
            f"elu_double_backward must be given arrays in host memory, not {place.where}"
        )
    with _core.StandardFloats():
        call = prepare(place, arrays, alpha, axis)
        x_, grad_, *given = call.inputs
        v = given[0] if given else place.zeros_like(x_)
        a = call.alpha
        w = place.zeros_like(a)
        if grad_dalpha is not None:
            w = vector(place, grad_dalpha, "grad_dalpha", a.dtype)
            check_like(w, a.dtype, a.layout.shape, "alpha")
        dgrad, dalpha = place.empty_like(x_), place.empty(a.layout.shape, a.dtype)
        place.compute(
            "elu_double_backward", [v, w, grad_, x_], a, [dgrad, call.target, dalpha], call.rows
        )
        return dgrad.array, call.finish(place), place.given_back(dalpha)
