"""Settings of the tests, and what several files of them share."""

import os
import shutil

import hypothesis
import pytest

import cuda_build

# A loaded machine is slow, and in CI a test that fails must fail again.
hypothesis.settings.register_profile(
    "elulayer",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("elulayer")


@pytest.fixture(scope="session")
def cuda_library(tmp_path_factory):
    """The CUDA unit for all devices: one build, of minutes, for all tests."""
    if shutil.which("nvcc") is None:
        pytest.skip("nvcc, the CUDA compiler, is not installed")
    return cuda_build.build(tmp_path_factory.mktemp("cuda"), "ON")
