"""The training loop."""

from __future__ import annotations

import contextlib
import copy
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._support.process import cached_memory, first_interrupt, one_blas_thread
from .._support.streams import show
from .._support.typing import FloatArray
from .._support.whole_files import UnwrittenWarning
from ..layers import Layer
from ..layers.contract import label
from ..network import Network
from ..network.files import set_values, values
from ..network.labels import distinct, label_array, plain_strings, require_no_missing
from ..network.record import TrainingProgress, TrainingRecord
from .bar import Bar, bar
from .checkpoint import (
    Setting,
    describe_setting,
    is_due,
    prepare_checkpoints,
    require_savable,
    restore_checkpoint,
    save_checkpoint,
)
from .options import OutputFunction, TrainingOptions
from .run import Run
from .solver import limit_gradients
from .sources import ArraySource, Batch, Source, is_pair, make_source
from .table import Table


def train_network(
    X: Any,
    Y: Any,
    layers: Iterable[Layer],
    options: TrainingOptions,
    *,
    classes: npt.ArrayLike | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> tuple[Network, TrainingRecord]:
    """Train a network to classify images.

    Parameters
    ----------
    X : array-like of shape (N, C, H, W), or iterable
        Images of any real dtype. They are converted to float32, a mini-batch at a time, and not
        scaled; an array may be mapped from a file larger than memory. Or an iterable of batches of
        images, which starts anew each time it is iterated over: of pairs (X, Y), with None for
        `Y`; or of X alone, with another such iterable for `Y`.
    Y : array-like of shape (N,), iterable of them, or None
        Labels of any type that NumPy can sort, none missing; the distinct ones are the classes.
        Strings of pandas and of NumPy's `StringDType` become str. Where the run has a
        `checkpoint_path` they must be numbers, booleans or str.
    layers : iterable of Layer
        The network's layers, with as many outputs as there are classes. They are copied: those
        passed in stay as they are. Learnables that have values start from them, so a trained
        network's ``layers`` go on learning.
    options : TrainingOptions
        How to train.
    classes : array-like of shape (K,), optional
        The classes, sorted. Without them the labels are looked through first.
    resume : str or path, optional
        A checkpoint to go on from, or a folder of checkpoints to go on from the last of; a folder
        that holds none begins the run. The data, the layers and the options must be those of the
        run before, but for more epochs. All labels in arrays are compared, and all their images up
        to a gibibyte as float32; of more, as many that lie evenly among them: it takes a second or
        two before a run that is resumed or writes checkpoints. The end has the same bits as that of
        a run in one piece, if an iterable gives the same batches again in each epoch, and layers
        hold what they change in learnables, in `Layer.state` or in NumPy generators.

    Returns
    -------
    network : Network
        The trained network.
    record : TrainingRecord
        The course of the run.

    Raises
    ------
    TypeError, ValueError
        If an argument does not fit, or a layer breaks the contract of `Layer`; the message says
        which one and how.
    FloatingPointError
        If the loss or a learnable is no longer finite; the message names the iteration.
    OSError
        If `checkpoint_path` cannot be written to, or the file to resume from not be read.

    Warns
    -----
    RuntimeWarning
        If a checkpoint cannot be written during the run, as on a disk that is full; it goes on.

    Notes
    -----
    The first Ctrl-C stops the run as an output function can: the iteration is finished, a
    checkpoint written where there is a `checkpoint_path` and more to do, and the network returned
    with what it has learned; ``record.stopped_by`` is then "interrupt". The second raises
    KeyboardInterrupt, and so does one in the passes over the data before the first iteration. Runs
    in other threads than the main one, and where SIGINT has another handler than Python's own,
    leave it as it is.
    """
    if not isinstance(options, TrainingOptions):
        raise TypeError(f"options must be TrainingOptions, not {type(options).__name__}")
    prepare_checkpoints(options, resume is not None)
    network = copy.deepcopy(Network(layers))
    source = make_source(network.input_layer.input_shape, X, Y, _sorted_classes(classes))
    network.classes = source.classes
    shuffling, initial = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence(options.seed).spawn(2)
    )
    network.initialize(initial)
    if network.num_classes != len(network.classes):
        raise ValueError(
            f"Y must have {network.num_classes} classes, one for each output of the network, not "
            f"{len(network.classes)}, {network.classes}"
        )
    order = np.arange(len(source)) if isinstance(source, ArraySource) else None
    run = Run(network, options, shuffling, order)
    trainer = _Trainer(run, source, options)
    if options.checkpoint_path is not None or resume is not None:
        trainer.setting = describe_setting(run, options, source, trainer.validation)
    if options.checkpoint_path is not None:
        require_savable(run, trainer.setting)
    if resume is not None:
        restore_checkpoint(run, options, trainer.setting, resume)
    return network, trainer.train()


class _Trainer:
    """The loop around a `Run`."""

    def __init__(self, run: Run, source: Source, options: TrainingOptions) -> None:
        self.run = run
        self.network = run.network
        self.source = source
        self.options = options
        self.setting: Setting = {}
        self.unwritten = False
        self.validation = None
        if options.validation_data is not None:
            data = options.validation_data
            shape = self.network.input_layer.input_shape
            with _of_validation_data():
                X, Y = data if is_pair(data) else (data, None)
                self.validation = make_source(shape, X, Y, self.network.classes)
            next(self._trial_batches())  # what does not fit is told before the run
        self.functions: list[OutputFunction] = list(options.output_fcn)  # type: ignore[arg-type]
        if options.plots == "training-progress":
            from ..plots import TrainingProgressFigure

            self.functions.append(TrainingProgressFigure())
        batches = source.count_batches(options.mini_batch_size)
        self.total = None if batches is None else batches * options.max_epochs

    def train(self) -> TrainingRecord:
        """Run to the end; give the network its final values."""
        table = Table(self.validation is not None)
        if self.options.verbose:
            show("Training on single CPU.\n", sys.stdout)
            if self.network.input_layer.normalization != "none":
                show("Initializing image normalization.\n", sys.stdout)
            show(f"{table.header}\n", sys.stdout)
        # Overflow on the way to a loss that is not finite is told once, by the check of the loss.
        with (
            np.errstate(over="ignore", invalid="ignore"),
            one_blas_thread(),
            cached_memory(),
        ):
            if self.run.iteration == 0:
                self._hooks(lambda layer: layer.before_training)
            with first_interrupt() as interrupted:
                with bar(self.options.verbose, self._total_images(), self.run.images) as shown:
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
        if self.options.verbose:
            show(f"{table.rule}\n", sys.stdout)
        ended = "interrupt" if interrupted() and stopped_by == "max_epochs" else stopped_by
        return self.run.record.build(ended)

    def _loop(self, table: Table, shown: Bar, interrupted: Callable[[], bool]) -> str:
        run, options = self.run, self.options
        one_hot = np.eye(self.network.num_classes, dtype=np.float32)
        first = _first_learning(self.network.layers)
        start = time.perf_counter() - run.seconds
        stopped_by = ""
        if self._call(self._progress("start", run.seconds)):
            stopped_by = "output_fcn"
        elif run.failures >= options.validation_patience:
            stopped_by = "validation_patience"
        elif interrupted():
            stopped_by = "interrupt"
        for (X, codes), ends_epoch, ends_run in () if stopped_by else self._batches():
            tape = self.network.forward(X)
            P, T = tape[-1][1], one_hot[codes]
            loss = self.network.output_layer.loss(P, T)
            accuracy = 100 * float(np.mean(P.argmax(axis=1) == codes))
            if not np.isfinite(loss):
                raise self._diverged(f"the loss is {loss}", run.iteration + 1)
            gradients = self.network.backward(
                tape, self.network.output_layer.backward_loss(P, T), first
            )
            self._update(gradients)
            run.batch += 1
            run.images += len(codes)
            iteration = run.iteration + 1
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
            saved = is_due(run, options, ends_epoch)
            if saved:
                self._save(seconds)
            if ends_run:
                self._validate_at_the_end()
            progress = self._progress("iteration", seconds)
            stop = self._call(progress)
            if interrupted():
                stopped_by = "interrupt"
                # At the run's end there is a trial already that checkpoints do not know of.
                if options.checkpoint_path is not None and not saved and not ends_run:
                    self._save(seconds)
            elif stop:
                stopped_by = "output_fcn"
            elif run.failures >= options.validation_patience:
                stopped_by = "validation_patience"
            if options.verbose and (
                (trial and self.validation is not None)
                or iteration == 1
                or ends_run
                or stopped_by
                or iteration % options.verbose_frequency == 0
            ):
                shown.print(table.row(progress))
            shown.advance(len(codes), loss)
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
                    stacklevel=5,  # train_network's caller
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
            for batch in self.source.batches(options.mini_batch_size, run.order, run.batch):
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
        one_hot = np.eye(network.num_classes, dtype=np.float32)
        loss, right, count = 0.0, 0, 0
        for X, codes in self._trial_batches():
            *_, P = network.inputs(len(network.layers), [X])
            loss += len(codes) * network.output_layer.loss(P, one_hot[codes])
            right += int((P.argmax(axis=1) == codes).sum())
            count += len(codes)
        loss /= count
        if loss < run.best_loss:
            run.best_loss, run.failures = loss, 0
            if self.options.output_network == "best-validation-loss":
                run.best = {key: value.copy() for key, value in values(network.layers).items()}
        else:
            run.failures += 1
        run.record.replace_last(validation_loss=loss, validation_accuracy=100 * right / count)

    def _trial_batches(self) -> Iterator[Batch]:
        assert self.validation is not None
        with _of_validation_data():
            yield from self.validation.batches(self.options.mini_batch_size, None)

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
                    f"{answer!r}"
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
                images = self.source.images(self.options.mini_batch_size)
                hook(self.network.inputs(index, images))

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
        )

    def _total_images(self) -> int | None:
        if not isinstance(self.source, ArraySource) or self.total is None:
            return None
        return self.total * min(self.options.mini_batch_size, len(self.source))


@contextlib.contextmanager
def _of_validation_data() -> Iterator[None]:
    """Let errors name the option."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"validation_data: {error}") from error


def _first_learning(layers: Sequence[Layer]) -> int:
    """Index of the lowest layer that learns; nothing below needs a gradient."""
    for index, layer in enumerate(layers):
        if any(layer.learn_rate_factors.get(name, 1.0) != 0 for name in layer.learnables):
            return index
    return len(layers)


def _sorted_classes(classes: npt.ArrayLike | None) -> Any:
    if classes is None:
        return None
    given = plain_strings(label_array("classes", classes))
    if given.ndim == 1:
        require_no_missing("classes", given)
    if given.ndim != 1 or given.size == 0 or not np.array_equal(distinct("classes", given), given):
        raise ValueError(f"classes must be different labels in sorted order, not {classes!r}")
    return given
