"""The first layer of a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from .._support.checks import choice, integer, text
from .._support.typing import FloatArray
from .._support.wording import shown
from .base import Layer
from .batches import as_batches
from .inputs import floats


class ImageInputLayer(Layer):
    """Takes images in, and subtracts the training set's mean image from them.

    Parameters
    ----------
    input_shape : (int, int, int)
        Channels, height and width of an image.
    normalization : {"zerocenter", "none"}
        "zerocenter" subtracts the mean image, "none" passes images as they are.
    name : str
        Name of the layer.

    Attributes
    ----------
    mean : ndarray of shape input_shape, float32
        The mean image; zero before training.

    Raises
    ------
    TypeError, ValueError
        If the shape is not three positive integers or the normalization is unknown.
    """

    state: ClassVar[tuple[str, ...]] = ("mean",)
    mean: FloatArray

    def __init__(
        self, input_shape: Sequence[int], *, normalization: str = "zerocenter", name: str = ""
    ) -> None:
        given: object = input_shape
        if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != 3:
            raise ValueError(f"input_shape must be (channels, height, width), not {shown(given)}")
        shape = tuple(integer("a number of input_shape", n) for n in given)
        self.name = text("name", name)
        self.input_shape = shape
        self.normalization = choice("normalization", normalization, ("zerocenter", "none"))
        # Without a normalization Z is X itself.
        self.backward_uses_output = self.normalization == "none"
        self.description = "x".join(map(str, shape)) + f" images, normalization {normalization!r}"
        self.mean = np.zeros(shape, dtype=np.float32)

    def before_training(self, batches: Iterable[FloatArray]) -> None:
        """Compute the mean image, in float64."""
        if self.normalization == "zerocenter":
            total, count = np.zeros(self.input_shape), 0
            for more, images in as_batches(batches).map(_sum):
                total += more
                count += images
            self.mean = (total / count).astype(np.float32)

    def predict(self, X: FloatArray) -> FloatArray:
        """Subtract the mean image from `X`, an array of shape (N, C, H, W)."""
        X = floats("X", X)
        if self.normalization == "none":
            Z = X.view()
            Z.flags.writeable = False  # it is the caller's, whatever the layers above do
            return Z
        return X - self.mean.astype(X.dtype, copy=False)

    def backward(self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: Any) -> FloatArray:
        """Return dLdZ: a constant was subtracted."""
        return floats("dLdZ", dLdZ)


def _sum(X: FloatArray) -> tuple[FloatArray, int]:
    """Return the sum of a batch's images, in float64, and their number."""
    return X.sum(axis=0, dtype=np.float64), len(X)
