"""Layer classes of one's own in files: whose a class is, whatever its name."""

import os

import numpy as np
import pytest

import elulayer as el
from elulayer.network import tensors
from elulayer.network.files import describe_layers, pack_labels, values
from shared.small_network import LeakyReLU, blobs, options, small_layers

pytest.importorskip("safetensors.numpy", reason="the extra 'train' is absent")


class ReLULayer(el.Layer):
    """Leaky, of the name of one of elulayer's."""

    def __init__(self, slope=0.25):
        self.slope = slope

    def predict(self, X):
        return np.where(X > 0, X, X.dtype.type(self.slope) * X)

    def backward(self, X, Z, dLdZ, memory):
        return np.where(X > 0, dLdZ, dLdZ.dtype.type(self.slope) * dLdZ)


class ELULayer(el.ELULayer):
    """Derived from the layer whose name it has, and another function."""

    def predict(self, X):
        return super().predict(X) + X.dtype.type(1)

    def backward(self, X, Z, dLdZ, memory):
        return super().backward(X, Z - Z.dtype.type(1), dLdZ, memory)


def other_leaky_relu():
    class LeakyReLU(ReLULayer):
        def predict(self, X):
            return 2 * X

    return LeakyReLU


def network_with(*activations):
    layers = small_layers(activations[0])
    layers[4:4] = activations[1:]
    network = el.Network(layers, np.arange(3))
    network.initialize(0)
    return network


def same_outputs(one, two):
    X, _ = blobs()
    return np.array_equal(one.predict(X), two.predict(X))


@pytest.mark.parametrize("own", [ReLULayer(), ELULayer(4)], ids=lambda layer: type(layer).__name__)
def test_a_name_of_elulayers_own(tmp_path, own):
    network, cls = network_with(own), type(own)
    el.save_network(network, tmp_path / "n")
    for given in ([cls], cls, [cls, cls], [getattr(el, cls.__name__), cls], [LeakyReLU, cls]):
        again = el.load_network(tmp_path / "n", custom_layers=given)
        assert type(again.layers[3]) is cls
        assert same_outputs(again, network)
    for given in ([], [LeakyReLU], [getattr(el, cls.__name__)]):
        with pytest.raises(
            ValueError,
            match=r"layers\[3\] must be of a known class, not of a cla"
            rf"ss {cls.__name__} other than elulayer's; pass it in custom_layers",
        ):
            el.load_network(tmp_path / "n", custom_layers=given)


def test_both_in_one_network(tmp_path):
    network = network_with(ReLULayer(0.5), el.ReLULayer(), ReLULayer(0.125))
    el.save_network(network, tmp_path / "n")
    again = el.load_network(tmp_path / "n", [ReLULayer])
    kinds = [type(layer) for layer in again.layers[3:6]]
    assert kinds == [ReLULayer, el.ReLULayer, ReLULayer]
    assert same_outputs(again, network)


def test_elulayers_own_stays_elulayers(tmp_path):
    network = network_with(el.ReLULayer())
    el.save_network(network, tmp_path / "n")
    again = el.load_network(tmp_path / "n", [ReLULayer])
    assert type(again.layers[3]) is el.ReLULayer
    assert same_outputs(again, network)


def test_two_classes_of_one_name_are_refused_before_anything_is_written(tmp_path):
    other = other_leaky_relu()
    network = network_with(LeakyReLU(0.5), el.ReLULayer(), other())
    with pytest.raises(ValueError, match="must be of one class") as caught:
        el.save_network(network, tmp_path / "n")
    assert str(caught.value) == (
        "layers[3] and layers[5] must be of one class, or of classes of different names, to be "
        "saved, not of two different classes LeakyReLU: shared.small_network.LeakyReLU and "
        f"{__name__}.other_leaky_relu.<locals>.LeakyReLU"
    )
    X, Y = blobs()
    with pytest.raises(ValueError, match="not of two different classes LeakyReLU"):
        el.train_network(X, Y, network.layers, options(checkpoint_path=tmp_path))
    assert os.listdir(tmp_path) == []
    other.__name__ = "Doubling"
    el.save_network(network, tmp_path / "n")
    assert same_outputs(el.load_network(tmp_path / "n", [LeakyReLU, other]), network)


def test_two_classes_of_one_name_handed_over(tmp_path):
    el.save_network(network_with(LeakyReLU(0.5)), tmp_path / "n")
    with pytest.raises(
        ValueError,
        match=r"^custom_layers must hold classes of different names, not two of the name LeakyReLU:"
        r" shared\.small_network\.LeakyReLU and .*other_leaky_relu\.<locals>\.LeakyReLU$",
    ):
        el.load_network(tmp_path / "n", [LeakyReLU, other_leaky_relu()])


def test_the_module_may_be_another_one_where_the_file_is_read(tmp_path, monkeypatch):
    network = network_with(ReLULayer())
    monkeypatch.setattr(ReLULayer, "__module__", "__main__")
    el.save_network(network, tmp_path / "n")
    monkeypatch.undo()
    assert same_outputs(el.load_network(tmp_path / "n", [ReLULayer]), network)


def without_origin(layers):
    """Describe layers as files of earlier versions do, which do not say whose a class is."""
    described = describe_layers(layers)
    for description in described:
        del description["custom"]
    return described


@pytest.mark.parametrize("activation", [el.ReLULayer(), LeakyReLU(0.5), ReLULayer(0.5)])
def test_files_of_earlier_versions(tmp_path, activation):
    network = network_with(activation)
    content = {
        "layers": without_origin(network.layers),
        "classes": pack_labels(network.classes),
    }
    tensors.write_tensors(tmp_path / "n", "elulayer network 1", values(network.layers), content, "")
    given = [] if type(activation) is el.ReLULayer else [type(activation)]
    again = el.load_network(tmp_path / "n", given)
    assert type(again.layers[3]) is type(activation)
    assert same_outputs(again, network)


def run_and_resume(folder, first, then):
    X, Y = blobs()
    folder.mkdir(exist_ok=True)
    el.train_network(X, Y, small_layers(first), options(max_epochs=1, checkpoint_path=folder))
    return el.train_network(X, Y, small_layers(then), options(max_epochs=2), resume=folder)


def test_resume_with_another_class_of_the_same_name_is_refused(tmp_path):
    own, elulayers = f"{__name__}.ReLULayer", "elulayer.ReLULayer"
    shared = "shared.small_network.LeakyReLU"
    derived = f"{__name__}.other_leaky_relu.<locals>.LeakyReLU"
    for number, (first, then, before, given) in enumerate(
        [
            (el.ReLULayer(), ReLULayer(), elulayers, own),
            (ReLULayer(), el.ReLULayer(), own, elulayers),
            (LeakyReLU(0.25), other_leaky_relu()(0.25), shared, derived),
        ]
    ):
        with pytest.raises(ValueError, match="must be of the class") as caught:
            run_and_resume(tmp_path / str(number), first, then)
        message = str(caught.value)
        assert message.startswith(f"layers[3] must be of the class {before}, as in the run of ")
        assert message.endswith(f"checkpoint-00000005.safetensors, not {given}")


@pytest.mark.parametrize("own", [ReLULayer, lambda: LeakyReLU(0.25)])
def test_resume_with_the_same_class(tmp_path, own):
    X, Y = blobs()
    network, record = run_and_resume(tmp_path, own(), own())
    whole, _ = el.train_network(X, Y, small_layers(own()), options(max_epochs=2))
    assert record.iteration[-1] == 10
    assert same_outputs(network, whole)


def test_check_layer_takes_any_name():
    for layer in (ReLULayer(), ELULayer(4)):
        report = el.check_layer(layer, (4, 3, 3))
        assert report, report
