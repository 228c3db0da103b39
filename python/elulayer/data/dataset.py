"""The record that every loader of this package returns, and what the loaders share."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Dataset"]


class Dataset(NamedTuple):
    """A training set and a test set of labelled images.

    Attributes
    ----------
    X_train : ndarray of float32, shape (N, 1, H, W)
        Training images, values in [0, 1], one grey channel.
    Y_train : ndarray of int64, shape (N,)
        Class of every training image.
    X_test : ndarray of float32, shape (M, 1, H, W)
        Test images.
    Y_test : ndarray of int64, shape (M,)
        Class of every test image.
    """

    X_train: npt.NDArray[np.float32]
    Y_train: npt.NDArray[np.int64]
    X_test: npt.NDArray[np.float32]
    Y_test: npt.NDArray[np.int64]


class TooFewImagesError(ValueError):
    """More images are asked for than there are.

    Parameters
    ----------
    name : str
        The argument that asks.
    most : int
        How many there are.
    what : str
        What `most` is, for the message.
    given : int
    """

    def __init__(self, name: str, most: int, what: str, given: int) -> None:
        super().__init__(f"{name} must be at most {most}, {what}, not {given}")
        self.name, self.most, self.what = name, most, what


def images_from_levels(levels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Turn (N, H, W) grey levels 0..255 into (N, 1, H, W) float32 images in [0, 1]."""
    images = levels.astype(np.float32)[:, np.newaxis, :, :]
    images /= np.float32(255)
    return images


def balanced_order(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Order samples so that every prefix holds the classes as equally as their sizes allow.

    The first occurrence of every class comes first, then every second occurrence, and so on;
    within one such round the classes ascend.

    Parameters
    ----------
    labels : ndarray of int64, shape (N,)
        Class of every sample.

    Returns
    -------
    ndarray of intp, shape (N,)
        Indices into `labels`.
    """
    by_class = np.argsort(labels, kind="stable")
    grouped = labels[by_class]
    occurrence = np.empty(labels.shape, np.intp)
    occurrence[by_class] = np.arange(labels.size) - np.searchsorted(grouped, grouped, side="left")
    return np.lexsort((labels, occurrence))
