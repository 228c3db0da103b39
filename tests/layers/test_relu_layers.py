"""ReLU, leaky ReLU and PReLU: values, gradients, NaN and infinity, and ELU's alpha = 0."""

import numpy as np
import pytest

import elulayer as el
from shared.inputs import TENSOR_REFUSED, Tensor

MAKERS = {
    "relu": el.ReLULayer,
    "leaky": lambda: el.LeakyReLULayer(0.3),
    "prelu": lambda: el.PReLULayer(3, slope=[0.25, -0.5, 1.5]),
}
SLOPES = {"relu": [0, 0, 0], "leaky": [0.3, 0.3, 0.3], "prelu": [0.25, -0.5, 1.5]}


def sample(dtype=np.float64, shape=(4, 3, 5, 2)):
    X = np.random.default_rng(0).normal(size=shape)
    return (X + 0.01 * np.sign(X)).astype(dtype)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(4, 3, 5, 2), (6, 3)])
def test_values_and_gradients(kind, dtype, shape):
    layer, X = MAKERS[kind](), sample(dtype, shape)
    slope = np.array(SLOPES[kind]).reshape(1, 3, *[1] * (len(shape) - 2))
    tolerance = 1e-6 if dtype == np.float32 else 1e-7
    Z, memory = layer.forward(X)
    np.testing.assert_allclose(Z, np.where(X > 0, X, slope * X), rtol=tolerance)
    dLdZ = np.random.default_rng(1).normal(size=shape).astype(dtype)
    result = layer.backward(X, Z, dLdZ, memory)
    dLdX, *dLdslope = result if isinstance(result, tuple) else (result,)
    np.testing.assert_allclose(dLdX, dLdZ * np.where(X > 0, 1, slope), rtol=tolerance)
    assert Z.dtype == dLdX.dtype == dtype
    if dLdslope:
        terms = np.where(X > 0, 0, X.astype(float) * dLdZ)
        expected = terms.sum(axis=(0, *range(2, X.ndim)))
        np.testing.assert_allclose(dLdslope[0], expected, rtol=1e-5, atol=1e-6)
        assert dLdslope[0].dtype == np.float32


def test_prelu_gradient_numerically():
    layer, X = el.PReLULayer(3), sample()
    layer.slope = layer.slope.astype(np.float64)
    dLdZ = np.random.default_rng(2).normal(size=X.shape)
    _, dLdslope = layer.backward(X, layer.predict(X), dLdZ, None)
    for c in range(3):
        sides = []
        for h in (1e-6, -1e-6):
            layer.slope[c] += h
            sides.append(float(np.sum(dLdZ * layer.predict(X))))
            layer.slope[c] -= h
        assert dLdslope[c] == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_derivative_at_zero_is_that_below(kind):
    layer = MAKERS[kind]()
    X = np.zeros((1, 3, 2))
    X[..., 1] = -0.0
    result = layer.backward(X, X, np.ones_like(X), None)
    dLdX = result[0] if isinstance(result, tuple) else result
    assert dLdX[0].tolist() == [[slope, slope] for slope in SLOPES[kind]]


@pytest.mark.parametrize("kind", MAKERS)
def test_nan_and_infinity(kind):
    layer = MAKERS[kind]()
    X = np.array([np.nan, np.inf, -np.inf, 2, -2]) * np.ones((1, 3, 5))
    Z = layer.predict(X)
    assert np.isnan(Z).tolist() == [[[True, False, False, False, False]] * 3]
    assert np.isposinf(Z[..., 1]).all()
    dLdZ = np.array([1, 1, 1, np.inf, 5.0]) * np.ones((1, 3, 5))
    result = layer.backward(X, Z, dLdZ, None)
    dLdX = result[0] if isinstance(result, tuple) else result
    for row, slope in zip(dLdX[0], SLOPES[kind], strict=True):
        np.testing.assert_array_equal(row, [np.nan, 1, slope, np.inf, 5 * slope])
    # An infinite gradient where X > 0 is none of the slope's.
    X, dLdZ = X[..., 3:], dLdZ[..., 3:]
    result = layer.backward(X, layer.predict(X), dLdZ, None)
    if isinstance(result, tuple):
        assert result[1].tolist() == [-10, -10, -10]


def test_relu_is_elu_with_alpha_0():
    X = sample(np.float32)
    X[0, 0, 0] = 0
    dLdZ = np.random.default_rng(3).normal(size=X.shape).astype(np.float32)
    relu, elu = el.ReLULayer(), el.ELULayer(3, alpha=0)
    assert np.array_equal(relu.predict(X), elu.predict(X))
    Z = relu.predict(X)
    assert np.array_equal(relu.backward(X, Z, dLdZ, None), elu.backward(X, Z, dLdZ, None)[0])


def test_any_strides():
    X = sample(np.float32).transpose(0, 1, 3, 2)
    layer = el.PReLULayer(3)
    dLdX, dLdslope = layer.backward(X, layer.predict(X), X[::-1], None)
    expected, expected_slope = layer.backward(X.copy(), layer.predict(X), X[::-1].copy(), None)
    assert np.array_equal(dLdX, expected)
    np.testing.assert_allclose(dLdslope, expected_slope, rtol=1e-6)


def test_defaults():
    assert el.LeakyReLULayer().scale == 0.01
    assert el.PReLULayer(2).slope.tolist() == [0.25, 0.25]
    assert el.PReLULayer(2).slope.dtype == np.float32
    assert el.PReLULayer(2).l2_factors == {"slope": 0.0}
    assert el.PReLULayer(4, "p").description == "PReLU with 4 channels"


def test_errors():
    with pytest.raises(ValueError, match=r"scale must be at least 0 and finite, not -1"):
        el.LeakyReLULayer(-1)
    with pytest.raises(TypeError, match="scale must be a number, not 'x'"):
        el.LeakyReLULayer("x")
    with pytest.raises(ValueError, match="num_channels must be at least 1, not 0"):
        el.PReLULayer(0)
    with pytest.raises(ValueError, match=r"slope must be a scalar or have shape \(3,\), not \(2,"):
        el.PReLULayer(3, slope=[1, 2])
    with pytest.raises(ValueError, match="slope must be finite numbers"):
        el.PReLULayer(3, slope=np.nan)
    with pytest.raises(ValueError, match=r"PReLULayer 'p' must have 3 channels .*\(2, 4\)"):
        el.PReLULayer(3, "p").predict(np.zeros((2, 4)))


def test_a_slope_that_numpy_cannot_read():
    with pytest.raises(TypeError, match=f"^slope {TENSOR_REFUSED}"):
        el.PReLULayer(3, slope=Tensor())
