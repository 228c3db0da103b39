"""What other code has set the calling thread to changes no bit: rounding, flush to zero."""

import ctypes
import platform
from contextlib import contextmanager

import numpy as np
import pytest

import elulayer as el
from elulayer import _core
from elulayer._support import parallel, process

pytestmark = pytest.mark.skipif(
    platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc",
    reason="the place of the settings in fenv_t is that of glibc on x86-64",
)

STANDARD = 0x1F80
SETTINGS = {
    "rounding up": STANDARD | 0x4000,
    "rounding to zero": STANDARD | 0x6000,
    "subnormal numbers as zeros": STANDARD | 0x8040,
    "all of them": STANDARD | 0xC040,
}
RAISED = 0x3F


def floats():
    """The environment of this thread as 32-bit words, the last of them mxcsr."""
    environment = (ctypes.c_uint32 * 8)()
    ctypes.CDLL(None).fegetenv(environment)
    return environment


@contextmanager
def set_to(mxcsr):
    library, before, changed = ctypes.CDLL(None), floats(), floats()
    changed[7] = mxcsr
    library.fesetenv(changed)
    try:
        yield
        after = floats()[7] & ~RAISED
    finally:
        library.fesetenv(before)
    assert after == mxcsr


rng = np.random.default_rng(0)


def numbers(dtype):
    x = rng.normal(0, 3, (16, 3, 4096)).astype(dtype)
    x[:, :, ::5] = np.finfo(dtype).smallest_subnormal * 3
    return x


def calls(dtype):
    """Functions on arrays of this dtype, as they are called."""
    x, grad = numbers(dtype), numbers(dtype)
    tiny = 1e-310 if dtype == "float64" else 1e-40  # subnormal
    a = np.array([0.7, 1.3, tiny], np.float64 if dtype == "float64" else np.float32)
    z, memory = el.elu_with_memory(x, a)
    found = [
        lambda n: el.elu(x, a, num_threads=n),
        lambda n: el.elu(x, 0.7, num_threads=n),
        lambda n: el.elu(x, tiny, num_threads=n),
        lambda n: el.elu(x, [0.7, 1.3, tiny], num_threads=n),
        lambda n: el.elu_with_memory(x, a, num_threads=n),
        lambda n: el.elu_backward(grad, x, a, num_threads=n),
        lambda n: el.elu_backward(grad, x, 0.7, num_threads=n),
        lambda n: el.elu_backward(grad, memory=memory, alpha=a, num_threads=n),
        lambda n: el.elu_backward(grad, output=z, alpha=a, num_threads=n),
        lambda n: el.elu_backward(grad, output=z, alpha=tiny, num_threads=n),
        lambda n: el.elu_double_backward(grad, 0.7, grad, x, 1.3, num_threads=n),
    ]
    if dtype != "float16":
        rows = np.cos(x)
        c, b, d = np.array([0.1, 1e-310, -3]), np.array([0.7, 1e-40, 2]), np.array([1, 2, 1e-40])
        found.append(lambda n: batch_normalization(rows, grad, c, b, d))
    return found


def batch_normalization(x, grad, c, b, d):
    results = [np.empty(3) for _ in range(4)] + [np.empty_like(x) for _ in range(2)]
    _core.channel_moments(x, results[0], results[1])
    _core.channel_dots(grad, x, c, results[2], results[3])
    _core.channel_affine(x, c, b, d, results[4])
    _core.channel_affine_gradient(grad, x, c, b, d, c, results[5])
    return tuple(results)


def bits(results):
    return [np.asarray(r).tobytes() for r in (results if isinstance(results, tuple) else [results])]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_functions(dtype, settings):
    for i, call in enumerate(calls(dtype)):
        expected = bits(call(None))
        for threads in (None, 1, 4):
            with set_to(SETTINGS[settings]):
                results = call(threads)
            assert bits(results) == expected, (i, threads)


@pytest.mark.parametrize("settings", SETTINGS)
def test_an_error_leaves_them_alone(settings):
    with set_to(SETTINGS[settings]), pytest.raises(TypeError, match="x must have dtype"):
        el.elu([1])


@pytest.mark.parametrize("settings", SETTINGS)
def test_products_that_are_spread_over_threads(settings):
    layer = el.Convolution2DLayer(3, 5)
    X = rng.normal(size=(9, 3, 20, 20)).astype(np.float32)
    layer.initialize(X.shape[1:], np.random.default_rng(0))
    with process.one_blas_thread():
        expected = layer.predict(X)
        with set_to(SETTINGS[settings]):
            result = layer.predict(X)
    np.testing.assert_array_equal(result, expected)


def test_every_part_is_done_with_the_standards(monkeypatch):
    seen = []
    for threads in (1, 3):
        monkeypatch.setattr(parallel._core, "cpu_info", lambda n=threads: {"threads": n})
        with process.one_blas_thread(), set_to(SETTINGS["all of them"]):
            parallel.in_parallel(lambda part: seen.append(floats()[7] & ~RAISED), 3)
    assert seen == [STANDARD] * 4
