"""What surrounds a result stays as it was, wherever in a cache line the result begins."""

import math

import numpy as np
import pytest

import elulayer as el

SIZE = 2**22  # bytes of the arrays of a call: many tiles, for several threads

# Sizes of one sample, of any number of them: odd, so that rows begin anywhere in a cache line.
LAYOUTS = {"one row": (), "long rows": (5, 1031), "short rows": (5, 7, 7)}

# Bytes from a cache line's first to the result's.
OFFSETS = {np.float16: (2, 20, 62), np.float32: (4, 8, 20, 60), np.float64: (0, 8, 24, 56)}

LINE = 64
GUARD = 4096 + LINE  # bytes on both sides of a result
GUARD_VALUE = 0xA5
PIECE = 2**12  # elements


def numbers(sample, arrays, dtype, seed):
    """`arrays` arrays that together are a little larger than SIZE.

    Among ordinary numbers some are outside of the short form's range, for which a block is computed
    twice.
    """
    rng = np.random.default_rng(seed)
    per_sample = math.prod(sample)
    n = SIZE // (arrays * np.dtype(dtype).itemsize * per_sample) + 10_007 // per_sample + 1
    # The period of the values is no multiple of anything in the arrays.
    values = [rng.normal(-1, 2, 300_007).astype(dtype) for _ in range(2)]
    values[0][rng.integers(0, 300_007, 300)] = np.finfo(dtype).min
    values[0][rng.integers(0, 300_007, 300)] = -95
    return [np.resize(v, (n, *sample)) for v in values[: arrays - 1]]


def guarded(like, offsets):
    """Yield an array like another at each offset from a cache line, in one memory.

    It is refilled each time. Afterwards what surrounds the array must be as it was.
    """
    memory = np.empty(like.nbytes + 2 * GUARD, np.uint8)
    line = GUARD - LINE
    line += -(memory.ctypes.data + line) % LINE
    for offset in offsets:
        start, stop = line + offset, line + offset + like.nbytes
        memory.fill(GUARD_VALUE)
        array = memory[start:stop].view(like.dtype).reshape(like.shape)
        assert array.ctypes.data % LINE == offset and array.flags.aligned
        yield array
        for guard in (memory[:start], memory[stop:]):
            assert np.all(guard == GUARD_VALUE), f"{offset} bytes past a cache line"


def in_pieces(function, *arrays):
    """function(*arrays), piece by piece along the first axis."""
    result = np.empty_like(arrays[0])
    step = max(1, PIECE // math.prod(result.shape[1:]))
    for i in range(0, len(result), step):
        result[i : i + step] = function(*(a[i : i + step] for a in arrays))
    return result


def assert_same_bits(array, expected):
    bits, expected_bits = (a.reshape(-1).view(f"u{a.itemsize}") for a in (array, expected))
    different = bits != expected_bits
    if different.any():
        i = int(different.argmax())
        raise AssertionError(
            f"{different.sum()} of {bits.size} elements, the first at {i}, "
            f"{(array.ctypes.data + i * array.itemsize) % LINE} bytes past a cache line: "
            f"{bits[i]:#x} and not {expected_bits[i]:#x}"
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
    expected = in_pieces(lambda piece: el.elu(piece, alpha), x)
    for out in guarded(x, OFFSETS[dtype]):
        assert el.elu(x, alpha, out=out) is out
        assert_same_bits(out, expected)


@pytest.mark.parametrize("dtype", OFFSETS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_backward(layout, dtype):
    sample = LAYOUTS[layout]
    x, grad = numbers(sample, 3, dtype, 1)
    alpha = alpha_of(sample, dtype)
    expected = in_pieces(lambda g, x: el.elu_backward(g, x, alpha)[0], grad, x)
    sums = set()
    for out in guarded(x, OFFSETS[dtype]):
        dx, dalpha = el.elu_backward(grad, x, alpha, out=out)
        assert dx is out
        assert_same_bits(out, expected)
        sums.add(dalpha.tobytes())
    dx, dalpha = el.elu_backward(grad, x, alpha, out=grad)
    assert_same_bits(dx, expected)
    assert np.all(np.isfinite(dalpha))
    assert sums == {dalpha.tobytes()}
