"""The processes of a parallel run, and what they send each other.

A run of one process needs no MPI: its `Ranks` are alone.
"""

from __future__ import annotations

import contextlib
import pickle
import reprlib
import sys
import threading
import traceback
import zlib
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from .._support.process import processors
from .._support.typing import AnyArray

_T = TypeVar("_T")


class OtherRankError(RuntimeError):
    """Another process of the run has raised an error."""


class _OtherDoingsError(RuntimeError):
    """The processes of the run do not do the same."""


class Ranks:
    """All processes of a run: this one, alone.

    Attributes
    ----------
    rank : int
        The number of this process, from 0.
    size : int
        How many there are.
    repeats : bool
        Whether the error that this one has raised is one that a lower rank has raised too.
    """

    rank = 0
    size = 1
    repeats = False

    def gather(self, data: Any, what: str) -> list[memoryview]:
        """Return what each process gives, in the order of their ranks.

        Parameters
        ----------
        data : bytes or ndarray of uint8
        what : str
            What it is, alike on all of them.

        Raises
        ------
        OtherRankError
            If another one has failed meanwhile.
        RuntimeError
            If they do not do the same.
        """
        return [memoryview(data)]

    def gather_objects(self, thing: _T, what: str) -> list[_T]:
        """Return the objects that each gives."""
        return [pickle.loads(data) for data in self.gather(pickle.dumps(thing), what)]

    def dealt(self, own: Iterable[_T], what: str) -> Iterator[_T]:
        """Put together what was dealt out: the k-th of all is that of rank k modulo the size."""
        return iter(own)

    def require_same(self, things: dict[str, Any]) -> None:
        """Raise a ValueError, on all of them, if they differ in one of the things."""
        every = self.gather_objects(things, "the description of the run")
        for name in things:
            for rank, other in enumerate(every):
                if not np.array_equal(other[name], every[0][name]):
                    raise ValueError(
                        f"{name} must be the same on all ranks of a parallel run, not "
                        f"{reprlib.repr(every[0][name])} on rank 0 and "
                        f"{reprlib.repr(other[name])} on rank {rank}"
                    )

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Let an error in the block end it on all of them: each raises one.

        The block ends when all have come to its end. Blocks may be nested.
        """
        yield

    def sharing(self) -> int:
        """Return how many of them, with this one, run on this one's processors."""
        return 1

    @property
    def description(self) -> str:
        """What trains, in words."""
        return "on single CPU"


class MPIRanks(Ranks):
    """The processes that mpiexec has started.

    Parameters
    ----------
    mpi : module
        ``mpi4py.MPI``, or what has the parts of it that are used here.
    """

    def __init__(self, mpi: Any) -> None:
        self._mpi = mpi
        self._comm = mpi.COMM_WORLD
        self._thread: int | None = None
        self._aborted = False
        self.rank, self.size = self._comm.rank, self._comm.size

    def gather(self, data: Any, what: str) -> list[memoryview]:  # noqa: D102
        try:
            headers = self._headers(len(data), what)
            ends = np.cumsum(headers[:, 0])
            starts = ends - headers[:, 0]
            received = np.empty(ends[-1], np.uint8)
            self._comm.Allgatherv(data, [received, headers[:, 0], starts, self._mpi.BYTE])
        except (OtherRankError, _OtherDoingsError):
            raise
        except BaseException:  # as an interrupt: the others may be in another half of the exchange
            self._abort()
            raise
        return [received.data[start:end] for start, end in zip(starts, ends, strict=True)]

    def _headers(self, length: int, what: str) -> AnyArray:
        """Return everybody's lengths; raise where one has failed or does something else."""
        own = np.array([length, zlib.crc32(what.encode(errors="surrogatepass"))], np.int64)
        every = np.empty((self.size, 2), np.int64)
        self._comm.Allgather(own, every)
        failed = every[:, 0] < 0
        if failed.any() or (every[:, 1] != every[0, 1]).any():
            said = self._comm.allgather(what)
            if length < 0:
                before = zip(failed, said, strict=True)
                self.repeats = (True, what) in list(before)[: self.rank]
                return every
            if failed.any():
                rank = int(failed.argmax())
                raise OtherRankError(f"rank {rank}: {said[rank]}")
            other = int((every[:, 1] != every[0, 1]).argmax())
            raise _OtherDoingsError(
                "the ranks of a parallel run must be given the same data, layers and options: "
                f"rank 0 is at {said[0]}, rank {other} at {said[other]}"
            )
        return every

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:  # noqa: D102
        here = threading.get_ident()
        if self._thread == here:  # the block around this one tells
            yield
            return
        if self._thread is not None:
            raise RuntimeError("one thread of a process can train in parallel at a time, not two")
        self._thread = here
        try:
            yield
            self.gather(b"", "the end of the run")
        except OtherRankError:
            raise
        except BaseException as error:
            if not self._aborted:
                self._headers(-1, _said(error))
            raise
        finally:
            self._thread = None

    def _abort(self) -> None:
        """End all processes: this one cannot tell the others in an orderly way."""
        self._aborted = True
        if self.size == 1:
            return
        traceback.print_exc()
        sys.stderr.flush()
        self._comm.Abort(1)

    def dealt(self, own: Iterable[_T], what: str) -> Iterator[_T]:  # noqa: D102
        hand = iter(own)
        ended: int | None = None
        while True:
            every = self.gather_objects(list(islice(hand, 1)), what)
            for rank, cards in enumerate(every):
                if cards and ended is not None:
                    raise RuntimeError(
                        f"the ranks of a parallel run must be given the same data: in {what} rank "
                        f"{ended} has fewer batches than rank {rank}"
                    )
                if cards:
                    yield cards[0]
                elif ended is None:
                    ended = rank
            if not any(every):
                return

    def sharing(self) -> int:  # noqa: D102
        # A process that was bound to processors of its own shares them with nobody.
        own = self._mpi.Get_processor_name(), processors()
        every = self.gather_objects(own, "the processors")
        return sum(host == own[0] and not own[1].isdisjoint(others) for host, others in every)

    @property
    def description(self) -> str:  # noqa: D102
        return f"on {self.size} process{'es' * (self.size > 1)}, by MPI"


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # of an error of somebody's own
        text = "?"
    return f"{type(error).__name__}: {text}"


@cache
def mpi_ranks() -> MPIRanks:
    """Return the processes that mpiexec has started.

    Raises
    ------
    ImportError
        If there is no mpi4py, or no MPI that it finds.
    RuntimeError
        If MPI is not initialized, or finalized already.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        missing = getattr(error, "name", None) == "mpi4py"
        raise ImportError(
            "execution_environment 'parallel' needs "
            + ("the package mpi4py" if missing else f"an MPI that mpi4py finds ({error})")
            + ": pip install 'elulayer[mpi]', and an MPI of the system or PyPI's package mpich"
        ) from error
    if not MPI.Is_initialized() or MPI.Is_finalized():
        raise RuntimeError(
            "execution_environment 'parallel' needs an MPI that is initialized and not finalized"
        )
    return MPIRanks(MPI)
