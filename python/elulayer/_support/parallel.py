"""NumPy's work on the images of a batch, spread over threads.

While BLAS has one thread (`process.py`), a layer whose products are one for each image spreads them
itself. Its results then have the same bits for any number of threads, all of which compute with the
standard's floating-point settings.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from functools import cache, partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _core
from .._core import StandardFloats
from .process import blas_has_one_thread

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor


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
    bounds = [count * i // threads for i in range(threads + 1)]
    # All that refers to the work: an entry of the pool that nobody needs any more may stay there.
    parts = deque(partial(work, slice(*pair)) for pair in pairwise(bounds))
    settings = np.geterr()

    def take_parts() -> None:
        with np.errstate(**settings), StandardFloats():
            while parts:
                try:
                    part = parts.popleft()
                except IndexError:  # another thread took the last one
                    return
                part()

    futures = _submit(take_parts, threads - 1)
    try:
        take_parts()
    finally:
        parts.clear()
        begun = [future for future in futures if not future.cancel()]
        for future in begun:
            future.exception()  # waits
    for future in begun:
        future.result()


def _submit(work: Callable[[], object], times: int) -> list[Future[Any]]:
    """Let other threads call ``work()``, at most so many times."""
    futures: list[Future[Any]] = []
    try:
        pool = _pool(os.getpid())
        for _ in range(times):
            futures.append(pool.submit(work))
    except RuntimeError:  # the interpreter ends, or the system starts no more threads
        _pool.cache_clear()  # a pool keeps the work for which it cannot start a thread
    return futures


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of a process: a forked child has none of its parent's."""
    from concurrent.futures import ThreadPoolExecutor  # not to be had when the interpreter ends

    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="elulayer")
