"""The layers one by one: values, gradients, and what they say when something does not fit."""

import copy
import pickle
import threading

import numpy as np
import pytest

import elulayer as el
from elulayer.layers import convolution


def central_differences(function, values, h=1e-6):
    """Derivative of a scalar function with respect to each of `values`, changed in place."""
    gradient = np.empty_like(values)
    for i in np.ndindex(values.shape):
        kept = values[i]
        values[i] = kept + h
        above = function()
        values[i] = kept - h
        below = function()
        values[i] = kept
        gradient[i] = (above - below) / (2 * h)
    return gradient


def check_gradients(layer, X, backward=None):
    """Compare a layer's backward with central differences, for an upstream gradient not of ones."""
    rng = np.random.default_rng(99)
    for name in layer.learnables:
        setattr(layer, name, np.array(getattr(layer, name), dtype=np.float64))
    Z, memory = layer.forward(X)
    dLdZ = rng.normal(size=Z.shape)
    result = (backward or layer.backward)(X, Z, dLdZ, memory)
    computed = result if isinstance(result, tuple) else (result,)
    assert len(computed) == 1 + len(layer.learnables)
    for name, gradient in zip(("X", *layer.learnables), computed, strict=True):
        values = X if name == "X" else getattr(layer, name)
        expected = central_differences(lambda: float(np.sum(dLdZ * layer.forward(X)[0])), values)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-7, err_msg=name)
        assert np.asarray(gradient).dtype == np.float64, name


def off_the_kink(rng, shape):
    X = rng.normal(size=shape)
    return X + 0.01 * np.sign(X)


def initialized(layer, X, seed=0):
    layer.initialize(X.shape[1:], np.random.default_rng(seed))
    return layer


# ELU


def blog_backward(layer):
    """The blog's backward, whose dLdAlpha has a misplaced parenthesis: exp(min(X,0) - 1)."""

    def backward(X, Z, dLdZ, memory):
        alpha = layer.alpha.reshape(1, -1, 1, 1)
        dLdX = dLdZ * ((X > 0) + (alpha + Z) * (X <= 0))
        return dLdX, (np.exp(np.minimum(X, 0) - 1) * dLdZ).sum(axis=(0, 2, 3))

    return backward


@pytest.mark.parametrize("backward_from", ["input", "memory", "output"])
def test_elu_backward_from(backward_from):
    rng = np.random.default_rng(3)
    X, dLdZ = rng.normal(size=(2, 4, 3, 5, 5))
    layer = el.ELULayer(3, alpha=[0.5, 1.25, 2], backward_from=backward_from)
    check_gradients(layer, X)
    Z, memory = layer.forward(X)
    assert (memory is not None) == (backward_from == "memory")
    # What is not named is not read.
    arrays = {"input": (X, None, None), "memory": (X, None, memory), "output": (X, Z, None)}
    x, z, m = arrays[backward_from]
    dLdX, dLdalpha = layer.backward(x, z, dLdZ, m)
    expected, expected_alpha = el.ELULayer(3, alpha=[0.5, 1.25, 2]).backward(X, Z, dLdZ, None)
    np.testing.assert_allclose(dLdX, expected, rtol=1e-12)
    np.testing.assert_allclose(dLdalpha, expected_alpha, rtol=1e-6)


def test_elu_backward_from_is_checked():
    with pytest.raises(ValueError, match="backward_from must be 'input', 'memory' or 'output'"):
        el.ELULayer(3, backward_from="Z")
    layer = el.ELULayer(1, alpha=-0.5, backward_from="output")
    X = np.ones((1, 1, 2))
    with pytest.raises(ValueError, match=r"alpha must be greater than 0 where output is given"):
        layer.backward(X, X, X, None)


def test_elu_gradients():
    X = off_the_kink(np.random.default_rng(1), (3, 4, 2, 3))
    check_gradients(el.ELULayer(4, rng=0), X)


@pytest.mark.parametrize("alpha", [0.0, -0.7])
def test_elu_gradients_for_alpha_not_positive(alpha):
    X = off_the_kink(np.random.default_rng(2), (3, 2, 3))
    check_gradients(el.ELULayer(2, alpha=alpha), X)


def test_gradient_check_rejects_the_blogs_dldalpha():
    layer = el.ELULayer(4, rng=0)
    X = off_the_kink(np.random.default_rng(3), (3, 4, 2, 3))
    with pytest.raises(AssertionError, match="alpha"):
        check_gradients(layer, X, blog_backward(layer))


def test_elu_values_and_description():
    layer = el.ELULayer(20, "elu1")
    assert layer.name == "elu1"
    assert layer.description == "Exponential linear unit with 20 channels"
    assert layer.alpha.shape == (20,)
    assert layer.alpha.dtype == np.float32
    assert ((layer.alpha >= 0) & (layer.alpha < 1)).all()
    X = np.random.default_rng(4).normal(size=(2, 20, 3)).astype(np.float32)
    alpha = layer.alpha.reshape(1, 20, 1)
    expected = np.where(X > 0, X, alpha * np.expm1(np.minimum(X, 0)))
    np.testing.assert_allclose(layer.predict(X), expected, rtol=1e-6)
    Z, memory = layer.forward(X)
    assert memory is None
    assert np.array_equal(Z, layer.predict(X))


def test_elu_takes_both_dtypes_and_any_strides():
    layer = el.ELULayer(3, alpha=[0.1, 0.2, 0.3])
    X = np.random.default_rng(5).normal(size=(2, 4, 3)).transpose(0, 2, 1)
    for dtype in (np.float32, np.float64):
        Z = layer.predict(X.astype(dtype))
        dLdX, dLdalpha = layer.backward(X.astype(dtype), Z, X.astype(dtype), None)
        assert Z.dtype == dLdX.dtype == dtype
        assert dLdalpha.dtype == np.float32


def test_elu_rng():
    assert np.array_equal(el.ELULayer(5, rng=3).alpha, el.ELULayer(5, rng=3).alpha)
    assert not np.array_equal(el.ELULayer(5).alpha, el.ELULayer(5).alpha)
    generator = np.random.default_rng(0)
    first = el.ELULayer(5, rng=generator).alpha
    assert not np.array_equal(first, el.ELULayer(5, rng=generator).alpha)


def test_elu_initialize_redraws_only_values_that_nobody_chose():
    def after(layer):
        layer.initialize((3,), np.random.default_rng(7))
        return layer.alpha

    drawn = np.random.default_rng(7).random(3, dtype=np.float32)
    assert np.array_equal(after(el.ELULayer(3)), drawn)
    assert not np.array_equal(after(el.ELULayer(3, rng=1)), drawn)
    assert np.array_equal(after(el.ELULayer(3, alpha=0.5)), np.full(3, 0.5, np.float32))
    changed = el.ELULayer(3)
    changed.alpha[1] = -2
    kept = changed.alpha.copy()
    assert np.array_equal(after(changed), kept)
    frozen = el.ELULayer(3, learnable=False)
    once = after(frozen).copy()
    frozen.initialize((3,), np.random.default_rng(8))
    assert np.array_equal(frozen.alpha, once)


def test_elu_learnable_is_the_learn_rate_factor():
    layer = el.ELULayer(3)
    assert layer.learnable
    layer.learnable = False
    assert layer.learn_rate_factors == {"alpha": 0.0}
    layer.learn_rate_factors["alpha"] = 0.1
    assert layer.learnable
    layer.learnable = True
    assert layer.learn_rate_factors == {"alpha": 0.1}
    assert not el.ELULayer(3, learnable=False).learnable


def test_elu_errors():
    with pytest.raises(ValueError, match=r"ELULayer 'e' must have 3 channels .*\(2, 4, 3\)"):
        el.ELULayer(3, "e").predict(np.zeros((2, 4, 3), np.float32))
    with pytest.raises(ValueError, match="3 channels"):
        el.ELULayer(3).predict(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="num_channels must be at least 1, not 0"):
        el.ELULayer(0)
    with pytest.raises(TypeError, match=r"num_channels must be an integer, not 2\.5"):
        el.ELULayer(2.5)
    with pytest.raises(
        ValueError, match=r"alpha must be a scalar or have shape \(3,\), not \(2,\)"
    ):
        el.ELULayer(3, alpha=[1, 2])


# Image input


def test_image_input():
    rng = np.random.default_rng(10)
    X = rng.random((6, 2, 3, 4)).astype(np.float32)
    layer = el.ImageInputLayer((2, 3, 4))
    assert np.array_equal(layer.predict(X), X)
    layer.before_training(iter([X[:4], X[4:]]))
    np.testing.assert_allclose(layer.mean, X.mean(axis=0, dtype=np.float64), rtol=1e-6)
    assert np.array_equal(layer.predict(X), X - layer.mean)
    check_gradients(layer, X.astype(np.float64))
    plain = el.ImageInputLayer((2, 3, 4), normalization="none")
    plain.before_training(iter([X]))
    assert np.array_equal(plain.predict(X), X)


def test_image_input_errors():
    with pytest.raises(ValueError, match=r"\(channels, height, width\), not \(28, 28\)"):
        el.ImageInputLayer((28, 28))
    with pytest.raises(ValueError, match="input_shape must be at least 1, not 0"):
        el.ImageInputLayer((0, 28, 28))
    with pytest.raises(
        ValueError, match="normalization must be 'zerocenter' or 'none', not 'zscore'"
    ):
        el.ImageInputLayer((1, 28, 28), normalization="zscore")


# Convolution


def direct_convolution(X, weights, bias, stride, padding):
    X = np.pad(X, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    height, width = weights.shape[2:]
    rows = (X.shape[2] - height) // stride + 1
    columns = (X.shape[3] - width) // stride + 1
    Z = np.empty((len(X), len(weights), rows, columns))
    for i, j in np.ndindex(rows, columns):
        patch = X[:, :, i * stride : i * stride + height, j * stride : j * stride + width]
        Z[:, :, i, j] = np.tensordot(patch, weights, ((1, 2, 3), (1, 2, 3))) + bias
    return Z


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(3, 1, 0), ((2, 3), 1, 1), (3, 2, 0), ((1, 3), 3, 2), (2, 2, 1)]
)
def test_convolution(size, stride, padding):
    X = np.random.default_rng(20).normal(size=(2, 3, 6, 5))
    layer = initialized(el.Convolution2DLayer(size, 4, stride=stride, padding=padding), X)
    layer.bias = np.array([0.5, -1, 2, 0])
    Z = layer.predict(X)
    expected = direct_convolution(X, layer.weights, layer.bias, stride, padding)
    np.testing.assert_allclose(Z, expected, rtol=1e-12, atol=1e-12)
    assert Z.flags.c_contiguous
    check_gradients(layer, X)


@pytest.mark.parametrize("images_at_once", [1, 3, 7])
def test_convolution_takes_a_few_images_at_a_time(images_at_once, monkeypatch):
    X = np.random.default_rng(22).normal(size=(7, 2, 6, 5))
    layer = initialized(el.Convolution2DLayer(3, 4, padding=1), X)
    image_bytes = (2 * 3 * 3 + 1) * 6 * 5 * X.itemsize
    monkeypatch.setattr(convolution, "_PATCHES_BYTES", images_at_once * image_bytes)
    expected = direct_convolution(X, layer.weights, layer.bias, 1, 1)
    np.testing.assert_allclose(layer.predict(X), expected, rtol=1e-12, atol=1e-12)
    check_gradients(layer, X)


def test_convolution_initial_values():
    X = np.zeros((1, 3, 8, 8), np.float32)
    layer = initialized(el.Convolution2DLayer(5, 40), X)
    assert layer.weights.shape == (40, 3, 5, 5)
    assert layer.weights.dtype == layer.bias.dtype == np.float32
    assert abs(layer.weights.mean()) < 0.001
    assert abs(layer.weights.std() - 0.01) < 0.0005
    assert not layer.bias.any()
    assert layer.l2_factors == {"bias": 0.0}
    kept = layer.weights
    initialized(layer, X, seed=1)
    assert layer.weights is kept


def test_convolution_leaves_out_the_input_gradient_where_it_is_not_needed():
    X = np.random.default_rng(21).normal(size=(2, 1, 5, 5))
    layer = initialized(el.Convolution2DLayer(3, 2), X)
    Z, memory = layer.forward(X)
    full = layer.backward(X, Z, Z, memory)
    layer.needs_input_gradient = False
    part = layer.backward(X, Z, Z, memory)
    assert part[0] is None
    assert all(np.array_equal(a, b) for a, b in zip(full[1:], part[1:], strict=True))


def test_convolution_errors():
    X = np.zeros((1, 2, 4, 4), np.float32)
    layer = el.Convolution2DLayer(3, 2)
    with pytest.raises(RuntimeError, match="no weights yet"):
        layer.predict(X)
    with pytest.raises(
        ValueError, match=r"input of .* must have shape \(N, C, H, W\), not \(N, 5\)"
    ):
        layer.initialize((5,), np.random.default_rng(0))
    initialized(layer, X)
    with pytest.raises(ValueError, match=r"\(N, 2, H, W\), not \(1, 3, 4, 4\)"):
        layer.predict(np.zeros((1, 3, 4, 4), np.float32))
    with pytest.raises(ValueError, match=r"room for filters of size .*, not shape \(1, 2, 2, 4\)"):
        layer.predict(np.zeros((1, 2, 2, 4), np.float32))
    with pytest.raises(ValueError, match="stride must be at least 1, not 0"):
        el.Convolution2DLayer(3, 2, stride=0)
    with pytest.raises(ValueError, match="padding must be at least 0, not -1"):
        el.Convolution2DLayer(3, 2, padding=-1)
    with pytest.raises(TypeError, match="filter_size must be an integer"):
        el.Convolution2DLayer("3", 2)


# Batch normalization


@pytest.mark.parametrize("shape", [(5, 3, 2, 4), (7, 3), (4, 2, 6)])
def test_batch_normalization(shape):
    X = np.random.default_rng(30).normal(2, 3, size=shape)
    layer = initialized(el.BatchNormalizationLayer(), X)
    layer.scale = np.linspace(0.5, 2, shape[1])
    layer.offset = np.linspace(-1, 1, shape[1])
    axes = (0, *range(2, len(shape)))
    per_channel = (1, -1) + (1,) * (len(shape) - 2)
    U = (X - X.mean(axes, keepdims=True)) / np.sqrt(X.var(axes, keepdims=True) + 1e-5)
    expected = layer.scale.reshape(per_channel) * U + layer.offset.reshape(per_channel)
    np.testing.assert_allclose(layer.forward(X)[0], expected, rtol=1e-10, atol=1e-12)
    check_gradients(layer, X)


def test_batch_normalization_keeps_accuracy_far_from_zero():
    X = np.random.default_rng(31).normal(1000, 1, size=(64, 2, 12, 12)).astype(np.float32)
    layer = initialized(el.BatchNormalizationLayer(), X)
    Z = layer.forward(X)[0]
    exact = X.astype(np.float64)
    expected = (exact - exact.mean((0, 2, 3), keepdims=True)) / exact.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(Z, expected, rtol=0, atol=1e-3)
    layer.after_training(iter([X[:30], X[30:]]))
    np.testing.assert_allclose(layer.variance, exact.var((0, 2, 3)), rtol=1e-5)


def test_batch_normalization_population_statistics():
    X = np.random.default_rng(32).normal(1, 2, size=(50, 3, 4, 4)).astype(np.float32)
    layer = initialized(el.BatchNormalizationLayer(), X)
    np.testing.assert_allclose(layer.predict(X), X / np.sqrt(1 + 1e-5), rtol=1e-6)
    layer.after_training(X[i : i + 16] for i in range(0, 50, 16))
    exact = X.astype(np.float64)
    np.testing.assert_allclose(layer.mean, exact.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(layer.variance, exact.var((0, 2, 3)), rtol=1e-6)
    Z = layer.predict(X)
    np.testing.assert_allclose(Z.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(Z.std((0, 2, 3)), 1, rtol=1e-4)


def test_batch_normalization_of_equal_values():
    X = np.full((4, 2, 3, 3), 7, np.float32)
    layer = initialized(el.BatchNormalizationLayer(), X)
    assert not layer.forward(X)[0].any()


def test_batch_normalization_errors():
    X = np.zeros((2, 3, 4), np.float32)
    layer = el.BatchNormalizationLayer()
    with pytest.raises(RuntimeError, match="no values yet"):
        layer.predict(X)
    initialized(layer, X)
    with pytest.raises(ValueError, match=r"must have 3 channels .*, not shape \(2, 4\)"):
        layer.predict(np.zeros((2, 4), np.float32))
    with pytest.raises(ValueError, match="epsilon must be at least"):
        el.BatchNormalizationLayer(0)


# Fully connected


def test_fully_connected():
    X = np.random.default_rng(40).normal(size=(3, 2, 2, 2))
    layer = initialized(el.FullyConnectedLayer(5), X)
    assert np.abs(layer.weights).max() <= np.sqrt(6 / 13)
    assert not layer.bias.any()
    layer.bias = np.arange(5.0)
    expected = X.reshape(3, 8) @ layer.weights.T.astype(float) + layer.bias
    np.testing.assert_allclose(layer.predict(X), expected, rtol=1e-12)
    check_gradients(layer, X)
    layer.needs_input_gradient = False
    assert layer.backward(X, expected, expected, None)[0] is None


@pytest.mark.parametrize("inputs", [1, 2047, 2048, 2049, 5000])
def test_fully_connected_products_in_parts(inputs):
    X, dLdZ = np.random.default_rng(41).normal(size=(2, 6, inputs))
    dLdZ = dLdZ[:, :1] * [1, -2, 3]
    layer = initialized(el.FullyConnectedLayer(3), X)
    Z, memory = layer.forward(X)
    np.testing.assert_allclose(Z, X @ layer.weights.T.astype(float) + layer.bias, rtol=1e-10)
    dX, dweights, dbias = layer.backward(X, Z, dLdZ, memory)
    np.testing.assert_allclose(dX, dLdZ @ layer.weights.astype(float), rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(dweights, (dLdZ.T @ X).astype(np.float32), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dbias, dLdZ.sum(axis=0), rtol=1e-6)


def test_fully_connected_errors():
    layer = el.FullyConnectedLayer(5)
    with pytest.raises(RuntimeError, match="no weights yet"):
        layer.predict(np.zeros((2, 3), np.float32))
    initialized(layer, np.zeros((2, 3), np.float32))
    with pytest.raises(ValueError, match=r"must have 3 values .*, not shape \(2, 4\)"):
        layer.predict(np.zeros((2, 4), np.float32))
    with pytest.raises(TypeError, match="num_outputs must be an integer"):
        el.FullyConnectedLayer(None)


# Softmax and classification


def one_hot(codes, classes, dtype=np.float64):
    return np.eye(classes, dtype=dtype)[codes]


def test_softmax():
    X = np.random.default_rng(50).normal(size=(4, 5))
    layer = el.SoftmaxLayer()
    np.testing.assert_allclose(
        layer.predict(X), np.exp(X) / np.exp(X).sum(axis=1, keepdims=True), rtol=1e-12
    )
    check_gradients(layer, X)
    with pytest.raises(ValueError, match=r"scores of shape \(N, K\), not \(2, 3, 4\)"):
        layer.predict(np.zeros((2, 3, 4)))


def test_no_loss_is_plus_zero():
    one = np.ones((3, 1), np.float32)
    loss = el.ClassificationLayer().loss(one, one)
    assert loss == 0 and not np.signbit(loss)


def test_classification_gradient():
    rng = np.random.default_rng(51)
    Y = rng.random((4, 5)) + 0.1
    Y /= Y.sum(axis=1, keepdims=True)
    T = one_hot(rng.integers(0, 5, 4), 5)
    layer = el.ClassificationLayer()
    assert layer.loss(Y, T) == pytest.approx(-np.log(Y[T == 1]).mean())
    expected = central_differences(lambda: layer.loss(Y, T), Y)
    np.testing.assert_allclose(layer.backward_loss(Y, T), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1.0, 50.0, 1e4])
def test_softmax_and_classification_give_p_minus_t(dtype, size):
    rng = np.random.default_rng(52)
    X = (size * rng.normal(size=(64, 10))).astype(dtype)
    T = one_hot(rng.integers(0, 10, 64), 10, dtype)
    softmax, classification = el.SoftmaxLayer(), el.ClassificationLayer()
    P = softmax.predict(X)
    assert np.isfinite(classification.loss(P, T))
    gradient = softmax.backward(X, P, classification.backward_loss(P, T), None)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(gradient, (P - T) / 64, rtol=8 * eps, atol=8 * eps / 64)
    assert gradient.dtype == dtype


def test_classification_errors():
    layer = el.ClassificationLayer()
    with pytest.raises(ValueError, match=r"one shape \(N, K\), not \(2, 3\) and \(2, 4\)"):
        layer.loss(np.full((2, 3), 0.3), np.zeros((2, 4)))
    with pytest.raises(ValueError, match="SoftmaxLayer"):
        layer.loss(np.array([[-1.0, 3.0]]), np.array([[0.0, 1.0]]))


# The base class


def test_factors_are_not_shared():
    class Custom(el.Layer):
        learnables = ("a",)
        l2_factors = {"a": 0.5}  # noqa: RUF012

    one, other = Custom(), Custom()
    one.learn_rate_factors["a"] = 0
    one.l2_factors["a"] = 0
    assert other.learn_rate_factors == {}
    assert other.l2_factors == Custom.l2_factors == {"a": 0.5}


def test_base_layer_says_what_to_define():
    class Empty(el.Layer):
        pass

    with pytest.raises(NotImplementedError, match="Empty must define predict"):
        Empty().predict(np.zeros(1))
    with pytest.raises(TypeError, match=r"Empty\(\) takes no arguments"):
        Empty(3)
    with pytest.raises(NotImplementedError, match="Empty must define backward"):
        Empty().backward(None, None, None, None)


DUPLICATES = [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))]


@pytest.mark.parametrize("duplicate", DUPLICATES)
def test_layers_can_be_copied_and_pickled(duplicate):
    X = np.random.default_rng(60).normal(size=(2, 3, 6, 6)).astype(np.float32)
    for layer in (el.ELULayer(3, learnable=False), el.Convolution2DLayer(3, 2)):
        initialized(layer, X)
        twin = duplicate(layer)
        assert np.array_equal(twin.predict(X), layer.predict(X))
        assert twin.learn_rate_factors == layer.learn_rate_factors
        assert twin.learn_rate_factors is not layer.learn_rate_factors


class Slotted(el.Layer):
    __slots__ = ("size",)
    learnables = ("a",)
    l2_factors = {"a": 0.5}  # noqa: RUF012

    def __init__(self):
        self.size = [1]
        self.a = np.ones(3)


class WithoutLock(Slotted):
    """Leaves out what cannot be copied."""

    def __init__(self):
        super().__init__()
        self.lock = threading.Lock()

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "lock"}


@pytest.mark.parametrize("duplicate", DUPLICATES)
@pytest.mark.parametrize(
    "layer",
    [
        el.ImageInputLayer((1, 2, 3)),
        el.Convolution2DLayer(2, 3),
        el.MaxPooling2DLayer(2),
        el.AveragePooling2DLayer(2),
        el.BatchNormalizationLayer(),
        el.ELULayer(3),
        el.ReLULayer(),
        el.LeakyReLULayer(),
        el.PReLULayer(3),
        el.FullyConnectedLayer(3),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
        Slotted(),
        WithoutLock(),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_copies_have_factors_of_their_own(duplicate, layer):
    twin = duplicate(layer)
    for name in ("learn_rate_factors", "l2_factors"):
        before = dict(getattr(layer, name))
        assert getattr(twin, name) == before
        getattr(twin, name)["new"] = 0.0
        assert getattr(layer, name) == before


def test_a_shallow_copy_shares_all_but_factors():
    layer = Slotted()
    twin = copy.copy(layer)
    assert twin.size is layer.size and twin.a is layer.a
    elu = el.ELULayer(3)
    copy.copy(elu).learnable = False
    assert elu.learnable


def test_elu_arguments_that_are_no_numbers():
    for alpha in (np.nan, [1, np.inf, 0], [None] * 3, "x", 1j):
        with pytest.raises(ValueError, match="alpha must be finite numbers"):
            el.ELULayer(3, alpha=alpha)
    with pytest.raises(ValueError, match="alpha must be within the range of float32"):
        el.ELULayer(3, alpha=1e300)
    with pytest.raises(TypeError, match="learnable must be True or False, not 'no'"):
        el.ELULayer(3, learnable="no")


@pytest.mark.parametrize("shape", [28, "abc", (28, 28)])
def test_image_input_shape(shape):
    with pytest.raises(ValueError, match=r"input_shape must be \(channels, height, width\), not"):
        el.ImageInputLayer(shape)
