"""`train_network`: a run set up, begun or resumed."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from .._support.process import share_of_threads
from .._support.wording import shown
from ..layers import Layer
from ..network import Network
from ..network.labels import distinct, label_array, plain_strings, require_no_missing
from ..network.record import TrainingRecord
from .checkpoint import prepare_checkpoints, require_savable, restore_checkpoint
from .loop import Loop
from .options import TrainingOptions
from .ranks import Ranks, mpi_ranks
from .run import Run
from .setting import describe_setting, require_same_on_all_ranks
from .sources import ArraySource, make_source


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
        If a checkpoint cannot be written during the run, as on a disk that is full; it goes on. If
        there are more ranks than parts of a mini-batch. If there is neither a window nor a notebook
        for the figure of `plots`.

    Notes
    -----
    The first Ctrl-C stops the run as an output function can: the iteration is finished, a
    checkpoint written where there is a `checkpoint_path` and more to do, and the network returned
    with what it has learned; ``record.stopped_by`` is then "interrupt". The second raises
    KeyboardInterrupt, and so does one in the passes over the data before the first iteration. Runs
    in other threads than the main one, and where SIGINT has another handler than Python's own,
    leave it as it is.

    Where the processes of an MPI train together (``execution_environment="parallel"``), an error of
    one is raised on all: on the others as a RuntimeError that names the rank.
    """
    if not isinstance(options, TrainingOptions):
        raise TypeError(f"options must be TrainingOptions, not {type(options).__name__}")
    ranks = mpi_ranks() if options.execution_environment == "parallel" else Ranks()
    with ranks.together():
        parts = options.parts()
        if ranks.size > 1 and parts == 1:
            option = "mini_batch_size" if options.micro_batches is None else "micro_batches"
            raise ValueError(f"{option} must be 2 or more for {ranks.size} ranks to share, not 1")
        if ranks.rank == 0 and ranks.size > parts:
            warnings.warn(
                f"{ranks.size - parts} of {ranks.size} ranks have no work, for micro_batches is "
                f"{parts}",
                RuntimeWarning,
                stacklevel=2,
            )
        return _train(X, Y, layers, options, classes, resume, ranks)


def _train(
    X: Any,
    Y: Any,
    layers: Iterable[Layer],
    options: TrainingOptions,
    classes: npt.ArrayLike | None,
    resume: str | os.PathLike[str] | None,
    ranks: Ranks,
) -> tuple[Network, TrainingRecord]:
    if ranks.rank == 0:
        prepare_checkpoints(options, resume is not None)
    network = copy.deepcopy(Network(layers))
    source = make_source(network.input_layer.input_shape, X, Y, _sorted_classes(classes), ranks)
    network.classes = source.classes
    entropy = ranks.gather_objects(np.random.SeedSequence(options.seed).entropy, "the seed")[0]
    shuffling, initial = (
        np.random.default_rng(seed) for seed in np.random.SeedSequence(entropy).spawn(2)
    )
    network.initialize(initial)
    if network.num_classes != len(network.classes):
        raise ValueError(
            f"Y must have {network.num_classes} classes, one for each output of the network, not "
            f"{len(network.classes)}, {network.classes}"
        )
    order = np.arange(len(source)) if isinstance(source, ArraySource) else None
    run = Run(network, options, shuffling, order)
    loop = Loop(run, source, options, ranks)
    validation = None if loop.validation is None else loop.validation.source
    require_same_on_all_ranks(ranks, run, options, source, validation)
    resumes = loop.speaks and resume is not None
    if loop.writes or resumes:
        loop.setting = describe_setting(run, options, source, validation)
    if loop.writes:
        require_savable(run, loop.setting)
    if resumes:
        assert resume is not None
        restore_checkpoint(run, options, loop.setting, resume)
    resumed = (run.arrays(), run.numbers()) if run.iteration else None
    state = ranks.gather_objects(resumed, "the state to resume from")[0]
    if ranks.rank > 0 and state is not None:
        run.restore(*state)
    with share_of_threads(ranks.sharing()):
        return network, loop.train()


def _sorted_classes(classes: npt.ArrayLike | None) -> Any:
    if classes is None:
        return None
    given = plain_strings(label_array("classes", classes))
    if given.ndim == 1:
        require_no_missing("classes", given)
    if given.ndim != 1 or given.size == 0 or not np.array_equal(distinct("classes", given), given):
        raise ValueError(f"classes must be different labels in sorted order, not {shown(classes)}")
    return given
