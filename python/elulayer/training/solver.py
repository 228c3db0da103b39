"""How a learnable moves along its gradient."""

from __future__ import annotations

from collections.abc import Hashable

from .._typing import FloatArray


class Sgdm:
    """Stochastic gradient descent with momentum, as MATLAB's trainingOptions documents it.

    value[t + 1] = value[t] - learn_rate * gradient[t] + momentum * (value[t] - value[t - 1])

    Parameters
    ----------
    momentum : float
        What remains of the last step, from 0 to less than 1.
    """

    def __init__(self, momentum: float) -> None:
        self.momentum = momentum
        self._steps: dict[Hashable, FloatArray] = {}

    def update(
        self, key: Hashable, value: FloatArray, gradient: FloatArray, learn_rate: float
    ) -> FloatArray:
        """Return the new value of a learnable.

        Parameters
        ----------
        key : hashable
            Which learnable it is; the last step is kept for each.
        value, gradient : ndarray of one shape
            They are not changed.
        learn_rate : float
            The learn rate times the learnable's factor.
        """
        step: FloatArray = -learn_rate * gradient
        if key in self._steps:
            step = step + self.momentum * self._steps[key]
        self._steps[key] = step
        new: FloatArray = value + step
        return new
