"""Memory layouts: which are read as they are, and that none changes a value."""

import itertools
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

import elulayer as el
from shared import reference
from shared.inputs import DTYPES, in_memory_order, misaligned, views


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_every_dense_permutation(order, dtype):
    rng = np.random.default_rng(0)
    shape = (3, 4, 5, 6)
    x = in_memory_order(rng.normal(size=shape).astype(dtype), order)
    grad = in_memory_order(rng.normal(size=shape).astype(dtype), order)
    for axis in range(4):
        alpha = rng.normal(size=shape[axis]).astype(dtype)
        z = el.elu(x, alpha, axis=axis)
        dx, dalpha = el.elu_backward(grad, x, alpha, axis=axis)
        assert z.strides == dx.strides == x.strides
        contiguous_z = el.elu(np.ascontiguousarray(x), alpha, axis=axis)
        contiguous_dx, contiguous_dalpha = el.elu_backward(
            np.ascontiguousarray(grad), np.ascontiguousarray(x), alpha, axis=axis
        )
        np.testing.assert_array_equal(z, contiguous_z)
        np.testing.assert_array_equal(dx, contiguous_dx)
        total, magnitude = reference.elu_backward_alpha(grad, x, axis)
        bound = 4 * np.finfo(dtype).eps * magnitude
        assert np.all(np.abs(dalpha - total) <= bound)
        assert np.all(np.abs(contiguous_dalpha - total) <= bound)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_dense_permutations_are_not_copied(order, monkeypatch):
    def no_copy(*args, **kwargs):
        raise AssertionError("copied")

    x = in_memory_order(np.random.default_rng(0).normal(size=(3, 4, 5, 6)), order)
    out = np.empty_like(x)
    expected = el.elu(x)
    monkeypatch.setattr(np, "copy", no_copy)
    monkeypatch.setattr(np, "empty_like", no_copy)
    assert el.elu(x, out=out) is out
    monkeypatch.undo()
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_stride_of_an_axis_of_length_1_means_nothing(dtype):
    """Not for dalpha's bits either: the terms cancel, so another order of adding shows."""
    rng = np.random.default_rng(0)
    plain = [np.asfortranarray(rng.normal(size=(8, 1500)).astype(dtype)) for _ in range(2)]
    plain[1] -= plain[1].mean()
    bits = set()
    for stride in (0, plain[0].itemsize, 8 * plain[0].itemsize, 2**20):
        x, grad = (
            np.lib.stride_tricks.as_strided(a, (8, 1, 1500), (a.strides[0], stride, a.strides[1]))
            for a in plain
        )
        dx, dalpha = el.elu_backward(grad, x, np.full(1, 0.5, dtype))
        bits.add(dx.tobytes() + dalpha.tobytes())
    assert len(bits) == 1


def test_scalar_alpha_in_any_memory_order():
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).transpose(2, 0, 1)
    z = el.elu(x, 0.5)
    np.testing.assert_array_equal(z, el.elu(x.copy(), 0.5))
    assert z.strides == x.strides


def test_the_result_of_other_strides_is_dense_in_the_same_order():
    x = np.random.default_rng(0).normal(size=(4, 6, 10)).transpose(2, 0, 1)[::2]
    assert el.elu(x).strides == np.copy(x, order="K").strides == np.negative(x).strides


@hypothesis.given(data=st.data(), shape=st.lists(st.integers(0, 5), min_size=1, max_size=4))
@hypothesis.settings(max_examples=300)
def test_any_strides_give_the_values_of_a_copy(data, shape):
    x = data.draw(views(shape, 1))
    grad = data.draw(views(shape, 2))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    alpha = data.draw(views([shape[axis]], 3))
    before = [array.copy() for array in (x, grad, alpha)]
    z = el.elu(x, alpha, axis=axis)
    dx, dalpha = el.elu_backward(grad, x, alpha, axis=axis)
    for array, copy in zip((x, grad, alpha), before, strict=True):
        np.testing.assert_array_equal(array, copy)
    x, grad, alpha = (np.array(array, order="C") for array in before)
    np.testing.assert_array_equal(z, el.elu(x, alpha, axis=axis))
    expected_dx, expected_dalpha = el.elu_backward(grad, x, alpha, axis=axis)
    np.testing.assert_array_equal(dx, expected_dx)
    np.testing.assert_allclose(dalpha, expected_dalpha, rtol=1e-6, atol=1e-6)


@hypothesis.given(data=st.data(), shape=st.lists(st.integers(1, 6), min_size=1, max_size=4))
@hypothesis.settings(max_examples=300)
def test_any_overlap_gives_the_result_without_overlap(data, shape):
    """Inputs and out are views of one buffer: the result is that on copies, as with NumPy."""
    dtype = data.draw(st.sampled_from(DTYPES))
    size = math.prod(shape)
    memory = np.random.default_rng(size).normal(size=3 * size).astype(dtype)

    def view():
        start = data.draw(st.integers(0, 2 * size))
        piece = memory[start : start + size]
        if data.draw(st.booleans()):
            piece = piece[::-1]
        order = data.draw(st.permutations(range(len(shape))))
        return piece.reshape([shape[i] for i in order]).transpose(np.argsort(order))

    x, grad, out = view(), view(), view()
    if data.draw(st.booleans()):
        out = data.draw(st.sampled_from([x, grad]))
    axis = data.draw(st.integers(0, len(shape) - 1))
    start = data.draw(st.integers(0, 3 * size - shape[axis]))
    alpha = memory[start : start + shape[axis]]
    saved = memory.copy()
    expected_z = el.elu(x.copy(order="K"), alpha.copy(), axis=axis)
    expected = el.elu_backward(grad.copy(order="K"), x.copy(order="K"), alpha.copy(), axis=axis)

    assert el.elu(x, alpha, axis=axis, out=out) is out
    np.testing.assert_array_equal(out, expected_z)
    memory[...] = saved
    dx, dalpha = el.elu_backward(grad, x, alpha, axis=axis, out=out)
    assert dx is out
    np.testing.assert_array_equal(dx, expected[0])
    np.testing.assert_array_equal(dalpha, expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_out_of_another_layout_is_filled(dtype):
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(dtype)
    outs = {
        "Fortran": np.empty((2, 3, 4), dtype, order="F"),
        "strided": np.full((2, 3, 8), 7, dtype)[..., ::2],
        "reversed": np.empty((2, 3, 4), dtype)[::-1],
        "misaligned": misaligned(x),
    }
    for name, out in outs.items():
        assert el.elu(x, 0.5, out=out) is out
        np.testing.assert_array_equal(out, el.elu(x, 0.5), err_msg=name)
    assert np.all(outs["strided"].base[..., 1::2] == 7)
