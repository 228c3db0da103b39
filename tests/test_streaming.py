"""Arrays larger than the last level of cache, whose results are written past the caches."""

import math

import numpy as np
import pytest

import elulayer as el

CACHE = el.cpu_info().last_level_cache

pytestmark = [
    pytest.mark.skipif(
        CACHE == 0, reason="the operating system does not say how large the cache is"
    ),
    pytest.mark.skipif(CACHE > 2**30, reason="arrays larger than this cache take too much memory"),
]

# Sizes of one sample, of any number of them: odd, so that rows begin anywhere in a cache line.
LAYOUTS = {"one row": (), "long rows": (5, 1031), "short rows": (5, 7, 7)}

# Bytes from a cache line's first to the result's.
OFFSETS = {np.float16: (2, 20, 62), np.float32: (4, 8, 20, 60), np.float64: (0, 8, 24, 56)}

LINE = 64
GUARD = 4096 + LINE  # bytes on both sides of a result
GUARD_VALUE = 0xA5
PIECE = min(2**17, CACHE // 64)  # elements: a piece, of each array, fits the cache


def numbers(sample, arrays, dtype, seed):
    """`arrays` arrays that together are a little larger than the cache.

    Among ordinary numbers some are outside of the short form's range, for which a block is computed
    twice.
    """
    rng = np.random.default_rng(seed)
    per_sample = math.prod(sample)
    n = CACHE // (arrays * np.dtype(dtype).itemsize * per_sample) + 10_007 // per_sample + 1
    # The period of the values is no multiple of anything in the arrays.
    values = [rng.normal(-1, 2, 300_007).astype(dtype) for _ in range(2)]
    values[0][rng.integers(0, 300_007, 300)] = np.finfo(dtype).min
    values[0][rng.integers(0, 300_007, 300)] = -95
    return [np.resize(v, (n, *sample)) for v in values[: arrays - 1]]


def guarded(like, offset):
    """An array like another, so many bytes past a cache line, and the memory around it."""
    memory = np.full(like.nbytes + 2 * GUARD, GUARD_VALUE, np.uint8)
    start = GUARD - LINE
    start += -(memory.ctypes.data + start) % LINE + offset
    array = memory[start : start + like.nbytes].view(like.dtype).reshape(like.shape)
    assert array.ctypes.data % LINE == offset and array.flags.aligned
    return array, (memory[:start], memory[start + like.nbytes :])


def in_pieces(function, *arrays):
    """function(*arrays), piece by piece along the first axis."""
    result = np.empty_like(arrays[0])
    step = max(1, PIECE // math.prod(result.shape[1:]))
    for i in range(0, len(result), step):
        result[i : i + step] = function(*(a[i : i + step] for a in arrays))
    return result


def assert_same_bits(array, expected):
    bits, expected_bits = (a.reshape(-1).view(f"u{a.itemsize}") for a in (array, expected))
    wrong = np.flatnonzero(bits != expected_bits)
    assert wrong.size == 0, (
        f"{wrong.size} of {bits.size} elements, the first at {wrong[0]}: {bits[wrong[0]]:#x} and "
        f"not {expected_bits[wrong[0]]:#x}"
    )


def alpha_of(sample, dtype):
    if not sample:
        return 0.75
    dtype = np.float32 if dtype == np.float16 else dtype
    return np.linspace(0.25, 1.25, sample[0], dtype=dtype)


@pytest.mark.parametrize("dtype", OFFSETS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_forward(layout, dtype):
    sample = LAYOUTS[layout]
    (x,) = numbers(sample, 2, dtype, 0)
    alpha = alpha_of(sample, dtype)
    assert 2 * x.nbytes > CACHE
    expected = in_pieces(lambda piece: el.elu(piece, alpha), x)
    for offset in OFFSETS[dtype]:
        out, guards = guarded(x, offset)
        assert el.elu(x, alpha, out=out) is out
        assert_same_bits(out, expected)
        assert all(np.all(guard == GUARD_VALUE) for guard in guards), f"{offset} bytes past a line"


@pytest.mark.parametrize("dtype", OFFSETS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_backward(layout, dtype):
    sample = LAYOUTS[layout]
    x, grad = numbers(sample, 3, dtype, 1)
    alpha = alpha_of(sample, dtype)
    assert 3 * x.nbytes > CACHE
    expected = in_pieces(lambda g, x: el.elu_backward(g, x, alpha)[0], grad, x)
    sums = set()
    for offset in OFFSETS[dtype]:
        out, guards = guarded(x, offset)
        dx, dalpha = el.elu_backward(grad, x, alpha, out=out)
        assert dx is out
        assert_same_bits(out, expected)
        assert all(np.all(guard == GUARD_VALUE) for guard in guards), f"{offset} bytes past a line"
        sums.add(dalpha.tobytes())
    # In place nothing is written past the caches.
    dx, dalpha = el.elu_backward(grad, x, alpha, out=grad)
    assert_same_bits(dx, expected)
    assert np.all(np.isfinite(dalpha))
    assert sums == {dalpha.tobytes()}
