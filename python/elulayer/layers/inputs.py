"""The arrays that layers' methods are called with."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._support.typing import FloatArray
from ..arrays.host import Host


def floats(name: str, value: Any) -> FloatArray:
    """Return what NumPy makes of an argument, as `elulayer.elu` does.

    Parameters
    ----------
    name : str
        Of the argument.
    value : array-like
        An array of a floating dtype stays as it is.

    Returns
    -------
    array : ndarray
        Of a floating dtype; nothing is converted to another one.

    Raises
    ------
    TypeError, ValueError
        If `value` is no array of a floating dtype, nor one that NumPy can make an array of.
    """
    if type(value) is np.ndarray and value.dtype.kind == "f":
        return value
    array: FloatArray = Host(0).read(value, name).array
    return array
