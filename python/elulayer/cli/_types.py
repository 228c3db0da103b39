"""What arguments may be; argparse tells which one is not."""

from __future__ import annotations

import json
import math
import os
from argparse import ArgumentTypeError, Namespace
from itertools import combinations
from pathlib import Path
from typing import Any

from .._support.paths import user_path
from .._support.whole_files import require_writable

_MOST = 10**9

_PICTURES = (".png", ".svg", ".pdf", ".jpg")


def positive_integer(text: str) -> int:
    """Take an integer from 1 to a billion, which no array outgrows."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ArgumentTypeError(f"must be a positive integer, not {text!r}")
    if value > _MOST:
        raise ArgumentTypeError(f"must be at most {_MOST}, not {text!r}")
    return value


def seed(text: str) -> int:
    """Take an integer from 0 on."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise ArgumentTypeError(f"must be an integer of at least 0, not {text!r}")
    return value


def rate(text: str) -> float:
    """Take a positive number."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"must be a positive number, not {text!r}")
    return value


def finite(text: str) -> float:
    """Take a number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ArgumentTypeError(f"must be a finite number, not {text!r}")
    return value


def size(text: str) -> tuple[int, int]:
    """Take a height and a width, 28x28, or one number for both."""
    height, cross, width = text.partition("x")
    try:
        return positive_integer(height), positive_integer(width if cross else height)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"must be HxW, such as 28x28, not {text!r}") from error


def path(text: str) -> Path:
    """Take the path of a file or folder."""
    if not text:
        raise ArgumentTypeError("must be a path, not ''")
    return Path(text)


def new_file(text: str) -> Path:
    """Take the path of a file that can be written; known before a long run, not after it."""
    file = user_path(text)
    if not text or os.path.isdir(file):
        raise ArgumentTypeError(f"must be a file, not {text!r}")
    if not os.path.isdir(file.parent):
        raise ArgumentTypeError(f"must be in an existing folder, not {text!r}")
    try:
        require_writable(text)
    except OSError as error:
        raise ArgumentTypeError(
            f"must be a file that can be written, not {text!r}: {error.strerror}"
        ) from error
    return Path(text)


def new_folder(text: str) -> Path:
    """Take the path of a folder that is there or can be made."""
    folder = user_path(text)
    if os.path.exists(folder) and not os.path.isdir(folder):
        raise ArgumentTypeError(f"must be a folder, not the file {text!r}")
    if not text or not os.path.isdir(folder.parent):
        raise ArgumentTypeError(f"must be in an existing folder, not {text!r}")
    return folder


def picture(text: str) -> Path:
    """Take the path of a picture that can be written."""
    file = new_file(text)
    if file.suffix.lower() not in _PICTURES:
        *most, last = _PICTURES
        raise ArgumentTypeError(f"must end with {', '.join(most)} or {last}, not {text!r}")
    return file


def network_file(text: str) -> Path:
    """Take the path of a network to be saved."""
    file = new_file(text)
    if file.suffix != ".safetensors":
        raise ArgumentTypeError(f"must end with .safetensors, not {text!r}")
    return file


def onnx_file(text: str) -> Path:
    """Take the path of an ONNX model to be written."""
    file = new_file(text)
    if file.suffix != ".onnx":
        raise ArgumentTypeError(f"must end with .onnx, not {text!r}")
    return file


def check_different(args: Namespace) -> None:
    """Refuse one file for two purposes.

    Raises
    ------
    ValueError
        If two of the arguments that are paths lead to the same file, or one that is written to a
        file in a sub-folder of ``--data``, where images are.
    """
    given = {name: value for name, value in vars(args).items() if isinstance(value, Path)}
    paths = [(_INPUTS.get(name, f"--{name}"), path) for name, path in given.items()]
    paths += [("an image", path) for path in getattr(args, "pictures", ())]
    for (first, one), (second, other) in combinations(paths, 2):
        if first != second and _real(one) == _real(other):
            if second in _INPUTS.values():
                first, second = second, first
            raise ValueError(f"{second} must be another file than {first}, not {str(other)!r}")
    if not getattr(args, "data", None):
        return
    data = _real(Path(args.data))
    for name, path in given.items():
        real = _real(path)
        if name not in _INPUTS and real.is_file() and data in real.parent.parents:
            raise ValueError(f"--{name} must be another file than those of --data, not '{path}'")


_INPUTS = {"network": "the network", "pictures": "an image"}
"""The arguments that are read, as messages call them."""


def _real(path: Path) -> Path:
    return Path(os.path.realpath(user_path(path)))


def json_object(text: str) -> dict[str, Any]:
    """Read keyword arguments as JSON."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"must be JSON, not {text!r}: {error}") from error
    if not isinstance(value, dict):
        raise ArgumentTypeError(f"must be a JSON object, not {text!r}")
    # JSON has no tuples, which sizes are.
    return {name: tuple(v) if isinstance(v, list) else v for name, v in value.items()}
