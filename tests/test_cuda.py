"""The CUDA unit, as far as it can be tested without a device: it compiles; how it is switched."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
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
    assert "ELULAYER_CUDA is ON, but there is no CUDA compiler" in " ".join(refused.stdout.split())
    chosen = configure(tmp_path / "auto", "-DELULAYER_CUDA=AUTO", env=environment)
    assert chosen.returncode == 0, chosen.stdout
    assert "CUDA unit: OFF" in chosen.stdout


def test_unknown_choices_are_refused(tmp_path):
    refused = configure(tmp_path, "-DELULAYER_CUDA=MAYBE")
    assert refused.returncode != 0
    assert "ELULAYER_CUDA is 'MAYBE'; AUTO, ON and OFF are taken" in refused.stdout


@pytest.mark.parametrize("choice", ["OFF", "ON"])
def test_it_compiles(tmp_path, choice):
    """For all devices; a warning, a spilled register or local memory would be an error."""
    if choice == "ON" and shutil.which("nvcc") is None:
        pytest.skip("nvcc, the CUDA compiler, is not installed")
    done = configure(tmp_path, f"-DELULAYER_CUDA={choice}", "-DELULAYER_WERROR=ON")
    assert done.returncode == 0, done.stdout
    assert f"CUDA unit: {choice}" in done.stdout
    built = subprocess.run(
        ["cmake", "--build", str(tmp_path), "--target", "elulayer_cuda"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert built.returncode == 0, built.stdout
