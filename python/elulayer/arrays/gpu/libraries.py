"""What PyTorch and CuPy do each in its own way.

Neither is imported here: whose array is given has been imported by its owner.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, lru_cache
from typing import Any

from ..layout import Layout, layout_of
from ..place import requires_gradient

# CUDA's handle of the default stream of a process; 0 stands for it too.
DEFAULT_STREAM = 1


class Library(ABC):
    """An array library.

    Attributes
    ----------
    name : str
        Of its module.
    """

    name: str

    @property
    def module(self) -> Any:
        """The library."""
        return sys.modules[self.name]

    @abstractmethod
    def device_of(self, array: Any) -> int | None:
        """Return the CUDA device that an array is on; None for host memory, and for no array."""

    def check(self, array: Any, name: str) -> None:
        """Refuse an array that is not what its memory holds."""
        return

    @abstractmethod
    def describe(self, array: Any) -> tuple[str, Layout, int]:
        """Return the dtype, the layout and the address of an array."""

    @abstractmethod
    def address_of(self, array: Any) -> int:
        """Return where the first element is."""

    @abstractmethod
    def current_stream(self, device: int) -> int:
        """Return the stream that the library's own work goes to."""

    @abstractmethod
    def is_current(self, device: int) -> bool:
        """Whether new arrays are made on this device."""

    @abstractmethod
    def using(self, device: int, stream: int) -> AbstractContextManager[Any]:
        """Make a device and a stream the library's current ones."""

    @abstractmethod
    def empty_like(self, array: Any) -> Any:
        """Return a new array of dense `array`'s shape, dtype and memory order."""

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: str, device: int) -> Any:
        """Return a new array in C order."""

    @abstractmethod
    def dense(self, array: Any) -> Any:
        """Return a dense copy."""

    @abstractmethod
    def assign(self, target: Any, source: Any) -> None:
        """Copy the elements of an array into another one."""

    def keep(self, array: Any, device: int, stream: int) -> None:
        """Leave the memory of `array` alone until `stream` has done what it has now.

        CuPy cannot: its users hold the arrays that another stream is given.
        """
        return

    def written(self, array: Any) -> None:
        """Let the library know that the elements of `array` are others now."""
        return


class _Torch(Library):
    name = "torch"

    def device_of(self, array: Any) -> int | None:
        return int(array.get_device()) if getattr(array, "is_cuda", False) else None

    def check(self, array: Any, name: str) -> None:
        if array.requires_grad:
            raise requires_gradient(name)
        if array.is_neg():
            raise ValueError(
                f"{name} must not be a view that negates its elements when they are read; "
                f"give {name}.resolve_neg()"
            )

    def describe(self, array: Any) -> tuple[str, Layout, int]:
        dtype, layout = _describe(array.dtype, array.shape, array.stride(), array.element_size())
        return dtype, layout, array.data_ptr()

    def address_of(self, array: Any) -> int:
        return int(array.data_ptr())

    def current_stream(self, device: int) -> int:
        return int(self.module.cuda.current_stream(device).cuda_stream) or DEFAULT_STREAM

    def is_current(self, device: int) -> bool:
        return bool(self.module.cuda.current_device() == device)

    def _stream(self, device: int, stream: int) -> Any:
        cuda = self.module.cuda
        if stream == DEFAULT_STREAM:
            return cuda.default_stream(device)
        return cuda.ExternalStream(stream, device=device)

    def using(self, device: int, stream: int) -> AbstractContextManager[Any]:
        context: AbstractContextManager[Any] = self.module.cuda.stream(self._stream(device, stream))
        return context

    def empty_like(self, array: Any) -> Any:
        return self.module.empty_like(array)

    def empty(self, shape: tuple[int, ...], dtype: str, device: int) -> Any:
        torch = self.module
        return torch.empty(shape, dtype=getattr(torch, dtype), device=f"cuda:{device}")

    def dense(self, array: Any) -> Any:
        return array.clone()

    def assign(self, target: Any, source: Any) -> None:
        target.copy_(source)

    def keep(self, array: Any, device: int, stream: int) -> None:
        array.record_stream(self._stream(device, stream))

    def written(self, array: Any) -> None:
        # Autograd then refuses to use a value that it had saved and that is gone.
        if not array.is_inference():
            self.module.autograd.graph.increment_version(array)


@lru_cache(maxsize=1024)
def _describe(
    dtype: Any, shape: tuple[int, ...], steps: tuple[int, ...], size: int
) -> tuple[str, Layout]:
    """Return a dtype's name, and the layout of strides that are counted in elements."""
    strides = tuple(step * size for step in steps)
    return str(dtype).removeprefix("torch."), layout_of(tuple(shape), strides, size)


class _Handle:
    """A stream by the protocol of that name."""

    def __init__(self, stream: int) -> None:
        self._stream = stream

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._stream


class _CuPy(Library):
    name = "cupy"

    def device_of(self, array: Any) -> int | None:
        return int(array.device.id) if isinstance(array, self.module.ndarray) else None

    def describe(self, array: Any) -> tuple[str, Layout, int]:
        dtype = array.dtype
        layout = layout_of(array.shape, array.strides, array.itemsize)
        return dtype.name if dtype.isnative else dtype.str, layout, array.data.ptr

    def address_of(self, array: Any) -> int:
        return int(array.data.ptr)

    def current_stream(self, device: int) -> int:
        cuda = self.module.cuda
        with nullcontext() if self.is_current(device) else cuda.Device(device):
            return int(cuda.get_current_stream().ptr) or DEFAULT_STREAM

    def is_current(self, device: int) -> bool:
        return bool(self.module.cuda.runtime.getDevice() == device)

    @contextmanager
    def using(self, device: int, stream: int) -> Iterator[None]:
        with self.module.cuda.Device(device), self._stream(device, stream):
            yield

    def _stream(self, device: int, stream: int) -> Any:
        cuda = self.module.cuda
        if stream == DEFAULT_STREAM:
            return cuda.Stream.null
        if hasattr(cuda.Stream, "from_external"):
            return cuda.Stream.from_external(_Handle(stream))
        return cuda.ExternalStream(stream, device)  # before version 14

    def empty_like(self, array: Any) -> Any:
        return self.module.empty_like(array)

    def empty(self, shape: tuple[int, ...], dtype: str, device: int) -> Any:
        return self.module.empty(shape, dtype=dtype)

    def dense(self, array: Any) -> Any:
        return array.copy(order="K")

    def assign(self, target: Any, source: Any) -> None:
        target[...] = source


_LIBRARIES = {library.name: library for library in (_Torch(), _CuPy())}


@cache
def library_of(array_type: type) -> Library | None:
    """Return the library that arrays of a type, or of what it is derived from, are of."""
    roots = [base.__module__.partition(".")[0] for base in array_type.__mro__]
    return next((_LIBRARIES[root] for root in roots if root in _LIBRARIES), None)
