"""Runs the native benchmarks for each instruction set and tabulates them against their targets.

    python bench/native_table.py PROGRAM [--repetitions 9] [--min-time 0.05] [--results DIR]

PROGRAM is elu_benchmark (bench/native). Each figure is a ratio of medians of repetitions that ran
in random order in one process. Writes bench/results/native.md, and the medians to
bench/raw/native.json.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import elulayer as el
import machine
from record import publish

IN_CACHE = "size:65536/row:1x1x65536"
SHORT = "size:39200"
LARGE = "size:6422528"
INPUTS = {"deep": "one x of 1024 deep", "masked": "half of x -inf", "negative": "alpha = -1"}
FILTER = (
    rf"^(elu|elu_backward)/.*/{IN_CACHE}/out_of_place/num_threads:1/"
    rf"|^(elu|elu_backward)/float32/{SHORT}/.*/out_of_place/num_threads:1/"
    rf"|^(elu|elu_backward)/float32/{LARGE}/(NCHW|NHWC).*/out_of_place/"
    rf"|^(copy|add)/float32/{LARGE}/(ordinary|streaming)/"
    r"|^(elu|elu_backward)/float32/size:524288/row.*/out_of_place/"
    rf"|^(elu|elu_backward)/.*/({'|'.join(INPUTS)})/"
    r"|^(elu|elu_backward)/.*/NCHW:(32x8x256|100x8x49)/out_of_place/num_threads:1/"
)
RECORDED = re.compile(
    rf"elu(_backward)?/float32/({IN_CACHE}/|{LARGE}/NCHW).*|(copy|add)/float32/{LARGE}/streaming/.*"
)


@dataclass
class Row:
    """One line of the table: a ratio and what it should be."""

    what: str
    value: float
    target: str
    met: bool


def run(program, isa, pattern, *options):
    """Run the benchmarks that match; return Google Benchmark's entries."""
    output = subprocess.run(
        [program, f"--benchmark_filter={pattern}", "--benchmark_format=json", *options],
        env=dict(os.environ, ELULAYER_ISA=isa),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return json.loads(output)["benchmarks"]


def medians(program, isa, arguments):
    """Return ns per element by the benchmark's name."""
    print(f"{isa} ...", flush=True)
    entries = run(
        program,
        isa,
        FILTER,
        f"--benchmark_repetitions={arguments.repetitions}",
        f"--benchmark_min_time={arguments.min_time}",
        "--benchmark_enable_random_interleaving=true",
        "--benchmark_report_aggregates_only=true",
    )
    return {
        entry["run_name"].removesuffix("/real_time"): entry["ns_per_element"]
        for entry in entries
        if entry["aggregate_name"] == "median"
    }


def rows(by_isa):
    """Compute the ratios that the targets are stated in."""
    best = next(iter(by_isa))
    ns = by_isa[best]
    threads = max(int(m[1]) for m in (re.search(r"num_threads:(\d+)$", n) for n in ns) if m)

    def row(function, dtype="float32"):
        return ns[f"{function}/{dtype}/{IN_CACHE}/out_of_place/num_threads:1"]

    def at_most(what, value, limit):
        return Row(what, value, f"at most {limit:g}", value <= limit)

    def at_least(what, value, limit):
        return Row(what, value, f"at least {limit:g}", value >= limit)

    forward = row("elu")
    for isa, limit in (("x86-64-v3", 2.3), ("baseline", 8)):
        if isa in by_isa and best == "x86-64-v4":
            other = by_isa[isa][f"elu/float32/{IN_CACHE}/out_of_place/num_threads:1"]
            yield at_most(f"forward in cache, {isa}: times x86-64-v4", other / forward, limit)
        elif isa in by_isa and isa != best:
            other = by_isa[isa][f"elu/float32/{IN_CACHE}/out_of_place/num_threads:1"]
            limit = 8 / 2.3
            yield at_most(
                f"forward in cache, {isa}: times {best}", other / forward, round(limit, 1)
            )
    for function in ("elu", "elu_backward"):
        long_row = f"{function}/float32/{SHORT}/row:1x8x4900/out_of_place/num_threads:1"
        for name, value in ns.items():
            if re.match(rf"{function}/float32/{SHORT}/NCHW.*/out_of_place/", name):
                inner = re.search(r"x(\d+)/", name)[1]
                what = f"{function}, rows of {inner}: times long rows"
                yield at_most(what, value / ns[long_row], 1.3)
    for function, limit in (("elu", 2), ("elu_backward", 3)):
        for inputs, what in INPUTS.items():
            ratio, isa, name = max(
                (value / by_isa[isa][name.replace(f"/{inputs}/", "/out_of_place/")], isa, name)
                for isa, values in by_isa.items()
                for name, value in values.items()
                if re.match(rf"{function}/.*/{inputs}/", name)
            )
            where = f"{isa}, {'/'.join(name.split('/')[1:4:2])}"
            yield at_most(
                f"{function}, {what}: times ordinary inputs, worst ({where})", ratio, limit
            )
    yield at_most("fused backward in cache: times forward", row("elu_backward") / forward, 1.6)
    for dtype, limit in (("float64", 3.6), ("bfloat16", 1.6), ("float16", 1.3)):
        value = row("elu", dtype) / forward
        yield at_most(f"forward in cache, {dtype}: times float32", value, limit)
    for function, ceiling, limit in (("elu", "copy", 0.95), ("elu_backward", "add", 0.9)):
        best_ceiling = min(
            value
            for name, value in ns.items()
            if name.startswith(f"{ceiling}/") and name.endswith(f"num_threads:{threads}")
        )
        for layout in ("NCHW:32x64x3136", "NHWC:100352x64x1"):
            name = f"{function}/float32/{LARGE}/{layout}/out_of_place/num_threads:{threads}"
            what = f"{function} out of cache, {layout[:4]}: part of the speed of the best {ceiling}"
            yield at_least(what, best_ceiling / ns[name], limit)
    if threads > 1:
        for function in ("elu", "elu_backward"):
            name = f"{function}/float32/size:524288/row:1x1x524288/out_of_place/num_threads:"
            speedup = ns[f"{name}1"] / ns[f"{name}{threads}"]
            limit = 1.8 if threads == 2 else 0.9 * threads
            yield at_least(f"{function} in cache: {threads} threads against one", speedup, limit)


def markdown(table, by_isa, repetitions, about):
    best = next(iter(by_isa))
    lines = ["| what | measured | target | |", "|---|---|---|---|"]
    for row in table:
        lines.append(f"| {row.what} | {row.value:.2f} | {row.target} | {'' if row.met else 'no'} |")
    forward = by_isa[best][f"elu/float32/{IN_CACHE}/out_of_place/num_threads:1"]
    lines += [
        "",
        f"float32 where nothing else is said; instruction set {best}, forward in cache "
        f"{forward:.3f} ns per element. Medians of {repetitions} repetitions in random order; "
        f"{about['processor']}, {about['usable_processors']} processors, {about['compiler']}, "
        f"load {about['load_average'][0]:.1f} at the end.",
    ]
    return "\n".join(lines) + "\n"


def figures(by_isa):
    """Return ns per element of some benchmarks, by instruction set."""
    names = sorted(filter(RECORDED.match, next(iter(by_isa.values()))))
    return {name: {isa: round(ns[name], 4) for isa, ns in by_isa.items()} for name in names}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--min-time", type=float, default=0.05)
    parser.add_argument("--results", type=Path, metavar="DIR", help="for the table and the numbers")
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    by_isa = {isa: medians(program, isa, arguments) for isa in el.cpu_info().usable}
    about = machine.describe()
    text = markdown(rows(by_isa), by_isa, arguments.repetitions, about)
    results = {"machine": about, "ns_per_element": by_isa}
    publish("native", text, results, figures(by_isa), arguments.results)
    print(text)


if __name__ == "__main__":
    main()
