"""The options of a training run."""

from __future__ import annotations

import difflib
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any

from .._checks import choice, integer, number


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training run; the defaults are those of MATLAB's ``trainingOptions('sgdm')``.

    Parameters
    ----------
    solver : {"sgdm"}
        Stochastic gradient descent with momentum.
    momentum : float
        What remains of the last step, from 0 to less than 1.
    initial_learn_rate : float
        Learn rate, positive.
    l2_regularization : float
        Factor of the L2 term, not negative.
    max_epochs : int
        Number of passes over the training set.
    mini_batch_size : int
        Images of an iteration. The images at an epoch's end that do not fill a mini-batch are left
        out; a set that is smaller than one mini-batch makes one of its own size.
    shuffle : {"once", "never", "every-epoch"}
        When the images are put into random order; "once" is before training.
    seed : None or int
        Seed of everything random in the run; the same seed gives the same bits on one machine
        with the same number of BLAS threads. None takes one from the operating system.
    verbose : bool
        Whether to print the table of the run.
    verbose_frequency : int
        Iterations between two rows of the table.

    Raises
    ------
    TypeError
        If an option has no such name or type.
    ValueError
        If a value is out of range.
    """

    solver: str
    _: KW_ONLY
    momentum: float = 0.9
    initial_learn_rate: float = 0.01
    l2_regularization: float = 1e-4
    max_epochs: int = 30
    mini_batch_size: int = 128
    shuffle: str = "once"
    seed: int | None = None
    verbose: bool = True
    verbose_frequency: int = 50

    def __new__(cls, *args: Any, **options: Any) -> TrainingOptions:
        """Check the names of the options."""
        names = [field.name for field in fields(cls)]
        for name in options:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                raise TypeError(
                    f"TrainingOptions has no option {name!r}{hint}; its options are "
                    + ", ".join(names)
                )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Check the values of the options."""
        rate = number("initial_learn_rate", self.initial_learn_rate, positive=True)
        if not isinstance(self.verbose, bool):
            raise TypeError(f"verbose must be True or False, not {self.verbose!r}")
        checked: dict[str, Any] = {
            "solver": choice("solver", self.solver, ("sgdm",)),
            "momentum": number("momentum", self.momentum, below=1.0),
            "initial_learn_rate": rate,
            "l2_regularization": number("l2_regularization", self.l2_regularization),
            "max_epochs": integer("max_epochs", self.max_epochs),
            "mini_batch_size": integer("mini_batch_size", self.mini_batch_size),
            "shuffle": choice("shuffle", self.shuffle, ("once", "never", "every-epoch")),
            "seed": None if self.seed is None else integer("seed", self.seed, least=0),
            "verbose_frequency": integer("verbose_frequency", self.verbose_frequency),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
