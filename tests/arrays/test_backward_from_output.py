"""Backward from the output where its products, or the rounding of Z, leave the ordinary range."""

import numpy as np
import pytest

import elulayer as el

ml_dtypes = pytest.importorskip("ml_dtypes", reason="the extra 'bfloat16' is absent")


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(np.float64, v) for v in (1e200, 1e-250, 1e-140, 1e60, 3.0)]
    + [(np.float32, v) for v in (1e-35, 1e-30, 1e-18, 1e15, 3.0)],
)
def test_alpha_and_grad_of_one_extreme_size(dtype, value):
    """Grad times Z over- or underflows where grad times expm1(x) does not."""
    for shape in ((1, 4), (3, 4, 1000), (500, 4)):
        x = np.random.default_rng(0).uniform(-3, 0, shape).astype(dtype)
        alpha = np.full(4, value, dtype)
        grad = np.full(shape, value, dtype)
        _, dalpha = el.elu_backward(grad, output=el.elu(x, alpha), alpha=alpha)
        axes = (0, *range(2, x.ndim))
        exact = value * np.expm1(x.astype(np.float64)).sum(axes)
        np.testing.assert_allclose(dalpha, exact, rtol=8 * np.finfo(dtype).eps)


def test_ordinary_and_extreme_alphas_side_by_side():
    x = np.random.default_rng(1).uniform(-3, 1, (300, 6))
    alpha = np.array([1, 1e-250, 0.5, 1e200, 2.0**20, 2.0**21])
    grad = np.random.default_rng(2).uniform(0.5, 1, x.shape) * alpha
    _, dalpha = el.elu_backward(grad, output=el.elu(x, alpha), alpha=alpha)
    exact = (grad * np.expm1(np.minimum(x, 0))).sum(axis=0)
    np.testing.assert_allclose(dalpha, exact, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("alpha", [0.7, 33.3, 100.1, 1e3])
def test_z_that_rounding_took_below_minus_alpha(dtype, alpha):
    """No gradient of the wrong sign; at most eps * g * alpha, which rounding of Z alone makes."""
    x = np.linspace(-40, -8, 100).astype(dtype)
    z = el.elu(x, alpha)
    dx, dalpha = el.elu_backward(np.ones_like(x), output=z, alpha=alpha)
    dx = dx.astype(np.float64)
    eps = float(ml_dtypes.finfo(dtype).eps)
    worst = np.abs(dx - alpha * np.exp(x.astype(np.float64))).argmax()
    print(f"worst at x = {x[worst]}, alpha = {alpha}: dX = {dx[worst]}")
    assert np.all(dx >= 0)
    assert np.all(dx <= alpha * np.exp(x.astype(np.float64)) + eps * alpha)
    assert dalpha == pytest.approx(np.expm1(x.astype(np.float64)).sum(), rel=eps)


def test_z_beyond_the_range_of_float16():
    x = np.array([-20, 3], np.float16)
    z = el.elu(x, 1e5)
    assert z[0] == -np.inf
    dx, dalpha = el.elu_backward(np.full_like(x, 1e-3), output=z, alpha=1e5)
    assert dx.tolist() == [0, np.float16(1e-3)]
    assert dalpha == -np.float32(np.float16(1e-3))
