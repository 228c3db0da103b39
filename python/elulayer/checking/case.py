"""The layer under check: copies of it, the data that it is given, and how it is called."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .._support.typing import AnyArray, FloatArray
from .._support.wording import line_in
from ..layers import Layer
from ..layers.contract import label

T = TypeVar("T")

_PACKAGE = Path(__file__).parent.parent


class Failure(Exception):  # noqa: N818 - a result, not an error of check_layer
    """The layer fails the check that runs."""

    def __init__(self, message: str, cause: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.cause = cause


class Skip(Exception):  # noqa: N818 - a result too
    """The check that runs does not apply."""


@dataclass(frozen=True)
class Precision:
    """How gradients are compared in a dtype.

    Attributes
    ----------
    dtype : dtype
    step : float
        Of the differences, near the cube root of the dtype's epsilon and a power of 2.
    kink : float
        One-sided differences that differ by more than this part of them show a kink.
    tolerance : float
        By what part of the sum of their terms' magnitudes gradients may differ.
    """

    dtype: npt.DTypeLike
    step: float
    kink: float
    tolerance: float


DOUBLE = Precision(np.float64, 2.0**-17, 1e-3, 1e-5)
SINGLE = Precision(np.float32, 2.0**-10, 2e-2, 1e-2)


class Case:
    """One layer under check; what the checks find out about it is kept here for those after.

    Parameters
    ----------
    layer : Layer
        It is only copied.
    input_shape : tuple of int
        Without the batch axis.
    batch_size : int
    seed : int

    Attributes
    ----------
    layer : Layer
        The copy; float32 learnables, as in a network, once it is initialized.
    X : ndarray of shape (batch_size, *input_shape), float64
        Standard normal.
    Z_shape : tuple of int
        Shape of predict's output.
    derivatives : object
        The numerical gradients, once they are computed: the checks of all gradients use them.
    """

    layer: Layer
    Z_shape: tuple[int, ...]
    derivatives: Any = None

    def __init__(
        self, layer: Layer, input_shape: tuple[int, ...], batch_size: int, seed: int
    ) -> None:
        self.given = layer
        self.input_shape = input_shape
        self.batch_size = batch_size
        self.rng = np.random.default_rng(seed)
        self.X = self.draw(batch_size, *input_shape)

    def draw(self, *shape: int) -> npt.NDArray[np.float64]:
        """Draw standard normal values."""
        return self.rng.standard_normal(shape)

    @property
    def names(self) -> list[str]:
        """The names of backward's results."""
        return ["dLdX", *(f"dLd{name}" for name in self.layer.learnables)]

    @cached_property
    def precision(self) -> Precision:
        """Float64, unless the layer cannot compute in it."""
        layer = _with_learnables(self.layer, np.float64)
        rounded = self.X.astype(np.float32).astype(np.float64)
        for method in (self.predict, self.forward):
            try:
                Z = method(layer, self.X)
                blind = Z.dtype != np.float64 or same(Z, method(layer, rounded))
            except Failure:
                return SINGLE
            if blind or same(Z, Z.astype(np.float32).astype(np.float64)):
                return SINGLE
        return DOUBLE

    @cached_property
    def wide(self) -> Layer:
        """The copy that is differentiated, with learnables in the dtype of `precision`."""
        return _with_learnables(self.layer, self.precision.dtype)

    def run(self, layer: Layer, X: FloatArray, dLdZ: FloatArray) -> list[Any]:
        """Pass a batch forward and back through a copy of `layer`; return the gradients."""
        layer = copy.deepcopy(layer)
        given, Z, memory = self.passed(layer, X)
        result = call(layer.backward, given, Z, dLdZ.astype(X.dtype), memory)
        return list(result) if isinstance(result, tuple) else [result]

    def passed(self, layer: Layer, X: FloatArray) -> tuple[FloatArray, Any, Any]:
        """Pass a batch forward; return X, Z and memory as backward is handed them in a network.

        X is the same as before, or what forward has left of it where the layer works in place.
        """
        given = X.copy()
        Z, memory = call(layer.forward, given)
        return given if layer.in_place else X.copy(), Z, memory

    def forward(self, layer: Layer, X: FloatArray) -> FloatArray:
        """Return the output of forward of a copy of `layer`."""
        # A copy each time: forward may move averages, and draws the same random numbers again.
        Z: FloatArray = call(copy.deepcopy(layer).forward, X.copy())[0]
        return Z

    def predict(self, layer: Layer, X: FloatArray) -> FloatArray:
        """Return the output of predict of a copy of `layer`."""
        Z: FloatArray = call(copy.deepcopy(layer).predict, X.copy())
        return Z

    def contract(self, check: Callable[..., T], *arguments: Any) -> T:
        """Call a check of `layers.contract`; what it raises is the layer's failure."""
        try:
            return check(0, *arguments)
        except (TypeError, ValueError) as error:
            text = str(error)
            for layer in (self.given, arguments[0]):
                text = text.removeprefix(f"{label(0, layer)}: ").replace(
                    label(0, layer), type(layer).__name__
                )
            raise Failure(text) from error


def call(method: Callable[..., T], *arguments: Any) -> T:
    """Call something of the layer's; what it raises is the layer's failure."""
    try:
        return method(*arguments)
    except Exception as error:
        text = f"{_name(method)} raised {type(error).__name__}: {error}".removesuffix(": ")
        raise Failure(text + line_in(error, _files(method).__contains__)) from error


def arrays_in(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield what is in nested tuples, lists, dictionaries and objects, with names."""
    if isinstance(value, (tuple, list)):
        for index, item in enumerate(value):
            yield from arrays_in(item, f"{name}[{index}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from arrays_in(item, f"{name}[{key!r}]")
    elif isinstance(value, (np.ndarray, np.generic)):
        yield name, value
    elif hasattr(value, "__dict__") and not isinstance(value, type) and not callable(value):
        yield from arrays_in(vars(value), name)
    else:
        yield name, value


def same(a: Any, b: Any) -> bool:
    """Whether two values, arrays among them, are the same, NaN included."""
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        a, b = np.asarray(a), np.asarray(b)
        return a.shape == b.shape and a.dtype == b.dtype and bool(_equal(a, b).all())
    try:
        return bool(a == b) or bool(a != a and b != b)
    except (TypeError, ValueError):
        return True


def place(index: int, shape: tuple[int, ...]) -> str:
    """Write a flat index as one writes it in code."""
    return f"[{', '.join(str(int(i)) for i in np.unravel_index(index, shape))}]" if shape else ""


def _with_learnables(layer: Layer, dtype: npt.DTypeLike) -> Layer:
    layer = copy.deepcopy(layer)
    for name in layer.learnables:
        setattr(layer, name, np.array(getattr(layer, name), dtype=dtype))
    return layer


def _equal(a: AnyArray, b: AnyArray) -> AnyArray:
    equal: AnyArray = (a == b) | ((a != a) & (b != b))
    return equal


def _files(method: Any) -> set[str]:
    """Return the user's files that define a layer's methods, its own and those it inherits."""
    owner = getattr(method, "__self__", None)
    functions = [function for cls in type(owner).__mro__ for function in vars(cls).values()]
    wrapped = [inspect.unwrap(function) for function in functions if callable(function)]
    codes = [getattr(function, "__code__", None) for function in (method, *functions, *wrapped)]
    files = {code.co_filename for code in codes if code is not None}
    return {file for file in files if Path(file).parent.parent != _PACKAGE}


def _name(method: Any) -> str:
    return getattr(method, "__name__", type(method).__name__)
