"""The piecewise linear units: ReLU, and those with a slope below 0."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from .._support.checks import as_array, integer, number, text
from .._support.typing import FloatArray
from .._support.wording import shown
from .base import Layer
from .inputs import floats


class ReLULayer(Layer):
    """Z = X where X > 0, 0 elsewhere; the derivative at 0 is 0.

    `ELULayer` with alpha = 0 gives the same values (but -0.0 for X below 0).

    Parameters
    ----------
    name : str
        Name of the layer.
    """

    backward_uses_output: bool = False
    description = "ReLU"

    def __init__(self, name: str = "") -> None:
        self.name = text("name", name)

    def predict(self, X: FloatArray) -> FloatArray:
        """Apply the unit to `X`, an array of any shape; NaN gives NaN."""
        X = floats("X", X)
        Z: FloatArray = np.maximum(X, X.dtype.type(0))
        return Z

    def backward(self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: Any) -> FloatArray:
        """Compute dLdX: dLdZ where X > 0, NaN where X is NaN, 0 elsewhere."""
        X, dLdZ = _of_one_dtype(X, dLdZ)
        return _with_nan(X, _where(_mask(X), dLdZ))


class LeakyReLULayer(Layer):
    """Z = X where X > 0, scale * X elsewhere; the derivative at 0 is `scale`.

    After Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models".

    Parameters
    ----------
    scale : float
        Slope below 0; not negative.
    name : str
        Name of the layer.

    Raises
    ------
    TypeError, ValueError
        If `scale` is not a number of at least 0.
    """

    backward_uses_output: bool = False

    def __init__(self, scale: float = 0.01, name: str = "") -> None:
        self.scale = number("scale", scale)
        self.name = text("name", name)
        self.description = f"Leaky ReLU with scale {self.scale:g}"

    def predict(self, X: FloatArray) -> FloatArray:
        """Apply the unit to `X`, an array of any shape; NaN gives NaN."""
        X = floats("X", X)
        return _bent(X, X.dtype.type(self.scale))

    def backward(self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: Any) -> FloatArray:
        """Compute dLdX: dLdZ where X > 0, NaN where X is NaN, scale * dLdZ elsewhere."""
        X, dLdZ = _of_one_dtype(X, dLdZ)
        above, below = _parts(X, dLdZ)
        return _with_nan(X, above + below * below.dtype.type(self.scale))


class PReLULayer(Layer):
    """Z = X where X > 0, slope[c] * X elsewhere; the slope is learned per channel.

    After He, Zhang, Ren and Sun, "Delving Deep into Rectifiers: Surpassing Human-Level Performance
    on ImageNet Classification". As there, the L2 term leaves the slope out, since it would pull the
    unit towards ReLU: the slope's L2 factor is 0.

    Parameters
    ----------
    num_channels : int
        Number of channels: the length of the input's axis 1.
    name : str
        Name of the layer.
    slope : float or array-like of shape (num_channels,)
        First values of the slope.

    Attributes
    ----------
    slope : ndarray of shape (num_channels,), float32

    Raises
    ------
    TypeError, ValueError
        If `num_channels` is not a positive integer or `slope` does not fit it.
    """

    learnables: ClassVar[tuple[str, ...]] = ("slope",)
    backward_uses_output: bool = False
    slope: FloatArray

    def __init__(self, num_channels: int, name: str = "", *, slope: npt.ArrayLike = 0.25) -> None:
        self.num_channels = integer("num_channels", num_channels)
        self.name = text("name", name)
        self.description = f"PReLU with {num_channels} channels"
        given = as_array("slope", slope)
        if given.dtype.kind not in "fiu" or not np.isfinite(given).all():
            raise ValueError(f"slope must be finite numbers, not {shown(slope)}")
        if given.shape not in ((), (self.num_channels,)):
            raise ValueError(
                f"slope must be a scalar or have shape ({self.num_channels},), not {given.shape}"
            )
        self.slope = np.broadcast_to(given.astype(np.float32), (self.num_channels,)).copy()
        self.l2_factors = {"slope": 0.0}

    def predict(self, X: FloatArray) -> FloatArray:
        """Apply the unit.

        Parameters
        ----------
        X : ndarray of shape (N, num_channels, ...), float32 or float64

        Returns
        -------
        Z : ndarray of X's shape and dtype
            NaN where `X` is NaN.

        Raises
        ------
        ValueError
            If `X` has another number of channels.
        """
        X = floats("X", X)
        return _bent(X, self._slope_for(X))

    def backward(
        self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: Any
    ) -> tuple[FloatArray, FloatArray]:
        """Compute dLdX and dLdslope from X and dLdZ.

        Returns
        -------
        dLdX : ndarray of X's shape and dtype
            dLdZ where X > 0, NaN where X is NaN, slope[c] * dLdZ elsewhere.
        dLdslope : ndarray of slope's shape and dtype
            Per channel, the sum of X * dLdZ where X <= 0, in float64.
        """
        X, dLdZ = _of_one_dtype(X, dLdZ)
        above, below = _parts(X, dLdZ)
        dLdX = _with_nan(X, above + below * self._slope_for(X))
        terms = np.minimum(X, X.dtype.type(0)) * below
        dLdslope: FloatArray = terms.sum(axis=(0, *range(2, X.ndim)), dtype=np.float64)
        return dLdX, dLdslope.astype(np.asarray(self.slope).dtype)

    def _slope_for(self, X: FloatArray) -> FloatArray:
        """Return the slope in X's dtype, with an axis for each of X's after the batch."""
        if X.ndim < 2 or X.shape[1] != self.num_channels:
            name = f" {self.name!r}" if self.name else ""
            raise ValueError(
                f"the input of PReLULayer{name} must have {self.num_channels} channels on axis 1, "
                f"not shape {X.shape}"
            )
        slope: FloatArray = as_array("slope", self.slope).astype(X.dtype, copy=False)
        return slope.reshape(-1, *[1] * (X.ndim - 2))


def _of_one_dtype(X: Any, dLdZ: Any) -> tuple[FloatArray, FloatArray]:
    X, dLdZ = floats("X", X), floats("dLdZ", dLdZ)
    if dLdZ.dtype != X.dtype:
        raise TypeError(f"dLdZ must have the dtype of X, {X.dtype}, not {dLdZ.dtype}")
    return X, dLdZ


# np.where takes a jump for every element, and seven times as long as these. A product with the
# condition would make NaN of an infinity that is left out.


def _mask(X: FloatArray) -> npt.NDArray[np.signedinteger[Any]]:
    """Return integers of X's size with all bits set where X > 0, and none elsewhere."""
    ones: npt.NDArray[np.signedinteger[Any]] = (X > 0).astype(f"i{X.dtype.itemsize}")
    np.negative(ones, out=ones)
    return ones


def _where(mask: npt.NDArray[np.signedinteger[Any]], values: FloatArray) -> FloatArray:
    """Return `values` where all bits of `mask` are set, 0 elsewhere."""
    chosen: FloatArray = (values.view(mask.dtype) & mask).view(values.dtype)
    return chosen


def _parts(X: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return `values` where X > 0 with 0 elsewhere, and the other way round."""
    mask = _mask(X)
    return _where(mask, values), _where(np.invert(mask), values)


def _bent(X: FloatArray, slope: FloatArray | np.floating[Any]) -> FloatArray:
    """Return X where X > 0, slope * X elsewhere."""
    zero = X.dtype.type(0)
    Z: FloatArray = np.minimum(X, zero) * slope
    Z += np.maximum(X, zero)
    return Z


def _with_nan(X: FloatArray, dLdX: FloatArray) -> FloatArray:
    """Return `dLdX`, changed to NaN where X is NaN."""
    nan = np.isnan(X)
    if nan.any():
        dLdX[nan] = np.nan
    return dLdX
