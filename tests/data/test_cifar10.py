"""CIFAR-10's binary files: order of the bytes, choice of images, damaged and missing files."""

import numpy as np
import pytest

import elulayer as el
from elulayer.data import load_cifar10

NAMES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
SIZES = [7, 10, 1, 12, 30, 20]


def write(folder):
    """Write six small files; return their records."""
    rng = np.random.default_rng(0)
    files = {}
    for name, size in zip(NAMES, SIZES, strict=True):
        records = rng.integers(0, 256, (size, 3073), dtype=np.uint8)
        records[:, 0] = rng.permutation(np.arange(size) % 10)
        (folder / name).write_bytes(records.tobytes())
        files[name] = records
    return files


@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-bin"])
def test_all_images(tmp_path, subfolder):
    (tmp_path / subfolder).mkdir(exist_ok=True)
    files = write(tmp_path / subfolder)
    data = load_cifar10(str(tmp_path))
    assert data.X_train.shape == (60, 3, 32, 32) and data.X_test.shape == (20, 3, 32, 32)
    assert data.X_train.dtype == data.X_test.dtype == np.float32
    assert data.Y_train.dtype == data.Y_test.dtype == np.int64
    train = np.concatenate([files[name] for name in NAMES[:5]])
    assert np.array_equal(data.Y_train, train[:, 0])
    assert np.array_equal(data.Y_test, files[NAMES[5]][:, 0])
    # The label, then the red plane in rows, then green, then blue.
    for i, channel, row, column in ((0, 0, 0, 0), (8, 1, 2, 3), (59, 2, 31, 31)):
        byte = train[i, 1 + 1024 * channel + 32 * row + column]
        assert data.X_train[i, channel, row, column] == np.float32(byte) / np.float32(255)
    assert np.array_equal(
        data.X_test.reshape(20, -1), files[NAMES[5]][:, 1:].astype(np.float32) / np.float32(255)
    )


def test_the_first_of_every_class(tmp_path):
    files = write(tmp_path)
    data = load_cifar10(tmp_path, n_train=20, n_test=10)
    labels = np.concatenate([files[name][:, 0] for name in NAMES[:5]])
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == c)[:2] for c in range(10)]))
    pixels = np.concatenate([files[name][:, 1:] for name in NAMES[:5]])
    assert np.array_equal(data.Y_train, labels[chosen])
    assert np.array_equal(
        data.X_train.reshape(20, -1), pixels[chosen].astype(np.float32) / np.float32(255)
    )
    assert sorted(data.Y_test) == list(range(10))


def test_missing_files_are_listed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must hold the six files .*, not 0 of them"):
        load_cifar10(tmp_path)
    write(tmp_path)
    (tmp_path / "data_batch_3.bin").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"six files .* version, not 5 of them; missing: data_batch_3\.bin$"
    ):
        load_cifar10(tmp_path)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no folder must be a folder that holds .*; it does not exist$"
    ):
        load_cifar10(tmp_path / "no folder")


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "images").mkdir()
    write(tmp_path / "images")
    assert np.array_equal(
        load_cifar10("~/images").Y_train, load_cifar10(tmp_path / "images").Y_train
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold a whole number of records of 3073 bytes, .*, not 0 bytes"),
        (bytes(3072), "not 3072 bytes"),
        (bytes(2 * 3073 + 1), "not 6147 bytes"),
        (
            bytes(3073) + b"\x0a" + bytes(3072),
            "must hold labels from 0 to 9, not 10 as in record 2",
        ),
    ],
)
@pytest.mark.parametrize("name", ["data_batch_4.bin", "test_batch.bin"])
def test_damaged_files(tmp_path, name, content, message):
    write(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_cifar10(tmp_path)
    assert str(caught.value).startswith(str(tmp_path / name))


@pytest.mark.parametrize(
    ("limits", "error", "message"),
    [
        ({"n_train": 0}, ValueError, "n_train must be at least 1, not 0"),
        (
            {"n_train": 61},
            ValueError,
            r"n_train must be at most 60, .* data_batch_1\.bin, .*, not 61",
        ),
        (
            {"n_test": 21},
            ValueError,
            r"n_test must be at most 20, .* test_batch\.bin of .*, not 21",
        ),
        ({"n_test": 2.5}, TypeError, "n_test must be an integer"),
    ],
)
def test_wrong_limits(tmp_path, limits, error, message):
    write(tmp_path)
    with pytest.raises(error, match=message):
        load_cifar10(tmp_path, **limits)


def test_the_package_exports_it():
    assert el.data.load_cifar10 is load_cifar10
