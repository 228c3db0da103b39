"""The command as a process: one, which runs nothing that lies in the working directory."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

import elulayer as el
from elulayer import cli
from elulayer._support.process import openmp_threads

QUICK = ["train", "--epochs", "1", "--train-images", "256", "--test-images", "100"]

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
@pytest.mark.parametrize("threads", [1, 3])
def test_threads(threads, monkeypatch, capsys):
    """They are those of the run, and the caller's own come back."""
    before, seen = el.cpu_info().threads, []
    train_network = cli.train.train_network

    def watched(*arguments, **options):
        seen.append(el.cpu_info().threads)
        return train_network(*arguments, **options)

    monkeypatch.setattr(cli.train, "train_network", watched)
    assert cli.main([*QUICK, "--threads", str(threads)]) == 0
    assert seen == [threads]
    assert el.cpu_info().threads == before
    assert cli.main([*QUICK, "--threads", str(threads), "--validation-images", "256"]) == 1
    assert el.cpu_info().threads == before
    capsys.readouterr()


@openmp
def test_no_more_threads_than_can_be_had():
    """A number that C's int cannot hold, or that the machine cannot start, is no end of the run."""
    x = np.full(2**22, -1.0, np.float32)
    for count in (10**6, 2**32):
        with openmp_threads(count):
            assert 1 < el.cpu_info().threads <= max(64, 4 * os.cpu_count())
            np.testing.assert_array_equal(el.elu(x), np.float32(np.expm1(-1.0)))


@openmp
def test_other_threads_keep_their_number():
    seen = []
    with openmp_threads(3):
        other = threading.Thread(target=lambda: seen.append(el.cpu_info().threads))
        other.start()
        other.join()
    assert seen == [el.cpu_info().threads]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ELULAYER_ISA", "ELULAYER_ISA is 'x', which is not among the compiled instruction sets: "),
        ("ELULAYER_CACHE_BYTES", "ELULAYER_CACHE_BYTES must be a number of bytes, 0 for none, not"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line(name, message, program):
    python, script = program
    for command in ([script], ["-m", "elulayer"], ["-melulayer"], ["-Im", "elulayer"]):
        result = subprocess.run(
            [python, *command, "plot", "--alpha", "2"],
            env={**os.environ, name: "x"},
            capture_output=True,
            text=True,
        )
        assert result.returncode == 1 and result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"elulayer: error: {message}")


@pytest.mark.parametrize("command", [["-c", "import elulayer"], ["other.py"], ["-m", "other"]])
def test_for_other_programs_it_is_an_error_of_the_import(command, tmp_path):
    (tmp_path / "other.py").write_text(
        "try:\n    import elulayer\nexcept ImportError as error:\n    raise RuntimeError from error"
        if "-c" not in command
        else ""
    )
    result = subprocess.run(
        [sys.executable, *command],
        env={**os.environ, "ELULAYER_ISA": "x"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "ImportError: ELULAYER_ISA is 'x'" in result.stderr
