"""Builds the native library with other compilers and for other systems, and tests it there.

    python tools/portability.py [--install] [--list] [NAME ...]

NAME is a configure preset of CMakePresets.json (default: all of --list). What a job needs and this
machine lacks is named before anything is built; --install installs it, with apt-get (Debian, as
root) and pip. The tests are ctest's; they compare the bits of every result with those on record
(tests/cpp/digest.cpp) and the errors with their bounds (tests/cpp/accuracy.cpp).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
# What jobs need: programs, or compilers that can link with an option, and the packages that have
# them (Debian's; those of PyPI begin with "pip:").
CMAKE = {"cmake": "pip:cmake", "ninja": "pip:ninja"}
CLANG = CMAKE | {"clang++": "clang", "clang++ -fopenmp": "libomp-dev"}
CLANG_RUNTIME = {"clang++ -fsanitize=thread": "libclang-rt-dev"}
ZIG = CMAKE | {"python-zig": "pip:ziglang"}
WINE = {"wine": "wine wine64"}
QEMU = {"qemu-aarch64": "qemu-user"}


def gnu(prefix, package):
    return CMAKE | {f"{prefix}-g++": f"g++-{package}"}


@dataclass
class Job:
    """A preset, what it needs, and what it must say beside its success."""

    preset: str
    needs: dict[str, str]
    runs: bool = True
    says: str = "OpenMP threads: ON"


ONE_THREAD = "OpenMP threads: OFF"
JOBS = [
    Job("clang", CLANG),
    Job("no-openmp", CMAKE | {"c++": "g++"}, says=ONE_THREAD),
    Job("sanitize", CMAKE | {"c++": "g++"}),
    Job("sanitize-thread", CLANG | CLANG_RUNTIME, says="Archer detected OpenMP application"),
    Job("aarch64", gnu("aarch64-linux-gnu", "aarch64-linux-gnu") | QEMU),
    Job("s390x", gnu("s390x-linux-gnu", "s390x-linux-gnu") | {"qemu-s390x": "qemu-user"}),
    Job("i686", gnu("i686-linux-gnu", "i686-linux-gnu")),
    Job("mingw", gnu("x86_64-w64-mingw32", "mingw-w64-x86-64-posix") | WINE),
    Job("musl", ZIG, says=ONE_THREAD),
    Job("musl-aarch64", ZIG | QEMU, says=ONE_THREAD),
    Job("windows", ZIG | WINE, says=ONE_THREAD),
    Job("macos-arm64", ZIG, runs=False, says=ONE_THREAD),
    Job("macos-x86_64", ZIG, runs=False, says=ONE_THREAD),
]


def is_there(need):
    """Whether a program can be found, or a compiler can link a program with its option."""
    program, *options = need.split()
    if shutil.which(program) is None:
        return False
    return (
        not options
        or not subprocess.run(
            [program, *options, "-x", "c++", "-", "-o", os.devnull],
            input="int main() {}",
            text=True,
            capture_output=True,
        ).returncode
    )


def missing(jobs):
    """Find what the jobs need and this machine lacks, with the packages that have it."""
    needs = {need: packages for job in jobs for need, packages in job.needs.items()}
    return {need: packages for need, packages in needs.items() if not is_there(need)}


def install(packages):
    names = [name for text in dict.fromkeys(packages) for name in text.split()]
    debian = [name for name in names if not name.startswith("pip:")]
    if debian:
        if shutil.which("apt-get") is None or os.geteuid() != 0:
            sys.exit(f"--install must be run by root where there is apt-get, to install {debian}")
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *debian]
        environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    if pypi := [name.removeprefix("pip:") for name in names if name.startswith("pip:")]:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *pypi], check=True)


def run(job):
    """Try a job out; return what was printed, whether it is good, and how many seconds it took."""
    start = time.monotonic()
    output, good = try_out(job)
    return output, good, time.monotonic() - start


def try_out(job):
    """Configure, build and test; return what was printed, and whether all of it succeeded."""
    folder = ROOT / "build" / job.preset
    shutil.rmtree(folder, ignore_errors=True)
    commands = [
        ["cmake", "--preset", job.preset, "-G", "Ninja"],
        ["cmake", "--build", "--preset", job.preset],
    ]
    if job.runs:
        commands.append(["ctest", "--preset", job.preset, "--verbose"])
    output = ""
    for command in commands:
        process = subprocess.run(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        output += process.stdout
        if process.returncode != 0:
            return output, False
    if job.says not in output:
        return f"{output}\nnot found: {job.says}\n", False
    return output, True


def main():
    presets = json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]
    names = {preset["name"]: preset.get("displayName") for preset in presets}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("jobs", nargs="*", metavar="NAME", help="a preset; --list names them")
    parser.add_argument("--install", action="store_true", help="install what is missing")
    parser.add_argument("--list", action="store_true", help="name the jobs and end")
    arguments = parser.parse_args()
    known = [job.preset for job in JOBS]
    if unknown := [name for name in arguments.jobs if name not in known]:
        parser.error(f"NAME must be one of {', '.join(known)}, not {', '.join(unknown)}")
    jobs = [job for job in JOBS if job.preset in (arguments.jobs or known)]
    if arguments.list:
        for job in jobs:
            print(f"{job.preset:16} {names[job.preset]}")
        return 0
    if arguments.install:
        install(missing(jobs).values())
    if lacking := missing(jobs):
        for need, packages in lacking.items():
            where = "PyPI" if packages.startswith("pip:") else "Debian"
            print(f"missing: {need} ({where}: {packages.removeprefix('pip:')})")
        print("Install them, choose other jobs, or add --install.")
        return 2
    failed = []
    with ThreadPoolExecutor(2) as pool:  # tests use one processor, most of their time
        running = {pool.submit(run, job): job for job in jobs}
        for future in as_completed(running):
            job, (output, good, seconds) = running[future], future.result()
            word = "passed" if job.runs and good else "compiled" if good else "FAILED"
            print(f"{job.preset:16} {word:8} {seconds:5.0f} s  {names[job.preset]}")
            if not good:
                print(output)
                failed.append(job.preset)
            sys.stdout.flush()
    print(f"failed: {', '.join(failed)}" if failed else "all jobs passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
