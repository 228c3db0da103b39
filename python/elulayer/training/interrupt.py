"""Ctrl-C during a run."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def first_interrupt() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C in the block be a wish to stop, which the block asks for.

    The second raises KeyboardInterrupt, as every one does where SIGINT's handler is not Python's
    own, and in other threads than the main one: nothing is changed there.

    Yields
    ------
    asked : callable
        Whether there was a Ctrl-C.
    """
    asked = False

    def take(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with contextlib.suppress(ValueError):  # not the main thread of the main interpreter
            signal.signal(signal.SIGINT, take)
    try:
        yield lambda: asked
    finally:
        if signal.getsignal(signal.SIGINT) is take:
            signal.signal(signal.SIGINT, signal.default_int_handler)
