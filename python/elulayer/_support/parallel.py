"""NumPy's work on parts of a batch, or of a layer's inputs, spread over threads.

While BLAS has one thread (`process.py`), a layer whose work falls into fixed parts spreads them
itself. Its results then have the same bits for any number of threads, all of which compute with the
standard's floating-point settings.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING

import numpy as np

from .. import _core
from .._core import StandardFloats
from .process import blas_has_one_thread

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


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
    parts: queue.Queue[Callable[[], object]] = queue.Queue()
    for i in range(threads):
        parts.put(partial(work, slice(count * i // threads, count * (i + 1) // threads)))
    settings = np.geterr()
    errors: list[BaseException] = []

    # Once the parts are done it refers to none of them: the pool may keep it for longer.
    def take_parts() -> None:
        with np.errstate(**settings), StandardFloats():
            while True:
                try:
                    part = parts.get_nowait()
                except queue.Empty:
                    return
                try:
                    if not errors:
                        part()
                except BaseException as error:
                    errors.append(error)
                finally:
                    parts.task_done()

    _ask_others(take_parts, threads - 1)
    take_parts()
    parts.join()
    if errors:
        raise errors.pop()


def _ask_others(work: Callable[[], object], times: int) -> None:
    """Let other threads call ``work()`` when they can, at most so many times."""
    try:
        pool = _pool(os.getpid())
        for _ in range(times):
            pool.submit(work)
    except RuntimeError:  # the interpreter ends, or the system starts no more threads
        _pool.cache_clear()  # a pool without threads would keep what it is given


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of a process: a forked child has none of its parent's."""
    from concurrent.futures import ThreadPoolExecutor  # not to be had when the interpreter ends

    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="elulayer")
