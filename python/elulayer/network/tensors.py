"""Arrays and a description in one file, in the safetensors format: nothing in it is executed.

The file's metadata are ``format``, what the file holds and in which version; ``description``, for
people; ``content``, JSON; and ``sha256`` over the content and the arrays.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from io import BufferedReader
from typing import Any

import numpy as np

from .._core import __version__
from .._support.paths import open_file, user_path
from .._support.typing import AnyArray
from .._support.whole_files import write_whole

_LONGEST_HEADER = 100_000_000  # safetensors' own


def write_tensors(
    path: str | os.PathLike[str],
    kind: str,
    tensors: Mapping[str, AnyArray],
    content: Mapping[str, Any],
    description: str,
) -> None:
    """Write a file that is whole or not there: a write that is cut off leaves an old file as it is.

    Parameters
    ----------
    path : str or path
        The file. A symbolic link is followed.
    kind : str
        What it holds, and in which version: ``"elulayer network 1"``.
    tensors : mapping of str to ndarray
        Numbers or booleans.
    content : mapping
        What JSON can hold.
    description : str
        For people.

    Raises
    ------
    ImportError
        If the package safetensors is not installed.
    OSError
        If the file cannot be written.
    """
    write_whole(path, pack_tensors(kind, tensors, content, description))


def pack_tensors(
    kind: str, tensors: Mapping[str, AnyArray], content: Mapping[str, Any], description: str
) -> bytes:
    """Return the bytes of the file that `write_tensors` writes.

    Raises
    ------
    ImportError
        If the package safetensors is not installed.
    """
    save = _safetensors("safetensors.numpy").save
    arrays = {name: np.array(tensor, order="C") for name, tensor in tensors.items()}
    text = json.dumps(content, allow_nan=False)
    metadata = {
        "format": kind,
        "elulayer": __version__,
        "description": description,
        "content": text,
        "sha256": _digest(text, arrays),
    }
    return _in_order(save(arrays, metadata))


def _in_order(data: bytes) -> bytes:
    """Return a safetensors file with its metadata sorted, so that equal networks are equal files.

    It begins with the length of its header in 8 bytes, and the header as JSON; places of tensors
    are counted from its end.
    """
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[end:]


def read_tensors(
    path: str | os.PathLike[str], kind: str
) -> tuple[dict[str, AnyArray], dict[str, Any]]:
    """Read what `write_tensors` wrote.

    Parameters
    ----------
    path : str or path
        The file.
    kind : str
        What it must hold.

    Returns
    -------
    tensors : dict of str to ndarray
    content : dict

    Raises
    ------
    ImportError
        If the package safetensors is not installed.
    OSError
        If the file cannot be read.
    ValueError
        If the file is damaged or holds something else.
    """
    load = _safetensors("safetensors.numpy").load
    path = user_path(path)
    # Not by safetensors, which maps a file: to cut it short meanwhile would end this process.
    try:
        with open_file(path) as file:
            metadata = _read_metadata(file)
            tensors: dict[str, AnyArray] = load(file.read())
    except OSError:
        raise
    except MemoryError as error:
        raise MemoryError(f"{path} does not fit into memory") from error
    except Exception as error:
        # safetensors raises its own error, a TypeError for unknown dtypes, a KeyError, ...
        raise ValueError(f"{path} is damaged or not a safetensors file: {error}") from error
    found = metadata.get("format")
    if found != kind:
        held = repr(found) if found else "what was not written by elulayer"
        cure = "; train_network(resume=) goes on from it" * (
            "network" in kind and "checkpoint" in held
        )
        raise ValueError(f"{path} must hold {kind!r}, not {held}{cure}")
    text = metadata.get("content", "")
    if metadata.get("sha256") != _digest(text, tensors):
        raise ValueError(f"{path} is damaged: its contents do not have the sum that stands in it")
    try:
        content: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} is damaged: its content is no JSON object")
    return tensors, content


def _read_metadata(file: BufferedReader) -> dict[str, str]:
    """Read a file's header, and go back to its beginning if it is as long as the header says."""
    size = os.fstat(file.fileno()).st_size
    length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, _LONGEST_HEADER):
        raise ValueError("its header is not whole")
    header = json.loads(file.read(length))
    metadata: dict[str, str] = header.pop("__metadata__", None) or {}
    end = max((place["data_offsets"][1] for place in header.values()), default=0)
    if size != 8 + length + end:
        raise ValueError(f"it has {size} bytes, and its header tells of {8 + length + end}")
    file.seek(0)
    return metadata


def _digest(text: str, arrays: Mapping[str, AnyArray]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def require_safetensors() -> None:
    """Raise an ImportError if the package safetensors is not installed."""
    _safetensors("safetensors.numpy")


def _safetensors(name: str) -> Any:
    try:
        return __import__(name, fromlist=["*"])
    except ImportError as error:
        raise ImportError(
            "files of networks need the package safetensors: pip install 'elulayer[train]'"
        ) from error
