"""The layer beside its installed peers: forward, and forward + backward with alpha's gradient.

Every peer's results are checked before it is timed. Peers run in turn, one call after the other in
the same round, each in a process of its own with the same number of threads; medians of the rounds
are compared.

    python bench/compare.py [--quick] [--rounds 15] [--threads N] [--results DIR]

Prints Markdown tables and writes them to bench/results/compare.md, every number to
bench/raw/compare.json, and the plot of the throughput to docs/throughput.png. The native copies of
bench/raw/native.json are candidates for the ceiling. A peer that is not installed is left out and
named. The peers are in peers.py, the arrays in workloads.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path

import numpy as np

import machine
from accuracy import Exact
from ceiling import find_ceiling, read_native
from peers import PEERS
from plot import draw_throughput
from record import publish
from report import markdown
from worker import PeerError, Worker
from workloads import SCALAR_ALPHA, Workload, make_arrays, quick_workloads, workloads

ROOT = Path(__file__).parent.parent
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMEXPR_MAX_THREADS",
)
# One thread of somebody else's makes those that wait for each other several times slower.
BUSY = 0.5
# A peer's compiler and caches are ready after a call on these.
WARM_UP = Workload("arrays", (2, 4, 3, 3))


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small arrays, to see that all works")
    parser.add_argument("--rounds", type=int, help="default: 15, or 3 with --quick")
    parser.add_argument("--threads", type=int, default=machine.usable_processors())
    parser.add_argument("--peers", help="keys of peers.py, with commas; default: all")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="for all files; default: bench/ and docs/, or build/compare with --quick",
    )
    args = parser.parse_args()
    if args.rounds is None:
        args.rounds = 3 if args.quick else 15
    if args.rounds < 1 or args.threads < 1:
        parser.error("--rounds and --threads are at least 1")
    args.peers = args.peers.split(",") if args.peers else list(PEERS)
    unknown = [key for key in args.peers if key not in PEERS]
    if unknown:
        parser.error(f"unknown peers {', '.join(unknown)}; there are {', '.join(PEERS)}")
    if "elulayer" not in args.peers:
        parser.error("--peers needs elulayer: the others' times are stated as multiples of its")
    return args


def start_workers(keys, threads, stack):
    """Start a process for each peer; return those that work, their versions, and why others don't.

    The processes end with `stack`.
    """
    started = {key: stack.enter_context(closing(Worker(key, threads))) for key in keys}
    versions, missing = {}, {}
    for key, worker in started.items():
        try:
            versions[key] = worker.version()
        except PeerError as error:
            missing[key] = str(error)
    return {key: started[key] for key in versions}, versions, missing


def save_arrays(workload, folder):
    """Write the arrays of a workload to a new folder, for the workers, and return them."""
    arrays = dict(zip(("x", "grad", "alpha"), make_arrays(workload), strict=True))
    for name, array in arrays.items():
        if array is not None:
            np.save(Path(folder, f"{name}.npy"), array)
    return arrays


class Checker:
    """Compares the peers' results on one workload with exact ones, computed when first needed."""

    def __init__(self, arrays, axis, folder):
        self.arrays, self.axis, self.folder = arrays, axis, folder
        self.exact = {}

    def check(self, key, worker, tasks):
        """Return the worst errors; raise PeerError where a result is grossly wrong."""
        worst = {}
        for task in tasks if PEERS[key].function != "none" else ():
            names = worker.ask("results", folder=str(self.folder), task=task)
            paths = {name: Path(self.folder, f"{name}.npy") for name in names}
            errors, wrong = self._exact(key).errors({n: np.load(p) for n, p in paths.items()})
            if wrong:
                raise PeerError(f"wrong, so not timed: {'; '.join(wrong)}")
            for name, error in errors.items():
                worst[name] = max(error, worst.get(name, 0))
        return worst

    def _exact(self, key):
        peer = PEERS[key]
        kind = peer.function, peer.scalar_alpha
        if kind not in self.exact:
            alpha = SCALAR_ALPHA if peer.scalar_alpha else self.arrays["alpha"]
            x, grad = self.arrays["x"], self.arrays["grad"]
            self.exact[kind] = Exact(peer.function, x, grad, alpha, self.axis)
        return self.exact[kind]


def tasks_of(key, workload):
    return [task for task in workload.tasks if task == "forward" or PEERS[key].has_gradients]


def prepare(workload, workers, folder, nanoseconds):
    """Check and calibrate every peer; return those to be timed and why others are not."""
    arrays = save_arrays(workload, folder)
    checker = Checker(arrays, workload.axis, folder)
    ready, left_out = {}, {}
    for key, worker in workers.items():
        try:
            worker.ask("prepare", folder=str(folder), axis=workload.axis)
            tasks = tasks_of(key, workload)
            errors = checker.check(key, worker, tasks)
            calls = {
                task: worker.ask("calibrate", task=task, nanoseconds=nanoseconds) for task in tasks
            }
            ready[key] = {
                "errors": errors,
                "tasks": {t: {"calls": calls[t], "ns": [], "page_faults": []} for t in tasks},
            }
        except PeerError as error:
            left_out[key] = str(error)
    return ready, left_out


def run_rounds(ready, left_out, workers, rounds):
    """Time all peers in every round, beginning with another one each time."""
    for number in range(rounds):
        keys = list(ready)
        first = number % max(len(keys), 1)
        for key in keys[first:] + keys[:first]:
            try:
                for task, record in ready[key]["tasks"].items():
                    ns, faults = workers[key].ask("time", task=task, calls=record["calls"])
                    record["ns"].append(ns)
                    record["page_faults"].append(faults)
            except PeerError as error:
                left_out[key] = str(error)
                del ready[key]


def summarize(record):
    """Add the medians and quartiles."""
    ns = record["ns"]
    record["median_ns"] = statistics.median(ns)
    record["quartiles_ns"] = [float(q) for q in np.percentile(ns, [25, 75])]
    record["median_page_faults"] = statistics.median(record["page_faults"])


def measure(workload, workers, args, missing):
    """Check and time the peers of one workload."""
    print(f"{workload.kind}: {workload.title}", file=sys.stderr)
    taking_part = {key: workers[key] for key in workload.peers if key in workers}
    wanted = [key for key in workload.peers if key in args.peers]
    with tempfile.TemporaryDirectory() as folder:
        nanoseconds = 1_000_000 if args.quick else 20_000_000
        ready, left_out = prepare(workload, taking_part, folder, nanoseconds)
    run_rounds(ready, left_out, taking_part, args.rounds)
    for key, worker in taking_part.items():
        if key in ready:
            worker.ask("release")
            for record in ready[key]["tasks"].values():
                summarize(record)
    derived = {"title": workload.title, "array_bytes": workload.array_bytes}
    return {
        "workload": {**asdict(workload), **derived},
        "peers": ready,
        "left_out": {key: {**missing, **left_out}[key] for key in wanted if key not in ready},
    }


def peak_memory(key, threads, task, warm_up, arrays, axis):
    """Resident growth of one call in a process of its own, in bytes; None if it cannot be told."""
    with closing(Worker(key, threads)) as worker:
        try:
            worker.version()
            worker.ask("prepare", folder=warm_up, axis=1)
            worker.ask("memory", task=task)
            worker.ask("prepare", folder=arrays, axis=axis)
            return worker.ask("memory", task=task)
        except PeerError as error:
            print(f"memory of {PEERS[key].name}: {error}", file=sys.stderr)
            return None


def measure_memory(workload, measured, threads):
    """Add the peak memory of each peer that has the gradients."""
    print(f"memory: {workload.title}", file=sys.stderr)
    keys = [key for key, peer in measured["peers"].items() if "forward_backward" in peer["tasks"]]
    with (
        tempfile.TemporaryDirectory() as warm_up,
        tempfile.TemporaryDirectory() as arrays,
        ThreadPoolExecutor(machine.usable_processors()) as pool,
    ):
        save_arrays(WARM_UP, warm_up)
        save_arrays(workload, arrays)
        jobs = {
            key: pool.submit(
                peak_memory, key, threads, "forward_backward", warm_up, arrays, workload.axis
            )
            for key in keys
        }
        for key, job in jobs.items():
            measured["peers"][key]["peak_memory_bytes"] = job.result()


def compare(args):
    """Run everything and return what compare.json holds."""
    details = machine.describe()
    native = read_native(details["instruction_set"])
    load = details["load_average"][0]
    if load > BUSY:
        print(f"Load average {load:.2f}: others use the machine, too.", file=sys.stderr)
    results = []
    chosen = quick_workloads() if args.quick else workloads()
    with ExitStack() as stack:
        workers, versions, missing = start_workers(args.peers, args.threads, stack)
        for workload in chosen:
            measured = measure(workload, workers, args, missing)
            ceiling = find_ceiling(measured, native, args.threads)
            measured["ceiling"] = asdict(ceiling) if ceiling else None
            results.append(measured)
    for workload, measured in zip(chosen, results, strict=True):
        if "forward_backward" in workload.tasks:
            measure_memory(workload, measured, args.threads)
    return {
        "machine": details,
        "threads": args.threads,
        "rounds": args.rounds,
        "quick": args.quick,
        "libraries": {PEERS[key].library: version for key, version in versions.items() if version},
        "workloads": results,
    }


def figures(results):
    """Return the median milliseconds of the arrays' tables, copies left out."""
    return {
        f"{measured['workload']['title']}: {task}, ms": {
            key: round(peer["tasks"][task]["median_ns"] / 1e6, 4)
            for key, peer in measured["peers"].items()
            if task in peer["tasks"] and PEERS[key].function != "copy"
        }
        for measured in results["workloads"]
        if measured["workload"]["kind"] == "arrays"
        for task in measured["workload"]["tasks"]
    }


def write(results, args):
    """Write and print the results; say where elulayer itself is missing."""
    folder = args.results or (ROOT / "build" / "compare" if args.quick else None)
    text = markdown(results)
    publish("compare", text, results, figures(results), folder)
    print(text, end="")
    draw_throughput(results, (folder or ROOT / "docs") / "throughput.png")
    for measured in results["workloads"]:
        if "elulayer" in measured["left_out"]:
            title = measured["workload"]["title"]
            sys.exit(f"elulayer on {title}: {measured['left_out']['elulayer']}")


def main():
    args = parse_arguments()
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(args.threads)))
    write(compare(args), args)


if __name__ == "__main__":
    main()
