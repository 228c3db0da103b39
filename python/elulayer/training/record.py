"""What a training run leaves beside the network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


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
    """

    iteration: npt.NDArray[np.int64]
    epoch: npt.NDArray[np.int64]
    loss: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]
    learn_rate: npt.NDArray[np.float64]
    time: npt.NDArray[np.float64]

    @classmethod
    def empty(cls, iterations: int) -> TrainingRecord:
        """Return a record to be filled, its iterations numbered."""
        number = np.arange(1, iterations + 1)
        return cls(number, np.zeros_like(number), *np.zeros((4, iterations)))

    def row(self, i: int) -> tuple[int, int, float, float, float, float]:
        """Return what a row of the table says of iteration ``i + 1``, in the table's order."""
        return (
            int(self.epoch[i]),
            int(self.iteration[i]),
            float(self.time[i]),
            float(self.loss[i]),
            float(self.accuracy[i]),
            float(self.learn_rate[i]),
        )
