"""The state of a training run: all that an iteration changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._support.checks import integer, number
from .._support.typing import AnyArray, FloatArray
from ..layers import Layer
from ..network import Network
from ..network.files import check_values, set_values, values
from ..network.record import RecordBuilder
from .options import TrainingOptions
from .solver import SOLVERS, Solver


class Run:
    """What a training run has come to. A run goes on from these values and nothing else.

    Attributes
    ----------
    network : Network
    solver : Solver
    rng : numpy.random.Generator
        Of the shuffling.
    order : ndarray of int, or None
        The images' order in this epoch; None where the batches come from an iterable.
    epoch : int
        The running epoch, counted from 1.
    batch : int
        Mini-batches of it that have been trained on.
    images : int
        Images seen in the whole run.
    seconds : float
        Time that training took before this process.
    record : RecordBuilder
    best : dict of str to ndarray
        The network's values at the smallest validation loss, if the options ask for them.
    best_loss : float
    failures : int
        Trials in a row that brought no smaller loss.
    """

    def __init__(
        self,
        network: Network,
        options: TrainingOptions,
        rng: np.random.Generator,
        order: npt.NDArray[np.int64] | None,
    ) -> None:
        self.network = network
        self.solver: Solver = SOLVERS[options.solver](options)
        self.rng = rng
        self.order = order
        self.epoch = 1
        self.batch = 0
        self.images = 0
        self.seconds = 0.0
        self.record = RecordBuilder()
        self.best: dict[str, AnyArray] = {}
        self.best_loss = math.inf
        self.failures = 0

    @property
    def iteration(self) -> int:
        """The last iteration that was done; 0 before the first."""
        return len(self.record)

    def arrays(self) -> dict[str, AnyArray]:
        """Return the arrays of the state."""
        arrays = {f"network.{key}": value for key, value in values(self.network.layers).items()}
        arrays |= {f"solver.{key}": value for key, value in self.solver.arrays.items()}
        arrays |= {f"record.{key}": value for key, value in self.record.arrays().items()}
        arrays |= {f"best.{key}": value for key, value in self.best.items()}
        if self.order is not None:
            arrays["order"] = self.order
        return arrays

    def numbers(self) -> dict[str, Any]:
        """Return the rest of the state, as JSON can hold it."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "images": self.images,
            "seconds": self.seconds,
            "best_loss": None if self.best_loss == math.inf else self.best_loss,
            "failures": self.failures,
            "rng": _plain(self.rng.bit_generator.state),
            "layer_rngs": {
                key: _plain(generator.bit_generator.state)
                for key, generator in generators(self.network.layers).items()
            },
        }

    def restore(self, arrays: dict[str, AnyArray], numbers: dict[str, Any]) -> None:
        """Take over the state that `arrays` and `numbers` returned; of a file it may be anything.

        Raises
        ------
        TypeError, ValueError
            If it is the state of other layers, or not all of it, or none that a run can have.
        """
        rngs = numbers.get("layer_rngs", {})
        if not isinstance(rngs, Mapping):
            raise TypeError(f"layer_rngs must be an object, not {rngs!r}")
        lacking = [
            *(self.arrays().keys() - arrays.keys()),
            *(self.numbers().keys() - numbers.keys()),
            *(f"layer_rngs.{key}" for key in generators(self.network.layers).keys() - rngs.keys()),
        ]
        if lacking:
            raise ValueError(f"it must hold the run's whole state, not lack {', '.join(lacking)}")

        def part(prefix: str) -> dict[str, AnyArray]:
            return {
                key.removeprefix(prefix): value
                for key, value in arrays.items()
                if key.startswith(prefix)
            }

        for name, array in arrays.items():
            is_value = name.startswith(("network.", "solver.", "best."))
            if is_value and array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ValueError(f"{name} must be finite")
        set_values(self.network.layers, part("network."))
        self.solver.arrays = _of_learnables(part("solver."), self.network)
        self.record.extend(_checked_columns(part("record.")))
        self.best = part("best.")
        if self.best:
            check_values(self.network.layers, self.best)
        if self.order is not None:
            order = arrays["order"]
            if order.dtype.kind != "i" or not np.array_equal(np.sort(order), np.sort(self.order)):
                raise ValueError(f"order must be that of {len(self.order)} images")
            self.order = order
        self.epoch = integer("epoch", numbers["epoch"])
        for name in ("batch", "images", "failures"):
            setattr(self, name, integer(name, numbers[name], least=0))
        self.seconds = number("seconds", numbers["seconds"])
        best = numbers["best_loss"]
        self.best_loss = math.inf if best is None else number("best_loss", best, least=-1e300)
        _set_state("rng", self.rng, numbers["rng"])
        for key, generator in generators(self.network.layers).items():
            _set_state(f"layer_rngs.{key}", generator, rngs[key])


def generators(layers: Sequence[Layer]) -> dict[str, np.random.Generator]:
    """Return the generators that layers hold, by the layer's position and the attribute."""
    return {
        f"{index}.{name}": value
        for index, layer in enumerate(layers)
        for name, value in vars(layer).items()
        if isinstance(value, np.random.Generator)
    }


def _set_state(what: str, generator: np.random.Generator, state: Any) -> None:
    try:
        generator.bit_generator.state = state
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"{what} must be a state of {generator!r}: {error!r}") from error


def _of_learnables(arrays: dict[str, AnyArray], network: Network) -> dict[str, FloatArray]:
    """Check that each array is like the learnable that its name begins with."""
    expected = values(network.layers)
    for key, array in arrays.items():
        like = expected.get(key.rpartition(".")[0])
        if like is None or array.shape != like.shape or array.dtype != np.float32:
            raise ValueError(f"solver.{key} must be like a learnable of the network")
    return arrays


def _checked_columns(columns: dict[str, AnyArray]) -> dict[str, AnyArray]:
    """Check that they are those of a record, of the iterations from the first on."""
    iterations = columns["iteration"]
    for name, column in columns.items():
        kind = "i" if name in ("iteration", "epoch") else "f"
        if column.shape != iterations.shape or column.ndim != 1 or column.dtype.kind != kind:
            raise ValueError(f"record.{name} must hold a number for each iteration")
    if not np.array_equal(iterations, np.arange(1, len(iterations) + 1)):
        raise ValueError("record.iteration must be counted from 1")
    return columns


def _plain(state: Any) -> Any:
    """Return a generator's state without arrays, which some hold and all take as lists."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state
