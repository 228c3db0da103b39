"""Images as a network takes them: many or one, and in the order of their axes."""

import re

import numpy as np
import pytest

import elulayer as el
from shared.small_network import blobs, options, small_layers


def test_one_image():
    X, Y = blobs()
    network, _ = el.train_network(X, Y, small_layers(), options(max_epochs=1))
    assert np.array_equal(network.predict(X[4]), network.predict(X[4:5])[0])
    assert network.classify(X[4]) == network.classify(X[4:5])[0]
    assert np.shape(network.classify(X[4])) == ()


@pytest.mark.parametrize(
    ("shape", "cure"),
    [
        ((1, 8, 9), ""),
        ((8, 8, 1), "; channels come first: X.transpose(2, 0, 1)"),
        ((5, 8, 8), ""),
    ],
)
def test_one_image_of_another_shape(shape, cure):
    network = el.Network(small_layers(), range(3))
    network.initialize(0)
    message = f"X must have shape (N, 1, 8, 8), or (1, 8, 8) for one image, not {shape}{cure}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        network.classify(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("axes", "shape", "cure"),
    [
        ((0, 2, 3, 1), (3, 8, 9), "; channels come first: X.transpose(0, 3, 1, 2)"),
        ((2, 3, 1, 0), (3, 8, 9), "; images and channels come first: X.transpose(3, 2, 0, 1)"),
        ((0, 1, 2, 3), (8, 9, 3), "; ImageInputLayer takes channels, height and width: (3, 8, 9)"),
        ((0, 1, 3, 2), (3, 8, 9), ""),
    ],
)
def test_axes_in_another_order(axes, shape, cure):
    X = np.zeros((5, 3, 8, 9), np.float32).transpose(axes)
    layers = [el.ImageInputLayer(shape), *small_layers()[1:]]
    wanted = ", ".join(map(str, shape))
    message = f"X must have shape (N, {wanted}), not {X.shape}{cure}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        el.train_network(X, np.arange(5) % 3, layers, options())


def test_images_as_matlab_has_them():
    """Height, width, channels in both places."""
    layers = [el.ImageInputLayer([28, 28, 1]), *small_layers()[1:]]
    message = r"takes channels, height and width, \(1, 28, 28\), and .* X.transpose\(3, 2, 0, 1\)$"
    with pytest.raises(ValueError, match=message):
        el.train_network(np.zeros((28, 28, 1, 5)), np.arange(5) % 3, layers, options())


def test_pictures_of_one_image():
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    X, Y = blobs()
    (axes,) = el.plots.plot_images(X[3], Y[3]).axes
    assert len(axes.images) == 1 and axes.texts[0].get_text() == str(Y[3])
