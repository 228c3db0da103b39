"""Photos of digits become images such as networks were trained on."""

import numpy as np
import pytest

import elulayer as el
from elulayer.data import prepare_digit
from shared.photos import photo


@pytest.fixture(scope="module")
def network():
    data = el.data.load_digits(0, n_train=2560, n_test=10)
    options = el.TrainingOptions("sgdm", max_epochs=8, verbose=False, seed=0)
    layers = el.models.blog_layers((1, 28, 28), 10)
    return el.train_network(data.X_train, data.Y_train, layers, options)[0]


@pytest.fixture(scope="module")
def photos(network):
    """Ten photos of each digit; the network knows the digits that are in them."""
    rng = np.random.default_rng(1)
    X, Y = el.data.load_digits(7, n_train=200, n_test=10)[:2]
    known = network.classify(X) == Y
    chosen = np.concatenate([np.flatnonzero(known & (d == Y))[:10] for d in range(10)])
    return [photo(X[i, 0], rng) for i in chosen], Y[chosen]


def test_networks_recognize_them(network, photos):
    """Nine in ten; without the preparation hardly any."""
    pictures, labels = photos
    assert len(pictures) == 100
    prepared = np.stack([prepare_digit(picture) for picture in pictures])
    right = (network.classify(prepared) == labels).mean()
    assert right >= 0.9, right
    small = np.stack([p[:224, :196].reshape(28, 8, 28, 7).mean((1, 3)) for p in pictures])
    assert (network.classify(small[:, None]) == labels).mean() < 0.3


def test_ink_may_be_lighter_than_paper(photos):
    for picture in photos[0][::10]:
        light = 1 - picture
        difference = prepare_digit(light) - prepare_digit(picture)
        assert np.abs(difference).mean() < 0.01


@pytest.mark.parametrize("size", [28, (20, 32)])
def test_the_result(size, photos):
    for picture in photos[0][::10]:
        result = prepare_digit(picture, size)
        height, width = (size, size) if isinstance(size, int) else size
        assert result.shape == (1, height, width) and result.dtype == np.float32
        assert result.min() == 0 and result.max() == 1
        assert not result[0, [0, -1]].any() and not result[0, :, [0, -1]].any()
        total = result.sum()
        for axis, extent in ((1, height), (0, width)):
            places = (np.arange(extent) + 0.5) / extent
            assert abs(result[0].sum(axis=axis) @ places / total - 0.5) < 0.1


def test_every_form_of_a_photo(photos):
    picture = photos[0][0]
    expected = prepare_digit(picture)
    for other in (picture[None], np.stack([picture] * 3), picture * 255, picture - 4):
        np.testing.assert_allclose(prepare_digit(other), expected, atol=1e-5)
    assert np.abs(prepare_digit((picture * 255).astype(np.uint8)) - expected).mean() < 0.01


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.ones(5), ValueError, r"shape \(H, W\), .* not float64 of shape \(5,\)"),
        (np.ones((2, 5, 5)), ValueError, "image must have 1 or 3 channels, not 2"),
        (np.full((9, 9), np.nan), ValueError, "image must be finite"),
        (np.ones((30, 30)), ValueError, "nothing in it stands out"),
        (np.random.default_rng(0).normal(size=(60, 60)), ValueError, "nothing in it stands out"),
        ([["a"]], ValueError, "image must hold numbers"),
        (np.ones((0, 4)), ValueError, "image must hold numbers"),
    ],
)
def test_what_is_no_photo_of_a_digit(image, error, message):
    with pytest.raises(error, match=message):
        prepare_digit(image)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 50), (2, 28)])
def test_images_without_room_for_a_digit(shape):
    with pytest.raises(ValueError, match="image must show a digit"):
        prepare_digit(np.eye(*shape))
