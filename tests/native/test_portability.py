"""tools/portability.py says what is wrong before it builds anything."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools/portability.py"
pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="the tools are not beside the tests")


def portability(*arguments, path=None):
    env = {**os.environ, "PATH": path or os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, TOOL, *arguments], capture_output=True, text=True, env=env
    )


def test_the_jobs_are_presets():
    presets = json.loads((ROOT / "CMakePresets.json").read_text())
    names = {kind: {p["name"] for p in presets[kind]} for kind in presets if kind.endswith("ts")}
    listed = portability("--list").stdout.splitlines()
    assert len(listed) > 10
    for line in listed:
        name, text = line.split(maxsplit=1)
        assert name in names["configurePresets"] & names["buildPresets"]
        assert (name in names["testPresets"]) == ("compiled only" not in text)


def test_an_unknown_job_is_an_error():
    result = portability("clnag")
    assert result.returncode == 2
    assert "NAME must be one of clang, " in result.stderr and "not clnag" in result.stderr


def test_what_is_missing_is_named_with_its_package(tmp_path):
    result = portability("aarch64", "musl", path=str(tmp_path))
    assert result.returncode == 2
    assert result.stdout.splitlines() == [
        "missing: cmake (PyPI: cmake)",
        "missing: ninja (PyPI: ninja)",
        "missing: aarch64-linux-gnu-g++ (Debian: g++-aarch64-linux-gnu)",
        "missing: qemu-aarch64 (Debian: qemu-user)",
        "missing: python-zig (PyPI: ziglang)",
        "Install them, choose other jobs, or add --install.",
    ]
