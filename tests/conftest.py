"""Settings of the tests."""

import os

import hypothesis

# A loaded machine is slow, and in CI a test that fails must fail again.
hypothesis.settings.register_profile(
    "elulayer",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("elulayer")
