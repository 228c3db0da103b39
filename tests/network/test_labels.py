"""Labels in arrays of other libraries and dtypes."""

import decimal
import math

import numpy as np
import pytest

import elulayer as el
from shared.small_network import blobs, options, small_layers

NAMES = ["cat", "dog", "a longer name"]

# In an array and in a list, of what pandas gives.
KINDS = {
    "objects": lambda names: np.array(names, dtype=object),
    "list": list,
    "numpy strings": lambda names: np.array([np.str_(name) for name in names], dtype=object),
}
if hasattr(getattr(np, "dtypes", None), "StringDType"):
    KINDS["StringDType"] = lambda names: np.array(names, dtype=np.dtypes.StringDType())


def pandas(how):
    def make(names):
        return how(pytest.importorskip("pandas", reason="pandas is no dependency"), names)

    return make


KINDS |= {
    "pandas strings": pandas(lambda pd, names: pd.Series(names, dtype="string")),
    "pandas objects": pandas(lambda pd, names: pd.Series(names, dtype=object)),
    "Categorical": pandas(lambda pd, names: pd.Categorical(names)),
    "pandas array": pandas(lambda pd, names: pd.array(names)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_strings_of_every_kind_are_str(kind, tmp_path):
    pytest.importorskip("safetensors", reason="networks are saved by safetensors")
    X, codes = blobs()
    Y = KINDS[kind]([NAMES[code] for code in codes])
    plain = np.array(NAMES)[codes]
    (tmp_path / "run").mkdir()
    run = options(checkpoint_path=tmp_path / "run", validation_data=(X[:9], Y[:9]))
    network, record = el.train_network(X, Y, small_layers(), run)
    other, same = el.train_network(
        X, plain, small_layers(), options(validation_data=(X[:9], plain[:9]))
    )
    assert network.classes.dtype == plain.dtype and network.classes.tolist() == sorted(NAMES)
    assert np.array_equal(record.loss, same.loss)
    el.save_network(network, tmp_path / "n")
    assert np.array_equal(el.load_network(tmp_path / "n").classify(X), other.classify(X))
    el.train_network(
        X, Y, small_layers(), run, resume=tmp_path / "run", classes=KINDS[kind](sorted(NAMES))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_strings_of_every_kind_are_counted(kind):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    figure = el.plots.plot_confusion(KINDS[kind](NAMES), np.array([*NAMES[:2], "cat"]))
    assert "accuracy 0.6667" in figure.axes[0].get_title(loc="left")


@pytest.mark.parametrize("kind", KINDS)
def test_classes_of_a_network_of_ones_own(kind, tmp_path):
    pytest.importorskip("safetensors", reason="networks are saved by safetensors")
    network = el.Network(small_layers(), KINDS[kind](NAMES))
    network.initialize(0)
    el.save_network(network, tmp_path / "n")
    assert el.load_network(tmp_path / "n").classes.tolist() == NAMES


def test_classes_that_are_set(tmp_path):
    network = el.Network(small_layers())
    network.initialize(0)
    network.classes = ["one", "two", "three"]
    X, _ = blobs()
    assert set(network.classify(X).tolist()) <= {"one", "two", "three"}
    for classes, message in (
        ([["a"]], r"classes must have shape \(K,\), not \(1, 1\)"),
        (["a", "a"], "classes must be different labels"),
        (["a", "\udcc4"], r"classes must be text that UTF-8 can write, not '\\udcc4'"),
    ):
        with pytest.raises(ValueError, match=message):
            network.classes = classes
    assert network.classes.tolist() == ["one", "two", "three"]


def test_strings_that_str_would_not_tell_apart():
    X, codes = blobs()
    Y = np.array(["a", "a\0", "b"], dtype=object)[codes]
    network, _ = el.train_network(X, Y, small_layers(), options())
    assert network.classes.tolist() == ["a", "a\0", "b"]


class NA:
    """As pandas' NA: neither equal to itself nor unequal."""

    def __ne__(self, other):
        return self

    def __bool__(self):
        raise TypeError("boolean value of NA is ambiguous")

    def __repr__(self):
        return "<NA>"

    __eq__ = __ne__
    __hash__ = None


@pytest.mark.parametrize(
    ("missing", "dtype"),
    [
        (math.nan, float),
        (math.nan, np.float16),
        (math.nan, complex),
        (math.nan, object),
        (np.float32("nan"), object),
        (decimal.Decimal("nan"), object),
        (np.datetime64("NaT"), "M8[D]"),
        (np.timedelta64("NaT"), "m8[s]"),
        (np.datetime64("NaT"), object),
        (NA(), object),
    ],
)
def test_missing_labels_are_told(missing, dtype):
    X, codes = blobs()
    Y = codes.astype(dtype)
    Y[7] = missing
    message = "Y must not hold NaN or what else stands for no label, .* as at index 7"
    with pytest.raises(ValueError, match=message):
        el.train_network(X, Y, small_layers(), options())
    with pytest.raises(ValueError, match=message):
        el.train_network(X, Y, small_layers(), options(), classes=[0, 1, 2])
    with pytest.raises(ValueError, match="^validation_data: " + message):
        el.train_network(X, codes, small_layers(), options(validation_data=(X, Y)))
    with pytest.raises(ValueError, match=message):
        el.train_network([(X, Y)], None, small_layers(), options())
