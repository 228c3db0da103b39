"""The CUDA unit, as far as it can be tested without a device: it compiles; how it is switched."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import elulayer._cuda
from shared.commands import run

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    not (ROOT / "CMakeLists.txt").exists(), reason="the C++ sources are not beside the tests"
)


def configure(folder, *definitions, **options):
    command = ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *definitions]
    return subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def words(done):
    """What a command has printed, in one line: CMake breaks messages."""
    return " ".join(done.stdout.split())


def without_nvcc(tmp_path):
    """A PATH that has all programs but nvcc."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
            link = programs / program.name
            link.unlink(missing_ok=True)
            if program.name != "nvcc":
                link.symlink_to(program)
    return {**os.environ, "PATH": str(programs), "CUDACXX": ""}


def test_a_missing_compiler(tmp_path):
    environment = without_nvcc(tmp_path)
    refused = configure(tmp_path / "on", "-DELULAYER_CUDA=ON", env=environment)
    assert refused.returncode != 0
    assert "ELULAYER_CUDA is ON, but no CUDA compiler was found: install CUDA's" in words(refused)
    chosen = configure(tmp_path / "auto", "-DELULAYER_CUDA=AUTO", env=environment)
    assert chosen.returncode == 0, chosen.stdout
    assert "CUDA unit: OFF (no CUDA compiler was found)" in words(chosen)


def test_a_compiler_that_does_not_work(tmp_path):
    """AUTO goes on without it, and says so; once it works it is found in the same folder."""
    environment = without_nvcc(tmp_path)
    nvcc = tmp_path / "programs" / "nvcc"
    nvcc.write_text("#!/bin/sh\nexit 1\n")
    nvcc.chmod(0o755)
    chosen = configure(tmp_path / "build", env=environment)
    assert chosen.returncode == 0, chosen.stdout
    assert "CUDA unit: OFF (no CUDA compiler was found that works" in words(chosen)
    assert str(nvcc) in words(chosen)
    refused = configure(tmp_path / "build", "-DELULAYER_CUDA=on", env=environment)
    assert refused.returncode != 0
    assert "ELULAYER_CUDA is on, but no CUDA compiler was found that works" in words(refused)
    if shutil.which("nvcc") is not None:
        nvcc.unlink()
        nvcc.symlink_to(shutil.which("nvcc"))
        found = configure(tmp_path / "build", env=environment)
        assert "CUDA unit: ON" in words(found)


def test_a_toolkit_that_is_too_old(tmp_path):
    """Here one that CMake takes for version 11.5, whose nvcc knows fewer devices."""
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc, the CUDA compiler, is not installed")
    module = tmp_path / "FindCUDAToolkit.cmake"
    module.write_text("set(CUDAToolkit_FOUND ON)\nset(CUDAToolkit_VERSION 11.5)\n")
    chosen = configure(tmp_path / "build", f"-DCMAKE_MODULE_PATH={tmp_path}")
    assert chosen.returncode == 0, chosen.stdout
    assert "CUDA unit: OFF (the CUDA toolkit is version 11.5, older than 11.8)" in words(chosen)


def test_unknown_choices_are_refused(tmp_path):
    refused = configure(tmp_path, "-DELULAYER_CUDA=MAYBE")
    assert refused.returncode != 0
    assert "ELULAYER_CUDA is 'MAYBE'; AUTO, ON and OFF are taken" in refused.stdout


def test_it_compiles_without_cuda(tmp_path):
    done = configure(tmp_path, "-DELULAYER_CUDA=OFF", "-DELULAYER_WERROR=ON")
    assert "CUDA unit: OFF" in done.stdout
    alone = "cpp/cuda/CMakeFiles/elulayer_cuda.dir/no_cuda.cpp.o"
    run("cmake", "--build", tmp_path, "--target", alone)


@pytest.mark.skipif(sys.platform != "linux", reason="it reads the libraries as Linux names them")
def test_the_extension_needs_no_cuda_library():
    """It is imported where there is no driver, beside packages with a CUDA runtime of their own."""
    extension = elulayer._cuda.__file__
    if shutil.which("readelf") is None:
        pytest.skip("readelf, of the binutils, is not installed")

    def lines(option, word):
        out = subprocess.run(
            ["readelf", "--wide", option, extension], check=True, capture_output=True, text=True
        ).stdout
        return [line for line in out.splitlines() if word in line]

    needed = lines("--dynamic", "(NEEDED)")
    assert any("libc." in line for line in needed)
    assert not [line for line in needed if "libcu" in line or "libnv" in line]
    symbols = [line.split() for line in lines("--dyn-syms", "GLOBAL")]
    exported = [fields[7] for fields in symbols if fields[6] != "UND"]
    assert set(exported) == {"PyInit__cuda", "PyInit__cuda_in_main"}
    undefined = [fields[7] for fields in symbols if fields[6] == "UND"]
    assert not [name for name in undefined if name.startswith("cu")]
