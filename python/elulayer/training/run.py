"""The state of a training run: all that an iteration changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .._support.typing import AnyArray
from ..network import Network
from ..network.files import set_values, values
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
                for key, generator in self._layer_rngs().items()
            },
        }

    def _layer_rngs(self) -> dict[str, np.random.Generator]:
        """Return the generators that layers hold, by the layer's position and the attribute."""
        return {
            f"{index}.{name}": value
            for index, layer in enumerate(self.network.layers)
            for name, value in vars(layer).items()
            if isinstance(value, np.random.Generator)
        }

    def restore(self, arrays: dict[str, AnyArray], numbers: dict[str, Any]) -> None:
        """Take over the state that `arrays` and `numbers` returned.

        Raises
        ------
        ValueError
            If it is the state of other layers, or not all of it.
        """
        rngs = numbers.get("layer_rngs", {})
        lacking = [
            *(self.arrays().keys() - arrays.keys()),
            *(self.numbers().keys() - numbers.keys()),
            *(f"layer_rngs.{key}" for key in self._layer_rngs().keys() - rngs.keys()),
        ]
        if lacking:
            raise ValueError(f"it must hold the run's whole state, not lack {', '.join(lacking)}")

        def part(prefix: str) -> dict[str, AnyArray]:
            return {
                key.removeprefix(prefix): value
                for key, value in arrays.items()
                if key.startswith(prefix)
            }

        set_values(self.network.layers, part("network."))
        self.solver.arrays = part("solver.")
        self.record.extend(part("record."))
        self.best = part("best.")
        if self.order is not None:
            self.order = arrays["order"]
        for name in ("epoch", "batch", "images", "seconds", "failures"):
            setattr(self, name, numbers[name])
        self.best_loss = math.inf if numbers["best_loss"] is None else numbers["best_loss"]
        self.rng.bit_generator.state = numbers["rng"]
        for key, generator in self._layer_rngs().items():
            generator.bit_generator.state = rngs[key]


def _plain(state: Any) -> Any:
    """Return a generator's state without arrays, which some hold and all take as lists."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, (np.ndarray, np.generic)) else state
