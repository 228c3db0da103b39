"""Which instruction set runs, and how one is forced."""

import os
import platform
import subprocess
import sys

import pytest

import elulayer as el

ARM = platform.machine().lower() in ("aarch64", "arm64")
NAMES = ("neon",) if ARM else ("x86-64-v4", "x86-64-v3", "baseline")

# Runs kernels of every kind, then names the instruction set that their table was compiled for and a
# hash of the results.
PROBE = """
import hashlib, numpy as np, elulayer as el
rng = np.random.default_rng(0)
digest = hashlib.sha256()
for dtype in (np.float32, np.float64):
    for shape in ((3, 5, 1009), (100, 33)):
        x, grad = rng.normal(0, 5, (2, *shape)).astype(dtype)
        alpha = rng.normal(size=shape[1]).astype(dtype)
        for array in (el.elu(x, alpha), *el.elu_backward(grad, x, alpha)):
            digest.update(array.tobytes())
info = el.cpu_info()
print(info.active, info.reason, info.fused, digest.hexdigest(), sep=";")
"""


def probe(isa):
    env = dict(os.environ)
    env.pop("ELULAYER_ISA", None)
    if isa is not None:
        env["ELULAYER_ISA"] = isa
    return subprocess.run([sys.executable, "-c", PROBE], env=env, capture_output=True, text=True)


def test_info():
    info = el.cpu_info()
    assert info.compiled[-1] == info.usable[-1] == NAMES[-1]
    assert [n for n in NAMES if n in info.compiled] == list(info.compiled)
    assert info.fused or info.active == "baseline"
    assert [n for n in info.compiled if n in info.usable] == list(info.usable)
    assert info.active in info.usable
    assert info.threads >= 1


def test_the_first_usable_is_the_default():
    name, reason, *_ = probe(None).stdout.strip().split(";")
    assert name == el.cpu_info().usable[0]
    assert reason == "the first that this machine can run"


@pytest.mark.parametrize("isa", el.cpu_info().compiled)
def test_forced(isa):
    """The name comes from the compiler's own macros in the table whose functions ran."""
    result = probe(isa)
    if isa in el.cpu_info().usable:
        assert result.returncode == 0, result.stderr
        assert result.stdout.split(";")[:2] == [isa, "forced by ELULAYER_ISA"]
    else:
        assert result.returncode != 0
        assert "ImportError" in result.stderr
        assert (
            f"ELULAYER_ISA is '{isa}', which this machine cannot run; it can run" in result.stderr
        )


def test_the_bits_follow_from_fused_operations_alone():
    """Without them some last places differ, which shows that the forced kernels did run."""
    probes = {tuple(probe(isa).stdout.strip().split(";")[2:]) for isa in el.cpu_info().usable}
    assert len(probes) == len({fused for fused, _ in probes}) == len({bits for _, bits in probes})
    if len(el.cpu_info().usable) > 1:
        assert len(probes) == 2


def test_an_unknown_name_is_an_error():
    result = probe("avx9")
    assert result.returncode != 0
    message = (
        "ImportError: ELULAYER_ISA is 'avx9', which is not among the compiled instruction sets:"
    )
    assert message in result.stderr
    assert f"'{NAMES[-1]}'" in result.stderr
