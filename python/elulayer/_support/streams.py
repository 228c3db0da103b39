"""Text on the standard streams, which may be missing, or not have a character."""

from __future__ import annotations

import contextlib
from typing import Any


def write(text: str, stream: Any) -> None:
    """Write text to a stream such as ``sys.stdout``, and flush it.

    Nothing happens where there is no stream (None, as under pythonw) or it is closed. Characters
    that its encoding does not have are escaped.

    Parameters
    ----------
    text : str
    stream : object with ``write``, or None

    Raises
    ------
    OSError
        If the stream cannot be written; its ``filename`` is the stream's name.
    """
    if stream is None or getattr(stream, "closed", False):
        return
    try:
        try:
            stream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(stream, "encoding", None) or "ascii"
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        if hasattr(stream, "flush"):
            stream.flush()
    except OSError as error:
        if error.errno is not None:
            error.filename = getattr(stream, "name", None)
        raise


def is_terminal(stream: Any) -> bool:
    """Whether a stream is one, and a terminal."""
    with contextlib.suppress(AttributeError, ValueError):  # ValueError: it is closed
        return bool(stream.isatty())
    return False
