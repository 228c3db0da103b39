"""The comparison of variants: what they are, how they are measured, the table, the command."""

import argparse
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

import elulayer as el

activations = pytest.importorskip("activations", reason="the benchmarks are not beside the tests")
from activations import Comparison, ComparisonRun, compare, runner, worker  # noqa: E402
from activations.__main__ import add_arguments  # noqa: E402
from activations.__main__ import run as run_command  # noqa: E402
from activations.variants import make_layers  # noqa: E402

NAN = math.nan


def digits(n_train=200, n_test=100):
    return el.data.load_digits(0, n_train=n_train, n_test=n_test)


# Variants


def trained(name, model="blog", seed=3):
    data = digits()
    layers = make_layers(model, name, data.X_train.shape[1:], 10)
    options = el.TrainingOptions("sgdm", max_epochs=2, seed=seed, verbose=False)
    network, _ = el.train_network(data.X_train, data.Y_train, layers, options)
    return network, network.predict(data.X_test)


def learned(network):
    """The values of all learnables but the activation's own."""
    activations = (el.ELULayer, el.ReLULayer)
    return [
        getattr(layer, name).tobytes()
        for layer in network.layers
        if not isinstance(layer, activations)
        for name in layer.learnables
    ]


def test_relu_as_elu_with_alpha_0_gives_the_same_bits():
    (relu, P), (elu, Q) = trained("relu"), trained("elu-alpha-0")
    assert learned(relu) == learned(elu)
    assert P.tobytes() == Q.tobytes()
    assert not elu.layers[3].alpha.any()


def test_in_place_gives_the_bits_of_output():
    (one, P), (other, Q) = trained("in-place"), trained("output")
    assert learned(one) == learned(other)
    assert P.tobytes() == Q.tobytes()
    assert one.layers[3].in_place and not other.layers[3].in_place


def test_variants_are_what_they_say():
    def activation(name, model="blog"):
        layers = make_layers(model, name, (1, 28, 28), 10)
        return next(x for x in layers if isinstance(x, (el.ELULayer, el.PReLULayer)))

    assert activation("elu").learnable and activation("elu").backward_from == "input"
    assert activation("memory").learnable and activation("memory").backward_from == "memory"
    assert activation("shared-alpha").shared and activation("shared-alpha").learnable
    for name, how in (("fixed-alpha", "input"), ("output", "output"), ("in-place", "output")):
        layer = activation(name)
        assert (layer.alpha == 1).all() and not layer.learnable and layer.backward_from == how
    assert activation("prelu", "quick").num_channels == 32
    plain = make_layers("blog", "no-batch-norm", (1, 28, 28), 10)
    assert not any(isinstance(layer, el.BatchNormalizationLayer) for layer in plain)
    leaky = make_layers("quick", "leaky-relu", (3, 32, 32), 10)
    assert [x.scale for x in leaky if isinstance(x, el.LeakyReLULayer)] == [0.01] * 3


@pytest.mark.parametrize("model", ["blog", "quick"])
def test_every_variant_makes_a_network(model):
    for name in activations.variant_names(model):
        network = el.Network(make_layers(model, name, (1, 28, 28), 10))
        network.initialize(0)
        assert network.num_classes == 10


def test_wrong_variants():
    with pytest.raises(ValueError, match=r"'gelu' is no variant of the model 'blog'; .* are elu, "):
        compare(digits(), variants=["elu", "gelu"])
    with pytest.raises(ValueError, match="'no-batch-norm' is no variant of the model 'quick'"):
        compare(digits(), variants=["no-batch-norm"], model="quick")
    with pytest.raises(ValueError, match="variants must be different names, at least one"):
        compare(digits(), variants=["elu", "elu"])
    assert "no-batch-norm" not in activations.variant_names("quick")
    assert activations.variant_names("blog") == tuple(activations.VARIANTS)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="model must be 'blog' or 'quick', not 'lenet'"):
        compare(digits(), model="lenet")
    with pytest.raises(ValueError, match="seeds must be different integers, at least one"):
        compare(digits(), seeds=[])
    with pytest.raises(ValueError, match="max_epochs must be at least 1, not 0"):
        compare(digits(), epochs=0)


# Runs


def test_compare(capsys, monkeypatch):
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    data = digits()
    found = compare(data, variants=("elu", "relu"), seeds=(4, 7), epochs=1)
    assert [(run.variant, run.seed) for run in found.runs] == [
        *(("elu", 4), ("relu", 4), ("elu", 7), ("relu", 7))
    ]
    assert (found.model, found.epochs, found.seeds) == ("blog", 1, (4, 7))
    assert (found.train_images, found.test_images) == (200, 100)
    # What the child processes found is what training here finds.
    for run in found.runs:
        layers = make_layers("blog", run.variant, (1, 28, 28), 10)
        options = el.TrainingOptions("sgdm", max_epochs=1, seed=run.seed, verbose=False)
        network, _ = el.train_network(data.X_train, data.Y_train, layers, options)
        accuracy = 100 * (network.classify(data.X_test) == data.Y_test).mean()
        assert run.accuracy == pytest.approx(accuracy, abs=1.01)
        assert 0 < run.seconds < 60
        # A mini-batch's 128 x 20 x 24 x 24 values in float32 are 5.6 MiB, held several times.
        assert math.isnan(run.memory) or 10 < run.memory < 500
    error = capsys.readouterr().err.splitlines()
    assert len(error) == 4 and error[1].startswith("2/4 relu, seed 4: ")


def test_a_variant_that_diverges_is_told_not_raised():
    job = {"model": "blog", "variant": "elu", "seed": 0}
    options = {"max_epochs": 3, "initial_learn_rate": 1e30}
    result = worker.train(digits(), {**job, "options": options})
    assert result["accuracy"] is result["seconds"] is result["memory"] is None
    assert result["error"].startswith("training stopped at iteration")
    assert json.loads(json.dumps(result)) == result


def test_a_process_that_fails_is_an_error(tmp_path):
    job = {"model": "blog", "variant": "elu", "seed": 0, "options": {}}
    with pytest.raises(RuntimeError, match=r"elu, seed 0: its process ended .*X_train\.npy"):
        runner._train(str(tmp_path), job)


def test_peak_memory_grows_with_what_is_held():
    if worker.peak_memory() is None:
        pytest.skip("this system does not tell a process's peak memory")
    held = np.ones(2**24)  # 128 MiB, which a child process must not inherit
    code = (
        "import numpy as np; from activations.worker import peak_memory as peak; "
        "before = peak(); held = np.ones(2**22); print(peak() - before)"
    )
    growth = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 31 < float(growth.stdout) < 40
    del held


# Table


def made(runs, seeds=(0, 1, 2)):
    return Comparison("blog", 30, seeds, 5000, 1000, ("elu", "relu"), tuple(runs))


def run_of(variant, seed, *numbers, error=""):
    return ComparisonRun(variant, seed, *(numbers or (NAN, NAN, NAN)), error=error)


RUNS = [
    run_of("elu", 0, 97.0, 10.0, 50.0),
    run_of("relu", 0, 95.0, 9.0, 40.0),
    run_of("elu", 1, 98.0, 12.0, 50.0),
    run_of("relu", 1, error="the loss is nan"),
    run_of("elu", 2, 99.0, 14.0, 50.0),
    run_of("relu", 2, 96.0, 9.0, 42.0),
]


def test_rows():
    elu, relu = made(RUNS).rows
    assert (elu.accuracy, elu.accuracy_spread, elu.seconds, elu.seconds_spread) == (98, 1, 12, 2)
    assert (elu.memory, elu.memory_spread, elu.runs, elu.diverged) == (50, 0, 3, 0)
    assert (relu.accuracy, relu.runs, relu.diverged) == (95.5, 3, 1)
    assert relu.accuracy_spread == pytest.approx(math.sqrt(0.5))


def test_markdown():
    lines = made(RUNS).markdown().splitlines()
    assert lines[0] == (
        "Model 'blog', 5000 training and 1000 test images, 30 epochs, 3 seeds: "
        "mean ± sample standard deviation."
    )
    assert lines[4:] == [
        "| `elu` | alpha learned per channel, backward from the input | 98.00 ± 1.00 | 12.0 ± 2.0 "
        "|  | 50.0 ± 0.0 |",
        "| `relu` | ReLU | 95.50 ± 0.71 (1 of 3 diverged) | 9.00 ± 0.00 | -25 % | 41.0 ± 1.4 |",
    ]


def test_markdown_of_one_seed_without_memory_and_of_divergence():
    runs = [run_of("elu", 5, 97.25, 3.5, NAN), run_of("relu", 5, error="the loss is nan")]
    lines = made(runs, (5,)).markdown().splitlines()
    assert lines[0].endswith("30 epochs, 1 seed.")
    assert lines[4].endswith("| 97.25 | 3.50 |  |  |")
    assert lines[5] == "| `relu` | ReLU | diverged |  |  |  |"


def test_plot(tmp_path):
    pytest.importorskip("matplotlib")
    figure = made(RUNS).plot()
    accuracy, time = figure.axes
    assert [label.get_text() for label in accuracy.get_yticklabels()] == ["elu", "relu"]
    assert list(accuracy.lines[0].get_xdata()) == [98, 95.5]
    assert [bar.get_width() for bar in time.patches] == [12, 9]
    figure.savefig(tmp_path / "compare.png")
    made([run_of("elu", 0, error="x"), run_of("relu", 0, error="x")], (0,)).plot().savefig(
        tmp_path / "nothing.png"
    )


# Command


def parsed(*arguments):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(arguments)


def test_command(tmp_path, capsys):
    out = tmp_path / "compare.md"
    sizes = ("--train-images", "128", "--test-images", "50")
    args = parsed(
        *("--variants", "in-place", "--seeds", "1", "--seed", "2", "--epochs", "1", *sizes),
        *("--out", str(out)),
    )
    run_command(args)
    printed = capsys.readouterr()
    assert printed.out == out.read_text(encoding="utf-8")
    assert "| `in-place` | alpha fixed at 1, in place | " in printed.out
    assert "128 training and 50 test images, 1 epoch, 1 seed." in printed.out
    assert printed.err.startswith("1/1 in-place, seed 2: ")


def test_command_with_a_wrong_variant():
    with pytest.raises(ValueError, match=r"'swish' is no variant .* are elu, no-batch-"):
        run_command(parsed("--variants", "elu,swish"))


def test_defaults_of_the_command():
    args = parsed()
    assert (args.seeds, args.epochs, args.model, args.variants) == (3, 30, "blog", None)
