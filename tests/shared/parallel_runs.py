"""Runs on several ranks, which are threads here, and what they are compared with."""

import numpy as np

import elulayer as el
from shared import thread_mpi
from shared.small_network import options, same, small_layers


def all_values(network):
    return [
        np.copy(getattr(layer, name))
        for layer in network.layers
        for name in (*layer.learnables, *layer.state)
    ]


def parallel(**changes):
    return options(**({"execution_environment": "parallel"} | changes))


def train(X, Y, layers=small_layers, **changes):
    network, record = el.train_network(X, Y, layers(), options(**changes))
    return all_values(network), record


def on_ranks(monkeypatch, size, X, Y, layers=small_layers, **changes):
    """Train on so many ranks: all must have come to the same. Return that, and the record."""
    results = thread_mpi.run(
        monkeypatch,
        size,
        lambda rank: el.train_network(X, Y, layers(), parallel(**changes)),
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result
    first = all_values(results[0][0])
    for network, record in results[1:]:
        assert same(first, all_values(network))
        assert np.array_equal(record.loss, results[0][1].loss)
    return first, results[0][1]


def errors(monkeypatch, size, function):
    return [
        f"{type(result).__name__}: {result}"
        for result in thread_mpi.run(monkeypatch, size, function)
    ]


class Noise(el.Layer):
    """Adds random numbers of its own as it trains, and counts its calls."""

    state = ("calls", "mean")

    def __init__(self):
        self.rng = np.random.default_rng(5)
        self.calls = np.zeros((), np.int64)
        self.mean = np.zeros(3, np.float64)

    def predict(self, X):
        return X

    def forward(self, X):
        self.calls = self.calls + 1
        self.mean = 0.9 * self.mean + 0.1 * X.mean(axis=0)
        return X + self.rng.normal(0, 0.1, X.shape).astype(np.float32), None

    def backward(self, X, Z, dLdZ, memory):
        return dLdZ


def noisy_layers():
    layers = small_layers()
    return [*layers[:5], Noise(), *layers[5:]]


class Batches:
    """An iterable of batches of uneven sizes, the last of one image."""

    def __init__(self, X, Y, ends=(16, 40, 41, 80, 81)):
        self.X, self.Y, self.ends = X, Y, ends

    def __iter__(self):
        start = 0
        for end in self.ends:
            yield self.X[start:end], self.Y[start:end]
            start = end
