"""The command ``elulayer``: the blog's example from a shell. One file a command."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from .._core import __version__
from .._support.streams import write
from . import check, classify, export, plot, show, train
from ._layers import line_in_layer_files
from ._messages import of_options, tell
from ._types import check_different

__all__ = ["main"]

# Each has HELP, DESCRIPTION, EXAMPLES, add_arguments(parser) and run(args), the exit status.
COMMANDS: dict[str, ModuleType] = {
    "train": train,
    "plot": plot,
    "show": show,
    "classify": classify,
    "check": check,
    "export": export,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments after the command's name; by default those of this process, which the command
        then is: what its standard streams cannot write in the end goes nowhere.

    Returns
    -------
    int
        Exit status: 0, 1 for an error in the data, a run that diverges, a layer that fails its
        check or output that cannot be written, 130 for an interrupt.

    Raises
    ------
    SystemExit
        From argparse: 0 after ``--help``, 2 for arguments that it does not take.
    """
    if argv is not None:
        return _run(list(argv))
    try:
        return _run(sys.argv[1:])
    finally:
        for stream in (sys.stdout, sys.stderr):
            _abandon_if_broken(stream)


def _run(arguments: list[str]) -> int:
    try:
        parser = make_parser(arguments)
        args, unknown = parser.parse_known_args(arguments)
        if unknown:
            parser.prog += f" {args.command}" if args.command else ""
            parser.error(f"unrecognized arguments: {' '.join(unknown)}")
        if args.command is None:
            parser.print_help()
            return 0
        check_different(args)
        try:
            status = int(COMMANDS[args.command].run(args))
        except SystemExit as error:
            # A layer's own code has raised it; the command would end as if it had succeeded.
            line = line_in_layer_files(error)
            raise RuntimeError(f"SystemExit was raised, with {error.code!r}{line}") from error
        write("", sys.stdout)  # flushes what a layer of the user's own has printed
        return status
    except BrokenPipeError:  # whoever read the output has had enough of it
        return 1
    except (
        FloatingPointError,
        ImportError,
        MemoryError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        message, line = str(error) or type(error).__name__, line_in_layer_files(error)
        tell(f"error: {of_options(message)}{line if line not in message else ''}")
        return 1
    except KeyboardInterrupt:
        tell("interrupted")
        return 130
    except Exception as error:
        line = line_in_layer_files(error)
        if not line:
            raise
        colon = ": " * bool(str(error))
        tell(f"error: {type(error).__name__}{colon}{error}{line}")
        return 1


def _abandon_if_broken(stream: Any) -> None:
    """Let Python, which flushes the stream when it ends, write what is left to nowhere."""
    try:
        write("", stream)
    except OSError:
        with contextlib.suppress(AttributeError, OSError, ValueError):  # it is no file
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\nTry: {self.prog} --help\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        write(message, file)


def make_parser(arguments: Sequence[str]) -> argparse.ArgumentParser:
    """Make the parser of these arguments: only the command that they begin with is complete."""
    parser = _Parser(
        prog="elulayer",
        description="The exponential linear unit with one learnable alpha per channel.",
        epilog="Try: elulayer train --help",
    )
    parser.add_argument("--version", action="version", version=f"elulayer {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command")
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
