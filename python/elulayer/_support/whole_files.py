"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from .paths import matching, user_path

_LONGEST_NAME = 40
"""Characters of a file's name that its part's has: a part may be written where the file may."""

_ABANDONED = 3600.0
"""Seconds without a write after which nobody is writing to a part."""


class UnwrittenWarning(RuntimeWarning):
    """A file could not be written, and what it belongs to goes on without it."""


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
        If the file cannot be written; its `filename` is `path`.
    """
    with _named(path):
        target = _target(path)
        part = _part(target)
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                part.chmod(target.stat().st_mode & 0o777)
            _replace(part, target)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink()
            raise
    if hasattr(os, "O_DIRECTORY"):
        # Not every file system can do this, and the file is in its place already.
        with contextlib.suppress(OSError):
            folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def require_writable(path: str | os.PathLike[str]) -> None:
    """Try whether `write_whole` can write a file, and leave everything as it was.

    Parameters
    ----------
    path : str or path

    Raises
    ------
    OSError
        If the file cannot be written; its `filename` is `path`.
    """
    with _named(path):
        target = _target(path)
        part = _part(target)
        part.open("xb").close()
        part.unlink()
        if target.exists():
            _require_replaceable(target)


def remove_abandoned_parts(folder: Path, pattern: str) -> None:
    """Remove what killed writes of files of this pattern have left behind.

    Another process may be writing there: parts that are younger than an hour stay.
    """
    for part in matching(folder, f".{pattern}.*.part"):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED:
                part.unlink()


def _replace(part: Path, target: Path) -> None:
    """Put a file into another one's place."""
    try:
        os.replace(part, target)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        shutil.copyfile(part, target)  # a place that is mounted, as containers do, stays
        part.unlink()


def _require_replaceable(target: Path) -> None:
    """Check what keeps a file in its place, though its folder can be written to."""
    try:
        target.open("r+b").close()
    except PermissionError as error:
        if error.errno == errno.EPERM:  # it is immutable; that it is read-only alone is no matter
            raise
    folder = target.parent.stat()
    owners = (target.stat().st_uid, folder.st_uid)
    if (
        folder.st_mode & stat.S_ISVTX
        and hasattr(os, "geteuid")
        and os.geteuid() not in (0, *owners)
    ):
        raise PermissionError(errno.EPERM, "another user's file in a folder such as /tmp")


@contextlib.contextmanager
def _named(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let errors of the system name the file as it was given, not the part of it."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def _target(path: str | os.PathLike[str]) -> Path:
    """Return the file that is replaced."""
    target = Path(os.path.realpath(user_path(path)))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "Not a file that can be replaced, but a device or the like")
    return target


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name[:_LONGEST_NAME]}.{secrets.token_hex(4)}.part")
