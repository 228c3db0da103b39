"""Image files, by Pillow: one as an array, and folders of them with a sub-folder for each class."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
import numpy.typing as npt

from .._support.checks import characters, integer, number, size_pair
from .._support.paths import open_file, require_folder, user_path
from .dataset import Dataset, TooFewImagesError, balanced_order

__all__ = ["load_image_folder", "read_image"]

Files = list[tuple[Path, str]]
"""Image files with the names of their classes."""

_SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)

# The folders of those to be tested on, where there is one "train".
_TRAIN = ("train", "training")
_TEST = ("test", "testing", "val", "valid", "validation")

_CHANNELS = {1: "L", 3: "RGB"}


def read_image(
    path: str | os.PathLike[str],
    *,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
) -> npt.NDArray[np.float32]:
    """Read an image file that Pillow can read.

    Parameters
    ----------
    path : str or path-like
        The file. It is turned as its EXIF says; what is transparent is white, as it is shown.
    image_size : int or (int, int), optional
        Height and width that it is scaled to.
    channels : {1, 3}, optional
        1 for grey, 3 for red, green and blue; by default what the file has.

    Returns
    -------
    ndarray of float32, shape (channels, H, W)
        Values in [0, 1].

    Raises
    ------
    ImportError
        If the package Pillow is not installed.
    OSError
        If the file cannot be read.
    TypeError, ValueError
        If it is no image, or damaged: the message names it; or if an argument is not as above.
    """
    pillow = _pillow()
    name = user_path(path)
    size = None if image_size is None else size_pair("image_size", image_size)
    wanted = _checked_channels(channels)
    with _opened(pillow, name) as image:
        return _array(pillow, image, size, wanted or _channels_of(image))


def load_image_folder(
    folder: str | os.PathLike[str],
    *,
    image_size: int | tuple[int, int] | None = None,
    channels: int | None = None,
    test_fraction: float = 0.2,
    n_train: SupportsIndex | None = None,
    n_test: SupportsIndex | None = None,
    seed: int = 0,
) -> Dataset:
    """Load images from a folder that has a sub-folder for each class.

    As torchvision's ImageFolder and MATLAB's imageDatastore have it: the classes are the names of
    the sub-folders, and images in folders below them belong to them. Where the sub-folders are
    "train" (or "training") and "test" (or "testing", "val", "valid", "validation"), the classes are
    in these, and nothing is drawn at random. Hidden files, links to folders below a class, and
    files that are no images by their names are passed over.

    Parameters
    ----------
    folder : str or path-like
    image_size : int or (int, int), optional
        Height and width that images are scaled to; without it they must have one size.
    channels : {1, 3}, optional
        1 for grey, 3 for red, green and blue; by default 1 where all images are grey.
    test_fraction : float
        The part of each class, drawn at random, that is tested on: at least one image. Without
        meaning where there are "train" and "test".
    n_train, n_test : int, optional
        Number of training and of test images, at least 1; all by default. A smaller number takes
        the classes as equal as their sizes allow.
    seed : int
        Of the draw.

    Returns
    -------
    Dataset
        ``X_train`` and ``X_test`` are float32 of shape (n, channels, H, W), values in [0, 1];
        ``Y_train`` and ``Y_test`` are the classes' names, or int64 where all are numbers such
        as 0 to 9. Both are ordered by class and file name.

    Raises
    ------
    ImportError
        If the package Pillow is not installed.
    FileNotFoundError
        If the folder does not exist.
    OSError
        If a file cannot be read.
    TypeError, ValueError
        If the folder has fewer than two sub-folders, one of them holds no image, a file is no image
        or damaged, sizes differ, or an argument is not as above. Messages name the file.
    """
    pillow = _pillow()
    where = user_path(folder)
    size = None if image_size is None else size_pair("image_size", image_size)
    wanted = _checked_channels(channels)
    limits = [
        None if limit is None else integer(name, limit)
        for limit, name in ((n_train, "n_train"), (n_test, "n_test"))
    ]
    fraction = number("test_fraction", test_fraction, below=1.0, positive=True)
    parts = _find(where, fraction, np.random.default_rng(integer("seed", seed, least=0)))
    chosen = [
        _limited(files, limit, name, where)
        for files, limit, name in zip(parts, limits, ("n_train", "n_test"), strict=True)
    ]
    everything = [path for part in chosen for path, _ in part]
    size, count = _common(pillow, everything, size, wanted)
    arrays = []
    for part in chosen:
        images = np.empty((len(part), count, *size), dtype=np.float32)
        for i, (path, _) in enumerate(part):
            with _opened(pillow, path) as image:
                images[i] = _array(pillow, image, size, count)
        arrays += [images, _labels([name for _, name in part])]
    return Dataset(*arrays)


def holds_image_files(folder: Path) -> bool:
    """Whether a folder has a sub-folder with an image file in it."""
    return any(next(_images(sub), None) is not None for sub in _folders(folder))


def holds_loose_images(folder: Path) -> bool:
    """Whether a folder itself has an image file in it."""
    return any(path.suffix.lower() in _SUFFIXES for path in folder.iterdir())


def _pillow() -> Any:
    try:
        pillow = importlib.import_module("PIL")
        for module in ("ExifTags", "Image", "ImageOps"):
            importlib.import_module(f"PIL.{module}")
    except ImportError as error:
        raise ImportError(
            "image files need the package Pillow, which cannot be imported: "
            "pip install 'elulayer[images]'"
        ) from error
    return pillow


def _checked_channels(channels: Any) -> int | None:
    if channels is not None and (type(channels) is not int or channels not in _CHANNELS):
        raise ValueError(f"channels must be 1 or 3, not {channels!r}")
    return None if channels is None else int(channels)


def _find(where: Path, fraction: float, rng: np.random.Generator) -> tuple[Files, Files]:
    """Return the files to train and to test on."""
    require_folder(where, "a sub-folder of images for each class")
    given = {folder.name.lower(): folder for folder in _folders(where)}
    learned = next((given[name] for name in _TRAIN if name in given), None)
    test = next((given[name] for name in _TEST if name in given), None)
    if learned is not None and test is not None:
        train, tested = _classes(learned), _classes(test)
        unknown = sorted({name for _, name in tested} - {name for _, name in train})
        if unknown:
            raise ValueError(f"{learned} must have a sub-folder {unknown[0]}, which {test} has")
        return train, tested
    parts: tuple[Files, Files] = [], []
    files = _classes(where)
    for name in sorted({name for _, name in files}):
        own = [file for file in files if file[1] == name]
        if len(own) < 2:
            raise ValueError(
                f"{where / name} must hold at least two images, one to train and one to test on, "
                "not one"
            )
        held = min(max(round(fraction * len(own)), 1), len(own) - 1)
        tested_on = set(rng.permutation(len(own))[:held].tolist())
        for i, file in enumerate(own):
            parts[i in tested_on].append(file)
    return parts


def _classes(where: Path) -> Files:
    """Return the images of all classes."""
    folders = _folders(where)
    if len(folders) < 2:
        raise ValueError(
            f"{where} must have a sub-folder of images for each class, at least two, not "
            f"{len(folders)}"
        )
    files = []
    for folder in folders:
        characters("the name of a class's folder", str(folder))
        own = [(path, folder.name) for path in _images(folder)]
        if not own:
            raise ValueError(
                f"{folder} must hold images, files named {', '.join(sorted(_SUFFIXES))}; there are "
                "none"
            )
        files += own
    return files


def _folders(where: Path) -> list[Path]:
    return sorted(p for p in where.iterdir() if p.is_dir() and not p.name.startswith("."))


def _images(folder: Path) -> Iterator[Path]:
    """Yield the images of a class, those in folders below it too."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if not path.is_symlink():  # it may lead back up
                yield from _images(path)
        elif path.suffix.lower() in _SUFFIXES and path.is_file():
            yield path


def _limited(files: Files, limit: int | None, name: str, where: Path) -> Files:
    """Return so many of the files, the classes as equal as can be."""
    if limit is None:
        return files
    if limit > len(files):
        raise TooFewImagesError(name, len(files), f"the number of such images in {where}", limit)
    codes = np.unique([label for _, label in files], return_inverse=True)[1]
    chosen = np.sort(balanced_order(codes.astype(np.int64))[:limit])
    return [files[i] for i in chosen]


def _common(
    pillow: Any, paths: Iterable[Path], size: tuple[int, int] | None, channels: int | None
) -> tuple[tuple[int, int], int]:
    """Return the size and the number of channels of all, before any is read whole."""
    seen: dict[tuple[int, int], Path] = {}
    most = 1
    for path in paths:
        with _opened(pillow, path) as image:
            seen.setdefault(_size_of(pillow, image), path)
            most = max(most, _channels_of(image))
    if size is None:
        (size, first), *others = seen.items()
        if others:
            raise ValueError(
                f"images must have one size, or image_size must be given, not {size} as {first} "
                f"and {others[0][0]} as {others[0][1]} (height, width)"
            )
    return size, channels or most


@contextmanager
def _opened(pillow: Any, path: Path) -> Iterator[Any]:
    """Open an image file; what is wrong with it, then or in the block, is told with its name."""
    with open_file(path) as file:
        try:
            with pillow.Image.open(file, formats=_formats(pillow)) as image:
                pixels, most = image.width * image.height, pillow.Image.MAX_IMAGE_PIXELS
                if most is not None and pixels > most:  # Pillow warns, up to the double of it
                    raise ValueError(f"it has {pixels} pixels; {most} is the most that are taken")
                yield image
        except MemoryError:
            raise
        except pillow.UnidentifiedImageError:
            raise ValueError(
                f"{path} must be a whole image file: it is of no format that is read by Pillow"
            ) from None
        except Exception as error:  # Pillow raises its own, and OSError, SyntaxError, ...
            raise ValueError(f"{path} must be a whole image file: {error}") from error


def _formats(pillow: Any) -> list[str]:
    """Return the formats that are read: not PostScript, which is a program and would be run."""
    pillow.Image.init()
    return [name for name in pillow.Image.OPEN if name != "EPS"]


def _size_of(pillow: Any, image: Any) -> tuple[int, int]:
    """Return height and width, turned as EXIF says."""
    turned = image.getexif().get(pillow.ExifTags.Base.Orientation, 1) >= 5
    width, height = reversed(image.size) if turned else image.size
    return height, width


def _channels_of(image: Any) -> int:
    if image.mode == "P":
        palette = np.reshape(image.getpalette("RGB"), (-1, 3))
        return 1 if (palette == palette[:, :1]).all() else 3
    return 1 if image.mode in ("1", "L", "LA", "La", "I", "F") or image.mode[0] == "I" else 3


def _array(
    pillow: Any, image: Any, size: tuple[int, int] | None, channels: int
) -> npt.NDArray[np.float32]:
    """Return an image's values, from 0 to 1."""
    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise ValueError("its values must be of 8 or 16 bits, not of 32, whose range is not known")
    image = pillow.ImageOps.exif_transpose(image)
    if image.mode[0] == "I":  # 16 bits
        values = np.asarray(image, dtype=np.float64) / 65535
        if not 0 <= values.min() <= values.max() <= 1:
            raise ValueError("grey levels must be from 0 to 65535")
        image = pillow.Image.fromarray((values * 255).astype(np.float32))
    else:
        if image.has_transparency_data:
            image = image.convert("RGBA")
            white = pillow.Image.new("RGBA", image.size, "white")
            image = pillow.Image.alpha_composite(white, image)
        image = image.convert(_CHANNELS[channels])
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], pillow.Image.Resampling.BILINEAR)
    array = np.asarray(image, dtype=np.float32) / np.float32(255)
    if array.ndim == 2:
        return np.broadcast_to(array, (channels, *array.shape)).copy()
    return np.ascontiguousarray(array.transpose(2, 0, 1))


def _labels(names: list[str]) -> npt.NDArray[Any]:
    """Return the classes' names; int64 where all are such numbers."""
    numbers = all(name.isascii() and name.isdigit() and len(name) < 19 for name in names)
    if numbers and all(str(int(name)) == name for name in set(names)):
        return np.array(names, dtype=np.int64)
    return np.array(names)
