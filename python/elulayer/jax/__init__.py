"""The unit for JAX.

Needs JAX, which elulayer itself does not import.

>>> import jax
>>> from elulayer.jax import elu
>>> z = jax.jit(elu)(jax.numpy.array([[-1.0, 2.0]]), jax.numpy.array([0.5, 1.0]))

Attributes
----------
backend : str
    "xla-ffi" where arrays in host memory are computed by the package's kernels: it was built with
    ``ELULAYER_XLA_INCLUDE``. "composed" where they are computed by JAX's own operations.
"""

from __future__ import annotations

try:
    import jax  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "jax":
        raise
    raise ImportError("elulayer.jax needs JAX: pip install 'elulayer[jax]'") from error

from .function import backend, elu

__all__ = ["backend", "elu"]
