"""Subinterpreters, modules imported again, copies side by side: they work or are refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import elulayer as el
from elulayer import _core, _cuda

PACKAGE = Path(el.__file__).parent

USE = """
import gc, importlib, sys
import numpy as np, elulayer as el

x = np.random.default_rng(0).normal(size=(16, 4, 64, 64)).astype(np.float32)
a = np.ones(4, np.float32)
z = el.elu(x, a)
dx, dalpha = el.elu_backward(z, x, a)

def use(el):
    assert np.array_equal(el.elu(x, a), z)
    assert np.array_equal(el.elu_backward(z, x, a)[1], dalpha)
    network = el.Network(el.models.blog_layers((1, 12, 12), 10), range(10))
    network.initialize(0)
    assert network.predict(np.ones((64, 1, 12, 12), np.float32)).shape == (64, 10)
    gc.collect()

def forget():
    for name in [name for name in sys.modules if name.partition(".")[0] == "elulayer"]:
        del sys.modules[name]

use(el)
"""


def run(code, *arguments, cwd=None):
    """Run a program that must end by itself; return what it printed."""
    result = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


SUBINTERPRETER = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
kind, statements = sys.argv[1:]
if sys.version_info >= (3, 13):
    number = interpreters.create(kind)
else:
    number = interpreters.create(isolated=kind == "isolated")
interpreters.run_string(number, f'''
import sys
sys.path[:] = {sys.path}
try:
    exec({statements!r})
except ImportError as error:
    print(type(error).__name__ + ":", error)
except BaseException as error:
    print("another error:", repr(error))
else:
    print("imported")
sys.stdout.flush()
''')
interpreters.destroy(number)
if "elulayer" in sys.modules:
    use(el)
print("went on")
"""


@pytest.mark.parametrize("module", ["elulayer._core", "elulayer._cuda", "elulayer"])
@pytest.mark.parametrize("kind", ["legacy", "isolated"])
@pytest.mark.parametrize("before", ["", USE], ids=["alone", "beside the main one"])
def test_a_subinterpreter_is_refused_and_the_main_one_goes_on(before, kind, module):
    said = run(before + SUBINTERPRETER, kind, f"import {module}").splitlines()
    assert said[-1] == "went on"
    assert said[-2].startswith("ImportError: "), said


@pytest.mark.parametrize("module", [_core, _cuda], ids=lambda module: module.__name__)
@pytest.mark.parametrize("before", ["", USE], ids=["alone", "beside the main one"])
def test_the_extension_itself_says_why(before, module):
    """Where the GIL is shared nothing else refuses it; NumPy is not asked."""
    load = f"""
import importlib.util
spec = importlib.util.spec_from_file_location({module.__name__!r}, {module.__file__!r})
spec.loader.exec_module(importlib.util.module_from_spec(spec))
"""
    said = run(before + SUBINTERPRETER, "legacy", load).splitlines()
    assert said[-1] == "went on"
    assert module.__name__ in said[-2] and "subinterpreter" in said[-2]


RELOAD = """
for _ in range(3):
    importlib.reload(el)
    use(el)
    importlib.reload(el._core)
    use(el)
"""

AGAIN = """
first = el
for _ in range(3):
    forget()
    import elulayer as el
    assert el is not first
    use(el)
    use(first)
del sys.modules["elulayer._core"]
import elulayer._core
use(el)
"""


@pytest.mark.parametrize("code", [RELOAD, AGAIN], ids=["reloaded", "forgotten"])
def test_a_module_imported_again_works(code):
    run(USE + code)


COPIES = """
sys.path.insert(0, sys.argv[1])
first = el
forget()
try:
    import elulayer
except ImportError as error:
    assert "must be imported in another process" in str(error), error
    assert sys.argv[1] in str(error) and first._core.__file__ in str(error), error
    sys.path.remove(sys.argv[1])
    import elulayer
    assert elulayer is not first and elulayer.__file__ == first.__file__
    use(elulayer)
    use(first)
    print("refused")
"""


def test_another_copy_is_refused_and_the_first_goes_on(tmp_path):
    shutil.copytree(PACKAGE, tmp_path / "elulayer")
    assert run(USE + COPIES, tmp_path) == "refused\n"
