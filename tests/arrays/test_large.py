"""Arrays of more than 2^31 and 2^32 elements, without their memory.

One small file is mapped many times in a row, so that a few megabytes make up one long array. Its
last stretch is mapped to pages of their own, with other values: an index that wraps at 2^31 or 2^32
reads or writes elsewhere.
"""

import ctypes
import mmap
import os
import sys
import typing

import numpy as np
import pytest

import elulayer as el
from shared import reference

pytestmark = [
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or sys.maxsize < 2**32,
        reason="maps one file many times: needs Linux and 64-bit addresses",
    ),
    pytest.mark.skipif(
        el.cpu_info().active != el.cpu_info().usable[0],
        reason="the indices are the same source in every instruction set; the fastest is tested",
    ),
]

MAP_FIXED = 0x10

# In units of 4 bytes. Both are whole pages of up to 64 KiB, and whole samples of every layout.
PERIOD = TAIL = 147 * 2**14
COUNT = 2**31 // PERIOD + 1  # periods before the tail, which lies beyond 2^31


class Stretches(typing.NamedTuple):
    """An array that repeats its period, then ends with its tail."""

    array: np.ndarray
    period: np.ndarray
    tail: np.ndarray

    def view(self, dtype):
        return Stretches(*(array.view(dtype) for array in self))


def map_repeatedly():
    """Return `Stretches` of float32 in COUNT * PERIOD + TAIL elements, and what unmaps them."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

    def map_at(address, size, protection, flags, file, offset=0):
        result = libc.mmap(address, size, protection, flags, file, offset)
        if result == ctypes.c_void_p(-1).value:
            pytest.skip(f"address space is limited here: {os.strerror(ctypes.get_errno())}")
        return result

    period, tail = 4 * PERIOD, 4 * TAIL
    size = COUNT * period + tail
    file = os.memfd_create("elulayer-test")
    try:
        os.ftruncate(file, period + tail)
        # Without access: addresses alone are reserved.
        start = map_at(None, size, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)
        access = mmap.PROT_READ | mmap.PROT_WRITE
        # A fault for each of two million pages would take longer than the kernels.
        flags = mmap.MAP_SHARED | MAP_FIXED | mmap.MAP_POPULATE
        for i in range(COUNT):
            map_at(start + i * period, period, access, flags, file)
        map_at(start + COUNT * period, tail, access, flags, file, period)
    finally:
        os.close(file)
    array = np.frombuffer((ctypes.c_char * size).from_address(start), np.float32)
    stretches = Stretches(array, array[:PERIOD], array[COUNT * PERIOD :])
    return stretches, lambda: libc.munmap(start, size)


@pytest.fixture(scope="module")
def memory():
    """Return x, grad and out."""
    mapped = [map_repeatedly() for _ in range(3)]
    yield [stretches for stretches, _ in mapped]
    for _, unmap in mapped:
        unmap()


def fill(memory, dtype):
    """Return x, grad and out: x and grad with values, out with NaN.

    Gradients are positive and, in the tail, so large that a sum without the tail, or with one
    period too few, is far off.
    """
    x, grad, out = (stretches.view(dtype) for stretches in memory)
    rng = np.random.default_rng(0)
    for part, scale in (("period", 1), ("tail", 64)):
        n = getattr(x, part).size
        getattr(x, part)[...] = 2 * rng.standard_normal(n, np.float32) - 0.5
        getattr(grad, part)[...] = scale * (rng.random(n, np.float32) + 0.5)
        getattr(out, part)[...] = np.nan
    return x, grad, out


# How a flat array is seen, and the number of channels. No sample crosses the border of a period.
LAYOUTS = {
    "one row": (lambda flat: flat.reshape(1, 1, -1), 1),
    "NCHW": (lambda flat: flat.reshape(-1, 3, 112, 224), 3),
    "channels last": (lambda flat: flat.reshape(-1, 56, 64, 21).transpose(0, 3, 1, 2), 21),
}


def assert_same_bits(array, expected, what):
    bits, expected_bits = (a.view(f"u{a.itemsize}") for a in (array, expected))
    wrong = np.flatnonzero(bits != expected_bits)
    assert wrong.size == 0, (
        f"{what}: {wrong.size} elements, the first at {wrong[0]}: {array[wrong[0]]} and not "
        f"{expected[wrong[0]]}"
    )


def check_forward(x, out, layout):
    see, channels = LAYOUTS[layout]
    alpha = np.linspace(0.25, 1.5, channels, dtype=np.float32)
    target = see(out.array)
    assert el.elu(see(x.array), alpha, out=target) is target
    for part in ("period", "tail"):
        expected = np.empty_like(getattr(x, part))
        el.elu(see(getattr(x, part)), alpha, out=see(expected))
        assert_same_bits(getattr(out, part), expected, f"Z, {part}")


def check_backward(grad, x, out, layout):
    see, channels = LAYOUTS[layout]
    alpha = np.linspace(0.25, 1.5, channels, dtype=np.float32)
    target = see(out.array)
    dx, dalpha = el.elu_backward(see(grad.array), see(x.array), alpha, out=target)
    assert dx is target
    sums, magnitudes = [], []
    for part in ("period", "tail"):
        g, source = see(getattr(grad, part)), see(getattr(x, part))
        expected = np.empty_like(getattr(x, part))
        el.elu_backward(g, source, alpha, out=see(expected))
        assert_same_bits(getattr(out, part), expected, f"dX, {part}")
        part_sum, part_magnitude = reference.elu_backward_alpha(g, source)
        sums.append(part_sum)
        magnitudes.append(part_magnitude)
    total = COUNT * sums[0] + sums[1]
    bound = 3 * 2.0**-23 * (COUNT * magnitudes[0] + magnitudes[1])
    # A period or the tail more or less is far outside of the bound.
    assert np.all(1000 * bound < np.abs(sums))
    error = np.abs(dalpha - total)
    c = np.argmax(error / bound)
    print(f"dalpha, {layout}: error {error[c] / bound[c]:.2e} of the bound in channel {c}")
    assert np.all(error <= bound)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_more_than_two_to_the_31_elements(memory, layout):
    x, grad, out = fill(memory, np.float32)
    assert x.array.size > 2**31
    check_forward(x, out, layout)
    out.period[...] = out.tail[...] = np.nan
    check_backward(grad, x, out, layout)


def test_more_than_two_to_the_32_elements(memory):
    x, _, out = fill(memory, np.float16)
    assert x.array.size > 2**32
    check_forward(x, out, "NCHW")
