"""What arguments may be; argparse tells which one is not."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from pathlib import Path

_PICTURES = (".png", ".svg", ".pdf", ".jpg")


def positive_integer(text: str) -> int:
    """Take an integer from 1 on."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ArgumentTypeError(f"{text!r} is not a positive integer")
    return value


def seed(text: str) -> int:
    """Take an integer from 0 on."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise ArgumentTypeError(f"{text!r} is not an integer of at least 0")
    return value


def rate(text: str) -> float:
    """Take a positive number."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def finite(text: str) -> float:
    """Take a number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def new_file(text: str) -> Path:
    """Take the path of a file that can be written; known before a long run, not after it."""
    path = Path(text).expanduser()
    if not text or path.is_dir():
        raise ArgumentTypeError(f"{text!r} is not a file")
    if not path.parent.is_dir():
        raise ArgumentTypeError(f"the folder of {text!r} does not exist")
    return path


def picture(text: str) -> Path:
    """Take the path of a picture that can be written."""
    path = new_file(text)
    if path.suffix.lower() not in _PICTURES:
        raise ArgumentTypeError(f"{text!r} must end with {', '.join(_PICTURES)}")
    return path


def network_file(text: str) -> Path:
    """Take the path of a network to be saved."""
    path = new_file(text)
    if path.suffix != ".safetensors":
        raise ArgumentTypeError(f"{text!r} must end with .safetensors")
    return path
