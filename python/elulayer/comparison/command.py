"""What ``elulayer compare`` takes, and what it does."""

from __future__ import annotations

import argparse
import importlib.util

from .._files import write_whole
from .runner import compare
from .variants import MODELS, VARIANTS, variant_names


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    from ..cli._data import add_data_arguments
    from ..cli._types import new_file, picture, positive_integer

    add_data_arguments(parser)
    parser.add_argument(
        "--seeds",
        type=positive_integer,
        default=3,
        metavar="N",
        help="how many seeds to train from, --seed the first (default: 3)",
    )
    parser.add_argument(
        "--epochs",
        type=positive_integer,
        default=30,
        metavar="N",
        help="passes over the training images (default: 30)",
    )
    parser.add_argument(
        "--variants",
        metavar="A,B",
        help="what to compare, separated by commas, the first one the standard for times; "
        f"by default all of: {', '.join(VARIANTS)}",
    )
    parser.add_argument(
        "--model",
        choices=MODELS,
        default="blog",
        help="the blog's network or Caffe's cifar10_quick (default: blog)",
    )
    parser.add_argument(
        "--out", type=new_file, metavar="FILE.md", help="write the table into a file too"
    )
    parser.add_argument(
        "--plot", type=picture, metavar="FILE.png", help="draw accuracy and time into a file"
    )


def run(args: argparse.Namespace) -> int:
    """Compare as the arguments say; print the table. Returns the exit status."""
    from ..cli._data import load_data

    chosen = None if args.variants is None else args.variants.split(",")
    names = variant_names(args.model, chosen)
    if args.plot is not None and importlib.util.find_spec("matplotlib") is None:
        raise ImportError("--plot needs the package matplotlib: pip install 'elulayer[plot]'")
    comparison = compare(
        load_data(args),
        variants=names,
        seeds=range(args.seed, args.seed + args.seeds),
        epochs=args.epochs,
        model=args.model,
    )
    table = comparison.markdown()
    print(table, end="")
    if args.out is not None:
        write_whole(args.out, table.encode())
    if args.plot is not None:
        from ..plots._figure import save_figure

        save_figure(comparison.plot(), args.plot)
    return 0
