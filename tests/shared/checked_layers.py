"""Sound layers of a test's own, and what the checks say of broken ones."""

import numpy as np

import elulayer as el
from elulayer.checking import check_layer


def per_channel(values, X):
    return np.asarray(values).reshape(-1, *(1,) * (X.ndim - 2))


class ELU(el.Layer):
    """A sound layer; those below have one mistake each."""

    learnables = ("alpha",)

    def __init__(self, num_channels=4):
        self.num_channels = num_channels
        self.alpha = np.linspace(0.25, 1.25, num_channels, dtype=np.float32)

    def predict(self, X):
        return np.where(X > 0, X, per_channel(self.alpha, X) * np.expm1(np.minimum(X, 0)))

    def dLdX(self, X, Z, dLdZ):
        return np.where(X > 0, dLdZ, (per_channel(self.alpha, X) + Z) * dLdZ)

    def terms(self, X, dLdZ):
        return np.expm1(np.minimum(X, 0)) * dLdZ

    def backward(self, X, Z, dLdZ, memory):
        dLdalpha = self.terms(X, dLdZ).sum(axis=(0, *range(2, X.ndim)))
        return self.dLdX(X, Z, dLdZ), dLdalpha


class Linear(el.Layer):
    """A sound layer with two learnables, and a square matrix among them."""

    learnables = ("weights", "bias")
    weights = bias = None

    def initialize(self, input_shape, rng):
        if self.weights is None:
            self.weights = rng.normal(size=(input_shape[0],) * 2)
            self.bias = rng.normal(size=input_shape[0])

    def predict(self, X):
        return X @ self.weights + self.bias

    def backward(self, X, Z, dLdZ, memory):
        return dLdZ @ self.weights.T, X.T @ dLdZ, dLdZ.sum(axis=0)


def failures(layer, shape=(4, 3, 3), **options):
    report = check_layer(layer, shape, **options)
    return {result.name: result for result in report.results if result.outcome == "failed"}


def only_failure(layer, name, shape=(4, 3, 3), **options):
    """Return the result of the only check that fails, which must be the one of this name."""
    failed = failures(layer, shape, **options)
    assert list(failed) == [name], check_layer(layer, shape, **options)
    return failed[name]
