"""Checkpoints from strangers, whose sum is right: what no run can come to is a named error."""

import re

import numpy as np
import pytest

import elulayer as el
from elulayer.network import tensors
from elulayer.training.checkpoint import KIND
from shared.small_network import blobs, options, small_layers

pytest.importorskip("safetensors", reason="the extra 'train' is absent")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    X, Y = blobs()
    run = options(
        checkpoint_path=folder,
        max_epochs=2,
        validation_data=(X, Y),
        validation_frequency=1,
        output_network="best-validation-loss",
    )
    el.train_network(X, Y, small_layers(), run)
    return tensors.read_tensors(sorted(folder.iterdir())[0], KIND)


def resume(path):
    X, Y = blobs()
    run = options(
        max_epochs=3,
        validation_data=(X, Y),
        validation_frequency=1,
        output_network="best-validation-loss",
    )
    return el.train_network(X, Y, small_layers(), run, resume=path)


def forged(checkpoint, tmp_path, change):
    """Write what a change has made of it, with the sum that belongs to that."""
    arrays, content = checkpoint
    arrays = {name: array.copy() for name, array in arrays.items()}
    content = {key: dict(value) for key, value in content.items()}
    change(arrays, content)
    path = tmp_path / "forged.safetensors"
    tensors.write_tensors(path, KIND, arrays, content, "forged")
    return path


def test_as_it_was_it_is_taken(checkpoint, tmp_path):
    _, record = resume(forged(checkpoint, tmp_path, lambda arrays, content: None))
    assert len(record.loss) == 15 and np.isfinite(record.loss).all()


def number(name, value):
    return lambda arrays, content: content["run"].update({name: value})


def array(name, value):
    return lambda arrays, content: arrays.update({name: value})


def spoil(name):
    return lambda arrays, content: arrays[name].ravel().__setitem__(0, np.nan)


FORGERIES = {
    "setting is no object": (lambda a, c: c.update(setting=[1]), "must hold a run and its setting"),
    "run is no object": (lambda a, c: c.update(run="x"), "must hold a run and its setting"),
    "no run": (lambda a, c: c.pop("run"), "must hold a run and its setting"),
    "layers are no list": (lambda a, c: c["setting"].update(layers=3), "must hold layers"),
    "layers are no objects": (lambda a, c: c["setting"].update(layers=[1, 2]), "must hold layers"),
    "layers are empty": (lambda a, c: c["setting"].update(layers=[{}] * 7), "of the class"),
    "epoch": (number("epoch", "1"), "epoch must be an integer, not '1'"),
    "epoch 0": (number("epoch", 0), "epoch must be at least 1, not 0"),
    "batch": (number("batch", -1), "batch must be at least 0, not -1"),
    "batch is true": (number("batch", True), "batch must be an integer, not True"),
    "images": (number("images", 1.5), "images must be an integer, not 1.5"),
    "failures": (number("failures", None), "failures must be an integer, not None"),
    "seconds": (number("seconds", "x"), "seconds must be a number, not 'x'"),
    "best_loss": (number("best_loss", "x"), "best_loss must be a number, not 'x'"),
    "rng": (number("rng", "x"), "rng must be a state of Generator(PCG64)"),
    "rng is empty": (number("rng", {}), "rng must be a state of Generator(PCG64)"),
    "layer_rngs": (number("layer_rngs", [1]), "layer_rngs must be an object, not [1]"),
    "no epoch": (lambda a, c: c["run"].pop("epoch"), "whole state, not lack epoch"),
    "no values": (lambda a, c: a.pop("network.1.weights"), "not lack network.1.weights"),
    "NaN": (spoil("network.1.weights"), "network.1.weights must be finite"),
    "NaN in the solver": (spoil("solver.1.weights.step"), "solver.1.weights.step must be finite"),
    "NaN in the best": (spoil("best.1.weights"), "best.1.weights must be finite"),
    "variance": (
        lambda a, c: a["network.2.variance"].__setitem__(0, -1),
        "variance of layers[2] (BatchNormalizationLayer) must be at least 0",
    ),
    "variance of the best": (
        lambda a, c: a["best.2.variance"].__setitem__(0, -1),
        "variance of layers[2] (BatchNormalizationLayer) must be at least 0",
    ),
    "another shape": (array("network.1.weights", np.zeros(3, "f")), "weights of layers[1]"),
    "another shape in the best": (
        array("best.1.weights", np.zeros(3, "f")),
        "weights of layers[1]",
    ),
    "another dtype": (array("network.1.bias", np.zeros(4)), "bias of layers[1]"),
    "solver": (array("solver.1.weights.step", np.zeros(3, "f")), "solver.1.weights.step must be"),
    "solver of none": (array("solver.9.x.step", np.zeros(3, "f")), "solver.9.x.step must be like"),
    "solver's name": (array("solver.x", np.zeros(3, "f")), "solver.x must be like a learnable"),
    "order": (array("order", np.zeros(90, np.int64)), "order must be that of 90 images"),
    "short order": (array("order", np.arange(5)), "order must be that of 90 images"),
    "order of floats": (array("order", np.arange(90.0)), "order must be that of 90 images"),
    "columns": (array("record.loss", np.zeros(3)), "record.loss must hold a number for each"),
    "text": (array("record.epoch", np.zeros(5)), "record.epoch must hold a number for each"),
    "iterations": (array("record.iteration", np.arange(5)), "record.iteration must be counted"),
}


@pytest.mark.parametrize("case", FORGERIES)
def test_forgeries_are_named(checkpoint, tmp_path, case):
    change, message = FORGERIES[case]
    path = forged(checkpoint, tmp_path, change)
    with pytest.raises(ValueError, match=f"^(?=.*{re.escape(str(path))}).*{re.escape(message)}"):
        resume(path)
