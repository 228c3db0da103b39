"""Image files, and folders of them with a sub-folder for each class."""

import os
import sys

import numpy as np
import pytest

from elulayer.data import load_image_folder, read_image
from elulayer.data.pictures import holds_image_files

Image = pytest.importorskip("PIL.Image", reason="image files need Pillow")


def save(path, values, mode=None):
    """Save an array as an image file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values))
    (image if mode is None else image.convert(mode)).save(path)
    return path


def levels(number, shape=(6, 5)):
    return (np.arange(np.prod(shape)).reshape(shape) + 10 * number).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Ten images of each of three classes; the first pixel numbers them."""
    for c, name in enumerate(("ant", "bee", "cat")):
        for i in range(10):
            save(tmp_path / name / f"{i}.png", levels(c * 10 + i) // 10 * 0 + c * 10 + i)
    return tmp_path


def numbers(X):
    return np.rint(X[:, 0, 0, 0] * 255).astype(int).tolist()


# One file


def test_grey_and_colour(tmp_path):
    grey = levels(0)
    path = save(tmp_path / "grey.png", grey)
    np.testing.assert_array_equal(read_image(path), np.float32(grey / np.float32(255))[None])
    np.testing.assert_array_equal(read_image(path, channels=3), np.stack([read_image(path)[0]] * 3))
    rgb = np.stack([levels(0), levels(5), levels(9)], axis=-1)
    path = save(tmp_path / "rgb.png", rgb)
    colour = read_image(path)
    assert colour.dtype == np.float32 and colour.shape == (3, 6, 5)
    np.testing.assert_array_equal(np.rint(colour * 255), rgb.transpose(2, 0, 1))
    assert read_image(path, channels=1).shape == (1, 6, 5)


def test_a_palette_of_greys_is_grey(tmp_path):
    image = Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4), "P")
    image.putpalette([level for level in range(0, 256, 16) for _ in "RGB"])
    image.save(tmp_path / "grey.png")
    found = read_image(tmp_path / "grey.png")
    assert found.shape == (1, 4, 4)
    assert np.array_equal(found[0] * 255, np.arange(0, 256, 16).reshape(4, 4))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_modes(mode, tmp_path):
    """White is white in all of them."""
    suffix = "tif" if mode == "CMYK" else "png"
    path = save(tmp_path / f"a.{suffix}", np.full((4, 4, 3), 255, np.uint8), mode)
    image = read_image(path)
    assert image.shape[0] == (1 if mode in ("1", "L", "LA") else 3)
    np.testing.assert_array_equal(image, 1)


def test_sixteen_bits(tmp_path):
    values = np.array([[0, 65535], [32768, 257]], np.uint16)
    path = save(tmp_path / "deep.png", values)
    np.testing.assert_allclose(read_image(path)[0], values / 65535, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_values_of_an_unknown_range(dtype, tmp_path):
    path = save(tmp_path / "a.tif", np.ones((3, 3), dtype))
    with pytest.raises(ValueError, match="of 8 or 16 bits, not of 32"):
        read_image(path)


def test_what_is_transparent_is_white(tmp_path):
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[0, 0] = 0, 0, 0, 255
    image = read_image(save(tmp_path / "a.png", rgba), channels=1)
    assert image[0, 0, 0] == 0 and (image.ravel()[1:] == 1).all()


def test_it_is_turned_as_exif_says(tmp_path):
    image = Image.fromarray(levels(0))
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    image.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(
        np.rint(read_image(tmp_path / "a.png")[0] * 255), np.rot90(levels(0), -1)
    )


def test_size(tmp_path):
    path = save(tmp_path / "a.png", np.full((8, 6), 128, np.uint8))
    assert read_image(path, image_size=(4, 9)).shape == (1, 4, 9)
    assert read_image(path, image_size=5).shape == (1, 5, 5)
    np.testing.assert_allclose(read_image(path, image_size=3), 128 / 255, rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"channels": 2}, ValueError, "channels must be 1 or 3, not 2"),
        ({"channels": [1]}, ValueError, "channels must be 1 or 3, not "),
        ({"image_size": 0}, ValueError, "image_size must be at least 1, not 0"),
        ({"image_size": "a"}, TypeError, "image_size must be an integer"),
    ],
)
def test_options_that_do_not_fit(options, error, message, folder):
    with pytest.raises(error, match=message):
        read_image(folder / "ant" / "0.png", **options)
    with pytest.raises(error, match=message):
        load_image_folder(folder, **options)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        read_image(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png must be a whole image file"):
        read_image(tmp_path / "text.png")
    whole = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 255, (50, 50), np.uint8))
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"cut\.png must be a whole image file"):
        read_image(tmp_path / "cut.png")


def test_without_pillow(monkeypatch, folder):
    monkeypatch.setitem(sys.modules, "PIL", None)
    for call in (lambda: read_image(folder / "ant/0.png"), lambda: load_image_folder(folder)):
        with pytest.raises(ImportError, match=r"pip install 'elulayer\[images\]'"):
            call()


# Folders


def test_a_part_of_each_class_is_tested_on(folder):
    data = load_image_folder(folder)
    assert data.X_train.shape == (24, 1, 6, 5) and data.X_test.shape == (6, 1, 6, 5)
    assert data.Y_test.tolist() == ["ant", "ant", "bee", "bee", "cat", "cat"]
    assert sorted(numbers(data.X_train) + numbers(data.X_test)) == list(range(30))
    names = np.array(["ant", "bee", "cat"])
    for X, Y in ((data.X_train, data.Y_train), (data.X_test, data.Y_test)):
        assert numbers(X) == sorted(numbers(X))
        assert (names[np.array(numbers(X)) // 10] == Y).all()


def test_the_seed_and_the_part(folder):
    first, again, other = (numbers(load_image_folder(folder, seed=s).X_test) for s in (0, 0, 1))
    assert first == again != other
    assert len(load_image_folder(folder, test_fraction=0.5).X_test) == 15
    assert len(load_image_folder(folder, test_fraction=1e-9).X_test) == 3
    assert len(load_image_folder(folder, test_fraction=0.999).X_train) == 3


def test_fewer_images(folder):
    data = load_image_folder(folder, n_train=5, n_test=3)
    assert np.unique(data.Y_train, return_counts=True)[1].tolist() == [2, 2, 1]
    assert data.Y_test.tolist() == ["ant", "bee", "cat"]
    with pytest.raises(ValueError, match=r"n_train must be at most 24, .* not 25"):
        load_image_folder(folder, n_train=25)


@pytest.mark.parametrize(
    ("train", "name"),
    [
        *[("train", "test"), ("train", "val"), ("train", "valid"), ("train", "validation")],
        *[("training", "testing"), ("Train", "Test")],
    ],
)
def test_folders_to_train_and_to_test_on(train, name, tmp_path):
    for i in range(4):
        for part in (train, name):
            save(tmp_path / part / f"{i % 2}" / f"{i}.png", levels(i) * 0 + i)
    data = load_image_folder(tmp_path)
    assert numbers(data.X_train) == numbers(data.X_test) == [0, 2, 1, 3]
    assert data.Y_train.dtype == np.int64 and data.Y_train.tolist() == [0, 0, 1, 1]
    save(tmp_path / name / "2" / "a.png", levels(0))
    with pytest.raises(ValueError, match=f"{train} must have a sub-folder 2, which .*{name} has"):
        load_image_folder(tmp_path)


def test_numbers_with_zeros_before_them_are_names(tmp_path):
    for name in ("01", "2", "9" * 20):
        for i in range(2):
            save(tmp_path / name / f"{i}.png", levels(i))
    assert load_image_folder(tmp_path).Y_test.tolist() == ["01", "2", "9" * 20]


def test_what_is_passed_over(folder):
    (folder / "ant" / ".hidden.png").write_text("no image")
    (folder / "ant" / "Thumbs.db").write_text("no image")
    (folder / ".cache").mkdir()
    (folder / "ant" / "up").symlink_to(folder)
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "ant" / "pipe.png")
    (folder / "readme.txt").write_text("no image")
    save(folder / "ant" / "more" / "deep" / "x.JPG", levels(3))
    data = load_image_folder(folder)
    assert len(data.X_train) + len(data.X_test) == 31


def test_colour_in_one_is_colour_in_all(folder):
    save(folder / "bee" / "colour.png", np.zeros((6, 5, 3), np.uint8))
    data = load_image_folder(folder)
    assert data.X_train.shape[1] == data.X_test.shape[1] == 3
    assert load_image_folder(folder, channels=1).X_train.shape[1] == 1


def test_sizes_that_differ(folder):
    save(folder / "bee" / "large.png", np.zeros((9, 7), np.uint8))
    with pytest.raises(ValueError, match=r"or image_size must be given, not \(.*large\.png"):
        load_image_folder(folder)
    assert load_image_folder(folder, image_size=(4, 3)).X_train.shape[2:] == (4, 3)


def test_what_cannot_be_loaded(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    with pytest.raises(FileNotFoundError, match="it does not exist"):
        load_image_folder(other / "none")
    with pytest.raises(ValueError, match="at least two, not 0"):
        load_image_folder(other)
    (folder / "dog").mkdir()
    with pytest.raises(ValueError, match=r"dog must hold images, .* there are none"):
        load_image_folder(folder)
    save(folder / "dog" / "a.png", levels(0))
    with pytest.raises(ValueError, match="dog must hold at least two images"):
        load_image_folder(folder)
    (folder / "dog" / "b.png").write_text("no image")
    with pytest.raises(ValueError, match=r"b\.png must be a whole image file"):
        load_image_folder(folder)
    with pytest.raises(ValueError, match="test_fraction must be"):
        load_image_folder(folder, test_fraction=1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are characters")
def test_a_name_that_is_no_text(folder):
    save(folder / os.fsdecode(b"\xc4pfel") / "0.png", levels(0))
    with pytest.raises(
        ValueError, match=r"folder must be text that UTF-8 can write, not .*\\udcc4pfel"
    ):
        load_image_folder(folder)


def test_which_folders_hold_images(folder, tmp_path_factory):
    assert holds_image_files(folder)
    assert not holds_image_files(folder / "ant")
    assert not holds_image_files(tmp_path_factory.mktemp("none"))
