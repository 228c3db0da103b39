"""The functions of ``functional.py`` on GPU arrays."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import numpy as np

from .._arguments import alpha_dtype, in_range, kernel_shape
from .._layout import is_dense, same_layout
from .arrays import View, device_of, kind_of, on_gpu, view
from .extension import usable
from .libraries import Library, library_of, stream_handle

_Shape = tuple[int, int, int]


class _Call:
    """One call: its device, stream and arrays.

    Used as a context: inside it the library of the first array makes what is new on this stream.
    At its end, the arrays are kept until the stream has used them.
    """

    device: int
    stream: int
    library: Library

    def __init__(self, first: Any, name: str, stream: Any) -> None:
        if not on_gpu(first):
            raise TypeError(
                f"{name} is a {kind_of(first)} in host memory and other arguments are on a GPU; "
                "arrays of one device are taken"
            )
        self.extension = usable(name)
        self.device = device_of(first, name)
        self.library = library_of(first, name, self.device)
        current = self.library.current_stream()
        self.stream = current if stream is None else stream_handle(stream, self.device)
        self._waits = stream is None and not self.library.knows_its_stream
        if self.stream != current:
            self.extension.order(self.device, current, self.stream)
        self._views: list[View] = []
        self._contexts = ExitStack()

    def __enter__(self) -> _Call:
        self._contexts.enter_context(self.library.using(self.stream))
        return self

    def __exit__(self, *error: Any) -> None:
        self._contexts.close()
        for taken in self._views:
            self.library.keep(taken.array, self.stream)
        if self._waits and error[0] is None:
            self.extension.synchronize(self.device, self.stream)

    def take(self, value: Any, name: str) -> View:
        """Return the memory of an argument, or of an array that was made here."""
        taken = view(value, name, self.device, self.stream)
        self._views.append(taken)
        return taken

    def dense(self, value: Any, name: str) -> View:
        """Return the memory of an argument with at least one dimension, or of a dense copy."""
        taken = self.take(value, name)
        if taken.layout.ndim == 0:
            raise ValueError(f"{name} has no dimension; an array with at least one is taken")
        if is_dense(taken.layout):
            return taken
        return self.take(self.library.dense(value), name)

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
        return self.take(self.library.in_layout_of(x.array, value), name)

    def result(self, out: Any, x: View, *inputs: View | None) -> View:
        """Return where a result of dense x's layout goes: `out`, or a new array."""
        if out is None:
            new = self.take(self.library.empty_like(x.array), "the result")
            if not same_layout(new.layout, x.layout):
                raise TypeError(
                    f"{x.name} has strides {x.layout.strides}, which its library gives to no new "
                    "array; copy it to C order first"
                )
            return new
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
            raise ValueError(
                f"out has strides {taken.layout.strides} and {x.name} has {x.layout.strides}, in "
                "bytes; on a GPU they must be the same"
            )
        for other in (x, *inputs):
            if other is None or taken.pointer >= other.end or other.pointer >= taken.end:
                continue
            if taken.pointer != other.pointer or not same_layout(taken.layout, other.layout):
                raise ValueError(
                    f"out overlaps {other.name}; on a GPU it is taken where it is the same memory "
                    "or apart"
                )
        return taken

    def alpha(self, alpha: Any, x: View) -> tuple[View | None, float, tuple[int, ...]]:
        """Return the memory of alpha, or its value where it is a number; and its shape."""
        wanted = str(alpha_dtype(x.layout.dtype))
        if isinstance(alpha, np.generic) and alpha.dtype == wanted:
            return None, float(alpha), ()
        if type(alpha) in (int, float):
            in_range(alpha, "alpha", np.dtype(wanted))
            return None, float(alpha), ()
        if not on_gpu(alpha):
            raise TypeError(
                f"alpha is a {kind_of(alpha)} in host memory and {x.name} is on a GPU; a number, "
                f"or a {wanted} array on the same device is taken"
            )
        taken = self.take(alpha, "alpha")
        if taken.dtype != wanted:
            what = f"{x.name}'s dtype" if wanted == x.dtype else f"{wanted} (for {x.dtype})"
            raise TypeError(
                f"alpha has dtype {taken.dtype} and {x.name} has {x.dtype}; "
                f"Python numbers or {what} are taken"
            )
        if not taken.layout.flags.c_contiguous:
            taken = self.take(self.library.dense(alpha), "alpha")
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
        dtype = str(alpha_dtype(from_.layout.dtype))
        dalpha = call.take(call.library.empty(a_shape, dtype, source), "dalpha")
        workspace = _workspace(call, from_, shape)
        function = {
            "x": call.extension.elu_backward,
            "memory": call.extension.elu_backward_from_memory,
            "output": call.extension.elu_backward_from_output,
        }[name]
        function(
            *(from_.dtype, g.pointer, from_.pointer, _pointer(a), value),
            *(result.pointer, dalpha.pointer, _pointer(workspace)),
            *(*shape, call.device, call.stream),
        )
        return result.array, dalpha.array


def _workspace(call: _Call, x: View, shape: _Shape) -> View | None:
    bytes_ = call.extension.workspace_bytes(x.dtype, *shape)
    if bytes_ == 0:
        return None
    doubles = -(-bytes_ // 8)
    return call.take(call.library.empty((doubles,), "float64", x.array), "the workspace")


def _pointer(view: View | None) -> int:
    return 0 if view is None else view.pointer
