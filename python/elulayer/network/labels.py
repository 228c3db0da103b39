"""Labels of classes, whatever array they come in."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._support.checks import as_array, characters
from .._support.typing import AnyArray


def label_array(what: str, Y: npt.ArrayLike) -> AnyArray:
    """Return an array of labels, of which those of NumPy's `StringDType` are objects.

    `numpy.searchsorted` compares them with no other strings. What is no array is refused as `what`.
    """
    labels = as_array(what, Y)
    return labels.astype(object) if labels.dtype.kind == "T" else labels


def plain_strings(labels: AnyArray) -> AnyArray:
    """Return labels of dtype str where all of them are str, as pandas' are; others as they are."""
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels.flat):
        strings = np.array(labels.tolist(), dtype=str)
        if strings.tolist() == labels.tolist():  # dtype str drops null characters at the end
            return strings
    return labels


def distinct(what: str, labels: AnyArray) -> AnyArray:
    """Return the different labels, sorted.

    Raises
    ------
    TypeError
        If they cannot be.
    """
    try:
        return np.unique(labels)
    except TypeError as error:
        raise TypeError(f"{what} must be of one type that can be sorted: {error}") from error


def require_no_missing(what: str, labels: AnyArray) -> None:
    """Check that no label is NaN or another value that stands for none, such as pandas' NA.

    Raises
    ------
    ValueError
        If one is; the message says where.
    """
    if labels.dtype.kind == "O":
        missing = np.array([_is_missing(label) for label in labels.tolist()], dtype=bool)
    elif labels.dtype.kind in "fcmM":
        missing = labels != labels
    else:
        return
    if missing.any():
        first = int(missing.argmax())
        raise ValueError(
            f"{what} must not hold NaN or what else stands for no label, {labels[first]!r} as at "
            f"index {first}; there are {missing.sum()} of them"
        )


def require_characters(what: str, labels: AnyArray) -> None:
    """Check labels that are str as `checks.characters` does."""
    for label in labels.ravel().tolist() if labels.dtype.kind == "U" else ():
        characters(what, label)


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except (ArithmeticError, TypeError, ValueError):  # pandas' NA is neither equal nor unequal
        return True
