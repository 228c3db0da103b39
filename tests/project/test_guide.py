"""The guide's code runs in its order, and prints what the guide shows."""

import re

import numpy as np
import pytest

import elulayer as el
from shared import documents

GUIDE = documents.DOCS / "define-your-own-layer.md"

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not beside the tests")


def test_guide(tmp_path, monkeypatch):
    for package in ("matplotlib", "safetensors"):
        pytest.importorskip(package, reason=f"the optional package {package} is not installed")
    monkeypatch.chdir(tmp_path)
    names = documents.run(GUIDE)

    # What the guide says about what it does not show.
    assert names["accuracy"] > 0.8
    assert (names["leaky"].classify(names["X_test"]) == names["Y_test"]).mean() > 0.8
    assert names["leaky"].layers[3].alpha != np.float32(0.1)
    assert names["layers"][3].alpha is None
    assert names["learned"].shape == (20, 1, 1)

    # Its pictures are those that its code makes (docs/make_picture.py).
    shown = set(re.findall(r"\]\(pictures/(.*?)\)", GUIDE.read_text()))
    assert shown == {picture.name for picture in tmp_path.glob("*.png")} != set()


def test_the_guides_mistake_cannot_be_seen_in_the_accuracy(tmp_path, monkeypatch):
    """The layer as the guide first has it learns to classify all the same."""
    monkeypatch.chdir(tmp_path)
    blocks = documents.BLOCK.findall(GUIDE.read_text())
    names = {}
    for code, _ in blocks[:3]:
        exec(code, names)
    wrong = names["MyELULayer"](20)
    assert not el.check_layer(wrong, (20, 24, 24))
    layers = [
        el.ImageInputLayer((1, 28, 28)),
        el.Convolution2DLayer(5, 20),
        el.BatchNormalizationLayer(),
        wrong,
        el.FullyConnectedLayer(10),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]
    X_train, Y_train, X_test, Y_test = el.data.load_digits(seed=0, n_train=1000, n_test=500)
    options = el.TrainingOptions("sgdm", max_epochs=4, seed=0, verbose=False)
    network, _ = el.train_network(X_train, Y_train, layers, options)
    assert (network.classify(X_test) == Y_test).mean() > 0.8
