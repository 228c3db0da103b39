"""analyze_network: shapes, learnables and bytes that are computed by hand here."""

import copy

import numpy as np
import pytest

import elulayer as el
from elulayer.network.analysis import LayerAnalysis, NetworkAnalysis, analyze_network


def blog_layers(**elu):
    return [
        el.ImageInputLayer((1, 28, 28)),
        el.Convolution2DLayer(5, 20),
        el.BatchNormalizationLayer(),
        el.ELULayer(20, "elu1", **elu),
        el.FullyConnectedLayer(10),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]


def test_the_blogs_network():
    analysis = analyze_network(blog_layers())
    assert isinstance(analysis, NetworkAnalysis)
    assert [layer.activations for layer in analysis.layers] == [
        (1, 28, 28),
        (20, 24, 24),
        (20, 24, 24),
        (20, 24, 24),
        (10,),
        (10,),
        (10,),
    ]
    assert [layer.num_learnables for layer in analysis.layers] == [0, 520, 40, 20, 115210, 0, 0]
    assert analysis.num_learnables == 115790
    assert analysis.learnable_bytes == 4 * 115790
    assert analysis.layers[1].learnables == {"weights": (20, 1, 5, 5), "bias": (20,)}
    assert analysis.layers[2].state == {"mean": (20,), "variance": (20,)}
    elu = analysis.layers[3]
    assert (elu.index, elu.kind, elu.name) == (3, "ELULayer", "elu1")
    assert elu.description == "Exponential linear unit with 20 channels"
    image, maps = 4 * 28 * 28, 4 * 20 * 24 * 24
    # The classification layer returns its input.
    assert [layer.activation_bytes for layer in analysis.layers] == [
        image,
        maps,
        maps,
        maps,
        40,
        40,
        0,
    ]
    assert analysis.input_bytes == image


def test_memory_is_that_of_forward():
    kept = [analyze_network(blog_layers(backward_from=b)) for b in ("input", "memory")]
    maps = 4 * 20 * 24 * 24
    assert kept[0].layers[3].memory_bytes == 0
    assert kept[1].layers[3].memory_bytes == maps
    assert kept[1].bytes_per_observation - kept[0].bytes_per_observation == maps
    assert all(layer.memory_bytes == 0 for layer in kept[0].layers if layer.index != 2)
    total = sum(layer.activation_bytes + layer.memory_bytes for layer in kept[0].layers)
    assert kept[0].bytes_per_observation == 4 * 28 * 28 + total


class Keeps(el.Layer):
    """Returns as memory what it was made with."""

    def __init__(self, memory):
        self.memory = memory

    def predict(self, X):
        return 2 * X

    def forward(self, X):
        Z = self.predict(X)
        return Z, self.memory(X, Z)

    def backward(self, X, Z, dLdZ, memory):
        return 2 * dLdZ


class Record:
    def __init__(self, **values):
        vars(self).update(values)


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (lambda X, Z: None, 0),
        (lambda X, Z: X, 0),
        (lambda X, Z: (X[:, 1:], Z.reshape(-1), 3, "text"), 0),
        (lambda X, Z: np.zeros(1000), 0),  # the same for any batch
        (lambda X, Z: X > 0, 6),
        (lambda X, Z: [np.exp(X), {"also": X.astype(float)}], 24 + 48),
        (lambda X, Z: np.exp(X)[:, :1], 24),  # a view keeps all of its array
        (lambda X, Z: (array := np.exp(X), array, array.T), 24),
        (lambda X, Z: Record(mask=X > 0, shape=X.shape), 6),
    ],
)
def test_memory_bytes(memory, expected):
    (layer,) = analyze_network([Keeps(memory)], (6,)).layers
    assert layer.memory_bytes == expected
    assert layer.activation_bytes == 24


def test_a_view_of_the_input_costs_nothing():
    class Flatten(el.Layer):
        def predict(self, X):
            return X.reshape(len(X), -1)

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ.reshape(X.shape)

    (layer,) = analyze_network([Flatten()], (2, 3)).layers
    assert layer.activations == (6,)
    assert layer.activation_bytes == 0


def test_networks_and_their_layers_stay_as_they_are():
    layers = blog_layers()
    alpha = layers[3].alpha.copy()
    first = analyze_network(layers)
    assert layers[1].weights is None
    assert layers[2].scale is None
    assert np.array_equal(layers[3].alpha, alpha)
    network = el.Network(layers)
    network.initialize(0)
    before = copy.deepcopy([vars(layer) for layer in network.layers])
    assert analyze_network(network) == first
    for old, layer in zip(before, network.layers, strict=True):
        assert all(np.array_equal(old[name], value) for name, value in vars(layer).items())


def test_input_shape():
    layers = blog_layers()
    assert analyze_network(layers, (1, 28, 28)).input_shape == (1, 28, 28)
    assert analyze_network(layers[1:], [1, 28, 28]).num_learnables == 115790
    with pytest.raises(
        ValueError,
        match=r"input_shape must be \(1, 28, 28\), as of layers\[0\] \(ImageInputLayer\), "
        r"not \(3, 28, 28\)",
    ):
        analyze_network(layers, (3, 28, 28))
    with pytest.raises(ValueError, match=r"input_shape must be given.*\(Convolution2DLayer\)"):
        analyze_network(layers[1:])
    for shape in (28, "ab", ()):
        with pytest.raises(TypeError, match="input_shape must be the input's shape without"):
            analyze_network(layers, shape)
    with pytest.raises(ValueError, match="input_shape must be at least 1, not 0"):
        analyze_network(layers[1:], (1, 0, 28))


def test_errors_name_the_layer():
    layers = blog_layers()
    layers[3] = el.ELULayer(10, "narrow")
    with pytest.raises(
        ValueError,
        match=r"layers\[3\] \(ELULayer 'narrow'\): forward raised ValueError for input of shape "
        r"\(N, 20, 24, 24\): .* must have 10 channels",
    ):
        analyze_network(layers)
    with pytest.raises(ValueError, match=r"layers\[1\] \(Convolution2DLayer\): initialize raised"):
        analyze_network([Keeps(lambda X, Z: None), el.Convolution2DLayer(3, 2)], (5,))

    class Wrong(Keeps):
        def forward(self, X):
            return self.predict(X)

    with pytest.raises(TypeError, match=r"layers\[0\] \(Wrong\): forward must return \(Z, memory"):
        analyze_network([Wrong(None)], (5,))

    class Grows(Keeps):
        def predict(self, X):
            return np.ones((len(X), 2 + len(X)))

    with pytest.raises(ValueError, match=r"layers\[0\] \(Grows\): forward must return Z of shape"):
        analyze_network([Grows(lambda X, Z: None)], (5,))


def test_arguments():
    layer = el.ELULayer(3)
    for wrong in (3, None, layer):
        with pytest.raises(TypeError, match="layers must be a Network or a list of layers, not"):
            analyze_network(wrong)
    with pytest.raises(ValueError, match="at least one layer"):
        analyze_network([])
    with pytest.raises(TypeError, match=r"layers\[1\] must be a Layer, not the class ELULayer"):
        analyze_network([layer, el.ELULayer], (3,))
    with pytest.raises(
        ValueError, match=r"\[1\] \(ELULayer\) must stand in the network once, not twice"
    ):
        analyze_network([layer, layer], (3,))


def test_table():
    analysis = analyze_network(blog_layers(backward_from="memory"))
    lines = str(analysis).splitlines()
    assert lines[0].split() == [
        "layer", "activations", "learnables", "count", "output", "memory",
    ]  # fmt: skip
    rows = [line.split("  ") for line in lines[2:9]]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells[1] == [
        "1", "Convolution2DLayer", "20x24x24", "weights 20x1x5x5, bias 20", "520", "45.0 KiB",
    ]  # fmt: skip
    assert cells[3] == [
        "3", "ELULayer 'elu1'", "20x24x24", "alpha 20", "20", "45.0 KiB", "45.0 KiB",
    ]  # fmt: skip
    assert cells[2][3] == "scale 20, offset 20, (mean) 20, (variance) 20"
    assert cells[6] == ["6", "ClassificationLayer", "10"]
    assert "Learnables: 115,790 values, 452.3 KiB." in lines
    kept = analysis.bytes_per_observation / 1024
    assert f"{kept:.1f} KiB per observation" in lines[-1]
    assert f"{kept / 8:.1f} MiB for a mini-batch of 128" in lines[-1]
    assert not any(line != line.rstrip() for line in lines)
    assert repr(analysis) == str(analysis)


def test_sizes_in_the_table():
    def of(count):
        layer = LayerAnalysis(0, "L", "", "", (2,), {"a": ()}, {}, 1, count, 0)
        return str(NetworkAnalysis((2,), (layer,), 8)).splitlines()[2]

    assert of(0).endswith("1")
    assert "a scalar" in of(0)
    assert of(999).endswith("999 B")
    assert of(1024).endswith("1.0 KiB")
    assert of(3 * 2**19).endswith("1.5 MiB")
    assert of(5 * 2**30).endswith("5.0 GiB")
