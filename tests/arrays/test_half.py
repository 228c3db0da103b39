"""float16 and bfloat16: conversions, rounding, layouts; everything else is float32's."""

import itertools
import re
import subprocess
import sys

import hypothesis
import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pytest

import elulayer as el
from shared import reference
from shared.inputs import SHAPES, in_memory_order, misaligned
from shared.reference import assert_same, float64_of, round_to, values_of

bfloat16 = ml_dtypes.bfloat16
HALVES = [np.float16, bfloat16]
LENGTHS = (*range(1, 20), 31, 33, 63, 65, 127, 130, 255, 257, 300)
FLOAT32 = st.floats(width=32)

pytestmark = pytest.mark.parametrize("dtype", HALVES)


def all_values(dtype):
    return np.arange(2**16, dtype=np.uint16).view(dtype)


def from_bits(rng, shape, dtype):
    """Random bit patterns: every kind of number, infinity and NaN."""
    return rng.integers(0, 2**16, shape, dtype=np.uint16).view(dtype)


def from_normal(rng, shape, dtype, scale=3):
    return round_to(rng.normal(0, scale, shape), dtype)


def to_float32(array):
    """The same numbers, in the same memory order."""
    result = np.empty_like(array, dtype=np.float32)
    result[...] = float64_of(array)
    return result


def alphas(rng, count):
    """Float32 of both signs over twenty decades, and a zero."""
    values = rng.choice([-1, 1], count) * 10.0 ** rng.uniform(-10, 10, count)
    values[rng.integers(count)] = 0
    return values.astype(np.float32)


# Conversions -------------------------------------------------------------------------------------


def test_every_value_becomes_the_same_float32(dtype):
    """With x = -inf, dalpha is -g. The number is in the body of a row, and in its tail."""
    for position in (0, 128):
        grad = np.zeros((1, 2**16, 129), dtype)
        grad[0, :, position] = all_values(dtype)
        x = np.full_like(grad, -np.inf)
        _, dalpha = el.elu_backward(grad, x, np.ones(2**16, np.float32))
        expected = np.float32(0) - values_of(dtype).astype(np.float32)
        assert_same(dalpha + np.float32(0), expected, all_values(dtype))


def test_every_value_comes_back_from_float32(dtype):
    """Where x > 0, Z is x and dX is g."""
    x = all_values(dtype)
    above = values_of(dtype) > 0
    assert above.sum() > 30_000
    assert_same(el.elu(x)[above], x[above])
    for shape in [(2**16,), (1, 2**16), (2**15, 2), (509, 128)]:
        grad = np.resize(all_values(dtype), shape)
        dx, _ = el.elu_backward(grad, np.ones_like(grad), 1.0)
        assert_same(dx, grad)


def float32_to_convert(dtype):
    """All values, the midpoints between them, the neighbours of these, and a stride through all."""
    values = values_of(dtype)
    halfway = reference.midpoints_of(dtype)
    exact = np.concatenate([values[np.isfinite(values)], halfway, -halfway]).astype(np.float32)
    assert set(np.abs(halfway)) <= set(np.abs(exact.astype(np.float64)))
    stride = np.arange(0, 2**32, 65_521, dtype=np.uint64).astype(np.uint32).view(np.float32)
    with np.errstate(over="ignore"):
        up, down = (np.nextafter(exact, np.float32(end)) for end in (np.inf, -np.inf))
    return np.concatenate([exact, up, down, stride, [np.inf, -np.inf, np.nan]], dtype=np.float32)


def test_every_rounding_of_float32(dtype):
    """With x = -inf, Z is -alpha. Each number is in the body of a row, and in its tail."""
    alpha = -float32_to_convert(dtype)
    with np.errstate(invalid="ignore"):
        expected = round_to(-alpha.astype(np.float64), dtype)
    x = np.full((1, 2**16, 129), -np.inf, dtype)
    for begin in range(0, alpha.size, 2**16):
        part = slice(begin, begin + 2**16)
        z = el.elu(x[:, : alpha[part].size], alpha[part])
        assert_same(z[0, :, 0], expected[part], alpha[part])
        assert_same(z[0, :, 128], expected[part], alpha[part])


# Values ------------------------------------------------------------------------------------------


def test_z_is_correctly_rounded(dtype):
    x = all_values(dtype)
    exact = reference.elu(values_of(dtype), 1.0)
    # Which number is nearest does not hang on the last places of the float64 function.
    midpoints = reference.midpoints_of(dtype)
    i = np.minimum(np.searchsorted(midpoints, np.abs(exact)), midpoints.size - 1)
    with np.errstate(all="ignore"):
        distance = np.minimum(
            np.abs(np.abs(exact) - midpoints[i]), np.abs(np.abs(exact) - midpoints[i - 1])
        ) / np.abs(exact)
    nearest_tie = np.nanargmin(np.where(values_of(dtype) < 0, distance, np.nan))
    print(f"{np.dtype(dtype)}: nearest to a tie at x = {x[nearest_tie]!r}, {exact[nearest_tie]!r}")
    assert distance[nearest_tie] > 2.0**-45
    expected = round_to(exact, dtype)
    assert_same(el.elu(x), expected, x)
    assert_same(el.elu_with_memory(x)[0], expected, x)
    for channels in (1, 2, 64, 256, 4096):
        rows = x.reshape(-1, channels)
        z = el.elu(rows, np.ones(channels, np.float32))
        assert_same(z, expected.reshape(rows.shape), rows)


def test_dx_is_almost_correctly_rounded(dtype):
    """Float32's error is the only one beside that of rounding once: 2 of its ULP are 2^-12."""
    x = all_values(dtype)[values_of(dtype) <= 0]
    exact = np.exp(float64_of(x))
    dx, _ = el.elu_backward(np.ones_like(x), x)
    lower = np.searchsorted(values_of(dtype)[: 2**15 - 2**10], exact, side="right") - 1
    spacing = values_of(dtype)[lower + 1] - values_of(dtype)[lower]
    error = np.abs(float64_of(dx) - exact) / spacing
    print(f"{np.dtype(dtype)} dX: {error.max():.6f} ULP at x = {x[error.argmax()]!r}")
    assert error.max() <= 0.5 + 2**-12


def test_a_large_product_is_infinite(dtype):
    x = np.array([-20, -20, 3], dtype)
    for alpha in (3.4e38, np.float32(3.4e38), np.finfo(np.float32).max):
        np.testing.assert_array_equal(float64_of(el.elu(x, alpha)), [-np.inf, -np.inf, 3])
        dx, _ = el.elu_backward(np.array([1, -1, 1], dtype), np.zeros(3, dtype), alpha)
        np.testing.assert_array_equal(float64_of(dx), [np.inf, -np.inf, np.inf])


def check_against_float32(x, grad, alpha, axis):
    """Z, dX and the memory are float32's rounded once, and dalpha has float32's very bits."""
    dtype = x.dtype
    x32, grad32 = to_float32(x), to_float32(grad)
    inputs = (x, grad, reference.per_channel(alpha, x.ndim, axis))
    with np.errstate(over="ignore", invalid="ignore"):
        z = el.elu(x, alpha, axis=axis)
        assert z.strides == x.strides
        assert_same(z, round_to(el.elu(x32, alpha, axis=axis), dtype), *inputs)
        z_again, memory = el.elu_with_memory(x, alpha, axis=axis)
        assert_same(z_again, z, *inputs)
        assert_same(memory, round_to(el.elu_with_memory(x32, alpha, axis=axis)[1], dtype), *inputs)
        sources = {"x": (x, x32), "memory": (memory, to_float32(memory))}
        if (np.asarray(alpha) > 0).all():
            sources["output"] = (z, to_float32(z))
        for name, (source, source32) in sources.items():
            dx, dalpha = el.elu_backward(grad, alpha=alpha, axis=axis, **{name: source})
            expected = el.elu_backward(grad32, alpha=alpha, axis=axis, **{name: source32})
            assert dx.strides == source.strides
            assert_same(dx, round_to(expected[0], dtype), *inputs)
            assert_same(dalpha, expected[1])


@pytest.mark.parametrize("kind", [from_bits, from_normal])
@pytest.mark.parametrize("shape", [*SHAPES, (3, 300), (2, 8, 300)], ids=str)
def test_results_are_those_of_float32_rounded_once(shape, kind, dtype):
    rng = np.random.default_rng(1)
    x, grad = kind(rng, shape, dtype), kind(rng, shape, dtype)
    alpha = alphas(rng, shape[1])
    check_against_float32(x, grad, alpha, 1)
    check_against_float32(x, grad, np.abs(alpha) + np.float32(1e-9), 1)
    check_against_float32(x, grad, float(np.abs(alpha[0]) + 0.25), 1)


@hypothesis.given(data=st.data(), shape=hnp.array_shapes(min_dims=1, max_dims=4, max_side=9))
@hypothesis.settings(max_examples=60)
def test_any_values(dtype, data, shape):
    """Alpha may be infinite, NaN or subnormal too."""
    bits = hnp.arrays(np.uint16, shape)
    x, grad = (data.draw(bits).view(dtype) for _ in range(2))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    positive = st.floats(2.0**-149, width=32)
    elements = data.draw(st.sampled_from([FLOAT32, positive]))
    check_against_float32(
        x, grad, data.draw(hnp.arrays(np.float32, shape[axis], elements=elements)), axis
    )


def test_special_values_in_body_and_tail(dtype):
    info = ml_dtypes.finfo(dtype)
    sub, tiny, most = (float(v) for v in (info.smallest_subnormal, info.tiny, info.max))
    nan, inf = np.nan, np.inf
    cases = [  # x, g, Z, dX, term of dalpha; alpha is 0.75
        (nan, 1, nan, nan, nan),
        (-nan, 0, nan, nan, nan),
        (inf, inf, inf, inf, 0),
        (most, nan, most, nan, 0),
        (2, -inf, 2, -inf, 0),
        (-inf, 2, -0.75, 0, -2),
        (-inf, inf, -0.75, nan, -inf),
        (-most, -2, -0.75, -0.0, 2),
        (-1, nan, round_to(0.75 * np.expm1(-1), dtype), nan, nan),
        (-1, inf, round_to(0.75 * np.expm1(-1), dtype), inf, -inf),
        (0.0, 2, 0.0, 1.5, 0),
        (-0.0, 2, -0.0, 1.5, 0),
        (0.0, sub, 0.0, sub, 0),
        (sub, 2, sub, 2, 0),
        (-sub, 2, -sub, 1.5, -2 * sub),  # 0.75 of the smallest subnormal number rounds to 1 of it
        (-4 * sub, 4 * sub, -3 * sub, 3 * sub, 4 * sub * np.expm1(-4 * sub)),
        (tiny, -sub, tiny, -sub, 0),
        (-tiny, tiny, -0.75 * tiny, 0.75 * tiny, tiny * np.expm1(-tiny)),
    ]
    for length, (value, g, z, dx, term) in itertools.product(LENGTHS, cases):
        for position in {0, length // 2, length - 1}:
            x, grad = np.full((1, length), 0.5, dtype), np.full((1, length), 3, dtype)
            x[0, position], grad[0, position] = value, g
            expected_z, expected_dx = x.copy(), grad.copy()
            expected_z[0, position], expected_dx[0, position] = z, dx
            for alpha in (0.75, np.full(length, 0.75, np.float32)):
                assert_same(el.elu(x, alpha), expected_z, x)
                result, dalpha = el.elu_backward(grad, x, alpha)
                assert_same(result, expected_dx, x, grad)
                sums = np.zeros(np.shape(alpha), np.float32)
                sums[() if sums.ndim == 0 else position] = term
                np.testing.assert_allclose(
                    dalpha, sums, rtol=2.0**-21, err_msg=f"x = {value}, g = {g}"
                )


def test_subnormal_numbers_are_kept(dtype):
    """Each subnormal x is a Z, and with x = 0 each subnormal g is a dX."""
    x = all_values(dtype)
    subnormal = x[np.abs(values_of(dtype)) < float(ml_dtypes.finfo(dtype).tiny)]
    assert subnormal.size == 2 ** (ml_dtypes.finfo(dtype).nmant + 1)
    assert_same(el.elu(subnormal), subnormal)
    assert_same(el.elu_backward(subnormal, np.zeros_like(subnormal))[0], subnormal)


def test_alpha_of_zero_is_relu(dtype):
    x = np.array([-np.inf, -3, -0.0, 0.0, 3, np.inf], dtype)
    np.testing.assert_array_equal(float64_of(el.elu(x, 0.0)), [0, 0, 0, 0, 3, np.inf])
    dx, _ = el.elu_backward(np.full_like(x, 2), x, 0.0)
    np.testing.assert_array_equal(float64_of(dx), [0, 0, 0, 0, 2, 2])


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 3), (0,)], ids=str)
def test_empty(shape, dtype):
    alpha = np.ones(shape[1], np.float32) if len(shape) > 1 else 1.0
    x = np.empty(shape, dtype)
    z, memory = el.elu_with_memory(x, alpha)
    results = (el.elu(x, alpha), z, memory, el.elu_backward(x, x, alpha)[0])
    assert all(result.shape == shape and result.dtype == dtype for result in results)
    _, dalpha = el.elu_backward(x, x, alpha)
    assert_same(dalpha, np.zeros(np.shape(alpha), np.float32))


def test_same_bits_for_any_number_of_threads(dtype):
    for shape in [(64, 20, 40, 3), (3, 7, 20_000), (40_000, 7), (1, 1, 300_001)]:
        rng = np.random.default_rng(2)
        x, grad = from_normal(rng, shape, dtype), from_normal(rng, shape, dtype)
        alpha = rng.normal(size=shape[1]).astype(np.float32)
        w = rng.normal(size=shape[1]).astype(np.float32)
        bits = set()
        for threads in (1, 2, 3, 7, None):
            results = (
                el.elu(x, alpha, num_threads=threads),
                *el.elu_with_memory(x, alpha, num_threads=threads),
                *el.elu_backward(grad, x, alpha, num_threads=threads),
                *el.elu_double_backward(grad, w, grad, x, alpha, num_threads=threads),
            )
            bits.add(b"".join(result.tobytes() for result in results))
        assert len(bits) == 1, shape


def test_large_arrays(dtype):
    """No result is lost or moved, at any alignment."""
    period = 10_007  # no multiple of it is the size of a tile
    repeats = 200
    x = from_normal(np.random.default_rng(14), period, dtype)
    many = np.tile(x, repeats)
    memory = np.empty(many.size + 1, dtype)
    for out in (memory[:-1], memory[1:]):
        el.elu(many, out=out)
        expected = el.elu(x).view(np.uint16)
        assert (out.view(np.uint16).reshape(repeats, period) == expected).all()
        out[...] = 0
    el.elu_backward(many, many, out=out)
    expected = el.elu_backward(x, x)[0].view(np.uint16)
    assert (out.view(np.uint16).reshape(repeats, period) == expected).all()


# Alpha -------------------------------------------------------------------------------------------

X = np.linspace(-2, 2, 24).reshape(2, 3, 4)


@pytest.mark.parametrize(
    "alpha",
    [2, 2.0, [2, 2.0, 2], (2.0, 2, 2), np.float32(2), np.full(3, 2, "f"), np.full(6, 2, "f")[::2]],
    ids=repr,
)
def test_alpha_is_float32_or_python_numbers(alpha, dtype):
    x = X.astype(dtype)
    assert_same(el.elu(x, alpha), el.elu(x, np.full(3, 2, np.float32)))
    _, dalpha = el.elu_backward(x, x, alpha)
    assert dalpha.dtype == np.float32
    assert isinstance(dalpha, np.float32 if np.ndim(alpha) == 0 else np.ndarray)
    assert np.shape(dalpha) == np.shape(alpha)


@pytest.mark.parametrize("shape", [(), (3,)])
def test_alpha_of_a_wider_dtype(shape, dtype):
    x = X.astype(dtype)
    alpha = np.ones(shape)
    message = re.escape(
        f"alpha must be Python numbers or have dtype float32, for {np.dtype(dtype)} in x, not "
        "float64; alpha.astype('float32') rounds it"
    )
    for call in (
        lambda: el.elu(x, alpha),
        lambda: el.elu_with_memory(x, alpha),
        lambda: el.elu_backward(x, x, alpha),
        lambda: el.elu_double_backward(x, None, x, x, alpha),
    ):
        with pytest.raises(TypeError, match=message):
            call()


@pytest.mark.parametrize("alpha_dtype", [np.float16, bfloat16], ids=lambda d: d.__name__)
def test_alpha_of_16_bits_widens(alpha_dtype, dtype):
    for x in (X.astype(dtype), X.astype(np.float32)):
        for alpha in (alpha_dtype(0.3), np.array([0.3, -2, 1e-3], alpha_dtype)):
            wide = np.asarray(alpha, np.float32)
            assert np.array_equal(el.elu(x, alpha), el.elu(x, wide))
            dalpha, expected = (el.elu_backward(x, x, each)[1] for each in (alpha, wide))
            assert np.array_equal(dalpha, expected) and dalpha.dtype == np.float32


def test_python_numbers_beyond_float32(dtype):
    x = X.astype(dtype)
    for alpha in (1e39, [1, -1e39, 1], 10**400):
        with pytest.raises(ValueError, match="must be in the range of float32, not "):
            el.elu(x, alpha)


# Arguments ---------------------------------------------------------------------------------------


def test_dtypes_are_not_mixed(dtype):
    x = X.astype(dtype)
    name = np.dtype(dtype).name
    for other in {np.float16, bfloat16, np.float32} - {dtype}:
        y = X.astype(other)
        with pytest.raises(
            TypeError, match=f"grad must have the dtype of x, {name}, not {np.dtype(other)}"
        ):
            el.elu_backward(y, x)
        with pytest.raises(
            TypeError, match=f"grad_dx must have the dtype of x, .*, not {np.dtype(other)}"
        ):
            el.elu_double_backward(y, None, x, x)


def test_a_wrong_out_names_both_dtypes(dtype):
    x = X.astype(dtype)
    for other in {np.float16, bfloat16, np.float32} - {dtype}:
        message = f"out must have dtype {np.dtype(dtype)}, as the result, not {np.dtype(other)}"
        with pytest.raises(ValueError, match=message):
            el.elu(x, out=X.astype(other))


def test_another_byte_order(dtype):
    x = X.astype(dtype)
    swapped = x.astype(np.dtype(dtype).newbyteorder())
    assert not swapped.dtype.isnative
    for call in (el.elu, el.elu_with_memory, lambda x: el.elu_backward(x, x)):
        with pytest.raises(TypeError, match=r"byte order.*x\.astype\(x\.dtype\.newbyteorder"):
            call(swapped)
    with pytest.raises(TypeError, match=r"byte order.*grad\.astype\(grad\.dtype\.newbyteorder"):
        el.elu_backward(swapped, x)


def test_other_small_dtypes(dtype):
    for other in (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2, np.uint16, np.int16, "V2"):
        x = np.zeros((2, 3), other)
        message = "x must have dtype float32, float64, float16 or bfloat16, not"
        with pytest.raises(TypeError, match=message):
            el.elu(x)
        with pytest.raises(TypeError, match=message.replace("x", "grad", 1)):
            el.elu_backward(x, np.zeros((2, 3), dtype))


WITHOUT_ML_DTYPES = """
import sys
sys.modules["ml_dtypes"] = None  # importing it fails
import numpy as np, elulayer as el
for dtype in (np.float32, np.float64, np.float16):
    x = np.linspace(-2, 2, 24).reshape(2, 3, 4).astype(dtype)
    z, memory = el.elu_with_memory(x, 0.5)
    assert np.array_equal(z, el.elu(x, 0.5)) and z.dtype == dtype
    for source in ({"x": x}, {"memory": memory}, {"output": z}):
        dx, dalpha = el.elu_backward(x, alpha=0.5, **source)
        assert dx.dtype == dtype
    el.elu_double_backward(x, 1.0, x, x, 0.5)
try:
    el.elu(np.arange(3))
except TypeError as error:
    print(error)
assert sys.modules["ml_dtypes"] is None
"""


def test_ml_dtypes_is_not_needed(dtype):
    """Nor is it imported where it is there."""
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_ML_DTYPES], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "must have dtype float32, float64, float16 or bfloat16, not" in result.stdout
    code = "import sys, elulayer; print('ml_dtypes' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr


# Layouts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_every_dense_permutation(order, dtype):
    rng = np.random.default_rng(0)
    shape = (3, 4, 5, 6)
    x, grad = (in_memory_order(from_normal(rng, shape, dtype), order) for _ in range(2))
    for axis in range(4):
        alpha = np.abs(alphas(rng, shape[axis])) + np.float32(1e-9)
        check_against_float32(x, grad, alpha, axis)
        z = el.elu(x, alpha, axis=axis)
        assert_same(z, el.elu(np.ascontiguousarray(x), alpha, axis=axis))


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_dense_permutations_are_not_copied(order, dtype, monkeypatch):
    def no_copy(*args, **kwargs):
        raise AssertionError("copied")

    rng = np.random.default_rng(0)
    x, grad = (in_memory_order(from_normal(rng, (3, 4, 5), dtype), order) for _ in range(2))
    z, dx = np.empty_like(x), np.empty_like(x)
    expected, (expected_dx, _) = el.elu(x), el.elu_backward(grad, x)
    monkeypatch.setattr(np, "copy", no_copy)
    with monkeypatch.context() as patch:
        patch.setattr(np, "empty_like", no_copy)
        assert el.elu(x, out=z) is z
    assert el.elu_backward(grad, x, out=dx)[0] is dx
    monkeypatch.undo()
    assert_same(z, expected)
    assert_same(dx, expected_dx)


def views_of(array):
    """The array's numbers with other strides."""
    big = np.zeros([2 * n for n in array.shape], array.dtype)
    strided, reversed_ = big[::2, ::2, ::2], np.empty_like(array)[::-1, :, ::-1]
    strided[...] = reversed_[...] = array
    return {
        "strided": strided,
        "reversed": reversed_,
        "misaligned": misaligned(array),
        "Fortran": np.asfortranarray(array),
        "plain": array,
    }


def test_other_strides_give_the_values_of_a_copy(dtype):
    rng = np.random.default_rng(5)
    shape = (5, 6, 7)
    plain_x, plain_grad = (from_normal(rng, shape, dtype) for _ in range(2))
    alpha = alphas(rng, 6)
    z, (dx, dalpha) = el.elu(plain_x, alpha), el.elu_backward(plain_grad, plain_x, alpha)
    for (x_kind, x), (kind, grad) in itertools.product(
        views_of(plain_x).items(), views_of(plain_grad).items()
    ):
        assert_same(el.elu(x, alpha), z)
        result, sums = el.elu_backward(grad, x, alpha)
        assert_same(result, dx)
        np.testing.assert_allclose(sums, dalpha, rtol=1e-5, err_msg=f"{x_kind}, {kind}")
        assert_same(x, plain_x)
        assert_same(grad, plain_grad)


def test_broadcast_inputs(dtype):
    x = np.broadcast_to(from_normal(np.random.default_rng(6), (3, 1), dtype), (2, 3, 4))
    alpha = np.array([0.5, 1, 2], np.float32)
    assert_same(el.elu(x, alpha), el.elu(x.copy(), alpha))
    assert_same(el.elu_backward(x, x, alpha)[1], el.elu_backward(x.copy(), x.copy(), alpha)[1])


def test_out_of_any_layout_is_filled(dtype):
    rng = np.random.default_rng(7)
    x, grad = (from_normal(rng, (5, 6, 7), dtype) for _ in range(2))
    expected, (expected_dx, expected_dalpha) = el.elu(x, 0.5), el.elu_backward(grad, x, 0.5)
    for out in views_of(np.zeros_like(x)).values():
        assert el.elu(x, 0.5, out=out) is out
        assert_same(out, expected)
        dx, dalpha = el.elu_backward(grad, x, 0.5, out=out)
        assert dx is out
        assert_same(dx, expected_dx)
        assert_same(dalpha, expected_dalpha)


def test_in_place(dtype):
    rng = np.random.default_rng(8)
    for shape in [(2, 3, 20_000), (500, 3, 7)]:
        x, grad = (from_normal(rng, shape, dtype) for _ in range(2))
        alpha = alphas(rng, 3)
        z, (dx, dalpha) = el.elu(x, alpha), el.elu_backward(grad, x, alpha)
        same = x.copy()
        assert el.elu(same, alpha, out=same) is same
        assert_same(same, z, x)
        for target in ("x", "grad"):
            arrays = {"x": x.copy(), "grad": grad.copy()}
            out, sums = el.elu_backward(**arrays, alpha=alpha, out=arrays[target])
            assert out is arrays[target]
            assert_same(out, dx, x, grad)
            assert_same(sums, dalpha)


@pytest.mark.parametrize("shift", [1, 7, 32, 5000])
@pytest.mark.parametrize("forwards", [True, False])
def test_overlap_gives_the_result_without_overlap(shift, forwards, dtype):
    memory = from_normal(np.random.default_rng(9), 30_000 + shift, dtype)
    first, second = memory[:30_000].reshape(2, 3, -1), memory[shift:].reshape(2, 3, -1)
    x, out = (first, second) if forwards else (second, first)
    alpha = np.array([0.5, 1, 2], np.float32)
    before = memory.copy()
    expected = el.elu(x.copy(), alpha)
    assert_same(el.elu(x, alpha, out=out), expected)
    memory[...] = before
    grad = x[::-1].copy()
    dx, dalpha = el.elu_backward(grad, x.copy(), alpha)
    out_dx, out_dalpha = el.elu_backward(grad, x, alpha, out=out)
    assert_same(out_dx, dx)
    assert_same(out_dalpha, dalpha)


def test_out_that_overlaps_alpha(dtype):
    x = from_normal(np.random.default_rng(10), (2, 3, 2000), dtype)
    alpha = x.ravel()[6000:6006].view(np.float32)
    alpha[...] = [0.5, 1, 2]
    expected = el.elu(x.copy(), alpha.copy())
    assert_same(el.elu(x, alpha, out=x), expected)


def test_read_only_inputs(dtype):
    x, grad = (from_normal(np.random.default_rng(i), (2, 3, 4), dtype) for i in range(2))
    alpha = np.ones(3, np.float32)
    z, memory = el.elu_with_memory(x, alpha)
    arrays = (x, grad, alpha, z, memory)
    before = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    el.elu(x, alpha)
    el.elu_with_memory(x, alpha)
    el.elu_double_backward(grad, alpha, grad, x, alpha)
    for source in ({"x": x}, {"memory": memory}, {"output": z}):
        el.elu_backward(grad, alpha=alpha, **source)
    with pytest.raises(ValueError, match="out must be an array that can be written to"):
        el.elu(x, alpha, out=z)
    with pytest.raises(ValueError, match="out must be an array that can be written to"):
        el.elu_backward(grad, x, alpha, out=z)
    for array, copy in zip(arrays, before, strict=True):
        assert_same(array, copy)


# Double backward ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [from_bits, from_normal])
@pytest.mark.parametrize("shape", [(3, 5, 7, 9), (4, 6), (2, 3, 300), (257, 3, 29)], ids=str)
def test_double_backward_is_float64_rounded_once(shape, kind, dtype):
    rng = np.random.default_rng(11)
    v, grad, x = (kind(rng, shape, dtype) for _ in range(3))
    w, alpha = alphas(rng, shape[1]), alphas(rng, shape[1])
    results = el.elu_double_backward(v, w, grad, x, alpha)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = el.elu_double_backward(
            *(float64_of(v), w.astype(float), float64_of(grad), float64_of(x), alpha.astype(float))
        )
        terms = reference.elu_double_backward(
            *(float64_of(v), w, float64_of(grad), float64_of(x), alpha)
        )[2]
        for result, exact in zip(results[:2], expected[:2], strict=True):
            assert_same(result, round_to(exact, dtype), v, grad, x)
        axes = tuple(i for i in range(len(shape)) if i != 1)
        slack = 1e-14 * np.abs(terms).sum(axis=axes)
        exact = expected[2]
        rounded = exact.astype(np.float32)
        finite = np.isfinite(rounded)
        bound = 0.5001 * np.spacing(np.abs(rounded)) + slack
    assert results[2].dtype == np.float32
    assert_same(results[2][~finite], rounded[~finite])
    assert np.all(np.abs(results[2] - exact)[finite] <= bound[finite])


def test_double_backward_does_not_round_through_float32(dtype):
    """With x = 0, dgrad is v * alpha: exact in float64, and of more bits than float32 has."""
    rng = np.random.default_rng(12)
    count = 2**19
    v = round_to(rng.uniform(1, 2, count), dtype)
    alpha = rng.uniform(0.5, 1, count).astype(np.float32)
    exact = float64_of(v) * alpha
    # Products near a midpoint, which rounding to float32 moves onto it.
    alpha = (
        reference.midpoints_of(dtype)[round_to(exact, dtype).view(np.uint16)] / float64_of(v)
    ).astype(np.float32)
    exact = float64_of(v) * alpha
    expected = round_to(exact, dtype)
    twice = round_to(exact.astype(np.float32), dtype)
    assert (expected.view(np.uint16) != twice.view(np.uint16)).sum() > 1000
    zeros = np.zeros((1, count), dtype)
    dgrad, _, _ = el.elu_double_backward(
        v[None], np.zeros(count, np.float32), np.ones_like(zeros), zeros, alpha
    )
    assert_same(dgrad[0], expected, v, alpha)


def test_double_backward_of_layouts(dtype):
    rng = np.random.default_rng(13)
    v, grad, x = (from_normal(rng, (5, 6, 7), dtype) for _ in range(3))
    w, alpha = alphas(rng, 6), alphas(rng, 6)
    expected = el.elu_double_backward(v, w, grad, x, alpha)
    kinds = [views_of(array) for array in (v, grad, x)]
    for kind in kinds[0]:
        results = el.elu_double_backward(kinds[0][kind], w, grad, kinds[2][kind], alpha)
        results_of_grad = el.elu_double_backward(v, w, kinds[1][kind], x, alpha)
        for result, from_grad, exact in zip(results, results_of_grad, expected, strict=True):
            if exact.ndim > 1:
                assert_same(result, exact)
            else:
                np.testing.assert_allclose(result, exact, rtol=1e-6)
            assert_same(from_grad, exact)
