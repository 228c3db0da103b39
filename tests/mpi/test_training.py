"""Training in processes that a real mpiexec has started."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

import elulayer as el
from elulayer.training.setting import checksum
from shared import mpi_processes
from shared.small_network import blobs, options, small_layers

mpi_processes.require()

PROGRAM = Path(__file__).with_name("program.py")


def results(folder, what, size):
    """Run the program; return what the ranks wrote, which must be the same."""
    mpi_processes.succeed(size, PROGRAM, folder, what)
    every = [json.loads((folder / f"{what}-{rank}.json").read_text()) for rank in range(size)]
    assert all(each == every[0] for each in every)
    return every[0]


def in_this_process(**changes):
    X, Y = blobs()
    network, record = el.train_network(X, Y, small_layers(), options(micro_batches=4, **changes))
    return checksum(network), record.loss.tolist()


def test_the_same_bits_on_1_to_4_ranks(tmp_path):
    values, loss = in_this_process(
        batch_normalization="synchronized", validation_data=blobs(40, seed=1)
    )
    for size in (1, 2, 3, 4):
        result = results(tmp_path, "whole", size)
        assert (result["values"], result["loss"]) == (values, loss), f"{size} ranks"


def test_a_mapped_file_and_ranks_without_work(tmp_path):
    assert results(tmp_path, "mapped", 3)["values"] == in_this_process()[0]
    results(tmp_path, "idle", 4)


def test_resumes_on_fewer_ranks(tmp_path):
    assert results(tmp_path, "cut", 4)["stopped_by"] == "output_fcn"
    resumed = results(tmp_path, "resumed", 2)
    assert (resumed["values"], resumed["loss"]) == in_this_process()


def test_an_interrupt_of_one_rank_stops_all(tmp_path):
    result = results(tmp_path, "interrupted", 3)
    assert result["stopped_by"] == "interrupt" and len(result["loss"]) == 9


@pytest.mark.parametrize(
    ("what", "how", "message"),
    [
        ("raises", [], "layers[3] (At): rank 1 has had enough"),
        ("raises before", ["-m", "mpi4py"], "rank 1 has had enough"),
        ("killed", [], ""),
    ],
)
def test_a_rank_that_fails_ends_the_run(tmp_path, what, how, message):
    start = time.monotonic()
    process = mpi_processes.start(3, *how, PROGRAM, tmp_path, what)
    assert process.returncode != 0
    assert message in process.stderr
    assert not list(tmp_path.glob("*.json")), "no rank may think that all is well"
    assert time.monotonic() - start < 60


def command(size, *arguments):
    return mpi_processes.start(size, "-m", "elulayer", "train", "--parallel", *arguments)


SMALL = ("--train-images", "300", "--test-images", "60", "--epochs", "2", "--seed", "3")


def test_the_command(tmp_path):
    """The first rank alone prints and writes; the network has the same values."""
    saved = []
    for size in (1, 3):
        file = tmp_path / f"{size}.safetensors"
        process = command(size, *SMALL, "--save", file)
        assert process.returncode == 0, process.stderr
        assert process.stdout.count("Test accuracy: ") == process.stdout.count("by MPI.") == 1
        saved.append(el.load_network(file))
    for one, other in zip(*(network.layers for network in saved), strict=True):
        for name in (*one.learnables, *one.state):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_an_error_of_all_is_told_once(tmp_path):
    process = command(3, *SMALL, "--data", tmp_path / "nothing")
    assert process.returncode != 0
    assert process.stderr.count("elulayer: error: --data must be") == 1


def test_output_that_cannot_be_written_is_the_status(tmp_path):
    """It is the first rank's, after the training, while the others wait."""
    process = command(2, *SMALL, "--save", tmp_path / "no folder" / "x.safetensors")
    assert process.returncode != 0
