"""Sums and affine maps per channel, which batch normalization is made of."""

import os
import subprocess
import sys

import numpy as np
import pytest

from elulayer import _core

# Rows longer and shorter than the eight lanes, single values, many channels, no values.
SHAPES = [(128, 20, 24, 24), (3, 2, 7), (300, 5), (2, 70_000), (1, 1, 9), (4, 0, 3), (0, 3, 5)]


def arrays(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(3, 2, shape).astype(dtype)
    g = rng.normal(size=shape).astype(dtype)
    return x, g, rng.normal(size=(3, shape[1]))


def per_channel(values, x):
    return values.reshape(1, -1, *[1] * (x.ndim - 2))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_against_numpy(shape, dtype):
    x, g, (center, a, b) = arrays(shape, dtype)
    exact, exact_g = x.astype(np.float64), g.astype(np.float64)
    axes = (0, *range(2, x.ndim))
    epsilon = np.finfo(dtype).eps
    mean, variance, sums, dots = np.full((4, shape[1]), np.nan)
    _core.channel_moments(x, mean, variance)
    if x.size:
        np.testing.assert_allclose(mean, exact.mean(axes), rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(variance, exact.var(axes), rtol=1e-12, atol=1e-14)
    else:
        assert not mean.any() and not variance.any()
    _core.channel_dots(g, x, center, sums, dots)
    deviation = exact - per_channel(center, x)
    np.testing.assert_allclose(sums, exact_g.sum(axes), rtol=1e-12, atol=1e-10)
    np.testing.assert_allclose(dots, (exact_g * deviation).sum(axes), rtol=1e-12, atol=1e-10)
    z, dx = np.empty_like(x), np.empty_like(x)
    _core.channel_affine(x, center, a, b, z)
    _core.channel_affine_gradient(g, x, center, a, b, center, dx)
    scaled = per_channel(a, x) * deviation + per_channel(b, x)
    np.testing.assert_allclose(z, scaled, rtol=0, atol=60 * epsilon)
    both = per_channel(a, x) * exact_g + per_channel(b, x) * deviation + per_channel(center, x)
    np.testing.assert_allclose(dx, both, rtol=0, atol=60 * epsilon)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_variance_of_equal_values_is_zero(dtype):
    x = np.full((5, 3, 11), 1e6 + 0.1, dtype)
    mean, variance = np.empty((2, 3))
    _core.channel_moments(x, mean, variance)
    assert mean.tolist() == [float(x[0, 0, 0])] * 3
    assert variance.tolist() == [0.0] * 3


def test_a_mean_far_from_zero_takes_no_digits():
    x = np.random.default_rng(0).normal(1e6, 1, (50, 2, 300))
    mean, variance = np.empty((2, 2))
    _core.channel_moments(x, mean, variance)
    np.testing.assert_allclose(variance, (x - 1e6).var((0, 2)), rtol=1e-9)


def test_nan_and_infinity_stay_in_their_channel():
    x = np.ones((4, 3, 20), np.float32)
    x[2, 1, 7] = np.nan
    x[3, 2, 0] = np.inf
    mean, variance = np.empty((2, 3))
    _core.channel_moments(x, mean, variance)
    assert (mean[0], variance[0]) == (1, 0)
    assert np.isnan(mean[1]) and np.isnan(variance[1])
    assert not np.isfinite(mean[2])


HASH = """
import hashlib, sys
import numpy as np
from elulayer import _core
rng = np.random.default_rng(0)
digest = hashlib.sha256()
for shape in ((128, 20, 24, 24), (3000, 70), (7, 3, 40_000)):
    x, g = rng.normal(size=(2, *shape)).astype(np.float32)
    sums = np.empty((4, shape[1]))
    _core.channel_moments(x, *sums[:2])
    _core.channel_dots(g, x, sums[0], *sums[2:])
    digest.update(sums.tobytes())
print(digest.hexdigest())
"""


def test_the_number_of_threads_changes_no_bit():
    def run(threads):
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, "-c", HASH]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    assert len({run(threads).stdout for threads in (1, 2, 3, 7)}) == 1


def test_arguments_are_checked():
    x = np.ones((2, 3, 4), np.float32)
    three, two = np.empty(3), np.empty(2)
    with pytest.raises(ValueError, match="variance must have 3 elements, not 2"):
        _core.channel_moments(x, three, two)
    with pytest.raises(TypeError, match="x must have dtype float32 or float64"):
        _core.channel_moments(x.astype(np.float16), three, three)
    with pytest.raises(TypeError, match="x must be a C-contiguous array"):
        _core.channel_moments(x[:, :, ::2], three, three)
    with pytest.raises(ValueError, match=r"shape \(N, C, ...\)"):
        _core.channel_moments(x[0, 0], three, three)
