"""The unit as a function of JAX arrays."""

from __future__ import annotations

import importlib
import numbers
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from ..arrays.arguments import other_axis
from . import formulas

_DTYPES = ("float32", "float64", "float16", "bfloat16")


def elu(x: ArrayLike, alpha: ArrayLike = 1.0, axis: int = 1) -> Array:
    """Exponential linear unit with one learnable alpha per channel.

    x where x > 0, ``alpha[c] * expm1(x)`` elsewhere, as :func:`elulayer.elu`.

    Parameters
    ----------
    x : array of float32, float64, float16 or bfloat16, one dimension or more
    alpha : array of shape (C,) or (), or float
        One for each index of x's axis, or one for all. Of x's dtype, or of another whose values it
        has as well, or float32 for the 16-bit types: what those compute in.
    axis : int
        The axis of the channels. The default is taken for a vector with one alpha, too.

    Returns
    -------
    Array of x's shape and dtype
        It can be differentiated any number of times in reverse mode, mapped and compiled. Forward
        mode is an error of JAX's, as with every function that has its own reverse mode.

    Raises
    ------
    TypeError
        If x's dtype is none of these, or alpha's would have to be rounded.
    ValueError
        If alpha does not fit x, or x has no such axis.
    """
    x = jnp.asarray(x)
    if x.dtype.name not in _DTYPES:
        raise TypeError(f"x must have dtype {', '.join(_DTYPES)}, not {x.dtype}")
    alpha = _alpha(alpha, jnp.float32 if x.dtype.itemsize == 2 else x.dtype)
    if x.ndim == axis == 1 and alpha.ndim == 0:
        axis = 0
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(f"axis must be from {-x.ndim} to {x.ndim - 1}, not {axis}")
    axis %= x.ndim
    channels = x.shape[axis]
    if alpha.shape not in ((), (channels,)):
        cure = other_axis("axis", alpha.shape[0], x.shape) if alpha.ndim == 1 else ""
        raise ValueError(
            f"alpha must have shape ({channels},), one for each index of axis {axis} of x of shape "
            f"{x.shape}, or (), not {alpha.shape}{cure}"
        )
    rows = x.reshape(_product(x.shape[:axis]), channels, _product(x.shape[axis + 1 :]))
    return _elu(rows, jnp.broadcast_to(alpha, (channels,))).reshape(x.shape)


def _product(extents: tuple[int, ...]) -> int:
    """Return the product; of none it is 1, and of dimensions of unknown size a symbol."""
    product = 1
    for extent in extents:
        product *= extent
    return product


def _alpha(alpha: Any, dtype: Any) -> Array:
    if isinstance(alpha, numbers.Real):
        return jnp.asarray(alpha, dtype)
    alpha = jnp.asarray(alpha)
    if alpha.dtype == dtype:
        return alpha
    if (
        not jnp.issubdtype(alpha.dtype, jnp.floating)
        or jnp.promote_types(alpha.dtype, dtype) != dtype
    ):
        raise TypeError(
            f"alpha must have dtype {jnp.dtype(dtype).name}, or a narrower one, not {alpha.dtype}"
        )
    return alpha.astype(dtype)


def _kernels() -> tuple[str, Callable[..., Any], Callable[..., Any]]:
    """Return how the unit is computed, and what computes it and its gradients."""
    try:
        handlers = importlib.import_module("elulayer._xla").handlers()
    except ImportError:
        return "composed", formulas.elu, formulas.elu_backward
    for name, handler in handlers.items():
        jax.ffi.register_ffi_target(name, handler, platform="cpu")

    def elu(x: Array, alpha: Array) -> Array:
        call = jax.ffi.ffi_call(
            "elulayer_elu", jax.ShapeDtypeStruct(x.shape, x.dtype), vmap_method="broadcast_all"
        )
        return call(x, alpha)

    def elu_backward(grad: Array, x: Array, alpha: Array) -> tuple[Array, Array]:
        shapes = [jax.ShapeDtypeStruct(like.shape, like.dtype) for like in (x, alpha)]
        call = jax.ffi.ffi_call("elulayer_elu_backward", shapes, vmap_method="broadcast_all")
        dx, dalpha = call(grad, x, alpha)
        return dx, dalpha

    return (
        "xla-ffi",
        partial(jax.lax.platform_dependent, cpu=elu, default=formulas.elu),
        partial(jax.lax.platform_dependent, cpu=elu_backward, default=formulas.elu_backward),
    )


backend, _compute, _compute_backward = _kernels()


@jax.custom_vjp
def _elu(x: Array, alpha: Array) -> Array:
    return _compute(x, alpha)


@jax.custom_vjp
def _elu_backward(grad: Array, x: Array, alpha: Array) -> tuple[Array, Array]:
    return _compute_backward(grad, x, alpha)


# The forward rules call the functions, not what computes them: so they are differentiable again.
_elu.defvjp(
    lambda x, alpha: (_elu(x, alpha), (x, alpha)),
    lambda kept, grad: _elu_backward(grad, *kept),
)
_elu_backward.defvjp(
    lambda grad, x, alpha: (_elu_backward(grad, x, alpha), (grad, x, alpha)),
    lambda kept, cotangents: jax.vjp(formulas.elu_backward, *kept)[1](cotangents),
)
