"""Files that anybody may have made: read, or refused by one named error, whatever stands in them.

Hypothesis changes good files, ELULAYER_FUZZ times each; what it once found stands among the
examples.
"""

import gzip
import io
import json
import os
import re
import struct
import subprocess
import sys
import textwrap
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import elulayer as el
from elulayer import cli
from elulayer.data import load_cifar10, load_image_folder, read_idx, read_image
from elulayer.network import tensors
from elulayer.network.files import KIND
from elulayer.training import checkpoint
from shared.small_network import blobs, options, small_layers

pytest.importorskip("safetensors", reason="the extra 'train' is absent")
Image = pytest.importorskip("PIL.Image", reason="image files need Pillow")

few = settings(
    max_examples=int(os.environ.get("ELULAYER_FUZZ", "60")),
    suppress_health_check=list(HealthCheck),
    deadline=None,
)

# What is put at places: bytes at a part of the length; anything at a path of JSON.
edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=0, max_size=8), st.booleans()),
    min_size=1,
    max_size=4,
)
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(
        ["__class__", "../x", "float32", "<i8", "\udcff".encode("utf-8", "replace").decode()]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)
json_edits = st.lists(st.tuples(st.integers(0, 10**6), json_values), min_size=1, max_size=3)


def edited(data, changes):
    """Put bytes at places of a file, over what is there or between."""
    for place, new, over in changes:
        at = int(place * len(data))
        data = data[:at] + new + data[at + (len(new) if over else 0) :]
    return data


def places(value):
    """Yield the container and the key of everything in a JSON value."""
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def changed(content, changes):
    content = json.loads(json.dumps(content))
    for number, new in changes:
        every = list(places(content))
        if every:
            container, key = every[number % len(every)]
            container[key] = new
    return content


def refused_or_taken(path, read):
    """Read a file; what is wrong with it is a ValueError that names it, or the system's error."""
    message = str(path)
    try:
        result = read(path)
        assert not isinstance(result, np.ndarray) or np.isfinite(result).all()
    except ValueError as error:
        message = str(error)
    except OSError:
        pass
    assert str(path) in message


class Good(tuple):
    """A folder, and the bytes of files by their kinds: too many for hypothesis to print."""

    def __repr__(self):
        return "good"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A network, a checkpoint, an image and an IDX file, as bytes."""
    folder = tmp_path_factory.mktemp("good")
    X, Y = blobs()
    (folder / "run").mkdir()
    run = options(checkpoint_path=folder / "run", max_epochs=1)
    network, _ = el.train_network(X, Y, small_layers(), run)
    el.save_network(network, folder / "network")
    pixels = Image.fromarray((X[0, 0] * 255).astype(np.uint8))
    (point,) = (folder / "run").iterdir()
    idx = struct.pack(">HBBII", 0, 8, 2, 3, 4) + bytes(range(12))
    files = {
        "network": (folder / "network").read_bytes(),
        "checkpoint": point.read_bytes(),
        "idx": idx,
        "idx.gz": gzip.compress(idx),
        "cifar": b"".join(bytes([k]) + bytes(3072) for k in range(3)),
        "folder": png(8, 8, zlib.compress(bytes(8 * 9))),
        **{kind: encoded(pixels, kind) for kind in FORMATS},
    }
    return Good((folder, files))


# How each format is written: with all that its readers then look at.
FORMATS = {
    "PNG": {"mode": "RGBA", "exif": True},
    "JPEG": {"mode": "RGB", "exif": True},
    "GIF": {"mode": "P", "save_all": True},
    "BMP": {"mode": "L"},
    "TIFF": {"mode": "I;16", "exif": True},
    "WEBP": {"mode": "RGB"},
    "PPM": {"mode": "L"},
}


def encoded(pixels, kind):
    """Return an image file of a format, turned by EXIF where that has it."""
    how = dict(FORMATS[kind])
    image = pixels.convert(how.pop("mode"))
    if how.pop("exif", False):
        exif = Image.Exif()
        exif[0x112] = 6  # orientation
        how["exif"] = exif
    if how.get("save_all"):
        how["append_images"] = [image.rotate(90)]
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def resume(path):
    X, Y = blobs()
    el.train_network(X, Y, small_layers(), options(max_epochs=1), resume=path)


def cifar10(path):
    """Read a file in its place among the six."""
    folder = path.with_name("cifar10")
    folder.mkdir(exist_ok=True)
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        (folder / name).write_bytes(bytes(3073))
    (folder / "test_batch.bin").unlink()
    (folder / "test_batch.bin").symlink_to(path)
    try:
        return load_cifar10(folder).X_test
    except ValueError as error:
        raise ValueError(str(error).replace(str(folder / "test_batch.bin"), str(path))) from error


def image_folder(path):
    """Read a file in its place among the images of two classes."""
    folder = path.with_name("images")
    images = [folder / name / f"{number}.png" for name in ("a", "b") for number in range(2)]
    for image in images:
        image.parent.mkdir(parents=True, exist_ok=True)
        image.unlink(missing_ok=True)
        image.write_bytes(png(8, 8, zlib.compress(bytes(8 * 9))))
    images[0].unlink()
    images[0].symlink_to(path)
    try:
        return np.concatenate(load_image_folder(folder)[::2])
    except ValueError as error:
        raise ValueError(str(error).replace(str(images[0]), str(path))) from error


READERS = {
    "network": el.load_network,
    "checkpoint": resume,
    "idx": read_idx,
    "idx.gz": read_idx,
    "cifar": cifar10,
    "folder": image_folder,
    **dict.fromkeys(FORMATS, read_image),
}


@pytest.mark.parametrize("kind", READERS)
@few
@given(changes=edits)
def test_bytes(good, kind, changes):
    folder, files = good
    path = folder / f"strange {kind}"
    path.write_bytes(edited(files[kind], changes))
    refused_or_taken(path, READERS[kind])


@few
@given(changes=json_edits)
@example(changes=[(0, [])])
def test_content_of_networks(good, changes):
    """With the sum that belongs to it."""
    folder, _ = good
    arrays, content = tensors.read_tensors(folder / "network", KIND)
    path = folder / "forged network"
    try:
        tensors.write_tensors(path, KIND, arrays, changed(content, changes), "forged")
    except ValueError:  # NaN, which JSON does not have
        return
    refused_or_taken(path, el.load_network)


@few
@given(changes=json_edits)
@example(changes=[(0, "x")])
def test_content_of_checkpoints(good, changes):
    folder, _ = good
    (point,) = (folder / "run").iterdir()
    arrays, content = tensors.read_tensors(point, checkpoint.KIND)
    path = folder / "forged checkpoint"
    try:
        tensors.write_tensors(path, checkpoint.KIND, arrays, changed(content, changes), "forged")
    except ValueError:
        return
    refused_or_taken(path, resume)


@few
@given(changes=json_edits, edits=edits)
@example(changes=[], edits=[])
def test_commands(good, capsys, changes, edits):
    """Whatever the network and the image are: done, or refused in words that name the file."""
    folder, files = good
    arrays, content = tensors.read_tensors(folder / "network", KIND)
    network, image = folder / "a network", folder / "an image.png"
    image.write_bytes(edited(files["PNG"], edits))
    try:
        tensors.write_tensors(network, KIND, arrays, changed(content, changes), "forged")
    except ValueError:
        return
    for arguments in (["show", network], ["classify", network, image]):
        status = cli.main([str(argument) for argument in arguments])
        told = capsys.readouterr().err
        named = f"{network}" in told or f"{image}" in told
        assert (status, named) == (1, True) if status else "nan" not in told


@few
@given(changes=json_edits)
@example(changes=[])
def test_exported_networks(good, changes):
    """A forged network that is taken is exported whole, or refused by the layer's name."""
    onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is absent")
    folder, _ = good
    arrays, content = tensors.read_tensors(folder / "network", KIND)
    path, model = folder / "for export", folder / "model.onnx"
    model.unlink(missing_ok=True)
    try:
        tensors.write_tensors(path, KIND, arrays, changed(content, changes), "forged")
        network = el.load_network(path)
    except ValueError:
        return
    try:
        el.onnx.export_onnx(network, model)
    except ValueError:
        assert not model.exists()
    else:
        onnx.checker.check_model(onnx.load(model), full_check=True)


def test_a_bomb_is_not_unpacked(tmp_path):
    """A gigabyte of zeros in a megabyte, where the header declares twelve bytes."""
    path = tmp_path / "bomb.gz"
    header = struct.pack(">HBBII", 0, 8, 2, 3, 4)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header)
        for _ in range(64):
            file.write(bytes(2**20))
    with pytest.raises(ValueError, match=r"bomb\.gz"):
        read_idx(path)


def png(width, height, data=b"", chunks=()):
    """Return a PNG file of grey pixels that claims a size."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


IMAGE_BOMBS = {
    "a hundred million pixels": png(10**4, 10**4, zlib.compress(bytes(10**8 + 10**4))),
    "as many as there can be": png(2**31 - 1, 2**31 - 1),
    "a text": png(4, 4, chunks=[(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))]),
    "a GIF": b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(99),
    "a PPM": b"P6 12000 12000 255\n",
}


def forged(folder, source, **changes):
    """Write a network whose layers have other arguments, by the layer's class."""
    arrays, content = tensors.read_tensors(source, KIND)
    for layer in content["layers"]:
        layer["arguments"] |= changes.get(layer["class"], {})
    path = folder / "forged"
    tensors.write_tensors(path, KIND, arrays, content, "forged")
    return path


# What each claims is of terabytes, or more than the file has; it is refused before it is made.
CLAIMS = {
    "outputs": {"FullyConnectedLayer": {"num_outputs": 10**12}},
    "filters": {"Convolution2DLayer": {"num_filters": 10**12}},
    "size of filters": {"Convolution2DLayer": {"filter_size": [10**6, 10**6]}},
    "padding": {"Convolution2DLayer": {"padding": 10**4}},
    "padding of large filters": {
        "ImageInputLayer": {"input_shape": [1, 900, 900], "normalization": "none"},
        "Convolution2DLayer": {"padding": 6000},
    },
    "more padding": {"Convolution2DLayer": {"padding": 10**9}},
    "images": {"ImageInputLayer": {"input_shape": [1, 5000, 5000]}},
}

BOUNDED = """
import resource, sys
import {modules}
# What has been loaded, and 300 MB.
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 300 * 10**6,) * 2)
try:
    {call}
except ValueError as error:
    assert sys.argv[1] in str(error) and "MemoryError" not in str(error), error
else:
    raise SystemExit("taken")
"""


def refused_in_bounds(path, call, modules="elulayer"):
    """Read a file where memory is short: it must be refused by name."""
    program = textwrap.dedent(BOUNDED).format(call=call, modules=modules)
    command = [sys.executable, "-c", program, str(path)]
    process = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert process.returncode == 0, process.stderr + process.stdout


linux = pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc, to limit memory")


@linux
@pytest.mark.parametrize("kind", IMAGE_BOMBS)
def test_image_bombs(tmp_path, kind):
    path = tmp_path / "bomb.png"
    path.write_bytes(IMAGE_BOMBS[kind])
    call = "elulayer.data.read_image(sys.argv[1])"
    refused_in_bounds(path, call, "elulayer.data, PIL.Image, PIL.ImageOps")


@linux
@pytest.mark.parametrize("kind", CLAIMS)
def test_networks_that_claim_much(good, tmp_path, kind):
    path = forged(tmp_path, good[0] / "network", **CLAIMS[kind])
    refused_in_bounds(path, "elulayer.load_network(sys.argv[1])", "elulayer, safetensors.numpy")


@linux
def test_a_header_that_claims_much(tmp_path):
    path = tmp_path / "claim"
    place = {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}
    header = json.dumps({"a": place}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    refused_in_bounds(path, "elulayer.load_network(sys.argv[1])", "elulayer, safetensors.numpy")


@linux
def test_a_sparse_cifar_file(tmp_path):
    for name in (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"):
        (tmp_path / name).write_bytes(bytes(3073))
    with (tmp_path / "test_batch.bin").open("r+b") as file:
        file.truncate(3073 * 10**7)
    call = "elulayer.data.load_cifar10(sys.argv[1].removesuffix('/test_batch.bin'))"
    refused_in_bounds(tmp_path / "test_batch.bin", call, "elulayer.data")


def test_many_layers_take_no_long(good, tmp_path):
    arrays, content = tensors.read_tensors(good[0] / "network", KIND)
    path = tmp_path / "long"
    activation = {
        "class": "ReLULayer",
        "custom": None,
        "arguments": {},
        "learn_rate_factors": {},
        "l2_factors": {},
    }
    content["layers"][4:4] = [activation] * 20_000
    tensors.write_tensors(path, KIND, arrays, content, "forged")
    with pytest.raises(ValueError, match=r"long: it must hold weights of layers\[20004\]"):
        el.load_network(path)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("1.weights", np.nan, "weights of layers[1]"),
        ("4.bias", np.inf, "bias of layers[4]"),
        ("0.mean", np.nan, "mean of layers[0]"),
        ("2.variance", -1, "variance of layers[2] (BatchNormalizationLayer) must be at least 0"),
    ],
)
def test_values_that_no_training_gives(good, tmp_path, name, change, message):
    arrays, content = tensors.read_tensors(good[0] / "network", KIND)
    arrays[name] = arrays[name].copy()
    arrays[name].ravel()[0] = change
    path = tmp_path / "values"
    tensors.write_tensors(path, KIND, arrays, content, "forged")
    with pytest.raises(ValueError, match=f"(?=.*{re.escape(str(path))}).*{re.escape(message)}"):
        el.load_network(path)


def test_metadata_of_null(good, tmp_path):
    path = tmp_path / "null"
    header = json.dumps({"__metadata__": None}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(ValueError, match="null must hold 'elulayer network 1', not what was not"):
        el.load_network(path)


@linux
def test_a_sparse_network(good, tmp_path):
    """Of its header alone it is known that it is none."""
    path = tmp_path / "sparse"
    path.write_bytes((good[0] / "network").read_bytes())
    with path.open("r+b") as file:
        file.truncate(8 * 2**30)
    refused_in_bounds(path, "elulayer.load_network(sys.argv[1])", "elulayer, safetensors.numpy")


def test_an_overflow_is_told_with_the_file(good, tmp_path, capsys):
    """Finite values whose sums are not."""
    folder, files = good
    arrays, content = tensors.read_tensors(folder / "network", KIND)
    arrays = {name: np.full_like(array, 3e38) for name, array in arrays.items()}
    path, image = tmp_path / "large", tmp_path / "image.png"
    tensors.write_tensors(path, KIND, arrays, content, "forged")
    image.write_bytes(files["PNG"])
    assert cli.main(["classify", str(path), str(image)]) == 1
    assert f"{path}: the network's output is NaN" in capsys.readouterr().err


def with_labels(good, tmp_path, labels):
    arrays, content = tensors.read_tensors(good[0] / "network", KIND)
    content["classes"] = {"dtype": "<U9", "labels": labels}
    tensors.write_tensors(tmp_path / "labels", KIND, arrays, content, "forged")
    return tmp_path / "labels"


def test_a_network_without_classes_is_named(good, tmp_path, capsys):
    folder, files = good
    arrays, content = tensors.read_tensors(folder / "network", KIND)
    path, image = tmp_path / "unnamed", tmp_path / "image.png"
    tensors.write_tensors(path, KIND, arrays, content | {"classes": None}, "forged")
    image.write_bytes(files["PNG"])
    assert cli.main(["classify", str(path), str(image)]) == 1
    assert f"{path}: the network has no classes" in capsys.readouterr().err


def test_labels_are_no_commands_to_the_terminal(good, tmp_path, capsys):
    path = with_labels(good, tmp_path, ["a", "\x1b[31m", "c\x9b2J"])
    assert cli.main(["show", str(path)]) == 0
    assert "Classes: a \\x1b[31m c\\x9b2J" in capsys.readouterr().out


def test_labels_are_characters(good, tmp_path):
    path = with_labels(good, tmp_path, ["a", "\ud800", "c"])
    with pytest.raises(ValueError, match=r"labels: labels must be text that UTF-8 can write"):
        el.load_network(path)


def test_postscript_is_not_run(tmp_path):
    path = tmp_path / "program.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    with pytest.raises(ValueError, match=r"program\.png must be .* no format that is read"):
        read_image(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX systems have named pipes")
@pytest.mark.parametrize("kind", ["network", "checkpoint", "idx", "PNG"])
def test_a_pipe_and_a_device_are_not_waited_for(good, tmp_path, kind):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", os.devnull, "/dev/zero"):
        with pytest.raises(ValueError, match="must be a file, not a pipe or a device"):
            READERS[kind](path)


def test_a_loop_of_links_in_a_folder_of_images(good, tmp_path):
    """Links to folders are passed over, links that lead nowhere are no files."""
    _, files = good
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(2):
            (tmp_path / name / f"{i}.png").write_bytes(files["PNG"])
        (tmp_path / name / "up").symlink_to(tmp_path)
        (tmp_path / name / "self.png").symlink_to(tmp_path / name / "self.png")
        (tmp_path / name / "nowhere.png").symlink_to(tmp_path / "nowhere")
    data = load_image_folder(tmp_path)
    assert len(data.X_train) + len(data.X_test) == 4
