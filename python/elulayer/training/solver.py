"""How a learnable moves along its gradient."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .._support.typing import FloatArray
from .options import TrainingOptions


class Solver:
    """Base of the solvers: the arrays that they keep from one step to the next.

    Attributes
    ----------
    arrays : dict of str to ndarray
        By the learnable's key and what is kept of it, ``"3.alpha.step"``. With these, and the
        iteration's number, a solver goes on where another one stopped.
    """

    def __init__(self, options: TrainingOptions) -> None:
        self.options = options
        self.arrays: dict[str, FloatArray] = {}

    def step(self, key: str, gradient: FloatArray, learn_rate: float, iteration: int) -> FloatArray:
        """Return what is to be added to a learnable.

        Parameters
        ----------
        key : str
            Which learnable it is.
        gradient : ndarray
            Its gradient, with the L2 term; not changed.
        learn_rate : float
            The learn rate times the learnable's factor.
        iteration : int
            Counted from 1.
        """
        raise NotImplementedError

    def _average(self, key: str, value: FloatArray, decay: float) -> FloatArray:
        """Update a moving average that starts from zero."""
        old = self.arrays.get(key)
        new = (1 - decay) * value
        if old is not None:
            new = new + decay * old
        return self._keep(key, new)

    def _keep(self, key: str, array: FloatArray) -> FloatArray:
        # NumPy before 2 makes float64 of a float32 array without dimensions and a number.
        self.arrays[key] = np.asarray(array, dtype=np.float32)
        return self.arrays[key]


class Sgdm(Solver):
    """Stochastic gradient descent with momentum.

    step[t] = -learn_rate * gradient[t] + momentum * step[t - 1]
    """

    def step(  # noqa: D102
        self, key: str, gradient: FloatArray, learn_rate: float, iteration: int
    ) -> FloatArray:
        step: FloatArray = -learn_rate * gradient
        last = self.arrays.get(f"{key}.step")
        if last is not None:
            step = step + _set(self.options.momentum) * last
        return self._keep(f"{key}.step", step)


class Adam(Solver):
    """Adam: Kingma and Ba, "Adam: A Method for Stochastic Optimization", Algorithm 1.

    m[t] = d m[t-1] + (1 - d) gradient[t];  v[t] = s v[t-1] + (1 - s) gradient[t]^2
    step[t] = -learn_rate * (m[t] / (1 - d^t)) / (sqrt(v[t] / (1 - s^t)) + epsilon)
    """

    def step(  # noqa: D102
        self, key: str, gradient: FloatArray, learn_rate: float, iteration: int
    ) -> FloatArray:
        d = _set(self.options.gradient_decay_factor)
        s = _set(self.options.squared_gradient_decay_factor)
        m = self._average(f"{key}.gradient", gradient, d)
        v = self._average(f"{key}.squared_gradient", np.square(gradient), s)
        divisor = np.sqrt(v) * (1 / math.sqrt(1 - s**iteration)) + _set(self.options.epsilon)
        step: FloatArray = (-learn_rate / (1 - d**iteration)) * m / divisor
        return step


class RMSProp(Solver):
    """RMSProp, after Hinton, Srivastava and Swersky, "Neural Networks for Machine Learning" (6e).

    v[t] = s v[t-1] + (1 - s) gradient[t]^2
    step[t] = -learn_rate * gradient[t] / (sqrt(v[t]) + epsilon)
    """

    def step(  # noqa: D102
        self, key: str, gradient: FloatArray, learn_rate: float, iteration: int
    ) -> FloatArray:
        s = _set(self.options.squared_gradient_decay_factor)
        v = self._average(f"{key}.squared_gradient", np.square(gradient), s)
        step: FloatArray = -learn_rate * gradient / (np.sqrt(v) + _set(self.options.epsilon))
        return step


SOLVERS: dict[str, Callable[[TrainingOptions], Solver]] = {
    "sgdm": Sgdm,
    "adam": Adam,
    "rmsprop": RMSProp,
}


def limit_gradients(
    gradients: dict[str, FloatArray], options: TrainingOptions
) -> dict[str, FloatArray]:
    """Hold gradients below the options' threshold, by the options' method."""
    threshold, method = options.gradient_threshold, options.gradient_threshold_method
    if threshold == math.inf:
        return gradients
    if method == "absolute-value":
        return {key: np.clip(g, -threshold, threshold) for key, g in gradients.items()}
    norms = {
        key: float(np.linalg.norm(g.astype(np.float64).ravel())) for key, g in gradients.items()
    }
    if method == "global-l2norm":
        norms = dict.fromkeys(norms, math.hypot(*norms.values()))
    return {
        key: g * (threshold / norms[key]) if norms[key] > threshold else g
        for key, g in gradients.items()
    }


def _set(value: float | None) -> float:
    """Narrow the type of an option that belongs to this solver: it has been settled."""
    assert value is not None
    return value
