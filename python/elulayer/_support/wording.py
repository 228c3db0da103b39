"""Text for people: tables, shapes, counts, values."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

_LONGEST = 100
"""Characters of a value in a message, and things in a container that are looked at."""

_MOST = 6
"""Elements of an array or a tuple that are written."""


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
    """Write a value as code, in one line, or say what it is where that would be long."""
    if isinstance(value, np.ndarray) and value.size > _MOST:
        return _array(value)
    kind = type(value).__name__
    is_container = isinstance(value, (dict, frozenset, list, set, tuple))
    if is_container and len(value) > _LONGEST:
        return f"a {kind} of {len(value)}"
    try:
        text = " ".join(repr(value).splitlines())
    except Exception:  # a class of the user's, or an integer of thousands of digits
        text = object.__repr__(value)
    if len(text) <= _LONGEST:
        return text
    return f"a {kind} of {len(value)}" if is_container else f"{text[:_LONGEST]}..."


def described(value: Any) -> str:
    """Write a value with its type; of a tuple, what is in it."""
    if isinstance(value, tuple):
        items = ", ".join(map(described, value[:_MOST])) + ", ..." * (len(value) > _MOST)
        return f"a tuple of {len(value)}" + f": ({items})" * bool(value)
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, np.ndarray):
        return _array(value)
    if type(value) in (bool, bytes, complex, float, int, str):
        return f"{type(value).__name__} {shown(value)}"
    return shown(value)


def _array(value: np.ndarray[Any, Any]) -> str:
    kind = "an array" if type(value) is np.ndarray else f"a {type(value).__name__}"
    return f"{kind} of shape {value.shape} and dtype {value.dtype}"


def line_in(error: BaseException | None, is_own: Callable[[str], bool]) -> str:
    """Say in which line of a user's file an error, or what led to it, arose.

    Such as " (line 3 of layers.py)"; nothing where it did not arise in a file that is the user's.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
            file = frame.f_code.co_filename
            if is_own(file):
                in_notebook = "ipykernel" in os.path.basename(os.path.dirname(file))
                return f" (line {line} of {'the cell' if in_notebook else os.path.basename(file)})"
        error = error.__cause__
    return ""
