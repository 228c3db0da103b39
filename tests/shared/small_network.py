"""A small network, images that it learns, and options for short runs."""

import numpy as np

import elulayer as el

SHAPE = (1, 8, 8)


def blobs(n=90, seed=0):
    """Images of three classes: a bright square in one of three corners, in noise."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    X = 0.3 * rng.random((n, *SHAPE), dtype=np.float32)
    for i, code in enumerate(codes):
        top, left = ((0, 0), (0, 4), (4, 0))[code]
        X[i, 0, top : top + 4, left : left + 4] += 0.7
    return X, codes


def small_layers(activation=None, **elu):
    return [
        el.ImageInputLayer(SHAPE),
        el.Convolution2DLayer(3, 4),
        el.BatchNormalizationLayer(),
        activation or el.ELULayer(4, **elu),
        el.FullyConnectedLayer(3),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]


def options(**changes):
    defaults = {"max_epochs": 4, "mini_batch_size": 16, "seed": 0, "verbose": False}
    return el.TrainingOptions("sgdm", **(defaults | changes))


def values(layers):
    return [np.copy(getattr(layer, name)) for layer in layers for name in layer.learnables]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


class LeakyReLU(el.Layer):
    learnables = ("alpha",)

    def __init__(self, alpha):
        self.alpha = alpha

    def predict(self, X):
        return np.where(X > 0, X, self.alpha * X)

    def backward(self, X, Z, dLdZ, memory):
        return np.where(X > 0, dLdZ, self.alpha * dLdZ), np.sum(np.where(X > 0, 0, X) * dLdZ)
