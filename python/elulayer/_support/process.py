"""What the package does to the process that it runs in: all of it is here.

- At import, an OpenMP runtime that is loaded with the kernels is told to spin briefly.
- While a network trains or predicts, BLAS has one thread.
- An import that fails ends the command with one line.
- While the command trains with ``--threads``, OpenMP has that number of them in its thread.
- Memory that results of a mebibyte and more have left is kept for the next ones, up to a bound.

The environment is left as it was. Calls may overlap in threads.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

# Read by GNU libgomp when it is loaded (in turns of its loop), and by LLVM libomp when it is first
# used (in milliseconds).
_BRIEF = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}


@contextmanager
def command_tells() -> Iterator[None]:
    """Let an ImportError be one line where this process is the command ``elulayer``.

    The command can handle no error of this import itself: it is part of the package.
    """
    try:
        yield
    except ImportError as error:
        name = Path(next(iter(sys.argv), "")).stem
        if name == "-m":  # until Python has found the module that it is to run
            name = sys.orig_argv[-len(sys.argv)]
        if re.fullmatch(r"(-\w*m)?elulayer", name):
            raise SystemExit(f"elulayer: error: {error}") from None
        raise


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

    None where another thread is limiting OpenBLAS already: since version 3.8 threadpoolctl lets one
    thread do so at a time, and ignores the others.
    """
    controller = _blas()
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
    """Return what knows the BLAS libraries of this process."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


_one_thread = _OneBlasThread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread meanwhile.

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


@contextmanager
def openmp_threads(count: int | None) -> Iterator[None]:
    """Let kernels that this thread calls meanwhile run on `count` threads by default.

    None leaves the number as it is. No more are made than the kernels make for a caller who asks.
    """
    if count is None:
        yield
        return
    from threadpoolctl import ThreadpoolController

    # The runtime ends the process where it cannot start a thread.
    most = max(64, 4 * (os.cpu_count() or 1))
    with ThreadpoolController().limit(limits=min(count, most), user_api="openmp"):
        yield


# The switch of the bound, and the most that it is by default.
_CACHE_VARIABLE = "ELULAYER_CACHE_BYTES"
_MOST_BYTES = 2**30


def limit_cache() -> None:
    """Set how much memory may wait for the next results: ``ELULAYER_CACHE_BYTES``.

    By default a gibibyte, and at most an eighth of the machine's memory; 0 is none.
    """
    from .. import _core

    value = os.environ.get(_CACHE_VARIABLE)
    if value is None:
        _core.set_cache_bytes(min(_MOST_BYTES, _physical_memory() // 8))
    elif value.isascii() and value.isdigit() and len(value) < 19:
        _core.set_cache_bytes(int(value))
    else:
        raise ImportError(f"{_CACHE_VARIABLE} must be a number of bytes, 0 for none, not {value!r}")


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # on Windows, or unknown
        return 0


@contextmanager
def cached_memory() -> Iterator[None]:
    """Let NumPy's new arrays in this thread meanwhile be of memory that earlier ones have left.

    As the results of `elulayer.elu` are at any time: by NumPy's own mechanism for memory (NEP 49).
    """
    from .. import _core

    before = _core.set_memory_handler(None)
    try:
        yield
    finally:
        _core.set_memory_handler(before)


def empty_cache() -> int:
    """Give memory that waits for the next results back to the system.

    Results of a mebibyte and more are of memory that earlier ones have left, once nobody refers to
    those. All but the last 64 MiB of what waits the system may take at any time, where it is short
    of memory (``MADV_FREE``). ``ELULAYER_CACHE_BYTES`` in the environment bounds it, 0 turns it
    off; by default the bound is a gibibyte, and at most an eighth of the machine's memory. Linux
    and macOS only.

    Returns
    -------
    int
        How many bytes it was.
    """
    from .. import _core

    return _core.empty_cache()
