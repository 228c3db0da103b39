"""Settings of the tests, and what several files of them share."""

import os
import platform
import sys

import hypothesis
import pytest

import elulayer as el
from elulayer.arrays.gpu import extension as gpu_extension

pytest.register_assert_rewrite("shared")
from shared import documents, emulated_gpu, gpu_libraries  # noqa: E402

# A loaded machine is slow, and in CI a test that fails must fail again.
hypothesis.settings.register_profile(
    "elulayer",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("elulayer")


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    if not (documents.ROOT / "CMakeLists.txt").exists():
        pytest.skip("the C++ sources are not beside the tests")
    if platform.machine() == "x86_64" and "x86-64-v3" not in el.cpu_info().usable:
        pytest.skip("the emulator needs the processor's fused multiply-add, as a GPU has it")
    return emulated_gpu.build(tmp_path_factory.mktemp("emulated"))


@pytest.fixture
def gpu(built, monkeypatch):
    """The emulated machine in the place of a real one."""
    machine = emulated_gpu.Gpu(*built)
    monkeypatch.setattr(gpu_extension, "load", lambda: machine.extension)
    monkeypatch.setattr(gpu_extension, "unavailable", lambda: None)
    for name in ("torch", "cupy"):
        monkeypatch.setitem(sys.modules, name, getattr(machine, name))
    yield machine
    assert machine.controls.emulator_events_alive() == 0
    assert machine.controls.emulator_current_device() == 0, "the device is restored"
    assert machine.device == 0
    assert machine.controls.emulator_last_error() == 0, "no error is left for others to find"


def _make_library(request, which):
    kind, _, name = which.rpartition(" ")
    if kind:
        return gpu_libraries.Emulated(request.getfixturevalue("gpu"), name)
    return gpu_libraries.Torch() if name == "torch" else gpu_libraries.CuPy()


@pytest.fixture(params=[*gpu_libraries.EMULATED, *gpu_libraries.REAL])
def library(request):
    return _make_library(request, request.param)
