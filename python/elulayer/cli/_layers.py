"""Layer classes named on the command line."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from .. import layers
from .._support.paths import user_path
from .._support.wording import line_in
from ..layers import Layer
from ._types import json_object

_folders: set[str] = set()
"""Those of the files that were run."""


def add_layer_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--layer``, for networks that hold layers of a user's own."""
    parser.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="FILE.py:CLASS",
        help="a layer class of your own that the network holds; the file's code is run",
    )


def add_constructor_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--args``, for a layer that the command makes."""
    parser.add_argument(
        "--args",
        type=json_object,
        default={},
        metavar="JSON",
        help="the layer's constructor arguments, such as '{\"num_channels\": 20}'",
    )


def made_layer(text: str, arguments: Mapping[str, Any], what: str = "the layer") -> Layer:
    """Make a layer of the class that `layer_class` finds.

    Raises
    ------
    ValueError
        If there is no such class, or it cannot be made of the arguments.
    """
    cls = layer_class(text, what)
    try:
        return cls(**arguments)
    except Exception as error:
        given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
        raise ValueError(
            f"{cls.__name__}({given}) raises {type(error).__name__}: {error}"
            f"{line_in_layer_files(error)}; --args must be the constructor's arguments"
        ) from error


def layer_classes(texts: Iterable[str]) -> list[type[Layer]]:
    """Return the classes of ``--layer``, each as of `layer_class`; a file's code is run once.

    Raises
    ------
    ValueError
        If there is no such class, or a file's code raises.
    """
    modules: dict[Path, ModuleType] = {}
    return [layer_class(text, "--layer", modules) for text in texts]


def layer_class(
    text: str, what: str = "the layer", modules: dict[Path, ModuleType] | None = None
) -> type[Layer]:
    """Return a built-in class by its name, or one from a file, whose code is run for that.

    Parameters
    ----------
    text : str
    what : str
        What messages call it.
    modules : dict, optional
        The files that were run already, by their paths; what is run is added.

    Raises
    ------
    ValueError
        If there is no such class, or the file's code raises.
    """
    modules = {} if modules is None else modules
    file, colon, name = text.rpartition(":")
    if not colon and text.endswith(".py"):
        file, name = text, ""
    if file:
        path = user_path(file)
        key = path.resolve()
        if key not in modules:
            modules[key] = _run_file(path, what)
        module = modules[key]
        found: dict[str, type[Layer]] = {
            key: value for key, value in vars(module).items() if _is_layer(value)
        }
        if name not in found:
            own = [key for key, value in found.items() if value.__module__ == module.__name__]
            defines = f"{file} defines {', '.join(own) or 'none'}"
            if isinstance(getattr(module, name, None), type):
                defines = f"{name} must be derived from elulayer.Layer: class {name}(el.Layer)"
            raise ValueError(
                f"{what} must be FILE.py:CLASS, a class of layers, not {text!r}; {defines}"
            )
        return found[name]
    if name not in layers.__all__ or name == "Layer":
        raise ValueError(
            f"{what} must be FILE.py:CLASS or a built-in class, not {text!r}; built in are "
            + ", ".join(known for known in layers.__all__ if known != "Layer")
        )
    cls: type[Layer] = getattr(layers, name)
    return cls


def _is_layer(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Layer) and value is not Layer


def _run_file(path: Path, what: str) -> ModuleType:
    if not path.is_file():
        python = Path(f"{path}.py")
        hint = f"; there is {python}" if python.is_file() else ""
        raise ValueError(f"the file of {what} must be an existing one, not {path}{hint}")
    name = f"elulayer_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"the file of {what} must be a Python file, not {path}")
    module = importlib.util.module_from_spec(spec)
    # As Python does with a file that it runs: what lies beside it can be imported.
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    _folders.update((folder, os.path.dirname(spec.origin or "")))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ValueError(f"{path} raises {type(error).__name__}: {error}") from error
    return module


def line_in_layer_files(error: BaseException) -> str:
    """Say in which line of a file that was run for a layer, or of one beside it, an error arose."""
    return line_in(error, lambda file: os.path.dirname(file) in _folders)
