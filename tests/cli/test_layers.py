"""Layers named on the command line: checked, trained, and in saved networks."""

import sys
import types

import numpy as np
import pytest

import elulayer as el
from elulayer import cli
from shared.command_line import QUICK, error, main

OWN = """
import numpy as np
import elulayer as el
import beside

class Scaled(el.Layer):
    learnables = ("scale",)
    def __init__(self, scale=2.0):
        self.scale = scale
        self.description = "Scaled"
    def predict(self, X):
        return self.scale * X
    def backward(self, X, Z, dLdZ, memory):
        return self.scale * dLdZ, np.sum(dLdZ * X)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A file with a layer, and another file that it imports."""
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "beside.py").write_text("")
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_a_network_with_a_layer_of_ones_own(capsys, tmp_path, own):
    pytest.importorskip("safetensors", reason="saved networks need safetensors")
    cls = cli._layers.layer_class(f"{own}:Scaled")
    data = el.data.load_digits(0, n_train=64, n_test=100)
    layers = [
        el.ImageInputLayer((1, 28, 28)),
        cls(),
        el.FullyConnectedLayer(10),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]
    options = el.TrainingOptions("sgdm", max_epochs=1, seed=0, verbose=False)
    network, _ = el.train_network(data.X_train, data.Y_train, layers, options)
    accuracy = (network.classify(data.X_test) == data.Y_test).mean()
    path = tmp_path / "own.safetensors"
    el.save_network(network, path)
    classify = ["classify", str(path), "--test-images", "100"]
    assert "must be of a known class, not of class Scaled" in error(capsys, *classify)
    lines = main(capsys, *classify, "--layer", f"{own}:Scaled")
    assert lines == [f"Test accuracy: {accuracy:.4f}"]
    assert "  layers[1].scale: 1" in main(capsys, "show", str(path), "--layer", f"{own}:Scaled")


def test_a_layer_of_ones_own_with_a_name_of_elulayers(capsys, tmp_path, own):
    pytest.importorskip("safetensors", reason="saved networks need safetensors")
    own.write_text(OWN.replace("class Scaled(", "class LeakyReLULayer(") + "\nprint('code is run')")
    given = f"{own}:LeakyReLULayer"
    network = el.Network(
        [
            el.ImageInputLayer((1, 28, 28)),
            cli._layers.layer_class(given)(),
            el.FullyConnectedLayer(10),
            el.SoftmaxLayer(),
            el.ClassificationLayer(),
        ],
        np.arange(10),
    )
    network.initialize(0)
    path = tmp_path / "own.safetensors"
    el.save_network(network, path)
    capsys.readouterr()
    assert "a class LeakyReLULayer other than elulayer's" in error(capsys, "show", str(path))
    # Once for the same file and class, in two spellings.
    again = f"{own.parent}/../{own.parent.name}/own.py:LeakyReLULayer"
    for command in (["show"], ["classify", "--test-images", "100"]):
        lines = main(capsys, *command, str(path), "--layer", given, "--layer", again)
        assert lines.count("code is run") == 1
    assert main(capsys, "check", given, "--input-shape", "3", "4")[-1] == "16 passed, 0 failed"


def test_a_layer_of_ones_own_is_trained(capsys, tmp_path):
    """In the place of ELU; the saved network says whose it is."""
    pytest.importorskip("safetensors", reason="saved networks need safetensors")
    (tmp_path / "beside.py").write_text("x = 1")
    (tmp_path / "mine.py").write_text(OWN)
    own, saved = f"{tmp_path / 'mine.py'}:Scaled", str(tmp_path / "a.safetensors")
    lines = main(capsys, *QUICK, "--layer", own, "--args", '{"scale": 0.5}', "--save", saved)
    assert lines[-1].startswith("Test accuracy: ")
    shown = "\n".join(main(capsys, "show", saved, "--layer", own))
    assert "\n3  Scaled " in shown
    lines = main(capsys, *QUICK, "--layer", "ReLULayer")
    assert lines[-1].startswith("Test accuracy: ")
    message = error(capsys, *QUICK, "--layer", "PReLULayer")
    assert "PReLULayer() raises TypeError: " in message and "--args must be" in message
    assert "--args must be given with --layer LAYER" in error(capsys, *QUICK, "--args", '{"a": 1}')
    assert "--layer must be FILE.py:CLASS or a built-in class" in error(
        capsys, *QUICK, "--layer", "Nothing"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("return self.scale * X", "return self.scala * X", "layers[3] (Scaled): 'Scaled' object "),
        ("return self.scale * dLdZ,", "return {}['a'],", "KeyError: 'a'"),
        ("self.scale = scale\n", "self.scale = scale / 0\n", "Scaled() raises ZeroDivisionError:"),
        ("import beside\n", "import beside\nx = 1 / 0\n", "own.py raises ZeroDivisionError:"),
    ],
)
def test_an_error_in_a_layer_of_ones_own_names_its_line(old, new, said, own, capsys):
    assert old in OWN
    own.write_text(OWN.replace(old, new))
    wrong = new.splitlines()[-1]
    (line,) = (n for n, text in enumerate(own.read_text().splitlines(), 1) if wrong in text)
    message = error(capsys, *QUICK, "--layer", f"{own}:Scaled")
    assert said in message and f" (line {line} of own.py)" in message


@pytest.mark.parametrize("raised", ["exit()", "raise SystemExit(0)"])
def test_a_layer_that_ends_the_program_is_an_error(raised, own, capsys):
    own.write_text(OWN.replace("return self.scale * X", raised))
    message = error(capsys, *QUICK, "--layer", f"{own}:Scaled")
    assert message.startswith("SystemExit was raised, with ")
    assert message.endswith(" of own.py)")


def test_errors_without_words_and_of_files_beside(own, tmp_path, capsys):
    own.write_text(OWN.replace("return self.scale * X", "assert X.ndim == 9"))
    message = error(capsys, *QUICK, "--layer", f"{own}:Scaled")
    assert message.startswith("AssertionError (line ")
    own.write_text(OWN.replace("return self.scale * X", "raise ValueError"))
    message = error(capsys, *QUICK, "--layer", f"{own}:Scaled")
    assert message.startswith("layers[3] (Scaled): ValueError (line ")
    own.write_text(OWN.replace("return self.scale * X", "raise ValueError('a\\nb') from None"))
    assert "layers[3] (Scaled): a b (line " in error(capsys, *QUICK, "--layer", f"{own}:Scaled")
    own.write_text(OWN.replace("return self.scale * X", "return beside.scaled(X)"))
    (tmp_path / "beside.py").write_text("def scaled(X):\n    return {}['k']\n")
    sys.modules.pop("beside", None)
    message = error(capsys, *QUICK, "--layer", f"{own}:Scaled")
    assert message == "KeyError: 'k' (line 2 of beside.py)"
    sys.modules.pop("beside", None)


@pytest.fixture
def checked(monkeypatch):
    """A stand-in for the checks: what they were asked, and a report that can fail."""

    class Report:
        passed = True

        def __bool__(self):
            return self.passed

        def __str__(self):
            return "the report"

    calls = []
    module = types.ModuleType("elulayer.checking")
    module.report = Report()
    module.calls = calls
    module.check_layer = lambda layer, shape: calls.append((layer, shape)) or module.report
    monkeypatch.setitem(sys.modules, "elulayer.checking", module)
    return module


def test_check(capsys, checked, own):
    arguments = ["--input-shape", "20", "24", "24", "--args", '{"num_channels": 20}']
    assert main(capsys, "check", "ELULayer", *arguments) == ["the report"]
    assert main(capsys, "check", f"{own}:Scaled", "--input-shape", "5") == ["the report"]
    (first, first_shape), (second, second_shape) = checked.calls
    assert type(first) is el.ELULayer and first.num_channels == 20
    assert first_shape == (20, 24, 24)
    assert type(second).__name__ == "Scaled" and second.scale == 2 and second_shape == (5,)
    checked.report.passed = False
    assert cli.main(["check", f"{own}:Scaled", "--input-shape", "5"]) == 1
    assert capsys.readouterr() == ("the report\n", "")


def test_check_tells_what_is_wrong_with_its_arguments(capsys, checked, own, tmp_path):
    def message(layer, *arguments):
        return error(capsys, "check", layer, "--input-shape", "5", *arguments)

    assert message("elulayer").startswith(
        "the layer must be FILE.py:CLASS or a built-in class, not 'elulayer'; built in are "
    )
    assert "ELULayer" in message("Layer")
    missing = tmp_path / "no.py"
    assert (
        message(f"{missing}:A") == f"the file of the layer must be an existing one, not {missing}"
    )
    stem = own.with_suffix("")
    assert message(f"{stem}:Scaled").endswith(
        f"must be an existing one, not {stem}; there is {own}"
    )
    for given in (f"{own}:Other", str(own)):
        told = message(given)
        assert told.startswith("the layer must be FILE.py:CLASS, a class of layers, not ")
        assert told.endswith("own.py defines Scaled")
    own.write_text(f"{OWN}class NoLayer:\n    pass\n")
    assert message(f"{own}:NoLayer").endswith("from elulayer.Layer: class NoLayer(el.Layer)")
    own.write_text(OWN)
    wrong = message(f"{own}:Scaled", "--args", '{"factor": 3}')
    assert wrong.startswith("Scaled(factor=3) raises TypeError: ") and "'factor'" in wrong
    own.write_text("1 / 0")
    assert message(f"{own}:Scaled").endswith(
        "ZeroDivisionError: division by zero (line 1 of own.py)"
    )
    own.write_text("def")
    assert "raises SyntaxError" in message(f"{own}:Scaled")
    assert checked.calls == []


def test_the_usage_of_check_is_an_order_that_it_takes(capsys, checked):
    with pytest.raises(SystemExit):
        cli.main(["check", "--help"])
    usage = capsys.readouterr().out.splitlines()[0]
    assert usage == "usage: elulayer check [-h] LAYER --input-shape N [N ...] [--args JSON]"


def test_alphas_of_a_layer_that_has_none_are_refused_before_the_run(capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    picture = tmp_path / "alphas.png"
    message = error(capsys, *QUICK, "--layer", "ReLULayer", "--alphas", str(picture))
    assert message == "--alphas must be given with a layer that learns its alpha, not ReLULayer"
    assert not picture.exists()


def test_check_finds_a_wrong_gradient(capsys, own):
    arguments = ["check", f"{own}:Scaled", "--input-shape", "3", "4"]
    assert cli.main(arguments) == 0
    own.write_text(OWN.replace("np.sum(dLdZ * X)", "np.sum(dLdZ)"))
    assert cli.main(arguments) == 1
    output = capsys.readouterr()
    assert "FAILED" in output.out and output.err == ""
