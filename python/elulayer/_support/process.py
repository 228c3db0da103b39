"""What the package does to the process that it runs in: all of it is here.

- At import, an OpenMP runtime that is loaded with the kernels is told to spin briefly.
- While a network trains or predicts, BLAS has one thread.
- Memory that results of 256 KiB and more have left is kept for the next ones, up to a bound.
- While processes of a parallel run share processors, each one's kernels have its share of threads.
- While a network trains in the main thread, the first Ctrl-C stops the training.

The environment is left as it was. Calls may overlap in threads.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from types import FrameType, ModuleType
from typing import Any

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


class _Call:
    """One of the calls that keep BLAS to one thread."""


class _OneBlasThread:
    """BLAS with one thread, from the first of the calls that overlap to the end of the last.

    An interrupt can take away the end of a call: it is over when nobody refers to it, and what it
    has not given back the next one does.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._calls: weakref.WeakSet[_Call] = weakref.WeakSet()
        self._before: list[tuple[Any, int | None]] | None = None

    def enter(self, call: _Call) -> None:
        with self._lock:
            if not self._calls:
                libraries = _blas().lib_controllers
                if self._before is None:
                    self._before = [(library, library.num_threads) for library in libraries]
                for library in libraries:
                    library.set_num_threads(1)
                # Since version 3.8 threadpoolctl lets one thread at a time limit OpenBLAS, and
                # ignores the others: then it is not ours to give back.
                if any(library.num_threads not in (1, None) for library in libraries):
                    self._give_back()
            self._calls.add(call)

    def leave(self, call: _Call) -> None:
        with self._lock:
            self._calls.discard(call)
            if not self._calls and self._before is not None:
                _release_control(force=True)  # the call that began may be another thread's
                self._give_back()
                _release_control(force=False)

    def _give_back(self) -> None:
        try:
            for library, number in self._before or ():
                if number is not None:
                    library.set_num_threads(number)
        except Exception:
            self._before = None
            raise
        self._before = None

    @property
    def holds(self) -> bool:
        return self._before is not None


def _release_control(force: bool) -> None:
    """Let the next thread that asks set OpenBLAS's threads.

    Without `force`, if it is this thread that set them last.
    """
    controller = threadpoolctl().OpenBLASController
    if hasattr(controller, "clear_controlling_thread"):
        controller.clear_controlling_thread(force=force)


@cache
def _blas() -> Any:
    """Return what knows the BLAS libraries of this process."""
    return threadpoolctl().ThreadpoolController().select(user_api="blas")


@cache
def threadpoolctl() -> ModuleType:
    """Import threadpoolctl, which sets a variable of Intel's OpenMP in the environment."""
    name = "KMP_DUPLICATE_LIB_OK"
    before = os.environ.get(name)
    module = importlib.import_module("threadpoolctl")
    if before is None:
        os.environ.pop(name, None)
    return module


_one_thread = _OneBlasThread()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread meanwhile.

    Its threads go on spinning for a while after each product, on the cores that OpenMP's threads
    want next. Where calls overlap, BLAS has its threads back when the last of them ends.
    """
    call = _Call()
    try:
        _one_thread.enter(call)
        yield
    finally:
        _one_thread.leave(call)


def blas_has_one_thread() -> bool:
    """Whether a call keeps BLAS to one thread now."""
    return _one_thread.holds


def processors() -> frozenset[int]:
    """Return the numbers of the processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


@contextmanager
def share_of_threads(sharing: int) -> Iterator[None]:
    """Let OpenMP's threads meanwhile be the processors' share of one of so many processes.

    Nothing happens where there is but this one, or ``OMP_NUM_THREADS`` is set, or fewer are.
    """
    from .. import _core

    threads = max(1, len(processors()) // sharing)
    if sharing == 1 or "OMP_NUM_THREADS" in os.environ or _core.cpu_info()["threads"] <= threads:
        yield
        return
    with threadpoolctl().threadpool_limits(threads, user_api="openmp"):
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

    Results of 256 KiB and more are of memory that earlier ones have left, once nobody refers to
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


@contextmanager
def first_interrupt() -> Iterator[Callable[[], bool]]:
    """Let the first Ctrl-C in the block be a wish to stop, which the block asks for.

    Standard error is told so at once, for the iteration may take long.
    The second raises KeyboardInterrupt. Nothing is changed where SIGINT's handler is not Python's
    own, nor in other threads than the main one.

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
        with suppress(Exception):  # there may be no stream, or it is being written to
            sys.stderr.write("Stopping after this iteration; Ctrl-C again stops at once.\n")
            sys.stderr.flush()

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        with suppress(ValueError):  # not the main thread of the main interpreter
            signal.signal(signal.SIGINT, take)
    try:
        yield lambda: asked
    finally:
        if signal.getsignal(signal.SIGINT) is take:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def check_only_copy(core: ModuleType) -> None:
    """Raise an ImportError where another copy of the package has loaded its extension already.

    A process has one such extension: pybind11 gives it to a second copy of the package, too.
    """
    spec = core.__spec__
    if spec is None or spec.origin is None or core.__file__ is None:
        return
    if not os.path.samefile(core.__file__, spec.origin):
        del sys.modules[core.__name__]  # so that the other copy can be imported again
        raise ImportError(
            f"elulayer of {os.path.dirname(spec.origin)} must be imported in another process: this "
            f"one has loaded the compiled extension of another copy, {core.__file__}"
        )
