"""What output functions are told, and the bar that a terminal shows."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..network import Network
    from .record import TrainingRecord


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


class Bar:
    """A progress bar on a terminal, with images per second and the time left; else nothing.

    Parameters
    ----------
    shown : bool
        Whether to show it where standard error is a terminal and the package tqdm is installed.
    total : int or None
        Images of the whole run, if that is known.
    done : int
        Images that an earlier part of the run has seen.
    """

    def __init__(self, shown: bool, total: int | None, done: int = 0) -> None:
        self._bar: Any = None
        if shown and sys.stderr.isatty():
            with contextlib.suppress(ImportError):
                from tqdm.auto import tqdm

                self._bar = tqdm(
                    total=total, initial=done, unit=" images", unit_scale=True, leave=False
                )

    def advance(self, images: int, loss: float) -> None:
        """Count the images of an iteration."""
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            self._bar.update(images)

    def print(self, text: str) -> None:
        """Print a line above the bar."""
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.write(text, file=sys.stdout)
            sys.stdout.flush()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


@contextlib.contextmanager
def bar(shown: bool, total: int | None, done: int = 0) -> Iterator[Bar]:
    """Show a `Bar` while the block runs."""
    one = Bar(shown, total, done)
    try:
        yield one
    finally:
        one.close()
