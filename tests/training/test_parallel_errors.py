"""Errors and differences on several ranks: all are told, none waits for ever."""

import sys
import threading
import warnings
from functools import partial

import numpy as np
import pytest

import elulayer as el
from elulayer import cli
from elulayer.training import trainer
from elulayer.training.ranks import OtherRankError
from shared import thread_mpi
from shared.parallel_runs import (
    Batches,
    errors,
    noisy_layers,
    parallel,
)
from shared.small_network import LeakyReLU, blobs, options, small_layers


def test_an_error_of_one_rank_ends_all(monkeypatch):
    """Before the run, in the midst of it, in validation, in an output function."""
    X, Y = blobs()

    def bad_labels(rank):
        return el.train_network(X, Y[:5] if rank == 1 else Y, small_layers(), parallel())

    class Fails(LeakyReLU):
        def backward(self, *arguments):
            if self.fails:
                raise ValueError("it breaks")
            return super().backward(*arguments)

    def bad_layer(rank):
        layer = Fails(0.1)
        layer.fails = rank == 1
        return el.train_network(X, Y, small_layers(layer), parallel())

    def bad_function(rank):
        def function(progress):
            if progress.iteration == 3:
                raise OSError("no screen")

        return el.train_network(X, Y, small_layers(), parallel(output_fcn=function))

    assert errors(monkeypatch, 3, bad_labels) == [
        "OtherRankError: rank 1: ValueError: Y must hold 90 labels, one per image of X, not 5"
        if rank != 1
        else "ValueError: Y must hold 90 labels, one per image of X, not 5"
        for rank in range(3)
    ]
    found = errors(monkeypatch, 2, bad_function)
    assert found == ["OSError: no screen", "OtherRankError: rank 0: OSError: no screen"]
    found = errors(monkeypatch, 3, bad_layer)
    assert all("layers[3] (Fails): it breaks" in each for each in found)


def test_what_all_do_wrong_is_the_same_error_everywhere(monkeypatch):
    X, Y = blobs()
    found = errors(monkeypatch, 2, lambda rank: el.train_network(X, Y[1:], [], parallel()))
    assert found[0] == found[1] and found[0].startswith("ValueError: the first layer must be")


def test_divergence_is_one_error_on_all(monkeypatch):
    X, Y = blobs()
    changes = {"initial_learn_rate": 1e30, "micro_batches": 2}
    with pytest.raises(FloatingPointError) as alone:
        el.train_network(X, Y, small_layers(), options(**changes))
    found = errors(
        monkeypatch, 2, lambda rank: el.train_network(X, Y, small_layers(), parallel(**changes))
    )
    assert found == [f"FloatingPointError: {alone.value}"] * 2


def test_what_differs_is_told_before_the_first_iteration(monkeypatch):
    X, Y = blobs()
    seen = []
    notes = {"output_fcn": lambda progress: seen.append(progress.iteration)}

    def message(**of_rank_1):
        def run(rank):
            own = {"X": X, "Y": Y, "layers": small_layers(), "options": {}}
            if rank == 1:
                own |= of_rank_1
            return el.train_network(
                own["X"], own["Y"], own["layers"], parallel(**notes, **own["options"])
            )

        found = errors(monkeypatch, 2, run)
        assert found[0] == found[1]
        return found[0]

    must = " must be the same on all ranks of a parallel run, not "
    assert f"max_epochs{must}4 on rank 0 and 5 on rank 1" in message(options={"max_epochs": 5})
    assert f"solver{must}" not in message(options={"momentum": 0.5})
    assert f"X and Y{must}" in message(X=X + 1)
    assert f"X and Y{must}" in message(X=X[:-1], Y=Y[:-1])
    assert f"layers{must}" in message(layers=small_layers(el.ReLULayer()))
    layers = small_layers()
    layers[1].weights = np.ones((4, 1, 3, 3), np.float32)
    assert f"the first values of layers{must}" in message(layers=layers)
    layers = small_layers()
    layers[1].learn_rate_factors["weights"] = 0
    assert f"layers[1] (Convolution2DLayer){must}" in message(layers=layers)
    layers = small_layers()
    layers[2] = el.BatchNormalizationLayer(1e-2)
    assert f"layers[2] (BatchNormalizationLayer){must}" in message(layers=layers)
    layers = noisy_layers()
    assert f"layers{must}" in message(layers=layers)
    assert f"validation_data{must}" in message(options={"validation_data": blobs(9)})
    assert f"seed{must}0 on rank 0 and 1 on rank 1" in message(options={"seed": 1})
    assert seen == []


def test_iterables_that_differ_are_told(monkeypatch):
    """One rank's ends earlier, or has other sizes."""
    X, Y = blobs()

    def run(rank):
        data = Batches(X, Y, (16, 40) if rank else (16, 40, 41))
        return el.train_network(data, None, small_layers(), parallel(max_epochs=1))

    found = errors(monkeypatch, 2, run)
    assert found[0] == found[1]
    assert "the ranks of a parallel run must be given the same data" in found[0]


def test_validation_of_other_sizes_is_told(monkeypatch):
    X, Y = blobs()

    def run(rank):
        data = Batches(X, Y, (9, 20, 30) if rank == 0 else (9,))
        return el.train_network(X, Y, small_layers(), parallel(validation_data=data))

    found = errors(monkeypatch, 2, run)
    assert found[0] == found[1]
    assert "in validation rank 1 has fewer batches than rank 0" in found[0]


def test_values_that_part_are_noticed(monkeypatch):
    X, Y = blobs()

    def run(epochs, rank):
        class Drifts(el.ELULayer):
            def backward(self, *arguments, **more):
                self.alpha = self.alpha + np.float32(rank / 1000)
                return super().backward(*arguments, **more)

        return el.train_network(X, Y, small_layers(Drifts(4)), parallel(max_epochs=epochs))

    for epochs, iteration in ((30, 100), (1, 5)):
        found = errors(monkeypatch, 2, partial(run, epochs))
        assert found[0] == found[1]
        message = "training stopped at iteration {}: the ranks no longer have the same values"
        assert message.format(iteration) in found[0]


def test_warnings_that_are_errors_end_all(monkeypatch):
    X, Y = blobs()

    def run(rank):
        return el.train_network(X, Y, small_layers(), parallel(micro_batches=2, max_epochs=1))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = errors(monkeypatch, 3, run)
    assert found[0].startswith("RuntimeWarning: 1 of 3 ranks") and "rank 0: Runtime" in found[2]


def test_the_same_error_twice_and_one_with_any_text(monkeypatch):
    """What was told once is told again where it is raised again."""
    X, Y = blobs()
    again = ValueError("folder \udcff")

    def run(rank):
        said = []
        for _ in range(2):

            def function(progress):
                raise again

            with pytest.raises((ValueError, RuntimeError)) as caught:
                el.train_network(X, Y, small_layers(), parallel(output_fcn=function))
            said.append(str(caught.value))
        return said

    assert thread_mpi.run(monkeypatch, 2, run) == [
        ["folder \udcff"] * 2,
        ["rank 0: ValueError: folder \udcff"] * 2,
    ]


class MuteError(Exception):
    def __str__(self):
        raise ValueError


def test_an_error_that_has_no_text_is_told_too(monkeypatch):
    X, Y = blobs()

    def run(rank):
        def function(progress):
            raise MuteError

        return el.train_network(X, Y, small_layers(), parallel(output_fcn=function))

    own, other = thread_mpi.run(monkeypatch, 2, run)
    assert type(own) is MuteError and str(other) == "rank 0: MuteError: ?"


def test_what_cannot_be_told_in_order_aborts(monkeypatch):
    """An interrupt, MPI's own errors, and what else fails between two messages."""
    X, Y = blobs()

    def raising(error):
        def run(rank):
            def function(progress):
                raise error

            return el.train_network(X, Y, small_layers(), parallel(output_fcn=function))

        return [type(each) for each in thread_mpi.run(monkeypatch, 2, run)]

    for error in (KeyboardInterrupt(), SystemExit(3)):  # of Python's own making: in order
        assert raising(error) == [type(error), OtherRankError]

    for kind in (KeyboardInterrupt, MemoryError, thread_mpi.MPI.Exception):

        def within(rank, kind=kind):
            if rank == 1:
                comm = trainer.mpi_ranks()._comm
                comm.Allgatherv = lambda *arguments: (_ for _ in ()).throw(kind())
            return el.train_network(X, Y, small_layers(), parallel())

        found = [type(each) for each in thread_mpi.run(monkeypatch, 2, within)]
        assert found == [thread_mpi.Aborted] * 2


def test_one_thread_trains_in_parallel_at_a_time(monkeypatch):
    X, Y = blobs()

    def run(rank):
        ranks, caught = trainer.mpi_ranks(), []

        def second():
            try:
                with ranks.together():
                    pass
            except RuntimeError as error:
                caught.append(str(error))

        def function(progress):
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()

        el.train_network(X, Y, small_layers(), parallel(output_fcn=function, max_epochs=1))
        return caught

    (caught,) = thread_mpi.run(monkeypatch, 1, run)
    assert set(caught) == {"one thread of a process can train in parallel at a time, not two"}


def test_alone_an_interrupt_is_an_exception(monkeypatch):
    X, Y = blobs()

    def run(rank):
        def function(progress):
            raise KeyboardInterrupt

        return el.train_network(X, Y, small_layers(), parallel(output_fcn=function))

    (found,) = thread_mpi.run(monkeypatch, 1, run)
    assert type(found) is KeyboardInterrupt


def test_without_mpi4py(monkeypatch, capsys):
    """One clear error, of the package and of the command."""
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    X, Y = blobs()
    with pytest.raises(
        ImportError, match=r"needs the package mpi4py: pip install 'elulayer\[mpi\]'"
    ):
        el.train_network(X, Y, small_layers(), parallel())
    assert cli.main(["train", "--parallel"]) == 1
    assert capsys.readouterr() == (
        "",
        "elulayer: error: --parallel needs the package mpi4py: pip install 'elulayer[mpi]'\n",
    )
