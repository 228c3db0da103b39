"""elu_with_memory, and dX and dalpha from its memory or from Z alone.

exp(x) is 1 + expm1(x) there, with what rounding has left of it.
"""

import itertools
import math
import re

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

import elulayer as el
from shared import reference
from shared.inputs import DTYPES, SHAPES, in_memory_order, random_inputs, views
from shared.reference import assert_same

MODES = ["memory", "output"]
FUSED = el.cpu_info().fused
LENGTHS = (*range(1, 20), 31, 33, 63, 65, 127, 130, 255, 257, 300)
X = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 3, 4)
A = np.array([0.5, 1, 2], np.float32)


def source(mode, x, alpha, **options):
    """What backward starts from in this mode, as its keyword argument."""
    if mode == "x":
        return {"x": x}
    z, memory = el.elu_with_memory(x, alpha, **options)
    return {"memory": memory} if mode == "memory" else {"output": z}


def backward(mode, grad, x, alpha, **options):
    return el.elu_backward(grad, alpha=alpha, **source(mode, x, alpha), **options)


def positive_inputs(shape, dtype, seed=0):
    """As random_inputs, with alphas that all modes take."""
    x, alpha = random_inputs(shape, dtype, seed)
    return x, np.abs(alpha) + dtype(0.1)


# Forward -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_z_is_that_of_elu(shape, dtype):
    x, alpha = random_inputs(shape, dtype)
    x.flat[:: max(1, x.size // 30)] = np.resize([np.nan, np.inf, -np.inf, -0.0, -1e5], 31)[
        : x.flat[:: max(1, x.size // 30)].size
    ]
    for a in (alpha, np.abs(alpha), 0.0, -0.0, 0.3, -2.0, np.inf, np.nan):
        z, memory = el.elu_with_memory(x, a)
        assert_same(z, el.elu(x, a), x)
        # The memory does not see alpha, and is Z for alpha = 1 where x < 0.
        assert_same(memory[x < 0], el.elu(x, 1.0)[x < 0])
        assert_same(memory, el.elu_with_memory(x)[1])


def nonpositive(dtype, seed=0, count=200_000):
    rng = np.random.default_rng(seed)
    low, high = math.log10(float(np.finfo(dtype).tiny)), 2.5
    log = -(10.0 ** rng.uniform(low, high, count))
    step = float(np.finfo(dtype).smallest_subnormal)
    subnormal = -step * rng.integers(0, 2**20, count // 4)
    return np.concatenate([log, rng.uniform(-40, 0, count), subnormal]).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_is_expm1_of_the_negative_side(dtype):
    x = nonpositive(dtype)
    _, memory = el.elu_with_memory(x)
    exact = np.expm1(x.astype(np.longdouble))
    error = np.abs(memory - exact) / np.spacing(np.abs(exact.astype(dtype)))
    worst = error.argmax()
    print(f"{np.dtype(dtype)} memory: {float(error[worst]):.4f} ULP at x = {x[worst]!r}")
    assert error[worst] <= (1.0 if FUSED else 1.5 if dtype == np.float64 else 0.9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sign_bit_of_the_memory_is_clear_only_where_x_is_positive(dtype):
    sub = np.finfo(dtype).smallest_subnormal
    x = np.array([np.inf, 3, sub, 0.0, -0.0, -sub, -1e-6, -1, -1e5, -np.inf], dtype)
    nan = np.array([np.nan, -np.nan], dtype)
    for length in LENGTHS:
        for i in range(x.size):
            row = np.full((2, 3, length), -0.5, dtype)
            row[1, 2, -1], row[0, 0, length // 2] = x[i], nan[i % 2]
            for alpha in (0.5, A.astype(dtype), -A.astype(dtype)):
                _, memory = el.elu_with_memory(row, alpha)
                np.testing.assert_array_equal(np.signbit(memory), ~(row > 0))
                np.testing.assert_array_equal(np.isnan(memory), np.isnan(row))
                assert (memory[1, 2, -1] == 0) == (x[i] >= 0)
    _, memory = el.elu_with_memory(x)
    np.testing.assert_array_equal(memory[:5], np.zeros(5))
    np.testing.assert_array_equal(memory[-2:], [-1, -1])


# The error of dX ---------------------------------------------------------------------------------

# |error of dX| <= k * |g alpha| * eps / 2 + 1 ULP. The ULP is that of the two operations after the
# source was rounded; k is what rounding it to a last place of 1 costs. The memory has 0.75 ULP.
# Without fused operations alpha * memory rounds for a second time, and Z always has.
K = {
    ("memory", True): 0.75,
    ("memory", False): 1.85,
    ("output", True): 1.75,
    ("output", False): 1.85,
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_error_of_dx(mode, dtype):
    x = np.maximum(nonpositive(dtype, 1), dtype(-600))[None]
    rng = np.random.default_rng(2)
    g = (rng.choice([-1, 1], x.shape) * 10.0 ** rng.uniform(-3, 3, x.shape)).astype(dtype)
    alpha = (10.0 ** rng.uniform(-3, 3, x.size)).astype(dtype)
    dx, _ = backward(mode, g, x, alpha)
    product = g.astype(np.longdouble) * alpha
    exact = np.exp(x.astype(np.longdouble)) * product
    with np.errstate(under="ignore"):
        ulp = np.spacing(np.abs(exact).astype(dtype)).astype(np.longdouble)
    k = (np.abs(dx - exact) - ulp) / (np.abs(product) * (np.finfo(dtype).eps / 2))
    worst = k.argmax()
    print(
        f"{np.dtype(dtype)} dX from {mode}: k = {float(k.flat[worst]):.4f} at x = "
        f"{x.flat[worst]!r}, g = {g.flat[worst]!r}, alpha = {alpha[worst]!r}"
    )
    assert k.flat[worst] <= K[mode, FUSED]
    if mode == "memory":  # it is as bad as that: the bound is no looser than it must be
        assert k.flat[worst] >= 0.6


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("dtype", "least"), [(np.float32, -17), (np.float64, -37)])
def test_dx_is_0_where_all_digits_are_lost(least, dtype, mode):
    """expm1(x) is -1 to rounding from log(eps / 4) on, which is -17.33 and -37.43."""
    x = dtype([least, least - 0.45, -50, -1000, -np.inf])
    dx, _ = backward(mode, np.full(5, 3, dtype), x, 1.0)
    np.testing.assert_array_equal(dx, dtype([3 * np.finfo(dtype).eps / 2, 0, 0, 0, 0]))
    from_x, _ = el.elu_backward(np.full(5, 3, dtype), x)
    assert (from_x[:3] > 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_reference(shape, mode, dtype):
    x, alpha = positive_inputs(shape, dtype)
    if mode == "memory":
        alpha -= dtype(0.7)
    grad = np.random.default_rng(7).normal(size=shape).astype(dtype)
    dx, dalpha = backward(mode, grad, x, alpha)
    assert dx.dtype == dalpha.dtype == dtype
    assert dx.shape == shape and dalpha.shape == alpha.shape
    eps = np.finfo(dtype).eps
    exact = reference.elu_backward_x(grad, x, alpha)
    product = np.abs(grad * reference.per_channel(alpha, x.ndim))
    assert np.all(np.abs(dx - exact) <= eps * product + 2 * eps * np.abs(exact))
    total, magnitude = reference.elu_backward_alpha(grad, x)
    assert np.all(np.abs(dalpha - total) <= source_bound(mode, dtype) * magnitude)


# The error of dalpha -----------------------------------------------------------------------------


def source_bound(mode, dtype):
    """3 eps, as from x, and what rounding has cost the source: 1 ULP and 1.35 ULP of each term.

    The reference's sums in float64 have an error of their own.
    """
    eps = float(np.finfo(dtype).eps)
    return (3 + (1.0 if mode == "memory" else 1.35) + (10 if dtype == np.float64 else 0)) * eps


def bound_of(mode, dtype, magnitude):
    """The same without the slack of the reference."""
    return (4.0 if mode == "memory" else 4.35) * float(np.finfo(dtype).eps) * magnitude


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_dalpha_of_terms_that_cancel(mode, dtype):
    rng = np.random.default_rng(11)
    n = 100_000
    x = rng.uniform(-60, 0, n).astype(dtype)
    grad = (rng.normal(size=n) * 10.0 ** rng.uniform(-6, 6, n)).astype(dtype)
    grad[n // 2 :], x[n // 2 :] = -grad[: n // 2], x[: n // 2]
    order = rng.permutation(n)
    grad, x = grad[order], x[order]
    terms = grad.astype(np.longdouble) * np.expm1(x.astype(np.longdouble))
    magnitude = float(np.abs(terms).sum())
    for shape in [(n,), (n, 1), (n // 5, 1, 5)]:
        _, dalpha = backward(mode, grad.reshape(shape), x.reshape(shape), 0.75)
        error = float(abs(dalpha - terms.sum()))
        print(f"{np.dtype(dtype)} from {mode}: {error / magnitude:.2e} of the sum of |term|")
        assert error <= bound_of(mode, dtype, magnitude)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_dalpha_of_single_terms(mode, dtype):
    """One term to a channel: the error is that of the source and of one rounding."""
    x = nonpositive(dtype, 5, 50_000)
    x = x[(x == 0) | (np.abs(x) > 4 * np.finfo(dtype).tiny)][None]
    rng = np.random.default_rng(6)
    grad = rng.normal(size=x.shape).astype(dtype)
    alpha = rng.uniform(0.5, 2, x.size).astype(dtype)
    grad, x, alpha = (array[..., np.abs(grad[0]) > 1e-2] for array in (grad, x, alpha))
    _, dalpha = backward(mode, grad, x, alpha)
    terms = (np.expm1(x.astype(np.longdouble)) * grad)[0]
    eps = np.finfo(dtype).eps
    tiny = float(np.finfo(dtype).smallest_subnormal)
    error = (np.abs(dalpha - terms) - tiny) / (np.abs(terms) * eps + tiny)
    worst = error.argmax()
    print(f"{np.dtype(dtype)} term from {mode}: {float(error[worst]):.3f} eps at {x[0, worst]!r}")
    assert error[worst] <= (1.5 if mode == "memory" else 2.0)


@pytest.mark.parametrize("mode", MODES)
def test_terms_beyond_float32(mode):
    """Products and partial sums leave float32's range, and the sum comes back."""
    for n, shape in itertools.product((6, 90, 3000, 60_000), ("row", "columns")):
        grad = np.array([3e38] * n + [-3e38] * (n - 1), np.float32)
        x = np.full_like(grad, -200)
        for g in (grad, grad[::-1].copy()):
            if shape == "row":
                dx, dalpha = backward(mode, g, x, 1.0)
            else:
                dx, (dalpha,) = backward(mode, g[:, None], x[:, None], np.ones(1, np.float32))
            assert dalpha == np.float32(-3e38), (n, shape)
            assert not dx.any()
        assert backward(mode, np.abs(grad), x, 1.0)[1] == -np.inf


@pytest.mark.parametrize("mode", ["x", *MODES])
def test_terms_beyond_float64(mode):
    huge = float(np.finfo(np.float64).max) / 1.5
    for n in (6, 600, 20_000):
        grad = np.concatenate([np.full(n // 2, huge), np.full(n // 2 - 1, -huge)])
        x = np.full_like(grad, -800.0)
        for g in (grad, grad[::-1].copy()):
            assert backward(mode, g, x, 1.0)[1] == -huge
            assert backward(mode, g[:, None], x[:, None], np.ones(1))[1] == [-huge]
        assert backward(mode, np.abs(grad), x, 1.0)[1] == -np.inf


@pytest.mark.parametrize("alpha", [1e38, 1e-36])
def test_dalpha_from_output_for_any_scale_of_alpha_in_float32(alpha):
    x, grad = np.full(50, -3, np.float32), np.full(50, 1e30, np.float32)
    for g in (grad, grad * np.float32(1e-65)):
        _, dalpha = backward("output", g, x, alpha)
        exact = math.fsum(g.astype(float)) * math.expm1(-3)
        step = float(np.finfo(np.float32).smallest_subnormal)
        assert abs(dalpha - exact) <= bound_of("output", np.float32, abs(exact)) + step


@pytest.mark.parametrize("alpha", [1e305, 1e-300])
def test_dalpha_from_output_for_any_scale_of_alpha_in_float64(alpha):
    """Products g * Z leave the range on either side; g * Z / alpha does not."""
    for scale in (1e-20, 1e10):
        x, grad = np.full(4, -3.0), np.full(4, scale)
        _, dalpha = backward("output", grad, x, alpha)
        exact = 4 * scale * math.expm1(-3)
        assert abs(dalpha - exact) <= bound_of("output", np.float64, abs(exact)), (dalpha, exact)


@pytest.mark.parametrize("mode", ["x", *MODES])
def test_dalpha_of_a_channel_beside_an_infinite_one(mode):
    """One channel's overflow costs the digits of no other."""
    x = np.full((8, 2), -1.0)
    tiny = np.full(8, 1e-290)
    _, alone = backward(mode, np.stack([np.ones(8), tiny], axis=1), x, np.ones(2))
    for beside in (np.inf, 1e300):
        grad = np.stack([np.full(8, beside), tiny], axis=1)
        _, dalpha = backward(mode, grad, x, np.ones(2))
        exact = 8e-290 * math.expm1(-1)
        assert abs(alone[1] - exact) <= bound_of(mode, np.float64, abs(exact))
        assert abs(dalpha[1] - exact) <= bound_of(mode, np.float64, abs(exact)), (dalpha, exact)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_subnormal_terms_are_kept(dtype, mode):
    sub = np.finfo(dtype).smallest_subnormal
    grad = np.full(1001, sub, dtype)
    x = np.full(1001, -0.5, dtype)  # each term is 0.39 of the smallest subnormal number
    assert abs(backward(mode, grad, x, 1.0)[1] / sub - 1001 * math.expm1(-0.5)) <= 1


# Every size of g ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_dx_does_not_depend_on_what_surrounds_an_element(dtype, mode):
    """An overflow nearby makes the kernels take another form: the bits are the same."""
    rng = np.random.default_rng(13)
    n = 1000
    x = rng.normal(-1, 3, n).astype(dtype)
    info = np.finfo(dtype)
    exponents = rng.uniform(np.log10(float(info.tiny)), np.log10(float(info.max)), n)
    grad = (rng.choice([-1, 1], n) * 10.0**exponents).astype(dtype)
    special = [0.0, -0.0, info.max, -info.max, info.tiny, info.smallest_subnormal]
    grad[: len(special)] = special
    for alpha in (0.3, 1.0, 1e-30, 1e30):
        a = dtype(alpha)
        alone = np.concatenate(
            [backward(mode, grad[i : i + 1], x[i : i + 1], a)[0] for i in range(n)]
        )
        with np.errstate(over="ignore"):
            # Where the result is certain: x > 0 is g itself.
            assert_same(alone[x > 0], grad[x > 0])
            assert_same(np.signbit(alone), np.signbit(grad))
        for neighbour in (0.0, np.inf, np.nan, float(info.max)):
            row = np.concatenate([grad, [neighbour]]).astype(dtype)
            rows = np.concatenate([x, [-1]]).astype(dtype)
            assert_same(backward(mode, row, rows, a)[0][:n], alone, x, grad)
            columns = np.stack([row, row[::-1]], axis=1)
            dx, _ = backward(mode, columns, np.stack([rows, rows[::-1]], axis=1), np.full(2, a))
            assert_same(dx[:n, 0], alone, x, grad)
            assert_same(dx[:0:-1, 1], alone, x, grad)


@pytest.mark.parametrize("mode", MODES)
def test_dalpha_of_tiny_and_huge_g_together(mode):
    """Huge terms that cancel leave the small ones to the bound."""
    for dtype, (small, large) in {np.float32: (1e-30, 3e38), np.float64: (1e-290, 1e308)}.items():
        grad = np.array([large, small, -large, small, small], dtype)
        x = np.full(5, -2, dtype)
        _, dalpha = backward(mode, grad, x, 1.0)
        magnitude = 2 * (large * abs(math.expm1(-2)))
        assert abs(dalpha - 3 * small * math.expm1(-2)) <= bound_of(mode, dtype, magnitude)
        _, dalpha = backward(mode, grad[[1, 3, 4]], x[:3], 1.0)
        exact = 3 * float(dtype(small)) * math.expm1(-2)
        assert abs(dalpha - exact) <= bound_of(mode, dtype, abs(exact))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_special_values_in_body_and_tail(mode, dtype):
    info = np.finfo(dtype)
    inf, nan, sub, most = np.inf, np.nan, info.smallest_subnormal, info.max
    cases = [  # x, g, expected dX, expected term of dalpha; alpha is 0.75
        (inf, inf, inf, 0),
        (2, -inf, -inf, 0),
        (most, nan, nan, 0),
        (sub, -0.0, -0.0, 0),
        (sub, 2, 2, 0),
        (nan, 1, nan, nan),
        (-nan, 0, nan, nan),
        (-1, nan, nan, nan),
        (-1, inf, inf, -inf),
        (-inf, 2, 0, -2),
        (-inf, -inf, nan, inf),  # g * alpha * 0 is NaN
        (-1e5, -2, -0.0, 2),
        (0.0, 2, 1.5, 0),
        (-0.0, 2, 1.5, 0),
        (0.0, most, 0.75 * most, 0),
        (-0.0, sub, sub, 0),
        # A subnormal Z has one significant digit: -0.75 rounds to -1 of the smallest number.
        (-sub, 2, 1.5, -2 * sub if mode == "memory" else np.multiply(-2 * sub, 4 / 3, dtype=dtype)),
    ]
    for length, (value, g, dx_expected, term) in itertools.product(LENGTHS, cases):
        for position in {0, length // 2, length - 1}:
            x, grad = np.full((1, length), 0.5, dtype), np.full((1, length), 3, dtype)
            x[0, position], grad[0, position] = value, g
            expected = grad.copy()
            expected[0, position] = dx_expected
            for alpha in (0.75, np.full(length, 0.75, dtype)):
                dx, dalpha = backward(mode, grad, x, alpha)
                assert_same(dx, expected, x, grad)
                sums = np.zeros(np.shape(alpha), dtype)
                sums[() if sums.ndim == 0 else position] = term
                np.testing.assert_array_equal(dalpha, sums, f"x = {value}, g = {g}")


# Alpha -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_takes_any_alpha(dtype):
    x = np.array([[-np.inf, -3, -0.0, 0.0, 3, np.inf]], dtype).T
    grad = np.full_like(x, 2)
    _, memory = el.elu_with_memory(x, 0.0)
    dx, dalpha = el.elu_backward(grad, memory=memory, alpha=0.0)
    np.testing.assert_array_equal(dx[:, 0], [0, 0, 0, 0, 2, 2])
    np.testing.assert_allclose(dalpha, 2 * (np.expm1(dtype(-3)) - 1), rtol=1e-6)
    many = np.random.default_rng(1).normal(-1, 2, (50, 4)).astype(dtype)
    alpha = np.array([0, -0.0, -0.5, -3], dtype)
    dx, dalpha = backward("memory", many, many, alpha)
    np.testing.assert_allclose(
        dx, reference.elu_backward_x(many, many, alpha), rtol=1e-4, atol=1e-6
    )
    # dalpha does not see alpha.
    assert_same(dalpha, backward("memory", many, many, np.ones(4, dtype))[1])
    for alpha in (np.inf, np.nan):
        dx, dalpha = el.elu_backward(many, memory=el.elu_with_memory(many)[1], alpha=alpha)
        assert_same(dx[many > 0], many[many > 0])
        assert np.isfinite(dalpha)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [0.0, -0.0, -0.5, np.nan, -np.inf])
def test_output_takes_positive_alphas_only(value, dtype):
    z, grad = X.astype(dtype), X.astype(dtype)
    before = z.copy()
    message = f"alpha must be greater than 0 where output is given, not {value}"
    for alpha in (value, [1.0, value, 2.0], np.array([1, 2, value], dtype), dtype(value)):
        with pytest.raises(ValueError, match=re.escape(message)):
            el.elu_backward(grad, output=z, alpha=alpha)
        with pytest.raises(ValueError, match=re.escape(message)):
            el.elu_backward(grad, output=z, alpha=alpha, out=z)
        assert_same(z, before)
    sub = float(np.finfo(dtype).smallest_subnormal)
    el.elu_backward(grad, output=z, alpha=sub)


# Shapes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 3), (0,)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_empty(mode, dtype, shape):
    alpha = np.ones(shape[1], dtype) if len(shape) > 1 else 1.0
    x = np.empty(shape, dtype)
    z, memory = el.elu_with_memory(x, alpha)
    assert z.shape == memory.shape == shape and z.dtype == memory.dtype == dtype
    dx, dalpha = backward(mode, x, x, alpha)
    assert dx.shape == shape
    assert_same(dalpha, np.zeros(np.shape(alpha), dtype))


@pytest.mark.parametrize("mode", MODES)
def test_scalar_alpha_gives_a_scalar_gradient(mode):
    for alpha in (0.5, 1, np.float32(0.5)):
        _, dalpha = backward(mode, X, X, alpha)
        assert isinstance(dalpha, np.float32)
    _, vector = backward(mode, X, X, A)
    np.testing.assert_allclose(dalpha, vector.sum(), rtol=1e-6)


# In place ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(8, 3, 40, 40), (500, 3), (2, 3, 20_000)], ids=str)
def test_training_in_place(shape, dtype):
    """Forward over its input, backward over the gradient: no array beside the two."""
    x, alpha = positive_inputs(shape, dtype)
    grad = np.random.default_rng(3).normal(size=shape).astype(dtype)
    z = el.elu(x, alpha)
    dx, dalpha = el.elu_backward(grad, output=z, alpha=alpha)
    activations, gradients = x.copy(), grad.copy()
    assert el.elu(activations, alpha, out=activations) is activations
    assert_same(activations, z)
    result, sums = el.elu_backward(gradients, output=activations, alpha=alpha, out=gradients)
    assert result is gradients
    assert_same(gradients, dx)
    assert_same(sums, dalpha)
    assert_same(activations, z)
    # Both agree with backward from x as closely as Z's rounding allows.
    eps = np.finfo(dtype).eps
    from_x, from_x_dalpha = el.elu_backward(grad, x, alpha)
    product = np.abs(grad * reference.per_channel(alpha, x.ndim))
    assert np.all(np.abs(dx - from_x) <= 2 * eps * product)
    _, magnitude = reference.elu_backward_alpha(grad, x)
    assert np.all(np.abs(dalpha - from_x_dalpha) <= 8 * eps * magnitude)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_out_may_be_an_input_or_overlap_one(mode, dtype):
    shape = (2, 3, 10_000)
    x, alpha = positive_inputs(shape, dtype)
    grad = np.random.default_rng(4).normal(size=shape).astype(dtype)
    given = source(mode, x, alpha)[mode]
    dx, dalpha = el.elu_backward(grad, alpha=alpha, **{mode: given})
    for target in ("grad", "source", "copy", "view", "F"):
        arrays = {"grad": grad.copy(), "source": given.copy(), "copy": np.empty_like(x)}
        arrays["view"], arrays["F"] = arrays["grad"][:], np.empty(shape, dtype, order="F")
        out = arrays[target]
        result, sums = el.elu_backward(
            arrays["grad"], alpha=alpha, out=out, **{mode: arrays["source"]}
        )
        assert result is out
        assert_same(out, dx)
        assert_same(sums, dalpha)
    for shift, first in itertools.product((1, 16, 5000), ("grad", "source")):
        memory = np.empty(x.size + shift, dtype)
        shifted, out = memory[shift:].reshape(shape), memory[: x.size].reshape(shape)
        shifted[...] = grad if first == "grad" else given
        arguments = (shifted, given) if first == "grad" else (grad, shifted)
        result, sums = el.elu_backward(arguments[0], alpha=alpha, out=out, **{mode: arguments[1]})
        assert_same(result, dx)
        assert_same(sums, dalpha)


# Layouts and threads -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 20, 24, 5), (3, 7, 20_000), (20_000, 37), (1, 1, 200_001)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_number_of_threads(shape, dtype):
    x, alpha = positive_inputs(shape, dtype, seed=9)
    grad = np.random.default_rng(10).normal(size=shape).astype(dtype)
    grad.flat[x.size // 2] = np.finfo(dtype).max  # one block in the other form
    bits = set()
    for threads in (1, 2, 3, 7, 64, None):
        z, memory = el.elu_with_memory(x, alpha, num_threads=threads)
        results = (
            *(z, memory),
            *el.elu_backward(grad, memory=memory, alpha=alpha, num_threads=threads),
            *el.elu_backward(grad, output=z, alpha=alpha, num_threads=threads),
        )
        bits.add(b"".join(result.tobytes() for result in results))
    assert len(bits) == 1


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_every_dense_permutation(order, dtype):
    rng = np.random.default_rng(0)
    shape = (3, 4, 5, 6)
    x, grad = (in_memory_order(rng.normal(size=shape).astype(dtype), order) for _ in range(2))
    plain_x, plain_grad = np.ascontiguousarray(x), np.ascontiguousarray(grad)
    for axis in range(4):
        alpha = rng.uniform(0.1, 1, shape[axis]).astype(dtype)
        z, memory = el.elu_with_memory(x, alpha, axis=axis)
        assert z.strides == memory.strides == x.strides
        plain_z, plain_memory = el.elu_with_memory(plain_x, alpha, axis=axis)
        assert_same(z, plain_z)
        assert_same(memory, plain_memory)
        total, magnitude = reference.elu_backward_alpha(grad, x, axis)
        for mode, array, plain in (("memory", memory, plain_memory), ("output", z, plain_z)):
            options = {"alpha": alpha, "axis": axis}
            dx, dalpha = el.elu_backward(grad, **{mode: array}, **options)
            assert dx.strides == x.strides
            plain_dx, _ = el.elu_backward(plain_grad, **{mode: plain}, **options)
            assert_same(dx, plain_dx)
            assert np.all(np.abs(dalpha - total) <= source_bound(mode, dtype) * magnitude)
            # A gradient of another layout is copied to that of the source.
            mixed_dx, mixed_dalpha = el.elu_backward(plain_grad, **{mode: array}, **options)
            assert mixed_dx.strides == x.strides
            assert_same(mixed_dx, dx)
            assert_same(mixed_dalpha, dalpha)


@hypothesis.given(data=st.data(), shape=st.lists(st.integers(0, 5), min_size=1, max_size=4))
@hypothesis.settings(max_examples=60)
def test_any_strides_give_the_values_of_a_copy(data, shape):
    x, grad = data.draw(views(shape, 1)), data.draw(views(shape, 2))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    alpha = data.draw(views([shape[axis]], 3)).copy()
    np.abs(alpha, out=alpha)
    z, memory = el.elu_with_memory(x, alpha, axis=axis)
    for result, plain in zip(
        (z, memory), el.elu_with_memory(x.copy(), alpha, axis=axis), strict=True
    ):
        assert_same(result, plain)
    for mode, given in (("memory", memory), ("output", z)):
        holes = np.repeat(given, 2, axis=-1)[..., ::2]
        dx, dalpha = el.elu_backward(grad, alpha=alpha, axis=axis, **{mode: holes})
        plain_dx, plain_dalpha = el.elu_backward(
            grad.copy(), alpha=alpha, axis=axis, **{mode: given.copy()}
        )
        assert_same(dx, plain_dx)
        np.testing.assert_allclose(dalpha, plain_dalpha, rtol=1e-6, atol=1e-6)


@hypothesis.given(
    data=st.data(),
    dtype=st.sampled_from(DTYPES),
    shape=hnp.array_shapes(min_dims=2, max_dims=4, max_side=9),
)
@hypothesis.settings(max_examples=80)
def test_any_values(data, dtype, shape):
    """From x and from memory: the same NaN, the same infinities, and the bounds between them."""
    width = 8 * np.dtype(dtype).itemsize
    x, grad = (data.draw(hnp.arrays(dtype, shape, elements=st.floats(width=width))) for _ in "xg")
    axis = data.draw(st.integers(0, len(shape) - 1))
    factors = st.floats(2.0**-10, 2.0**10, width=width)
    alpha = data.draw(hnp.arrays(dtype, shape[axis], elements=factors))
    z, memory = el.elu_with_memory(x, alpha, axis=axis)
    assert_same(z, el.elu(x, alpha, axis=axis))
    a = reference.per_channel(alpha, x.ndim, axis).astype(np.longdouble)
    with np.errstate(all="ignore"):
        g, info = grad.astype(np.longdouble), np.finfo(dtype)
        exact = np.where(x > 0, g, g * a * np.exp(x.astype(np.longdouble)))
        allowed = info.eps * np.abs(g * a) + 2 * info.eps * np.abs(exact) + info.smallest_subnormal
    for name, given in (("memory", memory), ("output", z)):
        dx, _ = el.elu_backward(grad, alpha=alpha, axis=axis, **{name: given})
        with np.errstate(all="ignore"):
            finite = np.isfinite(g) & (np.abs(exact) + allowed < np.longdouble(info.max))
            assert np.all(~finite | (np.abs(dx - exact) <= allowed)), name
        assert_same(dx[x > 0], grad[x > 0])
        assert np.isnan(dx[np.isnan(x) | np.isnan(grad)]).all()
