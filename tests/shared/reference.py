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


def elu_double_backward(grad_dx, grad_dalpha, grad, x, alpha, axis=1):
    """Return dL/dgrad, dL/dX and the terms of dL/dalpha."""
    v, g, x = (np.asarray(array, np.float64) for array in (grad_dx, grad, x))
    w, a = (per_channel(vector, x.ndim, axis) for vector in (grad_dalpha, alpha))
    with np.errstate(all="ignore"):
        e, m = np.exp(x), np.expm1(x)
        return (
            np.where(x > 0, v, v * a * e + w * m),
            np.where(x > 0, 0.0, g * e * (v * a + w)),
            np.where(x > 0, 0.0, v * g * e),
        )


# Exponent and mantissa bits of the 16-bit types.
SIXTEEN_BITS = {"float16": (5, 10), "bfloat16": (8, 7)}


def values_of(dtype):
    """Return the 65,536 values of a 16-bit type in the order of their bit patterns."""
    exponent_bits, mantissa_bits = SIXTEEN_BITS[np.dtype(dtype).name]
    bits = np.arange(2**16)
    mantissa = bits % 2**mantissa_bits
    exponent = (bits >> mantissa_bits) % 2**exponent_bits
    highest = 2**exponent_bits - 1
    significand = mantissa + np.where(exponent == 0, 0, 2**mantissa_bits)
    power = np.maximum(exponent, 1) - highest // 2 - mantissa_bits
    magnitude = np.ldexp(significand.astype(np.float64), power)
    magnitude[exponent == highest] = np.nan
    magnitude[(exponent == highest) & (mantissa == 0)] = np.inf
    return np.where(bits < 2**15, magnitude, -magnitude)


def float64_of(array):
    """Return the values of an array of a 16-bit type."""
    return values_of(array.dtype)[np.ascontiguousarray(array).view(np.uint16)]


def midpoints_of(dtype):
    """Between each positive value of a 16-bit type and the next; the last rounds to infinity."""
    values = values_of(dtype)
    finite = values[: np.flatnonzero(np.isinf(values))[0]]
    return (finite + np.append(finite[1:], 2 * finite[-1] - finite[-2])) / 2


def round_to(values, dtype):
    """Round float64 to a 16-bit type: to nearest, ties to even, beyond the range to infinity."""
    values = np.asarray(values, np.float64)
    midpoints = midpoints_of(dtype)
    bits = np.searchsorted(midpoints, np.abs(values))
    tie = np.abs(values) == midpoints[np.minimum(bits, midpoints.size - 1)]
    bits = np.where(tie, bits + bits % 2, bits)
    bits = np.where(np.isnan(values), midpoints.size + 1, bits)
    return (bits + 2**15 * np.signbit(values)).astype(np.uint16).view(dtype)


def assert_same(result, expected, *inputs):
    """Every bit agrees, the sign of zero with it; any NaN is a NaN. Names the first that differ."""
    result, expected = np.asarray(result), np.asarray(expected)
    assert (result.dtype, result.shape) == (expected.dtype, expected.shape)
    word = np.dtype(f"u{result.itemsize}")
    bits, expected_bits = (np.ascontiguousarray(a).view(word) for a in (result, expected))
    with np.errstate(invalid="ignore"):  # bfloat16 of ml_dtypes warns of NaN
        nan = (result != result) & (expected != expected)
    bad = np.argwhere((bits != expected_bits).reshape(nan.shape) & ~nan)
    if len(bad) > 0:
        i = tuple(bad[0])
        at = [np.broadcast_to(a, result.shape)[i] for a in inputs]
        raise AssertionError(
            f"{result[i]!r} instead of {expected[i]!r} at {i}, inputs {at}; {len(bad)} differ"
        )
