"""Accuracy of float64, and of float32 with any g and alpha; the worst inputs are printed.

The sweep over all float32 inputs is native: tests/cpp/accuracy.cpp, `make accuracy`.
"""

import numpy as np
import pytest

import elulayer as el

pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than double here"
)

COUNT = 500_000


def inputs(dtype, seed):
    """Log-uniform and hard x, and g and alpha over thirty decades."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    low = -0.98 * float(np.log(float(info.max)))
    n = COUNT // 5
    x = np.concatenate(
        [
            -(10.0 ** rng.uniform(np.log10(float(info.tiny)), np.log10(-low), n)),
            rng.uniform(low, 0, n),
            rng.uniform(-2, 0, n),  # the polynomial at its largest
            # Beside the places where n, and with it the power of two, changes.
            -np.log(2) * (rng.integers(0, 60, n) + 0.6796875 + rng.normal(0, 1e-3, n)),
            np.nextafter(0, -1, dtype=dtype) * rng.integers(1, 2**20, n),
        ]
    ).astype(dtype)
    g, alpha = (
        rng.choice([-1, 1], (2, x.size)) * 10.0 ** rng.uniform(-15, 15, (2, x.size))
    ).astype(dtype)
    return np.minimum(x, dtype(0)), g, alpha


def worst(name, result, exact, dtype, *arguments):
    """Largest error in ULP of the exact value rounded; in subnormal steps where it is subnormal."""
    rounded = exact.astype(dtype)
    error = np.abs(result.astype(np.longdouble) - exact) / np.spacing(np.abs(rounded))
    i = int(np.argmax(error))
    at = ", ".join(repr(a[i]) for a in arguments)
    print(f"{np.dtype(dtype)} {name}: {float(error[i]):.4f} ULP at {at} ({len(error)} inputs)")
    return float(error[i])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_z(dtype):
    """Alpha = 1 and any alpha; float32 with another alpha rounds a second time."""
    x, _, alpha = inputs(dtype, 1)
    exact = np.expm1(x.astype(np.longdouble))
    fused = el.cpu_info().active != "baseline"
    bound = 1.5 if dtype == np.float64 else 0.75 if fused else 0.9
    z = el.elu(x)
    assert worst("Z, alpha = 1", z, exact, dtype, x) <= bound
    z = el.elu(x[None], alpha)[0]
    bound = 1.5 if dtype == np.float64 else 2.3
    assert worst("Z", z, exact * alpha, dtype, x, alpha) <= bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dx(dtype):
    x, g, alpha = inputs(dtype, 2)
    exact = np.exp(x.astype(np.longdouble)) * g * alpha
    dx, _ = el.elu_backward(g[None], x[None], alpha)
    normal = np.abs(exact) >= np.finfo(dtype).tiny
    bound = 1.5 if dtype == np.float64 else 2.0
    chosen = [a[normal] for a in (x, g, alpha)]
    assert worst("dX", dx[0][normal], exact[normal], dtype, *chosen) <= bound
    chosen = [a[~normal] for a in (x, g, alpha)]
    # Within one step of the correctly rounded result; two for float64 without fused operations.
    bound = 2.5 if dtype == np.float64 and el.cpu_info().active == "baseline" else 1.5
    assert worst("dX, subnormal", dx[0][~normal], exact[~normal], dtype, *chosen) <= bound
