"""The copy ceiling: how fast memory moves where nothing is computed."""

from __future__ import annotations

import json
import re
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from peers import PEERS
from workloads import ARRAYS_MOVED

# Names of bench/native's copies between two arrays.
NATIVE = re.compile(
    r"copy/float(?P<bits>\d+)/size:(?P<size>\d+)/(?P<stores>ordinary|streaming)"
    r"/num_threads:(?P<threads>\d+)\b"
)


@dataclass(frozen=True)
class Ceiling:
    """The fastest copy of arrays of one size, and which it was."""

    gb_per_s: float
    source: str


@dataclass(frozen=True)
class NativeCopy:
    """One of bench/native's copies."""

    array_bytes: int
    threads: int
    ceiling: Ceiling


def read_native(path):
    """Read the copies of a JSON file of bench/native (Google Benchmark's format)."""
    try:
        entries = json.loads(Path(path).read_text())["benchmarks"]
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"{path} is not JSON output of bench/native: {error!r}") from None
    rates, medians = defaultdict(list), {}
    for entry in entries:
        match = NATIVE.match(entry["name"])
        if not match or "bytes_per_second" not in entry:
            continue
        key = tuple(match.group("bits", "size", "stores", "threads"))
        if entry.get("aggregate_name") == "median":
            medians[key] = entry["bytes_per_second"]
        elif entry.get("run_type") != "aggregate":
            rates[key].append(entry["bytes_per_second"])
    copies = []
    for key in {**rates, **medians}:
        bits, size, stores, threads = key
        rate = medians.get(key) or statistics.median(rates[key])
        plural = "" if threads == "1" else "s"
        source = f"bench/native, {stores} stores, {threads} thread{plural}, in another run"
        array_bytes = int(size) * int(bits) // 8
        copies.append(NativeCopy(array_bytes, int(threads), Ceiling(rate / 1e9, source)))
    if not copies:
        raise SystemExit(f"{path} has no copy in the names of bench/native")
    return copies


def find_ceiling(measured, native, threads):
    """Return the fastest copy for one workload, None where there is none.

    Candidates are the copies of `measured` and those of the file `native` whose arrays are as large
    (within a tenth) and that used no more than `threads`.
    """
    array_bytes = measured["workload"]["array_bytes"]
    candidates = [
        Ceiling(gb_per_s(measured, key, "forward"), f"{PEERS[key].name}, in this run")
        for key in measured["peers"]
        if PEERS[key].function == "copy"
    ]
    candidates += [
        copy.ceiling
        for copy in native
        if copy.threads <= threads and abs(copy.array_bytes / array_bytes - 1) <= 0.1
    ]
    return max(candidates, key=lambda candidate: candidate.gb_per_s, default=None)


def gb_per_s(measured, key, task):
    """10^9 bytes a second that a peer has to read and write, over its median time."""
    moved = ARRAYS_MOVED[task] * measured["workload"]["array_bytes"]
    return moved / measured["peers"][key]["tasks"][task]["median_ns"]
