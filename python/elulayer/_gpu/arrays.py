"""GPU arrays of any library: by DLPack, or else by ``__cuda_array_interface__``.

The protocols: https://dmlc.github.io/dlpack/latest/python_spec.html and
https://nvidia.github.io/numba-cuda/user/cuda_array_interface.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .extension import usable

# DLPack's kDLCUDA and kDLCUDAManaged.
_CUDA_DEVICES = (2, 13)
_ITEM_SIZES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
_HOST_TYPES = (np.ndarray, np.generic, bool, int, float, list, tuple, type(None))


def on_gpu(value: object) -> bool:
    """Whether this is an array in the memory of a CUDA device."""
    if isinstance(value, _HOST_TYPES):
        return False
    kind = getattr(value, "__dlpack_device__", None)
    if kind is not None:
        return kind()[0] in _CUDA_DEVICES
    return hasattr(value, "__cuda_array_interface__")


def kind_of(value: object) -> str:
    """Return the type of a value, as messages name it."""
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


@dataclass(frozen=True)
class View:
    """The memory of a GPU array.

    Attributes
    ----------
    name : str
        Of the argument.
    array : object
        The array itself.
    pointer : int
        Address of its first element on the device.
    dtype : str
        ``"float32"``, ``"float64"``, ``"float16"``, ``"bfloat16"``.
    device : int
    read_only : bool
    layout : ndarray
        An array of the same shape and strides, whose elements must not be looked at: what
        ``_layout.py`` asks of arrays can be asked of it.
    owner : object
        Holds the memory.
    """

    name: str
    array: Any
    pointer: int
    dtype: str
    device: int
    read_only: bool
    layout: npt.NDArray[Any]
    owner: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return self.layout.shape

    @property
    def end(self) -> int:
        """The address behind the last element of a dense array."""
        return self.pointer + self.layout.size * self.layout.itemsize


def device_of(value: Any, name: str) -> int:
    """Return the number of the device that holds a GPU array."""
    kind = getattr(value, "__dlpack_device__", None)
    if kind is not None:
        return int(kind()[1])
    pointer = _interface(value, name)["data"][0]
    # An array without elements may have no address: it is as well on the first device.
    return int(usable(name).device_of(pointer)) if pointer else 0


def view(value: Any, name: str, device: int, stream: int) -> View:
    """Return the memory of a GPU array, so that `stream` may read or write it."""
    if not on_gpu(value):
        raise TypeError(
            f"{name} is a {kind_of(value)} in host memory and other arguments are on a GPU; "
            "arrays of one device are taken"
        )
    place = device_of(value, name)
    if place != device:
        raise ValueError(
            f"{name} is on CUDA device {place} and the first argument on device {device}; "
            "arrays of one device are taken"
        )
    by_dlpack = hasattr(value, "__dlpack__")
    taken = (_by_dlpack if by_dlpack else _by_interface)(value, name, device, stream)
    if taken.pointer % taken.layout.itemsize:
        raise ValueError(
            f"{name} begins at the address {taken.pointer:#x}, which is no multiple of the "
            f"{taken.layout.itemsize} bytes of {taken.dtype}; copy it first"
        )
    return taken


def _by_dlpack(value: Any, name: str, device: int, stream: int) -> View:
    extension = usable(name)
    try:
        try:
            capsule = value.__dlpack__(stream=stream, max_version=(1, 0))
        except TypeError:  # a producer from before version 1
            capsule = value.__dlpack__(stream=stream)
        imported = extension.import_dlpack(capsule)
    except Exception as error:
        raise TypeError(f"{name}, a {kind_of(value)}, cannot be read: {error}") from error
    dtype = imported["dtype"]
    _check_dtype(dtype, name)
    return View(
        name=name,
        array=value,
        pointer=imported["pointer"],
        dtype=dtype,
        device=device,
        read_only=imported["read_only"],
        layout=_layout(imported["shape"], imported["strides"], dtype),
        owner=imported["owner"],
    )


def _by_interface(value: Any, name: str, device: int, stream: int) -> View:
    interface = _interface(value, name)
    if interface.get("mask") is not None:
        raise TypeError(f"{name} is a masked array, whose mask would be ignored; fill it first")
    typestr = str(interface["typestr"])
    dtype = np.dtype(typestr)
    _check_dtype(dtype.name if dtype.isnative else typestr, name)
    producer = interface.get("stream")
    if producer is not None:
        usable(name).order(device, int(producer), stream)
    pointer, read_only = interface["data"]
    strides = interface.get("strides")
    shape = tuple(interface["shape"])
    return View(
        name=name,
        array=value,
        pointer=int(pointer or 0),
        dtype=dtype.name,
        device=device,
        read_only=bool(read_only),
        layout=_layout(shape, _in_elements(shape, strides, dtype.itemsize, name), dtype.name),
        owner=value,
    )


def _interface(value: Any, name: str) -> dict[str, Any]:
    try:
        interface: dict[str, Any] = value.__cuda_array_interface__
    except Exception as error:
        raise TypeError(f"{name}, a {kind_of(value)}, cannot be read: {error}") from error
    return interface


def _check_dtype(dtype: str, name: str) -> None:
    if dtype not in _ITEM_SIZES:
        raise TypeError(
            f"{name} has dtype {dtype}; float32, float64, float16 and bfloat16 are taken"
        )


def _in_elements(
    shape: tuple[int, ...], strides: tuple[int, ...] | None, itemsize: int, name: str
) -> tuple[int, ...]:
    if strides is None:
        return tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape)))
    if any(stride % itemsize for stride in strides):
        raise ValueError(f"{name} has strides {strides}; whole elements of {itemsize} bytes fit")
    return tuple(stride // itemsize for stride in strides)


def _layout(shape: tuple[int, ...], strides: tuple[int, ...], dtype: str) -> npt.NDArray[Any]:
    size = _ITEM_SIZES[dtype]
    return np.lib.stride_tricks.as_strided(
        np.empty(1, dtype=f"f{size}"), shape, tuple(stride * size for stride in strides)
    )
