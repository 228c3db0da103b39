"""The native library: built, tested and consumed from C++ without Python, and its machine code."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import elulayer as el
from shared.commands import kernel_commands, run

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not (ROOT / "CMakeLists.txt").exists(), reason="the C++ sources are not beside the tests"
)


def build(source, folder, *definitions):
    run("cmake", "-S", source, "-B", folder, "-G", "Ninja", *definitions)
    run("cmake", "--build", folder)
    return folder


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("native")
    return build(
        ROOT,
        folder,
        "-DELULAYER_TESTS=ON",
        "-DELULAYER_WERROR=ON",
        "-DCMAKE_BUILD_TYPE=Release",
        "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON",
    )


def test_native_tests(compiled):
    assert re.search(r"\d+ passed, 0 failed", run(compiled / "tests/cpp/native_test"))


def test_another_element_type_is_told_by_the_compiler(tmp_path):
    source = tmp_path / "integers.cpp"
    source.write_text(
        "#include <elulayer/elulayer.hpp>\n"
        "void f(const int* x, int* z) { elulayer::elu(x, x, z, {1, 1, 1}); }\n"
    )
    compiler = os.environ.get("CXX", "c++").split()
    include = ["-std=c++17", "-fsyntax-only", f"-I{ROOT}/cpp/include"]
    process = subprocess.run([*compiler, *include, source], capture_output=True, text=True)
    assert process.returncode != 0
    assert (
        "elements must be float, double, elulayer::float16 or elulayer::bfloat16" in process.stderr
    )


@pytest.mark.parametrize("isa", el.cpu_info().usable)
def test_accuracy_of_a_sweep_of_float32(compiled, isa):
    """The whole sweep is `make accuracy`; the program fails where a bound is exceeded."""
    env = {**os.environ, "ELULAYER_ISA": isa}
    table = run(compiled / "tests/cpp/accuracy", "--stride", "251", env=env)
    print(table)
    assert f"float32, {isa}" in table


@pytest.mark.parametrize("isa", el.cpu_info().usable)
def test_digests(compiled, isa):
    """The bits of every function's results are those on record."""
    env = {**os.environ, "ELULAYER_ISA": isa}
    assert run(compiled / "tests/cpp/digest", env=env).startswith(f"{isa}, ")


@pytest.mark.parametrize("isa", el.cpu_info().usable)
def test_stack(compiled, isa):
    """A call takes at most 32 KiB of its thread's stack; the program fails where it is more."""
    env = {**os.environ, "ELULAYER_ISA": isa}
    line = run(compiled / "tests/cpp/stack_test", env=env)
    print(line)
    assert line.startswith(f"{isa}: at most ")


@pytest.mark.skipif(
    "x86-64-v3" not in el.cpu_info().usable, reason="the emulator is built with fused operations"
)
def test_cuda_kernels_on_the_cpu(compiled):
    """Their bodies give the CPU's bits, and touch nothing beyond the arrays."""
    assert run(compiled / "tests/cpp/cuda_emulated") == "all passed\n"
    print(run(compiled / "tests/cpp/cuda_combine"))


def test_find_package(compiled, tmp_path):
    run("cmake", "--install", compiled, "--prefix", tmp_path / "prefix")
    assert not list((tmp_path / "prefix").rglob("*python*"))
    consumer = build(
        ROOT / "tests/cpp", tmp_path / "consumer", f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}"
    )
    assert re.search(r"\d+ passed, 0 failed", run(consumer / "native_test"))


def test_add_subdirectory(tmp_path):
    """With one thread, in a program with a processor's flags: they leave the sets apart."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "main.cpp").write_text(
        "#include <elulayer/elulayer.hpp>\n"
        "int main() {\n"
        "  const float alpha = 2;\n"
        "  float x[] = {-1, 3};\n"
        "  elulayer::elu(x, &alpha, x, {1, 1, 2});\n"
        "  return x[1] == 3 && x[0] < -1.26f && x[0] > -1.27f ? 0 : 1;\n"
        "}\n"
    )
    (source / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18...4.0)\n"
        "project(consumer LANGUAGES CXX)\n"
        f'add_subdirectory("{ROOT}" elulayer)\n'
        "add_executable(consumer main.cpp)\n"
        "target_link_libraries(consumer PRIVATE elulayer::elulayer)\n"
    )
    folder = tmp_path / "build"
    flags = ("-DELULAYER_OPENMP=OFF", "-DELULAYER_WERROR=ON", "-DCMAKE_CXX_FLAGS=-march=native")
    run("cmake", "-S", source, "-B", folder, "-G", "Ninja", "-DELULAYER_TESTS=ON", *flags)
    run("cmake", "--build", folder, "--target", "consumer", "digest", "native_test", "stack_test")
    run(folder / "consumer")
    assert re.search(r"\d+ passed, 0 failed", run(folder / "elulayer/tests/cpp/native_test"))
    for isa in el.cpu_info().usable:
        env = {**os.environ, "ELULAYER_ISA": isa}
        assert run(folder / "elulayer/tests/cpp/digest", env=env).startswith(f"{isa}, ")
        run(folder / "elulayer/tests/cpp/stack_test", env=env)


def test_a_compiler_without_openmp_is_told(tmp_path):
    output = run(
        *("cmake", "-S", ROOT, "-B", tmp_path, "-G", "Ninja"),
        "-DCMAKE_DISABLE_FIND_PACKAGE_OpenMP=ON",
    )
    assert " ".join(output.split()).count("has no OpenMP; the kernels will use one thread") == 1


@pytest.mark.parametrize("flag", ["-ffast-math", "-Ofast", "-fno-signed-zeros"])
def test_flags_that_change_results_are_refused(tmp_path, flag):
    process = subprocess.run(
        ["cmake", "-S", ROOT, "-B", tmp_path, "-G", "Ninja", f"-DCMAKE_CXX_FLAGS=-O2 {flag}"],
        capture_output=True,
        text=True,
    )
    assert process.returncode != 0
    assert f"must be compiled without {flag}" in " ".join(process.stderr.split())


def test_flags_of_the_linker_and_of_a_parent_are_looked_at(tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.18...4.0)\n"
        "project(parent LANGUAGES CXX)\n"
        "add_compile_options(-ffinite-math-only)\n"
        f'add_subdirectory("{ROOT}" elulayer)\n'
    )
    for source, flag, options in (
        (tmp_path, "-ffinite-math-only", ()),
        (ROOT, "-ffast-math", ("-DCMAKE_MODULE_LINKER_FLAGS=-ffast-math",)),
    ):
        process = subprocess.run(
            ["cmake", "-S", source, "-B", tmp_path / "build" / flag, "-G", "Ninja", *options],
            capture_output=True,
            text=True,
        )
        assert process.returncode != 0
        assert f"must be compiled without {flag}" in " ".join(process.stderr.split())


def test_msvc_is_refused(tmp_path):
    """CMake sets MSVC for every compiler that takes its options."""
    process = subprocess.run(
        ["cmake", "-S", ROOT, "-B", tmp_path, "-G", "Ninja", "-DMSVC=ON"],
        capture_output=True,
        text=True,
    )
    assert process.returncode != 0
    message = " ".join(process.stderr.split())
    assert message.count("CMake Error") == 1
    assert "which takes MSVC's options: use MinGW-w64's g++ or clang++" in message


def test_kernels_export_nothing_but_their_table(compiled):
    """Another symbol could be merged with its twin of another instruction set by the linker."""
    if shutil.which("nm") is None:
        pytest.skip("nm, which lists the symbols, is not installed")
    for isa, (command, directory) in kernel_commands(compiled).items():
        kernels = Path(directory) / command[command.index("-o") + 1]
        symbols = run("nm", "--demangle", "--defined-only", "--extern-only", kernels).splitlines()
        names = [line.split(maxsplit=2)[2] for line in symbols]
        assert names == [f"elulayer::cpu::kernels_{isa}"], isa


def test_instruction_sets_use_their_registers(compiled):
    if shutil.which("objdump") is None:
        pytest.skip("objdump, which disassembles, is not installed")
    for isa, (command, directory) in kernel_commands(compiled).items():
        kernels = Path(directory) / command[command.index("-o") + 1]
        code = run("objdump", "-d", "--no-show-raw-insn", kernels)
        has = {name: bool(re.search(rf"%{name}\d", code)) for name in ("zmm", "ymm")}
        fused = "vfmadd" in code
        expected = {"baseline": (False, False, False), "v3": (False, True, True)}
        if isa == "v4":
            assert has["zmm"] and fused
        elif os.uname().machine == "x86_64":
            assert (has["zmm"], has["ymm"], fused) == expected[isa], isa
