"""Text on the standard streams, which may be missing, or not have a character."""

from __future__ import annotations

import contextlib
import re
import select
from typing import Any

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What is not text, and may be a command to a terminal: from a file, anybody's."""


def write(text: str, stream: Any) -> None:
    """Write text to a stream such as ``sys.stdout``, and flush it.

    Nothing happens where there is no stream (None, as under pythonw) or it is closed. Characters
    that its encoding does not have are escaped, and so are control characters other than the end
    of a line and the tabulator.

    Parameters
    ----------
    text : str
    stream : object with ``write``, or None

    Raises
    ------
    OSError
        If the stream cannot be written; its ``filename`` is the stream's name.
    """
    try:
        if not hasattr(stream, "write") or getattr(stream, "closed", False):
            return
    except ValueError:  # it is detached from its buffer
        return
    text = _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
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


def show(text: str, stream: Any) -> None:
    """Write text that what it tells of must not fail for."""
    with contextlib.suppress(OSError):
        write(text, stream)


def is_abandoned(stream: Any) -> bool:
    """Whether a stream is a pipe that nobody reads any more, or a terminal that has gone.

    False where the system cannot tell.
    """
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
    except (AttributeError, OSError, ValueError):  # Windows has no such poll, other streams no file
        return False
    return bool(poll.poll(0))


def is_terminal(stream: Any) -> bool:
    """Whether a stream is one, and a terminal."""
    with contextlib.suppress(Exception):  # it may be None, closed, or whatever has a write
        return bool(stream.isatty())
    return False
