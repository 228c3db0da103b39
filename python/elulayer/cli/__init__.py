"""The command ``elulayer``: the blog's example from a shell. One file a command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from .._core import __version__
from . import check, classify, plot, show, train

__all__ = ["main"]

# Each has HELP, DESCRIPTION, EXAMPLES, add_arguments(parser) and run(args), the exit status.
COMMANDS: dict[str, ModuleType] = {
    "train": train,
    "plot": plot,
    "show": show,
    "classify": classify,
    "check": check,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; by default those of this process.

    Returns
    -------
    int
        Exit status: 0, 1 for an error in the data, a run that diverges or a layer that fails its
        check, 130 for an interrupt.

    Raises
    ------
    SystemExit
        From argparse: 0 after ``--help``, 2 for arguments that it does not take.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        args = make_parser(arguments).parse_args(arguments)
        return int(COMMANDS[args.command].run(args))
    except BrokenPipeError:  # whoever read the output has had enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (
        FloatingPointError,
        ImportError,
        MemoryError,
        OSError,
        RuntimeError,
        ValueError,
    ) as error:
        print(f"elulayer: error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("elulayer: interrupted", file=sys.stderr)
        return 130


def make_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser of these arguments: only the command that they begin with is complete."""
    parser = argparse.ArgumentParser(
        prog="elulayer",
        description="The exponential linear unit with one learnable alpha per channel.",
        epilog="Try: elulayer train --help",
    )
    parser.add_argument("--version", action="version", version=f"elulayer {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=module.DESCRIPTION,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if list(arguments[:1]) == [name]:
            module.add_arguments(command)
    return parser
