"""Max and average pooling: values against windows one by one, gradients, shapes, NaN, ties."""

import math

import numpy as np
import pytest

import elulayer as el

LAYERS = {"max": el.MaxPooling2DLayer, "average": el.AveragePooling2DLayer}


def windows(shape, size, stride, padding, ceil_mode):
    """For each window its rows and columns in the padded image, by the definition."""
    axes = []
    for n, k in zip(shape, size, strict=True):
        steps = (n + 2 * padding - k) / stride
        count = (math.ceil(steps) if ceil_mode else math.floor(steps)) + 1
        starts = [i * stride for i in range(count) if i * stride < n + padding]
        axes.append([range(start, min(start + k, n + 2 * padding)) for start in starts])
    return axes


def directly(kind, X, size, stride, padding, ceil_mode):
    value = -np.inf if kind == "max" else 0
    padded = np.pad(X, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2), constant_values=value)
    down, across = windows(X.shape[2:], size, stride, padding, ceil_mode)
    Z = np.empty((*X.shape[:2], len(down), len(across)))
    for i, rows in enumerate(down):
        for j, columns in enumerate(across):
            window = padded[:, :, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            Z[:, :, i, j] = (np.max if kind == "max" else np.mean)(window, axis=(2, 3))
    return Z


GEOMETRIES = [
    ((2, 2), 2, 0, False),
    ((3, 3), 2, 0, False),
    ((3, 3), 2, 0, True),
    ((3, 3), 2, 1, True),
    ((2, 3), 1, 1, False),
    ((2, 2), 3, 1, True),
    ((1, 1), 1, 0, False),
    ((3, 2), 4, 1, True),
    ((6, 7), 1, 0, False),
]


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize(("size", "stride", "padding", "ceil_mode"), GEOMETRIES)
def test_values_and_gradients(kind, size, stride, padding, ceil_mode):
    rng = np.random.default_rng(1)
    # Distances of 0.1 between all values: no two are ever as close as the step of the differences.
    X = 0.1 * rng.permutation(2 * 3 * 6 * 7).reshape(2, 3, 6, 7).astype(np.float64) - 10
    layer = LAYERS[kind](size, stride=stride, padding=padding, ceil_mode=ceil_mode)
    Z, memory = layer.forward(X)
    expected = directly(kind, X, size, stride, padding, ceil_mode)
    np.testing.assert_allclose(Z, expected, rtol=1e-12, atol=1e-12)
    assert np.array_equal(layer.predict(X), Z)
    assert not np.shares_memory(Z, X)
    dLdZ = rng.normal(size=Z.shape)
    kept = X.copy()
    dLdX = layer.backward(X, Z, dLdZ, memory)
    assert np.array_equal(X, kept)
    assert dLdX.shape == X.shape and dLdX.dtype == np.float64
    numerical = np.empty_like(X)
    for index in np.ndindex(X.shape):
        sides = []
        for h in (1e-6, -1e-6):
            moved = X.copy()
            moved[index] += h
            sides.append(float(np.sum(dLdZ * layer.predict(moved))))
        numerical[index] = (sides[0] - sides[1]) / 2e-6
    np.testing.assert_allclose(dLdX, numerical, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_float32(kind):
    X = np.random.default_rng(2).normal(size=(4, 2, 8, 8)).astype(np.float32)
    layer = LAYERS[kind](3, stride=2, ceil_mode=True)
    Z, memory = layer.forward(X)
    dLdX = layer.backward(X, Z, Z, memory)
    assert Z.dtype == dLdX.dtype == np.float32
    exact = X.astype(np.float64)
    Z64, memory64 = layer.forward(exact)
    np.testing.assert_allclose(Z, Z64, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        dLdX, layer.backward(exact, Z64, Z64, memory64), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("kind", LAYERS)
def test_caffes_quick_has_its_shapes(kind):
    for before, after in ((32, 16), (16, 8), (8, 4), (28, 14), (14, 7), (7, 3)):
        X = np.zeros((1, 1, before, before), np.float32)
        assert LAYERS[kind](3, stride=2, ceil_mode=True).predict(X).shape == (1, 1, after, after)
    assert LAYERS[kind](2).predict(np.zeros((1, 1, 4, 4), np.float32)).shape == (1, 1, 3, 3)


def test_a_window_over_the_edge_takes_the_mean_of_what_is_there():
    X = np.arange(16.0).reshape(1, 1, 4, 4)
    Z = el.AveragePooling2DLayer(3, stride=2, ceil_mode=True).predict(X)
    assert Z[0, 0].tolist() == [[5, 6.5], [11, 12.5]]


def test_padding_counts_in_the_mean_and_never_in_the_maximum():
    X = np.full((1, 1, 2, 2), -4.0)
    assert el.AveragePooling2DLayer(2, padding=1).predict(X)[0, 0, 0].tolist() == [-1, -2, -1]
    assert (el.MaxPooling2DLayer(2, padding=1).predict(X) == -4).all()


def test_the_first_of_equal_maxima_gets_the_gradient():
    X = np.zeros((1, 1, 3, 3))
    layer = el.MaxPooling2DLayer(2)
    Z, memory = layer.forward(X)
    dLdX = layer.backward(X, Z, np.array([[[[1.0, 2], [3, 4]]]]), memory)
    assert dLdX[0, 0].tolist() == [[1, 2, 0], [3, 4, 0], [0, 0, 0]]
    X[0, 0] = [[0, 5, 5], [5, 0, 0], [0, 0, 0]]
    Z, memory = layer.forward(X)
    dLdX = layer.backward(X, Z, np.array([[[[1.0, 2], [3, 4]]]]), memory)
    assert dLdX[0, 0].tolist() == [[0, 3, 0], [3, 4, 0], [0, 0, 0]]


def test_minus_infinity_alone_in_a_padded_window():
    X = np.full((1, 1, 2, 2), -np.inf)
    layer = el.MaxPooling2DLayer(2, stride=2, padding=1)
    Z, memory = layer.forward(X)
    assert np.isneginf(Z).all() and Z.shape == (1, 1, 2, 2)
    assert layer.backward(X, Z, np.array([[[[1.0, 2], [3, 4]]]]), memory)[0, 0].tolist() == [
        [1, 2],
        [3, 4],
    ]


def test_nan_comes_through():
    X = np.array([[1, np.nan, 3], [9, np.nan, 2], [4, 5, 6]]).reshape(1, 1, 3, 3)
    layer = el.MaxPooling2DLayer(2)
    for Z in (layer.predict(X), layer.forward(X)[0]):
        assert np.isnan(Z[0, 0]).tolist() == [[True, True], [True, True]]
    Z, memory = layer.forward(X)
    dLdX = layer.backward(X, Z, np.array([[[[1.0, 2], [3, 4]]]]), memory)
    assert dLdX[0, 0].tolist() == [[0, 3, 0], [0, 7, 0], [0, 0, 0]]
    assert np.isnan(el.AveragePooling2DLayer(2).predict(X)[0, 0]).all()


def test_infinite_gradients_stay_where_they_belong():
    X = np.arange(4.0).reshape(1, 1, 2, 2)
    layer = el.MaxPooling2DLayer(2)
    Z, memory = layer.forward(X)
    dLdX = layer.backward(X, Z, np.full_like(Z, np.inf), memory)
    assert dLdX[0, 0].tolist() == [[0, 0], [0, np.inf]]


@pytest.mark.parametrize("kind", LAYERS)
def test_the_input_gradient_is_left_out_where_nobody_needs_it(kind):
    X = np.ones((1, 1, 4, 4))
    layer = LAYERS[kind](2)
    Z, memory = layer.forward(X)
    layer.needs_input_gradient = False
    assert layer.backward(X, Z, Z, memory) is None


@pytest.mark.parametrize("kind", LAYERS)
def test_errors(kind):
    cls = LAYERS[kind]
    with pytest.raises(ValueError, match="pool_size must be at least 1, not 0"):
        cls(0)
    with pytest.raises(TypeError, match="pool_size must be an integer"):
        cls("3")
    with pytest.raises(ValueError, match="stride must be at least 1, not 0"):
        cls(2, stride=0)
    with pytest.raises(ValueError, match=r"padding must be less than the pool size, \(2, 3\), not"):
        cls((2, 3), padding=2)
    with pytest.raises(TypeError, match="ceil_mode must be True or False, not 1"):
        cls(2, ceil_mode=1)
    with pytest.raises(
        ValueError, match=r"input of .* must have shape \(N, C, H, W\), not \(2, 3\)"
    ):
        cls(2).predict(np.zeros((2, 3)))
    with pytest.raises(
        ValueError, match=r"must have room for windows of size \(3, 3\) with padding 0"
    ):
        cls(3).predict(np.zeros((1, 1, 2, 5)))
