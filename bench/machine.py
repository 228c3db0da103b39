"""What a benchmark ran on, for the files of results."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np

SYSTEM = Path("/sys/devices/system/cpu")


def describe():
    """Describe the machine, Python and the build of elulayer, ready for JSON.

    What cannot be found out is an empty string or None.
    """
    import elulayer as el

    info = el.cpu_info()
    return {
        "processor": processor(),
        "cores": cores(),
        "logical_processors": os.cpu_count(),
        "usable_processors": usable_processors(),
        "caches": caches(),
        "transparent_hugepages": text("/sys/kernel/mm/transparent_hugepage/enabled"),
        "load_average": list(os.getloadavg()),
        "system": f"{platform.system()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()).strip(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "elulayer": el.__version__,
        "instruction_set": info.active,
        "cpu_info": asdict(info),
        "compiler": compiler(),
    }


def usable_processors():
    """How many logical processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def text(path):
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def processor():
    lines = text("/proc/cpuinfo").splitlines()
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def cores():
    """Physical cores of the machine: sets of logical processors that share one."""
    siblings = {text(path) for path in SYSTEM.glob("cpu[0-9]*/topology/thread_siblings_list")}
    return len(siblings) or None


def caches():
    """Name the first processor's caches for data, such as ``L3 Unified 32768K (CPUs 0-1)``."""
    found = []
    for index in sorted(SYSTEM.glob("cpu0/cache/index[0-9]*")):
        level, kind, size = (text(index / name) for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level} {kind} {size} (CPUs {text(index / 'shared_cpu_list')})")
    return "; ".join(found)


def compiler():
    """Name the extension's compiler, from the comment that GCC and Clang leave in what they build.

    Clang is named first: the start-up objects of libc, which GCC built, are in its output too.
    """
    from elulayer import _core

    content = Path(_core.__file__).read_bytes()
    for pattern in (rb"(?:\w+ )?clang version [\w.+~-]+", rb"GCC: \([^)\0]*\) [\d.]+"):
        match = re.search(pattern, content)
        if match:
            return match.group().decode()
    return ""
