"""What the command writes: told before a run, kept apart from each other, and after Ctrl-C."""

import os
import re
import signal
import subprocess
import sys

import numpy as np
import pytest

import elulayer as el
from elulayer import cli
from elulayer._support import whole_files
from shared.command_line import QUICK

pytest.importorskip("safetensors", reason="networks are saved by safetensors")
pytest.importorskip("matplotlib", reason="pictures need matplotlib")

OUTPUTS = {"--save": "a.safetensors", "--plot": "a.png", "--alphas": "b.svg"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(capsys, *arguments):
    """Return what is told of arguments that are refused before anything is read or trained."""
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    return output.err.splitlines()[-2]


@pytest.mark.parametrize("option", OUTPUTS)
def test_what_cannot_be_written_is_told_before_the_run(capsys, tmp_path, option):
    name = OUTPUTS[option]
    (tmp_path / name).mkdir()
    told = f"error: argument {option}: must be "
    assert refused(capsys, *QUICK, option, name).endswith(f"{told}a file, not '{name}'")
    missing = f"none/{name}"
    message = f"{told}in an existing folder, not '{missing}'"
    assert refused(capsys, *QUICK, option, missing).endswith(message)
    for path in (f"{'a' * 300}{name}", *[f"/proc/{name}"] * (sys.platform == "linux")):
        line = refused(capsys, *QUICK, option, path)
        assert f"{told}a file that can be written, not '{path}': " in line and ".part" not in line


@pytest.mark.parametrize(
    "command",
    [
        ["plot", "--out"],
        ["show", "--out"],
        ["classify", "a.safetensors", "--confusion"],
        ["classify", "a.safetensors", "--wrong"],
    ],
)
def test_the_other_commands_tell_it_too(capsys, command):
    path = f"{'a' * 300}.png"
    assert f"must be a file that can be written, not '{path}'" in refused(capsys, *command, path)


def test_a_checkpoint_folder_that_is_none(capsys, tmp_path):
    (tmp_path / "file").touch()
    for path, what in (
        ("file", "a folder, not the file 'file'"),
        ("none/run", "in an existing folder, not 'none/run'"),
        ("", "in an existing folder, not ''"),
    ):
        line = refused(capsys, *QUICK, "--checkpoint", path)
        assert line.endswith(f"argument --checkpoint: must be {what}")
    (tmp_path / "link").symlink_to("nowhere/run")
    assert cli.main([*QUICK, "--checkpoint", "link"]) == 1
    message = "--checkpoint must be a folder that can be made, not link: "
    assert message in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ["file", "link"]


def fill(monkeypatch, *full):
    """Let these files find no room on the disk."""
    replace = os.replace

    def fails(source, target):
        if os.path.basename(target) in full:
            raise OSError(28, "No space left on device", source)
        replace(source, target)

    monkeypatch.setattr(whole_files.os, "replace", fails)


@pytest.mark.parametrize("option", OUTPUTS)
def test_a_disk_that_is_full_costs_one_file_alone(capsys, tmp_path, monkeypatch, option):
    name = OUTPUTS[option]
    written = TrainedWith(monkeypatch, lambda: fill(monkeypatch, name))
    arguments = [part for pair in OUTPUTS.items() for part in pair]
    assert cli.main([*QUICK, *arguments, "--checkpoint", "run"]) == 1
    output = capsys.readouterr()
    assert written.done
    assert output.out.splitlines()[-1].startswith("Test accuracy: 0.")
    (line,) = output.err.splitlines()
    assert line.startswith("elulayer: error: ")
    assert line.endswith(f"[Errno 28] No space left on device: '{name}'")
    left = {"run", *OUTPUTS.values()} - ({name} if option != "--plot" else set())
    assert set(os.listdir(tmp_path)) == left


class TrainedWith:
    """Let something happen after the first iteration."""

    def __init__(self, monkeypatch, happen):
        self.done = False
        original = cli.train.AlphaHistory.__call__

        def called(history, progress):
            if progress.iteration == 1 and not self.done:
                self.done = True
                happen()
            original(history, progress)

        monkeypatch.setattr(cli.train.AlphaHistory, "__call__", called)


def test_a_disk_that_is_full_costs_the_checkpoint_alone(capsys, tmp_path, monkeypatch):
    fill(monkeypatch, "checkpoint-00000002.safetensors")
    assert cli.main([*QUICK, "--checkpoint", "run", "--save", "a.safetensors"]) == 1
    output = capsys.readouterr()
    assert output.out.splitlines()[-1].startswith("Test accuracy: 0.")
    (line,) = output.err.splitlines()
    assert line.startswith("elulayer: error: a checkpoint cannot be written, ")
    assert line.endswith("'run/checkpoint-00000002.safetensors'")
    el.load_network("a.safetensors")


def test_a_disk_that_is_full_costs_one_picture_of_classify(capsys, monkeypatch):
    assert cli.main([*QUICK, "--quiet", "--save", "a.safetensors"]) == 0
    accuracy = capsys.readouterr().out
    fill(monkeypatch, "c.png")
    pictures = ["--confusion", "c.png", "--wrong", "w.png"]
    assert cli.main(["classify", "a.safetensors", "--test-images", "100", *pictures]) == 1
    output = capsys.readouterr()
    assert output.out == f"Wrote w.png\n{accuracy}"
    assert output.err == "elulayer: error: [Errno 28] No space left on device: 'c.png'\n"
    assert os.path.exists("w.png")


# Ctrl-C

PRESSED = """
import signal, sys
import elulayer as el
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
from elulayer import cli

original = cli.train.AlphaHistory.__call__

def pressed(history, progress):
    original(history, progress)
    if progress.state != "done" and progress.iteration == int(sys.argv[2]):
        for _ in range(int(sys.argv[1])):
            signal.raise_signal(signal.SIGINT)

cli.train.AlphaHistory.__call__ = pressed
sys.exit(cli.main(sys.argv[3:]))
"""
LONG = [*QUICK, "--epochs", "3", "--batch-size", "100"]  # 6 iterations


def press(times, *arguments, iteration=2):
    outputs = [part for pair in OUTPUTS.items() for part in pair]
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        PRESSED,
        str(times),
        str(iteration),
        *LONG,
        *arguments,
    ]
    return subprocess.run([*command, *outputs], capture_output=True, text=True, timeout=300)


def test_ctrl_c_writes_what_was_learned(tmp_path, capsys):
    result = press(1, "--checkpoint", "run", "--checkpoint-every", "5")
    assert result.returncode == 130
    assert result.stderr.splitlines() == [
        "Stopping after this iteration; Ctrl-C again stops at once.",
        "elulayer: stopped by Ctrl-C after iteration 2, with what was learned until then; "
        "--resume goes on from run",
    ]
    accuracy = result.stdout.splitlines()[-1]
    assert accuracy.startswith("Test accuracy: 0.")
    assert set(os.listdir(tmp_path)) == {"run", *OUTPUTS.values()}
    assert os.listdir("run") == ["checkpoint-00000002.safetensors"]
    data = el.data.load_digits(0, n_train=256, n_test=100)
    classified = el.load_network("a.safetensors").classify(data.X_test)
    assert f"Test accuracy: {(classified == data.Y_test).mean():.4f}" == accuracy

    resumed = ["--checkpoint", "run", "--checkpoint-every", "5", "--resume"]
    assert cli.main([*LONG, *resumed, "--save", "resumed.safetensors"]) == 0
    assert cli.main([*LONG, "--save", "whole.safetensors"]) == 0
    one, two = (el.load_network(f"{name}.safetensors") for name in ("resumed", "whole"))
    assert np.array_equal(one.predict(data.X_test), two.predict(data.X_test))


def test_ctrl_c_before_the_first_iteration_leaves_an_older_network(tmp_path):
    (tmp_path / "a.safetensors").write_text("of an earlier run")
    result = press(1, "--checkpoint", "run", iteration=0)
    assert result.returncode == 130
    assert result.stderr == (
        "Stopping after this iteration; Ctrl-C again stops at once.\n"
        "elulayer: interrupted before the first iteration: nothing was learned, and no network is "
        "saved\n"
    )
    assert "Test accuracy" not in result.stdout
    assert (tmp_path / "a.safetensors").read_text() == "of an earlier run"


def test_resumed_runs_may_be_tested_on_other_images(capsys):
    """They are no part of what is learned from."""
    folder = ["--checkpoint", "run", "--resume", "--quiet"]
    assert cli.main([*QUICK, *folder]) == 0
    assert cli.main([*QUICK, *folder, "--epochs", "2", "--test-images", "50"]) == 0
    assert cli.main([*QUICK, "--epochs", "2", "--test-images", "50", "--quiet"]) == 0
    resumed, whole = capsys.readouterr().out.splitlines()[1:]
    assert resumed == whole
    assert cli.main([*QUICK, *folder, "--epochs", "2", "--train-images", "200"]) == 1
    assert "--validation-images) must be as in the run of" in capsys.readouterr().err


def test_a_second_ctrl_c_ends_the_command(tmp_path):
    result = press(2)
    assert result.returncode == 130
    assert result.stderr == (
        "Stopping after this iteration; Ctrl-C again stops at once.\nelulayer: interrupted\n"
    )
    assert "Test accuracy" not in result.stdout
    assert os.listdir(tmp_path) == ["a.png"]  # which is drawn from the beginning


@pytest.mark.skipif(os.name != "posix", reason="a signal to another process is POSIX's")
def test_ctrl_c_from_outside(tmp_path):
    command = [sys.executable, "-W", "error", "-m", "elulayer", *QUICK, "--epochs", "10000"]
    process = subprocess.Popen(
        [*command, "--save", "a.safetensors"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        for line in process.stdout:
            if re.match(r"\|\s+1 \|", line):
                break
        process.send_signal(signal.SIGINT)
        output, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, error
    assert "\nelulayer: stopped by Ctrl-C after iteration " in error
    assert output.splitlines()[-1].startswith("Test accuracy: ")
    assert os.listdir(tmp_path) == ["a.safetensors"]
