"""What each array library does in its own way: new arrays, copies, the current stream.

None of them is imported here: whose array is given has been imported by its owner.
"""

from __future__ import annotations

import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache
from typing import Any

from ..arguments import kind_of

# CUDA's handle of the default stream of a process; 0 stands for it too.
DEFAULT_STREAM = 1


class Library(ABC):
    """An array library, for arrays on one device.

    Parameters
    ----------
    device : int
    """

    # Whether current_stream() is the stream that the library's own work goes to.
    knows_its_stream = True

    def __init__(self, device: int) -> None:
        self.device = device

    @property
    def identity(self) -> Any:
        """What two arrays' libraries have in common if they are the same."""
        return type(self)

    def check(self, array: Any, name: str) -> None:
        """Refuse an array whose memory does not hold its elements."""
        return

    @abstractmethod
    def current_stream(self) -> int: ...

    @abstractmethod
    def using(self, stream: int, current: int) -> AbstractContextManager[Any]:
        """Make `stream` the library's current one, which is `current`, and the device too."""

    @abstractmethod
    def empty_like(self, array: Any) -> Any:
        """Return a new array of dense `array`'s shape, dtype and memory order."""

    @abstractmethod
    def empty(self, shape: tuple[int, ...], dtype: str, array: Any) -> Any:
        """Return a new array beside `array`, in C order."""

    def address(self, array: Any) -> int | None:
        """Return where a new array's memory is, if this stream may use it without further ado."""
        return None

    def keep(self, array: Any, stream: int) -> None:
        """Leave the memory of `array` alone until `stream` has done what it has now.

        Where a library cannot, as CuPy, its users hold the arrays that another stream is given.
        """
        return

    def written(self, array: Any) -> None:
        """Let the library know that the elements of `array` are others now."""
        return


class CopyingLibrary(Library):
    """A library that copies arrays."""

    @abstractmethod
    def dense(self, array: Any) -> Any:
        """Return a dense copy."""

    @abstractmethod
    def in_layout_of(self, x: Any, array: Any) -> Any:
        """Return a copy of `array` in dense `x`'s memory order."""


class _Torch(CopyingLibrary):
    @property
    def _torch(self) -> Any:
        return sys.modules["torch"]

    def check(self, array: Any, name: str) -> None:
        if array.is_neg():
            raise ValueError(
                f"{name} is a view that negates its elements when they are read; "
                f"{name}.resolve_neg() is taken"
            )

    def current_stream(self) -> int:
        return int(self._torch.cuda.current_stream(self.device).cuda_stream) or DEFAULT_STREAM

    def _stream(self, stream: int) -> Any:
        cuda = self._torch.cuda
        if stream == DEFAULT_STREAM:
            return cuda.default_stream(self.device)
        return cuda.ExternalStream(stream, device=self.device)

    def using(self, stream: int, current: int) -> AbstractContextManager[Any]:
        cuda = self._torch.cuda
        if stream == current:
            same: AbstractContextManager[Any] = (
                nullcontext() if cuda.current_device() == self.device else cuda.device(self.device)
            )
            return same
        other: AbstractContextManager[Any] = cuda.stream(self._stream(stream))
        return other

    def empty_like(self, array: Any) -> Any:
        return self._torch.empty_like(array, requires_grad=False)

    def empty(self, shape: tuple[int, ...], dtype: str, array: Any) -> Any:
        return self._torch.empty(shape, dtype=getattr(self._torch, dtype), device=array.device)

    def address(self, array: Any) -> int | None:
        return int(array.data_ptr())

    def dense(self, array: Any) -> Any:
        return array.clone()

    def in_layout_of(self, x: Any, array: Any) -> Any:
        return self.empty_like(x).copy_(array)

    def keep(self, array: Any, stream: int) -> None:
        array.record_stream(self._stream(stream))

    def written(self, array: Any) -> None:
        # Autograd then refuses to use a value that it had saved and that is gone.
        if not array.is_inference():
            self._torch.autograd.graph.increment_version(array)


class _Handle:
    """A stream by the protocol of that name."""

    def __init__(self, stream: int) -> None:
        self._stream = stream

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._stream


class _CuPy(CopyingLibrary):
    @property
    def _cupy(self) -> Any:
        return sys.modules["cupy"]

    def current_stream(self) -> int:
        with self._cupy.cuda.Device(self.device):
            return int(self._cupy.cuda.get_current_stream().ptr) or DEFAULT_STREAM

    @contextmanager
    def using(self, stream: int, current: int) -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(self._cupy.cuda.Device(self.device))
            if stream != current:
                stack.enter_context(self._stream(stream))
            yield

    def _stream(self, stream: int) -> Any:
        cuda = self._cupy.cuda
        if stream == DEFAULT_STREAM:
            return cuda.Stream.null
        if hasattr(cuda.Stream, "from_external"):
            return cuda.Stream.from_external(_Handle(stream))
        return cuda.ExternalStream(stream, self.device)  # before version 14

    def empty_like(self, array: Any) -> Any:
        return self._cupy.empty_like(array)

    def empty(self, shape: tuple[int, ...], dtype: str, array: Any) -> Any:
        return self._cupy.empty(shape, dtype=dtype)

    def address(self, array: Any) -> int | None:
        return int(array.data.ptr)

    def dense(self, array: Any) -> Any:
        return array.copy(order="K")

    def in_layout_of(self, x: Any, array: Any) -> Any:
        copy = self.empty_like(x)
        copy[...] = array
        return copy


class _Numba(Library):
    @property
    def _cuda(self) -> Any:
        return sys.modules["numba.cuda"]

    def current_stream(self) -> int:
        return DEFAULT_STREAM  # Numba has none but the streams that are named

    def using(self, stream: int, current: int) -> AbstractContextManager[Any]:
        gpu: AbstractContextManager[Any] = self._cuda.gpus[self.device]
        return gpu

    def empty_like(self, array: Any) -> Any:
        return self._cuda.device_array_like(array)

    def empty(self, shape: tuple[int, ...], dtype: str, array: Any) -> Any:
        return self._cuda.device_array(shape, dtype=dtype)


class _ArrayApi(CopyingLibrary):
    """Any library with the functions of the array API standard, https://data-apis.org."""

    knows_its_stream = False

    def __init__(self, device: int, array: Any) -> None:
        super().__init__(device)
        self._functions = array.__array_namespace__()

    @property
    def identity(self) -> Any:
        return self._functions

    def current_stream(self) -> int:
        return DEFAULT_STREAM

    def using(self, stream: int, current: int) -> AbstractContextManager[Any]:
        return nullcontext()

    def empty_like(self, array: Any) -> Any:
        return self._functions.empty_like(array)

    def empty(self, shape: tuple[int, ...], dtype: str, array: Any) -> Any:
        return self._functions.empty(
            shape, dtype=getattr(self._functions, dtype), device=array.device
        )

    def dense(self, array: Any) -> Any:
        return self._functions.asarray(array, copy=True)

    def in_layout_of(self, x: Any, array: Any) -> Any:
        copy = self.empty_like(x)
        copy[...] = array
        return copy


_LIBRARIES: dict[str, type[Library]] = {"torch": _Torch, "cupy": _CuPy, "numba": _Numba}
_IMMUTABLE = ("jax", "jaxlib", "tensorflow")


def find_library(array: Any, device: int) -> Library | None:
    """Return the library that an array on this device is of, if it is one that makes arrays."""
    array_type: Any = type(array)
    kind = _kind_of_library(array_type)
    if kind is not None:
        return kind(device)
    if not is_immutable(array) and hasattr(array, "__array_namespace__"):
        return _ArrayApi(device, array)
    return None


def library_of(array: Any, name: str, device: int) -> Library:
    """Return the library that makes the results, or say which ones do."""
    library = find_library(array, device)
    if library is not None:
        return library
    if is_immutable(array):
        raise TypeError(
            f"{name} is a {kind_of(array)}, whose library has no arrays that can be written; "
            f"torch.from_dlpack({name}) or cupy.from_dlpack({name}) is taken"
        )
    raise TypeError(
        f"{name} is a {kind_of(array)}; arrays of PyTorch, CuPy, Numba and of libraries that "
        "follow the array API standard are taken"
    )


def is_immutable(array: Any) -> bool:
    """Whether the library of an array relies on its never being written to."""
    return any(root in _IMMUTABLE for root in _roots(type(array)))


@cache
def _kind_of_library(array_type: type) -> type[Library] | None:
    known = (_LIBRARIES.get(root) for root in _roots(array_type))
    return next((kind for kind in known if kind is not None), None)


def _roots(array_type: type) -> list[str]:
    """Return the packages that a type and what it is derived from are of."""
    return [base.__module__.partition(".")[0] for base in array_type.__mro__]


def stream_handle(stream: Any, device: int) -> int:
    """Return the cudaStream_t of a stream object or a number."""
    place = getattr(stream, "device_index", getattr(stream, "device_id", None))
    if place is not None and place >= 0 and place != device:
        raise ValueError(
            f"stream is of CUDA device {place} and the arrays are on device {device}; "
            "one device is taken"
        )
    handle = _number_of(stream)
    if handle is None:
        raise TypeError(
            f"stream is {stream!r}; a stream of PyTorch, CuPy or Numba, an object with "
            "__cuda_stream__, or the number of a cudaStream_t is taken"
        )
    return handle or DEFAULT_STREAM


def _number_of(stream: Any) -> int | None:
    """Return the number that a stream object has, or that is one; None for anything else."""
    try:
        if isinstance(stream, bool):
            return None
        if hasattr(stream, "__cuda_stream__"):
            stream = stream.__cuda_stream__()[1]
        elif hasattr(stream, "cuda_stream"):  # PyTorch
            stream = stream.cuda_stream
        elif hasattr(stream, "ptr"):  # CuPy
            stream = stream.ptr
        elif hasattr(stream, "handle"):  # Numba
            stream = getattr(stream.handle, "value", stream.handle) or 0
        number = operator.index(stream)
    except (TypeError, IndexError):
        return None
    return number if 0 <= number < 1 << 64 else None
