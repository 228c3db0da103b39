"""The machine code of the installed CUDA unit, for each architecture that it is built for.

A kernel that reads element by element, keeps an array in local memory or needs registers that other
blocks could have is as right as before, and slow: no other test would see it.
"""

import importlib.metadata
import itertools
import os
import re
import shutil
import subprocess
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

import elulayer._cuda as extension

# The registers of a thread with which as many blocks of 256 threads reside on a multiprocessor as
# it takes at all. Each has 65536 registers, and gives them out by eights.
FULL_OCCUPANCY = {
    "sm_75": 64,
    "sm_80": 32,
    "sm_86": 40,
    "sm_89": 40,
    "sm_90": 32,
    "sm_100": 32,
    "sm_120": 40,
}
NEWEST = "sm_120"
SIZES = {"float": 4, "double": 8, "float16": 2, "bfloat16": 2}
SOURCES = ("FromInput", "FromMemory", "FromOutput")


class Kernel(NamedTuple):
    kind: str
    element: str
    source: str | None = None  # what backward starts from
    vector: int | None = None  # elements in one access
    fold: bool | None = None
    team: int | None = None  # threads of combine that add the sums of a channel


def expected_kernels():
    for element, size in SIZES.items():
        vector = 16 // size
        forms = ((vector, True), (vector, False), (1, True))
        for kind, form in itertools.product(("forward", "remember"), forms):
            yield Kernel(kind, element, None, *form)
        for source in SOURCES:
            for form in forms:
                yield Kernel("backward", element, source, *form)
            if size >= 4:
                for team in (32, 256):
                    yield Kernel("combine", element, source, team=team)


KERNELS = tuple(expected_kernels())
VECTOR_KERNELS = tuple(kernel for kernel in KERNELS if (kernel.vector or 1) > 1)
SCALAR_KERNELS = tuple(kernel for kernel in KERNELS if kernel.vector == 1)


def kernel_of(symbol):
    """The kernel that a mangled name is of, or the name."""
    found = re.search(
        r"\d(forward|remember|backward|combine)_kernelI(?:N\w*?\d(From(?:Input|Memory|Output))E)?"
        r"(?:Li(\d+)E)?(?:Lb([01])E)?(?:([fd])|NS_\d+(float16|bfloat16)E)EEv",
        symbol,
    )
    if found is None:
        return symbol
    kind, source, number, fold, letter, name = found.groups()
    element = name or {"f": "float", "d": "double"}[letter]
    number = number and int(number)
    if kind == "combine":
        return Kernel(kind, element, source, team=number)
    return Kernel(kind, element, source, number, fold and fold == "1")


def register_cap(kernel, arch):
    """The most registers of a thread.

    32, 40, 48, 64, 80 and 128 let 8, 6, 5, 4, 3 and 2 blocks reside. More than the architecture
    has room for gain nothing.
    """
    size = SIZES[kernel.element]
    if kernel.kind == "combine":
        cap = {4: 48, 8: 64}[size]
    elif kernel.kind in ("forward", "remember"):
        cap = 32 if kernel.vector == 1 else {2: 48, 4: 40, 8: 48}[size]
    elif kernel.vector == 1:
        cap = {2: 48, 4: 48, 8: 64}[size]
    elif kernel.fold:
        cap = 64
    else:
        cap = {2: 80, 4: 64, 8: 80}[size]
    return max(cap, FULL_OCCUPANCY[arch])


class Usage(NamedTuple):
    registers: int
    stack: int
    local: int


def find_tool(name):
    """The path of one of NVIDIA's tools: on PATH, beside nvcc, or in its pip package."""
    nvcc = Path(shutil.which("nvcc")).resolve()
    places = [name, nvcc.parent / name]
    try:
        files = importlib.metadata.files(f"nvidia-cuda-{name}") or ()
        places += [file.locate() for file in files if file.stem == name]
    except importlib.metadata.PackageNotFoundError:
        pass
    return next(filter(None, (shutil.which(str(place)) for place in places)), None)


@pytest.fixture(scope="session")
def tools():
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc, the CUDA compiler, is not installed")
    if NEWEST not in run("nvcc", "--list-gpu-code").split():
        pytest.skip(f"nvcc is too old to know {NEWEST}, and builds for fewer architectures")
    found = {name: find_tool(name) for name in ("cuobjdump", "nvdisasm")}
    missing = [f"nvidia-cuda-{name}" for name, path in found.items() if path is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)}, pip packages that read machine code, not installed")
    return found


def run(*command, **options):
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        **options,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def opcodes(disassembly):
    """(symbol, how often it has each opcode) of each section, functions that it calls included."""
    for section in disassembly.split("\t.section\t.text.")[1:]:
        symbol, rest = section.split(",", 1)
        instructions = re.findall(
            r"^ +/\*([0-9a-f]+)\*/ +(?:@!?U?P\w+ +)?([A-Z][\w.]*)", rest, flags=re.MULTILINE
        )
        # Each has 16 bytes: none was overlooked.
        assert int(instructions[-1][0], 16) == 16 * (len(instructions) - 1), symbol
        yield symbol, Counter(opcode for _, opcode in instructions)


@pytest.fixture(scope="session")
def installed():
    """The extension's file, where it is built with the unit: by default for all devices."""
    if b".nv_fatbin" not in Path(extension.__file__).read_bytes():
        pytest.skip("the package is installed without its CUDA unit")
    return extension.__file__


@pytest.fixture(scope="session")
def functions(tools, installed, tmp_path_factory):
    """(architecture, kernel or symbol, opcodes) of all functions of the machine code."""
    folder = tmp_path_factory.mktemp("machine_code")
    run(tools["cuobjdump"], "-xelf", "all", installed, cwd=folder)

    def disassemble(cubin):
        return run(tools["nvdisasm"], "--print-code", "--no-dataflow", cubin)

    found = []
    cubins = sorted(folder.glob("*.cubin"), key=lambda cubin: -cubin.stat().st_size)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for cubin, text in zip(cubins, pool.map(disassemble, cubins), strict=True):
            arch = cubin.name.split(".")[-2]
            found += [(arch, kernel_of(symbol), ops) for symbol, ops in opcodes(text)]
    built = {arch for arch, *_ in found}
    assert built == FULL_OCCUPANCY.keys(), f"the package is built for {sorted(built)} alone"
    return found


@pytest.fixture(scope="session")
def code(functions):
    """The opcodes of each kernel, by architecture and kernel."""
    return {(arch, kernel): ops for arch, kernel, ops in functions}


@pytest.fixture(scope="session")
def usages(tools, installed):
    """(architecture, kernel or symbol, Usage) of all functions, by cuobjdump."""
    table = run(tools["cuobjdump"], "-res-usage", installed)
    found = []
    for part in re.split(r"^arch = ", table, flags=re.MULTILINE)[1:]:
        arch = part.split(maxsplit=1)[0]
        for symbol, numbers in re.findall(r"Function (\S+):\s+(REG:.*)", part):
            used = dict(field.split(":") for field in numbers.split())
            usage = Usage(int(used["REG"]), int(used["STACK"]), int(used["LOCAL"]))
            found.append((arch, kernel_of(symbol), usage))
    return found


def accesses(ops, name):
    """How many loads or stores of each width in bits."""
    counts = Counter()
    for opcode, count in ops.items():
        base, *modifiers = opcode.split(".")
        if base == name:
            widths = [re.fullmatch(r"[US]?(8|16|64|128|256)", part) for part in modifiers]
            counts[max((int(width[1]) for width in widths if width), default=32)] += count
    return counts


def matching(ops, pattern):
    return {opcode: count for opcode, count in ops.items() if re.match(pattern, opcode)}


def test_architectures(tools, installed):
    """Machine code for all, and PTX of the newest, from which a driver compiles for later ones."""
    listed = {"--list-elf": list(FULL_OCCUPANCY), "--list-ptx": [NEWEST]}
    for option, expected in listed.items():
        table = run(tools["cuobjdump"], option, installed)
        found = re.findall(r"^(?:ELF|PTX) file .*\.(sm_\w+)\.(?:cubin|ptx)$", table, re.MULTILINE)
        assert sorted(found) == sorted(2 * expected), table  # forward.cu, backward.cu


def test_every_kernel_is_there_once(functions, usages):
    """And nothing else: the functions that a kernel calls are part of its section."""
    expected = Counter(itertools.product(FULL_OCCUPANCY, KERNELS))
    assert expected.total() == 7 * 72
    for found in (functions, usages):
        counts = Counter((arch, kernel) for arch, kernel, _ in found)
        assert not expected - counts, "missing"
        assert not counts - expected, "unknown, or more than once"


@pytest.mark.parametrize("arch", FULL_OCCUPANCY)
def test_vectors_are_read_and_written_in_one_access(code, arch):
    """For each array and each vector that a thread holds, an access of 128 bits."""
    for kernel in VECTOR_KERNELS:
        arrays_read = 2 if kernel.kind == "backward" else 1
        arrays_written = 2 if kernel.kind == "remember" else 1
        # in_flight of kernels.cuh
        held = 2 if kernel.fold and kernel.kind != "remember" and kernel.element != "double" else 1
        ops = code[arch, kernel]
        assert accesses(ops, "LDG")[128] >= held * arrays_read, kernel
        assert accesses(ops, "STG")[128] >= held * arrays_written, kernel


@pytest.mark.parametrize("arch", FULL_OCCUPANCY)
def test_scalars_are_read_and_written_alone(code, arch):
    """Their arrays begin at any element: a wider access would fault."""
    for kernel in SCALAR_KERNELS:
        element = 8 * SIZES[kernel.element]
        alpha = max(32, element)
        sums = 64 if kernel.kind == "backward" else element
        loads = accesses(code[arch, kernel], "LDG")
        stores = accesses(code[arch, kernel], "STG")
        assert loads[element] > 0 and set(loads) <= {element, alpha}, kernel
        assert stores[element] > 0 and set(stores) <= {element, sums}, kernel


@pytest.mark.parametrize("arch", FULL_OCCUPANCY)
def test_no_local_memory(code, usages, arch):
    """Nor a generic access, which could be one, in a kernel or what it calls."""
    for kernel in KERNELS:
        assert not matching(code[arch, kernel], r"(LDL|STL|LD|ST)(\.|$)"), kernel
    used = {kernel: usage for place, kernel, usage in usages if place == arch}
    for kernel in KERNELS:
        assert (used[kernel].stack, used[kernel].local) == (0, 0), kernel


@pytest.mark.parametrize("arch", FULL_OCCUPANCY)
def test_no_atomics(code, arch):
    """Their order would show in the sums' bits. REDUX is a reduction of a warp's registers."""
    for kernel in KERNELS:
        assert not matching(code[arch, kernel], r"\w*ATOM|(?!\w*REDUX)\w*RED"), kernel


@pytest.mark.parametrize("arch", FULL_OCCUPANCY)
def test_registers(usages, arch):
    """As many blocks reside on a multiprocessor as with nvcc 13.0, at least."""
    used = {kernel: usage.registers for place, kernel, usage in usages if place == arch}
    too_many = {
        kernel: used[kernel] for kernel in KERNELS if used[kernel] > register_cap(kernel, arch)
    }
    assert not too_many
