"""``elulayer plot``: the curves of the activations."""

from __future__ import annotations

import argparse
import sys

from .._support.streams import write
from ..plots import plot_activations
from ..plots._figure import save_figure
from ._types import finite, picture

HELP = "draw the curves of ELU, leaky ReLU and ReLU"

DESCRIPTION = """\
Draw the curves of ELU, leaky ReLU and ReLU from -10 to 3, as the blog post does.
"""

EXAMPLES = """\
examples:
  elulayer plot                              elu.png
  elulayer plot --alpha 0.5 --out half.svg   ELU with alpha 0.5
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        "--out",
        type=picture,
        default="elu.png",
        metavar="FILE.png",
        help="the picture (default: elu.png)",
    )
    parser.add_argument(
        "--alpha", type=finite, default=1.0, metavar="A", help="of ELU (default: 1)"
    )
    parser.add_argument(
        "--scale",
        type=finite,
        default=0.1,
        metavar="S",
        help="leaky ReLU's slope below 0 (default: 0.1)",
    )


def run(args: argparse.Namespace) -> int:
    """Draw."""
    save_figure(plot_activations(args.alpha, args.scale), args.out)
    write(f"Wrote {args.out}\n", sys.stdout)
    return 0
