"""Training on several ranks, here threads with an MPI of their own: the same bits for any number.

`tests/mpi` does the same with processes and real MPIs.
"""

from contextlib import contextmanager
from itertools import chain

import numpy as np
import pytest

import elulayer as el
from elulayer._support import process
from elulayer.network.images import Images
from elulayer.training import loop, setting, trainer, validation
from shared import thread_mpi
from shared.parallel_runs import (
    Batches,
    all_values,
    errors,
    noisy_layers,
    on_ranks,
    parallel,
    train,
)
from shared.small_network import blobs, same, small_layers

RANKS = (1, 2, 3, 4)

ranks_without_work = pytest.mark.filterwarnings("ignore:.* ranks have no work:RuntimeWarning")


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


def test_the_first_rank_alone_draws(monkeypatch):
    X, Y = blobs()
    drawn = []

    class Figure:
        is_shown = True

        def __call__(self, progress):
            drawn.append(trainer.mpi_ranks().rank)

    monkeypatch.setattr(el.plots, "TrainingProgressFigure", Figure)
    on_ranks(monkeypatch, 3, X, Y, plots="training-progress", max_epochs=1)
    assert drawn == [0] * (1 + 5 + 1)


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
