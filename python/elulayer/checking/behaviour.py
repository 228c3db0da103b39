"""Checks of what a layer's results may depend on, and of what it may change."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .._support.typing import FloatArray
from ..layers import Layer
from ..layers.contract import check_output
from .case import Case, Failure, arrays_in, call, place, same


def determinism(case: Case) -> str:
    """Check that predict repeats, and forward too on a copy of the layer as it was."""
    X = case.X.astype(np.float32)
    layer = copy.deepcopy(case.layer)
    first, second = (np.array(call(layer.predict, X.copy())) for _ in range(2))
    if not same(first, second):
        raise Failure(
            f"predict gives other values the second time: {worst_difference(first, second)}",
            "predict draws random numbers, or changes an attribute that it computes with.",
        )
    first, second = (np.array(case.forward(case.layer, X)) for _ in range(2))
    if not same(first, second):
        raise Failure(
            "forward gives other values for the same input on an equal copy of the layer: "
            + worst_difference(first, second),
            "forward may draw random numbers, but from a numpy.random.Generator that the layer "
            "holds (initialize is given one): otherwise no run repeats.",
        )
    return "predict and forward repeat to the bit"


def observations(case: Case) -> str:
    """Check that the output's shape does not depend on the number of observations."""
    n, layer = case.batch_size, case.layer
    for count in (1, n + 1):
        X = case.draw(count, *case.input_shape).astype(np.float32)
        Z = case.predict(layer, X)
        case.contract(check_output, layer, "predict", Z, count, case.Z_shape[1:])
    return f"1, {n} and {n + 1} observations give outputs of one shape"


def independence(case: Case) -> str:
    """Check that predict gives an observation alone what it gives it in a batch."""
    X = case.X.astype(case.precision.dtype)
    whole = case.predict(case.wide, X)
    alone = np.concatenate([case.predict(case.wide, X[i : i + 1]) for i in range(len(X))])
    if not close(whole, alone):
        raise Failure(
            "predict gives an observation alone other values than in a batch: "
            + worst_difference(whole, alone, "in the batch", "alone"),
            "predict computes a mean, maximum or sum over axis 0 too, or reshapes so that "
            "observations mix. Statistics of the batch belong into forward.",
        )
    return "each observation alone gives what it gives in the batch"


def unchanged(case: Case) -> str:
    """Check that no method writes into what it is given, nor into learnables.

    Where a layer works in place, X may hold Z after forward.
    """
    layer, X = copy.deepcopy(case.layer), case.X.astype(np.float32)
    with _Watch("predict", {"X": X}, layer, layer.learnables, layer.state):
        call(layer.predict, X)
    X = case.X.astype(np.float32)
    before = X.copy()
    with _Watch("forward", {} if layer.in_place else {"X": X}, layer, layer.learnables):
        Z, memory = call(layer.forward, X)
    if layer.in_place and not same(X, Z) and not same(X, before):
        raise Failure(
            "forward leaves in X neither X nor Z: " + worst_difference(X, Z, "X", "Z"),
            "in_place = True says that forward writes Z over X.",
        )
    # Z and memory may share X's numbers; a layer that writes into dLdZ has its own.
    dLdZ = case.draw(*case.Z_shape).astype(np.float32)
    given = {"X": X, "Z": Z, "dLdZ": dLdZ, **dict(arrays_in(memory, "memory"))}
    with _Watch("backward", given, layer, layer.learnables):
        call(layer.backward, X, Z, dLdZ, memory)
    stay = "X, Z, dLdZ, memory and learnables stay as they are"
    return f"{stay}, but that forward works in place" if layer.in_place else stay


def hand_over(case: Case) -> str:
    """Check that backward works from what it is handed, whatever forward did in between."""
    X = case.X.astype(case.precision.dtype)
    dLdZ = case.draw(*case.Z_shape).astype(X.dtype)
    expected = case.run(case.wide, X, dLdZ)
    layer = copy.deepcopy(case.wide)
    given, Z, memory = case.passed(layer, X)
    Z, memory = np.array(Z), _copied(memory)
    call(layer.forward, case.draw(*case.X.shape).astype(X.dtype))
    result = call(layer.backward, given, Z, dLdZ.copy(), memory)
    for name, a, b in zip(
        case.names, expected, result if isinstance(result, tuple) else (result,), strict=True
    ):
        if not close(a, b):
            raise Failure(
                f"{name} is another one after forward has seen other data: "
                + worst_difference(np.asarray(a), np.asarray(b), "before", "after"),
                "forward leaves something for backward on self. Return it as memory: backward is "
                "handed that of its own batch.",
            )
    return "backward needs nothing but what it is handed"


def overwritten_output(case: Case) -> str:
    """Check the promise of `backward_uses_output = False`: the layer above may write over Z."""
    X = case.X.astype(case.precision.dtype)
    dLdZ = case.draw(*case.Z_shape).astype(X.dtype)
    expected = case.run(case.wide, X, dLdZ)
    layer = copy.deepcopy(case.wide)
    Z, memory = call(layer.forward, X)
    promise = "backward_uses_output = False promises the contrary: take it away."
    # Over the memory of an X that the layer itself writes over, the layer above may write too.
    held = () if layer.in_place else (("X", X),)
    for name, array in (*held, *arrays_in(memory, "memory")):
        if isinstance(array, np.ndarray) and np.shares_memory(Z, array):
            raise Failure(f"forward's Z shares the memory of {name}", promise)
    Z[...] = np.nan
    result = call(layer.backward, X, Z, dLdZ, memory)
    for name, a, b in zip(
        case.names, expected, result if isinstance(result, tuple) else (result,), strict=True
    ):
        if not close(a, b):
            raise Failure(f"{name} is another one where Z has been overwritten", promise)
    return "Z may be overwritten between forward and backward"


class _Watch:
    """Fails a method that changes arrays, learnables or states."""

    def __init__(
        self, method: str, given: dict[str, Any], layer: Layer, *names: tuple[str, ...]
    ) -> None:
        self.method, self.given, self.layer = method, given, layer
        self.names = [name for group in names for name in group]

    def _now(self) -> dict[str, Any]:
        return {**self.given, **{name: getattr(self.layer, name) for name in self.names}}

    def __enter__(self) -> None:
        self.before = {name: _copied(value) for name, value in self._now().items()}

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is not None:
            return
        after = self._now()
        changed = [name for name in after if not same(self.before[name], after[name])]
        if changed:
            numbers = worst_difference(
                np.asarray(self.before[changed[0]]), np.asarray(after[changed[0]])
            )
            raise Failure(
                f"{self.method} changes {', '.join(changed)}: {numbers}",
                f"an operation in place (X[...] = , *=, out=, sort) in {self.method}: work on a "
                "copy, or use np.where.",
            )


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:
        return value


def close(a: Any, b: Any) -> bool:
    """Whether arrays agree but for rounding in another order."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    largest = max(np.abs(array[np.isfinite(array)]).max(initial=0) for array in (a, b))
    return np.allclose(a, b, rtol=0, atol=1e4 * np.finfo(a.dtype).eps * largest, equal_nan=True)


def worst_difference(
    a: FloatArray, b: FloatArray, first: str = "first", second: str = "then"
) -> str:
    """Say where two arrays differ most."""
    if a.shape != b.shape or not a.size or a.dtype.kind != "f":
        return f"{first} of shape {a.shape}, {second} of shape {b.shape}"
    with np.errstate(all="ignore"):
        apart = np.nan_to_num(np.abs(a - b).astype(float), nan=np.inf)
    index = int(apart.argmax())
    where = place(index, a.shape)
    return f"{first} {a.flat[index]:.4g}, {second} {b.flat[index]:.4g}" + (
        f" at {where}" if where else ""
    )
