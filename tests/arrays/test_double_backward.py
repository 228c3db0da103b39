"""elu_double_backward: the gradients of a loss through elu_backward."""

import itertools

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pytest

import elulayer as el
from shared import reference
from shared.inputs import DTYPES, SHAPES, in_memory_order, misaligned, views
from shared.reference import assert_same

ALL_DTYPES = [*DTYPES, np.float16, ml_dtypes.bfloat16]
LENGTHS = (*range(1, 20), 31, 33, 63, 65, 127, 130, 255, 257, 300)
X = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 3, 4)
A = np.array([0.5, 1, 2], np.float32)
EPS = float(np.finfo(np.float64).eps)


def random_arguments(shape, dtype, seed=0, channels=None):
    """v, w, grad, x, alpha."""
    rng = np.random.default_rng(seed)
    v, grad = rng.normal(size=(2, *shape)).astype(dtype)
    x = rng.normal(0, 3, shape).astype(dtype)
    vector = np.float32 if np.dtype(dtype).itemsize == 2 else dtype
    channels = shape[1] if channels is None else channels
    w, alpha = rng.normal(size=(2, channels)).astype(vector)
    return v, w, grad, x, alpha


def in_float64(arrays):
    return tuple(np.asarray(array).astype(np.float64) for array in arrays)


def sum_of(terms, axis=1):
    return np.moveaxis(terms, axis, 0).reshape(terms.shape[axis], -1).sum(axis=1)


def check_float64(results, arguments, axis=1):
    """The formulae, within a few roundings of each of their summands."""
    v, w, g, x, alpha = arguments
    dgrad, dx, dalpha = results
    expected_dgrad, expected_dx, terms = reference.elu_double_backward(*arguments, axis)
    a, w = reference.per_channel(alpha, x.ndim, axis), reference.per_channel(w, x.ndim, axis)
    with np.errstate(over="ignore"):
        e, m = np.exp(np.minimum(x, 0)), np.expm1(np.minimum(x, 0))
    assert np.all(np.abs(dgrad - expected_dgrad) <= 4 * EPS * (np.abs(v * a) * e + np.abs(w * m)))
    assert np.all(np.abs(dx - expected_dx) <= 4 * EPS * np.abs(g) * e * (np.abs(v * a) + np.abs(w)))
    bound = (3 + 2 + 10) * EPS * sum_of(np.abs(terms), axis)  # 10 for the sums of the reference
    assert np.all(np.abs(dalpha - sum_of(terms, axis)) <= bound)


# Values ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_reference(shape):
    arguments = random_arguments(shape, np.float64)
    results = el.elu_double_backward(*arguments)
    assert [r.shape for r in results] == [shape, shape, (shape[1],)]
    check_float64(results, arguments)


def test_accuracy_of_float64():
    """One element to a channel, against long double; the worst inputs are printed."""
    rng = np.random.default_rng(1)
    n = 200_000
    x = -np.concatenate([10.0 ** rng.uniform(-300, 2.5, n // 2), rng.uniform(0, 40, n // 2)])[None]
    v, g = rng.choice([-1, 1], (2, 1, n)) * 10.0 ** rng.uniform(-9, 9, (2, 1, n))
    w, alpha = rng.choice([-1, 1], (2, n)) * 10.0 ** rng.uniform(-9, 9, (2, n))
    dgrad, dx, dalpha = el.elu_double_backward(v, w, g, x, alpha)
    V, W, G, A = (array.astype(np.longdouble) for array in (v, w, g, alpha))
    e, m = np.exp(x.astype(np.longdouble)), np.expm1(x.astype(np.longdouble))
    for name, result, exact, scale, bound in (
        ("dgrad", dgrad, V * A * e + W * m, np.abs(V * A * e) + np.abs(W * m), 3),
        ("dX", dx, G * e * (V * A + W), np.abs(G * e) * (np.abs(V * A) + np.abs(W)), 3),
        ("term of dalpha", dalpha, (V * G * e)[0], np.abs(V * G * e)[0], 2.5),
    ):
        error = np.abs(result - exact) / (scale * EPS)
        i = error.argmax()
        print(
            f"{name}: {float(error.flat[i]):.3f} eps at x = {x.flat[i]!r}, v = {v.flat[i]!r}, "
            f"w = {w[i]!r}, g = {g.flat[i]!r}, alpha = {alpha[i]!r}"
        )
        assert error.flat[i] <= bound


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_float32_is_float64_rounded_once(shape):
    arguments = random_arguments(shape, np.float32, seed=2)
    arguments[3].flat[:: max(1, arguments[3].size // 9)] -= np.float32(30)
    results = el.elu_double_backward(*arguments)
    assert [r.dtype for r in results] == [np.float32] * 3
    expected = el.elu_double_backward(*in_float64(arguments))
    for result, exact in zip(results[:2], expected[:2], strict=True):
        assert_same(result, exact.astype(np.float32), *(arguments[i] for i in (0, 2, 3)))
    # The sums are of float64 too, in another order.
    terms = reference.elu_double_backward(*in_float64(arguments))[2]
    half = np.spacing(np.abs(results[2])).astype(np.float64) / 2
    bound = half * (1 + 1e-9) + 20 * EPS * sum_of(np.abs(terms))
    assert np.all(np.abs(results[2] - expected[2]) <= bound)


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda d: np.dtype(d).name)
def test_dtypes_and_shapes(dtype):
    vector = np.dtype(np.float32 if np.dtype(dtype).itemsize == 2 else dtype)
    for shape in [(3, 4, 5), (2, 3, 300)]:
        v, w, g, x, alpha = random_arguments(shape, dtype)
        dgrad, dx, dalpha = el.elu_double_backward(v, w, g, x, alpha)
        assert dgrad.dtype == dx.dtype == dtype and dalpha.dtype == vector
        assert dgrad.shape == dx.shape == shape and dalpha.shape == alpha.shape
        exact = reference.elu_double_backward(*in_float64((v, w, g, x, alpha)))
        eps = float(ml_dtypes.finfo(dtype).eps)
        np.testing.assert_allclose(dgrad.astype(float), exact[0], rtol=2 * eps, atol=eps)
        np.testing.assert_allclose(dx.astype(float), exact[1], rtol=2 * eps, atol=eps)
        np.testing.assert_allclose(dalpha, sum_of(exact[2]), rtol=1e-5, atol=1e-5)
        for scalar in (0.5, vector.type(0.5), 1):
            *_, dalpha = el.elu_double_backward(v, scalar, g, x, scalar)
            assert isinstance(dalpha, vector.type)
            vectors = np.full(shape[1], scalar, vector)
            expected = el.elu_double_backward(v, vectors, g, x, vectors)
            results = el.elu_double_backward(v, scalar, g, x, scalar)
            assert_same(results[0], expected[0])
            assert_same(results[1], expected[1])
            np.testing.assert_allclose(results[2], expected[2].sum(), rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -4])
def test_axis(axis):
    arguments = random_arguments((6, 6, 6, 6), np.float64, seed=3)
    check_float64(el.elu_double_backward(*arguments, axis=axis), arguments, axis)


# Against elu_backward ----------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["both", "grad_dx", "grad_dalpha"])
@pytest.mark.parametrize(("shape", "axis"), [((2, 3, 4), 1), ((4, 3), 0), ((7, 2), -1), ((9,), 0)])
def test_against_central_differences(shape, axis, given):
    """Differences of elu_backward, off the kink, each argument of it one element at a time."""
    v, w, g, x, alpha = random_arguments(shape, np.float64, seed=4, channels=shape[axis])
    x = np.where(np.abs(x) < 0.01, -0.5, x)
    grad_dx, grad_dalpha = (
        None if given == name else a for name, a in (("grad_dalpha", v), ("grad_dx", w))
    )

    def loss(**changed):
        arguments = {"grad": g, "x": x, "alpha": alpha, **changed}
        dx, dalpha = el.elu_backward(**arguments, axis=axis)
        return (0 if grad_dx is None else (v * dx).sum()) + (
            0 if grad_dalpha is None else (w * dalpha).sum()
        )

    results = el.elu_double_backward(grad_dx, grad_dalpha, g, x, alpha, axis=axis)
    h = 1e-5
    for (name, value), result in zip(
        {"grad": g, "x": x, "alpha": alpha}.items(), results, strict=True
    ):
        numerical = np.empty_like(value)
        for i in np.ndindex(value.shape):
            step = np.zeros_like(value)
            step[i] = h
            numerical[i] = (loss(**{name: value + step}) - loss(**{name: value - step})) / (2 * h)
        np.testing.assert_allclose(result, numerical, rtol=1e-6, atol=1e-8, err_msg=name)


def test_scalar_alpha_against_central_differences():
    v, _, g, x, _ = random_arguments((3, 4), np.float64, seed=5)
    w, alpha, h = 0.7, 0.4, 1e-5
    x = np.where(np.abs(x) < 0.01, -0.5, x)

    def loss(alpha):
        dx, dalpha = el.elu_backward(g, x, alpha)
        return (v * dx).sum() + w * dalpha

    dgrad, dx, dalpha = el.elu_double_backward(v, w, g, x, alpha)
    np.testing.assert_allclose(dalpha, (loss(alpha + h) - loss(alpha - h)) / (2 * h), rtol=1e-8)
    vectors = el.elu_double_backward(v, np.full(4, w), g, x, np.full(4, alpha))
    assert_same(dgrad, vectors[0])
    assert_same(dx, vectors[1])
    np.testing.assert_allclose(dalpha, vectors[2].sum(), rtol=1e-14)


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda d: np.dtype(d).name)
def test_none_is_zeros(dtype):
    v, w, g, x, alpha = random_arguments((2, 3, 4), dtype, seed=6)
    for grad_dx, grad_dalpha in [(None, w), (v, None), (None, None)]:
        zeros = (
            np.zeros_like(v) if grad_dx is None else v,
            np.zeros_like(w) if grad_dalpha is None else w,
        )
        results = el.elu_double_backward(grad_dx, grad_dalpha, g, x, alpha)
        for result, expected in zip(
            results, el.elu_double_backward(*zeros, g, x, alpha), strict=True
        ):
            assert_same(result, expected)
    *_, dalpha = el.elu_double_backward(v, None, g, x, 0.5)
    assert np.ndim(dalpha) == 0
    assert_same(dalpha, el.elu_double_backward(v, 0.0, g, x, 0.5)[2])


# Special values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda d: np.dtype(d).name)
def test_the_positive_side_is_exact(dtype):
    """Select, never multiply by a mask: v, 0 and 0 whatever g, w and alpha are."""
    info = ml_dtypes.finfo(dtype)
    sub, most = float(info.smallest_subnormal), float(info.max)
    values = [1.5, -0.0, 0.0, sub, -sub, most, np.inf, -np.inf, np.nan]
    positive = [sub, float(info.tiny), 1e-3, 3, most, np.inf]
    v, g, x = (
        np.array(a, dtype) for a in zip(*itertools.product(values, values, positive), strict=True)
    )
    for w, alpha in itertools.product([0.0, 1.0, -np.inf, np.nan], [0.75, -0.0, np.inf, np.nan]):
        dgrad, dx, dalpha = el.elu_double_backward(v, w, g, x, alpha)
        assert_same(dgrad, v)
        assert_same(dx, np.zeros_like(x))
        assert dalpha == 0


@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda d: np.dtype(d).name)
def test_special_values_in_body_and_tail(dtype):
    inf, nan = np.inf, np.nan
    sub = float(ml_dtypes.finfo(dtype).smallest_subnormal)
    cases = [  # x, v, g; dgrad, dX, term of dalpha. alpha is 0.75 and w 0.5
        (0.0, 2, 4, 1.5, 8, 8),
        (-0.0, 2, 4, 1.5, 8, 8),
        (-0.0, -2, 4, -1.5, -4, -8),
        (0.0, 4 * sub, 0, 3 * sub, 0, 0),
        (-sub, 2, 4, 1.5, 8, 8),
        (-inf, 2, 4, -0.5, 0, 0),
        (-1e4, 2, 4, -0.5, 0, 0),
        (-1e4, 2, -4, -0.5, -0.0, 0),
        (-inf, inf, 4, nan, nan, nan),  # inf * 0
        (-inf, 2, inf, -0.5, nan, nan),
        (-1, inf, 4, inf, inf, inf),
        (-1, inf, -4, inf, -inf, -inf),
        (-1, -inf, 0.0, -inf, nan, nan),
        (nan, 2, 4, nan, nan, nan),
        (-nan, 0, 0, nan, nan, nan),
        (-0.0, nan, 4, nan, nan, nan),
        (-0.0, 2, nan, 1.5, nan, nan),
        (3, nan, nan, nan, 0, 0),
    ]
    for length, (value, v, g, dgrad, dx, term) in itertools.product(LENGTHS, cases):
        for position in {0, length // 2, length - 1}:
            x, grads, vs = np.full((3, 1, length), [[[0.5]], [[3]], [[7]]]).astype(dtype)
            x[0, position], grads[0, position], vs[0, position] = value, g, v
            expected = vs.copy(), np.zeros_like(x)
            expected[0][0, position], expected[1][0, position] = dgrad, dx
            vector = np.float32 if x.itemsize == 2 else dtype
            for shape in ((), (length,)):
                alpha, w = np.full(shape, 0.75, vector), np.full(shape, 0.5, vector)
                results = el.elu_double_backward(vs, w, grads, x, alpha)
                assert_same(results[0], expected[0], x, vs, grads)
                assert_same(results[1], expected[1], x, vs, grads)
                sums = np.zeros(shape, vector)
                sums[() if shape == () else position] = term
                np.testing.assert_allclose(
                    results[2], sums, rtol=2e-7, err_msg=f"x = {value}, v = {v}, g = {g}"
                )


def test_terms_beyond_the_range():
    """Sums of either sign that leave the range and come back."""
    for dtype, huge in ((np.float32, 3e38), (np.float64, 1.2e308)):
        for n in (3, 300, 30_000):
            v = np.array([huge] * n + [-huge] * (n - 1), dtype)
            ones, x = np.ones_like(v), np.zeros_like(v)
            *_, dalpha = el.elu_double_backward(v, 0.0, ones, x, 0.0)
            assert dalpha == dtype(huge)
            *_, columns = el.elu_double_backward(
                v[:, None], np.zeros(1, dtype), ones[:, None], x[:, None], np.zeros(1, dtype)
            )
            assert columns[0] == dtype(huge)
            assert el.elu_double_backward(np.abs(v), 0.0, ones, x, 0.0)[2] == np.inf


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_small_factor_of_an_infinite_term(dtype):
    v, g, x = np.ones(2, dtype), np.array([np.inf, 1], dtype), np.full(2, -657, dtype)
    assert el.elu_double_backward(v, 1.0, g, x, 0.0)[2] == np.inf
    zero, one = np.zeros(2, dtype), np.ones(2, dtype)
    *_, columns = el.elu_double_backward(v[None], one, g[None], x[None], zero)
    np.testing.assert_allclose(columns, dtype([np.inf, np.exp(-657.0)]), rtol=4e-16)


def test_no_product_of_float32_leaves_the_range_on_its_way():
    most, least = np.finfo(np.float32).max, np.finfo(np.float32).smallest_subnormal
    x = np.array([-170], np.float32)  # exp(x) is below float32's range
    dgrad, dx, dalpha = el.elu_double_backward(
        np.full_like(x, most), 0.0, np.full_like(x, most), x, float(most)
    )
    e = np.exp(-170.0)
    np.testing.assert_allclose(dgrad, float(most) * float(most) * e, rtol=1e-6)
    np.testing.assert_allclose(dalpha, float(most) * float(most) * e, rtol=1e-6)
    assert dx == np.inf
    dgrad, dx, dalpha = el.elu_double_backward(
        np.full_like(x, most), 0.0, np.full_like(x, least), x, float(most)
    )
    exact = float(most) * float(most) * e * float(least)
    np.testing.assert_allclose(dx, exact, rtol=0, atol=float(least) / 2)
    assert dalpha == 0


@hypothesis.given(
    data=st.data(),
    dtype=st.sampled_from(DTYPES),
    shape=hnp.array_shapes(min_dims=1, max_dims=4, max_side=7),
)
@hypothesis.settings(max_examples=80)
def test_any_values(data, dtype, shape):
    """The formulae as they stand, infinities and NaN included."""
    width = 8 * np.dtype(dtype).itemsize
    # No product of these leaves the range of normal float64.
    bounded = st.floats(-(2.0**40), 2.0**40, width=width).filter(
        lambda value: value == 0 or abs(value) > 2.0**-60
    )
    special = st.sampled_from([np.inf, -np.inf, np.nan, -0.0, 0.0])
    inputs = st.floats(-500, 2.0**40, width=width)
    v, g, x = (
        data.draw(hnp.arrays(dtype, shape, elements=st.one_of(numbers, special)))
        for numbers in (bounded, bounded, inputs)
    )
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    w, alpha = (data.draw(hnp.arrays(dtype, shape[axis], elements=bounded)) for _ in "wa")
    dgrad, dx, dalpha = el.elu_double_backward(v, w, g, x, alpha, axis=axis)
    expected = reference.elu_double_backward(v, w, g, x, alpha, axis)
    with np.errstate(all="ignore"):
        a, wide_w = (reference.per_channel(vector, x.ndim, axis) for vector in (alpha, w))
        e = np.exp(np.minimum(x.astype(np.float64), 0))
        scales = (
            np.where(x > 0, 0, np.abs(v * a * e) + np.abs(wide_w)),
            np.where(x > 0, 0, np.abs(g) * e * (np.abs(v * a) + np.abs(wide_w))),
        )
        terms = np.moveaxis(expected[2], axis, 0).reshape(shape[axis], -1)
        eps, sub = np.finfo(dtype).eps, np.finfo(dtype).smallest_subnormal
        for result, exact, scale in zip(
            (dgrad, dx, dalpha),
            (expected[0], expected[1], terms.sum(axis=1)),
            (*scales, 4 * np.abs(terms).sum(axis=1)),
            strict=True,
        ):
            rounded = exact.astype(dtype)
            assert np.array_equal(np.isnan(result), np.isnan(rounded))
            finite = np.isfinite(rounded)
            np.testing.assert_array_equal(result[~finite], rounded[~finite])
            # float32: half a last place of the result, and of the scale what float64 costs.
            bound = 4 * EPS * scale + eps * np.abs(exact) + sub
            assert np.all((np.abs(result - exact) <= bound)[finite])


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 3), (0,)], ids=str)
@pytest.mark.parametrize("dtype", ALL_DTYPES, ids=lambda d: np.dtype(d).name)
def test_empty(dtype, shape):
    vector = np.float32 if np.dtype(dtype).itemsize == 2 else dtype
    alpha = np.ones(shape[1], vector) if len(shape) > 1 else 1.0
    x = np.empty(shape, dtype)
    dgrad, dx, dalpha = el.elu_double_backward(x, alpha, x, x, alpha)
    assert dgrad.shape == dx.shape == shape and dgrad.dtype == dx.dtype == dtype
    assert_same(dalpha, np.zeros(np.shape(alpha), vector))


# Threads and layouts -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(64, 20, 24, 5), (3, 7, 20_000), (20_000, 37), (1, 1, 200_001)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_same_bits_for_any_number_of_threads(shape, dtype):
    arguments = random_arguments(shape, dtype, seed=9)
    bits = set()
    for threads in (1, 2, 3, 7, 64, None):
        results = el.elu_double_backward(*arguments, num_threads=threads)
        bits.add(b"".join(result.tobytes() for result in results))
    assert len(bits) == 1


def test_bits_do_not_depend_on_position():
    v, w, g, x, alpha = random_arguments((500, 1), np.float32, seed=10)
    x[:8, 0] = [-0.0, 0, -np.inf, -700, -745, -1e-40, -17, -0.3]
    alone = [el.elu_double_backward(v[i], w[0], g[i], x[i], alpha[0])[:2] for i in range(500)]
    dgrad, dx = (np.concatenate(results) for results in zip(*alone, strict=True))
    for repeat, columns in itertools.product((1, 3), (1, 4, 25, 500)):
        arrays = (np.tile(array[:, 0], repeat).reshape(-1, columns) for array in (v, g, x))
        many_v, many_g, many_x = arrays
        results = el.elu_double_backward(
            many_v, np.full(columns, w[0]), many_g, many_x, np.full(columns, alpha[0])
        )
        assert_same(results[0].ravel(), np.tile(dgrad, repeat))
        assert_same(results[1].ravel(), np.tile(dx, repeat))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_every_dense_permutation(order, dtype):
    shape = (3, 4, 5, 6)
    for axis in range(4):
        arguments = random_arguments(shape, dtype, seed=axis, channels=shape[axis])
        v, w, g, x, alpha = arguments
        expected = el.elu_double_backward(*arguments, axis=axis)
        moved = [in_memory_order(array, order) for array in (v, g, x)]
        for v_, g_ in ((moved[0], moved[1]), (v, g)):
            results = el.elu_double_backward(v_, w, g_, moved[2], alpha, axis=axis)
            assert results[0].strides == results[1].strides == moved[2].strides
            assert_same(results[0], expected[0])
            assert_same(results[1], expected[1])
            np.testing.assert_allclose(results[2], expected[2], rtol=1e-5, atol=1e-6)


@hypothesis.given(data=st.data(), shape=st.lists(st.integers(0, 5), min_size=1, max_size=4))
@hypothesis.settings(max_examples=80)
def test_any_strides_give_the_values_of_a_copy(data, shape):
    v, g, x = (data.draw(views(shape, seed)) for seed in range(3))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    w = np.repeat(data.draw(views([shape[axis]], 3)), 2)[::2]
    alpha = data.draw(views([shape[axis]], 4))
    before = [array.copy() for array in (v, w, g, x, alpha)]
    results = el.elu_double_backward(v, w, g, x, alpha, axis=axis)
    for array, copy in zip((v, w, g, x, alpha), before, strict=True):
        assert_same(array, copy)
    plain = el.elu_double_backward(*(np.array(a, order="C") for a in before), axis=axis)
    assert_same(results[0], plain[0])
    assert_same(results[1], plain[1])
    np.testing.assert_allclose(results[2], plain[2], rtol=1e-5, atol=1e-6)


def test_read_only_and_shared_inputs():
    """One array may be every argument; none is written."""
    x, a = X.copy(), A.copy()
    expected = el.elu_double_backward(x.copy(), a.copy(), x.copy(), x.copy(), a.copy())
    x.flags.writeable = a.flags.writeable = False
    for result, exact in zip(el.elu_double_backward(x, a, x, x, a), expected, strict=True):
        assert_same(result, exact)
        assert not any(np.may_share_memory(result, array) for array in (x, a))
        assert result.flags.writeable


def test_misaligned_grad_dalpha():
    expected = el.elu_double_backward(X, A, X, X, A)
    for results in (
        el.elu_double_backward(X, A, X, X, misaligned(A)),
        el.elu_double_backward(X, misaligned(A), X, X, A),
    ):
        for result, exact in zip(results, expected, strict=True):
            assert_same(result, exact)
