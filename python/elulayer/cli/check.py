"""``elulayer check``: whether a layer keeps its contract, and its gradients are right."""

from __future__ import annotations

import argparse
import sys

from .._support.streams import write
from ._layers import add_constructor_arguments, made_layer
from ._types import positive_integer

HELP = "check a layer: its contract, and its gradients against numerical ones"

DESCRIPTION = """\
Check a layer of your own, or one of elulayer's: shapes and dtypes of what its methods
return, and its gradients against numerical ones. The exit status is 1 if a check fails.
The code of the file is run: check only files that you trust.
"""

EXAMPLES = """\
examples:
  elulayer check ELULayer --args '{"num_channels": 20}' --input-shape 20 24 24
  elulayer check mylayers.py:LeakyReLU --input-shape 3 8 8
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    # In argparse's own order the layer would be taken for one of the numbers before it.
    parser.usage = "%(prog)s [-h] LAYER --input-shape N [N ...] [--args JSON]"
    parser.add_argument(
        "layer",
        metavar="LAYER",
        help="FILE.py:CLASS, a class in a Python file of yours, whose code is run; or the name of "
        "one of elulayer's layers",
    )
    parser.add_argument(
        "--input-shape",
        type=positive_integer,
        nargs="+",
        required=True,
        metavar="N",
        help="shape of the layer's input without the batch axis, channels first",
    )
    add_constructor_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Make the layer, check it, and print the report."""
    from ..checking import check_layer

    layer = made_layer(args.layer, args.args)
    try:
        report = check_layer(layer, tuple(args.input_shape))
    except (MemoryError, ValueError) as error:  # NumPy's, of an array that is too large
        raise ValueError(f"--input-shape must be smaller: {error}") from error
    write(f"{report}\n", sys.stdout)
    return 0 if report else 1
