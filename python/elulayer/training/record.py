"""What a training run leaves beside the network."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from .._typing import AnyArray


@dataclass(frozen=True, eq=False)
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
    stopped_by : {"max_epochs", "validation_patience", "output_fcn"}
        What ended the run.
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
