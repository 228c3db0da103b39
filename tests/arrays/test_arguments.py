"""What elu and elu_backward take, and the one clear error for what they do not."""

import array
import re

import numpy as np
import pytest

import elulayer as el

X = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 3, 4)
A = np.array([0.5, 1, 2], np.float32)


def read_only(array):
    array.flags.writeable = False
    return array


BAD_X = {
    "int": (
        X.astype(int),
        TypeError,
        "x has dtype int64; float32, float64, float16 and bfloat16 are taken",
    ),
    "bool": (X > 0, TypeError, "x has dtype bool; float32, float64, float16"),
    "longdouble": (X.astype("g"), TypeError, "x has dtype .*; float32, float64, float16"),
    "complex": (X.astype("c8"), TypeError, "x has dtype complex64; float32, float64"),
    "object": (X.astype(object), TypeError, "x has dtype object; float32, float64"),
    "text": ("x", TypeError, "x has dtype <U1; float32, float64"),
    "byte order": (X.astype(">f4"), TypeError, r"'>f4'.*x.astype(x.dtype.newbyteorder('='))"),
    "scalar": (np.float32(1), ValueError, "x has no dimension"),
    "masked": (np.ma.masked_array(X), TypeError, "masked array"),
}


def pattern(message):
    return ".*".join(re.escape(part) for part in message.split(".*"))


@pytest.mark.parametrize("case", BAD_X)
def test_bad_x(case):
    x, error, message = BAD_X[case]
    with pytest.raises(error, match=pattern(message)):
        el.elu(x)
    with pytest.raises(error, match=pattern(message)):
        el.elu_backward(x, x)


BAD_ALPHA = {
    "length": (
        np.ones(4, "f"),
        ValueError,
        "alpha has shape (4,); x has shape (2, 3, 4) with 3 ch",
    ),
    "length 1": (np.ones(1, "f"), ValueError, "a scalar or shape (3,) is taken"),
    "2-d": (np.ones((1, 3), "f"), ValueError, "alpha has shape (1, 3)"),
    "float64": (A.astype("f8"), TypeError, "alpha has dtype float64 and x has float32"),
    "float64 scalar": (np.float64(1), TypeError, "alpha has dtype float64 and x has float32"),
    "float16": (A.astype("f2"), TypeError, "alpha has dtype float16 and x has float32"),
    "int": (np.arange(3), TypeError, "alpha has dtype int64"),
    "byte order": (A.astype(">f4"), TypeError, "alpha.astype(alpha.dtype.newbyteorder('='))"),
    "too large": (1e39, ValueError, "alpha has 1e+39, which is beyond the range of float32"),
    "one too large": ([1, 1e39, 1], ValueError, "alpha has 1e+39, which is beyond the range"),
    "huge integer": (10**400, ValueError, "which is beyond the range of float32"),
    "bool": (True, TypeError, "alpha has dtype bool and x has float32; Python numbers or x's dtyp"),
    "nested": ([[0.5, 0.5, 0.5]], ValueError, "alpha has shape (1, 3); a scalar or a vector is"),
    "ragged": ([0.5, [0.5], 0.5], ValueError, "alpha is [0.5, [0.5], 0.5]; a number or a vector"),
    "just too large": (
        float(np.nextafter(float(np.finfo("f").max), np.inf)),
        ValueError,
        "beyond the range of float32",
    ),
    "bools": ([True, False, True], TypeError, "alpha has dtype bool"),
    "text": ("1.5", TypeError, "alpha has dtype <U3"),
    "texts": (["1", "2", "3"], TypeError, "alpha has dtype <U1"),
    "None": (None, TypeError, "alpha has dtype object"),
    "NumPy scalars": ([np.float64(1)] * 3, TypeError, "alpha has dtype float64 and x has float32"),
    "array.array": (array.array("d", [1, 2, 3]), TypeError, "alpha has dtype float64 and x has"),
    "masked": (np.ma.masked_array(A), TypeError, "alpha is a masked array"),
}


@pytest.mark.parametrize("case", BAD_ALPHA)
def test_bad_alpha(case):
    alpha, error, message = BAD_ALPHA[case]
    with pytest.raises(error, match=pattern(message)):
        el.elu(X, alpha)
    with pytest.raises(error, match=pattern(message)):
        el.elu_backward(X, X, alpha)


@pytest.mark.parametrize("axis", [None, 1.0, "1", True])
def test_axis_that_is_no_integer(axis):
    with pytest.raises(TypeError, match=pattern(f"axis is {axis!r}; an integer is taken")):
        el.elu(X, A, axis=axis)


@pytest.mark.parametrize("axis", [3, -4])
def test_bad_axis(axis):
    with pytest.raises(ValueError, match=f"axis is {axis}; x has 3 dimensions"):
        el.elu(X, A, axis=axis)


@pytest.mark.parametrize(
    ("threads", "error"),
    [(0, ValueError), (-1, ValueError), (2**40, ValueError), (1.5, TypeError), (True, TypeError)],
)
def test_bad_num_threads(threads, error):
    message = f"num_threads is {threads}; None or a positive integer is taken"
    with pytest.raises(error, match=message):
        el.elu(X, num_threads=threads)
    with pytest.raises(error, match=message):
        el.elu_backward(X, X, num_threads=threads)


def test_bad_grad():
    with pytest.raises(ValueError, match=pattern("grad has shape (2, 3) and x has (2, 3, 4)")):
        el.elu_backward(X[:, :, 0].copy(), X)
    with pytest.raises(TypeError, match="grad has dtype float64 and x has float32"):
        el.elu_backward(X.astype(float), X)
    with pytest.raises(TypeError, match="grad has dtype int64"):
        el.elu_backward(X.astype(int), X)


BAD_OUT = {
    "list": (X.tolist(), TypeError, "out is a list; an ndarray is taken"),
    "masked": (np.ma.masked_array(X.copy()), TypeError, "out is a MaskedArray; an ndarray is"),
    "shape": (np.empty((2, 3), "f"), ValueError, "out has shape (2, 3); the result has (2, 3, 4)"),
    "dtype": (np.empty(X.shape), ValueError, "out has dtype '<f8'; the result has '<f4'"),
    "byte order": (np.empty(X.shape, ">f4"), ValueError, "out has dtype '>f4'; the result has"),
    "read-only": (read_only(X.copy()), ValueError, "out is read-only"),
}


@pytest.mark.parametrize("case", BAD_OUT)
def test_bad_out_is_left_untouched(case):
    out, error, message = BAD_OUT[case]
    before = np.array(out)
    with pytest.raises(error, match=pattern(message)):
        el.elu(X, A, out=out)
    with pytest.raises(error, match=pattern(message)):
        el.elu_backward(X, X, A, out=out)
    np.testing.assert_array_equal(np.array(out), before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_out_is_filled_and_returned(dtype):
    x, a = X.astype(dtype), A.astype(dtype)
    out = np.full_like(x, np.nan)
    assert el.elu(x, a, out=out) is out
    np.testing.assert_array_equal(out, el.elu(x, a))
    grad = x[::-1].copy()
    expected, expected_dalpha = el.elu_backward(grad, x, a)
    dx, dalpha = el.elu_backward(grad, x, a, out=out)
    assert dx is out
    np.testing.assert_array_equal(dx, expected)
    np.testing.assert_array_equal(dalpha, expected_dalpha)


def big(seed):
    return np.random.default_rng(seed).normal(size=(4, 3, 200_00)).astype(np.float32)


def test_in_place():
    """Out may be x or grad, by another view of the same memory too."""
    x, grad = big(0), big(1)
    z, (dx, dalpha) = el.elu(x, A), el.elu_backward(grad, x, A)
    same = x.copy()
    assert el.elu(same, A, out=same) is same
    np.testing.assert_array_equal(same, z)
    same = x.copy()
    el.elu(same, A, out=same[:])
    np.testing.assert_array_equal(same, z)
    for target in ("x", "grad"):
        arrays = {"x": x.copy(), "grad": grad.copy()}
        out, in_place_dalpha = el.elu_backward(**arrays, alpha=A, out=arrays[target])
        assert out is arrays[target]
        np.testing.assert_array_equal(out, dx)
        np.testing.assert_array_equal(in_place_dalpha, dalpha)


@pytest.mark.parametrize("shift", [1, 7, 16, 5000])
@pytest.mark.parametrize("forwards", [True, False])
def test_partial_overlap_gives_the_result_without_overlap(shift, forwards):
    memory = np.random.default_rng(2).normal(size=60_000 + shift).astype(np.float32)
    first, second = memory[:60_000].reshape(2, 3, -1), memory[shift:].reshape(2, 3, -1)
    x, out = (first, second) if forwards else (second, first)
    other = big(3).ravel()[:60_000].reshape(x.shape)
    before = memory.copy()
    expected = el.elu(x.copy(), A)
    np.testing.assert_array_equal(el.elu(x, A, out=out), expected)
    for grad_overlaps in (True, False):
        memory[...] = before
        grad, inputs = (x, other) if grad_overlaps else (other, x)
        dx, dalpha = el.elu_backward(grad.copy(), inputs.copy(), A)
        out_dx, out_dalpha = el.elu_backward(grad, inputs, A, out=out)
        np.testing.assert_array_equal(out_dx, dx)
        np.testing.assert_array_equal(out_dalpha, dalpha)


def test_out_that_overlaps_alpha():
    x = big(4)
    alpha = x[0, 0, 5000:5003]
    expected = el.elu(x.copy(), alpha.copy())
    np.testing.assert_array_equal(el.elu(x, alpha, out=x), expected)


def test_strided_alpha_is_taken():
    np.testing.assert_array_equal(el.elu(X, np.repeat(A, 2)[::2]), el.elu(X, A))


def test_inputs_are_not_written():
    x, grad, a = (read_only(v.copy()) for v in (X, X, A))
    el.elu(x, a)
    el.elu_backward(grad, x, a)


def test_a_list_of_floats_is_float64():
    assert el.elu([-1.0, 2.0]).dtype == np.float64
