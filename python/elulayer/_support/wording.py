"""Text for people: tables, shapes, counts, values."""

from __future__ import annotations

import os
import reprlib
import traceback
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

_LONGEST = 100
"""Characters of a value in a message."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]) -> list[str]:
    """Make the lines of a table: its head, a rule, and its rows.

    Parameters
    ----------
    head : sequence of str
    rows : sequence of sequence of str
        Of the head's length.
    right : collection of int
        The columns whose cells end, rather than begin, below each other.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, ["-" * width for width in widths], *rows)
    ]


def by(shape: Sequence[int]) -> str:
    """Write a shape for people: 20x24x24."""
    return "x".join(map(str, shape)) or "scalar"


def counted(count: int, thing: str) -> str:
    """Write how many there are of a thing: 1 image, 2 images."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def shown(value: Any) -> str:
    """Write a value as code, or what it is where that would be long or is an array."""
    if isinstance(value, np.ndarray):
        kind = "an array" if type(value) is np.ndarray else f"a {type(value).__name__}"
        return f"{kind} of shape {value.shape} and dtype {value.dtype}"
    text = repr(value)
    if len(text) <= _LONGEST and "\n" not in text:
        return text
    if isinstance(value, (dict, list, set, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    return reprlib.repr(value)


def described(value: Any) -> str:
    """Write a value with its type; of a tuple, what is in it."""
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}: ({', '.join(map(described, value))})"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None or isinstance(value, np.ndarray):
        return shown(value)
    return f"{type(value).__name__} {shown(value)}"


def line_in(file: str, error: BaseException | None) -> str:
    """Say in which line of a file an error, or what led to it, arose: " (line 3 of layers.py)".

    Nothing where it did not arise there.
    """
    while error is not None:
        for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
            if frame.f_code.co_filename == file:
                return f" (line {line} of {os.path.basename(file)})"
        error = error.__cause__
    return ""
