"""An iteration of the blog's training run on one rank and on several, by MPI.

    python bench/parallel.py [--rounds 5] [--epochs 2]

needs mpi4py and an MPI, whose mpiexec is taken from the folder of the interpreter or from PATH
(`make bench-parallel` brings both). Runs take turns; medians of all iterations but the first ten
are compared. Prints a Markdown table and writes it to bench/results/parallel.md.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from machine import describe, usable_processors
from record import publish


class Case(NamedTuple):
    """Ranks, threads of each, parts and images of a mini-batch; no ranks: without MPI."""

    ranks: int
    threads: int
    parts: int
    images: int = 128

    def __str__(self):
        who = plural(self.ranks, "rank") if self.ranks else "one process, no MPI"
        each = plural(self.images // self.parts, "image")
        what = f"{plural(self.parts, 'part')} of {each}"
        return f"{who}, {plural(self.threads, 'thread')}, {what}"


def plural(number, what):
    return f"{number} {what}{'s' * (number > 1)}"


USUAL = Case(0, 2, 1)
# One thread and one part: what the model of more machines computes with.
PARTS = [Case(0, 1, 1, 2**power) for power in range(8)]
ALONE = Case(1, 1, 8)
PARALLEL = [ALONE, Case(2, 1, 8), Case(4, 1, 8)]
CASES = [
    USUAL,
    Case(0, 1, 2),
    Case(0, 1, 8),
    Case(0, 2, 8),
    *PARALLEL,
    Case(2, 1, 2),
    *PARTS,
]
EXCHANGES = 300


def child(args):
    """Train; print what the first rank has measured."""
    import elulayer as el

    data = el.data.load_digits(seed=0, n_train=min(5000, 100 * args.images))
    options = el.TrainingOptions(
        "sgdm",
        max_epochs=args.epochs,
        seed=0,
        verbose=False,
        mini_batch_size=args.images,
        micro_batches=args.parts,
        execution_environment="parallel" if args.ranks else "cpu",
    )
    layers = el.models.blog_layers(data.X_train.shape[1:], 10)
    network, record = el.train_network(data.X_train, data.Y_train, layers, options)
    result = {
        "iterations_ms": (1000 * np.diff(record.time)[10:]).tolist(),
        "loss": record.loss[-1],
        "gradient_bytes": 4
        * sum(getattr(layer, name).size for layer in network.layers for name in layer.learnables),
    }
    if args.ranks:
        result |= exchanges(result["gradient_bytes"])
    if not args.ranks or result["rank"] == 0:
        print(json.dumps(result))


def exchanges(size):
    """Time the gather of gradients, with the sum of all, and an Allreduce of as many bytes."""
    from mpi4py import MPI

    from elulayer.training.parts import Parts, pack, unpack
    from elulayer.training.ranks import mpi_ranks

    ranks, gradient = mpi_ranks(), np.ones(size // 4, np.float32)
    parts = Parts(ranks.size, ranks.rank, ranks.size)

    def gather():
        every = ranks.gather(pack([[gradient]]), "gradients")
        return [unpack(data, 1, [gradient])[0] for data in every]

    def add():
        parts.total({(rank, rank + 1): [gradient] for rank in range(ranks.size)})

    total = np.empty_like(gradient)
    calls = {
        "gather_us": gather,
        "add_us": add,
        "allreduce_us": lambda: MPI.COMM_WORLD.Allreduce(gradient, total),
        "small_us": lambda: ranks.gather(b"123456789", "few bytes"),
    }
    times = {key: [] for key in calls}
    for _ in range(EXCHANGES):
        for key, call in calls.items():
            MPI.COMM_WORLD.Barrier()
            start = time.perf_counter()
            call()
            times[key].append(1e6 * (time.perf_counter() - start))
    return {"rank": ranks.rank} | {key: statistics.median(each) for key, each in times.items()}


def run(case, epochs):
    command = [sys.executable, __file__, "--child", "--ranks", case.ranks, "--parts", case.parts]
    command += ["--images", case.images, "--epochs", epochs]
    if case.ranks:
        near = Path(sys.prefix, "bin", "mpiexec")
        mpiexec = near if near.exists() else shutil.which("mpiexec")
        command = [mpiexec, "-n", case.ranks, *command]
    environment = os.environ | {
        "OMP_NUM_THREADS": str(case.threads),
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    output = subprocess.run(
        list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True, env=environment
    ).stdout
    return json.loads(output.splitlines()[-1])


def figures_of(results):
    """Return the medians that are kept, and what the model of more machines is made of."""
    medians = {
        case: statistics.median(ms for run in runs for ms in run["iterations_ms"])
        for case, runs in results.items()
    }
    exchanges = {
        case: {
            key: statistics.median(run[key] for run in results[case])
            for key in ("gather_us", "add_us", "allreduce_us", "small_us")
        }
        for case in PARALLEL
    }
    model = {
        "gradient_bytes": results[ALONE][0]["gradient_bytes"],
        "add_ms": round(exchanges[PARALLEL[1]]["add_us"] / 1e3, 5),
        "iteration_ms": [round(medians[case], 3) for case in PARTS],  # of 1, 2, 4, ... images
    }
    return medians, exchanges, model


def table(medians, exchanges, model, args, details, library):
    rows = ["| | ms an iteration | of one process with two threads |", "|---|---|---|"]
    rows += [f"| {case} | {ms:.2f} | {ms / medians[USUAL]:.2f} |" for case, ms in medians.items()]
    rows += [
        "",
        "Microseconds of what ranks send each other; the gradients are "
        f"{model['gradient_bytes']} bytes:",
        "",
        "| ranks | gather of them | their sum | Allreduce of as many bytes | a few bytes |",
        "|---|---|---|---|---|",
    ]
    rows += [
        f"| {case.ranks} | " + " | ".join(f"{us:.0f}" for us in times.values()) + " |"
        for case, times in exchanges.items()
    ]
    rows += [
        "",
        f"The blog's network; rounds: {args.rounds}, in turn; {details['processor']}, "
        f"{usable_processors()} processors, {details['instruction_set']}, {library}, Python "
        f"{details['python']}, NumPy {details['numpy']}. Four ranks on two processors prove bits, "
        "not speed.",
    ]
    return "\n".join(rows) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--ranks", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--parts", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--images", type=int, default=128, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    from mpi4py import MPI

    library = " ".join(MPI.Get_library_version().split()[:3]).rstrip(",")
    results = {case: [] for case in CASES}
    for _ in range(args.rounds):
        for case in CASES:
            results[case].append(run(case, args.epochs))
            ms = statistics.median(results[case][-1]["iterations_ms"])
            print(f"{case}: {ms:.2f} ms", file=sys.stderr)
    ends = {}
    for case, runs in results.items():
        ends.setdefault((case.parts, case.images), set()).update(run["loss"] for run in runs)
    if any(len(losses) > 1 for losses in ends.values()):
        sys.exit(f"the last loss must depend on the mini-batch's parts alone, not be {ends}")
    details = describe()
    medians, exchanges, model = figures_of(results)
    figures = {
        "iteration, ms": {str(case): round(ms, 3) for case, ms in medians.items()},
        **{str(case): {k: round(us, 1) for k, us in t.items()} for case, t in exchanges.items()},
        "model": model,
    }
    text = table(medians, exchanges, model, args, details, library)
    raw = {str(case): runs for case, runs in results.items()}
    record = {"machine": details, "libraries": {"MPI": library}, "runs": raw}
    publish("parallel", text, record, figures)
    print(text, end="")


if __name__ == "__main__":
    main()
