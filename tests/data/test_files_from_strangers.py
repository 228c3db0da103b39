"""Files that anybody may have made: read, or refused by one named error, whatever stands in them.

Hypothesis changes good files, ELULAYER_FUZZ times each; what it once found stands among the
examples.
"""

import gzip
import json
import os
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import elulayer as el
from elulayer.data import read_idx, read_image
from elulayer.network import tensors
from elulayer.network.files import KIND
from elulayer.training import checkpoint
from shared.small_network import blobs, options, small_layers

pytest.importorskip("safetensors", reason="the extra 'train' is absent")
Image = pytest.importorskip("PIL.Image", reason="image files need Pillow")

few = settings(
    max_examples=int(os.environ.get("ELULAYER_FUZZ", "150")),
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
        read(path)
    except ValueError as error:
        message = str(error)
    except OSError:
        pass
    assert str(path) in message


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A network, a checkpoint, an image and an IDX file, as bytes."""
    folder = tmp_path_factory.mktemp("good")
    X, Y = blobs()
    (folder / "run").mkdir()
    run = options(checkpoint_path=folder / "run", max_epochs=1)
    network, _ = el.train_network(X, Y, small_layers(), run)
    el.save_network(network, folder / "network")
    Image.fromarray((X[0, 0] * 255).astype(np.uint8)).save(folder / "image.png")
    (point,) = (folder / "run").iterdir()
    idx = struct.pack(">HBBII", 0, 8, 2, 3, 4) + bytes(range(12))
    return folder, {
        "network": (folder / "network").read_bytes(),
        "checkpoint": point.read_bytes(),
        "image": (folder / "image.png").read_bytes(),
        "idx": idx,
        "idx.gz": gzip.compress(idx),
    }


def resume(path):
    X, Y = blobs()
    el.train_network(X, Y, small_layers(), options(max_epochs=1), resume=path)


READERS = {
    "network": el.load_network,
    "checkpoint": resume,
    "image": read_image,
    "idx": read_idx,
    "idx.gz": read_idx,
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
