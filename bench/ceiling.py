"""The copy ceiling: how fast memory moves where nothing is computed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from peers import PEERS
from record import RAW
from workloads import ARRAYS_MOVED

# Names of bench/native's copies between two arrays.
NATIVE = re.compile(
    r"copy/float(?P<bits>\d+)/size:(?P<size>\d+)/(?P<stores>ordinary|streaming)"
    r"/num_threads:(?P<threads>\d+)"
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


def read_native(instruction_set):
    """Return the copies of the last run of bench/native_table.py; none where there was no run."""
    path = RAW / "native.json"
    if not path.exists():
        return []
    copies = []
    for name, ns in json.loads(path.read_text())["ns_per_element"].get(instruction_set, {}).items():
        if match := NATIVE.fullmatch(name):
            bits, size, threads = (int(match[group]) for group in ("bits", "size", "threads"))
            plural = "" if threads == 1 else "s"
            stores = f"{match['stores']} stores, {threads} thread{plural}"
            ceiling = Ceiling(bits / 4 / ns, f"bench/native, {stores}, in another run")
            copies.append(NativeCopy(size * bits // 8, threads, ceiling))
    return copies


def find_ceiling(measured, native, threads):
    """Return the fastest copy for one workload, None where there is none.

    Candidates are the copies of `measured` and those of `native` whose arrays are as large (within
    a tenth) and that used no more than `threads`.
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
