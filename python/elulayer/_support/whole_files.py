"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Write beside the file, and put it into the file's place once it is on the disk.

    A symbolic link is followed, the permissions of an old file are kept. A write that fails leaves
    nothing behind; one that is killed leaves the old file, and beside it one whose name begins with
    a dot and ends with ``.part``.

    Parameters
    ----------
    path : str or path
    data : bytes

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = Path(os.path.realpath(Path(path).expanduser()))
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            part.chmod(path.stat().st_mode & 0o777)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    if hasattr(os, "O_DIRECTORY"):
        # Not every file system can do this, and the file is in its place already.
        with contextlib.suppress(OSError):
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
