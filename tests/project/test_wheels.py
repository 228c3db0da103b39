"""What the settings of the published wheels promise."""

import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no reader of TOML")
pytestmark = pytest.mark.skipif(
    not (ROOT / "CMakeLists.txt").exists(), reason="the C++ sources are not beside the tests"
)


@pytest.fixture
def settings():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["cibuildwheel"]


def test_no_wheel_depends_on_whether_its_machine_has_nvcc(settings):
    systems = [settings, *(v for v in settings.values() if isinstance(v, dict))]
    choices = [system["config-settings"] for system in systems if "config-settings" in system]
    assert len(choices) == 2
    assert all(choice["cmake.define.ELULAYER_CUDA"] == "OFF" for choice in choices)


def test_the_options_are_those_of_cmake(settings):
    options = (ROOT / "CMakeLists.txt").read_text()
    for choice in (settings["config-settings"], settings["macos"]["config-settings"]):
        for name in choice:
            assert f"({name.removeprefix('cmake.define.')} " in options, name


def test_wheels_are_tested_with_tests_that_there_are(settings):
    words = shlex.split(settings["test-command"])
    tests = [word for word in words if word.startswith("tests/")]
    assert len(tests) > 5
    for test in tests:
        assert (ROOT / test).exists(), test
        assert Path(test).parts[0] in settings["test-sources"]
