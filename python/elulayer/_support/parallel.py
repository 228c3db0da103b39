"""NumPy's work on parts of a batch, or of a layer's inputs, spread over threads.

While BLAS has one thread (`process.py`), a layer whose work falls into fixed parts spreads them
itself. Its results then have the same bits for any number of threads, all of which compute with the
standard's floating-point settings.
"""

from __future__ import annotations

import _thread
import os
from collections import deque
from collections.abc import Callable
from functools import cache, partial
from queue import SimpleQueue

import numpy as np

from .. import _core
from .._core import StandardFloats
from .process import blas_has_one_thread


def in_parallel(work: Callable[[slice], object], count: int) -> None:
    """Call ``work(part)`` for parts of ``range(count)``, as many as there are threads.

    There are as many threads as OpenMP's own setting gives the kernels; one where BLAS has its own.
    The calling thread does what no other begins: all of it where none can be had, as when the
    interpreter ends.
    """
    threads = min(_core.cpu_info()["threads"], count) if blas_has_one_thread() else 1
    if threads < 2:
        with StandardFloats():
            work(slice(0, count))
        return
    parts = deque(
        partial(work, slice(count * i // threads, count * (i + 1) // threads))
        for i in range(threads)
    )
    ends: SimpleQueue[BaseException | None] = SimpleQueue()
    settings = np.geterr()

    # Once the parts are done it refers to none of them: the crew may keep it for longer.
    def take_parts() -> None:
        with np.errstate(**settings), StandardFloats():
            while True:
                try:
                    part = parts.popleft()
                except IndexError:
                    return
                error = None
                try:
                    part()
                except BaseException as caught:
                    error = caught
                ends.put(error)

    _crew(os.getpid()).ask(take_parts, threads - 1)
    take_parts()
    for error in [ends.get() for _ in range(threads)]:
        if error is not None:
            raise error


class _Crew:
    """The other threads of a process, which do what they are asked to when they can.

    All that is locked is locked within one call of C, where no interrupt leaves it so: those of
    `queue.Queue` and `concurrent.futures` it does. The threads do not keep the program from ending.
    """

    def __init__(self) -> None:
        self._requests: SimpleQueue[Callable[[], object]] = SimpleQueue()
        self._size = 0

    def ask(self, work: Callable[[], object], times: int) -> None:
        """Ask for calls of ``work()``, so many of them if there are as many threads."""
        times = min(times, max(1, (os.cpu_count() or 1) - 1))
        try:
            while self._size < times:
                _thread.start_new_thread(self._serve, ())
                self._size += 1
        except RuntimeError:  # the interpreter ends, or the system starts no more threads
            pass
        for _ in range(min(times, self._size)):
            self._requests.put(work)

    def _serve(self) -> None:
        while True:
            work = self._requests.get()
            work()
            del work


@cache
def _crew(process: int) -> _Crew:
    """Return the threads of a process: a forked child has none of its parent's."""
    return _Crew()
