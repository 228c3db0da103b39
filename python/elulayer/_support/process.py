"""What the package does to the process that it runs in: all of it is here.

- At import, an OpenMP runtime that is loaded with the kernels is told to spin briefly.
- While a network trains or predicts, BLAS has one thread.
- A training lets the C library keep the memory of arrays that have been freed.

The environment is left as it was. Calls may overlap in threads.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

# Read by GNU libgomp when it is loaded (in turns of its loop), and by LLVM libomp when it is first
# used (in milliseconds).
_BRIEF = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}


@contextmanager
def brief_spin() -> Iterator[None]:
    """Let an OpenMP runtime that is loaded meanwhile spin briefly between two parallel loops.

    By default its idle threads spin for milliseconds, on the cores that the next BLAS call wants: a
    training iteration on two cores took half as long again. Some tens of microseconds keep them
    awake from one kernel to the next and cost BLAS nothing that could be measured. Nothing happens
    where the environment has a word on it: ``OMP_WAIT_POLICY`` or the runtime's own variable.
    """
    if any(name in os.environ for name in ("OMP_WAIT_POLICY", *_BRIEF)):
        yield
        return
    os.environ.update(_BRIEF)
    try:
        yield
    finally:
        for name in _BRIEF:
            os.environ.pop(name, None)


class _OneBlasThread:
    """BLAS with one thread, from the first of the calls that overlap to the end of the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls = 0
        self._limit: Any = None

    def enter(self) -> None:
        with self._lock:
            if self._calls == 0:
                self._limit = _limit_blas()
            self._calls += 1

    def leave(self) -> None:
        with self._lock:
            self._calls -= 1
            if self._calls == 0 and self._limit is not None:
                limit, self._limit = self._limit, None
                _release_control(force=True)  # the call that began may have been another thread's
                limit.restore_original_limits()
                _release_control(force=False)

    @property
    def holds(self) -> bool:
        return self._limit is not None


def _limit_blas() -> Any:
    """Give BLAS one thread; return what can give it back its own.

    None without threadpoolctl, and where another thread is limiting OpenBLAS already: since version
    3.8 threadpoolctl lets one thread do so at a time, and ignores the others.
    """
    controller = _blas()
    if controller is None:
        return None
    limit = controller.limit(limits=1)
    if any(library["num_threads"] not in (1, None) for library in controller.info()):
        limit.restore_original_limits()
        return None
    return limit


def _release_control(force: bool) -> None:
    """Let the next thread that asks set OpenBLAS's threads.

    Without `force`, if it is this thread that set them last.
    """
    import threadpoolctl

    controller = threadpoolctl.OpenBLASController
    if hasattr(controller, "clear_controlling_thread"):
        controller.clear_controlling_thread(force=force)


@cache
def _blas() -> Any:
    """Return what knows the BLAS libraries of this process; None without threadpoolctl."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None
    return ThreadpoolController().select(user_api="blas")


_one_thread = _OneBlasThread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread meanwhile, if the package threadpoolctl is installed.

    Its threads go on spinning for a while after each product, on the cores that OpenMP's threads
    want next. Where calls overlap, BLAS has its threads back when the last of them ends.
    """
    _one_thread.enter()
    try:
        yield
    finally:
        _one_thread.leave()


def blas_has_one_thread() -> bool:
    """Whether a call keeps BLAS to one thread now."""
    return _one_thread.holds


def keep_freed_memory() -> None:
    """Let the memory of one iteration's arrays serve the next.

    glibc returns the memory of large arrays to the system as they are freed; to get it back, page
    by page, was a third of an iteration's time. Once a block just below 32 MiB has been freed,
    glibc keeps up to 64 MiB. Nothing is written to the block, so it takes no memory itself.
    """
    np.empty(2**25 - 2**17, dtype=np.uint8)
