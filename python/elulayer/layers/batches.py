"""The training set as a layer's hooks are given it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from .._support.typing import FloatArray

_T = TypeVar("_T")


class Batches:
    """A layer's inputs over the training set, for one pass.

    They are computed as one asks for them: a layer that does not look costs nothing.

    Parameters
    ----------
    batches : iterable of ndarray
    """

    def __init__(self, batches: Iterable[FloatArray]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[FloatArray]:
        """Yield them all."""
        return iter(self._batches)

    def map(self, function: Callable[[FloatArray], _T]) -> Iterator[_T]:
        """Yield what the function returns for each of them, in their order.

        The processes of a parallel run share the work out, where iteration gives all to each.
        """
        return map(function, self)


def as_batches(batches: Iterable[FloatArray]) -> Batches:
    """Return batches of any kind as `Batches`."""
    return batches if isinstance(batches, Batches) else Batches(batches)
