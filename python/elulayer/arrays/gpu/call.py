"""The functions of ``functional.py`` on GPU arrays."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any

import numpy as np

from ..arguments import in_range, kernel_shape, kind_of
from ..layout import is_dense, same_layout
from .extension import usable
from .libraries import (
    CopyingLibrary,
    Library,
    find_library,
    is_immutable,
    library_of,
    stream_handle,
)
from .views import View, check_on_gpu, device_of, on_gpu, view


class _Call:
    """One call: its device, stream and arrays.

    Used as a context: inside it the library of the first array makes what is new on this stream.
    At its end all libraries leave the arrays alone until the stream has used them.
    """

    device: int
    stream: int
    library: Library

    def __init__(self, first: Any, name: str, stream: Any) -> None:
        check_on_gpu(first, name)
        self._name = name
        self.extension = usable(name)
        self.device = device_of(first, name)
        self.library = library_of(first, name, self.device)
        self._current = self.library.current_stream()
        self.stream = self._current if stream is None else stream_handle(stream, self.device)
        self._given: list[tuple[Any, Library | None]] = []
        self._written: tuple[Any, Library] | None = None
        self._made: list[Any] = []  # must live until the work is in the stream
        self._contexts = ExitStack()

    def __enter__(self) -> _Call:
        if self.stream != self._current:
            self.extension.order(self.device, self._current, self.stream)
        self._contexts.enter_context(self.library.using(self.stream, self._current))
        return self

    def __exit__(self, *error: Any) -> None:
        self._contexts.close()
        if self._written is not None:
            out, writer = self._written
            writer.written(out)
        if error[0] is None:
            self._settle()
        else:
            with suppress(RuntimeError):  # the error that is on its way says more
                self._settle()

    def _settle(self) -> None:
        waits = not self.library.knows_its_stream
        others = {}
        for array, library in self._given:
            if library is None or not library.knows_its_stream:
                waits = True
            elif library.identity != self.library.identity:
                others[library.identity] = library
            elif self.stream != self._current:
                library.keep(array, self.stream)
        if waits:
            self.extension.synchronize(self.device, self.stream)
            return
        for library in others.values():
            self.extension.order(self.device, self.stream, library.current_stream())

    def take(self, value: Any, name: str) -> View:
        """Return the memory of an argument."""
        check_on_gpu(value, name)
        place = device_of(value, name)
        if place != self.device:
            raise ValueError(
                f"{name} is on CUDA device {place} and {self._name} on device {self.device}; "
                "arrays of one device are taken"
            )
        library = find_library(value, self.device)
        if library is not None:
            library.check(value, name)
        taken = view(value, name, self.device, self.stream)
        self._given.append((value, library))
        return taken

    def dense(self, value: Any, name: str) -> View:
        """Return the memory of an argument with at least one dimension, or of a dense copy."""
        taken = self.take(value, name)
        if taken.layout.ndim == 0:
            raise ValueError(f"{name} has no dimension; an array with at least one is taken")
        if is_dense(taken.layout):
            return taken
        copy = self.new(self._copier(value, name).dense(value), f"a copy of {name}")
        if not is_dense(copy.layout):
            raise TypeError(
                f"{name} has strides {taken.layout.strides}, in bytes, which its library keeps in "
                "copies; a dense array is taken"
            )
        return replace(copy, name=name, is_copy=True)

    def new(self, array: Any, name: str) -> View:
        """Return the memory of an array that the call's library has made here."""
        return view(array, name, self.device, self.stream)

    def empty(self, shape: tuple[int, ...], dtype: str, beside: View, name: str) -> tuple[Any, int]:
        """Return a new array in C order, and its address."""
        array = self.library.empty(shape, dtype, beside.array)
        self._made.append(array)
        address = self.library.address(array)
        return array, self.new(array, name).pointer if address is None else address

    def _copier(self, value: Any, name: str) -> CopyingLibrary:
        """Return the call's library, which copies arrays of its own."""
        own = find_library(value, self.device)
        if own is None or own.identity != self.library.identity:
            raise TypeError(
                f"{name} is a {kind_of(value)} whose memory would have to be copied, and "
                f"{self._name} is of another library; an array of that one, or in C order where "
                "all are, is taken"
            )
        if not isinstance(self.library, CopyingLibrary):
            raise TypeError(
                f"{name} is a {kind_of(value)} whose memory would have to be copied, which its "
                f"library does not do; a dense array, in the memory order of {self._name}, is taken"
            )
        return self.library

    def like(self, value: Any, name: str, x: View) -> View:
        """Return the memory of an argument of dense x's dtype and shape, in its memory order."""
        taken = self.take(value, name)
        if taken.dtype != x.dtype:
            raise TypeError(
                f"{name} has dtype {taken.dtype} and {x.name} has {x.dtype}; they must be the same"
            )
        if taken.shape != x.shape:
            raise ValueError(
                f"{name} has shape {taken.shape} and {x.name} has {x.shape}; they must be the same"
            )
        if same_layout(taken.layout, x.layout):
            return taken
        copy = self._copier(value, name).in_layout_of(x.array, value)
        return replace(self.new(copy, name), is_copy=True)

    def result(self, out: Any, x: View, *inputs: View | None) -> View:
        """Return where a result of dense x's layout goes: `out`, or a new array."""
        if out is None:
            new = self.new(self.library.empty_like(x.array), "the result")
            if not same_layout(new.layout, x.layout):
                raise TypeError(
                    f"{x.name} has strides {x.layout.strides}, which its library gives to no new "
                    "array; copy it to C order first"
                )
            return new
        if is_immutable(out):
            raise TypeError(
                f"out is a {kind_of(out)}, whose library has no arrays that can be written"
            )
        taken = self.take(out, "out")
        if taken.dtype != x.dtype:
            raise ValueError(f"out has dtype {taken.dtype}; the result has {x.dtype}")
        if taken.shape != x.shape:
            raise ValueError(f"out has shape {taken.shape}; the result has {x.shape}")
        if taken.read_only:
            raise ValueError(
                f"out is read-only; the result of shape {x.shape} cannot be written to it"
            )
        if not same_layout(taken.layout, x.layout):
            which = f"the dense copy of {x.name}" if x.is_copy else x.name
            raise ValueError(
                f"out has strides {taken.layout.strides} and {which} has {x.layout.strides}, in "
                "bytes; on a GPU they must be the same"
            )
        for other in (x, *inputs):
            if other is None or taken.pointer >= other.end or other.pointer >= taken.end:
                continue
            same = taken.pointer == other.pointer and taken.shape == other.shape
            if not same or not same_layout(taken.layout, other.layout):
                raise ValueError(
                    f"out overlaps {other.name}; on a GPU it is taken where it is the same memory "
                    "or apart"
                )
        library = find_library(out, self.device)
        if library is not None:
            self._written = out, library
        return taken

    def alpha(self, alpha: Any, x: View) -> tuple[View | None, float, tuple[int, ...]]:
        """Return the memory of alpha, or its value where it is a number; and its shape."""
        wanted = _dtype_of_alpha(x)
        if isinstance(alpha, np.generic) and alpha.dtype == wanted:
            return None, float(alpha), ()
        if type(alpha) in (int, float):
            in_range(alpha, "alpha", np.dtype(wanted))
            return None, float(alpha), ()
        if not on_gpu(alpha):
            is_array = isinstance(alpha, (np.ndarray, list, tuple))
            where = f" in host memory and {x.name} is on a GPU" * is_array
            raise TypeError(
                f"alpha is a {kind_of(alpha)}{where}; a Python number, a numpy.{wanted}, or a "
                f"{wanted} array on the device of {x.name} is taken"
            )
        taken = self.take(alpha, "alpha")
        if taken.dtype != wanted:
            what = f"{x.name}'s dtype" if wanted == x.dtype else f"{wanted} (for {x.dtype})"
            raise TypeError(
                f"alpha has dtype {taken.dtype} and {x.name} has {x.dtype}; "
                f"Python numbers or {what} are taken"
            )
        if not taken.layout.flags.c_contiguous:
            taken = self.new(self._copier(alpha, "alpha").dense(alpha), "alpha")
        return taken, 0.0, taken.shape


def elu(x: Any, alpha: Any, axis: int, out: Any, stream: Any) -> Any:
    with _Call(x, "x", stream) as call:
        source = call.dense(x, "x")
        a, value, a_shape = call.alpha(alpha, source)
        shape = kernel_shape(source.layout, a_shape, axis, "x")
        result = call.result(out, source, a)
        call.extension.elu(
            *(source.dtype, source.pointer, _pointer(a), value, result.pointer),
            *(*shape, call.device, call.stream),
        )
        return result.array


def elu_with_memory(x: Any, alpha: Any, axis: int, stream: Any) -> tuple[Any, Any]:
    with _Call(x, "x", stream) as call:
        source = call.dense(x, "x")
        a, value, a_shape = call.alpha(alpha, source)
        shape = kernel_shape(source.layout, a_shape, axis, "x")
        z, memory = call.result(None, source), call.result(None, source)
        call.extension.elu_with_memory(
            *(source.dtype, source.pointer, _pointer(a), value, z.pointer, memory.pointer),
            *(*shape, call.device, call.stream),
        )
        return z.array, memory.array


def elu_backward(
    grad: Any, source: Any, name: str, alpha: Any, axis: int, out: Any, stream: Any
) -> tuple[Any, Any]:
    with _Call(source, name, stream) as call:
        from_ = call.dense(source, name)
        g = call.like(grad, "grad", from_)
        a, value, a_shape = call.alpha(alpha, from_)
        if name == "output" and a is None and not value > 0:
            raise ValueError(
                f"alpha is {value}; the gradients follow from the output only where it is greater "
                "than 0"
            )
        shape = kernel_shape(from_.layout, a_shape, axis, name)
        result = call.result(out, from_, g, a)
        dalpha, dalpha_address = call.empty(a_shape, _dtype_of_alpha(from_), from_, "dalpha")
        doubles = -(-call.extension.workspace_bytes(from_.dtype, *shape) // 8)
        _, workspace_address = call.empty((doubles,), "float64", from_, "the workspace")
        function = {
            "x": call.extension.elu_backward,
            "memory": call.extension.elu_backward_from_memory,
            "output": call.extension.elu_backward_from_output,
        }[name]
        function(
            *(from_.dtype, g.pointer, from_.pointer, _pointer(a), value),
            *(result.pointer, dalpha_address, workspace_address),
            *(*shape, call.device, call.stream),
        )
        return result.array, dalpha


def _dtype_of_alpha(x: View) -> str:
    return "float64" if x.dtype == "float64" else "float32"


def _pointer(view: View | None) -> int:
    return 0 if view is None else view.pointer
