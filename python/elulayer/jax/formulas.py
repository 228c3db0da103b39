"""The unit and its gradients in JAX's own operations, on arrays of shape (outer, channels, inner).

With a = alpha[c], E = exp(x) and e = expm1(x) where x <= 0:

    z            = x and a e
    dx, dalpha   = g and g a E,  sum(g e)
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def elu(x: Array, alpha: Array) -> Array:
    """Compute the unit; 16-bit types in float32, rounded once."""
    wide = x.astype(alpha.dtype)
    z = jnp.where(wide > 0, wide, alpha[:, None] * _expm1(_below(wide)))
    return z.astype(x.dtype)


def elu_backward(grad: Array, x: Array, alpha: Array) -> tuple[Array, Array]:
    """Compute the gradients with respect to x and alpha."""
    g, wide = grad.astype(alpha.dtype), x.astype(alpha.dtype)
    below = _below(wide)
    dx = jnp.where(wide > 0, g, g * alpha[:, None] * jnp.exp(below))
    terms = jnp.where(wide > 0, 0, g * _expm1(below))
    return dx.astype(x.dtype), terms.sum(axis=(0, 2))


def _below(x: Array) -> Array:
    """Return x where it is not above 0: no infinity in what is not selected.

    A minimum has half the derivative at 0.
    """
    return jnp.where(x > 0, 0, x)


@jax.custom_jvp
def _expm1(x: Array) -> Array:
    """Return expm1(x), of which the derivative is exp(x).

    JAX takes expm1(x) + 1, of which nothing is left where x is far below 0.
    """
    return jnp.expm1(x)


_expm1.defjvps(lambda tangent, result, x: tangent * jnp.exp(x))
