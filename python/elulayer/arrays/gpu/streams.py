"""The streams that callers name."""

from __future__ import annotations

import operator
from typing import Any

from .libraries import DEFAULT_STREAM


def stream_handle(stream: Any, device: int) -> int:
    """Return the cudaStream_t of a stream object or a number."""
    place = getattr(stream, "device_index", getattr(stream, "device_id", None))
    if place is not None and place >= 0 and place != device:
        raise ValueError(f"stream must be of CUDA device {device}, as the arrays, not of {place}")
    handle = _number_of(stream)
    if handle is None:
        raise TypeError(
            "stream must be a stream of PyTorch or CuPy, an object with __cuda_stream__, or the "
            f"number of a cudaStream_t, not {stream!r}"
        )
    return handle or DEFAULT_STREAM


def _number_of(stream: Any) -> int | None:
    """Return the number that a stream object has, or that is one; None for anything else."""
    try:
        if isinstance(stream, bool):
            return None
        if hasattr(stream, "__cuda_stream__"):
            stream = stream.__cuda_stream__()[1]
        elif hasattr(stream, "cuda_stream"):  # PyTorch
            stream = stream.cuda_stream
        elif hasattr(stream, "ptr"):  # CuPy
            stream = stream.ptr
        number = operator.index(stream)
    except (TypeError, IndexError):
        return None
    return number if 0 <= number < 1 << 64 else None
