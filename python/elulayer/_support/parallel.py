"""NumPy's work on the images of a batch, spread over threads.

While BLAS has one thread (`process.py`), a layer whose products are one for each image spreads them
itself. Its results then have the same bits for any number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np

from .. import _core
from .process import blas_has_one_thread


def in_parallel(work: Callable[[slice], object], count: int) -> None:
    """Call ``work(part)`` for parts of ``range(count)``, one for each thread.

    There are as many threads as OpenMP's own setting gives the kernels; one where BLAS has its own.
    """
    threads = min(_core.cpu_info()["threads"], count) if blas_has_one_thread() else 1
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
