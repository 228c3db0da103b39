"""Checks of labels."""

from __future__ import annotations

import numpy.typing as npt

from .._support.typing import AnyArray
from ..network.labels import label_array, require_no_missing


def as_labels(what: str, Y: npt.ArrayLike, n: int | None = None) -> AnyArray:
    """Return labels as an array of shape (N,), or raise an error that says what they must be."""
    labels = label_array(what, Y)
    if labels.ndim != 1:
        raise ValueError(f"{what} must have shape (N,), one label per image, not {labels.shape}")
    require_no_missing(what, labels)
    if n is not None and len(labels) != n:
        raise ValueError(f"{what} must hold {n} labels, one per image, not {len(labels)}")
    return labels
