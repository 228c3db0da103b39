"""The synthetic digits: their bits are frozen, their classes equal, their sets independent."""

import hashlib
import importlib
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from elulayer.data import Dataset, load_digits, make_digits
from elulayer.data import digits as drawing
from elulayer.data.strokes import STYLES


def levels(X):
    return np.rint(X * np.float32(255)).astype(np.uint8)


def checksum(array):
    return hashlib.sha256(np.ascontiguousarray(array, np.uint8).tobytes()).hexdigest()


@pytest.fixture(scope="module")
def default():
    return load_digits()


def test_default_set_is_frozen(default):
    assert [
        checksum(levels(default.X_train)),
        checksum(default.Y_train),
        checksum(levels(default.X_test)),
        checksum(default.Y_test),
    ] == [
        "d8462e9c906a4a23cc3d0d5937969b6c5141d8dfbdd15c70b56334505d11631f",
        "65f2b507bf49c7f97362d7098bbe7b5807fc16ab46ca79485d550ef81c113a85",
        "fcd42ffca931f4b0acd0e910105b82583cfef9989dbb865afce17b15cfc37a32",
        "8d97cd07c3e7304a9fd018f0271f7302e826a0ec71e036d46033e7043a7caa50",
    ]


def test_small_set_of_another_seed_is_frozen():
    X, Y = make_digits(37, seed=2017)
    assert [checksum(levels(X)), checksum(Y)] == [
        "c100528fa396cdd4bb2751972097140738ca97bab15b806642ed7747974a2833",
        "823c9f44ff68bc9f9cc268c4195fe79a7487a8232463f8019cf5d0058df85471",
    ]


def test_arrays(default):
    assert isinstance(default, Dataset)
    for X, Y in (default[:2], default[2:]):
        assert X.shape == (5000, 1, 28, 28)
        assert X.dtype == np.float32
        assert X.flags.c_contiguous
        assert X.flags.writeable
        assert X.min() == 0.0
        assert X.max() == 1.0
        assert np.array_equal(X, levels(X).astype(np.float32) / np.float32(255))
        assert Y.shape == (5000,)
        assert Y.dtype == np.int64


def test_classes_are_equal_in_every_beginning(default):
    for Y in (default.Y_train, default.Y_test):
        assert np.bincount(Y).tolist() == [500] * 10
        counts = np.cumsum(Y[:, np.newaxis] == np.arange(10), axis=0)
        assert np.all(counts.max(axis=1) - counts.min(axis=1) <= 1)
        assert not np.array_equal(Y[:10], Y[10:20])


@pytest.mark.parametrize("n", [1, 7, 10, 131, 2600])
def test_fewer_images_are_the_beginning_of_more(default, n):
    X, Y = make_digits(n, seed=0)
    assert np.array_equal(X, default.X_train[:n])
    assert np.array_equal(Y, default.Y_train[:n])


def test_set_sizes_are_independent_of_each_other(default):
    small = load_digits(0, 3, 12)
    assert [len(array) for array in small] == [3, 3, 12, 12]
    assert np.array_equal(small.X_test, default.X_test[:12])


def test_no_image_comes_twice(default):
    images = np.concatenate([default.X_train, default.X_test]).reshape(10000, -1)
    assert len({image.tobytes() for image in images}) == 10000


def test_train_and_test_are_streams_of_one_seed(default):
    X, Y = make_digits(20, seed=0, stream=1)
    assert np.array_equal(X, default.X_test[:20])
    assert np.array_equal(Y, default.Y_test[:20])
    assert not np.array_equal(default.Y_train, default.Y_test)
    # Pixels of independent sets correlate only through the digits that they show.
    for digit in range(10):
        train = default.X_train[default.Y_train == digit].reshape(500, -1)
        test = default.X_test[default.Y_test == digit].reshape(500, -1)
        mean = (train.mean(axis=0) + test.mean(axis=0)) / 2
        train, test = train - mean, test - mean
        norms = np.sqrt((train**2).sum(axis=1) * (test**2).sum(axis=1))
        assert abs(((train * test).sum(axis=1) / norms).mean()) < 0.06


@pytest.mark.parametrize("seed", [1, 2**32, 2**32 + 1, 2**64, 2**200])
def test_other_seeds_give_other_images(default, seed):
    X, Y = make_digits(50, seed=seed)
    assert not np.any(np.all(default.X_train[:50] == X, axis=(1, 2, 3)))
    assert not np.array_equal(Y, default.Y_train[:50])
    assert not np.array_equal(X, make_digits(50, seed=seed, stream=1)[0])


def test_digits_are_whole_and_inked(default):
    for X in (default.X_train, default.X_test):
        border = np.ones((28, 28), bool)
        border[1:-1, 1:-1] = False
        # A digit that is too large for the frame is centred and cut: a rare one.
        assert np.mean(X[:, 0, border].max(axis=1) > 0.5) < 0.02
        ink = X.sum(axis=(1, 2, 3))
        assert ink.min() > 20
        assert ink.max() < 300


def test_no_digit_is_empty_of_variety(default):
    for digit, styles in enumerate(STYLES):
        assert 1 <= len(styles) <= 3
        spread = default.X_train[default.Y_train == digit].std(axis=0)
        assert spread.max() > 0.2


def test_styles_fit_the_random_numbers():
    for styles in STYLES:
        for style in styles:
            knots = {point for stroke in style for point in stroke}
            assert len(knots) <= drawing._MOST_KNOTS
            assert all(len(stroke) >= 2 for stroke in style)
            assert max(abs(coordinate) for knot in knots for coordinate in knot) <= 1.0


def test_distance_equals_that_over_the_whole_image():
    random = np.random.default_rng(5)
    count, points = 9, 6
    x, y = random.uniform(-3.0, 31.0, (2, points, count))
    x[3], y[3] = x[2], y[2]  # a piece of no length
    reach = random.uniform(0.5, 4.0, count)
    lines = [(i, i + 1) for i in range(points - 1)]
    found = np.sqrt(drawing._squared_distance(lines, x, y, reach))

    row, column = np.mgrid[:28, :28][:, np.newaxis]
    nearest = np.full((count, 28, 28), np.inf)
    for start, end in lines:
        ax, ay, bx, by = (v[:, None, None] for v in (x[start], y[start], x[end], y[end]))
        length = np.hypot(bx - ax, by - ay)
        part = ((column - ax) * (bx - ax) + (row - ay) * (by - ay)) / np.maximum(length, 1e-9) ** 2
        part = np.clip(part, 0, 1)
        away = np.hypot(column - ax - part * (bx - ax), row - ay - part * (by - ay))
        nearest = np.minimum(nearest, away)
    within = nearest <= reach[:, None, None]
    assert within.any()
    np.testing.assert_allclose(found[within], nearest[within], rtol=1e-9, atol=1e-9)
    assert np.all(found[~within] > np.broadcast_to(reach[:, None, None], found.shape)[~within])


def test_bits_are_the_same_without_the_processor_s_vector_extensions():
    try:
        umath = importlib.import_module("numpy._core._multiarray_umath")
    except ImportError:
        umath = importlib.import_module("numpy.core._multiarray_umath")
    features = getattr(umath, "__cpu_features__", {})
    dispatched = [name for name in getattr(umath, "__cpu_dispatch__", ()) if features.get(name)]
    if not dispatched:
        pytest.skip("this NumPy picks no kernels by the processor's features")
    code = (
        "import hashlib; from elulayer.data import make_digits; X, Y = make_digits(300, seed=3);"
        "print(hashlib.sha256(X.tobytes() + Y.tobytes()).hexdigest())"
    )
    environment = {
        **os.environ,
        "NPY_DISABLE_CPU_FEATURES": " ".join(dispatched),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    X, Y = make_digits(300, seed=3)
    assert done.stdout.strip() == hashlib.sha256(X.tobytes() + Y.tobytes()).hexdigest()


@pytest.mark.parametrize("n", [0, -1])
def test_too_few_images(n):
    with pytest.raises(ValueError, match=f"n must be at least 1, not {n}"):
        make_digits(n)
    with pytest.raises(ValueError, match=f"n_train must be at least 1, not {n}"):
        load_digits(0, n, 5)
    with pytest.raises(ValueError, match=f"n_test must be at least 1, not {n}"):
        load_digits(0, 5, n)


@pytest.mark.parametrize("value", [5.0, "5", None, True, np.True_, [5], np.float64(5)])
def test_arguments_that_are_no_integers(value):
    shown = re.escape(repr(value))
    with pytest.raises(TypeError, match=f"n must be an integer, not {shown}"):
        make_digits(value)
    with pytest.raises(TypeError, match=f"seed must be an integer, not {shown}"):
        make_digits(5, seed=value)
    with pytest.raises(TypeError, match=f"stream must be an integer, not {shown}"):
        make_digits(5, stream=value)
    with pytest.raises(TypeError, match=f"n_test must be an integer, not {shown}"):
        load_digits(0, 5, value)


def test_negative_seed_and_stream():
    with pytest.raises(ValueError, match="seed must be at least 0, not -1"):
        load_digits(-1)
    with pytest.raises(ValueError, match="stream must be at least 0, not -1"):
        make_digits(5, stream=-1)


@pytest.mark.parametrize("kind", [np.int8, np.uint64, np.intp])
def test_numpy_integers_are_integers(default, kind):
    assert np.array_equal(load_digits(kind(0), kind(3), kind(3)).X_train, default.X_train[:3])
