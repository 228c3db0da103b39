"""The command as a process: one, which runs nothing that lies in the working directory."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

import elulayer as el
from elulayer import cli
from shared.command_line import QUICK

CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()

openmp = pytest.mark.skipif(el.cpu_info().openmp is None, reason="this build has no OpenMP")


@pytest.fixture
def program(tmp_path):
    """The command as pip installs it: a script, which does not stand in the working directory."""
    script = tmp_path / "bin" / "elulayer"
    script.parent.mkdir()
    script.write_text("import sys\nfrom elulayer.cli import main\nsys.exit(main())\n")
    return [sys.executable, str(script)]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with files of the names of modules, which must not be run."""
    folder = tmp_path / "work"
    folder.mkdir()
    for name in ("elulayer", "numpy", "threadpoolctl", "__main__"):
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name}.py was run')")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("flags", [[], ["-I"], ["-X", "dev", "-W", "error"]])
def test_nothing_in_the_working_directory_is_run(flags, program, folder):
    python, script = program
    command = [python, *flags, script, *QUICK, "--threads", "1"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].startswith("Test accuracy: ")
    assert result.stderr == ""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no groups of processes")
@pytest.mark.parametrize("way", ["script", "-m"])
def test_a_signal_ends_all_of_it(way, program):
    command = program if way == "script" else [sys.executable, "-m", "elulayer"]
    process = subprocess.Popen(
        [*command, "train", "--epochs", "100000", "--threads", "1"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        while b"0.0100" not in process.stdout.readline():  # the first row of the table
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == -signal.SIGTERM
        process.communicate(timeout=60)  # ends when no process has the other end
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([*QUICK], 0),
        ([*QUICK, "--validation-images", "256"], 1),
        ([*QUICK, "--learn-rate", "1e30", "--epochs", "20"], 1),
        ([*QUICK, "--depth", "3"], 2),
    ],
)
def test_the_status_is_the_same_with_threads(arguments, status):
    for more in ([], ["--threads", "1"]):
        command = [sys.executable, "-m", "elulayer", *arguments, *more]
        assert subprocess.run(command, capture_output=True, timeout=300).returncode == status


@openmp
@pytest.mark.parametrize(("given", "threads"), [(1, 1), (3, 3), (10**9, max(64, 4 * CPUS))])
def test_threads(given, threads, monkeypatch, capsys):
    """They are those of the run, as many as the kernels take, and the caller's own come back."""
    before, seen = el.cpu_info().threads, []
    train_network = cli.train.train_network

    def watched(*arguments, **options):
        seen.append(el.cpu_info().threads)
        return train_network(*arguments, **options)

    monkeypatch.setattr(cli.train, "train_network", watched)
    assert cli.main([*QUICK, "--threads", str(given)]) == 0
    assert seen == [threads]
    assert el.cpu_info().threads == before
    assert cli.main([*QUICK, "--threads", str(given), "--validation-images", "256"]) == 1
    assert el.cpu_info().threads == before
    capsys.readouterr()
