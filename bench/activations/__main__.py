"""The command: ``python -m activations --help`` in the folder ``bench``."""

from __future__ import annotations

import argparse
import sys

from elulayer.cli._data import add_data_arguments, load_data
from elulayer.cli._types import new_file, picture, positive_integer

from .runner import compare
from .variants import MODELS, VARIANTS, variant_names

DESCRIPTION = """Train networks that differ in one thing, such as their activation, from several
seeds, and print their test accuracies and times as a table in Markdown."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
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


def run(args: argparse.Namespace) -> None:
    """Compare as the arguments say; print the table."""
    chosen = None if args.variants is None else args.variants.split(",")
    names = variant_names(args.model, chosen)
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
        args.out.write_text(table, encoding="utf-8")
    if args.plot is not None:
        comparison.plot().savefig(args.plot)


def main() -> None:
    """Read the command line; an error in it ends the program with one line."""
    parser = argparse.ArgumentParser(prog="make compare", description=DESCRIPTION)
    add_arguments(parser)
    try:
        run(parser.parse_args())
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
