"""Checks that a layer keeps the contract of `Layer`, with messages that say which did not."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .._support.checks import number
from .._support.typing import FloatArray
from .._support.wording import counted, described, shown
from .base import Layer


def label(index: int, layer: Layer) -> str:
    """Name a layer in a message: its position and its title."""
    return f"layers[{index}] ({title(layer)})"


def title(layer: Layer) -> str:
    """Return a layer's class, and its own name if it has one."""
    return type(layer).__name__ + (f" {layer.name!r}" if layer.name else "")


# Others may not be made of a message.
_RENAMED = (TypeError, ValueError, RuntimeError, IndexError, AttributeError)


@contextmanager
def named(index: int, layer: Layer) -> Iterator[None]:
    """Say in what a layer's own methods raise which layer it was."""
    try:
        yield
    except Exception as error:
        who = label(index, layer)
        if type(error) in _RENAMED and not str(error).startswith(who):
            raise type(error)(f"{who}: {str(error) or type(error).__name__}") from error
        if type(error) not in _RENAMED and sys.version_info >= (3, 11):
            error.add_note(f"raised in {who}")
        raise


def check_definition(index: int, layer: object) -> None:
    """Check that `layer` is a layer, and one that can predict."""
    if isinstance(layer, type) and issubclass(layer, Layer):
        raise TypeError(
            f"layers[{index}] must be a Layer, not the class {layer.__name__}: "
            f"a layer is made by calling it, {layer.__name__}(...)"
        )
    if not isinstance(layer, Layer):
        raise TypeError(f"layers[{index}] must be a Layer, not {described(layer)}")
    for method in ("predict", "backward"):
        if getattr(type(layer), method) is getattr(Layer, method):
            near = difflib.get_close_matches(method, set(dir(layer)) - set(dir(Layer)), n=1)
            hint = f"; is {near[0]} meant to be it?" if near else ""
            raise TypeError(f"{label(index, layer)} must define {method}{hint}")
    names: object = layer.learnables
    if isinstance(names, str):
        raise TypeError(
            f"{label(index, layer)}: learnables must be a tuple of names, "
            f"({names!r},), not the string {names!r}"
        )
    if (
        not isinstance(names, (tuple, list))
        or not all(isinstance(name, str) for name in names)
        or len(set(names)) < len(names)
    ):
        raise TypeError(
            f"{label(index, layer)}: learnables must be a tuple of different names, not {names!r}"
        )


def settle_learnables(index: int, layer: Layer) -> None:
    """Turn each learnable into a float32 array; check that it is there, and the factors' names."""
    for name in layer.learnables:
        value = getattr(layer, name, None)
        who = f"{label(index, layer)}: its learnable {name!r}"
        if value is None:
            raise ValueError(f"{who} must have a value after initialize")
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"{who} must not be a masked array, whose mask would be ignored")
        try:
            with np.errstate(over="ignore"):
                array = np.array(value, dtype=np.float32)
        except (TypeError, ValueError, RuntimeError, BufferError) as error:
            raise TypeError(f"{who} must be numbers, not {shown(value)}") from error
        wrong = ~np.isfinite(array)
        if wrong.any():
            bad = np.asarray(value)[wrong][0]
            raise ValueError(f"{who} must be finite as float32, not {bad} as one of {array.size}")
        setattr(layer, name, array)
    for what in ("learn_rate_factors", "l2_factors"):
        for name, factor in getattr(layer, what).items():
            if name not in layer.learnables:
                raise ValueError(
                    f"{label(index, layer)}: {what} must name learnables, of "
                    f"{tuple(layer.learnables)}, not {name!r}"
                )
            number(f"{label(index, layer)}: {what}[{name!r}]", factor)


def check_output(
    index: int, layer: Layer, method: str, Z: Any, n: int, shape: tuple[int, ...] | None
) -> FloatArray:
    """Check a layer's output; `shape` without the batch axis is known after the first call.

    An output of another floating dtype, such as comes out where a layer has computed with its own
    float64 constants, is rounded to float32, in which networks compute.
    """
    who = f"{label(index, layer)}: {method} must return "
    _check_floating(who + "Z as", Z)
    if Z.ndim < 2 or len(Z) != n:
        raise ValueError(f"{who}Z with the batch of {n} on axis 0, not shape {Z.shape}")
    if shape is not None and Z.shape[1:] != shape:
        raise ValueError(f"{who}Z of shape {(n, *shape)}, not {Z.shape}")
    output: FloatArray = Z.astype(np.float32, copy=False)
    return output


def check_forward(index: int, layer: Layer, result: Any) -> tuple[Any, Any]:
    """Check that a layer's forward has returned two things."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(
            f"{label(index, layer)}: forward must return (Z, memory), not {described(result)}"
        )
    return result


def check_gradients(
    index: int, layer: Layer, X: FloatArray, result: Any
) -> tuple[FloatArray | None, list[FloatArray]]:
    """Check what a layer's backward has returned; give dLdX and the learnables' gradients."""
    names = ["dLdX", *(f"dLd{name}" for name in layer.learnables)]
    expected = names[0] if len(names) == 1 else f"({', '.join(names)})"
    who = f"{label(index, layer)}: backward must return {expected}"
    items = result if isinstance(result, tuple) else (result,)
    if len(items) != len(names):
        raise ValueError(
            f"{who}, {'a tuple of ' * (len(names) > 1)}{counted(len(names), 'gradient')}, not "
            f"{described(result)}: learnables must name what has a gradient, and is "
            f"{tuple(layer.learnables)}"
        )
    gradients: list[FloatArray] = []
    for name, item in zip(names[1:], items[1:], strict=True):
        _check_floating(f"{who}, {name} as", item, scalar=True)
        shape, wanted = np.shape(item), np.shape(getattr(layer, name[len("dLd") :]))
        if shape != wanted:
            raise ValueError(f"{who} with {name} of shape {wanted}, not {shape}")
        gradients.append(np.asarray(item, dtype=np.float32))
    dLdX = items[0]
    if not layer.needs_input_gradient:
        return None, gradients
    _check_floating(f"{who} as" if len(names) == 1 else f"{who}, dLdX as", dLdX)
    if dLdX.shape != X.shape:
        raise ValueError(f"{who} with dLdX of shape {X.shape}, not {dLdX.shape}")
    return dLdX.astype(np.float32, copy=False), gradients


def _check_floating(who: str, value: Any, scalar: bool = False) -> None:
    if scalar and isinstance(value, float):
        return
    kinds = (np.ndarray, np.generic) if scalar else np.ndarray
    if (
        not isinstance(value, kinds)
        or isinstance(value, np.ma.MaskedArray)  # networks would ignore the mask
        or not np.issubdtype(value.dtype, np.floating)
    ):
        raise TypeError(f"{who} a floating-point array, not {described(value)}")
