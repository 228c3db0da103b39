"""What arguments may be; argparse tells which one is not."""

from __future__ import annotations

import math
import os
from argparse import ArgumentTypeError
from pathlib import Path

from .._support.paths import user_path
from .._support.whole_files import require_writable

_PICTURES = (".png", ".svg", ".pdf", ".jpg")


def positive_integer(text: str) -> int:
    """Take an integer from 1 on."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ArgumentTypeError(f"must be a positive integer, not {text!r}")
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


def new_file(text: str) -> Path:
    """Take the path of a file that can be written; known before a long run, not after it."""
    path = user_path(text)
    if not text or os.path.isdir(path):
        raise ArgumentTypeError(f"must be a file, not {text!r}")
    if not os.path.isdir(path.parent):
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
    path = user_path(text)
    if os.path.exists(path) and not os.path.isdir(path):
        raise ArgumentTypeError(f"must be a folder, not the file {text!r}")
    if not text or not os.path.isdir(path.parent):
        raise ArgumentTypeError(f"must be in an existing folder, not {text!r}")
    return path


def picture(text: str) -> Path:
    """Take the path of a picture that can be written."""
    path = new_file(text)
    if path.suffix.lower() not in _PICTURES:
        *most, last = _PICTURES
        raise ArgumentTypeError(f"must end with {', '.join(most)} or {last}, not {text!r}")
    return path


def network_file(text: str) -> Path:
    """Take the path of a network to be saved."""
    path = new_file(text)
    if path.suffix != ".safetensors":
        raise ArgumentTypeError(f"must end with .safetensors, not {text!r}")
    return path
