"""Trains a small network in parallel and writes, for each rank, what it has come to.

python program.py FOLDER WHAT: see the functions below.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

import elulayer as el
from elulayer.training.setting import checksum
from shared.small_network import blobs, options, small_layers

RANK = MPI.COMM_WORLD.rank
FOLDER, WHAT = Path(sys.argv[1]), sys.argv[2]
X, Y = blobs()


class At(el.ELULayer):
    """Does something on rank 1 in its n-th forward pass."""

    def __init__(self, n=0, do=None):
        super().__init__(4)
        self.n, self.do = n, do

    def forward(self, X):
        self.n -= 1
        if self.n == 0 and RANK == 1:
            self.do()
        return super().forward(X)


def train(layers=None, data=(X, Y), resume=None, **changes):
    changes = {"execution_environment": "parallel", "micro_batches": 4} | changes
    network, record = el.train_network(
        *data, layers or small_layers(), options(**changes), resume=resume
    )
    result = {
        "values": checksum(network),
        "loss": record.loss.tolist(),
        "stopped_by": record.stopped_by,
    }
    (FOLDER / f"{WHAT}-{RANK}.json").write_text(json.dumps(result))


def fail():
    raise ValueError("rank 1 has had enough")


if WHAT == "whole":
    train(batch_normalization="synchronized", validation_data=blobs(40, seed=1))
elif WHAT == "cut":
    where = {"checkpoint_path": FOLDER, "checkpoint_frequency_unit": "iteration"}
    train(output_fcn=lambda progress: progress.iteration == 8, **where)
elif WHAT == "resumed":
    train(resume=FOLDER)
elif WHAT == "uninterrupted":
    train()
elif WHAT == "idle":
    train(micro_batches=2)
elif WHAT == "interrupted":
    train(small_layers(At(9, lambda: signal.raise_signal(signal.SIGINT))))
elif WHAT == "killed":
    train(small_layers(At(9, lambda: os.kill(os.getpid(), signal.SIGKILL))))
elif WHAT == "raises":
    train(small_layers(At(9, fail)))
elif WHAT == "raises before":
    if RANK == 1:
        fail()
    train()
elif WHAT == "mapped":
    if RANK == 0:
        np.save(FOLDER / "X.npy", X)
    MPI.COMM_WORLD.Barrier()
    train(data=(np.load(FOLDER / "X.npy", mmap_mode="r"), Y))
else:
    sys.exit(f"unknown: {WHAT}")
