"""The contract that every layer fulfils."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .._support.typing import FloatArray

if TYPE_CHECKING:
    from typing_extensions import Self


class Layer:
    """Base class of all layers; derive from it to define one of your own.

    A subclass defines `predict` and `backward`. It may define the other methods, and it need not
    call ``super().__init__()``. Batches have the observations on axis 0, channels on axis 1. ::

        class LeakyReLU(Layer):
            learnables = ("alpha",)

            def __init__(self, alpha=0.25):
                self.alpha = alpha

            def predict(self, X):
                return np.where(X > 0, X, self.alpha * X)

            def backward(self, X, Z, dLdZ, memory):
                dLdX = np.where(X > 0, dLdZ, self.alpha * dLdZ)
                return dLdX, np.sum(np.where(X > 0, 0, X) * dLdZ)

    Attributes
    ----------
    name : str
        What messages call the layer, beside its class and its position.
    description : str
        One line for people.
    learnables : tuple of str
        Names of the attributes that training updates, in the order of `backward`'s gradients.
        Scalars and lists will do: training turns each into a float32 array of the same shape.
    state : tuple of str
        Names of the arrays that are not learned but belong to the layer's values, as the mean and
        variance of batch normalization do: they are saved with the learnables. Where mini-batches
        have parts (`TrainingOptions.micro_batches`), one of floats moves by the mean of what the
        parts have made of it, of others the largest is taken.
    learn_rate_factors, l2_factors : dict of str to float
        By the learnable's name, what multiplies the learn rate and the L2 factor for it. What is
        not named has 1. A learn-rate factor of 0 freezes the learnable. Every layer has
        dictionaries of its own; those that a class defines are the defaults of its layers.
    needs_input_gradient : bool
        False while a network trains in which nothing below this layer learns. `backward` may then
        return None in the place of dLdX.
    backward_uses_output : bool
        False promises that `forward` returns an array of its own, neither X (but where the layer
        works in place) nor a view of it nor kept in memory, and that `backward` does not read Z.
        Only then may the layer above work in place, as `ELULayer` can, and write over Z.
    in_place : bool
        True says that `forward` writes Z over X, for which the layer below must promise that its
        backward does not use its output. `backward` is then given that X, and `predict` must leave
        X as it is all the same.
    keeps_statistics : bool
        True says that `forward` has kept in `state` what `after_training` would compute anew: where
        the training options ask for moving statistics, `after_training` is not called.
    """

    name: str = ""
    description: str = ""
    learnables: ClassVar[tuple[str, ...]] = ()
    state: ClassVar[tuple[str, ...]] = ()
    learn_rate_factors: dict[str, float]
    l2_factors: dict[str, float]
    needs_input_gradient: bool = True
    backward_uses_output: bool = True
    in_place: bool = False
    keeps_statistics: bool = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Create the layer with dictionaries of factors that no other layer shares."""
        # Where __new__ is overridden, object.__init__ ignores arguments.
        if cls.__init__ is object.__init__ and (args or kwargs):
            raise TypeError(f"{cls.__name__}() takes no arguments")
        layer = super().__new__(cls)
        layer.learn_rate_factors = dict(getattr(cls, "learn_rate_factors", {}))
        layer.l2_factors = dict(getattr(cls, "l2_factors", {}))
        return layer

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<{type(self).__name__}{name}{': ' * bool(self.description)}{self.description}>"

    def __setstate__(self, state: Any) -> None:
        """Take over the attributes of the layer that this one is a copy of, but its dictionaries.

        A subclass with a `__setstate__` of its own calls this one.
        """
        values, slots = state if isinstance(state, tuple) else (state, None)
        vars(self).update(values or {})
        for name, value in (slots or {}).items():
            setattr(self, name, value)
        self.learn_rate_factors = dict(self.learn_rate_factors)
        self.l2_factors = dict(self.l2_factors)

    def predict(self, X: FloatArray) -> FloatArray:
        """Compute the layer's output at prediction time.

        Parameters
        ----------
        X : ndarray of shape (N, ...)
            Input. It must not be changed.

        Returns
        -------
        Z : ndarray of shape (N, ...)
            Output; its shape may depend on that of `X` alone.
        """
        raise NotImplementedError(f"{type(self).__name__} must define predict(self, X)")

    def forward(self, X: FloatArray) -> tuple[FloatArray, Any]:
        """Compute the output at training time, and what `backward` is to be given with it.

        Parameters
        ----------
        X : ndarray of shape (N, ...)
            Input. It must not be changed.

        Returns
        -------
        Z : ndarray of shape (N, ...)
            Output; by default that of `predict`.
        memory : object
            Handed to `backward` as it is; by default None.
        """
        return self.predict(X), None

    def backward(
        self, X: FloatArray, Z: FloatArray, dLdZ: FloatArray, memory: Any
    ) -> FloatArray | tuple[FloatArray | None, ...] | None:
        """Propagate the derivative of the loss back through the layer.

        Parameters
        ----------
        X, Z : ndarray of shape (N, ...)
            Input and output of `forward`.
        dLdZ : ndarray of Z's shape
            Derivative of the loss with respect to the output.
        memory : object
            What `forward` returned beside Z.

        Returns
        -------
        dLdX : ndarray of X's shape
            Derivative with respect to the input.
        dLdW1, ..., dLdWn : ndarray of the learnable's shape, or float for a scalar one
            Derivatives with respect to the learnables, in the order of `learnables`, as further
            items of one tuple. They are sums over the batch, not means.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define backward(self, X, Z, dLdZ, memory)"
        )

    def initialize(self, input_shape: tuple[int, ...], rng: np.random.Generator) -> None:
        """Create the learnables that have no value yet; called once before training.

        Parameters
        ----------
        input_shape : tuple of int
            Shape of the input without the batch axis.
        rng : numpy.random.Generator
            The only source of randomness to use if runs are to repeat.
        """

    def before_training(self, batches: Iterable[FloatArray]) -> None:
        """Look at the training set before training.

        Parameters
        ----------
        batches : iterable of ndarray
            This layer's inputs at prediction, for one pass. They are computed as one asks for
            them: a layer that does not look costs nothing. ``batches.map(function)`` yields what a
            function returns for each: the processes of a parallel run share that out.
        """

    def after_training(self, batches: Iterable[FloatArray]) -> None:
        """Look at the training set after training.

        Parameters
        ----------
        batches : iterable of ndarray
            As for `before_training`; the layers below have been through their `after_training`.
        """

    def arguments(self) -> dict[str, Any]:
        """Return the arguments that make this layer anew, for files.

        By default they are what the constructor's parameters are named, read from attributes of
        the same names; a parameter that is a learnable is left out, since files hold its value.
        Define the method where that does not fit.

        Returns
        -------
        arguments : dict of str to object
            Numbers, strings, booleans, None, and lists of them, which files give back as tuples.

        Raises
        ------
        TypeError
            If there is no attribute of a parameter's name.
        """
        names = [name for name in self.constructor_names() if name not in self.learnables]
        missing = [name for name in names if not hasattr(self, name)]
        if missing:
            raise TypeError(
                f"{type(self).__name__}'s constructor takes {missing[0]!r}, but the layer has no "
                f"attribute of that name: set self.{missing[0]}, or define arguments()"
            )
        return {name: getattr(self, name) for name in names}

    @classmethod
    def constructor_names(cls) -> list[str]:
        """Return the names of the constructor's parameters."""
        if cls.__init__ is object.__init__:
            return []
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
        return [parameter.name for parameter in parameters if parameter.kind not in variable]
