"""Training from mapped files and from iterables of batches."""

import tracemalloc

import numpy as np
import pytest

import elulayer as el
from shared.inputs import TENSOR_REFUSED, Tensor
from shared.small_network import blobs, options, same, small_layers, values


class Batches:
    """Batches that are made anew for every epoch."""

    def __init__(self, X, Y, size=16):
        self.X, self.Y, self.size = X, Y, size
        self.passes = 0

    def __iter__(self):
        self.passes += 1
        for i in range(0, len(self.X) - self.size + 1, self.size):
            yield self.X[i : i + self.size], self.Y[i : i + self.size]


def test_an_iterable_trains_like_the_arrays():
    X, Y = blobs(80)
    run = options(shuffle="never")
    array, record = el.train_network(X, Y, small_layers(), run)
    batches = Batches(X, Y)
    network, other = el.train_network(batches, None, small_layers(), run)
    assert same(values(array.layers), values(network.layers))
    assert np.array_equal(record.loss, other.loss)
    assert network.classes.tolist() == [0, 1, 2]
    # labels, mean image, four epochs, and batch normalization's statistics
    assert batches.passes == 7
    assert np.array_equal(array.predict(X), network.predict(X))


def test_images_and_labels_in_two_iterables():
    X, Y = blobs(80)
    run = options(shuffle="never")
    array, _ = el.train_network(X, Y, small_layers(), run)

    class Images:
        def __iter__(self):
            return iter(np.split(X, 5))

    class Labels:
        def __iter__(self):
            return iter(np.split(Y, 5))

    network, _ = el.train_network(Images(), Labels(), small_layers(), run)
    assert same(values(array.layers), values(network.layers))


def test_batches_may_differ_in_size_and_classes_be_given():
    X, Y = blobs(50)
    batches = [(X[:7], Y[:7]), (X[7:40], Y[7:40]), (X[40:], Y[40:])]
    network, record = el.train_network(
        batches, None, small_layers(), options(max_epochs=2), classes=[0, 1, 2]
    )
    assert record.epoch.tolist() == [1, 1, 1, 2, 2, 2]
    assert network.classes.tolist() == [0, 1, 2]


def test_classes_may_be_more_than_the_labels_show():
    X, Y = blobs()
    layers = small_layers()
    layers[4] = el.FullyConnectedLayer(5)
    network, _ = el.train_network(X, Y, layers, options(max_epochs=1), classes=range(5))
    assert network.num_classes == 5
    for bad in ([1, 0, 2], [0, 0, 1, 2], [[0, 1, 2]]):
        with pytest.raises(ValueError, match="classes must be different labels in sorted order"):
            el.train_network(X, Y, small_layers(), options(), classes=bad)
    with pytest.raises(ValueError, match=r"Y must hold labels of the classes .*, not the label 2"):
        el.train_network(X, Y, small_layers(), options(), classes=[0, 1, 4])


def test_a_mapped_file_trains_like_the_array_and_is_not_read_as_a_whole(tmp_path):
    X, Y = blobs(3000)
    levels = (255 * X.clip(0, 1)).astype(np.uint8)
    np.save(tmp_path / "X.npy", levels)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    run = options(max_epochs=1)
    one, _ = el.train_network(levels, Y, small_layers(), run)
    two, _ = el.train_network(mapped, Y, small_layers(), run)
    assert same(values(one.layers), values(two.layers))
    assert np.array_equal(one.classify(levels), two.classify(mapped))


def test_training_makes_no_copy_of_the_set():
    """An array whose images all lie in the same memory, as those of a sparse file do."""
    X = np.broadcast_to(np.zeros((1, 1, 8, 8), np.float32), (60_000, 1, 8, 8))
    Y = np.arange(len(X), dtype=np.int8) % 3
    layers = small_layers()
    del layers[2]
    tracemalloc.start()
    try:
        network, _ = el.train_network(X, Y, layers, options(max_epochs=1, mini_batch_size=500))
        network.classify(X)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Beside a mini-batch: 8 bytes an image each for the order, the class and the prediction, and
    # the probabilities.
    assert peak < 0.5 * X.nbytes


@pytest.mark.parametrize(
    ("X", "Y", "error", "message"),
    [
        (iter([]), None, TypeError, "X must .* anew .*, not a list_iterator, which gives"),
        ((p for p in []), None, TypeError, "X must .* anew .*, not a generator, which gives"),
        ([], None, ValueError, "iterable of batches must give at least one batch"),
        ([1], None, TypeError, r"must give pairs \(X, Y\), not int"),
        (5, None, TypeError, r"X must be an iterable of batches \(X, Y\), not int"),
        (np.zeros((3, 1, 8, 8)), None, TypeError, "without Y, X must be an iterable of batches"),
        (object(), [1], TypeError, "X and Y must both be arrays or both be iterables of batches"),
        (Batches(*blobs()), np.arange(9), TypeError, "not Batches and ndarray"),
        (np.zeros((2, 5, 1, 8, 8)), range(2), ValueError, "must have shape"),
        (
            [np.zeros((1, 1, 8, 8))] * 2,
            [[0]],
            ValueError,
            "Y must have as many batches as X, not fewer",
        ),
        (
            [np.zeros((1, 1, 8, 8))],
            [[0], [1]],
            ValueError,
            "X must have as many batches as Y, not fewer",
        ),
        (
            Batches(*blobs()),
            (y for y in []),
            TypeError,
            "Y must .* anew .*, not a generator, which",
        ),
        (
            [(np.zeros((2, 1, 8, 8)), [0])],
            None,
            ValueError,
            "a batch must hold 2 labels, .*, not 1",
        ),
        ([(np.zeros((2, 1, 8, 7)), [0, 1])], None, ValueError, r"must have shape \(N, 1, 8, 8\)"),
        ([(np.full((1, 1, 8, 8), np.nan), [0])], None, ValueError, "NaN or infinity"),
    ],
)
def test_what_does_not_fit(X, Y, error, message):
    with pytest.raises(error, match=message):
        el.train_network(X, Y, small_layers(), options(), classes=[0, 1, 2])


def test_an_iterables_labels_must_be_known():
    X, Y = blobs(32)
    with pytest.raises(ValueError, match=r"Y must hold labels of the classes .*, not the label 2"):
        el.train_network([(X, Y)], None, small_layers(), options(), classes=[0, 1, 3])


def test_an_iterable_may_fill_one_array_again_and_again():
    X, Y = blobs(80)

    class Refilling:
        def __init__(self):
            self.images, self.labels = np.empty_like(X[:16]), np.empty_like(Y[:16])

        def __iter__(self):
            for i in range(0, 80, 16):
                self.images[...], self.labels[...] = X[i : i + 16], Y[i : i + 16]
                yield self.images, self.labels

    run = options(shuffle="never")
    one, _ = el.train_network(X, Y, small_layers(), run)
    two, _ = el.train_network(Refilling(), None, small_layers(), run)
    assert same(values(one.layers), values(two.layers))


def test_lists_of_batches():
    X, Y = blobs(80)
    run = options(shuffle="never")
    one, _ = el.train_network(X, Y, small_layers(), run)
    two, _ = el.train_network(np.split(X, 5), np.split(Y, 5), small_layers(), run)
    assert same(values(one.layers), values(two.layers))


def test_an_empty_batch_is_refused():
    X, Y = blobs(32)
    batches = [(X[:16], Y[:16]), (X[:0], Y[:0]), (X[16:], Y[16:])]
    with pytest.raises(ValueError, match="a batch of the iterable must hold at least one image"):
        el.train_network(batches, None, small_layers(), options())


def test_masked_labels_are_refused():
    X, Y = blobs(32)
    with pytest.raises(TypeError, match="Y must not be a masked array"):
        el.train_network(X, np.ma.masked_array(Y), small_layers(), options())


def test_no_classes_are_refused():
    X, Y = blobs(32)
    with pytest.raises(ValueError, match="classes must be different labels in sorted order"):
        el.train_network(X, Y, small_layers(), options(), classes=[])


def test_what_numpy_cannot_read_is_named():
    X, Y = blobs(30)
    for images, labels, name in ((Tensor(), Y, "X"), (X, Tensor(), "Y")):
        with pytest.raises(TypeError, match=f"^{name} {TENSOR_REFUSED}"):
            el.train_network(images, labels, small_layers(), options())
    with pytest.raises(TypeError, match=f"^classes {TENSOR_REFUSED}"):
        el.Network(small_layers(), classes=Tensor())
    network = el.Network(small_layers())
    network.initialize()
    with pytest.raises(TypeError, match=f"^X {TENSOR_REFUSED}"):
        network.predict(Tensor())
