"""The command's output where it cannot be written, or not as it is."""

import io
import os
import shlex
import subprocess
import sys

import numpy as np
import pytest

import elulayer as el
from elulayer import cli
from shared.command_line import QUICK

ELULAYER = shlex.join([sys.executable, "-W", "error", "-m", "elulayer"])

shell = pytest.mark.skipif(os.name != "posix", reason="the shell's redirections are POSIX's")
full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")


def network(path, classes):
    """Save a network of these classes."""
    layers = [
        el.ImageInputLayer((1, 28, 28)),
        el.ELULayer(1),
        el.FullyConnectedLayer(len(classes)),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]
    made = el.Network(layers, classes)
    made.initialize(0)
    el.save_network(made, path)
    return str(path)


@pytest.fixture
def commands(tmp_path):
    """One of every command that writes something."""
    pytest.importorskip("safetensors", reason="saved networks need safetensors")
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    saved = network(tmp_path / "a.safetensors", list(range(10)))
    return [
        ["--help"],
        ["--version"],
        *([name, "--help"] for name in cli.COMMANDS),
        QUICK,
        [*QUICK, "--quiet"],
        ["plot", "--out", str(tmp_path / "a.png")],
        ["show", "--train-images", "3", "--test-images", "1", "--out", str(tmp_path / "b.png")],
        ["show", saved],
        ["classify", saved, "--test-images", "10"],
        ["check", "ReLULayer", "--input-shape", "3"],
    ]


def run(text, **env):
    return subprocess.run(
        ["/bin/sh", "-c", text],
        capture_output=True,
        timeout=300,
        env={**os.environ, **env},
    )


@shell
def test_a_reader_that_has_left_ends_it_quietly(commands):
    for arguments in commands:
        read, write = os.pipe()
        os.close(read)
        result = subprocess.run(
            [*shlex.split(ELULAYER), *arguments], stdout=write, stderr=subprocess.PIPE, timeout=300
        )
        os.close(write)
        assert (result.returncode, result.stderr) == (1, b""), arguments


@shell
def test_training_ends_with_its_reader(tmp_path):
    """With what it has learned until then, as at Ctrl-C."""
    line = f"{ELULAYER} train --epochs 100000 --batch-size 64 --train-images 64 --test-images 9"
    saved = tmp_path / "digits.safetensors"
    for env in ({}, {"PYTHONUNBUFFERED": "1"}):
        result = run(f"{line} --save {shlex.quote(str(saved))} | head -1", **env)
        assert (result.stdout, result.stderr) == (b"Training on single CPU.\n", b"")
        assert el.load_network(saved).num_classes == 10
        saved.unlink()


@full
def test_training_goes_on_where_its_table_cannot_be_written(tmp_path):
    saved = tmp_path / "digits.safetensors"
    line = f"{ELULAYER} {shlex.join(QUICK)} --save {shlex.quote(str(saved))} > /dev/full"
    result = run(line)
    assert result.returncode == 1
    assert b"No space left on device" in result.stderr
    assert el.load_network(saved).num_classes == 10


@full
def test_a_full_disk_is_one_line(commands):
    for arguments in commands:
        for env in ({}, {"PYTHONUNBUFFERED": "1"}):
            result = run(f"{ELULAYER} {shlex.join(arguments)} > /dev/full", **env)
            assert result.returncode == 1, arguments
            assert result.stderr.decode().splitlines() == [
                "elulayer: error: [Errno 28] No space left on device: '<stdout>'"
            ]


@full
def test_what_a_layer_prints_is_output_too(tmp_path):
    own = tmp_path / "own.py"
    own.write_text(
        "import elulayer as el\nprint('hello')\nclass Own(el.ReLULayer):\n    pass\n"
        "import atexit\natexit.register(print, 'bye')"
    )
    result = run(f"{ELULAYER} check {own}:Own --input-shape 3 > /dev/full")
    assert result.returncode == 1 and len(result.stderr.splitlines()) == 1


@full
@pytest.mark.parametrize("arguments", ["show nothing", "train --epochs 0"])
def test_an_error_that_cannot_be_told(arguments):
    assert run(f"{ELULAYER} {arguments} > /dev/full 2>&1").returncode in (1, 2)


@shell
def test_no_streams(commands):
    for arguments in commands:
        result = run(f"{ELULAYER} {shlex.join(arguments)} >&- 2>&-")
        assert result.returncode == 0, arguments
    assert run(f"{ELULAYER} show nothing 2>&-").stdout == b""
    assert run(f"{ELULAYER} show nothing 2>&-").returncode == 1
    assert run(f"{ELULAYER} train --epochs 0 >&- 2>&-").returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-16", "ascii:surrogateescape"])
def test_characters_that_the_stream_does_not_have(encoding, tmp_path):
    pytest.importorskip("safetensors", reason="saved networks need safetensors")
    saved = network(tmp_path / "a.safetensors", ["Zoë", "\N{SNOWMAN}"])
    command = [*shlex.split(ELULAYER), "show", saved]
    env = {**os.environ, "PYTHONIOENCODING": encoding}
    result = subprocess.run(command, capture_output=True, env=env)
    codec = encoding.partition(":")[0]
    expected = "Classes: Zoë \N{SNOWMAN}".encode(codec, "backslashreplace").decode(codec)
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode(codec).splitlines()[-1] == expected


def test_the_users_way_with_such_characters_goes_first(tmp_path):
    pytest.importorskip("safetensors", reason="saved networks need safetensors")
    saved = network(tmp_path / "a.safetensors", ["Zoë", "a"])
    env = {**os.environ, "PYTHONIOENCODING": "ascii:replace"}
    result = subprocess.run(
        [*shlex.split(ELULAYER), "show", saved], capture_output=True, env=env, text=True
    )
    assert result.stdout.splitlines()[-1] == "Classes: Zo? a"


@shell
def test_a_files_name_that_is_no_text(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    name = os.path.join(os.fsencode(tmp_path), b"a\xff.png")
    for encoding in ("ascii", "utf-8"):
        result = subprocess.run(
            [*shlex.split(ELULAYER), "plot", "--out", name],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.endswith(b"a\\udcff.png\n")


def test_a_caller_keeps_its_streams(monkeypatch, capfd):
    """As a function the command leaves the descriptors and the streams as they are."""

    class Broken(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

        def fileno(self):
            return 1

    broken = Broken()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", broken)
        assert cli.main(["check", "ReLULayer", "--input-shape", "3"]) == 1
        assert sys.stdout is broken
    os.write(1, b"still there")
    assert capfd.readouterr() == ("still there", "")


def test_a_small_negative_number_is_not_minus_zero(tmp_path, capsys):
    pytest.importorskip("safetensors", reason="saved networks need safetensors")
    path = tmp_path / "a.safetensors"
    network(path, ["a", "b"])
    made = el.load_network(path)
    made.layers[1].alpha = np.array([-1e-6], np.float32)
    el.save_network(made, path)
    assert cli.main(["show", str(path)]) == 0
    assert "\n  0.0000\n" in capsys.readouterr().out
    assert cli.main(["train", "--epochs", "1", "--train-images", "1", "--test-images", "1"]) == 0
    assert "-0.0" not in capsys.readouterr().out
