"""The exponential linear unit with one alpha per channel."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .._support.checks import as_array, choice, integer, text
from .._support.typing import FloatArray
from .._support.wording import shown
from ..arrays import elu, elu_backward, elu_with_memory
from .base import Layer
from .inputs import floats


class ELULayer(Layer):
    """Z = X where X > 0, alpha[c] * expm1(X) elsewhere; alpha is learned, by default per channel.

    After Clevert, Unterthiner and Hochreiter, "Fast and Accurate Deep Network Learning by
    Exponential Linear Units (ELUs)", with alpha learned as in Steve Eddins' "Defining Your Own
    Network Layer". The same operation as a function: `elulayer.elu`.

    Parameters
    ----------
    num_channels : int
        Number of channels: the length of the input's axis 1.
    name : str
        Name of the layer.
    alpha : float or array-like of shape (num_channels,), optional
        First values of alpha; without it they are drawn uniformly from [0, 1). A number where
        alpha is shared.
    learnable : bool
        Whether training updates alpha.
    backward_from : {"input", "memory", "output"}
        What `backward` computes the gradients from: X; the memory of `forward`, as a reader of the
        blog does; or Z, which needs every alpha to be positive. Only X keeps the gradient's
        accuracy far below 0; see `elulayer.elu_backward`.
    shared : bool
        Whether all channels share one alpha.
    in_place : bool
        Whether `forward` writes Z over X, as Caffe's layer can, which saves an array of X's size in
        training. Needs ``backward_from="output"``, and below it in the network a layer with
        `Layer.backward_uses_output` False. `predict` never changes X.
    rng : None, int or numpy.random.Generator
        Source, or seed, of the draw. Without `alpha` and `rng`, training draws anew from its own
        seed, so that a seeded run repeats; values that were assigned to alpha since are kept.

    Attributes
    ----------
    alpha : ndarray of shape (num_channels,), or () where it is shared, float32
        May become zero or negative while it learns.

    Raises
    ------
    TypeError, ValueError
        If `num_channels` is not a positive integer, `alpha` does not fit it, or `in_place` is
        asked for without ``backward_from="output"``.
    """

    learnables: ClassVar[tuple[str, ...]] = ("alpha",)
    alpha: FloatArray

    def __init__(
        self,
        num_channels: int,
        name: str = "",
        *,
        alpha: npt.ArrayLike | None = None,
        learnable: bool = True,
        backward_from: str = "input",
        shared: bool = False,
        in_place: bool = False,
        rng: int | np.random.Generator | None = None,
    ) -> None:
        self.name = text("name", name)
        self.num_channels = integer("num_channels", num_channels)
        self.description = f"Exponential linear unit with {num_channels} channels"
        self.shared = _boolean("shared", shared)
        self.in_place = _boolean("in_place", in_place)
        self.backward_from = choice("backward_from", backward_from, ("input", "memory", "output"))
        if self.in_place and self.backward_from != "output":
            raise ValueError(
                "backward_from must be 'output' where in_place is True, not "
                f"{backward_from!r}: X is no longer there"
            )
        self._drawn: FloatArray | None = None
        if alpha is None:
            self.alpha = self._draw(np.random.default_rng(rng))
            if rng is None:
                self._drawn = self.alpha.copy()
        else:
            given = as_array("alpha", alpha)
            if given.dtype.kind not in "fiu" or not np.isfinite(given).all():
                raise ValueError(f"alpha must be finite numbers, not {shown(alpha)}")
            with np.errstate(over="ignore"):
                values = given.astype(np.float32)
            if not np.isfinite(values).all():
                raise ValueError(f"alpha must be within the range of float32, not {shown(alpha)}")
            if values.shape not in ((), self._shape):
                allowed = "" if self.shared else f" or have shape {self._shape}"
                raise ValueError(f"alpha must be a scalar{allowed}, not {values.shape}")
            self.alpha = np.broadcast_to(values, self._shape).copy()
        self.learnable = learnable

    def __repr__(self) -> str:
        values = np.asarray(self.alpha)
        if self._will_be_drawn:
            alpha = "is drawn when training begins"
        elif values.dtype.kind not in "fiu" or not values.size or not np.isfinite(values).all():
            alpha = "is not finite numbers"
        elif values.min() == values.max():
            alpha = f"{values.max():.4g}"
        else:
            alpha = f"from {values.min():.4g} to {values.max():.4g}"
        return f"{super().__repr__()[:-1]}, alpha {alpha}>"

    @property
    def learnable(self) -> bool:
        """Whether training updates alpha: its learn-rate factor is not 0."""
        return self.learn_rate_factors.get("alpha", 1.0) != 0

    @learnable.setter
    def learnable(self, value: bool) -> None:
        if _boolean("learnable", value) != self.learnable:
            self.learn_rate_factors["alpha"] = 1.0 if value else 0.0

    def initialize(self, input_shape: tuple[int, ...], rng: np.random.Generator) -> None:
        """Draw alpha from the training's generator if nobody has chosen its values."""
        if self._will_be_drawn:
            self.alpha = self._draw(rng)
        self._drawn = None

    @property
    def _will_be_drawn(self) -> bool:
        return self._drawn is not None and np.array_equal(self.alpha, self._drawn)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew; alpha and its draw are left out."""
        names = ("num_channels", "name", "learnable", "backward_from", "shared", "in_place")
        return {name: getattr(self, name) for name in names}

    def predict(self, X: FloatArray) -> FloatArray:
        """Apply the unit.

        Parameters
        ----------
        X : ndarray of shape (N, num_channels, ...)
            Of a dtype that `elulayer.elu` takes.

        Returns
        -------
        Z : ndarray of X's shape and dtype

        Raises
        ------
        ValueError
            If `X` has another number of channels.
        """
        X = floats("X", X)
        alpha = self._alpha_for(X)
        Z: FloatArray = elu(X, alpha, axis=1)
        return Z

    def forward(self, X: FloatArray) -> tuple[FloatArray, Any]:
        """Apply the unit at training time.

        Returns
        -------
        Z : ndarray of X's shape and dtype
            X itself, with Z in it, if the layer works in place.
        memory : ndarray or None
            expm1(min(X, 0)) if `backward` is to start from it.

        Raises
        ------
        ValueError
            If `X` has another number of channels, or is read-only and the layer works in place.
        """
        X = floats("X", X)
        if self.in_place:
            return elu(X, self._alpha_for(X), axis=1, out=X), None
        if self.backward_from != "memory":
            return self.predict(X), None
        return elu_with_memory(X, self._alpha_for(X), axis=1)

    def backward(
        self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: Any
    ) -> tuple[FloatArray, FloatArray]:
        """Compute dLdX and dLdalpha from X, memory or Z, as `backward_from` says.

        Returns
        -------
        dLdX : ndarray of X's shape and dtype
            dLdZ where X > 0, alpha[c] * exp(X) * dLdZ elsewhere.
        dLdalpha : ndarray of alpha's shape and dtype
            Per channel, or over all channels, the sum of expm1(X) * dLdZ where X <= 0.
        """
        X, dLdZ = floats("X", X), floats("dLdZ", dLdZ)
        alpha = self._alpha_for(X)
        sources: dict[str, dict[str, Any]] = {
            "input": {"x": X},
            "memory": {"memory": memory},
            "output": {"output": Z},
        }
        source = sources[self.backward_from]
        dLdX, dLdalpha = elu_backward(dLdZ, alpha=alpha, axis=1, **source)
        return dLdX, np.asarray(dLdalpha, dtype=np.asarray(self.alpha).dtype)

    @property
    def _shape(self) -> tuple[int, ...]:
        return () if self.shared else (self.num_channels,)

    def _draw(self, rng: np.random.Generator) -> FloatArray:
        return np.asarray(rng.random(self._shape, dtype=np.float32))

    def _alpha_for(self, X: FloatArray) -> FloatArray:
        if X.ndim < 2 or X.shape[1] != self.num_channels:
            name = f" {self.name!r}" if self.name else ""
            raise ValueError(
                f"the input of ELULayer{name} must have {self.num_channels} channels on axis 1, "
                f"not shape {X.shape}"
            )
        alpha = as_array("alpha", self.alpha)
        return alpha.astype(np.float64 if X.dtype == np.float64 else np.float32, copy=False)


def _boolean(what: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{what} must be True or False, not {shown(value)}")
    return bool(value)
