"""A network that holds a layer of every class, with values that none is indifferent to."""

import numpy as np

import elulayer as el
from elulayer import layers

SHAPE = (2, 13, 11)


def every_layer():
    return [
        el.ImageInputLayer(SHAPE),
        el.Convolution2DLayer((3, 2), 4, stride=2, padding=1, name="conv"),
        el.PReLULayer(4, slope=0.3),
        el.MaxPooling2DLayer(2, padding=1, ceil_mode=True),
        el.LeakyReLULayer(0.2),
        el.AveragePooling2DLayer((2, 3), stride=2, ceil_mode=True),
        el.ELULayer(4, alpha=0.5, learnable=False),
        el.FullyConnectedLayer(6),
        el.BatchNormalizationLayer(1e-3),
        el.ELULayer(6, alpha=-0.5, shared=True),
        el.FullyConnectedLayer(5),
        el.ReLULayer(),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]


assert {type(layer).__name__ for layer in every_layer()} == set(layers.__all__) - {"Layer"}


def network_of(row, classes=None):
    """Make a network, and draw its values."""
    network = el.Network(row, classes)
    network.initialize(0)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        for name in (*layer.learnables, *layer.state):
            shape = np.shape(getattr(layer, name))
            new = rng.uniform(0.5, 1.5, shape) if name == "variance" else rng.normal(0, 0.5, shape)
            setattr(layer, name, new.astype(np.float32))
    return network


def images(n, shape=SHAPE):
    return np.random.default_rng(1).normal(size=(n, *shape)).astype(np.float32)


class Own(el.ReLULayer):
    """A layer that no framework knows, though it is derived from one that they do."""

    def predict(self, X):
        return super().predict(X) + 1
