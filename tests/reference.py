"""The layer's mathematics in plain NumPy float64, sharing no code with the core.

Formulae: Clevert, Unterthiner, Hochreiter, https://arxiv.org/abs/1511.07289, with the branch x > 0
and one alpha per channel.
"""

import numpy as np


def per_channel(values, ndim, axis=1):
    """`values` of shape (C,), shaped to broadcast along `axis` of `ndim` dimensions."""
    values = np.asarray(values, np.float64)
    if values.ndim == 0:
        return values
    shape = [1] * ndim
    shape[axis] = -1
    return values.reshape(shape)


def elu(x, alpha, axis=1):
    x = np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        return np.where(
            x > 0, x, per_channel(alpha, x.ndim, axis) * np.expm1(np.where(x > 0, 0, x))
        )


def elu_backward_x(grad, x, alpha, axis=1):
    grad, x = np.asarray(grad, np.float64), np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        return np.where(x > 0, grad, grad * per_channel(alpha, x.ndim, axis) * np.exp(x))


def alpha_terms(grad, x):
    grad, x = np.asarray(grad, np.float64), np.asarray(x, np.float64)
    with np.errstate(all="ignore"):
        return np.where(x > 0, 0.0, grad * np.expm1(np.where(x > 0, 0, x)))


def elu_backward_alpha(grad, x, axis=1):
    """One sum per channel, and the sum of the terms' magnitudes that error bounds are stated in."""
    terms = np.moveaxis(alpha_terms(grad, x), axis, 0)
    terms = terms.reshape(terms.shape[0], -1)
    return terms.sum(axis=1), np.abs(terms).sum(axis=1)


def ulp_error(result, exact):
    """Error of float32 `result` in units of the last place of `exact` rounded to float32."""
    exact = np.asarray(exact, np.float64)
    ulp = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
    return np.abs(result.astype(np.float64) - exact) / ulp
