"""The two networks that the package's seeds tell of: the blog's, and Caffe's "quick"."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..layers import (
    AveragePooling2DLayer,
    BatchNormalizationLayer,
    ClassificationLayer,
    Convolution2DLayer,
    ELULayer,
    FullyConnectedLayer,
    ImageInputLayer,
    Layer,
    MaxPooling2DLayer,
    SoftmaxLayer,
)

__all__ = ["Activation", "blog_layers", "quick_layers"]

Activation = Callable[[int], Layer]
"""Makes an activation layer for a number of channels."""


def blog_layers(
    image_shape: Sequence[int],
    num_classes: int,
    activation: Activation | None = None,
    batch_normalization: bool = True,
) -> list[Layer]:
    """Return the layers of the blog post "Defining Your Own Network Layer".

    Parameters
    ----------
    image_shape : (int, int, int)
        Channels, height and width of an image; at least 5x5.
    num_classes : int
        Number of classes.
    activation : callable, optional
        Makes the activation layer for a number of channels; by default `ELULayer`.
    batch_normalization : bool
        Whether the convolution is followed by batch normalization.

    Returns
    -------
    layers : list of Layer
        Image input, convolution 5x5x20, batch normalization, activation, fully connected,
        softmax, classification.
    """
    activation = ELULayer if activation is None else activation
    return [
        ImageInputLayer(image_shape),
        Convolution2DLayer(5, 20),
        *([BatchNormalizationLayer()] if batch_normalization else []),
        activation(20),
        FullyConnectedLayer(num_classes),
        SoftmaxLayer(),
        ClassificationLayer(),
    ]


def quick_layers(
    image_shape: Sequence[int], num_classes: int, activation: Activation | None = None
) -> list[Layer]:
    """Return the layers of Caffe's network "cifar10_quick".

    Three blocks of a convolution 5x5 with padding 2 and a pooling 3x3 with stride 2, whose last
    windows hang over the edge as Caffe's do: 32x32 images become 16x16, 8x8 and 4x4. In the first
    block the activation follows the pooling, as it does there. The weights start after He et al.,
    since images in [0, 1] and weights of standard deviation 0.01 leave nothing of the signal; Caffe
    starts from other deviations, layer by layer, for images in [0, 255].

    Parameters
    ----------
    image_shape : (int, int, int)
        Channels, height and width of an image.
    num_classes : int
        Number of classes.
    activation : callable, optional
        Makes the activation layer for a number of channels; by default `ELULayer`. It is called
        three times.

    Returns
    -------
    layers : list of Layer
    """
    activation = ELULayer if activation is None else activation

    def convolution(num_filters: int) -> Layer:
        return Convolution2DLayer(5, num_filters, padding=2, weights_initializer="he")

    def average() -> Layer:
        return AveragePooling2DLayer(3, stride=2, ceil_mode=True)

    return [
        ImageInputLayer(image_shape),
        convolution(32),
        MaxPooling2DLayer(3, stride=2, ceil_mode=True),
        activation(32),
        convolution(32),
        activation(32),
        average(),
        convolution(64),
        activation(64),
        average(),
        FullyConnectedLayer(64, weights_initializer="he"),
        FullyConnectedLayer(num_classes, weights_initializer="he"),
        SoftmaxLayer(),
        ClassificationLayer(),
    ]
