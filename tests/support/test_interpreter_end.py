"""The end of the interpreter, and threads that compute meanwhile or afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]

DAEMONS = """
import sys, threading, time
import numpy as np, elulayer as el
from elulayer import _core
x = np.full((32, 4, 128, 128), -1, np.float32)
a = np.ones(4, np.float32)
z, memory = el.elu_with_memory(x, a)
c, s, d = np.ones(4), np.empty(4), np.empty(4)
out = np.empty_like(x)
calls = {
    "elu": lambda: el.elu(x, a),
    "elu, not plain": lambda: el.elu(x, 0.5, num_threads=1),
    "elu_with_memory": lambda: el.elu_with_memory(x, a),
    "elu_backward": lambda: el.elu_backward(x, x, a),
    "elu_backward, not plain": lambda: el.elu_backward(x, x, a, num_threads=1),
    "from memory": lambda: el.elu_backward(x, memory=memory, alpha=a),
    "from output": lambda: el.elu_backward(x, output=z, alpha=a),
    "double": lambda: el.elu_double_backward(x, a, x, x, a),
    "moments": lambda: _core.channel_moments(x, s, d),
    "dots": lambda: _core.channel_dots(x, x, c, s, d),
    "affine": lambda: _core.channel_affine(x, c, c, c, out),
    "affine gradient": lambda: _core.channel_affine_gradient(x, x, c, c, c, c, out),
    "cuda_info": el.cuda_info,
}
def repeat(call, started):
    while True:
        started.set()
        call()
for name in sys.argv[1:]:
    started = threading.Event()
    threading.Thread(target=repeat, args=(calls[name], started), daemon=True).start()
    started.wait()
time.sleep(0.02)
"""


def end(code, *arguments, **environment):
    """Run a program that must end as if nothing had happened; return what it printed."""
    environment = {**os.environ, "PYTHONPATH": str(TESTS), **environment}
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


@pytest.mark.parametrize(
    "calls",
    [
        ["elu"] * 4,
        ["elu_backward"] * 4,
        ["elu, not plain", "elu_with_memory", "elu_backward, not plain"],
        ["from memory", "from output", "double"],
        ["moments", "dots", "affine", "affine gradient"],
        ["cuda_info"] * 2,
    ],
    ids=", ".join,
)
def test_daemon_threads_in_a_kernel_do_not_disturb_the_end(calls):
    for _ in range(5):
        end(DAEMONS, *calls)


TRAINING = """
import atexit, sys, threading
from types import SimpleNamespace
import numpy as np, elulayer as el
from elulayer._support import parallel
from shared.small_network import blobs, options, small_layers
parallel._core = SimpleNamespace(cpu_info=lambda: {"threads": 3})
X, Y = blobs()
def train():
    network, record = el.train_network(X, Y, small_layers(), options(max_epochs=1))
    return network.predict(X).tobytes().hex()
before = train() if sys.argv[2] == "used before" else None
def later():
    if sys.argv[1] == "thread":
        threading.main_thread().join()
    after = train()
    assert before is None or before == after
    print("trained")
if sys.argv[1] == "thread":
    threading.Thread(target=later).start()
else:
    atexit.register(later)
"""


@pytest.mark.parametrize("pool", ["used before", "new"])
@pytest.mark.parametrize("where", ["thread", "atexit"])
def test_training_and_prediction_when_the_main_thread_has_ended(where, pool):
    assert end(TRAINING, where, pool) == "trained\n"


IMPORT = """
import atexit
@atexit.register
def later():
    import numpy as np, elulayer as el
    network = el.Network(el.models.blog_layers((1, 8, 8), 2))
    network.initialize(0)
    assert network.predict(np.ones((4, 1, 8, 8), np.float32)).shape == (4, 2)
    print("imported")
"""


def test_import_when_the_main_thread_has_ended():
    assert end(IMPORT) == "imported\n"
