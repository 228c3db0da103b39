"""Disks that are full while a file is written: the error names it, and nothing is half written.

A limit on the size of files stands for them: it stops a write in its middle, as a full disk does.
"""

import os
import subprocess
import sys

import pytest

resource = pytest.importorskip("resource", reason="POSIX systems limit the size of files")
pytest.importorskip("safetensors", reason="networks are saved by safetensors")

PROGRAM = """
import contextlib, io, resource, sys, warnings
sys.path.insert(0, {tests!r})
import elulayer as el
from elulayer import cli
from shared.small_network import blobs, options, small_layers

path = sys.argv[1]
X, Y = blobs()
network, _ = el.train_network(X, Y, small_layers(), options(max_epochs=1))
el.save_network(network, path + ".network")
{prepare}
resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
{call}
"""

RAISES = """
try:
    {call}
except OSError as error:
    assert error.filename == path, error
    assert "large" in str(error), error
else:
    raise SystemExit("written")
"""

COMMAND = """
told = io.StringIO()
with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
    status = cli.main([*{arguments}])
assert status == 1 and path in told.getvalue() and "large" in told.getvalue(), told.getvalue()
"""

CHECKPOINTS = """
import os
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    run = options(max_epochs=1, checkpoint_path=os.path.dirname(path))
    _, record = el.train_network(X, Y, small_layers(), run)
(warning,) = caught
assert os.path.dirname(path) in str(warning.message) and "large" in str(warning.message), warning
assert len(record.loss) == 5
"""

PLOTS = "from elulayer.plots import plot_activations; plot_activations().savefig(io.BytesIO())"

CALLS = {
    "a network": ("", RAISES.format(call="el.save_network(network, path)")),
    "a checkpoint": ("", CHECKPOINTS),
    "a picture": (PLOTS, COMMAND.format(arguments='("plot", "--out", path)')),
    "a command's pictures": (
        PLOTS + "; from PIL import Image; Image.new('L', (8, 8)).save(path + '.png')",
        COMMAND.format(arguments='("classify", path + ".network", path + ".png", "--given", path)'),
    ),
    "a model": ("import onnx", RAISES.format(call="el.onnx.export_onnx(network, path)")),
    "a command's model": (
        "import onnx",
        COMMAND.format(arguments='("export", path + ".network", path)'),
    ),
}


@pytest.mark.parametrize("what", CALLS)
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_full_disk(tmp_path, what, old):
    prepare, call = CALLS[what]
    for package in ("matplotlib", "PIL", "onnx"):
        if package in prepare.replace("plots", "matplotlib"):
            pytest.importorskip(package, reason=f"{package} is absent")
    path = tmp_path / ("file.onnx" if "model" in what else "file.png")
    if old is not None:
        path.write_bytes(old)
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = PROGRAM.format(tests=tests, prepare=prepare, call=call)
    process = subprocess.run(
        [sys.executable, "-B", "-c", program, str(path)], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr + process.stdout
    assert (path.read_bytes() if path.exists() else None) == old
    extra = {name for name in os.listdir(tmp_path)} - {path.name, f"{path.name}.network"}
    assert extra <= {f"{path.name}.png"}
