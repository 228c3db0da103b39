"""The binary version of CIFAR-10: five files to train on and one to test on.

A file is records of 3073 bytes: the label, from 0 to 9, and 32x32 pixels of red, then those of
green, then those of blue, each in rows.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from .._support.checks import integer
from .._support.paths import open_file, require_folder, user_path
from .dataset import Dataset, TooFewImagesError, balanced_order

__all__ = ["load_cifar10"]

_SHAPE = (3, 32, 32)
_RECORD = 1 + 3 * 32 * 32
_CLASSES = 10
_MOST_RECORDS = 100_000  # ten times what CIFAR-10's files hold
_SUBFOLDER = "cifar-10-batches-bin"
_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_TEST = ("test_batch.bin",)


def load_cifar10(
    folder: str | os.PathLike[str],
    n_train: SupportsIndex | None = None,
    n_test: SupportsIndex | None = None,
) -> Dataset:
    """Load CIFAR-10 from the files of its binary version.

    The files are ``data_batch_1.bin`` to ``data_batch_5.bin`` and ``test_batch.bin``, as
    ``cifar-10-binary.tar.gz`` has them in its folder ``cifar-10-batches-bin``.

    Parameters
    ----------
    folder : str or path-like
        Folder that holds the six files, or their folder ``cifar-10-batches-bin``.
    n_train, n_test : int, optional
        Number of training and of test images, at least 1; all by default, 50000 and 10000. A
        smaller number takes the first images of every class, the classes as equal as their sizes
        allow, in the files' order: the result depends on the files alone.

    Returns
    -------
    Dataset
        ``X_train`` and ``X_test`` are float32 of shape (n, 3, 32, 32), multiples of 1/255 in
        [0, 1], the channels red, green and blue; ``Y_train`` and ``Y_test`` are int64 of shape
        (n,), 0 to 9.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist, or files are missing: the message lists them.
    ValueError
        If a file does not hold a whole number of records, 1 to 100000, or has a label above 9,
        or if `n_train` or `n_test` is less than 1 or more than the files hold.
    TypeError
        If `n_train` or `n_test` is not an integer.
    OSError
        If a file cannot be read.
    """
    limits = [
        None if limit is None else integer(name, limit)
        for limit, name in ((n_train, "n_train"), (n_test, "n_test"))
    ]
    where = _find(user_path(folder))
    X_train, Y_train = _load(where, _TRAIN, limits[0], "n_train")
    X_test, Y_test = _load(where, _TEST, limits[1], "n_test")
    return Dataset(X_train, Y_train, X_test, Y_test)


def _find(folder: Path) -> Path:
    """Return the folder that holds the files."""
    require_folder(folder, "the six files of CIFAR-10's binary version")
    inner = folder / _SUBFOLDER
    where = inner if inner.is_dir() else folder
    missing = [name for name in (*_TRAIN, *_TEST) if not (where / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"{where} must hold the six files of CIFAR-10's binary version, not "
            f"{6 - len(missing)} of them; missing: {', '.join(missing)}"
        )
    return where


def _load(
    folder: Path, names: Sequence[str], limit: int | None, what: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    records = np.concatenate([_read(folder / name) for name in names])
    labels = records[:, 0].astype(np.int64)
    if limit is not None:
        if limit > len(records):
            where = f"the number of images in {', '.join(names)} of {folder}"
            raise TooFewImagesError(what, len(records), where, limit)
        chosen = np.sort(balanced_order(labels)[:limit])
        records, labels = records[chosen], labels[chosen]
    images = records[:, 1:].astype(np.float32).reshape(-1, *_SHAPE)
    images /= np.float32(255)
    return images, labels


def _read(path: Path) -> npt.NDArray[np.uint8]:
    """Read a file's records, each as a row."""
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size <= _RECORD * _MOST_RECORDS:
            values = np.frombuffer(file.read(size), dtype=np.uint8)
            size = len(values)  # the file may have shrunk since
    if size == 0 or size % _RECORD or size > _RECORD * _MOST_RECORDS:
        raise ValueError(
            f"{path} must hold a whole number of records of {_RECORD} bytes, at least one and at "
            f"most {_MOST_RECORDS}, not {size} bytes"
        )
    records = values.reshape(-1, _RECORD)
    wrong = np.flatnonzero(records[:, 0] >= _CLASSES)
    if len(wrong):
        raise ValueError(
            f"{path} must hold labels from 0 to {_CLASSES - 1}, not {records[wrong[0], 0]} as in "
            f"record {wrong[0] + 1}"
        )
    return records
