"""What a reader of a prompt sees: completion, signatures, and objects in words."""

import inspect

import numpy as np

import elulayer as el
from shared.small_network import LeakyReLU, blobs, options, small_layers


def test_completion_offers_what_is_public():
    assert sorted(el.__all__) == dir(el)


def test_the_options_have_a_signature():
    parameters = inspect.signature(el.TrainingOptions).parameters
    assert list(parameters)[:2] == ["solver", "momentum"]
    assert parameters["max_epochs"].default == 30
    assert parameters["max_epochs"].kind is inspect.Parameter.KEYWORD_ONLY


def test_layers_in_words():
    shown = repr([el.ELULayer(20), el.ReLULayer(name="first"), LeakyReLU(0.1)])
    assert shown == (
        "[<ELULayer: Exponential linear unit with 20 channels>, <ReLULayer 'first': ReLU>, "
        "<LeakyReLU>]"
    )
    network = el.Network(small_layers(LeakyReLU(0.1)))
    assert "\n  layers[3] (LeakyReLU)\n" in repr(network)


def test_a_record_in_a_few_lines():
    X, Y = blobs()
    _, record = el.train_network(
        X, Y, small_layers(), options(validation_data=(X, Y), validation_frequency=5)
    )
    first, last, trial, best, curves = repr(record).splitlines()
    assert first.startswith("TrainingRecord of 20 iterations in 4 epochs and ")
    assert first.endswith(" s, stopped by max_epochs")
    assert (
        last == f"  last mini-batch: loss {record.loss[-1]:.4f}, {record.accuracy[-1]:.2f} % right"
    )
    assert trial.startswith(f"  last trial: loss {record.validation_loss[-1]:.4f}, ")
    smallest = np.nanargmin(record.validation_loss)
    assert best == (
        f"  best trial: loss {record.validation_loss[smallest]:.4f}, at iteration {smallest + 1}"
    )
    assert curves == "  curves: elulayer.plots.plot_training(record)"
    _, short = el.train_network(X, Y, small_layers(), options(output_fcn=lambda progress: True))
    assert repr(short) == "TrainingRecord of no iteration, stopped by output_fcn"
