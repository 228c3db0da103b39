"""The course of a training run: what it has come to meanwhile, and what it leaves in the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from .._support.typing import AnyArray
from .._support.wording import counted
from .network import Network


@dataclass(frozen=True, eq=False, repr=False)
class TrainingRecord:
    """The course of a training run, one value per iteration in each array.

    Attributes
    ----------
    iteration, epoch : ndarray of int
        Counted from 1.
    loss : ndarray of float
        Cross-entropy of the mini-batch before the update, without the L2 term.
    accuracy : ndarray of float
        Correctly classified images of the mini-batch, in percent.
    learn_rate : ndarray of float
        Base learn rate.
    time : ndarray of float
        Seconds since training began, at the end of the iteration.
    validation_loss, validation_accuracy : ndarray of float
        The same of the validation data, after the update; NaN at iterations without a trial.
    stopped_by : {"max_epochs", "validation_patience", "output_fcn", "interrupt"}
        What ended the run; "interrupt" is Ctrl-C.
    """

    iteration: npt.NDArray[np.int64]
    epoch: npt.NDArray[np.int64]
    loss: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    learn_rate: npt.NDArray[np.float64]
    time: npt.NDArray[np.float64]
    validation_loss: npt.NDArray[np.float64]
    validation_accuracy: npt.NDArray[np.float64]
    stopped_by: str = "max_epochs"

    def __repr__(self) -> str:
        if not len(self.iteration):
            return f"TrainingRecord of no iteration, stopped by {self.stopped_by}"
        lines = [
            f"TrainingRecord of {counted(self.iteration[-1], 'iteration')} in "
            f"{counted(self.epoch[-1], 'epoch')} and "
            f"{self.time[-1]:.1f} s, stopped by {self.stopped_by}",
            f"  last mini-batch: loss {self.loss[-1]:.4f}, {self.accuracy[-1]:.2f} % right",
        ]
        (trials,) = np.nonzero(~np.isnan(self.validation_loss))
        if len(trials):
            loss = self.validation_loss[trials]
            best = trials[loss.argmin()]
            lines += [
                f"  last trial: loss {loss[-1]:.4f}, "
                f"{self.validation_accuracy[trials[-1]]:.2f} % right",
                f"  best trial: loss {loss.min():.4f}, at iteration {self.iteration[best]}",
            ]
        return "\n".join([*lines, "  curves: elulayer.plots.plot_training(record)"])


@dataclass(frozen=True)
class TrainingProgress:
    """Where a training run stands; what its output functions are called with.

    Attributes
    ----------
    state : {"start", "iteration", "done"}
        Before the first iteration, after one, or after the last. At "start" the numbers that only
        an iteration gives are NaN, or the last iteration's of a run that is resumed.
    epoch, iteration : int
        Counted from 1; 0 at "start" of a run that was not resumed.
    total_iterations : int or None
        Iterations of the whole run; None where an iterable does not tell its length.
    time_since_start : float
        Seconds.
    loss, accuracy : float
        Of the mini-batch, before the update; the accuracy in percent.
    validation_loss, validation_accuracy : float
        NaN at iterations without a trial.
    learn_rate : float
        Base learn rate.
    network : Network
        The network as it is now. It goes on learning: copy what is to be kept.
    record : callable
        Returns the `TrainingRecord` up to now, that of a run's earlier parts included.
    """

    state: str
    epoch: int
    iteration: int
    total_iterations: int | None
    time_since_start: float
    loss: float
    accuracy: float
    validation_loss: float
    validation_accuracy: float
    learn_rate: float
    network: Network
    record: Callable[[], TrainingRecord]


COLUMNS = tuple(field.name for field in fields(TrainingRecord) if field.name != "stopped_by")


class RecordBuilder:
    """A record that grows by an iteration at a time."""

    def __init__(self) -> None:
        self._columns: dict[str, list[float]] = {name: [] for name in COLUMNS}

    def __len__(self) -> int:
        """Return the number of iterations."""
        return len(self._columns["iteration"])

    def append(self, **values: float) -> None:
        """Add an iteration, with a value for each column."""
        for name in COLUMNS:
            self._columns[name].append(values[name])

    def replace_last(self, **values: float) -> None:
        """Give the last iteration other values in some columns."""
        for name, value in values.items():
            self._columns[name][-1] = value

    def last(self, *names: str) -> dict[str, float]:
        """Return the last iteration's values of some columns; NaN before the first."""
        return {name: self._columns[name][-1] if len(self) else math.nan for name in names}

    def arrays(self) -> dict[str, AnyArray]:
        """Return the columns."""
        return {
            name: np.array(values, dtype=np.int64 if name in ("iteration", "epoch") else np.float64)
            for name, values in self._columns.items()
        }

    def extend(self, columns: dict[str, AnyArray]) -> None:
        """Add what `arrays` returned."""
        for name in COLUMNS:
            self._columns[name] += columns[name].tolist()

    def build(self, stopped_by: str) -> TrainingRecord:
        """Return the record."""
        return TrainingRecord(**self.arrays(), stopped_by=stopped_by)
