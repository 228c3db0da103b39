"""Training options: defaults, checks, the schedule."""

import dataclasses
import math

import numpy as np
import pytest

import elulayer as el
from shared.small_network import blobs, options, same, small_layers, values


def test_options_defaults_are_the_blogs():
    run = el.TrainingOptions("sgdm")
    assert dataclasses.asdict(run) == {
        "solver": "sgdm", "momentum": 0.9, "gradient_decay_factor": None,
        "squared_gradient_decay_factor": None, "epsilon": None, "initial_learn_rate": 0.01,
        "learn_rate_schedule": "none", "learn_rate_drop_factor": 0.1, "learn_rate_drop_period": 10,
        "l2_regularization": 1e-4, "gradient_threshold": math.inf,
        "gradient_threshold_method": "l2norm", "max_epochs": 30, "mini_batch_size": 128,
        "shuffle": "once", "validation_data": None, "validation_frequency": 50,
        "validation_patience": math.inf, "output_network": "last-iteration",
        "batch_normalization_statistics": "population", "checkpoint_path": None,
        "checkpoint_frequency": 1, "checkpoint_frequency_unit": "epoch",
        "execution_environment": "cpu", "micro_batches": None, "batch_normalization": "separate",
        "verbose": True,
        "verbose_frequency": 50, "plots": "none", "output_fcn": (), "seed": None,
    }  # fmt: skip
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.momentum = 0.5
    assert dataclasses.replace(run, seed=3).seed == 3


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        (
            {"solver": "sgd"},
            ValueError,
            "solver must be 'sgdm', 'adam' or 'rmsprop', not 'sgd'",
        ),
        (
            {"solver": "adam", "momentum": 0.9},
            ValueError,
            "momentum must be None where solver is 'adam', not 0.9: it is an option of sgdm; "
            "adam has initial_learn_rate, gradient_d",
        ),
        (
            {"epsilon": 1e-8},
            ValueError,
            "epsilon must be None .*'sgdm', not .* of adam and rmsprop",
        ),
        ({"solver": "adam", "epsilon": 0}, ValueError, "epsilon must be greater than 0"),
        ({"solver": "rmsprop", "squared_gradient_decay_factor": 1}, ValueError, "less than 1"),
        ({"learn_rate_schedule": "step"}, ValueError, "'none' or 'piecewise', not 'step'"),
        ({"learn_rate_drop_factor": 1.5}, ValueError, "must be from 0 to 1, not 1.5"),
        ({"learn_rate_drop_period": 0}, ValueError, "learn_rate_drop_period must be at least 1"),
        ({"gradient_threshold": 0}, ValueError, "gradient_threshold must be greater than 0"),
        ({"gradient_threshold": float("nan")}, ValueError, "must be greater than 0, not nan"),
        ({"gradient_threshold": "1"}, TypeError, "gradient_threshold must be a number, not '1'"),
        (
            {"validation_patience": 3},
            ValueError,
            "validation_data must .* validation_patience is 3",
        ),
        ({"checkpoint_path": ""}, ValueError, "must be an existing folder, not ''"),
        ({"gradient_threshold_method": "norm"}, ValueError, "'absolute-value', not 'norm'"),
        ({"validation_frequency": 0}, ValueError, "validation_frequency must be at least 1"),
        ({"validation_patience": 0}, ValueError, "validation_patience must be at least 1"),
        ({"validation_patience": 2.5}, TypeError, "validation_patience must be an integer"),
        (
            {"output_network": "best-validation-loss"},
            ValueError,
            "validation_data must be given where output_network is 'best-validation-loss'",
        ),
        ({"batch_normalization_statistics": "batch"}, ValueError, "'population' or 'moving'"),
        ({"checkpoint_path": "no/such"}, ValueError, "must be an existing folder, not 'no/such'"),
        ({"checkpoint_path": 3}, TypeError, "checkpoint_path must be a folder's path, not 3"),
        ({"checkpoint_frequency": 0}, ValueError, "checkpoint_frequency must be at least 1"),
        ({"checkpoint_frequency_unit": "day"}, ValueError, "'epoch' or 'iteration', not 'day'"),
        ({"plots": "loss"}, ValueError, "'none' or 'training-progress', not 'loss'"),
        (
            {"output_fcn": "print"},
            TypeError,
            "output_fcn must be a function or several, not 'print'",
        ),
        ({"momentum": 1}, ValueError, "momentum must be at least 0 and less than 1, not 1"),
        ({"momentum": "0.9"}, TypeError, "momentum must be a number, not '0.9'"),
        (
            {"initial_learn_rate": 0},
            ValueError,
            "initial_learn_rate must be greater than 0 and fin",
        ),
        ({"initial_learn_rate": float("nan")}, ValueError, "finite, not nan"),
        ({"initial_learn_rate": float("inf")}, ValueError, "finite, not inf"),
        ({"l2_regularization": -1}, ValueError, "l2_regularization must be at least 0"),
        ({"max_epochs": 0}, ValueError, "max_epochs must be at least 1, not 0"),
        ({"max_epochs": 2.5}, TypeError, r"max_epochs must be an integer, not 2\.5"),
        ({"mini_batch_size": True}, TypeError, "mini_batch_size must be an integer, not True"),
        ({"shuffle": "often"}, ValueError, "'once', 'never' or 'every-epoch', not 'often'"),
        ({"seed": -1}, ValueError, "seed must be at least 0, not -1"),
        ({"verbose": "no"}, TypeError, "verbose must be True or False, not 'no'"),
        ({"verbose_frequency": 0}, ValueError, "verbose_frequency must be at least 1"),
        (
            {"momentun": 0.9},
            TypeError,
            r"no option 'momentun' \(did you mean 'momentum'\?\); its o",
        ),
        (
            {"xyz": 1},
            TypeError,
            "no option 'xyz'; its options are solver, momentum, gradient_decay",
        ),
    ],
)
def test_options_are_checked(changes, error, message):
    with pytest.raises(error, match=message):
        el.TrainingOptions(**({"solver": "sgdm"} | changes))


def test_options_take_numpy_numbers():
    run = options(max_epochs=np.int64(2), momentum=np.float32(0.5), seed=np.uint8(1))
    assert type(run.max_epochs) is type(run.seed) is int
    assert type(run.momentum) is float


def test_each_solver_has_matlabs_defaults():
    adam, rmsprop = el.TrainingOptions("adam"), el.TrainingOptions("rmsprop")
    assert (adam.initial_learn_rate, adam.gradient_decay_factor) == (0.001, 0.9)
    assert (adam.squared_gradient_decay_factor, adam.epsilon) == (0.999, 1e-8)
    assert (rmsprop.initial_learn_rate, rmsprop.squared_gradient_decay_factor) == (0.001, 0.9)
    assert (rmsprop.epsilon, rmsprop.gradient_decay_factor, rmsprop.momentum) == (1e-8, None, None)


def test_piecewise_schedule():
    run = options(
        learn_rate_schedule="piecewise", learn_rate_drop_factor=0.5, learn_rate_drop_period=2,
        initial_learn_rate=0.08, max_epochs=5,
    )  # fmt: skip
    assert [run.learn_rate(epoch) for epoch in range(1, 6)] == [0.08, 0.08, 0.04, 0.04, 0.02]
    _, record = el.train_network(*blobs(), small_layers(), run)
    assert record.learn_rate.tolist() == [run.learn_rate(epoch) for epoch in record.epoch]
    assert options().learn_rate(100) == 0.01


def test_a_drop_to_zero_stops_learning():
    X, Y = blobs()
    drop = {
        "learn_rate_schedule": "piecewise",
        "learn_rate_drop_factor": 0,
        "learn_rate_drop_period": 1,
        "momentum": 0,
    }
    one, _ = el.train_network(X, Y, small_layers(), options(max_epochs=1, **drop))
    more, _ = el.train_network(X, Y, small_layers(), options(max_epochs=3, **drop))
    assert same(values(one.layers), values(more.layers))


def test_options_without_names():
    with pytest.raises(TypeError, match=r"options have names, .*, not \('MaxEpochs', 4\)"):
        el.TrainingOptions("sgdm", "MaxEpochs", 4)
