"""Mini-batches in parts: what they give is that of the whole, added in one order."""

import dataclasses
import re

import numpy as np
import pytest

import elulayer as el
from elulayer.training.parts import Parts
from shared.parallel_runs import (
    errors,
    on_ranks,
    parallel,
    train,
)
from shared.small_network import LeakyReLU, blobs, options, same, small_layers


def test_parts_are_the_unsplit_batch_but_for_rounding():
    """Without batch normalization, and with it synchronized."""
    X, Y = blobs()
    without = lambda: [layer for i, layer in enumerate(small_layers()) if i != 2]  # noqa: E731
    for layers, changes in (
        (without, {}),
        (small_layers, {"batch_normalization": "synchronized"}),
    ):
        whole, record = train(X, Y, layers, max_epochs=2)
        for count in (2, 3, 16):
            parts, other = train(X, Y, layers, max_epochs=2, micro_batches=count, **changes)
            assert np.allclose(record.loss, other.loss, rtol=1e-5)
            for a, b in zip(whole, parts, strict=True):
                assert np.allclose(a, b, rtol=1e-3, atol=1e-5)


def test_separate_statistics_differ_from_the_whole_batch():
    X, Y = blobs()
    whole, _ = train(X, Y, max_epochs=1)
    parts, together = (
        train(X, Y, max_epochs=1, micro_batches=4, batch_normalization=which)[0]
        for which in ("separate", "synchronized")
    )
    scale = 3
    distances = [np.abs(whole[scale] - other[scale]).max() for other in (parts, together)]
    assert distances[0] > 100 * distances[1]


class MovingMean(el.Layer):
    """A moving average of what passes, and the largest of all labels' counts."""

    state = ("mean", "most")

    def __init__(self):
        self.mean = np.zeros(3, np.float32)
        self.most = np.zeros((), np.int64)

    def predict(self, X):
        return X

    def forward(self, X):
        self.mean = np.float32(0.9) * self.mean + np.float32(0.1) * X.mean(axis=0)
        self.most = np.maximum(self.most, len(X))
        return X, None

    def backward(self, X, Z, dLdZ, memory):
        return dLdZ


def with_layer(layer):
    layers = small_layers()
    return [*layers[:2], *layers[3:5], layer, *layers[5:]]  # without batch normalization


def test_states_move_by_the_mean_over_the_parts():
    """A moving average is that of the unsplit batch; of integers it is the largest."""
    X, Y = blobs()
    expected = None
    for count in (1, 2, 3, 5):
        network, _ = el.train_network(X, Y, with_layer(MovingMean()), options(micro_batches=count))
        layer = network.layers[4]
        expected = layer.mean if expected is None else expected
        assert np.allclose(layer.mean, expected, rtol=1e-4, atol=1e-6)
        assert layer.most == -(-16 // count)


def moves_in(direction):
    class Moves(el.Layer):
        state = ("total",)

        def __init__(self):
            self.total = np.zeros((), np.float64)
            self.rng = np.random.default_rng(1)

        def predict(self, X):
            return X

        def forward(self, X):
            if direction == "forward":
                self.total = self.total + self.rng.random()
            return X, None

        def backward(self, X, Z, dLdZ, memory):
            if direction == "backward":
                self.total = self.total + self.rng.random()
            return dLdZ

    return Moves()


@pytest.mark.parametrize("batch_normalization", ["separate", "synchronized"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_what_layers_draw_and_keep_is_the_parts_own(monkeypatch, direction, batch_normalization):
    X, Y = blobs()

    def layers():
        made = small_layers()
        return [*made[:5], moves_in(direction), *made[5:]]

    changes = {"micro_batches": 4, "batch_normalization": batch_normalization}
    alone, _ = train(X, Y, layers, **changes)
    for size in (2, 3):
        assert same(alone, on_ranks(monkeypatch, size, X, Y, layers, **changes)[0])


def test_a_generator_of_two_layers_gives_each_its_numbers():
    """As it would without parts: what one layer draws another does not."""
    X, Y = blobs()
    shared = np.random.default_rng(3)
    drawn = []

    class Draws(el.Layer):
        def __init__(self):
            self.rng = shared

        def predict(self, X):
            return X

        def forward(self, X):
            drawn.append(self.rng.random())
            return X, None

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    layers = small_layers()
    el.train_network(
        X, Y, [*layers[:5], Draws(), Draws(), *layers[5:]], options(micro_batches=4, max_epochs=2)
    )
    assert len(set(drawn)) == len(drawn) == 2 * 4 * 10


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (np.zeros(()), np.zeros(3), "'m' must stay of shape () and dtype float64 where"),
        (np.zeros(3, "f"), np.zeros(3), "'m' must stay of shape (3,) and dtype float32 where"),
        (0, 0.5, "'m' must stay of shape () and dtype int64 where"),
        (np.full(2, np.inf), np.zeros(2), "'m' must begin finite where mini-batches have parts"),
        ([1, 2], [1, 2], "'m' must be an array of numbers where mini-batches have parts, not list"),
        ("a", "b", "'m' must be an array of numbers where mini-batches have parts, not str"),
    ],
)
def test_states_that_cannot_be_merged_are_refused(first, then, message):
    class Changes(el.Layer):
        state = ("m",)

        def __init__(self):
            self.m = first

        def predict(self, X):
            return X

        def forward(self, X):
            self.m = then
            return X, None

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    X, Y = blobs()
    with pytest.raises((TypeError, ValueError), match=re.escape(f"(Changes): its state {message}")):
        el.train_network(X, Y, with_layer(Changes()), options(micro_batches=2))
    el.train_network(X, Y, with_layer(Changes()), options(max_epochs=1))  # one part: as it likes


def test_a_batch_normalization_of_ones_own_goes_its_own_way():
    class Own(el.BatchNormalizationLayer):
        calls = 0

        def forward(self, X):
            Own.calls += 1
            return super().forward(X)

    X, Y = blobs()
    layers = small_layers()
    layers[2] = Own()
    changes = {"micro_batches": 2, "batch_normalization": "synchronized", "max_epochs": 1}
    el.train_network(X, Y, layers, options(**changes))
    assert Own.calls == 2 * 5


def test_parts_go_through_the_layers_one_after_the_other():
    """But where they are normalized together: then all are in memory."""
    seen = []

    class Notes(LeakyReLU):
        def forward(self, X):
            seen.append("forward")
            return super().forward(X)

        def backward(self, *arguments):
            seen.append("backward")
            return super().backward(*arguments)

    X, Y = blobs(16)
    for which, expected in (
        ("separate", ["forward", "backward"] * 2),
        ("synchronized", ["forward"] * 2 + ["backward"] * 2),
    ):
        seen.clear()
        changes = {"micro_batches": 2, "batch_normalization": which, "max_epochs": 1}
        el.train_network(X, Y, small_layers(Notes(0.1)), options(**changes))
        assert seen == expected


def test_no_layer_is_given_the_gradient_of_a_loss_that_is_nan(monkeypatch):
    class Particular(el.Layer):
        def predict(self, X):
            return X * np.float32(np.nan)

        def backward(self, X, Z, dLdZ, memory):
            raise AssertionError("the run is over")

    X, Y = blobs()
    for changes in ({}, {"micro_batches": 2}):
        with pytest.raises(FloatingPointError, match="the loss is nan"):
            el.train_network(X, Y, with_layer(Particular()), options(**changes))
    found = errors(
        monkeypatch, 2, lambda rank: el.train_network(X, Y, with_layer(Particular()), parallel())
    )
    assert found[0] == found[1] and "FloatingPointError" in found[0]


def test_another_number_of_parts_is_another_run(tmp_path):
    X, Y = blobs()
    where = {"checkpoint_path": tmp_path, "max_epochs": 1}
    el.train_network(X, Y, small_layers(), options(**where))
    with pytest.raises(ValueError, match=r"micro_batches must be as in the run of .*, 1, not 2"):
        el.train_network(X, Y, small_layers(), options(micro_batches=2, **where), resume=tmp_path)


def test_micro_batches_are_checked(monkeypatch):
    X, Y = blobs()
    found = errors(
        monkeypatch,
        2,
        lambda rank: el.train_network(X, Y, small_layers(), parallel(micro_batches=1)),
    )
    assert found == ["ValueError: micro_batches must be 2 or more for 2 ranks to share, not 1"] * 2
    with pytest.raises(
        ValueError, match=r"micro_batches must be at most mini_batch_size, 4, not 5"
    ):
        el.TrainingOptions("sgdm", mini_batch_size=4, micro_batches=5)
    with pytest.raises(ValueError, match=r"execution_environment must be .*, not 'gpu'"):
        el.TrainingOptions("sgdm", execution_environment="gpu")
    assert el.TrainingOptions("sgdm").parts() == 1
    given = el.TrainingOptions("sgdm", execution_environment="parallel")
    assert given.parts() == 8
    assert dataclasses.replace(given, mini_batch_size=2).parts() == 2


@pytest.mark.parametrize("count", range(1, 18))
def test_the_tree_is_the_same_for_any_number_of_ranks(count):
    """What the ranks send are nodes of one tree, which together are all its parts, once each."""
    for images in {1, 2, count // 2 or 1, count, 3 * count + 1}:
        leaves = {
            (part, part + 1): [np.float32(0.1) * np.float32(part + 1)]
            for part, _ in Parts(count).slices(images)
        }
        want = Parts(count).total(leaves)
        for size in range(1, 2 * count + 2):
            sent = {}
            for rank in range(size):
                parts = Parts(count, rank, size)
                own = {(part, part + 1) for part, _ in parts.slices(images)}
                assert {node for node in leaves if node[0] in parts.own} == own
                for node in parts.sent(rank, images):
                    sent[node] = parts.total({key: leaves[key] for key in own}, node)
            assert Parts(count).total(sent) == want
            covered = [part for first, end in sent for part in range(first, end)]
            assert len(covered) == len(set(covered))


def test_ranks_send_whole_subtrees():
    """With as many parts as ranks can share evenly, each sends one sum."""
    for size in (1, 2, 4, 8):
        assert all(len(Parts(8, r, size).sent(r, 128)) == 1 for r in range(size))
