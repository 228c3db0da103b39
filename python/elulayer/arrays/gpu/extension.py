"""The compiled CUDA unit, imported when it is first asked for."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def load() -> Any:
    """Return the extension ``elulayer._cuda``."""
    return importlib.import_module("elulayer._cuda")


def usable(name: str) -> Any:
    """Return the extension, or say why the argument of this name cannot be computed with."""
    reason = unavailable()
    if reason is not None:
        raise RuntimeError(f"{name} is on a GPU, which elulayer cannot use: {reason}")
    return load()


@cache
def unavailable() -> str | None:
    """Why no device can be used; None where one can."""
    try:
        info = load().info()
    except ImportError as error:
        return f"elulayer._cuda cannot be imported: {error}"
    return None if info["available"] else str(info["reason"])
