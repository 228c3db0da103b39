"""The package as installed: types, stub, the message for a missing extension."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path

import elulayer as el

PACKAGE = Path(el.__file__).parent


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=600, **options
    )


def test_version():
    assert el.__version__ == importlib.metadata.version("elulayer")


def test_public_names_exist():
    for name in el.__all__:
        assert getattr(el, name).__doc__, name


def test_missing_extension_says_what_to_do(tmp_path):
    copy = tmp_path / "elulayer"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("_core*.so", "_core*.pyd"))
    result = run("-c", "import elulayer", cwd=tmp_path, env={**os.environ, "PYTHONPATH": "."})
    assert result.returncode != 0
    assert (
        "ImportError: elulayer's compiled extension (elulayer._core) is missing." in result.stderr
    )
    assert "pip install ." in result.stderr


def test_typed():
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_core.pyi").exists()


def test_import_does_not_change_the_floating_point_environment():
    """A shared library linked with -ffast-math switches subnormal numbers off for everyone."""
    code = "import elulayer, numpy as np; print(np.float32(1e-40) * np.float32(0.5) > 0)"
    assert run("-W", "error", "-c", code).stdout.strip() == "True"
