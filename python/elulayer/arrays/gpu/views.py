"""GPU arrays of any library: by DLPack, or else by ``__cuda_array_interface__``.

The protocols: https://dmlc.github.io/dlpack/latest/python_spec.html and
https://nvidia.github.io/numba-cuda/user/cuda_array_interface.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..arguments import kind_of
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
    if kind is None:
        return hasattr(value, "__cuda_array_interface__")
    try:
        return kind()[0] in _CUDA_DEVICES
    except Exception:  # an array of several devices has none to give: NumPy may read it
        return False


@dataclass(slots=True)
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
    is_copy : bool
        Whether this is a dense copy of the argument.
    """

    name: str
    array: Any
    pointer: int
    dtype: str
    device: int
    read_only: bool
    layout: npt.NDArray[Any] = field(repr=False)
    owner: Any = field(repr=False)
    is_copy: bool = False

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
    data = _interface(value, name).get("data")
    pointer = data[0] if isinstance(data, tuple) and data and isinstance(data[0], int) else 0
    # An array without elements may have no address: it is as well on the first device.
    device = int(usable(name).device_of(pointer)) if pointer else 0
    if device < 0:
        raise TypeError(
            f"{name}, a {kind_of(value)}, gives the address {pointer:#x}, which is in the memory "
            "of no CUDA device"
        )
    return device


def check_on_gpu(value: Any, name: str) -> None:
    if not on_gpu(value):
        raise TypeError(
            f"{name} is a {kind_of(value)} in host memory and other arguments are on a GPU; "
            "arrays of one device are taken"
        )


def view(value: Any, name: str, device: int, stream: int) -> View:
    """Return the memory of an array on this device, so that `stream` may read or write it."""
    by_dlpack = hasattr(value, "__dlpack__")
    taken = (_by_dlpack if by_dlpack else _by_interface)(value, name, device, stream)
    if not taken.pointer and taken.layout.size:
        raise TypeError(
            f"{name} is a {kind_of(value)} that gives no address for its {taken.layout.size} "
            "elements; an array with memory of its own is taken"
        )
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
        kind = (
            RuntimeError if isinstance(error, RuntimeError) else TypeError
        )  # CUDA's, or the array's
        raise kind(f"{name}, a {kind_of(value)}, cannot be read: {error}") from error
    dtype = imported["dtype"]
    _check_dtype(dtype, name)
    return View(
        name=name,
        array=value,
        pointer=imported["pointer"],
        dtype=dtype,
        device=device,
        read_only=imported["read_only"],
        layout=extension.layout(imported["shape"], imported["strides"], _ITEM_SIZES[dtype]),
        owner=imported["owner"],
    )


def _by_interface(value: Any, name: str, device: int, stream: int) -> View:
    interface = _interface(value, name)
    if interface.get("mask") is not None:
        raise TypeError(f"{name} is a masked array, whose mask would be ignored; fill it first")
    extension = usable(name)
    try:
        typestr = str(interface["typestr"])
        dtype = np.dtype(typestr)
        pointer, read_only = interface["data"]
        pointer = int(pointer or 0)
        shape = tuple(map(int, interface["shape"]))
        strides = interface.get("strides")
        strides = strides and tuple(map(int, strides))
        producer = interface.get("stream")
        producer = producer if producer is None else int(producer)
    except (KeyError, TypeError, ValueError) as error:
        raise TypeError(
            f"{name}, a {kind_of(value)}, has a malformed __cuda_array_interface__: {interface!r}"
        ) from error
    _check_dtype(dtype.name if dtype.isnative else typestr, name)
    if producer is not None:
        extension.order(device, producer, stream)
    return View(
        name=name,
        array=value,
        pointer=pointer,
        dtype=dtype.name,
        device=device,
        read_only=bool(read_only),
        layout=extension.layout(
            shape, _in_elements(shape, strides, dtype.itemsize, name), dtype.itemsize
        ),
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
    if strides is not None and len(strides) != len(shape):
        raise TypeError(f"{name} has shape {shape} and strides {strides}, of other lengths")
    if strides is None:
        return tuple(int(np.prod(shape[axis + 1 :], dtype=np.int64)) for axis in range(len(shape)))
    if any(stride % itemsize for stride in strides):
        raise ValueError(f"{name} has strides {strides}; whole elements of {itemsize} bytes fit")
    return tuple(stride // itemsize for stride in strides)
