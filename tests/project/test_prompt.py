"""What a reader of a prompt sees: completion, signatures, and objects in words."""

import inspect

import numpy as np
import pytest

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
    assert repr([el.ReLULayer(name="first"), LeakyReLU(0.1)]) == (
        "[<ReLULayer 'first': ReLU>, <LeakyReLU>]"
    )


@pytest.mark.parametrize(
    ("arguments", "alpha"),
    [
        ({}, "is drawn when training begins"),
        ({"rng": 0}, "from 0.5111 to 0.8506"),
        ({"alpha": [-0.5, 1, 0.25]}, "from -0.5 to 1"),
        ({"alpha": 0.1}, "0.1"),
        ({"alpha": 0, "shared": True}, "0"),
        ({"alpha": [1, 2, 3], "then": [1, 2, np.nan]}, "is not finite numbers"),
        ({"alpha": 1, "then": "x"}, "is not finite numbers"),
        ({"alpha": 1, "then": None}, "is not finite numbers"),
    ],
)
def test_an_elu_layer_says_what_its_alpha_is(arguments, alpha):
    then = arguments.pop("then", arguments)
    layer = el.ELULayer(3, **arguments)
    if then is not arguments:
        layer.alpha = then
    assert repr(layer) == f"<ELULayer: Exponential linear unit with 3 channels, alpha {alpha}>"


def test_an_alpha_that_training_has_drawn_or_a_user_given_is_shown():
    layer = el.ELULayer(3)
    layer.alpha = np.float32([1, 2, 2])
    assert repr(layer).endswith("alpha from 1 to 2>")
    layer = el.ELULayer(3)
    layer.initialize((3, 4, 4), np.random.default_rng(0))
    assert repr(layer) == repr(el.ELULayer(3, alpha=layer.alpha))


def test_a_network_is_a_table():
    network = el.Network(small_layers(LeakyReLU(0.1)))
    assert repr(network).splitlines() == [
        "Network of 7 layers",
        "   layer                    description",
        "-  -----------------------  ----------------------------------------",
        "0  ImageInputLayer          1x8x8 images, normalization 'zerocenter'",
        "1  Convolution2DLayer       4 3x3 convolutions, stride 1, padding 0",
        "2  BatchNormalizationLayer  Batch normalization",
        "3  LeakyReLU",
        "4  FullyConnectedLayer      3 fully connected outputs",
        "5  SoftmaxLayer             Softmax",
        "6  ClassificationLayer      Cross-entropy over classes",
    ]
    network.initialize(0)
    assert repr(network).splitlines() == [
        "Network of 7 layers",
        "   layer                    activations  description",
        "-  -----------------------  -----------  ----------------------------------------",
        "0  ImageInputLayer          1x8x8        1x8x8 images, normalization 'zerocenter'",
        "1  Convolution2DLayer       4x6x6        4 3x3 convolutions, stride 1, padding 0",
        "2  BatchNormalizationLayer  4x6x6        Batch normalization with 4 channels",
        "3  LeakyReLU                4x6x6",
        "4  FullyConnectedLayer      3            3 fully connected outputs",
        "5  SoftmaxLayer             3            Softmax",
        "6  ClassificationLayer      3            Cross-entropy over classes",
    ]


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
