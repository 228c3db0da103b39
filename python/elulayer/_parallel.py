"""NumPy's work on the images of a batch, spread over threads; and BLAS kept to one thread.

BLAS libraries have threads of their own, which go on spinning for a while after each product, on
the cores that OpenMP's threads want next. While a network trains or predicts, BLAS gets one thread,
and a layer whose products are one for each image spreads them itself. Its results then have the
same bits for any number of threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from .runtime import cpu_info

_owner = threading.Lock()
"""Held by the call that keeps BLAS to one thread now."""


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread meanwhile, if the package threadpoolctl is installed.

    Of calls that overlap, in one thread or in several, the first one sets the number and restores
    it: nobody restores what was not there before.
    """
    controller = _controller()
    if controller is None or not _owner.acquire(blocking=False):
        yield
        return
    try:
        with controller.limit(limits=1, user_api="blas"):
            yield
    finally:
        _owner.release()


@cache
def _controller() -> Any:
    """Return what knows the BLAS libraries of this process; None without threadpoolctl."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController()


def in_parallel(work: Callable[[slice], object], count: int) -> None:
    """Call ``work(part)`` for parts of ``range(count)``, one for each thread.

    There are as many threads as OpenMP's own setting gives the kernels; one where BLAS has its own.
    """
    threads = min(cpu_info().threads, count) if _owner.locked() else 1
    if threads < 2:
        work(slice(0, count))
        return
    bounds = [count * i // threads for i in range(threads + 1)]
    first, *rest = (slice(*pair) for pair in pairwise(bounds))
    settings = np.geterr()

    def with_settings(part: slice) -> None:
        with np.errstate(**settings):
            work(part)

    futures = [_pool(os.getpid()).submit(with_settings, part) for part in rest]
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
