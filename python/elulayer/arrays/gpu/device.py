"""A CUDA device as the place where arrays are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from ..._support.checks import kind_of
from ..layout import layout_of
from ..place import (
    ITEM_SIZES,
    Operand,
    Place,
    check_dtype,
    check_range,
    is_number,
    not_positive,
    widens,
)
from .extension import usable
from .libraries import Library, library_of
from .streams import stream_handle

# DLPack's kDLCUDA and kDLCUDAManaged.
_CUDA_DEVICES = (2, 13)
_HOST_TYPES = frozenset((np.ndarray, float, int, type(None), bool, list, tuple))


def find_device(arrays: Mapping[str, Any]) -> tuple[int, Library] | None:
    """Return the device that arguments are on, and their library; None for host memory.

    All that is not None or a number must be there, or nothing.
    """
    found: tuple[int, Library, str] | None = None
    elsewhere = []
    for name, value in arrays.items():
        kind: Any = type(value)
        if kind not in _HOST_TYPES:
            library = library_of(kind)
            device = None if library is None else library.device_of(value)
            if library is not None and device is not None:
                if found is None:
                    found = device, library, name
                elif (device, library) != found[:2]:
                    raise _mixed(name, f"of {library.name} on CUDA device {device}", found)
                continue
            if library is None and _is_on_gpu(value):
                raise TypeError(
                    f"{name} must be an array of PyTorch or CuPy where it is on a GPU, not "
                    f"{kind_of(value)}; give torch.from_dlpack({name}) or "
                    f"cupy.from_dlpack({name})"
                )
        if value is not None and not isinstance(value, (int, float, np.generic)):
            elsewhere.append((name, value))
    if found is None:
        return None
    for name, value in elsewhere:
        raise _mixed(name, f"a {kind_of(value)} in host memory", found)
    return found[:2]


def _mixed(name: str, what: str, found: tuple[int, Library, str]) -> Exception:
    device, library, first = found
    return TypeError(
        f"{name} must be of {library.name} on CUDA device {device}, as {first} is, not {what}"
    )


def _is_on_gpu(value: object) -> bool:
    """Whether an array of another library is in the memory of a CUDA device."""
    kind = getattr(value, "__dlpack_device__", None)
    if kind is None:
        return hasattr(value, "__cuda_array_interface__")
    try:
        return kind()[0] in _CUDA_DEVICES
    except Exception:  # an array of several devices has none to give: NumPy may read it
        return False


class Device(Place):
    """A CUDA device, and a stream of work on it.

    At the end the library of the arrays leaves them alone until the stream has used them.

    Parameters
    ----------
    device : int
    library : Library
        That of all arrays.
    stream : object
        As the caller named it; None for the library's current one.
    name : str
        Of an argument that is there.
    """

    copies_results = False

    def __init__(self, device: int, library: Library, stream: Any, name: str) -> None:
        self._device = device
        self._library = library
        self._name = name
        self._current = library.current_stream(device)
        self._stream = self._current if stream is None else stream_handle(stream, device)
        self._given: list[Any] = []
        self._out: Any = None
        self._computed = False
        self._context: AbstractContextManager[Any] | None = None

    @property
    def where(self) -> str:
        """The place, as messages have it."""
        return f"on CUDA device {self._device}"

    def __enter__(self) -> Place:
        self._extension = usable(self._name)
        if self._stream != self._current or not self._library.is_current(self._device):
            self._context = self._library.using(self._device, self._stream)
            if self._stream != self._current:
                self._extension.order(self._device, self._current, self._stream)
            self._context.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._context is not None:
            self._context.__exit__(*error)
        if self._computed and self._out is not None:
            self._library.written(self._out)
        if self._stream != self._current:
            for array in self._given:
                self._library.keep(array, self._device, self._stream)

    def read(self, value: Any, name: str) -> Operand:
        """Return an array of the call's library."""
        try:
            dtype, layout, address = self._library.describe(value)
        except Exception as error:  # of a number, or an array whose library gives no address
            raise TypeError(f"{name} must be an array, not {kind_of(value)}: {error}") from error
        check_dtype(dtype, name)
        self._library.check(value, name)
        if not address and layout.size:
            raise TypeError(
                f"{name} must be an array with memory of its own, not {kind_of(value)} that gives "
                f"no address for its {layout.size} elements"
            )
        self._given.append(value)
        return Operand(name, value, dtype, layout, not address % layout.itemsize, address)

    def read_alpha(self, value: Any, name: str, dtype: str) -> Operand:
        """Return alpha: a number, which goes to the kernel as it is, or an array."""
        if type(value) in _HOST_TYPES or isinstance(value, np.generic):
            if isinstance(value, np.generic) and widens(str(value.dtype), dtype):
                value = float(value)
            if not is_number(value):
                raise TypeError(
                    f"{name} must be a Python number, a numpy.{dtype} or a {dtype} array "
                    f"{self.where}, not {kind_of(value)}"
                )
            check_range(value, name, dtype)
            return Operand(name, float(value), dtype, layout_of((), (), 1), True, 0)
        return self.read(value, name)

    def check_positive(self, alpha: Operand) -> None:
        """Check a number; an array is not looked at, as that would be to wait for the device."""
        if isinstance(alpha.array, float) and not alpha.array > 0:
            raise not_positive(alpha.array)

    def read_out(self, value: Any) -> Operand:
        """Return an array of the call's library, which is told at the end that it was written."""
        operand = self.read(value, "out")
        self._out = value
        return operand

    def dense(self, operand: Operand) -> Operand:
        """Return a dense copy."""
        copy = self._library.dense(operand.array)
        return self._operand(copy, f"the dense copy of {operand.name}")

    def empty_like(self, x: Operand) -> Operand:
        """Return a new array of dense x's dtype and layout."""
        array = self._library.empty_like(x.array)
        if not x.layout.is_c_order:
            return self._operand(array, "the result")
        return Operand(
            "the result", array, x.dtype, x.layout, True, self._library.address_of(array)
        )

    def empty(self, shape: tuple[int, ...], dtype: str) -> Operand:
        """Return a new vector, or an array without dimensions."""
        array = self._library.empty(shape, dtype, self._device)
        size = ITEM_SIZES[dtype]
        layout = layout_of(shape, (size,) * len(shape), size)  # of a vector, or a scalar
        return Operand("the result", array, dtype, layout, True, self._library.address_of(array))

    def assign(self, target: Operand, source: Operand) -> None:
        """Copy the elements of an array into another one."""
        self._library.assign(target.array, source.array)

    def compute(
        self,
        kernel: str,
        inputs: Sequence[Operand],
        alpha: Operand,
        outputs: Sequence[Operand],
        rows: tuple[int, int, int],
    ) -> None:
        """Put a kernel of ``_cuda`` into the stream."""
        dtype = inputs[0].dtype
        addresses = [output.address for output in outputs]
        if kernel.startswith("elu_backward"):
            size = self._extension.workspace_bytes(dtype, *rows)
            workspace = self.empty((-(-size // 8),), "float64")  # lives until the work is queued
            addresses.append(workspace.address)
        self._computed = True
        getattr(self._extension, kernel)(
            dtype,
            *(operand.address for operand in inputs),
            alpha.address,
            alpha.array if isinstance(alpha.array, float) else 0.0,
            *addresses,
            *rows,
            self._device,
            self._stream,
        )

    def given_back(self, operand: Operand) -> Any:
        """Return the array."""
        return operand.array

    def _operand(self, array: Any, name: str) -> Operand:
        dtype, layout, address = self._library.describe(array)
        return Operand(name, array, dtype, layout, not address % layout.itemsize, address)
