"""Builds of the CUDA unit."""

import subprocess
from pathlib import Path

from shared.commands import run

ROOT = Path(__file__).parents[2]


def configure(folder, *definitions, **options):
    command = ["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *definitions]
    return subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def build(folder, choice):
    """The static library, built in `folder`; a warning is an error."""
    done = configure(folder, f"-DELULAYER_CUDA={choice}", "-DELULAYER_WERROR=ON")
    assert done.returncode == 0, done.stdout
    assert f"CUDA unit: {choice}" in done.stdout
    run("cmake", "--build", folder, "--target", "elulayer_cuda")
    return folder / "cpp/cuda/libelulayer_cuda.a"
