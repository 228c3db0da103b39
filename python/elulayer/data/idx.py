"""The IDX format of MNIST and its successors: one array, and a folder of four files.

An IDX file is a header of big-endian numbers and the array's elements in C order: two zero bytes,
one byte for the element type, one for the number of dimensions, four bytes per dimension.
"""

from __future__ import annotations

import gzip
import math
import os
import sys
import zlib
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex

import numpy as np
import numpy.typing as npt

from .._support.checks import integer
from .._support.paths import open_file, require_folder, user_path
from .dataset import Dataset, TooFewImagesError, balanced_order, images_from_levels

__all__ = ["load_idx", "read_idx"]

_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}

# The least that every supported NumPy can hold.
_MOST_DIMENSIONS = 32

_GZIP_MAGIC = b"\x1f\x8b"

# Deflate codes 258 bytes in two bits at best, so no compressed file holds more than this.
_MOST_DEFLATED = 1032

_CHUNK = 1 << 20

_PARTS = (
    ("train-images", 3),
    ("train-labels", 1),
    ("t10k-images", 3),
    ("t10k-labels", 1),
)


class _Header(NamedTuple):
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Length of the header in bytes."""
        return 4 + 4 * len(self.shape)

    @property
    def body(self) -> int:
        """Length of the elements in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def describe(self) -> str:
        """Say what the header declares."""
        native = self.dtype.newbyteorder("=")
        return f"a header of {self.size} and {self.body} bytes of {native} {self.shape}"


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Read one array from an IDX file, plain or compressed by gzip.

    Compression is found by the file's content, not by its name. What the header declares is
    compared with what the file holds before memory is taken for it: a plain file by its size, a
    compressed one piece by piece.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    ndarray
        The array in native byte order: uint8, int8, int16, int32, float32 or float64, of the
        shape that the header declares (``()`` for no dimensions: one element). It is writable.

    Raises
    ------
    ValueError
        If the file is not an IDX file, holds fewer or more bytes than its header declares, or is
        damaged in its compression. The message names the file, what it must hold and what it
        holds.
    OSError
        If the file cannot be opened or read.
    """
    path = user_path(path)
    name = str(path)
    with open_file(path) as file:
        if file.read(2) == _GZIP_MAGIC:
            file.seek(0)
            return _read_compressed(file, name)
        file.seek(0)
        return _read_plain(file, name)


def load_idx(
    folder: str | os.PathLike[str],
    *,
    n_train: SupportsIndex | None = None,
    n_test: SupportsIndex | None = None,
) -> Dataset:
    """Load MNIST, Fashion-MNIST or any other data set of the same four IDX files.

    The files are ``train-images-idx3-ubyte``, ``train-labels-idx1-ubyte``,
    ``t10k-images-idx3-ubyte`` and ``t10k-labels-idx1-ubyte``; ``-idx`` may be ``.idx``, and
    ``.gz`` may follow. Where several are there, the plain file goes before the compressed one.

    Parameters
    ----------
    folder : str or path-like
        Folder that holds the four files.
    n_train, n_test : int, optional
        Number of training and of test images, at least 1; all by default. A smaller number takes
        the first training images and the last test images of every class, the classes as equal as
        their sizes allow, in the file's order: the result depends on the files alone.

    Returns
    -------
    Dataset
        ``X_train`` and ``X_test`` are float32 of shape (n, 1, H, W), multiples of 1/255 in
        [0, 1]; ``Y_train`` and ``Y_test`` are int64 of shape (n,).

    Notes
    -----
    The two halves of MNIST's test file come from different writers and are not equally hard: of
    its last 5000 images a network gets three in a hundred more right than of its first 5000. A
    figure on part of them should say which.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist, or files are missing: the message lists them and the names
        that are looked for.
    ValueError
        If a file is no valid IDX file, images are not uint8 of three dimensions, labels are not
        uint8 of one, their numbers or the two image sizes differ, there are none, or `n_train`
        or `n_test` is less than 1 or more than the file holds.
    TypeError
        If `n_train` or `n_test` is not an integer.
    OSError
        If a file cannot be read.
    """
    limits = [
        None if limit is None else integer(name, limit)
        for limit, name in ((n_train, "n_train"), (n_test, "n_test"))
    ]
    train_images, train_labels, test_images, test_labels = _find(user_path(folder))
    X_train, Y_train = _load_pair(train_images, train_labels, limits[0], "n_train")
    X_test, Y_test = _load_pair(test_images, test_labels, limits[1], "n_test", last=True)
    if X_train.shape[2:] != X_test.shape[2:]:
        raise ValueError(
            f"{test_images} must hold images of {X_train.shape[2:]} pixels, as {train_images}, "
            f"not of {X_test.shape[2:]}"
        )
    return Dataset(X_train, Y_train, X_test, Y_test)


def _parse_header(start: bytes, name: str) -> _Header:
    """Parse a header from the file's beginning, which is complete or the whole file."""
    if len(start) < 4:
        raise ValueError(
            f"{name} must be an IDX file, with a header of at least 4 bytes, not {len(start)} bytes"
        )
    code, dimensions = start[2], start[3]
    if start[:2] != b"\0\0" or code not in _TYPES:
        known = ", ".join(f"{known:02x}" for known in _TYPES)
        raise ValueError(
            f"{name} must be an IDX file, which begins with the bytes 00 00, an element type "
            f"({known}) and the number of dimensions, not with the bytes {start[:4].hex(' ')}"
        )
    if dimensions > _MOST_DIMENSIONS:
        raise ValueError(
            f"{name} must hold an array of at most {_MOST_DIMENSIONS} dimensions, not {dimensions}"
        )
    end = 4 + 4 * dimensions
    if len(start) < end:
        raise ValueError(
            f"{name} must hold a header of {end} bytes for {dimensions} dimensions, not "
            f"{len(start)} bytes: it is truncated"
        )
    shape = tuple(int.from_bytes(start[i : i + 4], "big") for i in range(4, end, 4))
    header = _Header(_TYPES[code], shape)
    # NumPy bounds even an empty array by the product of its other extents.
    if math.prod(max(extent, 1) for extent in shape) * header.dtype.itemsize > sys.maxsize:
        raise ValueError(
            f"{name} must hold an array that fits into memory, not one of the shape {shape} that "
            "its header declares"
        )
    return header


def _read_header(file: BufferedReader | gzip.GzipFile, name: str) -> _Header:
    """Read the header and not one byte more."""
    start = file.read(4)
    if len(start) == 4:
        start += file.read(4 * min(start[3], _MOST_DIMENSIONS))
    return _parse_header(start, name)


def _read_plain(file: BufferedReader, name: str) -> npt.NDArray[Any]:
    held = os.fstat(file.fileno()).st_size
    header = _read_header(file, name)
    if held != header.size + header.body:
        raise _wrong_size(name, header, f"{held} bytes", held < header.size + header.body)
    body = bytearray(header.body)
    # The file may have shrunk since.
    got = file.readinto(body) if body else 0
    if got != header.body:
        raise _wrong_size(name, header, f"{header.size + got} bytes", True)
    return _array(body, header)


def _read_compressed(file: BufferedReader, name: str) -> npt.NDArray[Any]:
    held = os.fstat(file.fileno()).st_size
    body = bytearray()
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as stream:
            header = _read_header(stream, name)
            if header.body > held * _MOST_DEFLATED:
                raise _wrong_size(name, header, f"a gzip file of {held} bytes in all", True)
            while len(body) < header.body:
                chunk = stream.read(min(_CHUNK, header.body - len(body)))
                if not chunk:
                    found = f"{header.size + len(body)} bytes in a gzip file"
                    raise _wrong_size(name, header, found, True)
                body += chunk
            # Reading past the last element also checks the checksum that follows it.
            if stream.read(1):
                raise _wrong_size(name, header, "more bytes in a gzip file", False)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"{name} must be a whole gzip file, not a damaged one ({error})"
        ) from error
    return _array(body, header)


def _wrong_size(name: str, header: _Header, found: str, short: bool) -> ValueError:
    fault = "truncated" if short else "too long"
    return ValueError(f"{name} must hold {header.describe()}, not {found}: it is {fault}")


def _array(body: bytearray, header: _Header) -> npt.NDArray[Any]:
    array = np.frombuffer(body, header.dtype).reshape(header.shape)
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _find(folder: Path) -> list[Path]:
    """Return the four files' paths, in the order of `_PARTS`."""
    require_folder(folder, "the four IDX files")
    found: list[Path] = []
    missing: list[str] = []
    for part, dimensions in _PARTS:
        names = [
            f"{part}{separator}idx{dimensions}-ubyte{suffix}"
            for suffix in ("", ".gz")
            for separator in ("-", ".")
        ]
        path = next((folder / name for name in names if (folder / name).is_file()), None)
        if path is None:
            missing.append(f"{part} ({', '.join(names)})")
        else:
            found.append(path)
    if missing:
        raise FileNotFoundError(
            f"{folder} must hold the four IDX files, not {4 - len(missing)} of them; missing, each "
            f"with the names that it may have: {'; '.join(missing)}"
        )
    return found


def _load_pair(
    images_path: Path, labels_path: Path, limit: int | None, name: str, last: bool = False
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    images = _read_bytes(images_path, 3, "images")
    labels = _read_bytes(labels_path, 1, "labels").astype(np.int64)
    if len(images) != len(labels):
        raise ValueError(
            f"{labels_path} must hold {len(images)} labels, one per image of {images_path}, not "
            f"{len(labels)}"
        )
    if images.size == 0:
        raise ValueError(
            f"{images_path} must hold at least one image, not an array of shape {images.shape}"
        )
    if limit is not None:
        if limit > len(images):
            where = f"the number of images in {images_path}"
            raise TooFewImagesError(name, len(images), where, limit)
        order = len(labels) - 1 - balanced_order(labels[::-1]) if last else balanced_order(labels)
        chosen = np.sort(order[:limit])
        images, labels = images[chosen], labels[chosen]
    return images_from_levels(images), labels


def _read_bytes(path: Path, dimensions: int, what: str) -> npt.NDArray[np.uint8]:
    array = read_idx(path)
    if array.dtype != np.uint8 or array.ndim != dimensions:
        raise ValueError(
            f"{path} must hold {what}: uint8 of {dimensions} dimensions, not {array.dtype} of "
            f"{array.ndim}"
        )
    return array
