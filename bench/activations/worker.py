"""One training in a process of its own; `main` is what the process runs."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from elulayer import TrainingOptions, TrainingProgress, train_network
from elulayer.data import Dataset

from .variants import make_layers


def save_data(folder: Path, data: Dataset) -> None:
    """Write the data where `load_data` finds them."""
    for name, array in data._asdict().items():
        np.save(folder / f"{name}.npy", array, allow_pickle=False)


def load_data(folder: Path) -> Dataset:
    """Read the data that `save_data` wrote."""
    return Dataset(*(np.load(folder / f"{name}.npy") for name in Dataset._fields))


def train(data: Dataset, job: dict[str, Any]) -> dict[str, Any]:
    """Train a variant, and measure.

    Parameters
    ----------
    data : Dataset
    job : dict
        ``model``, ``variant``, ``seed``, and ``options``, those of `TrainingOptions` for sgdm.

    Returns
    -------
    result : dict
        ``accuracy`` in percent, ``seconds``, ``memory`` in MiB or None, ``error``; all but
        ``error`` are None where the training diverged.
    """
    classes = np.unique(data.Y_train)
    layers = make_layers(job["model"], job["variant"], data.X_train.shape[1:], len(classes))
    peaks = [peak_memory()]

    def measure(progress: TrainingProgress) -> None:
        # Before the pass over the training set that batch normalization makes at the end.
        if progress.state == "done":
            peaks.append(peak_memory())

    options = TrainingOptions(
        "sgdm", seed=job["seed"], verbose=False, output_fcn=measure, **job["options"]
    )
    start = time.perf_counter()
    try:
        network, _ = train_network(data.X_train, data.Y_train, layers, options, classes=classes)
        seconds = time.perf_counter() - start
        accuracy = 100 * float((network.classify(data.X_test) == data.Y_test).mean())
    except FloatingPointError as error:
        return {"accuracy": None, "seconds": None, "memory": None, "error": str(error)}
    before, after = peaks
    growth = None if before is None or after is None else after - before
    return {"accuracy": accuracy, "seconds": seconds, "memory": growth, "error": ""}


def peak_memory() -> float | None:
    """Return the most memory that this process has held so far, in MiB; None if that is unknown.

    On Linux it is read from /proc: ru_maxrss there begins with what the parent process held.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return None


def main() -> None:
    """Do the job of the command line, a folder of data and JSON; print the result as JSON."""
    folder, job = sys.argv[1:]
    print(json.dumps(train(load_data(Path(folder)), json.loads(job))))
