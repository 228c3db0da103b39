"""What the trainer uses of mpi4py's MPI, with threads of this process in the place of processes."""

import threading

import numpy as np

from elulayer.training import ranks, trainer


class Aborted(BaseException):
    """Comm.Abort was called, by this thread or another."""


class _World:
    def __init__(self, size):
        self.size = size
        self.barrier = threading.Barrier(size, timeout=60)
        self.slots = [None] * size


class Comm:
    """A communicator; collective calls that do not match fail."""

    def __init__(self, world, rank):
        self._world, self.rank, self.size = world, rank, world.size

    def _swap(self, operation, thing):
        world = self._world
        try:
            world.slots[self.rank] = (operation, thing)
            world.barrier.wait()
            every = list(world.slots)
            world.barrier.wait()
        except threading.BrokenBarrierError:
            raise Aborted from None
        assert {name for name, _ in every} == {operation}, every
        return [each for _, each in every]

    def allgather(self, thing):
        return self._swap("allgather", thing)

    def Allgather(self, own, every):
        every[:] = self._swap("Allgather", own.copy())

    def Allgatherv(self, own, where):
        received, counts, starts, _ = where
        for part, count, start in zip(
            self._swap("Allgatherv", bytes(own)), counts, starts, strict=True
        ):
            assert len(part) == count
            received[start : start + count] = np.frombuffer(part, np.uint8)

    def Abort(self, status):
        assert status == 1
        self._world.barrier.abort()
        raise Aborted


class MPI:
    """The module."""

    BYTE = None

    class Exception(Exception):  # noqa: N818
        pass

    def __init__(self, world, rank):
        self.COMM_WORLD = Comm(world, rank)

    @staticmethod
    def Get_processor_name():
        return "here"


def run(monkeypatch, size, function):
    """Call ``function(rank)`` on so many ranks; return what each returned or raised."""
    world, results, own = _World(size), [None] * size, threading.local()
    monkeypatch.setattr(trainer, "mpi_ranks", lambda: own.ranks)

    def call(rank):
        own.ranks = ranks.MPIRanks(MPI(world, rank))
        try:
            results[rank] = function(rank)
        except BaseException as error:
            results[rank] = error

    threads = [threading.Thread(target=call, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "a rank hangs"
    return results
