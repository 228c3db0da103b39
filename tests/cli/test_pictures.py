"""The command with image files: folders to train on, files to classify."""

import numpy as np
import pytest

import elulayer as el
from elulayer import cli
from elulayer.cli._pictures import unlike
from shared.command_line import error
from shared.photos import photo

Image = pytest.importorskip("PIL.Image", reason="image files need Pillow")
pytest.importorskip("safetensors", reason="saved networks need safetensors")


@pytest.fixture(scope="module")
def digits():
    return el.data.load_digits(3, n_train=200, n_test=10)


@pytest.fixture(scope="module")
def folder(digits, tmp_path_factory):
    """Twenty images of each digit."""
    root = tmp_path_factory.mktemp("images")
    for i, (image, label) in enumerate(zip(digits.X_train, digits.Y_train, strict=True)):
        (root / str(label)).mkdir(exist_ok=True)
        levels = np.rint(image[0] * 255).astype(np.uint8)
        Image.fromarray(levels).save(root / str(label) / f"{i:03d}.png")
    return root


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    data = el.data.load_digits(0, n_train=2560, n_test=10)
    options = el.TrainingOptions("sgdm", max_epochs=8, verbose=False, seed=0)
    layers = el.models.blog_layers((1, 28, 28), 10)
    path = tmp_path_factory.mktemp("saved") / "digits.safetensors"
    el.save_network(el.train_network(data.X_train, data.Y_train, layers, options)[0], path)
    return str(path)


@pytest.fixture
def pictures(digits, tmp_path):
    """A photo of each digit, as a file."""
    rng = np.random.default_rng(0)
    files = []
    for d in range(10):
        image = digits.X_train[digits.Y_train == d][0, 0]
        files.append(str(tmp_path / f"photo{d}.png"))
        Image.fromarray(np.rint(photo(image, rng) * 255).astype(np.uint8)).save(files[-1])
    return files


def test_train_and_classify_a_folder(folder, capsys, tmp_path):
    file = str(tmp_path / "a.safetensors")
    options = ["--data", str(folder), "--seed", "1"]
    train = ["train", *options, "--epochs", "2", "--batch-size", "32", "--quiet", "--save", file]
    assert cli.main(train) == 0
    accuracy = capsys.readouterr().out
    assert cli.main(["classify", file, *options]) == 0
    assert capsys.readouterr().out == accuracy
    assert el.load_network(file).classes.tolist() == list(range(10))


def test_images_of_other_classes_are_no_test(saved, folder, tmp_path, capsys):
    for digit, name in ((0, "a"), (1, "b")):
        (tmp_path / name).symlink_to(folder / str(digit))
    message = error(capsys, "classify", saved, "--data", str(tmp_path))
    assert message == (
        f"--data must hold images of the classes of {saved}, {list(range(10))}, not of 'a': give "
        "--data as it was trained with"
    )


def test_size_and_grey(folder, tmp_path, capsys):
    file = str(tmp_path / "a.safetensors")
    train = ["train", "--data", str(folder), "--epochs", "1", "--batch-size", "32", "--quiet"]
    assert cli.main([*train, "--image-size", "14x16", "--grey", "--save", file]) == 0
    assert el.load_network(file).input_layer.input_shape == (1, 14, 16)
    with pytest.raises(SystemExit):
        cli.main([*train, "--image-size", "0x5"])
    assert "must be HxW, such as 28x28, not '0x5'" in capsys.readouterr().err
    message = error(capsys, "train", "--image-size", "14")
    assert message == "--image-size must be given for a folder of image files, not for digits"


def test_photos(saved, pictures, capsys):
    """Prepared, they are recognized; as they are, the command says what is wrong with them."""
    assert cli.main(["classify", saved, *pictures, "--photo"]) == 0
    printed = capsys.readouterr()
    labels = [line.split(": ")[1][0] for line in printed.out.splitlines()]
    assert sum(label == str(d) for d, label in enumerate(labels)) >= 9
    assert printed.err == ""
    assert cli.main(["classify", saved, *pictures]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 10
    assert all("its edges are light, it may be inverted; --photo prepares" in line for line in told)


def test_images_as_they_were_trained_on(saved, folder, capsys):
    files = [str(next((folder / str(d)).iterdir())) for d in range(10)]
    assert cli.main(["classify", saved, *files]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert sum(f": {d} (" in line for d, line in enumerate(lines)) >= 8
    assert printed.err == ""
    probabilities = [float(p.split(")")[0]) for p in lines[0].split("(")[1:]]
    assert len(probabilities) == 3 and probabilities == sorted(probabilities, reverse=True)


@pytest.mark.parametrize("photo", [(), ("--photo",)])
def test_a_bad_file_costs_the_others_nothing(photo, saved, pictures, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_text("no image")
    assert cli.main(["classify", saved, pictures[0], str(bad), pictures[1], *photo]) == 1
    printed = capsys.readouterr()
    assert [line.split(": ")[0] for line in printed.out.splitlines()] == pictures[:2]
    told = [line for line in printed.err.splitlines() if "warning: " not in line]
    assert len(told) == 1 and told[0].count(str(bad)) == 1
    assert cli.main(["classify", saved, str(bad), *photo]) == 1
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("options", [(), ("--grey",)])
def test_images_that_are_in_no_sub_folder(options, folder, capsys):
    message = error(capsys, "train", "--data", str(folder / "0"), *options)
    assert message.startswith(f"{folder / '0'} must have a sub-folder of images for each class")


def test_what_the_network_was_given_is_drawn(saved, pictures, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    given = tmp_path / "given.png"
    assert cli.main(["classify", saved, *pictures[:2], "--photo", "--given", str(given)]) == 0
    assert given.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.splitlines()[-1] == f"Wrote {given}"


def test_unlike():
    rng = np.random.default_rng(0)
    mean = el.data.load_digits(0, n_train=500, n_test=10).X_train.mean(axis=0)
    digit = el.data.load_digits(1, n_train=10, n_test=10).X_train
    for image in digit:
        assert unlike(image, mean) == ""
        assert "inverted" in unlike(1 - image, mean)
        assert unlike(1 - image, np.zeros_like(mean)) == ""
        moved = np.zeros_like(image)
        moved[:, :14, :14] = image[:, ::2, ::2]
        assert "not in the middle" in unlike(moved, mean)
    assert "inverted" in unlike(rng.uniform(0.8, 1, mean.shape), mean)


def test_what_does_not_fit(saved, pictures, capsys, tmp_path):
    told = error(capsys, "classify", saved, pictures[0], "--data", "digits")
    assert told == "--data must be given for the images of a data set, not with image files"
    assert error(capsys, "classify", saved, "--photo") == "--photo must be given with image files"
    assert "none.png" in error(capsys, "classify", saved, str(tmp_path / "none.png"))
    blank = str(tmp_path / "blank.png")
    Image.fromarray(np.full((50, 50), 200, np.uint8)).save(blank)
    told = error(capsys, "classify", saved, blank, "--photo")
    assert told.startswith(f"{blank}: image must show a digit")
