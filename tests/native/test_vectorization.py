"""The loops of the kernels are vector instructions, with every compiler that is installed."""

import re
import shutil
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.commands import kernel_commands, run

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not (ROOT / "CMakeLists.txt").exists(), reason="the C++ sources are not beside the tests"
)

# CMake's preset and its compiler.
COMPILERS = {"werror": "c++", "clang": "clang++", "aarch64": "aarch64-linux-gnu-g++"}
VECTOR_BYTES = {"baseline": 16, "v3": 32, "v4": 64}

# The functions that are one loop each, and how many of them are compiled: in float and double, for
# one alpha and for one per element, for three modes of backward; the second derivative in double.
LOOPS = {
    "forward_run": 2 * 2,
    "forward_with_memory_block": 2 * 2,
    "backward_short": 2 * 2 * 3,
    "backward_vanished": 2,
    "backward_any": 2 * 3,
    "backward_deep": 2,
    "double_backward_block": 2,
}
# The loops that become part of other functions: the types that those compute in, and the size of
# the loop's largest element.
PARTS = {
    ("block.hpp", "convert(const S* from, float* to"): {"float": 4},
    ("block.hpp", "convert(const float* from, S* to"): {"float": 4},
    ("sums.hpp", "add_twos"): {"float": 4, "double": 8},
    ("sums.hpp", "add_fours"): {"float": 4, "double": 8},
    ("sums.hpp", "add_last_twos"): {"float": 4, "double": 8},
    ("sums.hpp", "add_terms(const float*"): {"float": 8},
    ("sums.hpp", "add_products(int first, const float*"): {"float": 8},
    ("sums.hpp", "add_terms(const double*"): {"double": 8},
    ("sums.hpp", "add_products(int first, const double*"): {"double": 8},
}


class Report:
    """What a compiler says of the loops of kernels.cpp, compiled for one instruction set.

    `functions` has the vectors of each function's loops by its readable name, `places` those at
    each (file, line), as (function, size): in bytes from g++, in elements from clang.
    """

    def __init__(self, command, directory, folder, isa):
        self.isa = isa
        self.is_clang = "clang" in run(command[0], "--version")
        self.functions = defaultdict(list)
        self.places = defaultdict(list)
        target = folder / f"{isa}.o"
        report = folder / f"{isa}.report"
        if self.is_clang:
            options = [
                "-fsave-optimization-record=yaml",
                f"-foptimization-record-file={report}",
                "-foptimization-record-passes=loop-vectorize",
            ]
        else:
            options = [f"-fdump-tree-vect-optimized={report}"]
        run(*command, *options, "-o", target, cwd=directory)
        text = report.read_text()
        if self.is_clang:
            self.read_clang(text, target)
        else:
            self.read_gcc(text)

    def read_gcc(self, text):
        functions = re.split(r"^;; Function ", text, flags=re.MULTILINE)[1:]
        symbols = [re.match(r".+ \(([\w.]+), funcdef_no=", function)[1] for function in functions]
        names = run("c++filt", *symbols).splitlines()
        for name, function in zip(names, functions, strict=True):
            self.functions[name] = []
            for file, line, size in re.findall(
                r"/(\w+\.\w+):(\d+):\d+: optimized: +loop vectorized using (\d+) byte", function
            ):
                self.add(name, file, line, size)

    def read_clang(self, text, target):
        listed = [
            run("nm", "--no-sort", "--defined-only", *demangle, target).splitlines()
            for demangle in ([], ["--demangle"])
        ]
        names = {
            m.split(maxsplit=2)[2]: r.split(maxsplit=2)[2] for m, r in zip(*listed, strict=True)
        }
        for name in names.values():
            self.functions[name] = []
        for record in text.split("--- !")[1:]:
            if not re.search(r"^Name: +Vectorized$", record, re.MULTILINE):
                continue
            # Where the path is long, the place goes on in the next line.
            file, line = re.search(r"/(\w+\.\w+)'?,\s+Line: (\d+)", record).groups()
            function = re.search(r"^Function:\s+'?([\w.]+)", record, re.MULTILINE)[1]
            size = re.search(r"VectorizationFactor:\s+'(\d+)'", record)[1]
            self.add(names.get(function, function), file, line, size)

    def add(self, function, file, line, size):
        self.functions[function].append(int(size))
        self.places[file, int(line)].append((function, int(size)))

    def full(self, element):
        """The full size of a vector of elements of so many bytes."""
        return VECTOR_BYTES[self.isa] // (element if self.is_clang else 1)


@pytest.fixture(scope="module", params=COMPILERS)
def reports(request, tmp_path_factory):
    preset, compiler = request.param, COMPILERS[request.param]
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed; continuous integration installs it")
    folder = tmp_path_factory.mktemp(preset)
    run(
        *("cmake", "--preset", preset, "-B", folder, "-G", "Ninja", "-DELULAYER_CUDA=OFF"),
        *("-DELULAYER_TESTS=OFF", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"),
        cwd=ROOT,
    )
    commands = kernel_commands(folder)
    assert "baseline" in commands
    with ThreadPoolExecutor() as pool:
        return list(pool.map(lambda isa: Report(*commands[isa], folder, isa), commands))


def test_every_loop_of_its_own_is_vectorized(reports):
    """At the full width of the instruction set, for each type, mode and kind of alpha."""
    for report in reports:
        for loop, count in LOOPS.items():
            found = {
                name: sizes for name, sizes in report.functions.items() if f"::{loop}<" in name
            }
            assert len(found) == count, f"{report.isa}: {sorted(found)}"
            for name, sizes in found.items():
                element = re.search("float|double", name.partition(loop)[2])[0]
                # These compute floats in double.
                is_double = element == "double" or re.search(
                    r"backward_(any|deep)<[^>]*FromInput", name
                )
                full = report.full(8 if is_double else 4)
                wider = is_double and element == "float" and max(sizes, default=0) > full
                assert full in sizes or wider, f"{report.isa}: {name}: {sizes}"


def test_no_loop_is_left_out():
    """Every loop is one of LOOPS or PARTS."""
    listed = set()
    for path in sorted((ROOT / "cpp/cpu").glob("*.[ch]pp")):
        source = path.read_text()
        listed |= set(re.findall(r"^ELULAYER_LOOP \w+ (\w+)\(", source, re.M))
        if path.name in {file for file, _ in PARTS}:
            continue
        for directive in re.finditer(r"#pragma omp simd", source):
            starts = re.findall(
                r"^(?:template|inline|void|bool|ELULAYER_LOOP)\b.*",
                source[: directive.start()],
                re.M,
            )
            assert starts[-1].startswith("ELULAYER_LOOP"), f"{path.name}: {starts[-1]}"
    assert listed == set(LOOPS)


def test_every_other_loop_is_vectorized(reports):
    """Those that are part of other functions, by their place in the source."""
    places = {}
    for file in dict.fromkeys(file for file, _ in PARTS):
        source = (ROOT / "cpp/cpu" / file).read_text().splitlines()
        for number, line in enumerate(source, start=1):
            if line.strip().startswith("#pragma omp simd"):
                assert source[number].lstrip().startswith("for"), f"{file}:{number}"
                above = "\n".join(source[:number])
                part = max((p for f, p in PARTS if f == file), key=lambda part: above.rfind(part))
                places[file, number] = (file, part)
    assert set(places.values()) == set(PARTS) and len(places) == len(PARTS)
    for report in reports:
        for (file, number), part in places.items():
            if report.is_clang and part == ("sums.hpp", "add_fours"):
                continue  # of 16 lanes, which clang unrolls before it looks for loops
            # clang names the line of the directive, where g++ reports the adding up of the lanes of
            # a reduction; g++ names that of the loop or of its body.
            lines = {number} if report.is_clang else {number + 1, number + 2}
            found = {record for line in lines for record in report.places[file, line]}
            for kind, element in PARTS[part].items():
                of_kind = {
                    name
                    for name, size in found
                    if bool(re.search(r"\bdouble\b", name)) == (kind == "double")
                    and size == report.full(element)
                }
                assert of_kind, f"{report.isa}: {file}:{number}, {kind}: {found}"
