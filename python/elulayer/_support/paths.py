"""Paths as people write them."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any


def user_path(path: Any, what: str = "path") -> Path:
    """Return a path whose beginning ``~`` stands for the home folder.

    Where there is no such home, the name stays as it is.

    Raises
    ------
    TypeError
        If it is none; the message calls it `what`.
    """
    try:
        return Path(os.path.expanduser(os.fsdecode(path)))
    except TypeError as error:
        raise TypeError(f"{what} must be str or os.PathLike, not {path!r}") from error


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[BufferedReader]:
    """Open a file whose bytes are read.

    Raises
    ------
    OSError
        If it cannot be opened; its `filename` is `path`.
    ValueError
        If it is a pipe or a device, which may have no end and keep who opens it waiting.
    """
    without_waiting = getattr(os, "O_NONBLOCK", 0)
    with open(
        path, "rb", opener=lambda name, flags: os.open(name, flags | without_waiting)
    ) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError(f"{path} must be a file, not a pipe or a device")
        yield file


def matching(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder whose names match, in the order of their names.

    Raises
    ------
    OSError
        If it cannot be listed, which `pathlib.Path.glob` takes for an empty one.
    """
    return [folder / name for name in sorted(fnmatch.filter(os.listdir(folder), pattern))]


def require_folder(folder: Path, content: str) -> None:
    """Check that a folder, which should hold `content`, is there.

    Raises
    ------
    FileNotFoundError
        If there is nothing of this name.
    NotADirectoryError
        If it is something else.
    """
    if folder.is_dir():
        return
    must = f"{folder} must be a folder that holds {content}"
    if folder.exists():
        raise NotADirectoryError(f"{must}, not a file")
    raise FileNotFoundError(f"{must}; it does not exist")
