"""The ELU layer with one alpha for all channels, and in place."""

import numpy as np
import pytest

import elulayer as el
from shared.inputs import TENSOR_REFUSED, Tensor

SHAPE = (2, 8, 8)


def data(n=64):
    rng = np.random.default_rng(0)
    Y = np.arange(n) % 3
    X = rng.random((n, *SHAPE), dtype=np.float32)
    X += (0.5 * Y)[:, None, None, None].astype(np.float32)
    return X, Y


def layers(*activation, normalization="zerocenter", batch_normalization=True):
    return [
        el.ImageInputLayer(SHAPE, normalization=normalization),
        el.Convolution2DLayer(3, 4),
        *([el.BatchNormalizationLayer()] if batch_normalization else []),
        *activation,
        el.FullyConnectedLayer(3),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]


def options(**changes):
    return el.TrainingOptions(
        "sgdm", **({"max_epochs": 3, "mini_batch_size": 16, "seed": 0, "verbose": False} | changes)
    )


def values(network):
    return [getattr(layer, name) for layer in network.layers for name in layer.learnables]


# One alpha for all channels


def test_shared_alpha():
    layer = el.ELULayer(3, alpha=0.5, shared=True)
    assert layer.alpha.shape == ()
    X = np.random.default_rng(1).normal(size=(4, 3, 5))
    Z = layer.predict(X)
    np.testing.assert_allclose(Z, np.where(X > 0, X, 0.5 * np.expm1(X)), rtol=1e-12)
    dLdZ = np.random.default_rng(2).normal(size=X.shape)
    dLdX, dLdalpha = layer.backward(X, Z, dLdZ, None)
    separate = el.ELULayer(3, alpha=0.5).backward(X, Z, dLdZ, None)
    assert np.array_equal(dLdX, separate[0])
    assert dLdalpha.shape == () and dLdalpha.dtype == np.float32
    np.testing.assert_allclose(dLdalpha, separate[1].sum(dtype=float), rtol=1e-5)


@pytest.mark.parametrize("backward_from", ["input", "memory", "output"])
def test_shared_alpha_learns_as_the_numerical_gradient_says(backward_from):
    layer = el.ELULayer(3, alpha=0.8, shared=True, backward_from=backward_from)
    layer.alpha = layer.alpha.astype(np.float64)
    X = np.random.default_rng(3).normal(size=(4, 3, 5))
    dLdZ = np.random.default_rng(4).normal(size=X.shape)
    Z, memory = layer.forward(X)
    _, dLdalpha = layer.backward(X, Z, dLdZ, memory)
    sides = []
    for alpha in (0.8 + 1e-6, 0.8 - 1e-6):
        layer.alpha = np.array(alpha)
        sides.append(float(np.sum(dLdZ * layer.predict(X))))
    assert dLdalpha == pytest.approx((sides[0] - sides[1]) / 2e-6, rel=1e-6)


def test_shared_alpha_trains_and_is_drawn_from_the_runs_seed():
    X, Y = data()
    network, _ = el.train_network(X, Y, layers(el.ELULayer(4, shared=True)), options())
    again, _ = el.train_network(X, Y, layers(el.ELULayer(4, shared=True)), options())
    assert np.shape(network.layers[3].alpha) == ()
    assert network.layers[3].alpha == again.layers[3].alpha
    fixed = el.ELULayer(4, shared=True, alpha=0.7, learnable=False)
    network, _ = el.train_network(X, Y, layers(fixed), options())
    assert network.layers[3].alpha == np.float32(0.7)


def test_shared_alpha_and_in_place_in_a_file(tmp_path):
    pytest.importorskip("safetensors")
    X, Y = data()
    activation = el.ELULayer(4, shared=True, alpha=0.7, backward_from="output", in_place=True)
    network, _ = el.train_network(X, Y, layers(activation), options())
    el.save_network(network, tmp_path / "network.safetensors")
    loaded = el.load_network(tmp_path / "network.safetensors")
    layer = loaded.layers[3]
    assert layer.shared and layer.in_place and layer.backward_from == "output"
    assert np.shape(layer.alpha) == () and layer.alpha == network.layers[3].alpha != 0.7
    assert np.array_equal(loaded.predict(X), network.predict(X))


def test_shared_alpha_errors():
    with pytest.raises(ValueError, match=r"alpha must be a scalar, not \(3,\)"):
        el.ELULayer(3, alpha=[1, 2, 3], shared=True)
    with pytest.raises(TypeError, match="shared must be True or False, not 1"):
        el.ELULayer(3, shared=1)
    with pytest.raises(ValueError, match=r"ELULayer must have 3 channels .*\(2, 4\)"):
        el.ELULayer(3, shared=True).predict(np.zeros((2, 4)))


# In place


def in_place(num_channels=4, **arguments):
    return el.ELULayer(num_channels, backward_from="output", in_place=True, **arguments)


def test_forward_writes_over_its_input_and_predict_does_not():
    X = np.random.default_rng(5).normal(size=(2, 4, 3)).astype(np.float32)
    kept = X.copy()
    layer = in_place(alpha=1)
    expected = layer.predict(X)
    assert np.array_equal(X, kept)
    Z, memory = layer.forward(X)
    assert Z is X and memory is None
    assert np.array_equal(Z, expected)
    dLdX, dLdalpha = layer.backward(X, Z, kept, None)
    other = el.ELULayer(4, alpha=1, backward_from="output").backward(kept, expected, kept, None)
    assert np.array_equal(dLdX, other[0]) and np.array_equal(dLdalpha, other[1])


@pytest.mark.parametrize("batch_normalization", [True, False])
@pytest.mark.parametrize("normalization", ["zerocenter", "none"])
def test_training_in_place_gives_the_same_bits(batch_normalization, normalization):
    X, Y = data()
    kept = X.copy()
    setting = {"batch_normalization": batch_normalization, "normalization": normalization}
    networks = [
        el.train_network(X, Y, layers(activation, **setting), options())[0]
        for activation in (in_place(alpha=1), el.ELULayer(4, alpha=1, backward_from="output"))
    ]
    for a, b in zip(*map(values, networks), strict=True):
        assert a.tobytes() == b.tobytes()
    assert networks[0].predict(X).tobytes() == networks[1].predict(X).tobytes()
    assert np.array_equal(X, kept)


def test_in_place_over_pooling_gives_the_same_bits():
    X, Y = data()
    networks = [
        el.train_network(X, Y, layers(pooling(2, stride=2), act, batch_normalization=False), o)[0]
        for pooling in (el.MaxPooling2DLayer, el.AveragePooling2DLayer)
        for act in (in_place(alpha=1), el.ELULayer(4, alpha=1, backward_from="output"))
        for o in [options()]
    ]
    for one, other in (networks[:2], networks[2:]):
        assert all(
            a.tobytes() == b.tobytes() for a, b in zip(values(one), values(other), strict=True)
        )


def test_in_place_on_the_images_themselves_after_zero_centring():
    X, Y = data()
    kept = X.copy()
    rest = [el.FullyConnectedLayer(3), el.SoftmaxLayer(), el.ClassificationLayer()]
    row = [el.ImageInputLayer(SHAPE), in_place(2, alpha=1), *rest]
    el.train_network(X, Y, row, options(shuffle="never"))
    assert np.array_equal(X, kept)
    row[0] = el.ImageInputLayer(SHAPE, normalization="none")
    with pytest.raises(
        ValueError,
        match=r"layers\[1\] \(ELULayer\) cannot work in place: layers\[0\] \(ImageInputLayer\) "
        "passes its input on",
    ):
        el.train_network(X, Y, row, options(shuffle="never"))


class Doubling(el.Layer):
    """Says nothing of its output."""

    def predict(self, X):
        return 2 * X

    def backward(self, X, Z, dLdZ, memory):
        return 2 * dLdZ


@pytest.mark.parametrize(
    "below", [el.SoftmaxLayer(), Doubling(), in_place(), el.ELULayer(4)], ids=lambda x: type(x)
)
def test_in_place_over_a_layer_that_needs_its_output_is_refused(below):
    with pytest.raises(ValueError, match=r"layers\[4\] .* cannot work in place: layers\[3\] .*its"):
        el.Network(layers(below, in_place()))
    Doubling.backward_uses_output = False
    try:
        el.Network(layers(Doubling(), in_place()))
    finally:
        del Doubling.backward_uses_output


def test_what_the_layers_promise_of_their_output_holds():
    X = np.random.default_rng(6).normal(size=(3, 4, 6, 6)).astype(np.float32)
    promising = [
        el.ImageInputLayer((4, 6, 6)),
        el.Convolution2DLayer(3, 2, padding=1),
        el.BatchNormalizationLayer(),
        el.FullyConnectedLayer(5),
        el.MaxPooling2DLayer(1),
        el.AveragePooling2DLayer(1),
        el.ReLULayer(),
        el.LeakyReLULayer(),
        el.PReLULayer(4),
    ]
    for layer in promising:
        assert not layer.backward_uses_output
        layer.initialize(X.shape[1:], np.random.default_rng(0))
        Z, memory = layer.forward(X)
        assert not np.shares_memory(Z, X)
        dLdZ = np.random.default_rng(7).normal(size=Z.shape).astype(np.float32)
        results = []
        for _ in range(2):
            result = layer.backward(X, Z, dLdZ, memory)
            results.append(result if isinstance(result, tuple) else (result,))
            Z[...] = np.nan
        for a, b in zip(*results, strict=True):
            assert np.array_equal(a, b), type(layer)
    assert el.Layer.backward_uses_output
    assert el.SoftmaxLayer.backward_uses_output
    assert el.ELULayer.backward_uses_output


def test_in_place_errors():
    for backward_from in ("input", "memory"):
        with pytest.raises(
            ValueError, match=f"'output' where in_place is True, not {backward_from!r}"
        ):
            el.ELULayer(3, in_place=True, backward_from=backward_from)
    with pytest.raises(TypeError, match="in_place must be True or False, not 'yes'"):
        el.ELULayer(3, in_place="yes", backward_from="output")
    X = np.zeros((1, 4, 2), np.float32)
    X.flags.writeable = False
    with pytest.raises(ValueError, match="out must be an array that can be written to"):
        in_place().forward(X)


def test_an_alpha_that_numpy_cannot_read():
    with pytest.raises(TypeError, match=f"^alpha {TENSOR_REFUSED}"):
        el.ELULayer(3, alpha=Tensor())
    layer = el.ELULayer(3)
    layer.alpha = Tensor()
    with pytest.raises(TypeError, match=f"^alpha {TENSOR_REFUSED}"):
        layer.predict(np.ones((2, 3), np.float32))
    ends = el.SoftmaxLayer(), el.ClassificationLayer()
    network = el.Network([el.ImageInputLayer((3, 1, 1)), layer, *ends])
    with pytest.raises(TypeError, match="its learnable 'alpha' must be numbers, not <"):
        network.initialize()
