"""The IDX reader: every type, plain and compressed; damaged files; the folder of four files."""

import gzip
import os
import struct
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elulayer.data import Dataset, load_idx, read_idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def header(code, shape):
    return struct.pack(f">HBB{len(shape)}I", 0, code, len(shape), *shape)


def encode(array):
    array = np.asarray(array)
    code = CODES[array.dtype.str[1:]]
    return header(code, array.shape) + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(params=["plain", "gzip"])
def write(request, tmp_path):
    def write(content):
        path = tmp_path / "some file"
        path.write_bytes(gzip.compress(content) if request.param == "gzip" else content)
        return path

    return write


def sample(kind, shape):
    random = np.random.default_rng(7)
    if kind.startswith("f"):
        values = random.standard_normal(shape).astype(kind)
        if values.size > 3:
            values.reshape(-1)[:4] = [np.nan, np.inf, -0.0, 5e-45]
        return values
    limits = np.iinfo(kind)
    return random.integers(limits.min, limits.max, size=shape, dtype=kind, endpoint=True)


@pytest.mark.parametrize("kind", CODES)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (3, 4), (2, 3, 4), (1, 2, 1, 2, 1), (0,)])
def test_every_type_and_shape(write, kind, shape):
    array = sample(kind, shape)
    found = read_idx(write(encode(array)))
    assert found.dtype == np.dtype(kind)
    assert found.dtype.isnative
    assert found.shape == shape
    assert found.tobytes() == array.tobytes()
    assert found.flags.c_contiguous
    assert found.flags.writeable


@pytest.mark.parametrize("shape", [(0, 28, 28), (7, 0), (0, 0), (2**32 - 1, 0)])
def test_no_elements(write, shape):
    found = read_idx(write(header(0x0B, shape)))
    assert found.shape == shape
    assert found.dtype == np.int16


def test_most_dimensions(write):
    found = read_idx(write(encode(np.full((1,) * 32, 3, np.uint8))))
    assert found.shape == (1,) * 32
    with pytest.raises(ValueError, match="must hold an array of at most 32 dimensions, not 33"):
        read_idx(write(header(0x08, (1,) * 33) + b"\0"))


def test_compression_is_found_by_content(tmp_path):
    array = sample("i4", (3, 5))
    plain, compressed = tmp_path / "plain.gz", tmp_path / "compressed"
    plain.write_bytes(encode(array))
    compressed.write_bytes(gzip.compress(encode(array)))
    assert np.array_equal(read_idx(plain), array)
    assert np.array_equal(read_idx(str(compressed)), array)


def test_several_gzip_members_and_padding(tmp_path):
    array = sample("f8", (50,))
    content = encode(array)
    path = tmp_path / "file"
    path.write_bytes(
        b"".join(gzip.compress(content[i : i + 100]) for i in range(0, len(content), 100))
        + bytes(64)
    )
    np.testing.assert_array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must be an IDX file, with a header of at least 4 bytes, not 0 bytes"),
        (b"\0", "must be an IDX file, .*, not 1 bytes"),
        (b"\0\0\x08", "must be an IDX file, .*, not 3 bytes"),
        (b"\x01\0\x08\x01\0\0\0\1x", "must be an IDX file, .*, not with the bytes 01 00 08 01"),
        (b"\0\x01\x08\x01\0\0\0\1x", "must be an IDX file, .*, not with the bytes 00 01 08 01"),
        (
            b"\0\0\x07\x01\0\0\0\1x",
            "bytes 00 00, an element type .08, 09, 0b.*, not .* 00 00 07 01",
        ),
        (b"\0\0\x0a\x01\0\0\0\1x", "00 00 0a 01"),
        (b"\x89PNG\r\n\x1a\n", "begins with the bytes 00 00, .* not with the bytes 89 50 4e 47"),
        (b"\0\0\x08\x03\0\0\0\1", "a header of 16 bytes for 3 dim.*, not 8 bytes: it is truncated"),
        (
            b"\0\0\x08\x02\0\0\0\1\0\0\0",
            "must hold a header of 12.*, not 11 bytes: it is truncated",
        ),
        (b"\0\0\x08\x00", "a header of 4 and 1 bytes of uint8.*, not 4 bytes.*: it is trunc"),
        (header(0x0C, (3, 2)) + bytes(23), "24 bytes of int32 .3, 2., not 35 bytes.*: it is trunc"),
        (header(0x0C, (3, 2)), "not 12 bytes.*: it is truncated"),
    ],
)
def test_wrong_and_short_files(write, content, message):
    path = write(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path)
    assert str(caught.value).startswith(str(path))


def test_trailing_bytes(tmp_path):
    content = encode(sample("i2", (4,))) + b"\0"
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a header of 8 and 8 .*, not 17 bytes: it is too long"):
        read_idx(path)
    path.write_bytes(gzip.compress(content))
    with pytest.raises(
        ValueError, match=r"must hold .*, not more bytes in a gzip file: it is too long"
    ):
        read_idx(path)
    path.write_bytes(gzip.compress(content[:-1]) + gzip.compress(b"\0"))
    with pytest.raises(ValueError, match="too long"):
        read_idx(path)


def peak_of_failure(path, message):
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            read_idx(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "shape",
    [
        (2**30,),
        (2**32 - 1,),
        (2**30, 2**30),
        (2**31, 2**31, 2**31),
        (2**32 - 1,) * 32,
        (0, *(2**32 - 1,) * 8),
    ],
)
@pytest.mark.parametrize("code", [0x08, 0x0E])
def test_huge_header_takes_no_memory(write, code, shape):
    path = write(header(code, shape) + bytes(1000))
    assert peak_of_failure(path, "truncated|fits into memory") < 4 << 20


def test_gzip_bomb_takes_no_memory(tmp_path):
    path = tmp_path / "bomb"
    with gzip.open(path, "wb") as file:
        file.write(header(0x08, (10,)))
        for _ in range(64):
            file.write(bytes(1 << 20))
    assert path.stat().st_size < 1 << 20
    assert peak_of_failure(path, "too long") < 4 << 20


def test_gzip_that_could_hold_what_it_declares_takes_what_it_holds(tmp_path):
    random = np.random.default_rng(0).bytes(1 << 20)
    path = tmp_path / "short"
    path.write_bytes(gzip.compress(header(0x08, (1000, 1 << 20)) + random))
    assert peak_of_failure(path, "not 1048588 bytes in a gzip file: it is truncated") < 8 << 20


def test_damaged_compression(tmp_path):
    whole = gzip.compress(encode(sample("i4", (100, 10))))
    path = tmp_path / "damaged"
    damaged = {
        "checksum": whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:],
        "length": whole[:-1] + bytes([whole[-1] ^ 1]),
        "data": whole[:40] + bytes([whole[40] ^ 0xFF]) + whole[41:],
        "cut in the checksum": whole[:-3],
        "cut in the data": whole[: len(whole) // 2],
        "cut in the header": whole[:5],
        "the magic bytes alone": whole[:2],
        "another method": whole[:2] + b"\x07" + whole[3:],
        "something behind": whole + b"something",
    }
    for damage, content in damaged.items():
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match="must be a whole gzip file, not a damaged one"
        ) as caught:
            read_idx(path)
        assert str(path) in str(caught.value), damage


def test_files_that_cannot_be_opened(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nothing")
    with pytest.raises(OSError, match="directory" if os.name == "posix" else ""):
        read_idx(tmp_path)


def reference(content):
    """Return the array that the bytes hold, or None, told by the format's definition alone."""
    kinds = {code: kind for kind, code in CODES.items()}
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in kinds or content[3] > 32:
        return None
    end = 4 + 4 * content[3]
    if len(content) < end:
        return None
    shape = struct.unpack(f">{content[3]}I", content[4:end])
    dtype = np.dtype(kinds[content[2]])
    size = extent = dtype.itemsize
    for length in shape:
        size *= length
        extent *= max(length, 1)
    if len(content) - end != size or extent > sys.maxsize:
        return None
    return np.frombuffer(content, dtype.newbyteorder(">"), offset=end).reshape(shape)


def check_against_reference(path, content, expected):
    path.write_bytes(content)
    if expected is None:
        with pytest.raises(ValueError, match=r" must (hold|be) .*, not ") as caught:
            read_idx(path)
        assert str(caught.value).startswith(str(path))
    else:
        found = read_idx(path)
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype.newbyteorder("=")
        assert found.tobytes() == expected.astype(found.dtype).tobytes()


@st.composite
def contents(draw):
    code = draw(st.sampled_from([*CODES.values(), 0x0A]) | st.integers(0, 255))
    extents = st.integers(0, 3) | st.integers(0, 2**32 - 1)
    shape = draw(st.lists(extents, max_size=5) | st.lists(st.integers(0, 2), max_size=4))
    start = header(code, shape)
    size = {0x0B: 2, 0x0C: 4, 0x0D: 4, 0x0E: 8}.get(code, 1)
    for extent in shape:
        size *= extent
    body = draw(st.binary(max_size=64))
    if size <= 1000 and draw(st.booleans()):
        body = (body * (size + 1) + bytes(size))[:size]
    content = start + body
    cut = draw(st.none() | st.integers(0, len(content)))
    return content[:cut]


@settings(deadline=None, max_examples=300)
@given(content=contents() | st.binary(max_size=40))
def test_any_plain_bytes(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("idx", numbered=True) / "file"
    if content[:2] != b"\x1f\x8b":
        check_against_reference(path, content, reference(content))


@settings(deadline=None, max_examples=300)
@given(content=contents())
def test_any_compressed_bytes(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("idx", numbered=True) / "file"
    check_against_reference(path, gzip.compress(content), reference(content))


@settings(deadline=None, max_examples=300)
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255), cut=st.none() | st.integers(2, 10**6))
def test_any_damage_to_a_compressed_file(tmp_path_factory, place, flip, cut):
    array = sample("i2", (20, 3))
    damaged = bytearray(gzip.compress(encode(array), mtime=0))
    damaged[place % len(damaged)] ^= flip
    if cut is not None:
        del damaged[max(2, cut % len(damaged)) :]
    path = tmp_path_factory.mktemp("idx", numbered=True) / "file"
    path.write_bytes(damaged)
    try:
        found = read_idx(path)
    except ValueError as error:
        message = str(error)
    else:
        message = f"{path} must be whole"
        # Only the parts of gzip's header that say nothing about the data were hit.
        assert np.array_equal(found, array)
    assert message.startswith(f"{path} must ")


IMAGES = {"train": (60, 5, 4), "t10k": (30, 5, 4)}


def contents_of_folder():
    random = np.random.default_rng(3)
    files = {}
    for part, shape in IMAGES.items():
        images = random.integers(0, 256, size=shape).astype(np.uint8)
        labels = random.permutation(np.arange(shape[0]) % 10).astype(np.uint8)
        files[f"{part}-images"] = images
        files[f"{part}-labels"] = labels
    return files


def write_folder(folder, files, separator="-", suffix=""):
    for name, array in files.items():
        dimensions = 3 if "images" in name else 1
        content = encode(array)
        path = folder / f"{name}{separator}idx{dimensions}-ubyte{suffix}"
        path.write_bytes(gzip.compress(content) if suffix else content)


@pytest.mark.parametrize("separator", ["-", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_folder(tmp_path, separator, suffix):
    files = contents_of_folder()
    write_folder(tmp_path, files, separator, suffix)
    data = load_idx(str(tmp_path))
    assert isinstance(data, Dataset)
    for X, Y, part in ((data[0], data[1], "train"), (data[2], data[3], "t10k")):
        images = files[f"{part}-images"]
        assert X.shape == (images.shape[0], 1, *images.shape[1:])
        assert X.dtype == np.float32
        assert np.array_equal(X[:, 0], images.astype(np.float32) / np.float32(255))
        assert Y.dtype == np.int64
        assert np.array_equal(Y, files[f"{part}-labels"])


def test_plain_file_goes_before_a_compressed_one(tmp_path):
    files = contents_of_folder()
    write_folder(tmp_path, files)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"not read")
    (tmp_path / "train-images.idx3-ubyte").write_bytes(b"not read")
    assert len(load_idx(tmp_path).X_train) == 60


def test_first_training_and_last_test_images_of_every_class(tmp_path):
    files = contents_of_folder()
    write_folder(tmp_path, files)
    data = load_idx(tmp_path, n_train=20, n_test=13)
    labels = files["train-labels"]
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == c)[:2] for c in range(10)]))
    assert np.array_equal(data.Y_train, labels[chosen])
    assert np.array_equal(
        data.X_train[:, 0], files["train-images"][chosen].astype(np.float32) / np.float32(255)
    )
    counts = np.bincount(data.Y_test, minlength=10)
    assert sorted(counts) == [1] * 7 + [2] * 3
    labels = files["t10k-labels"]
    last = [np.flatnonzero(labels == c)[-count:] for c, count in enumerate(counts)]
    chosen = np.sort(np.concatenate(last))
    assert np.array_equal(data.Y_test, labels[chosen])
    assert np.array_equal(
        data.X_test[:, 0], files["t10k-images"][chosen].astype(np.float32) / np.float32(255)
    )


def test_all_images_by_number(tmp_path):
    files = contents_of_folder()
    write_folder(tmp_path, files)
    whole, counted = load_idx(tmp_path), load_idx(tmp_path, n_train=60, n_test=30)
    assert all(np.array_equal(a, b) for a, b in zip(whole, counted, strict=True))


def test_small_classes_are_taken_whole(tmp_path):
    files = contents_of_folder()
    files["train-labels"] = np.repeat([3, 7, 200], [50, 8, 2]).astype(np.uint8)
    write_folder(tmp_path, files)
    Y = load_idx(tmp_path, n_train=30).Y_train
    assert [np.count_nonzero(c == Y) for c in (3, 7, 200)] == [20, 8, 2]
    assert len(load_idx(tmp_path, n_train=1).Y_train) == 1


def test_missing_files_are_listed(tmp_path):
    write_folder(tmp_path, contents_of_folder())
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    (tmp_path / "t10k-images-idx3-ubyte").unlink()
    (tmp_path / "t10k-images-idx3-ubyte").mkdir()
    with pytest.raises(FileNotFoundError) as caught:
        load_idx(tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path} must hold the four IDX files, not 2 of them")
    for name in ("train-labels-idx1-ubyte", "train-labels.idx1-ubyte", "t10k-images-idx3-ubyte.gz"):
        assert name in message
    assert "train-images" not in message
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(FileNotFoundError, match="must hold the four IDX files, not 0 of them"):
        load_idx(empty)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"no folder must be a folder that .* IDX files; it does not exist"
    ):
        load_idx(tmp_path / "no folder")
    (tmp_path / "file").touch()
    with pytest.raises(
        NotADirectoryError, match=r"file must be a folder that holds .*, not a file"
    ):
        load_idx(tmp_path / "file")


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    write_folder(tmp_path, contents_of_folder())
    assert len(load_idx("~").Y_train) == len(load_idx(tmp_path).Y_train)
    labels = "t10k-labels-idx1-ubyte"
    assert np.array_equal(read_idx(f"~/{labels}"), read_idx(tmp_path / labels))


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        (
            "train-images",
            np.zeros((60, 20), np.uint8),
            "images: uint8 of 3 dimensions, not uint8 of 2",
        ),
        ("train-images", np.zeros((60, 5, 4), np.int8), "must hold images: .*, not int8 of 3"),
        (
            "t10k-labels",
            np.zeros((30, 1), np.uint8),
            "labels: uint8 of 1 dimensions, not uint8 of 2",
        ),
        ("t10k-labels", np.zeros(30, np.int32), "must hold labels: .*, not int32 of 1"),
        (
            "train-labels",
            np.zeros(59, np.uint8),
            "must hold 60 labels, one per image of .*, not 59",
        ),
        (
            "t10k-images",
            np.zeros((30, 4, 5), np.uint8),
            r"must hold images of \(5, 4\) pixels.*not of \(4, 5\)",
        ),
        (
            "t10k-images",
            np.zeros((30, 0, 5), np.uint8),
            r"at least one image, not .* shape \(30, 0, 5\)",
        ),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, name, array, message):
    write_folder(tmp_path, {**contents_of_folder(), name: array})
    with pytest.raises(ValueError, match=message):
        load_idx(tmp_path)


def test_no_images(tmp_path):
    empty = {"train-images": np.zeros((0, 5, 4), np.uint8), "train-labels": np.zeros(0, np.uint8)}
    write_folder(tmp_path, {**contents_of_folder(), **empty})
    with pytest.raises(ValueError, match=r"at least one image, not .* shape \(0, 5, 4\)"):
        load_idx(tmp_path)


@pytest.mark.parametrize(
    ("limits", "error", "message"),
    [
        ({"n_train": 0}, ValueError, "n_train must be at least 1, not 0"),
        ({"n_test": -3}, ValueError, "n_test must be at least 1, not -3"),
        ({"n_train": 61}, ValueError, "n_train must be at most 60, .*, not 61"),
        ({"n_test": 31}, ValueError, "n_test must be at most 30, .*, not 31"),
        ({"n_train": 5.0}, TypeError, "n_train must be an integer, not 5.0"),
        ({"n_test": True}, TypeError, "n_test must be an integer, not True"),
    ],
)
def test_wrong_limits(tmp_path, limits, error, message):
    write_folder(tmp_path, contents_of_folder())
    with pytest.raises(error, match=message):
        load_idx(tmp_path, **limits)
