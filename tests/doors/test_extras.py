"""What needs another framework: imported by nobody else, and told by the extra that brings it."""

import subprocess
import sys

import pytest

FRAMEWORKS = {"torch": "PyTorch", "jax": "JAX"}


def printed(code):
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_importing_elulayer_imports_none():
    code = (
        "import elulayer, elulayer.cli, sys; print({'torch', 'jax', 'onnx'} & sys.modules.keys())"
    )
    assert printed(code) == "set()\n"


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_without_it(name):
    code = (
        f"import sys; sys.modules['{name}'] = None\n"
        f"try: import elulayer.{name}\nexcept ImportError as error: print(error)"
    )
    told = f"elulayer.{name} needs {FRAMEWORKS[name]}: pip install 'elulayer[{name}]'\n"
    assert printed(code) == told
