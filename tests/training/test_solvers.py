"""Solvers and gradient thresholds against plain references."""

import math

import numpy as np
import pytest

import elulayer as el
from elulayer.training.solver import SOLVERS, limit_gradients
from shared.small_network import blobs, options, same, small_layers, values

RATE = 0.02


def adam(gradients, rate, d=0.9, s=0.999, epsilon=1e-8):
    """Algorithm 1 of Kingma and Ba, line by line, in float64."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = d * m + (1 - d) * g
        v = s * v + (1 - s) * g**2
        yield -rate * (m / (1 - d**t)) / (np.sqrt(v / (1 - s**t)) + epsilon)


def rmsprop(gradients, rate, s=0.9, epsilon=1e-8):
    v = 0.0
    for g in gradients:
        v = s * v + (1 - s) * g**2
        yield -rate * g / (np.sqrt(v) + epsilon)


def sgdm(gradients, rate, momentum=0.9):
    step = 0.0
    for g in gradients:
        step = momentum * step - rate * g
        yield step


@pytest.mark.parametrize("reference", [adam, rmsprop, sgdm])
def test_steps(reference):
    gradients = np.random.default_rng(0).normal(size=(50, 3, 4)).astype(np.float32)
    gradients[:, 0, 0] *= 1e-6
    run = el.TrainingOptions(reference.__name__)
    solver = SOLVERS[reference.__name__](run)
    expected = list(reference(gradients.astype(np.float64), RATE))
    for t, gradient in enumerate(gradients, start=1):
        before = gradient.copy()
        step = solver.step("1.weights", gradient, RATE, t)
        assert step.dtype == np.float32
        np.testing.assert_allclose(step, expected[t - 1], rtol=2e-5, atol=1e-8)
        assert np.array_equal(gradient, before)


@pytest.mark.parametrize(
    ("reference", "changes", "names"),
    [
        (adam, {"gradient_decay_factor": 0.5, "squared_gradient_decay_factor": 0.7}, "ds"),
        (rmsprop, {"squared_gradient_decay_factor": 0.7}, "s"),
        (adam, {"epsilon": 0.1}, ["epsilon"]),
        (rmsprop, {"epsilon": 0.1}, ["epsilon"]),
        (sgdm, {"momentum": 0.3}, ["momentum"]),
    ],
)
def test_factors_are_used(reference, changes, names):
    gradients = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)
    solver = SOLVERS[reference.__name__](el.TrainingOptions(reference.__name__, **changes))
    factors = dict(zip(names, changes.values(), strict=True))
    for t, step in enumerate(reference(gradients.astype(np.float64), RATE, **factors)):
        np.testing.assert_allclose(solver.step("a", gradients[t], RATE, t + 1), step, rtol=2e-5)


def test_learnables_have_moments_of_their_own():
    one, two = np.float32([1, 2]), np.float32([[3], [4], [5]])
    solver, alone = (SOLVERS["adam"](el.TrainingOptions("adam")) for _ in "ab")
    for t in (1, 2, 3):
        solver.step("1.a", one, RATE, t)
        step = solver.step("1.b", two, RATE, t)
        assert np.array_equal(step, alone.step("1.b", two, RATE, t))
    assert set(solver.arrays) == {
        f"1.{name}.{what}" for name in "ab" for what in ("gradient", "squared_gradient")
    }


@pytest.mark.parametrize("solver", ["adam", "rmsprop", "sgdm"])
def test_training_learns_with_each_solver(solver):
    X, Y = blobs()
    run = el.TrainingOptions(solver, max_epochs=20, mini_batch_size=16, seed=0, verbose=False)
    network, record = el.train_network(X, Y, small_layers(), run)
    assert record.loss[-1] < 0.3 * record.loss[0]
    assert (network.classify(X) == Y).mean() > 0.95


@pytest.mark.parametrize("solver", ["adam", "rmsprop"])
def test_frozen_learnables_stay(solver):
    X, Y = blobs()
    layers = small_layers(alpha=0.7, learnable=False)
    run = el.TrainingOptions(solver, max_epochs=1, mini_batch_size=16, seed=0, verbose=False)
    network, _ = el.train_network(X, Y, layers, run)
    assert network.layers[3].alpha.tolist() == [np.float32(0.7)] * 4


def gradients():
    rng = np.random.default_rng(2)
    return {"1.a": rng.normal(size=(4, 5)).astype(np.float32), "2.b": np.float32([0.3, -0.4])}


def test_no_threshold_changes_nothing():
    given = gradients()
    assert limit_gradients(given, options()) is given


def test_l2norm_scales_each_gradient_that_is_too_long():
    given = gradients()
    limited = limit_gradients(given, options(gradient_threshold=1))
    norm = math.sqrt((given["1.a"].astype(float) ** 2).sum())
    assert norm > 1
    np.testing.assert_allclose(limited["1.a"], given["1.a"] / norm, rtol=1e-6)
    assert np.array_equal(limited["2.b"], given["2.b"])  # its norm is 0.5


def test_global_l2norm_scales_all_together():
    given = gradients()
    run = options(gradient_threshold=1, gradient_threshold_method="global-l2norm")
    limited = limit_gradients(given, run)
    norm = math.sqrt(sum((g.astype(float) ** 2).sum() for g in given.values()))
    for key, g in given.items():
        np.testing.assert_allclose(limited[key], g / norm, rtol=1e-6)


def test_absolute_value_cuts_elements():
    given = gradients()
    run = options(gradient_threshold=0.35, gradient_threshold_method="absolute-value")
    limited = limit_gradients(given, run)
    for key, g in given.items():
        assert np.array_equal(limited[key], np.clip(g, -0.35, 0.35))


def test_the_threshold_counts_in_training_and_after_the_l2_term():
    """With one step of plain descent, the change of a learnable is rate times the cut gradient."""
    X, Y = blobs(16)
    run = options(
        max_epochs=1, momentum=0, l2_regularization=10, gradient_threshold=1e-3,
        gradient_threshold_method="absolute-value", initial_learn_rate=1,
    )  # fmt: skip
    layers = small_layers()
    network, _ = el.train_network(X, Y, layers, run)
    start = el.Network(small_layers())
    start.initialize(np.random.default_rng(np.random.SeedSequence(0).spawn(2)[1]))
    for before, after in zip(values(start.layers), values(network.layers), strict=True):
        assert np.abs(after - before).max() <= 1.001e-3
    assert not same(values(start.layers), values(network.layers))
