"""The training loop."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from .._typing import AnyArray, FloatArray
from ..layers import Layer
from ..layers._contract import label
from ..network import Network
from . import table
from .options import TrainingOptions
from .record import TrainingRecord
from .solver import Sgdm


def train_network(
    X: npt.ArrayLike, Y: npt.ArrayLike, layers: Iterable[Layer], options: TrainingOptions
) -> tuple[Network, TrainingRecord]:
    """Train a network to classify images.

    Parameters
    ----------
    X : array-like of shape (N, C, H, W)
        Images of any real dtype. They are converted to float32 and not scaled.
    Y : array-like of shape (N,)
        Labels of any type that NumPy can sort; the distinct ones are the classes.
    layers : iterable of Layer
        The network's layers, with as many outputs as there are classes. They are copied: those
        passed in stay as they are. Learnables that have values start from them, so a trained
        network's ``layers`` go on learning.
    options : TrainingOptions
        How to train.

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
    """
    if not isinstance(options, TrainingOptions):
        raise TypeError(f"options must be TrainingOptions, not {type(options).__name__}")
    network = copy.deepcopy(Network(layers))
    images = network.as_images(X)
    targets = _labels(Y, len(images))
    try:
        network.classes, codes = np.unique(targets, return_inverse=True)
    except TypeError as error:
        raise TypeError(f"Y's labels must be of one type that can be sorted: {error}") from error
    shuffling, initial = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence(options.seed).spawn(2)
    )
    network.initialize(initial)
    if network.num_classes != len(network.classes):
        raise ValueError(
            f"Y has {len(network.classes)} classes, {network.classes}, "
            f"but the network has {network.num_classes} outputs"
        )
    if options.verbose:
        print("Training on single CPU.")
        if network.input_layer.normalization != "none":
            print("Initializing image normalization.")
        print(table.HEADER, flush=True)
    # Overflow on the way to a loss that is not finite is told once, by the check of the loss.
    with np.errstate(over="ignore", invalid="ignore"):
        for index, layer in enumerate(network.layers):
            layer.before_training(network.inputs(index, images))
        record = _loop(network, images, codes, options, shuffling)
        for index, layer in enumerate(network.layers):
            layer.after_training(network.inputs(index, images))
    if options.verbose:
        print(table.RULE, flush=True)
    return network, record


def _loop(
    network: Network,
    images: FloatArray,
    codes: npt.NDArray[np.intp],
    options: TrainingOptions,
    rng: np.random.Generator,
) -> TrainingRecord:
    size = min(options.mini_batch_size, len(images))
    total = options.max_epochs * (len(images) // size)
    rate = options.initial_learn_rate
    record = TrainingRecord.empty(total)
    record.learn_rate[:] = rate
    solver = Sgdm(options.momentum)
    first = _first_learning(network.layers)
    _let_freed_memory_stay()
    one_hot = np.eye(network.num_classes, dtype=np.float32)
    start = time.perf_counter()
    for i, (epoch, batch) in enumerate(_batches(len(images), size, options, rng)):
        tape = network.forward(images[batch])
        P, T = tape[-1][1], one_hot[codes[batch]]
        record.epoch[i] = epoch
        record.loss[i] = network.output_layer.loss(P, T)
        record.accuracy[i] = 100 * np.mean(P.argmax(axis=1) == codes[batch])
        if not np.isfinite(record.loss[i]):
            raise _stopped(f"the loss is {record.loss[i]}", i + 1, epoch)
        gradients = network.backward(tape, network.output_layer.backward_loss(P, T), first)
        _update(network.layers, gradients, solver, options)
        record.time[i] = time.perf_counter() - start
        if options.verbose and (i in (0, total - 1) or (i + 1) % options.verbose_frequency == 0):
            print(table.row(*record.row(i)), flush=True)
    for index, layer in enumerate(network.layers):
        for name in layer.learnables:
            if not np.isfinite(getattr(layer, name)).all():
                raise _stopped(f"{name} of {label(index, layer)} is not finite", total, epoch)
    return record


def _batches(
    count: int, size: int, options: TrainingOptions, rng: np.random.Generator
) -> Iterator[tuple[int, npt.NDArray[np.intp]]]:
    """Yield the epoch and the indices of each mini-batch."""
    order = np.arange(count)
    for epoch in range(1, options.max_epochs + 1):
        if options.shuffle == "every-epoch" or (options.shuffle == "once" and epoch == 1):
            rng.shuffle(order)
        for start in range(0, count - size + 1, size):
            yield epoch, order[start : start + size]


def _first_learning(layers: Sequence[Layer]) -> int:
    """Index of the lowest layer that learns; nothing below needs a gradient."""
    for index, layer in enumerate(layers):
        if any(layer.learn_rate_factors.get(name, 1.0) != 0 for name in layer.learnables):
            return index
    return len(layers)


def _update(
    layers: Sequence[Layer],
    gradients: list[list[FloatArray]],
    solver: Sgdm,
    options: TrainingOptions,
) -> None:
    for index, layer in enumerate(layers):
        # Layers below the first that learns have no gradients.
        for name, gradient in zip(layer.learnables, gradients[index], strict=False):
            rate = options.initial_learn_rate * layer.learn_rate_factors.get(name, 1.0)
            if rate == 0:
                continue
            value = getattr(layer, name)
            decay = options.l2_regularization * layer.l2_factors.get(name, 1.0)
            if decay:
                gradient = gradient + decay * value
            setattr(layer, name, solver.update((index, name), value, gradient, rate))


def _let_freed_memory_stay() -> None:
    """Let the memory of one iteration's arrays serve the next.

    glibc returns the memory of large arrays to the system as they are freed; to get it back, page
    by page, was a third of an iteration's time. Once a block just below 32 MiB has been freed,
    glibc keeps up to 64 MiB. Nothing is written to the block, so it takes no memory itself.
    """
    np.empty(2**25 - 2**17, dtype=np.uint8)


def _labels(Y: npt.ArrayLike, count: int) -> AnyArray:
    labels = np.asarray(Y)
    if labels.ndim != 1:
        raise ValueError(f"Y must have shape (N,), one label per image, not {labels.shape}")
    if len(labels) != count:
        raise ValueError(f"X holds {count} images, but Y {len(labels)} labels")
    if count == 0:
        raise ValueError("X holds no images")
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError("Y holds NaN")
    return labels


def _stopped(why: str, iteration: int, epoch: int) -> FloatingPointError:
    return FloatingPointError(
        f"training stopped at iteration {iteration} (epoch {epoch}): {why}; "
        "a smaller initial_learn_rate or smaller values in X may help"
    )
