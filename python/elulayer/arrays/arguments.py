"""From what the user gave to what a kernel takes: one way, for host and GPU arrays alike."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._support.wording import counted, described, shown
from . import gpu
from .host import Host
from .place import Operand, Place, dtype_of_alpha, widens


@dataclass(slots=True)
class Call:
    """What a kernel needs.

    Attributes
    ----------
    inputs : list of Operand
        Dense, in the layout of the first one.
    alpha : Operand
    rows : tuple of int
        The memory as (outer, channels, inner).
    target : Operand
        What the kernel writes its result to.
    out : Operand
        Where the result has to be in the end.
    """

    inputs: list[Operand]
    alpha: Operand
    rows: tuple[int, int, int]
    target: Operand
    out: Operand

    def finish(self, place: Place) -> Any:
        """Return the result, in `out`."""
        if self.target is not self.out:
            place.assign(self.out, self.target)
        return place.given_back(self.out)


def choose_place(arrays: Mapping[str, Any], num_threads: Any, stream: Any) -> Place:
    """Return the place where arguments are, all in one, and what is computed with.

    Parameters
    ----------
    arrays : mapping
        Arguments by their names, the one that the others must fit first. None and numbers are in
        every place.
    """
    found = gpu.find_device(arrays)
    if found is not None:
        if num_threads is not None:
            raise TypeError(
                f"num_threads must be None for arrays on a GPU, not {shown(num_threads)}"
            )
        return gpu.Device(*found, stream, next(iter(arrays)))
    if stream is not None:
        raise TypeError(f"stream must be None for arrays in host memory, not {shown(stream)}")
    if num_threads is None:
        return Host(0)
    if isinstance(num_threads, bool) or not isinstance(num_threads, (int, np.integer)):
        raise TypeError(f"num_threads must be None or a positive integer, not {shown(num_threads)}")
    if not 1 <= num_threads < 2**31:
        raise ValueError(f"num_threads must be None or from 1 to {2**31 - 1}, not {num_threads}")
    return Host(int(num_threads))


def prepare(
    place: Place, arrays: Mapping[str, Any], alpha: Any, axis: Any, out: Any = None
) -> Call:
    """Check arguments, and lay them out as a kernel needs them.

    Parameters
    ----------
    place : Place
    arrays : mapping
        The input by its name, and others, such as its gradient, that must be like it.
    alpha, axis, out
        As given.
    """
    # 1. The input: of a dtype that the kernels take, dense.
    (name, value), *others = arrays.items()
    x = place.read(value, name)
    if not x.layout.shape:
        raise ValueError(f"{name} must be an array with at least one dimension, not a scalar")
    if not (x.is_aligned and x.layout.is_dense):
        x = place.dense(x)

    # 2. The arrays that must be like it: of its dtype and shape, in its layout.
    inputs = [x]
    for other_name, other_value in others:
        other = place.read(other_value, other_name)
        check_like(other, x.dtype, x.layout.shape, name)
        if not (other.is_aligned and other.layout.matches(x.layout)):
            copy = place.empty_like(x)
            place.assign(copy, other)
            other = copy
        inputs.append(other)

    # 3. Alpha: a number, or an array of x's dtype, float32 for the 16-bit ones, or one that widens
    # to it without rounding.
    wanted = dtype_of_alpha(x.dtype)
    a = vector(place, alpha, "alpha", wanted)
    if a.dtype != wanted:
        if not widens(a.dtype, wanted):
            of_x = "the dtype of" if wanted == x.dtype else f"for {x.dtype} in"
            cures = {"float64": f"; alpha.astype({wanted!r}) rounds it"}
            cure = cures.get(a.dtype, f"; alpha.astype({wanted!r})" if "int" in a.dtype else "")
            raise TypeError(
                f"alpha must be Python numbers or have dtype {wanted}, {of_x} {name}, not "
                f"{a.dtype}{cure}"
            )
        wide = place.empty(a.layout.shape, wanted)
        place.assign(wide, a)
        a = wide

    # 4. The channels: one alpha for all, or one for each on the axis.
    axis = _check_axis(axis, len(x.layout.shape), name, a.layout.shape)
    rows = (1, 1, x.layout.size)
    if a.layout.shape:
        channels = x.layout.shape[axis]
        if not _broadcasts(a.layout.shape, x.layout.shape, axis):
            given, shape = a.layout.shape, x.layout.shape
            fitting = (k for k in range(len(shape)) if _broadcasts(given, shape, k))
            cure = ""
            if len(given) == 1:
                cure = other_axis("axis", given[0], shape)
            elif (fits := next(fitting, None)) is not None:
                cure = f"; axis={fits} is where it has so many"
            elif a.layout.size == channels:
                cure = f"; alpha.reshape({channels}) has it"
            raise ValueError(
                f"alpha must be a scalar or have shape ({channels},), for the {channels} channels "
                f"on axis {axis} of {name}, whose shape is {x.layout.shape}, not shape "
                f"{a.layout.shape}{cure}"
            )
        if a.layout.size == channels:
            rows = x.layout.rows[axis]

    # 5. The result: in out itself if that has x's layout, and is an input's memory or no memory
    # of an input.
    if out is None:
        target = place.empty_like(x)
        return Call(inputs, a, rows, target, target)
    result = place.read_out(out)
    if result.dtype != x.dtype:
        raise ValueError(f"out must have dtype {x.dtype}, as the result, not {result.dtype}")
    if result.layout.shape != x.layout.shape:
        raise ValueError(
            f"out must have shape {x.layout.shape}, as the result, not {result.layout.shape}"
        )
    target = result
    problem = _problem(result, inputs, a)
    if problem:
        if not place.copies_results:
            raise ValueError(f"out must {problem}")
        target = place.empty_like(x)
    return Call(inputs, a, rows, target, result)


def vector(place: Place, value: Any, name: str, dtype: str) -> Operand:
    """Return alpha, or what is like it, with its numbers one behind the other."""
    operand = place.read_alpha(value, name, dtype)
    return operand if operand.is_aligned and operand.layout.is_c_order else place.dense(operand)


def check_like(other: Operand, dtype: str, shape: tuple[int, ...], name: str) -> None:
    """Check that an array has the dtype and the shape of the argument of this name."""
    if other.dtype != dtype:
        raise TypeError(f"{other.name} must have the dtype of {name}, {dtype}, not {other.dtype}")
    if other.layout.shape != shape:
        raise ValueError(
            f"{other.name} must have the shape of {name}, {shape}, not {other.layout.shape}"
        )


def other_axis(name: str, channels: int, shape: tuple[int, ...]) -> str:
    """Advise the argument `name` for an axis of so many channels: no axis that is a batch's."""
    for axis in range(len(shape) - 1, 0, -1):
        if shape[axis] == channels:
            return f"; {name}={axis} has as many channels"
    return f"; {name}=0 if it is one image" if len(shape) == 3 and shape[0] == channels else ""


def _broadcasts(alpha: tuple[int, ...], shape: tuple[int, ...], axis: int) -> bool:
    """Whether alpha's shape is (C,), or NumPy's rules spread it along the channels' axis alone."""
    channels, before = shape[axis], len(shape) - len(alpha)
    if len(alpha) == 1:
        return alpha[0] in (1, channels)
    return before >= 0 and all(
        extent == 1 or (before + place == axis and extent == channels)
        for place, extent in enumerate(alpha)
    )


def _check_axis(axis: Any, ndim: int, name: str, alpha: tuple[int, ...]) -> int:
    """Return the axis, counted from the first one.

    The default, 1, is let pass for a vector with one alpha for all.
    """
    try:
        if isinstance(axis, bool):
            raise TypeError
        number = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis must be an integer, not {described(axis)}") from None
    if ndim == number == 1 and not alpha:
        return 0
    if not -ndim <= number < ndim:
        given = f"{number}, the default" if number == 1 else number
        raise ValueError(
            f"axis must be from {-ndim} to {ndim - 1}, not {given}: {name} has "
            f"{counted(ndim, 'dimension')}"
        )
    return number % ndim


def _problem(out: Operand, inputs: list[Operand], alpha: Operand) -> str:
    """Return why a kernel cannot write to `out`, as an error goes on after "out must"."""
    x = inputs[0]
    if not out.layout.matches(x.layout):
        return f"have the strides of {x.name}, {x.layout.strides} bytes, not {out.layout.strides}"
    if not out.is_aligned:
        return f"begin at a multiple of {x.layout.itemsize} bytes, not at {out.address:#x}"
    for other in inputs:
        if out.overlaps(other) and not out.is_same_memory(other):
            return f"be the memory of {other.name} or apart from it, not overlap it"
    return "not overlap alpha" if out.overlaps(alpha) else ""
