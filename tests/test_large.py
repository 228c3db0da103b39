"""Arrays of more than 2^31 and 2^32 elements, without their memory.

One small file is mapped many times in a row, so a few megabytes make up one long array. Its last
stretch is mapped to pages of their own, with other values: an index that wraps at 2^31 or 2^32
reads or writes elsewhere.
"""

import ctypes
import math
import mmap
import os
import sys
import typing

import numpy as np
import pytest

import elulayer as el

pytestmark = [
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or sys.maxsize < 2**32,
        reason="maps one file many times: needs Linux and 64-bit addresses",
    ),
    pytest.mark.skipif(
        el.cpu_info().active == "baseline" and el.cpu_info().usable[0] != "baseline",
        reason="index arithmetic is one source for all instruction sets; the forced slowest takes "
        "a minute",
    ),
]

MAP_FIXED = 0x10

# In units of 4 bytes; both are whole pages of 64 KiB and hold whole samples of every shape below.
PERIOD = 21 * 2**17
TAIL = 21 * 2**14
COUNT = 2**31 // PERIOD + 1  # periods before the tail: it lies beyond 2^31 elements


class Stretches(typing.NamedTuple):
    """An array that repeats its period, then ends with its tail."""

    array: np.ndarray
    period: np.ndarray
    tail: np.ndarray

    def view(self, dtype):
        return Stretches(*(array.view(dtype) for array in self))


def map_repeatedly():
    """A `Stretches` of float32 in COUNT * PERIOD + TAIL elements, and the function to unmap it."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]

    def map_at(address, size, protection, flags, file, offset=0):
        result = libc.mmap(address, size, protection, flags, file, offset)
        if result == ctypes.c_void_p(-1).value:
            pytest.skip(f"mmap of address space fails here: {os.strerror(ctypes.get_errno())}")
        return result

    period, tail = 4 * PERIOD, 4 * TAIL
    size = COUNT * period + tail
    file = os.memfd_create("elulayer-test")
    try:
        os.ftruncate(file, period + tail)
        # PROT_NONE: reserves addresses alone.
        start = map_at(None, size, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)
        read_write = mmap.PROT_READ | mmap.PROT_WRITE
        # MAP_POPULATE: a page fault for each of two million pages takes longer than the kernels.
        flags = mmap.MAP_SHARED | MAP_FIXED | mmap.MAP_POPULATE
        for i in range(COUNT):
            map_at(start + i * period, period, read_write, flags, file)
        map_at(start + COUNT * period, tail, read_write, flags, file, period)
    finally:
        os.close(file)
    array = np.frombuffer((ctypes.c_char * size).from_address(start), np.float32)
    stretches = Stretches(array, array[:PERIOD], array[COUNT * PERIOD :])
    return stretches, lambda: libc.munmap(start, size)


@pytest.fixture(scope="module")
def memory():
    """x, grad and out."""
    mapped = [map_repeatedly() for _ in range(3)]
    yield [stretches for stretches, _ in mapped]
    for _, unmap in mapped:
        unmap()


@pytest.fixture
def arrays(memory):
    """x and grad with values, out with NaN.

    The tail's gradients are so large, and all of one sign, that a sum without them, or with one
    period too few, is wrong in its first digits.
    """
    x, grad, out = memory
    rng = np.random.default_rng(0)
    for stretch, scale in (("period", 1), ("tail", 1000)):
        n = getattr(x, stretch).size
        getattr(x, stretch)[...] = rng.normal(-0.5, 2, n)
        getattr(grad, stretch)[...] = scale * rng.uniform(0.5, 1.5, n)
        getattr(out, stretch)[...] = np.nan
    return x, grad, out


# What makes an array in one of the layouts of one flat array, and how many channels it has. Its
# samples do not cross the borders of the periods.
LAYOUTS = {
    "one long row": (lambda flat: flat.reshape(1, 1, -1), 1),
    "NCHW": (lambda flat: flat.reshape(-1, 3, 112, 256), 3),
    "NCHW of 49 pixels": (lambda flat: flat.reshape(-1, 3, 7, 7)[:, :, :, :], 3),
    "channels last": (lambda flat: flat.reshape(-1, 64, 64, 21).transpose(0, 3, 1, 2), 21),
}
