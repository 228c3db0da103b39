"""The blog's network and Caffe's "quick": their layers, their shapes, that they learn."""

import numpy as np
import pytest

import elulayer as el
from elulayer.network.models import blog_layers, quick_layers


def kinds(layers):
    return [type(layer).__name__.removesuffix("Layer") for layer in layers]


def shapes(layers):
    """The shape of each layer's output."""
    network = el.Network(layers)
    network.initialize(0)
    X = np.zeros((1, *layers[0].input_shape), np.float32)
    found = []
    for layer in layers:
        X = layer.predict(X)
        found.append(X.shape[1:])
    return found


def test_the_blogs_layers():
    layers = blog_layers((1, 28, 28), 10)
    assert kinds(layers) == [
        *("ImageInput", "Convolution2D", "BatchNormalization", "ELU"),
        *("FullyConnected", "Softmax", "Classification"),
    ]
    assert shapes(layers)[3:5] == [(20, 24, 24), (10,)]
    assert layers[1].weights_initializer == "narrow-normal"
    without = blog_layers((1, 28, 28), 10, el.PReLULayer, batch_normalization=False)
    assert kinds(without) == [
        *("ImageInput", "Convolution2D", "PReLU", "FullyConnected", "Softmax", "Classification")
    ]
    assert without[2].num_channels == 20


def test_quick_is_caffes():
    given = []

    def activation(num_channels):
        given.append(num_channels)
        return el.ReLULayer()

    layers = quick_layers((3, 32, 32), 10, activation)
    assert given == [32, 32, 64]
    assert kinds(layers) == [
        *("ImageInput", "Convolution2D", "MaxPooling2D", "ReLU"),
        *("Convolution2D", "ReLU", "AveragePooling2D"),
        *("Convolution2D", "ReLU", "AveragePooling2D"),
        *("FullyConnected", "FullyConnected", "Softmax", "Classification"),
    ]
    assert shapes(layers) == [
        (3, 32, 32),
        *((32, 32, 32), (32, 16, 16), (32, 16, 16)),
        *((32, 16, 16), (32, 16, 16), (32, 8, 8)),
        *((64, 8, 8), (64, 8, 8), (64, 4, 4)),
        *((64,), (10,), (10,), (10,)),
    ]
    assert isinstance(quick_layers((3, 32, 32), 10)[3], el.ELULayer)


def test_quick_learns_from_its_first_weights():
    rng = np.random.default_rng(0)
    Y = np.arange(96) % 3
    X = (0.5 * rng.random((96, 1, 12, 12))).astype(np.float32)
    for i, code in enumerate(Y):
        X[i, 0, 4 * code : 4 * code + 4] += 0.5
    options = el.TrainingOptions("sgdm", max_epochs=5, mini_batch_size=16, seed=0, verbose=False)
    _, record = el.train_network(X, Y, quick_layers((1, 12, 12), 3), options)
    assert record.loss[-6:].mean() < 0.5 * record.loss[0]


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (lambda **how: el.Convolution2DLayer(5, 200, **how), 3 * 5 * 5),
        (lambda **how: el.FullyConnectedLayer(400, **how), 3 * 12 * 12),
    ],
)
def test_first_weights(layer, inputs):
    def drawn(**how):
        made = layer(**how)
        made.initialize((3, 12, 12), np.random.default_rng(0))
        assert made.weights.dtype == np.float32
        return made.weights

    assert drawn().std() == pytest.approx(0.01, rel=0.03)
    assert np.array_equal(drawn(), drawn(weights_initializer="narrow-normal"))
    assert drawn(weights_initializer="he").std() == pytest.approx((2 / inputs) ** 0.5, rel=0.03)
    assert layer(weights_initializer="he").arguments()["weights_initializer"] == "he"
    with pytest.raises(ValueError, match="weights_initializer must be 'narrow-normal' or 'he', no"):
        layer(weights_initializer="glorot")


def test_quick_in_a_file(tmp_path):
    pytest.importorskip("safetensors")
    network = el.Network(quick_layers((3, 16, 16), 4, el.PReLULayer), classes=[1, 2, 3, 4])
    network.initialize(0)
    network.layers[3].slope[:] = np.linspace(0, 1, 32)
    el.save_network(network, tmp_path / "quick.safetensors")
    loaded = el.load_network(tmp_path / "quick.safetensors")
    X = np.random.default_rng(1).random((2, 3, 16, 16), dtype=np.float32)
    assert np.array_equal(loaded.predict(X), network.predict(X))
    assert loaded.layers[2].arguments() == network.layers[2].arguments()
    assert np.array_equal(loaded.layers[3].slope, network.layers[3].slope)
    assert loaded.layers[3].l2_factors == {"slope": 0.0}
