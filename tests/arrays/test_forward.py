"""Z = elu(X): values, special values, accuracy, layouts."""

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest

import elulayer as el
from shared import reference
from shared.inputs import DTYPES, SHAPES, random_inputs


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_matches_reference(shape, dtype):
    x, alpha = random_inputs(shape, dtype)
    z = el.elu(x, alpha)
    assert z.dtype == dtype and z.shape == shape
    np.testing.assert_allclose(z, reference.elu(x, alpha), rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -4])
def test_axis(axis, dtype):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6, 6, 6, 6)).astype(dtype)
    alpha = rng.uniform(0, 1, 6).astype(dtype)
    expected = reference.elu(x, alpha, axis)
    np.testing.assert_allclose(el.elu(x, alpha, axis=axis), expected, rtol=4 * np.finfo(dtype).eps)


def test_scalar_alpha_takes_any_number_of_dimensions():
    for ndim in range(1, 7):
        x = np.random.default_rng(ndim).normal(size=(3,) * ndim)
        np.testing.assert_allclose(el.elu(x, 0.5), reference.elu(x, 0.5), rtol=1e-15)


@pytest.mark.parametrize(
    "alpha", [1, 1.0, [1.0, 1.0, 1.0], (1, 1, 1), np.float32(1), np.ones(3, "f")]
)
def test_forms_of_alpha(alpha):
    x = np.linspace(-3, 3, 12, dtype=np.float32).reshape(4, 3)
    np.testing.assert_array_equal(el.elu(x, alpha), el.elu(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length", range(1, 131))
def test_special_values_in_body_and_tail(length, dtype):
    """Each special value at each position of a row gives the same bits as alone."""
    info = np.finfo(dtype)
    tiny, sub = info.tiny, info.smallest_subnormal
    alpha = dtype(0.75)
    cases = [  # x, expected Z
        (np.nan, np.nan),
        (-np.nan, np.nan),
        (np.inf, np.inf),
        (-np.inf, -alpha),
        (0.0, 0.0),
        (-0.0, -0.0),
        (sub, sub),
        (-sub, -sub),  # 0.75 of the smallest subnormal number rounds to 1 of it
        (-4 * sub, -3 * sub),
        (tiny, tiny),
        (-tiny, -0.75 * tiny),
        (-1e4, -alpha),
        (info.max, info.max),
        (-info.max, -alpha),
    ]
    for value, expected in cases:
        for position in {0, length // 2, length - 1}:
            x = np.full((1, length), -0.5, dtype)
            x[0, position] = value
            row = el.elu(x.reshape(1, 1, length), np.array([alpha]))
            z = row[0, 0, position]
            np.testing.assert_array_equal(z, dtype(expected), err_msg=f"x = {value}")
            assert np.isnan(z) or np.signbit(z) == np.signbit(dtype(expected)), value
            columns = el.elu(x, np.full(length, alpha))
            np.testing.assert_array_equal(columns[0], row[0, 0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_alpha_of_zero_is_relu(dtype):
    x = np.array([[-np.inf, -3, -0.0, 0.0, 3, np.inf]], dtype)
    np.testing.assert_array_equal(el.elu(x, 0.0), np.maximum(x, 0))


@pytest.mark.parametrize("dtype", DTYPES)
def test_only_the_negative_side_sees_alpha(dtype):
    """Select, never multiply by a mask: an infinite or NaN alpha leaves x > 0 alone."""
    x = np.array([[1, np.inf], [-1, -np.inf]], dtype)
    for alpha in (np.nan, np.inf):
        z = el.elu(x, alpha)
        np.testing.assert_array_equal(z[0], x[0])
        np.testing.assert_array_equal(z[1], dtype(alpha) * np.array([-1, -1], dtype))


@pytest.mark.parametrize("value", [-1.9e-34, -1e-8, -1e-4])
def test_no_cancellation_near_zero(value):
    """exp(x) - 1 loses every digit here."""
    z = el.elu(np.full((1, 1), value, np.float32))
    assert reference.ulp_error(z, np.expm1(np.float64(np.float32(value)))).max() <= 0.9


def test_accuracy_of_float32():
    """A stride through all negative float32; the bounds are those of the instruction set in use."""
    bound = 0.75 if el.cpu_info().fused else 0.9
    bits = np.arange(0x80000000, 0xFF800000, 509, dtype=np.uint32)
    x = bits.view(np.float32)
    error = reference.ulp_error(el.elu(x), np.expm1(x.astype(np.float64)))
    worst = error.argmax()
    print(f"float32 Z: {error[worst]:.4f} ULP at x = {x[worst]!r} ({len(x)} inputs)")
    assert error[worst] <= bound


def test_values_do_not_depend_on_position_layout_or_threads():
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(0, 4, 200), -np.logspace(-40, 3, 200)]).astype(np.float32)
    alone = np.array([el.elu(v.reshape(1, 1), 0.3)[0, 0] for v in values])
    for repeat in (1, 7, 300):
        x = np.tile(values, repeat)
        expected = np.tile(alone, repeat)
        for threads in (1, 2, 5):
            np.testing.assert_array_equal(el.elu(x, 0.3, num_threads=threads), expected)
            nc = el.elu(x.reshape(-1, 25), np.full(25, 0.3, np.float32), num_threads=threads)
            np.testing.assert_array_equal(nc.ravel(), expected)


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 3), (0,)], ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_empty(shape, dtype):
    alpha = np.ones(shape[1], dtype) if len(shape) > 1 else 1.0
    z = el.elu(np.empty(shape, dtype), alpha)
    assert z.shape == shape and z.dtype == dtype


@hypothesis.given(
    data=st.data(),
    dtype=st.sampled_from(DTYPES),
    shape=hnp.array_shapes(min_dims=2, max_dims=5, max_side=9),
)
@hypothesis.settings(max_examples=200)
def test_any_values(data, dtype, shape):
    width = 8 * np.dtype(dtype).itemsize
    elements = st.floats(width=width, allow_nan=True, allow_infinity=True)
    x = data.draw(hnp.arrays(dtype, shape, elements=elements))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    factors = st.floats(-4, 4, width=width).filter(lambda a: a == 0 or abs(a) > 1e-30)
    alpha = data.draw(hnp.arrays(dtype, shape[axis], elements=factors))
    z = el.elu(x, alpha, axis=axis)
    with np.errstate(over="ignore"):
        expected = reference.elu(x, alpha, axis).astype(dtype)
    info = np.finfo(dtype)
    np.testing.assert_allclose(
        z, expected, rtol=4 * info.eps, atol=2 * float(info.smallest_subnormal)
    )
    np.testing.assert_array_equal(np.signbit(z)[z == z], np.signbit(expected)[z == z])
