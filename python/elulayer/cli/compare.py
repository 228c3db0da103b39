"""``elulayer compare``: the questions of the blog's readers, answered by training."""

from __future__ import annotations

import argparse

HELP = "train networks that differ in one thing, and compare them"

DESCRIPTION = """\
Train networks that differ in one thing, such as their activation, from several seeds, and
print their test accuracies and times as a table in Markdown.
"""

EXAMPLES = """\
examples:
  elulayer compare                                    all variants, 3 seeds, 30 epochs each
  elulayer compare --variants elu,relu --epochs 5     two of them, a short look
  elulayer compare --data ~/cifar10 --model quick --out table.md --plot table.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    from ..comparison import add_arguments

    add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Compare."""
    from .. import comparison

    return comparison.run(args)
