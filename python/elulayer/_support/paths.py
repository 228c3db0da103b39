"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path whose beginning ``~`` stands for the home folder.

    Where there is no such home, the name stays as it is.
    """
    return Path(os.path.expanduser(path))


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
