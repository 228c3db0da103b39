"""Times the kernels as g++ and as clang compile them, in turn.

    python bench/compilers.py [--rounds 9] [--results DIR]

Builds the native benchmarks (bench/native, with Google Benchmark) with both compilers, and runs the
arrays that are in cache on one thread. Writes medians of the rounds, as ratios, to
bench/results/compilers.md, and all times to bench/raw/compilers.json.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
from pathlib import Path

import elulayer as el
import machine
from native_table import run
from record import publish

ROOT = Path(__file__).parent.parent
COMPILERS = ("g++", "clang++")
FILTER = (
    r"^(elu|elu_backward)/.*/size:65536/row.*/out_of_place/num_threads:1/"
    r"|^(elu|elu_backward)/float32/size:39200/NCHW:100x8x49/out_of_place/num_threads:1/"
)
LIMIT = 1.2


def build(compiler):
    folder = ROOT / "build" / f"bench-{compiler}"
    configure = ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release"]
    options = [
        f"-DCMAKE_CXX_COMPILER={compiler}",
        "-DELULAYER_CUDA=OFF",
        "-DELULAYER_BENCHMARKS=ON",
    ]
    subprocess.run([*configure, *options], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", folder], check=True, stdout=subprocess.DEVNULL)
    return folder / "bench/native/elu_benchmark"


def row(name):
    """Name a benchmark as the table does."""
    function, dtype, size, *_ = name.split("/")
    return f"{function}, {dtype}" + (", rows of 49" if size == "size:39200" else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--results", type=Path, metavar="DIR", help="for the table and the numbers")
    arguments = parser.parse_args()
    programs = {compiler: build(compiler) for compiler in COMPILERS}
    times = {}
    for _ in range(arguments.rounds):
        for isa in el.cpu_info().usable:
            for compiler, program in programs.items():
                for entry in run(program, isa, FILTER, "--benchmark_min_time=0.05"):
                    by_compiler = times.setdefault((row(entry["name"]), isa), {})
                    by_compiler.setdefault(compiler, []).append(entry["ns_per_element"])
    isas = el.cpu_info().usable
    lines = ["| | " + " | ".join(isas) + " |", "|---" * (len(isas) + 1) + "|"]
    worst = 0.0
    for what in dict.fromkeys(what for what, _ in times):
        cells = []
        for isa in isas:
            gcc, clang = (statistics.median(times[what, isa][compiler]) for compiler in COMPILERS)
            worst = max(worst, clang / gcc)
            cells.append(f"{clang / gcc:.2f} ({gcc:.3f})")
        lines.append(f"| {what} | " + " | ".join(cells) + " |")
    versions = [
        subprocess.run([c, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
        for c in COMPILERS
    ]
    about = machine.describe()
    lines += [
        "",
        f"clang's time as a multiple of g++'s (nanoseconds per element of g++'s), in cache, one "
        f"thread; worst {worst:.2f}, to be at most {LIMIT}. Medians of {arguments.rounds} rounds "
        f"in turn; {' and '.join(versions)}; {about['processor']}, {about['usable_processors']} "
        f"processors, load {about['load_average'][0]:.1f} at the end.",
    ]
    text = "\n".join(lines) + "\n"
    results = {
        "machine": about,
        "libraries": dict(zip(COMPILERS, versions, strict=True)),
        "ns_per_element": {f"{what}, {isa}": found for (what, isa), found in times.items()},
    }
    figures = {"clang's time as a multiple of g++'s": {"worst": round(worst, 2)}}
    publish("compilers", text, results, figures, arguments.results)
    print(text)


if __name__ == "__main__":
    main()
