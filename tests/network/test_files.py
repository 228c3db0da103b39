"""Networks in files: round trips, what is refused, writes that are cut off."""

import copy
import json
import os
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest

import elulayer as el
from elulayer.network import tensors
from shared.small_network import SHAPE, LeakyReLU, blobs, options, small_layers

safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="the extra 'train' is absent")


@pytest.fixture(scope="module")
def trained():
    X, Y = blobs()
    labels = np.array(["left", "right", "below"])[Y]
    network, _ = el.train_network(X, labels, small_layers(), options())
    return network, X


def test_round_trip(trained, tmp_path):
    network, X = trained
    file = tmp_path / "network.safetensors"
    assert el.save_network(network, file) is None
    again = el.load_network(str(file))
    assert np.array_equal(again.predict(X), network.predict(X))
    assert np.array_equal(again.classify(X), network.classify(X))
    assert again.classes.dtype == network.classes.dtype
    assert repr(again) == repr(network)
    for old, new in zip(network.layers, again.layers, strict=True):
        assert old.arguments() == new.arguments()
        assert (old.learn_rate_factors, old.l2_factors) == (new.learn_rate_factors, new.l2_factors)
    assert os.listdir(tmp_path) == ["network.safetensors"]


def test_equal_networks_are_equal_files(trained, tmp_path):
    network, _ = trained
    files = [tmp_path / str(number) for number in range(5)]
    for file in files:
        el.save_network(network, file)
    assert len({file.read_bytes() for file in files}) == 1


def test_a_loaded_network_goes_on_learning_like_the_saved_one(trained, tmp_path):
    network, X = trained
    Y = network.classify(X)
    el.save_network(network, tmp_path / "n")
    loaded = el.load_network(tmp_path / "n")
    one, _ = el.train_network(X, Y, network.layers, options(max_epochs=1))
    two, _ = el.train_network(X, Y, loaded.layers, options(max_epochs=1))
    assert np.array_equal(one.predict(X), two.predict(X))


@pytest.mark.parametrize(
    "classes",
    [
        np.array([1, 5, 9]),
        np.array([1, 5, 9], dtype=np.uint8),
        np.array([0.5, 1.0, 1.5], dtype=np.float32),
        np.array(["ä", "b", "long"]),
        np.array([0, 1, 2], dtype=">i2"),
    ],
)
def test_labels_of_each_type(classes, tmp_path):
    network = el.Network(small_layers(), classes)
    network.initialize(0)
    el.save_network(network, tmp_path / "n")
    loaded = el.load_network(tmp_path / "n").classes
    assert loaded.dtype == classes.dtype
    assert np.array_equal(loaded, classes)


def test_settings_of_layers_are_kept(tmp_path):
    layers = [
        el.ImageInputLayer((2, 9, 7), normalization="none", name="in"),
        el.Convolution2DLayer((3, 2), 4, stride=2, padding=1, name="c"),
        el.BatchNormalizationLayer(1e-3, mean_decay=0.2, variance_decay=0.3, name="b"),
        el.ELULayer(4, "e", learnable=False, backward_from="memory"),
        el.FullyConnectedLayer(3, name="f"),
        el.SoftmaxLayer("s"),
        el.ClassificationLayer("out"),
    ]
    layers[1].learn_rate_factors["weights"] = 0.5
    layers[4].l2_factors["bias"] = 1.0
    network = el.Network(layers)
    network.initialize(1)
    layers[2].mean += 0.25
    el.save_network(network, tmp_path / "n")
    again = el.load_network(tmp_path / "n").layers
    assert [layer.arguments() for layer in again] == [layer.arguments() for layer in layers]
    assert again[3].learnable is False and again[3].alpha.tolist() == layers[3].alpha.tolist()
    assert again[1].learn_rate_factors == {"weights": 0.5}
    assert again[4].l2_factors == {"bias": 1.0}
    assert again[2].mean.tolist() == [0.25] * 4


class Scaling(el.Layer):
    """A layer with a required learnable and a setting."""

    learnables = ("factor",)

    def __init__(self, factor, power=1):
        self.factor = factor
        self.power = power

    def predict(self, X):
        return X * self.factor**self.power

    def backward(self, X, Z, dLdZ, memory):
        return dLdZ * self.factor, np.float32(0)


def test_layers_of_ones_own(tmp_path):
    network = el.Network(small_layers(Scaling(0.5, power=3)))
    network.initialize(0)
    el.save_network(network, tmp_path / "n")
    with pytest.raises(
        ValueError, match=r"\[3\] must be of a known class, not of class Scaling; pass"
    ):
        el.load_network(tmp_path / "n")
    again = el.load_network(tmp_path / "n", custom_layers=[Scaling, LeakyReLU])
    X, _ = blobs()
    assert np.array_equal(again.predict(X), network.predict(X))
    assert (again.layers[3].factor, again.layers[3].power) == (0.5, 3)
    assert el.load_network(tmp_path / "n", Scaling).layers[3].power == 3
    with pytest.raises(TypeError, match="custom_layers must hold classes of layers, not 'Scaling'"):
        el.load_network(tmp_path / "n", custom_layers=["Scaling"])


class Forgetful(LeakyReLU):
    def __init__(self, alpha=0.1, *, slope=1):
        self.alpha = alpha


class Holding(LeakyReLU):
    def __init__(self, alpha=0.1, function=None):
        self.alpha = alpha
        self.function = print


def test_what_cannot_be_saved(tmp_path):
    with pytest.raises(TypeError, match="network must be a Network, not NoneType"):
        el.save_network(None, tmp_path / "n")
    with pytest.raises(RuntimeError, match="no values yet"):
        el.save_network(el.Network(small_layers()), tmp_path / "n")
    for layer, message in (
        (Forgetful(), r"layers\[3\] \(Forgetful\) cannot be saved: .* takes 'slope', but the lay"),
        (
            Holding(),
            r"layers\[3\] \(Holding\) cannot .* its argument function must be .*, not <built-in",
        ),
    ):
        network = el.Network(small_layers(layer))
        network.initialize(0)
        with pytest.raises(TypeError, match=message):
            el.save_network(network, tmp_path / "n")
    network = el.Network(small_layers(), np.arange(3).astype("datetime64[D]"))
    network.initialize(0)
    with pytest.raises(
        TypeError, match=r"classes must be numbers, booleans or str .*, not of dtype datetime64"
    ):
        el.save_network(network, tmp_path / "n")
    assert os.listdir(tmp_path) == []


def test_values_that_could_not_be_loaded_are_not_saved(trained, tmp_path):
    network = copy.deepcopy(trained[0])
    network.layers[2].variance[0] = np.nan
    with pytest.raises(ValueError, match=r"variance of layers\[2\] .* must be finite"):
        el.save_network(network, tmp_path / "file")
    assert not list(tmp_path.iterdir())


class Drawing(el.Layer):
    """Its `initialize` draws whatever its values are."""

    learnables = ("scale",)

    def initialize(self, input_shape, rng):
        self.scale = rng.random(1)

    def predict(self, X):
        return X * np.float32(self.scale)

    def backward(self, X, Z, dLdZ, memory):
        return dLdZ * np.float32(self.scale), np.sum(X * dLdZ).reshape(1)


def test_a_layer_that_draws_whenever_it_is_initialized(tmp_path):
    X, Y = blobs()
    run = options(max_epochs=2, checkpoint_path=tmp_path)
    whole, _ = el.train_network(X, Y, small_layers(Drawing()), run)
    first = min(tmp_path.iterdir())
    resumed, _ = el.train_network(X, Y, small_layers(Drawing()), run, resume=first)
    el.save_network(whole, tmp_path / "file")
    loaded = el.load_network(tmp_path / "file", custom_layers=[Drawing])
    for network in (resumed, loaded):
        np.testing.assert_array_equal(network.layers[3].scale, whole.layers[3].scale)


def test_the_file_describes_itself(trained, tmp_path):
    safetensors = pytest.importorskip("safetensors", reason="the extra 'train' is absent")
    el.save_network(trained[0], tmp_path / "n")
    with safetensors.safe_open(tmp_path / "n", framework="np") as file:
        metadata = file.metadata()
        names = set(file.keys())
    assert metadata["format"] == "elulayer network 1"
    assert "Exponential linear unit with 4 channels" in metadata["description"]
    assert {"1.weights", "2.mean", "3.alpha", "0.mean"} <= names
    assert json.loads(metadata["content"])["layers"][3]["class"] == "ELULayer"


def load_or_message(file):
    try:
        return el.load_network(file), ""
    except ValueError as error:
        return None, str(error)


def test_every_damaged_byte_is_told(trained, tmp_path):
    """A flipped bit anywhere, and a file cut off anywhere: one ValueError that names the file."""
    file = tmp_path / "n"
    el.save_network(trained[0], file)
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for position in [*range(9), *rng.integers(len(whole), size=300).tolist(), len(whole) - 1]:
        data = bytearray(whole)
        data[position] ^= 1 << int(rng.integers(8))
        file.write_bytes(data)
        loaded, message = load_or_message(file)
        if loaded is None:
            assert str(file) in message
        else:  # what nobody reads: the description and the version, for people
            ones = np.ones((1, *SHAPE))
            assert np.array_equal(loaded.predict(ones), trained[0].predict(ones))
    for length in [0, 1, 7, 8, 9, 100, *rng.integers(len(whole), size=20).tolist()]:
        file.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="is damaged or not a safetensors file"):
            el.load_network(file)


def test_other_files_are_refused(tmp_path):
    file = tmp_path / "n"
    file.write_bytes(safetensors_numpy.save({"a": np.zeros(3)}))
    with pytest.raises(ValueError, match="must hold 'elulayer network 1', not what was not writ"):
        el.load_network(file)
    with pytest.raises(FileNotFoundError):
        el.load_network(tmp_path / "absent")
    with pytest.raises(IsADirectoryError):
        el.load_network(tmp_path)


def forged(network, tmp_path, change):
    """Write a file whose sum is right and whose contents are not."""
    content = {
        "layers": tensors_of(network)[1]["layers"],
        "classes": None,
    }
    arrays = tensors_of(network)[0]
    change(content, arrays)
    file = tmp_path / "forged"
    tensors.write_tensors(file, "elulayer network 1", arrays, content, "")
    return file


def tensors_of(network):
    from elulayer.network.files import describe_layers, values

    return values(network.layers), {"layers": describe_layers(network.layers)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c, a: c["layers"][3].update({"class": "os.system"}),
            "known class, not of class os.sys",
        ),
        (lambda c, a: c["layers"][3].update({"class": "Layer"}), "known class, not of class Layer"),
        (lambda c, a: c["layers"][3]["arguments"].update(num_channels=-1), "at least 1, not -1"),
        (lambda c, a: c["layers"][3]["arguments"].update(num_channels=10**15), "scalar or have sh"),
        (lambda c, a: c["layers"][3]["arguments"].update(rm="-rf"), "unexpected keyword"),
        (lambda c, a: c["layers"][3].pop("arguments"), "arguments"),
        (lambda c, a: c["layers"].pop(), "the last layer must be a ClassificationLayer"),
        (lambda c, a: a.pop("1.bias"), r"must hold bias of layers\[1\]"),
        (lambda c, a: a.update({"9.x": np.zeros(2)}), r"differ: \['9.x'\]"),
        (
            lambda c, a: a.update({"2.mean": np.zeros(5, "f4")}),
            "mean of BatchNormalizationLayer .* shape .4",
        ),
        (lambda c, a: a.update({"2.mean": np.zeros(4)}), "dtype float32, not .* float64"),
        (
            lambda c, a: c.update(classes={"dtype": "O", "labels": [1, 2, 3]}),
            "labels must be numbers, booleans or str, not of dtype object",
        ),
        (lambda c, a: c.update(classes={"dtype": "<i8", "labels": ["a"]}), "invalid literal"),
        (
            lambda c, a: c.update(classes={"dtype": "|u1", "labels": [1, 2, 300]}),
            "OverflowError|different|300|must be of dtype",
        ),
        (lambda c, a: c.update(classes={"dtype": "<i8", "labels": [1, 1, 2]}), "different labels"),
        (
            lambda c, a: c.update(classes={"dtype": "<i8", "labels": [1, 2]}),
            "hold 3 classes, .* not 2",
        ),
        (lambda c, a: c["layers"][2]["arguments"].update(epsilon=10**400), "OverflowError"),
        (
            lambda c, a: c["layers"][1]["arguments"].update(num_filters=10**9),
            "weights of Convolution2DLayer must have shape",
        ),
        (
            lambda c, a: c["layers"][0]["arguments"].update(input_shape=[1, 10**5, 10**5]),
            r"mean of layers\[0\] .* must have shape|MemoryError",
        ),
        (
            lambda c, a: c["layers"][4]["arguments"].update(num_outputs=10**17),
            r"weights of FullyConnectedLayer must have shape \(10+, 144\), not \(3, 144\)",
        ),
    ],
)
def test_forged_files_execute_nothing(trained, tmp_path, change, message):
    file = forged(trained[0], tmp_path, change)
    with pytest.raises(ValueError, match=message) as caught:
        el.load_network(file)
    assert str(file) in str(caught.value)


def test_deeply_nested_content_is_damage(tmp_path):
    text = "[" * 100_000
    data = safetensors_numpy.save(
        {}, {"format": "elulayer network 1", "content": text, "sha256": tensors._digest(text, {})}
    )
    (tmp_path / "n").write_bytes(data)
    with pytest.raises(ValueError, match="n is damaged"):
        el.load_network(tmp_path / "n")


def test_a_home_folder_is_expanded(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    el.save_network(trained[0], "~/n")
    assert np.array_equal(el.load_network("~/n").classes, trained[0].classes)


CUT_OFF = """
import os, signal, sys
import elulayer as el
step = sys.argv[2]
real = getattr(os, step)

def die(*arguments):
    os.kill(os.getpid(), signal.SIGKILL)

network = el.load_network(sys.argv[1])
network.layers[3].alpha += 1
setattr(os, step, die)
el.save_network(network, sys.argv[1])
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_is_cut_off_leaves_the_old_file(trained, tmp_path, step):
    file = tmp_path / "n"
    el.save_network(trained[0], file)
    before = file.read_bytes()
    killed = subprocess.run([sys.executable, "-c", CUT_OFF, str(file), step], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert file.read_bytes() == before


def test_errors_name_the_path_that_was_given(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path, error in (("none/n", FileNotFoundError), (".", IsADirectoryError)):
        with pytest.raises(error) as caught:
            el.save_network(trained[0], path)
        assert str(caught.value).endswith(f": {path!r}")


def test_a_write_that_fails_leaves_nothing_behind(trained, tmp_path, monkeypatch):
    file = tmp_path / "n"
    file.write_bytes(b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        el.save_network(trained[0], file)
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["n"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_permissions_and_links(trained, tmp_path):
    file, link = tmp_path / "n", tmp_path / "link"
    el.save_network(trained[0], file)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask
    file.chmod(0o640)
    link.symlink_to(file)
    el.save_network(trained[0], link)
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_without_safetensors_the_extra_is_named(trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install 'elulayer\[train\]'"):
        el.save_network(trained[0], tmp_path / "n")
    with pytest.raises(ImportError, match=r"pip install 'elulayer\[train\]'"):
        el.load_network(tmp_path / "n")
