"""NumPy's work on the images of a batch, spread over threads; and BLAS kept to one thread.

BLAS libraries have threads of their own, which go on spinning for a while after each product, on
the cores that OpenMP's threads want next. While a network trains or predicts, BLAS gets one thread,
and a layer whose products are one for each image spreads them itself. Its results then have the
same bits for any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise

from .runtime import cpu_info

_limits = 0
"""How many calls keep BLAS to one thread now."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread meanwhile, if the package threadpoolctl is installed."""
    global _limits
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
        return
    with threadpool_limits(limits=1, user_api="blas"):
        _limits += 1
        try:
            yield
        finally:
            _limits -= 1


def in_parallel(work: Callable[[slice], object], count: int) -> None:
    """Call ``work(part)`` for parts of ``range(count)``, one for each thread.

    There are as many threads as OpenMP's own setting gives the kernels; one where BLAS has its own.
    """
    threads = min(cpu_info().threads, count) if _limits else 1
    if threads < 2:
        work(slice(0, count))
        return
    bounds = [count * i // threads for i in range(threads + 1)]
    first, *rest = (slice(*pair) for pair in pairwise(bounds))
    futures = [_pool(os.getpid()).submit(work, part) for part in rest]
    try:
        work(first)
    finally:
        for future in futures:
            future.exception()  # waits
    for future in futures:
        future.result()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """Return the threads of a process: a forked child has none of its parent's."""
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="elulayer")
