"""The options of a training run."""

from __future__ import annotations

import difflib
import inspect
import math
import numbers
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, field, fields
from pathlib import Path
from typing import Any

from .._support.checks import choice, integer, number
from .._support.paths import user_path
from .._support.wording import shown
from ..network import TrainingProgress

SOLVER_DEFAULTS: dict[str, dict[str, float]] = {
    "sgdm": {"initial_learn_rate": 0.01, "momentum": 0.9},
    "adam": {
        "initial_learn_rate": 0.001,
        "gradient_decay_factor": 0.9,
        "squared_gradient_decay_factor": 0.999,
        "epsilon": 1e-8,
    },
    "rmsprop": {
        "initial_learn_rate": 0.001,
        "squared_gradient_decay_factor": 0.9,
        "epsilon": 1e-8,
    },
}
"""For each solver the options that it takes and their defaults."""

_MICRO_BATCHES = {"cpu": 1, "parallel": 8}
"""The environments that train, and into how many parts they cut mini-batches by default."""

OutputFunction = Callable[[TrainingProgress], object]


@dataclass(frozen=True)
class TrainingOptions:
    """Options of a training run, with the names (in snake case) and defaults of MATLAB's.

    Parameters
    ----------
    solver : {"sgdm", "adam", "rmsprop"}
        Stochastic gradient descent with momentum; Adam, after Kingma and Ba; RMSProp.
    momentum : float
        sgdm: what remains of the last step, from 0 to less than 1. Default 0.9.
    gradient_decay_factor : float
        adam: decay of the gradient's moving average, from 0 to less than 1. Default 0.9.
    squared_gradient_decay_factor : float
        adam, rmsprop: decay of the squared gradient's moving average, from 0 to less than 1.
        Default 0.999 for adam, 0.9 for rmsprop.
    epsilon : float
        adam, rmsprop: added to the divisor; positive. Default 1e-8.
    initial_learn_rate : float
        Learn rate at first, positive. Default 0.01 for sgdm, 0.001 for adam and rmsprop.
    learn_rate_schedule : {"none", "piecewise"}
        "piecewise" multiplies the learn rate by `learn_rate_drop_factor` after every
        `learn_rate_drop_period` epochs.
    learn_rate_drop_factor : float
        From 0 to 1.
    learn_rate_drop_period : int
        Epochs between two drops.
    l2_regularization : float
        Factor of the L2 term, not negative.
    gradient_threshold : float
        Where the gradients, with their L2 term, are cut; positive, infinity for never.
    gradient_threshold_method : {"l2norm", "global-l2norm", "absolute-value"}
        What is held below the threshold: the L2 norm of each learnable's gradient, that of all
        gradients together (both are scaled), or the absolute value of each element (it is cut).
    max_epochs : int
        Number of passes over the training set.
    mini_batch_size : int
        Images of an iteration. The images at an epoch's end that do not fill a mini-batch are left
        out; a set that is smaller than one mini-batch makes one of its own size. An iterable of
        batches brings its own sizes.
    shuffle : {"once", "never", "every-epoch"}
        When the images are put into random order; "once" is before training. An iterable of
        batches is taken in its own order.
    validation_data : (X, Y), or an iterable of batches (X, Y)
        What the network is tried on during training, in the forms that `train_network` takes. A
        list of two is X and Y too, unless each is itself a pair of a batch's images and labels.
    validation_frequency : int
        Iterations between two trials; there is one at the first and one at the last iteration too.
    validation_patience : int or infinity
        How many trials in a row may bring no smaller loss than the smallest before; then the run
        stops. Infinity: it never does.
    output_network : {"last-iteration", "best-validation-loss"}
        The learnables of which iteration the network gets in the end.
    batch_normalization_statistics : {"population", "moving"}
        What batch normalization predicts with in the end: statistics of the whole training set,
        which take another pass over it, or moving averages from the run.
    checkpoint_path : str or path
        Folder, which must exist, for files from which `train_network` can resume the run. The
        labels must be numbers, booleans or str then.
    checkpoint_frequency : int
        Epochs or iterations between two of these files.
    checkpoint_frequency_unit : {"epoch", "iteration"}
        Which of them.
    execution_environment : {"cpu", "parallel"}
        "parallel" trains in all processes that mpiexec has started, by MPI (extra ``mpi``). Each is
        given the same data, layers and options, and returns the same network; the first alone
        prints, draws, writes checkpoints and calls the output functions.
    micro_batches : int
        Parts of a mini-batch, whose gradients are computed one by one and added in a fixed order:
        a run has the same bits for any number of processes, of which so many have work. Default 1
        for "cpu", 8 for "parallel".
    batch_normalization : {"separate", "synchronized"}
        Whether batch normalization normalizes each part of a mini-batch by the part's own
        statistics, or all by those of the whole mini-batch, for which the processes wait for each
        other in every such layer.
    verbose : bool
        Whether to print the table of the run, and on a terminal a progress bar.
    verbose_frequency : int
        Iterations between two rows of the table.
    plots : {"none", "training-progress"}
        "training-progress" shows loss and accuracy in a window or notebook as they come; where
        there is neither, a RuntimeWarning says so.
    output_fcn : callable or sequence of callables
        Called with a `TrainingProgress` before the first iteration, after each, and at the end.
        One that returns True stops the run; False and None let it go on.
    seed : None or int
        Seed of everything random in the run; the same seed gives the same bits on one machine
        with the same number of BLAS threads. None takes one from the operating system.

    Raises
    ------
    TypeError
        If an option has no such name or type.
    ValueError
        If a value is out of range, or an option belongs to another solver.
    """

    solver: str
    _: KW_ONLY
    momentum: float | None = None
    gradient_decay_factor: float | None = None
    squared_gradient_decay_factor: float | None = None
    epsilon: float | None = None
    initial_learn_rate: float = None  # type: ignore[assignment]  # settled by the solver
    learn_rate_schedule: str = "none"
    learn_rate_drop_factor: float = 0.1
    learn_rate_drop_period: int = 10
    l2_regularization: float = 1e-4
    gradient_threshold: float = math.inf
    gradient_threshold_method: str = "l2norm"
    max_epochs: int = 30
    mini_batch_size: int = 128
    shuffle: str = "once"
    validation_data: Any = field(default=None, repr=False, compare=False)
    validation_frequency: int = 50
    validation_patience: float = math.inf
    output_network: str = "last-iteration"
    batch_normalization_statistics: str = "population"
    checkpoint_path: str | os.PathLike[str] | None = None
    checkpoint_frequency: int = 1
    checkpoint_frequency_unit: str = "epoch"
    execution_environment: str = "cpu"
    micro_batches: int | None = None
    batch_normalization: str = "separate"
    verbose: bool = True
    verbose_frequency: int = 50
    plots: str = "none"
    output_fcn: OutputFunction | Sequence[OutputFunction] = ()
    seed: int | None = None

    def __new__(cls, *args: Any, **options: Any) -> TrainingOptions:
        """Check the names of the options."""
        names = [field.name for field in fields(cls)]
        if len(args) > 1:
            raise TypeError(
                "TrainingOptions takes one argument without a name, the solver; options have "
                f"names, as in TrainingOptions('sgdm', max_epochs=4), not {shown(args[1:])}"
            )
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
        solver = choice("solver", self.solver, tuple(SOLVER_DEFAULTS))
        if not isinstance(self.verbose, bool):
            raise TypeError(f"verbose must be True or False, not {shown(self.verbose)}")
        checked: dict[str, Any] = {
            **self._of_the_solver(solver),
            "learn_rate_schedule": choice(
                "learn_rate_schedule", self.learn_rate_schedule, ("none", "piecewise")
            ),
            "learn_rate_drop_factor": number(
                "learn_rate_drop_factor", self.learn_rate_drop_factor, most=1.0
            ),
            "learn_rate_drop_period": integer(
                "learn_rate_drop_period", self.learn_rate_drop_period
            ),
            "l2_regularization": number("l2_regularization", self.l2_regularization),
            "gradient_threshold": _threshold(self.gradient_threshold),
            "gradient_threshold_method": choice(
                "gradient_threshold_method",
                self.gradient_threshold_method,
                ("l2norm", "global-l2norm", "absolute-value"),
            ),
            "max_epochs": integer("max_epochs", self.max_epochs),
            "mini_batch_size": integer("mini_batch_size", self.mini_batch_size),
            "shuffle": choice("shuffle", self.shuffle, ("once", "never", "every-epoch")),
            "validation_frequency": integer("validation_frequency", self.validation_frequency),
            "validation_patience": math.inf
            if self.validation_patience == math.inf
            else integer("validation_patience", self.validation_patience),
            "output_network": choice(
                "output_network", self.output_network, ("last-iteration", "best-validation-loss")
            ),
            "batch_normalization_statistics": choice(
                "batch_normalization_statistics",
                self.batch_normalization_statistics,
                ("population", "moving"),
            ),
            "checkpoint_path": _folder(self.checkpoint_path),
            "checkpoint_frequency": integer("checkpoint_frequency", self.checkpoint_frequency),
            "checkpoint_frequency_unit": choice(
                "checkpoint_frequency_unit", self.checkpoint_frequency_unit, ("epoch", "iteration")
            ),
            "execution_environment": choice(
                "execution_environment", self.execution_environment, tuple(_MICRO_BATCHES)
            ),
            "batch_normalization": choice(
                "batch_normalization", self.batch_normalization, ("separate", "synchronized")
            ),
            "verbose_frequency": integer("verbose_frequency", self.verbose_frequency),
            "plots": choice("plots", self.plots, ("none", "training-progress")),
            "output_fcn": _functions(self.output_fcn),
            "seed": None if self.seed is None else integer("seed", self.seed, least=0),
        }
        if self.micro_batches is not None:
            parts, size = integer("micro_batches", self.micro_batches), checked["mini_batch_size"]
            checked["micro_batches"] = parts
            if parts > size:
                raise ValueError(
                    f"micro_batches must be at most mini_batch_size, {size}, not {parts}"
                )
        if self.validation_data is None:
            for name, value in (
                ("output_network", "best-validation-loss"),
                ("validation_patience", self.validation_patience),
            ):
                if getattr(self, name) == value != math.inf:
                    raise ValueError(
                        f"validation_data must be given where {name} is {value!r}, not None"
                    )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _of_the_solver(self, solver: str) -> dict[str, Any]:
        """Settle the options whose defaults are the solver's, and refuse those of other solvers."""
        own = SOLVER_DEFAULTS[solver]
        settled: dict[str, Any] = {"solver": solver}
        for name in dict.fromkeys(name for names in SOLVER_DEFAULTS.values() for name in names):
            value = getattr(self, name)
            if name not in own:
                if value is not None:
                    owners = [key for key, names in SOLVER_DEFAULTS.items() if name in names]
                    raise ValueError(
                        f"{name} must be None where solver is {solver!r}, not {value!r}: it is an "
                        f"option of {' and '.join(owners)}; {solver} has {', '.join(own)}"
                    )
                settled[name] = None
            elif value is None:
                settled[name] = own[name]
            elif name in ("initial_learn_rate", "epsilon"):
                settled[name] = number(name, value, positive=True)
            else:
                settled[name] = number(name, value, below=1.0)
        return settled

    def parts(self) -> int:
        """Return the number of parts of a mini-batch."""
        if self.micro_batches is not None:
            return self.micro_batches
        return min(_MICRO_BATCHES[self.execution_environment], self.mini_batch_size)

    def learn_rate(self, epoch: int) -> float:
        """Return the base learn rate of an epoch, counted from 1."""
        if self.learn_rate_schedule == "none":
            return self.initial_learn_rate
        drops = (epoch - 1) // self.learn_rate_drop_period
        return self.initial_learn_rate * self.learn_rate_drop_factor**drops


# __new__ takes anything, to say of a wrong name which ones there are.
TrainingOptions.__signature__ = inspect.signature(  # type: ignore[attr-defined]
    TrainingOptions.__init__
).replace(parameters=list(inspect.signature(TrainingOptions.__init__).parameters.values())[1:])


def _threshold(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"gradient_threshold must be a number, not {shown(value)}")
    if not float(value) > 0:
        raise ValueError(f"gradient_threshold must be greater than 0, not {shown(value)}")
    return float(value)


def _folder(path: Any) -> Path | None:
    if path is None:
        return None
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"checkpoint_path must be a folder's path, not {path!r}")
    folder = user_path(path)
    if not path or not folder.is_dir():
        raise ValueError(f"checkpoint_path must be an existing folder, not {str(path)!r}")
    return folder


def _functions(given: Any) -> tuple[OutputFunction, ...]:
    if callable(given):
        return (given,)
    several = isinstance(given, Iterable) and not isinstance(given, str)
    functions = tuple(given) if several else (given,)
    for function in functions:
        if not callable(function):
            raise TypeError(f"output_fcn must be a function or several, not {shown(function)}")
    return functions
