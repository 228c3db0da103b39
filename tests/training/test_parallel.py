"""Training on several ranks, here threads with an MPI of their own: the same bits for any number.

`tests/mpi` does the same with processes and real MPIs.
"""

import dataclasses
import re
import sys
import threading
import warnings
from contextlib import contextmanager
from functools import partial
from itertools import chain

import numpy as np
import pytest

import elulayer as el
from elulayer import cli
from elulayer._support import process
from elulayer.network.images import Images
from elulayer.training import loop, setting, trainer, validation
from elulayer.training.parts import Parts
from elulayer.training.ranks import OtherRankError
from shared import thread_mpi
from shared.small_network import LeakyReLU, blobs, options, same, small_layers

RANKS = (1, 2, 3, 4)

ranks_without_work = pytest.mark.filterwarnings("ignore:.* ranks have no work:RuntimeWarning")


def all_values(network):
    return [
        np.copy(getattr(layer, name))
        for layer in network.layers
        for name in (*layer.learnables, *layer.state)
    ]


def parallel(**changes):
    return options(**({"execution_environment": "parallel"} | changes))


def train(X, Y, layers=small_layers, **changes):
    network, record = el.train_network(X, Y, layers(), options(**changes))
    return all_values(network), record


def on_ranks(monkeypatch, size, X, Y, layers=small_layers, **changes):
    """Train on so many ranks: all must have come to the same. Return that, and the record."""
    results = thread_mpi.run(
        monkeypatch,
        size,
        lambda rank: el.train_network(X, Y, layers(), parallel(**changes)),
    )
    for result in results:
        if isinstance(result, BaseException):
            raise result
    first = all_values(results[0][0])
    for network, record in results[1:]:
        assert same(first, all_values(network))
        assert np.array_equal(record.loss, results[0][1].loss)
    return first, results[0][1]


class Noise(el.Layer):
    """Adds random numbers of its own as it trains, and counts its calls."""

    state = ("calls", "mean")

    def __init__(self):
        self.rng = np.random.default_rng(5)
        self.calls = np.zeros((), np.int64)
        self.mean = np.zeros(3, np.float64)

    def predict(self, X):
        return X

    def forward(self, X):
        self.calls = self.calls + 1
        self.mean = 0.9 * self.mean + 0.1 * X.mean(axis=0)
        return X + self.rng.normal(0, 0.1, X.shape).astype(np.float32), None

    def backward(self, X, Z, dLdZ, memory):
        return dLdZ


def noisy_layers():
    layers = small_layers()
    return [*layers[:5], Noise(), *layers[5:]]


@ranks_without_work
@pytest.mark.parametrize("micro_batches", [2, 3, 4, 7])
@pytest.mark.parametrize("batch_normalization", ["separate", "synchronized"])
def test_any_number_of_ranks_has_the_same_bits(monkeypatch, micro_batches, batch_normalization):
    """Parts of unequal size too: 16 images in 3 or 7."""
    X, Y = blobs()
    changes = {
        "micro_batches": micro_batches,
        "batch_normalization": batch_normalization,
        "validation_data": blobs(40, seed=1),
        "validation_frequency": 3,
        "shuffle": "every-epoch",
    }
    alone, record = train(X, Y, noisy_layers, **changes)
    for size in RANKS:
        values, other = on_ranks(monkeypatch, size, X, Y, noisy_layers, **changes)
        assert same(alone, values), f"{size} ranks"
        for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
            assert np.array_equal(getattr(record, name), getattr(other, name), equal_nan=True)


@pytest.mark.parametrize("statistics", ["moving", "population"])
@pytest.mark.parametrize("solver", ["sgdm", "adam"])
def test_moving_statistics_and_solvers(monkeypatch, solver, statistics):
    X, Y = blobs()
    changes = {
        "micro_batches": 4,
        "batch_normalization_statistics": statistics,
        "gradient_threshold": 0.1,
        "gradient_threshold_method": "global-l2norm",
    }
    given = {"max_epochs": 3, "mini_batch_size": 16, "seed": 0, "verbose": False, **changes}
    network, _ = el.train_network(X, Y, small_layers(), el.TrainingOptions(solver, **given))
    given["execution_environment"] = "parallel"
    for result, _ in thread_mpi.run(
        monkeypatch,
        3,
        lambda rank: el.train_network(X, Y, small_layers(), el.TrainingOptions(solver, **given)),
    ):
        assert same(all_values(network), all_values(result))


def test_parts_are_the_unsplit_batch_but_for_rounding():
    """Without batch normalization, and with it synchronized."""
    X, Y = blobs()
    without = lambda: [layer for i, layer in enumerate(small_layers()) if i != 2]  # noqa: E731
    for layers, changes in (
        (without, {}),
        (small_layers, {"batch_normalization": "synchronized"}),
    ):
        whole, record = train(X, Y, layers, max_epochs=2)
        for count in (2, 3, 16):
            parts, other = train(X, Y, layers, max_epochs=2, micro_batches=count, **changes)
            assert np.allclose(record.loss, other.loss, rtol=1e-5)
            for a, b in zip(whole, parts, strict=True):
                assert np.allclose(a, b, rtol=1e-3, atol=1e-5)


def test_separate_statistics_differ_from_the_whole_batch():
    X, Y = blobs()
    whole, _ = train(X, Y, max_epochs=1)
    parts, together = (
        train(X, Y, max_epochs=1, micro_batches=4, batch_normalization=which)[0]
        for which in ("separate", "synchronized")
    )
    scale = 3
    distances = [np.abs(whole[scale] - other[scale]).max() for other in (parts, together)]
    assert distances[0] > 100 * distances[1]


class MovingMean(el.Layer):
    """A moving average of what passes, and the largest of all labels' counts."""

    state = ("mean", "most")

    def __init__(self):
        self.mean = np.zeros(3, np.float32)
        self.most = np.zeros((), np.int64)

    def predict(self, X):
        return X

    def forward(self, X):
        self.mean = np.float32(0.9) * self.mean + np.float32(0.1) * X.mean(axis=0)
        self.most = np.maximum(self.most, len(X))
        return X, None

    def backward(self, X, Z, dLdZ, memory):
        return dLdZ


def with_layer(layer):
    layers = small_layers()
    return [*layers[:2], *layers[3:5], layer, *layers[5:]]  # without batch normalization


def test_states_move_by_the_mean_over_the_parts():
    """A moving average is that of the unsplit batch; of integers it is the largest."""
    X, Y = blobs()
    expected = None
    for count in (1, 2, 3, 5):
        network, _ = el.train_network(X, Y, with_layer(MovingMean()), options(micro_batches=count))
        layer = network.layers[4]
        expected = layer.mean if expected is None else expected
        assert np.allclose(layer.mean, expected, rtol=1e-4, atol=1e-6)
        assert layer.most == -(-16 // count)


def moves_in(direction):
    class Moves(el.Layer):
        state = ("total",)

        def __init__(self):
            self.total = np.zeros((), np.float64)
            self.rng = np.random.default_rng(1)

        def predict(self, X):
            return X

        def forward(self, X):
            if direction == "forward":
                self.total = self.total + self.rng.random()
            return X, None

        def backward(self, X, Z, dLdZ, memory):
            if direction == "backward":
                self.total = self.total + self.rng.random()
            return dLdZ

    return Moves()


@pytest.mark.parametrize("batch_normalization", ["separate", "synchronized"])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_what_layers_draw_and_keep_is_the_parts_own(monkeypatch, direction, batch_normalization):
    X, Y = blobs()

    def layers():
        made = small_layers()
        return [*made[:5], moves_in(direction), *made[5:]]

    changes = {"micro_batches": 4, "batch_normalization": batch_normalization}
    alone, _ = train(X, Y, layers, **changes)
    for size in (2, 3):
        assert same(alone, on_ranks(monkeypatch, size, X, Y, layers, **changes)[0])


def test_a_generator_of_two_layers_gives_each_its_numbers():
    """As it would without parts: what one layer draws another does not."""
    X, Y = blobs()
    shared = np.random.default_rng(3)
    drawn = []

    class Draws(el.Layer):
        def __init__(self):
            self.rng = shared

        def predict(self, X):
            return X

        def forward(self, X):
            drawn.append(self.rng.random())
            return X, None

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    layers = small_layers()
    el.train_network(
        X, Y, [*layers[:5], Draws(), Draws(), *layers[5:]], options(micro_batches=4, max_epochs=2)
    )
    assert len(set(drawn)) == len(drawn) == 2 * 4 * 10


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        (np.zeros(()), np.zeros(3), "'m' must stay of shape () and dtype float64 where"),
        (np.zeros(3, "f"), np.zeros(3), "'m' must stay of shape (3,) and dtype float32 where"),
        (0, 0.5, "'m' must stay of shape () and dtype int64 where"),
        (np.full(2, np.inf), np.zeros(2), "'m' must begin finite where mini-batches have parts"),
        ([1, 2], [1, 2], "'m' must be an array of numbers where mini-batches have parts, not list"),
        ("a", "b", "'m' must be an array of numbers where mini-batches have parts, not str"),
    ],
)
def test_states_that_cannot_be_merged_are_refused(first, then, message):
    class Changes(el.Layer):
        state = ("m",)

        def __init__(self):
            self.m = first

        def predict(self, X):
            return X

        def forward(self, X):
            self.m = then
            return X, None

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    X, Y = blobs()
    with pytest.raises((TypeError, ValueError), match=re.escape(f"(Changes): its state {message}")):
        el.train_network(X, Y, with_layer(Changes()), options(micro_batches=2))
    el.train_network(X, Y, with_layer(Changes()), options(max_epochs=1))  # one part: as it likes


def test_a_batch_normalization_of_ones_own_goes_its_own_way():
    class Own(el.BatchNormalizationLayer):
        calls = 0

        def forward(self, X):
            Own.calls += 1
            return super().forward(X)

    X, Y = blobs()
    layers = small_layers()
    layers[2] = Own()
    changes = {"micro_batches": 2, "batch_normalization": "synchronized", "max_epochs": 1}
    el.train_network(X, Y, layers, options(**changes))
    assert Own.calls == 2 * 5


def test_parts_go_through_the_layers_one_after_the_other():
    """But where they are normalized together: then all are in memory."""
    seen = []

    class Notes(LeakyReLU):
        def forward(self, X):
            seen.append("forward")
            return super().forward(X)

        def backward(self, *arguments):
            seen.append("backward")
            return super().backward(*arguments)

    X, Y = blobs(16)
    for which, expected in (
        ("separate", ["forward", "backward"] * 2),
        ("synchronized", ["forward"] * 2 + ["backward"] * 2),
    ):
        seen.clear()
        changes = {"micro_batches": 2, "batch_normalization": which, "max_epochs": 1}
        el.train_network(X, Y, small_layers(Notes(0.1)), options(**changes))
        assert seen == expected


def test_no_layer_is_given_the_gradient_of_a_loss_that_is_nan(monkeypatch):
    class Particular(el.Layer):
        def predict(self, X):
            return X * np.float32(np.nan)

        def backward(self, X, Z, dLdZ, memory):
            raise AssertionError("the run is over")

    X, Y = blobs()
    for changes in ({}, {"micro_batches": 2}):
        with pytest.raises(FloatingPointError, match="the loss is nan"):
            el.train_network(X, Y, with_layer(Particular()), options(**changes))
    found = errors(
        monkeypatch, 2, lambda rank: el.train_network(X, Y, with_layer(Particular()), parallel())
    )
    assert found[0] == found[1] and "FloatingPointError" in found[0]


def test_validation_is_shared_out(monkeypatch):
    """Each batch of it is read by one rank; NaN in any rank's share is told by all."""
    X, Y = blobs(96)
    read, dealt = [], validation.make_source

    def noting(*arguments):
        source = dealt(*arguments)
        deal = source.dealt

        def deal_and_note(*share):
            for batch in deal(*share):
                read.append(share)
                yield batch

        source.dealt = deal_and_note
        return source

    monkeypatch.setattr(validation, "make_source", noting)
    changes = {"validation_data": (X, Y), "validation_frequency": 100, "max_epochs": 1}
    on_ranks(monkeypatch, 2, X, Y, **changes)
    # 6 batches in two trials; and one each that is looked at before the run.
    assert len(read) == 2 * 6 + 2
    spoiled = X.copy()
    spoiled[90] = np.nan
    found = errors(
        monkeypatch, 2, lambda rank: el.train_network(spoiled, Y, small_layers(), parallel())
    )
    assert "X must be finite" in found[0] and "X must be finite" in found[1]


def test_validation_of_other_sizes_is_told(monkeypatch):
    X, Y = blobs()

    def run(rank):
        data = Batches(X, Y, (9, 20, 30) if rank == 0 else (9,))
        return el.train_network(X, Y, small_layers(), parallel(validation_data=data))

    found = errors(monkeypatch, 2, run)
    assert found[0] == found[1]
    assert "in validation rank 1 has fewer batches than rank 0" in found[0]


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


def test_threads_are_shared_out(monkeypatch):
    """Among the ranks that may run on the same processors."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    on_this = el.cpu_info().threads
    with process.share_of_threads(1):
        assert el.cpu_info().threads == on_this
    with process.share_of_threads(len(process.processors())):
        assert el.cpu_info().threads == 1
    assert el.cpu_info().threads == on_this
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with process.share_of_threads(64):
        assert el.cpu_info().threads == on_this
    assert thread_mpi.run(monkeypatch, 3, lambda rank: trainer.mpi_ranks().sharing()) == [3] * 3


class Batches:
    """An iterable of batches of uneven sizes, the last of one image."""

    def __init__(self, X, Y, ends=(16, 40, 41, 80, 81)):
        self.X, self.Y, self.ends = X, Y, ends

    def __iter__(self):
        start = 0
        for end in self.ends:
            yield self.X[start:end], self.Y[start:end]
            start = end


@ranks_without_work
def test_iterables_and_uneven_ends(monkeypatch):
    """Batches with fewer images than parts leave ranks without work, who must not wait."""
    X, Y = blobs()
    data = Batches(X, Y)
    changes = {
        "micro_batches": 4,
        "validation_data": Batches(X, Y, (1, 2, 9)),
        "batch_normalization": "synchronized",
    }
    alone, _ = train(data, None, **changes)
    for size in (2, 3, 6):
        assert same(alone, on_ranks(monkeypatch, size, data, None, **changes)[0])


def test_each_rank_reads_its_own_part(monkeypatch, tmp_path):
    """Of a mapped file: an epoch's images are read by one rank each."""
    X, Y = blobs(64)
    np.save(tmp_path / "X.npy", X)
    trained_on, looked_at, take = {}, {}, Images.__getitem__

    def take_and_note(self, which):
        rank = trainer.mpi_ranks().rank
        if isinstance(which, slice):  # for NaN, the mean image and the population's statistics
            looked_at.setdefault(rank, set()).update(range(*which.indices(len(self))))
        else:
            trained_on.setdefault(rank, []).extend(which.tolist())
        return take(self, which)

    def run(rank):
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        return el.train_network(mapped, Y, small_layers(), parallel(max_epochs=1))

    monkeypatch.setattr(Images, "__getitem__", take_and_note)
    monkeypatch.setattr(setting, "_MOST_COMPARED", 1)
    for _, record in thread_mpi.run(monkeypatch, 4, run):
        assert len(record.loss) == 4
    assert sorted(chain(*trained_on.values())) == list(range(64))
    assert {len(part) for part in trained_on.values()} == {16}
    # One image that is compared, and a share of 16 each time.
    assert all(len(images) <= 1 + 3 * 16 for images in looked_at.values())


def errors(monkeypatch, size, function):
    return [
        f"{type(result).__name__}: {result}"
        for result in thread_mpi.run(monkeypatch, size, function)
    ]


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


@pytest.mark.parametrize("why", ["output_fcn", "interrupt", "validation_patience"])
def test_all_stop_in_the_same_iteration(monkeypatch, why):
    X, Y = blobs()
    seen = []

    def run(rank):
        changes = {
            "output_fcn": {
                "output_fcn": lambda progress: seen.append(rank) or progress.iteration == 7
            },
            "interrupt": {"output_fcn": lambda progress: seen.append(rank)},
            "validation_patience": {
                "validation_data": (X, Y),
                "validation_frequency": 1,
                "validation_patience": 2,
                "initial_learn_rate": 3.0,
            },
        }[why]
        return el.train_network(X, Y, small_layers(), parallel(**changes))

    if why == "interrupt":
        interrupt_on_rank_1(monkeypatch)
    records = [record for _, record in thread_mpi.run(monkeypatch, 2, run)]
    assert {record.stopped_by for record in records} == {why}
    assert len(records[0].loss) == len(records[1].loss) < 20
    assert set(seen) <= {0}, "output functions are called on the first rank alone"


def interrupt_on_rank_1(monkeypatch):
    """Ctrl-C reaches one rank, not in its main thread here: so the wish is put in by hand."""

    @contextmanager
    def first_interrupt():
        asked = []

        def later():
            asked.append(None)
            return trainer.mpi_ranks().rank == 1 and len(asked) > 5

        yield later

    monkeypatch.setattr(loop, "first_interrupt", first_interrupt)


@pytest.mark.parametrize("sizes", [(2, 1), (1, 3), (3, 2)])
def test_resumes_on_another_number_of_ranks(monkeypatch, tmp_path, sizes):
    X, Y = blobs()
    whole, _ = train(X, Y, noisy_layers, micro_batches=4)
    first, second = sizes
    stop = {"output_fcn": lambda progress: progress.iteration == 8}
    where = {"checkpoint_path": tmp_path, "checkpoint_frequency_unit": "iteration"}
    on_ranks(monkeypatch, first, X, Y, noisy_layers, micro_batches=4, **where, **stop)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(files) == 8, "written once each"

    def resume(rank):
        # A rank that is not the first needs no access to the folder.
        own = where if rank == 0 else {}
        return el.train_network(
            X, Y, noisy_layers(), parallel(micro_batches=4, **own), resume=tmp_path if own else None
        )

    for network, record in thread_mpi.run(monkeypatch, second, resume):
        assert same(whole, all_values(network)) and len(record.loss) == 20


def test_another_number_of_parts_is_another_run(tmp_path):
    X, Y = blobs()
    where = {"checkpoint_path": tmp_path, "max_epochs": 1}
    el.train_network(X, Y, small_layers(), options(**where))
    with pytest.raises(ValueError, match=r"micro_batches must be as in the run of .*, 1, not 2"):
        el.train_network(X, Y, small_layers(), options(micro_batches=2, **where), resume=tmp_path)


def test_the_first_rank_alone_prints(monkeypatch, capsys):
    X, Y = blobs()
    on_ranks(monkeypatch, 3, X, Y, verbose=True, max_epochs=1)
    out = capsys.readouterr().out
    assert out.startswith("Training on 3 processes, by MPI.\n")
    assert out.count("Initializing image normalization") == 1


def test_ranks_without_work_are_told_of(monkeypatch):
    X, Y = blobs()
    with pytest.warns(RuntimeWarning, match=r"^1 of 3 ranks have no work, for micro_batches is 2$"):
        on_ranks(monkeypatch, 3, X, Y, micro_batches=2, max_epochs=1)


def test_without_a_seed_all_have_the_first_ones(monkeypatch):
    X, Y = blobs()
    on_ranks(monkeypatch, 3, X, Y, seed=None, max_epochs=1)


def test_micro_batches_are_checked(monkeypatch):
    X, Y = blobs()
    found = errors(
        monkeypatch,
        2,
        lambda rank: el.train_network(X, Y, small_layers(), parallel(micro_batches=1)),
    )
    assert found == ["ValueError: micro_batches must be 2 or more for 2 ranks to share, not 1"] * 2
    with pytest.raises(
        ValueError, match=r"micro_batches must be at most mini_batch_size, 4, not 5"
    ):
        el.TrainingOptions("sgdm", mini_batch_size=4, micro_batches=5)
    with pytest.raises(ValueError, match=r"execution_environment must be .*, not 'gpu'"):
        el.TrainingOptions("sgdm", execution_environment="gpu")
    assert el.TrainingOptions("sgdm").parts() == 1
    given = el.TrainingOptions("sgdm", execution_environment="parallel")
    assert given.parts() == 8
    assert dataclasses.replace(given, mini_batch_size=2).parts() == 2


@pytest.mark.parametrize("count", range(1, 18))
def test_the_tree_is_the_same_for_any_number_of_ranks(count):
    """What the ranks send are nodes of one tree, which together are all its parts, once each."""
    for images in {1, 2, count // 2 or 1, count, 3 * count + 1}:
        leaves = {
            (part, part + 1): [np.float32(0.1) * np.float32(part + 1)]
            for part, _ in Parts(count).slices(images)
        }
        want = Parts(count).total(leaves)
        for size in range(1, 2 * count + 2):
            sent = {}
            for rank in range(size):
                parts = Parts(count, rank, size)
                own = {(part, part + 1) for part, _ in parts.slices(images)}
                assert {node for node in leaves if node[0] in parts.own} == own
                for node in parts.sent(rank, images):
                    sent[node] = parts.total({key: leaves[key] for key in own}, node)
            assert Parts(count).total(sent) == want
            covered = [part for first, end in sent for part in range(first, end)]
            assert len(covered) == len(set(covered))


def test_ranks_send_whole_subtrees():
    """With as many parts as ranks can share evenly, each sends one sum."""
    for size in (1, 2, 4, 8):
        assert all(len(Parts(8, r, size).sent(r, 128)) == 1 for r in range(size))


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
