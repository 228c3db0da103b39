"""The loop of a training run."""

from __future__ import annotations

import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np

from .._support.process import cached_memory, first_interrupt, one_blas_thread
from .._support.streams import show
from .._support.typing import FloatArray
from .._support.whole_files import UnwrittenWarning
from .._support.wording import shown
from ..layers import Layer
from ..layers.batches import Batches
from ..layers.contract import label
from ..network import Network
from ..network.files import set_values, values
from ..network.record import TrainingProgress, TrainingRecord
from .bar import Bar, bar
from .checkpoint import is_due, save_checkpoint
from .options import OutputFunction, TrainingOptions
from .parts import Parts
from .ranks import Ranks
from .run import Run
from .setting import Setting, checksum
from .solver import limit_gradients
from .sources import ArraySource, Batch, Source
from .step import Steps
from .table import Table
from .validation import Validation

_T = TypeVar("_T")

_COMPARED_EVERY = 100
"""Iterations between two comparisons of the ranks' values."""


class Loop:
    """The loop around a `Run`."""

    def __init__(self, run: Run, source: Source, options: TrainingOptions, ranks: Ranks) -> None:
        self.run = run
        self.network = run.network
        self.source = source
        self.options = options
        self.ranks = ranks
        self.parts = Parts(options.parts(), ranks.rank, ranks.size)
        self.speaks = ranks.rank == 0
        self.writes = self.speaks and options.checkpoint_path is not None
        self.verbose = self.speaks and options.verbose
        self.setting: Setting = {}
        self.unwritten = False
        self.validation = None
        if options.validation_data is not None:
            self.validation = Validation(
                options.validation_data,
                self.network.input_layer.input_shape,
                self.network.classes,
                options.mini_batch_size,
                ranks,
            )
        self.functions: list[OutputFunction] = []
        if self.speaks:
            self.functions += options.output_fcn  # type: ignore[arg-type]
        if self.speaks and options.plots == "training-progress":
            from ..plots import TrainingProgressFigure

            figure = TrainingProgressFigure()
            if not figure.is_shown:
                warnings.warn(
                    "plots='training-progress' shows nothing here, where there is neither a window "
                    "nor a notebook; output_fcn=TrainingProgressFigure('progress.png') writes the "
                    "figure to a file",
                    RuntimeWarning,
                    stacklevel=4,  # train_network's caller
                )
            self.functions.append(figure)
        batches = source.count_batches(options.mini_batch_size)
        self.total = None if batches is None else batches * options.max_epochs

    def train(self) -> TrainingRecord:
        """Run to the end; give the network its final values."""
        table = Table(self.validation is not None)
        if self.verbose:
            show(f"Training {self.ranks.description}.\n", sys.stdout)
            if self.network.input_layer.normalization != "none":
                show("Initializing image normalization.\n", sys.stdout)
        # Overflow on the way to a loss that is not finite is told once, by the check of the loss.
        with (
            np.errstate(over="ignore", invalid="ignore"),
            one_blas_thread(),
            cached_memory(),
        ):
            if self.run.iteration == 0:
                self._hooks(lambda layer: layer.before_training)
            with first_interrupt() as interrupted:
                with bar(self.verbose, self._total_images(), self.run.images) as shown:
                    stopped_by = self._loop(table, shown, interrupted)
                self._check_values()
                if self.run.best:
                    set_values(self.network.layers, self.run.best)
                moving = self.options.batch_normalization_statistics == "moving"
                self._hooks(
                    lambda layer: (
                        None if moving and layer.keeps_statistics else layer.after_training
                    )
                )
                asked, _ = self._agree(False, interrupted, ends=True)
        if self.verbose:
            show(f"{table.rule}\n", sys.stdout)
        ended = "interrupt" if asked and stopped_by == "max_epochs" else stopped_by
        return self.run.record.build(ended)

    def _agree(
        self, stop: bool, interrupted: Callable[[], bool], ends: bool = False
    ) -> tuple[bool, bool]:
        """Whether any rank was interrupted, and whether any wants to stop."""
        if self.ranks.size == 1:
            return interrupted(), stop
        iteration = self.run.iteration
        compared = checksum(self.network) if ends or iteration % _COMPARED_EVERY == 0 else 0
        own = np.array([interrupted(), stop, compared], np.int64)
        every = np.array(
            [
                np.frombuffer(data, np.int64)
                for data in self.ranks.gather(own.tobytes(), f"the end of iteration {iteration}")
            ]
        )
        if np.ptp(every[:, 2]):
            raise RuntimeError(
                f"training stopped at iteration {iteration}: the ranks no longer have the same "
                "values; layers must change by what forward and backward are given alone"
            )
        return bool(every[:, 0].any()), bool(every[:, 1].any())

    def _loop(self, table: Table, shown: Bar, interrupted: Callable[[], bool]) -> str:
        run, options = self.run, self.options
        steps = Steps(
            self.network,
            _first_learning(self.network.layers),
            self.parts,
            self.ranks,
            options.batch_normalization == "synchronized",
        )
        start = time.perf_counter() - run.seconds
        stopped_by = ""
        asked, stop = self._agree(self._call(self._progress("start", run.seconds)), interrupted)
        if self.verbose:  # below what the output functions show in a notebook
            shown.print(table.header)
        if stop:
            stopped_by = "output_fcn"
        elif run.failures >= options.validation_patience:
            stopped_by = "validation_patience"
        elif asked:
            stopped_by = "interrupt"
        for batch, ends_epoch, ends_run in () if stopped_by else self._batches():
            iteration = run.iteration + 1
            loss, accuracy, gradients = steps.take(
                batch,
                f"iteration {iteration} (epoch {run.epoch}, mini-batch {run.batch + 1}), with "
                f"{batch.size} images of the labels {batch.labels:08x}",
            )
            if not np.isfinite(loss):
                raise self._diverged(f"the loss is {loss}", iteration)
            self._update(gradients)
            run.batch += 1
            run.images += batch.size
            seconds = time.perf_counter() - start
            run.record.append(
                iteration=iteration,
                epoch=run.epoch,
                loss=loss,
                accuracy=accuracy,
                learn_rate=options.learn_rate(run.epoch),
                time=seconds,
                validation_loss=np.nan,
                validation_accuracy=np.nan,
            )
            trial = iteration == 1 or iteration % options.validation_frequency == 0
            if trial:
                self._validate()
            saved = self.speaks and is_due(run, options, ends_epoch)
            if saved:
                self._save(seconds)
            if ends_run:
                self._validate_at_the_end()
            progress = self._progress("iteration", seconds)
            asked, stop = self._agree(self._call(progress), interrupted)
            if asked:
                stopped_by = "interrupt"
                # At the run's end there is a trial already that checkpoints do not know of.
                if self.writes and not saved and not ends_run:
                    self._save(seconds)
            elif stop:
                stopped_by = "output_fcn"
            elif run.failures >= options.validation_patience:
                stopped_by = "validation_patience"
            if self.verbose and (
                (trial and self.validation is not None)
                or iteration == 1
                or ends_run
                or stopped_by
                or iteration % options.verbose_frequency == 0
            ):
                shown.print(table.row(progress))
            shown.advance(batch.size, loss)
            if stopped_by:
                break
        self._validate_at_the_end()
        self._call(self._progress("done", time.perf_counter() - start))
        return stopped_by or "max_epochs"

    def _save(self, seconds: float) -> None:
        """Write a checkpoint; a disk that is full must not cost what was learned."""
        try:
            save_checkpoint(self.run, self.options, self.setting, seconds)
        except OSError as error:
            if not self.unwritten:
                self.unwritten = True
                warnings.warn(
                    f"a checkpoint cannot be written, and training goes on without: {error}",
                    UnwrittenWarning,
                    stacklevel=6,  # train_network's caller
                )

    def _batches(self) -> Iterator[tuple[Batch, bool, bool]]:
        """Yield the mini-batches that are left, and whether each ends its epoch and the run."""
        run, options = self.run, self.options
        while run.epoch <= options.max_epochs:
            if (
                run.batch == 0
                and run.order is not None
                and (
                    options.shuffle == "every-epoch"
                    or (options.shuffle == "once" and run.epoch == 1)
                )
            ):
                run.rng.shuffle(run.order)
            waiting: Batch | None = None
            for batch in self.source.batches(
                options.mini_batch_size, run.order, run.batch, self.parts
            ):
                if waiting is not None:
                    yield waiting, False, False
                waiting = batch
            if waiting is not None:
                yield waiting, True, run.epoch == options.max_epochs
            run.epoch += 1
            run.batch = 0
        run.epoch = options.max_epochs

    def _update(self, gradients: list[list[FloatArray]]) -> None:
        """Move the learnables along their gradients."""
        options = self.options
        moving: dict[str, tuple[Layer, str, float]] = {}
        steep: dict[str, FloatArray] = {}
        for index, layer in enumerate(self.network.layers):
            # Layers below the first that learns have no gradients.
            for name, gradient in zip(layer.learnables, gradients[index], strict=False):
                factor = layer.learn_rate_factors.get(name, 1.0)
                if factor == 0:
                    continue
                decay = options.l2_regularization * layer.l2_factors.get(name, 1.0)
                if decay:
                    gradient = gradient + decay * getattr(layer, name)
                key = f"{index}.{name}"
                moving[key] = (layer, name, factor)
                steep[key] = gradient
        rate = options.learn_rate(self.run.epoch)
        for key, gradient in limit_gradients(steep, options).items():
            layer, name, factor = moving[key]
            step = self.run.solver.step(key, gradient, rate * factor, self.run.iteration + 1)
            setattr(layer, name, np.asarray(getattr(layer, name) + step, dtype=np.float32))

    def _validate(self) -> None:
        """Try the network on the validation data; keep count of the trials without progress."""
        if self.validation is None:
            return
        network, run = self.network, self.run
        loss, accuracy = self.validation.trial(network)
        if loss < run.best_loss:
            run.best_loss, run.failures = loss, 0
            if self.options.output_network == "best-validation-loss":
                run.best = {key: value.copy() for key, value in values(network.layers).items()}
        else:
            run.failures += 1
        run.record.replace_last(validation_loss=loss, validation_accuracy=accuracy)

    def _validate_at_the_end(self) -> None:
        """Try the network after the last iteration too.

        Checkpoints do not know of this trial: a run that goes on for more epochs would not have had
        it here.
        """
        if self.run.iteration and math.isnan(
            self.run.record.last("validation_loss")["validation_loss"]
        ):
            self._validate()

    def _progress(self, state: str, seconds: float) -> TrainingProgress:
        last = self.run.record.last("loss", "accuracy", "validation_loss", "validation_accuracy")
        return TrainingProgress(
            state=state,
            epoch=self.run.epoch if self.run.iteration else 0,
            iteration=self.run.iteration,
            total_iterations=self.total,
            time_since_start=seconds,
            learn_rate=self.options.learn_rate(self.run.epoch),
            network=self.network,
            record=lambda: self.run.record.build("max_epochs"),
            **last,
        )

    def _call(self, progress: TrainingProgress) -> bool:
        """Call the output functions; tell whether one of them stops the run."""
        stops = False
        for function in self.functions:
            answer = function(progress)
            if answer is not None and not isinstance(answer, (bool, np.bool_)):
                raise TypeError(
                    "an output_fcn must return True, which stops the run, False or None, not "
                    f"{shown(answer)}"
                )
            stops = stops or bool(answer)
        return stops

    def _hooks(
        self, choose: Callable[[Layer], Callable[[Iterable[FloatArray]], None] | None]
    ) -> None:
        """Let each layer look at its inputs over the training set."""
        for index, layer in enumerate(self.network.layers):
            hook = choose(layer)
            if hook is not None:
                size = self.options.mini_batch_size
                hook(_Pass(self.network, index, self.source, size, self.ranks))

    def _check_values(self) -> None:
        for index, layer in enumerate(self.network.layers):
            for name in layer.learnables:
                if not np.isfinite(getattr(layer, name)).all():
                    why = f"{name} of {label(index, layer)} is not finite"
                    raise self._diverged(why, self.run.iteration)

    def _diverged(self, why: str, iteration: int) -> FloatingPointError:
        return FloatingPointError(
            f"training stopped at iteration {iteration} (epoch {self.run.epoch}): {why}; "
            "a smaller initial_learn_rate or smaller values in X may help"
            + "; check_layer finds a layer of your own that is wrong"
            * self._has_own_layers()
        )

    def _has_own_layers(self) -> bool:
        package = __name__.partition(".")[0]
        return any(
            type(layer).__module__.partition(".")[0] != package for layer in self.network.layers
        )

    def _total_images(self) -> int | None:
        if not isinstance(self.source, ArraySource) or self.total is None:
            return None
        return self.total * min(self.options.mini_batch_size, len(self.source))


class _Pass(Batches):
    """A pass over the training set, whose work the ranks can share out."""

    def __init__(
        self, network: Network, index: int, source: Source, size: int, ranks: Ranks
    ) -> None:
        self._network = network
        self._index = index
        self._source = source
        self._size = size
        self._ranks = ranks

    def __iter__(self) -> Iterator[FloatArray]:
        return self._inputs(0, 1)

    def map(self, function: Callable[[FloatArray], _T]) -> Iterator[_T]:
        own = map(function, self._inputs(self._ranks.rank, self._ranks.size))
        return self._ranks.dealt(own, "a pass over the data")

    def _inputs(self, rank: int, size: int) -> Iterator[FloatArray]:
        batches = self._source.dealt(self._size, rank, size)
        return self._network.inputs(self._index, (X for X, _ in batches))


def _first_learning(layers: Sequence[Layer]) -> int:
    """Index of the lowest layer that learns; nothing below needs a gradient."""
    for index, layer in enumerate(layers):
        if any(layer.learn_rate_factors.get(name, 1.0) != 0 for name in layer.learnables):
            return index
    return len(layers)
