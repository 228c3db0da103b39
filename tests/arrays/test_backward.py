"""dX and dalpha from X: values, special values, accuracy, reproducibility."""

import math

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import ml_dtypes
import mpmath
import numpy as np
import pytest

import elulayer as el
from shared import reference
from shared.inputs import DTYPES, SHAPES, random_inputs


def dalpha_bound(dtype, magnitude):
    """3 * 2^-23 * sum of |term| for float32, 3 * 2^-52 for float64."""
    return 3 * float(np.finfo(dtype).eps) * magnitude


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_reference(shape, dtype):
    x, alpha = random_inputs(shape, dtype)
    grad = np.random.default_rng(7).normal(size=shape).astype(dtype)
    dx, dalpha = el.elu_backward(grad, x, alpha)
    assert dx.dtype == dalpha.dtype == dtype
    assert dx.shape == shape and dalpha.shape == alpha.shape
    expected = reference.elu_backward_x(grad, x, alpha)
    np.testing.assert_allclose(dx, expected, rtol=4 * np.finfo(dtype).eps)
    total, magnitude = reference.elu_backward_alpha(grad, x)
    # The float64 reference sum has a rounding error of its own.
    slack = 1e-13 * magnitude if dtype == np.float64 else 0
    assert np.all(np.abs(dalpha - total) <= dalpha_bound(dtype, magnitude) + slack)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -4])
def test_axis(axis, dtype):
    """All axes have the same length, where a wrong axis would go unnoticed by shape checks."""
    rng = np.random.default_rng(1)
    x, grad = rng.normal(size=(2, 6, 6, 6, 6)).astype(dtype)
    alpha = rng.uniform(0, 1, 6).astype(dtype)
    dx, dalpha = el.elu_backward(grad, x, alpha, axis=axis)
    expected = reference.elu_backward_x(grad, x, alpha, axis)
    np.testing.assert_allclose(dx, expected, rtol=4 * np.finfo(dtype).eps)
    total, magnitude = reference.elu_backward_alpha(grad, x, axis)
    np.testing.assert_array_less(np.abs(dalpha - total), 4 * np.finfo(dtype).eps * magnitude)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 3, 5, 5), (50, 3)], ids=str)
def test_against_central_differences(shape, dtype):
    """Differences of elu in float64, off the kink, with an upstream gradient not of ones."""
    rng = np.random.default_rng(5)
    x = rng.normal(0, 2, shape)
    x = np.where(np.abs(x) < 0.01, 0.5, x).astype(dtype)
    alpha = rng.uniform(-0.5, 1.5, 3).astype(dtype)
    grad = rng.normal(size=shape).astype(dtype)
    dx, dalpha = el.elu_backward(grad, x, alpha)

    def loss_terms(x, alpha):
        return grad * el.elu(x, alpha)

    x, alpha, grad = (a.astype(np.float64) for a in (x, alpha, grad))
    h = 1e-5
    numerical = (loss_terms(x + h, alpha) - loss_terms(x - h, alpha)) / (2 * h)
    np.testing.assert_allclose(dx, numerical, rtol=1e-5, atol=1e-8)
    for c in range(3):
        step = h * (np.arange(3) == c)
        difference = loss_terms(x, alpha + step) - loss_terms(x, alpha - step)
        np.testing.assert_allclose(dalpha[c], difference.sum() / (2 * h), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", range(1, 131))
def test_special_values_in_body_and_tail(length, dtype):
    info = np.finfo(dtype)
    a = dtype(0.75)
    inf, nan = np.inf, np.nan
    cases = [  # x, g, expected dX, expected term of dalpha
        (inf, inf, inf, 0),
        (2, -inf, -inf, 0),
        (info.max, nan, nan, 0),
        (nan, 1, nan, nan),
        (-nan, 1, nan, nan),
        (nan, 0, nan, nan),
        (-1, nan, nan, nan),
        (-inf, 2, 0, -2),
        (-inf, inf, nan, -inf),  # g * alpha * 0 is NaN
        (-1e5, 2, 0, -2),
        (0.0, 2, 1.5, 0),
        (-0.0, 2, 1.5, 0),
        (info.smallest_subnormal, 2, 2, 0),
        (-info.smallest_subnormal, 2, 1.5, -2 * info.smallest_subnormal),
        (-1, inf, inf, -inf),
    ]
    for value, g, dx_expected, term in cases:
        for position in {0, length // 2, length - 1}:
            x = np.full((1, length), 0.5, dtype)
            grad = np.full((1, length), 3, dtype)
            x[0, position], grad[0, position] = value, g
            row_dx, row_sum = el.elu_backward(grad[None], x[None], np.array([a]))
            dx, sums = el.elu_backward(grad, x, np.full(length, a))
            np.testing.assert_array_equal(dx, row_dx[0])
            np.testing.assert_array_equal(dx[0, position], dtype(dx_expected), f"{value}, {g}")
            np.testing.assert_array_equal(row_sum, [dtype(term)], f"x = {value}, g = {g}")
            np.testing.assert_array_equal(sums[position], dtype(term), f"x = {value}, g = {g}")
            assert np.all(np.delete(dx, position) == 3) and not np.delete(sums, position).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_alpha_of_zero_is_relu(dtype):
    x = np.array([[-3, -0.0, 0.0, 3]], dtype)
    grad = np.array([[2, 2, 2, 2]], dtype)
    dx, dalpha = el.elu_backward(grad, x, 0.0)
    np.testing.assert_array_equal(dx, [[0, 0, 0, 2]])
    np.testing.assert_allclose(dalpha, 2 * np.expm1(dtype(-3)), rtol=1e-6)


@pytest.mark.parametrize("beside", [None, -90, -650], ids=["", "beside -90", "beside -650"])
@pytest.mark.parametrize("value", [-np.inf, -3e38, -2300, -310])
@pytest.mark.parametrize("shape", [(2, 3, 700), (9, 8, 49)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_masked_inputs(dtype, shape, value, beside):
    """Inputs so deep that all vanishes leave the others' bits alone, and add -g to dalpha."""
    rng = np.random.default_rng(11)
    x, grad = rng.normal(size=(2, *shape)).astype(dtype)
    x[rng.random(shape) < 0.01] = -1 if beside is None else beside
    alpha = np.resize([0.5, -2, 1e30, 0, -1e-30], shape[1]).astype(dtype)
    grad[rng.random(shape) < 0.01] = np.finfo(dtype).max / 1e3
    mask = rng.random(shape) < 0.5
    masked = np.where(mask, dtype(value), x)
    with np.errstate(over="ignore"):
        expected = np.where(
            mask, grad * dtype(0) * alpha[:, np.newaxis], el.elu_backward(grad, x, alpha)[0]
        )
    dx, dalpha = el.elu_backward(grad, masked, alpha)
    if dtype == np.float64 and value > -750:
        # exp(x) is not 0 yet.
        expected = np.where(mask, el.elu_backward(grad, np.full_like(x, value), alpha)[0], expected)
    np.testing.assert_array_equal(dx, expected)
    np.testing.assert_array_equal(np.signbit(dx), np.signbit(expected))
    total, magnitude = reference.elu_backward_alpha(grad, masked)
    assert np.all(np.abs(dalpha - total) <= dalpha_bound(dtype, magnitude) * (1 + 1e-13))


@pytest.mark.parametrize("beside", [-1.0, -np.inf])
@pytest.mark.parametrize("x", [-800, -1400, -2100, -2150])
def test_the_deepest_products_of_doubles(x, beside):
    """A huge g and alpha bring exp(x) back into the range, down to its subnormal numbers."""
    huge = 1.7e308
    expected = float(mpmath.mpf(huge) ** 2 * mpmath.exp(x))
    dx, _ = el.elu_backward(np.full(300, huge), np.resize([x, beside], 300), huge)
    np.testing.assert_allclose(dx[::2], expected, rtol=4e-16, atol=5e-324)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_masks_in_place_and_in_16_bits(dtype):
    rng = np.random.default_rng(12)
    x, grad = rng.normal(size=(2, 5, 8, 300)).astype(dtype)
    mask = rng.random(x.shape) < 0.5
    masked = np.where(mask, dtype(-np.inf), x)
    alpha = np.linspace(-1, 2, 8, dtype=np.float64 if dtype == np.float64 else np.float32)
    alone = el.elu_backward(grad, x, alpha)[0]
    zeros = np.copysign(0, grad.astype(float) * alpha[:, np.newaxis])
    expected = np.where(mask, zeros, alone.astype(float))
    for place in ("new", "x", "grad"):
        g, source = grad.copy(), masked.copy()
        out = {"new": None, "x": source, "grad": g}[place]
        dx, _ = el.elu_backward(g, source, alpha, out=out)
        np.testing.assert_array_equal(dx.astype(float), expected)
        np.testing.assert_array_equal(np.signbit(dx.astype(float)), np.signbit(expected))


def test_gradient_survives_far_below_zero():
    """alpha + Z loses every digit below x = -17; exp(x) keeps them down to its own underflow."""
    x = np.linspace(-103, -17, 5000, dtype=np.float32).reshape(1, -1)
    dx, _ = el.elu_backward(np.ones_like(x), x)
    exact = np.exp(x.astype(np.float64))
    error = np.abs(dx - exact) / np.spacing(exact.astype(np.float32))
    print(f"worst: {error.max():.3f} ULP at x = {x.ravel()[error.argmax()]!r}")
    assert error.max() <= 2


@hypothesis.given(
    g=st.floats(width=32, allow_nan=False, allow_infinity=False),
    a=st.floats(width=32, allow_nan=False, allow_infinity=False),
    x=st.floats(-400, 0, width=32),
)
@hypothesis.settings(max_examples=2000)
def test_float32_dx_is_within_2_ulp_for_every_scale(g, a, x):
    """No intermediate result overflows or underflows before dX does."""
    dx, _ = el.elu_backward(np.full((1, 1), g, np.float32), np.full((1, 1), x, np.float32), a)
    assert np.signbit(dx[0, 0]) == np.signbit(g * np.copysign(1, a))
    exact = np.longdouble(g) * np.longdouble(a) * np.exp(np.longdouble(x))
    with np.errstate(over="ignore", under="ignore"):
        rounded = np.float32(exact)
    if np.isinf(rounded):
        # Within 2 ULP of the largest number either is right.
        assert abs(dx[0, 0]) >= np.nextafter(np.finfo(np.float32).max, np.float32(0))
        return
    # The spacing of the largest number overflows; that of its neighbour is the same.
    ulp = np.spacing(min(np.abs(rounded), np.nextafter(np.finfo(np.float32).max, np.float32(0))))
    assert abs(dx[0, 0] - exact) <= 2 * ulp, (dx[0, 0], float(exact))


@pytest.mark.parametrize("dtype", DTYPES)
def test_dalpha_of_terms_that_cancel(dtype):
    """The bound is relative to the sum of magnitudes; math.fsum is exact."""
    rng = np.random.default_rng(11)
    n = 200_000
    x = rng.uniform(-30, -20, n).astype(dtype)  # expm1 is -1 to rounding: terms are -g
    grad = (rng.normal(size=n) * 10.0 ** rng.uniform(-6, 6, n)).astype(dtype)
    grad[n // 2 :] = -grad[: n - n // 2]
    x[n // 2 :] = x[: n - n // 2]
    order = rng.permutation(n)
    grad, x = grad[order], x[order]
    terms = grad.astype(np.float64) * np.expm1(x.astype(np.float64))
    bound = dalpha_bound(dtype, math.fsum(np.abs(terms)))
    _, dalpha = el.elu_backward(grad, x, 1.0)
    error = abs(float(dalpha) - math.fsum(terms))
    print(f"{np.dtype(dtype)}: error {error / bound:.2e} of the bound")
    assert error <= bound


@pytest.mark.parametrize(("dtype", "n"), [(np.float32, 2**25 + 3), (np.float64, 2**22 + 3)])
def test_dalpha_of_many_equal_terms(dtype, n):
    """A running sum in float32 would stop growing; one in float64 would drift."""
    x = np.full(n, -1.0, dtype)
    grad = np.full(n, 1 / 3, dtype)
    out = np.empty_like(x)
    term = float(el.elu_backward(grad[:1], x[:1])[1])
    exact = float(dtype(1 / 3)) * math.expm1(-1)
    for shape in [(1, 1, n), (n // 3, 3), (n // 10, 2, 5), (n // 2048, 2048), (1, 2, n // 2)]:
        size, channels = math.prod(shape), shape[1]
        count = size // channels
        _, dalpha = el.elu_backward(
            *(array[:size].reshape(shape) for array in (grad, x)),
            np.ones(channels, dtype),
            out=out[:size].reshape(shape),
        )
        # Differences in float64: NumPy would convert a Python number to float32.
        error = np.abs(dalpha.astype(np.float64) - count * exact)
        print(f"{np.dtype(dtype)} {shape}: error {error.max() / abs(count * exact):.3e}")
        assert np.all(error <= dalpha_bound(dtype, abs(count * exact))), shape
        # Without drift: the error is that of one term, and of the result's own rounding.
        drift = np.abs(dalpha.astype(np.float64) - count * term)
        assert np.all(drift <= np.spacing(np.abs(dalpha))), shape


def test_dalpha_is_finite_wherever_the_exact_sum_is():
    huge = float(np.finfo(np.float64).max) / 1.5
    for n in (6, 600, 60_000):
        grad = np.concatenate([np.full(n // 2, huge), np.full(n // 2 - 1, -huge)])
        x = np.full_like(grad, -800.0)
        for g in (grad, grad[::-1].copy()):
            assert el.elu_backward(g, x)[1] == -huge
            _, columns = el.elu_backward(g.reshape(-1, 1), x.reshape(-1, 1), np.ones(1))
            assert columns[0] == -huge
        assert el.elu_backward(np.abs(grad), x)[1] == -np.inf
    grad32 = np.array([3e38] * 40 + [-3e38] * 39, np.float32)
    assert el.elu_backward(grad32, np.full_like(grad32, -200))[1] == np.float32(-3e38)


def test_dalpha_keeps_subnormal_terms():
    sub = np.finfo(np.float32).smallest_subnormal
    grad = np.full(1001, sub, np.float32)
    x = np.full(1001, -0.5, np.float32)  # each term is 0.39 of the smallest subnormal number
    expected = 1001 * float(sub) * math.expm1(-0.5)
    assert abs(el.elu_backward(grad, x)[1] - expected) <= sub


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 3), (0,)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_empty(shape, dtype):
    alpha = np.ones(shape[1], dtype) if len(shape) > 1 else 1.0
    x = np.empty(shape, dtype)
    dx, dalpha = el.elu_backward(x, x, alpha)
    assert dx.shape == shape
    np.testing.assert_array_equal(dalpha, np.zeros(np.shape(alpha), dtype))


def test_scalar_alpha_gives_a_scalar_gradient():
    x = np.linspace(-2, 2, 9, dtype=np.float32).reshape(3, 3)
    _, dalpha = el.elu_backward(x, x, 0.5)
    assert isinstance(dalpha, np.float32)
    _, vector = el.elu_backward(x, x, np.full(3, 0.5, np.float32))
    np.testing.assert_allclose(dalpha, vector.sum(), rtol=1e-6)


@hypothesis.given(
    data=st.data(),
    dtype=st.sampled_from(DTYPES),
    shape=hnp.array_shapes(min_dims=2, max_dims=4, max_side=20),
)
@hypothesis.settings(max_examples=200)
def test_any_finite_values(data, dtype, shape):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    scale = 10.0 ** data.draw(st.integers(-3, 3))
    x = rng.normal(0, scale, shape).astype(dtype)
    grad = rng.normal(0, 1 / scale, shape).astype(dtype)
    axis = data.draw(st.integers(0, len(shape) - 1))
    alpha = rng.normal(size=shape[axis]).astype(dtype)
    dx, dalpha = el.elu_backward(grad, x, alpha, axis=axis)
    info = np.finfo(dtype)
    np.testing.assert_allclose(
        dx,
        reference.elu_backward_x(grad, x, alpha, axis),
        rtol=4 * info.eps,
        atol=2 * float(info.smallest_subnormal),
    )
    total, magnitude = reference.elu_backward_alpha(grad, x, axis)
    assert np.all(np.abs(dalpha - total) <= 4 * info.eps * magnitude)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinite_alpha(dtype):
    """An infinite alpha times a positive exp(x): no NaN from 0 * inf in the parts of a product."""
    grad = np.array([1, 1, -1, 2, np.finfo(dtype).smallest_subnormal], dtype)
    x = np.array([-1, -50, -1, -3.7, -2], dtype)
    dx, _ = el.elu_backward(grad, x, np.inf)
    assert dx.tolist() == [np.inf, np.inf, -np.inf, np.inf, np.inf]


@pytest.mark.parametrize(
    ("dtype", "bits"), [(np.float32, 0x7F800001), (np.float64, (2047 << 52) + 1)]
)
def test_a_signaling_nan_stays_nan(dtype, bits):
    grad = np.array([bits], dtype=f"u{np.dtype(dtype).itemsize}").view(dtype)
    dx, _ = el.elu_backward(grad, np.array([-1], dtype), 1.0)
    assert np.isnan(dx[0])


def test_many_channels_last():
    """More channels than are added side by side, and more partial sums than one thread takes."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(700, 1045)).astype(np.float32)
    grad = rng.normal(size=x.shape).astype(np.float32)
    _, dalpha = el.elu_backward(grad, x, np.full(1045, 0.5, np.float32), axis=-1)
    exact = (grad.astype(float) * np.expm1(np.minimum(x.astype(float), 0))).sum(axis=0)
    np.testing.assert_allclose(dalpha, exact, rtol=1e-5, atol=1e-5)
    for threads in (1, 2, 5):
        again = el.elu_backward(
            grad, x, np.full(1045, 0.5, np.float32), axis=-1, num_threads=threads
        )[1]
        assert np.array_equal(again, dalpha)
