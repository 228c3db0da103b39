"""The README's Python examples run, in their order."""

import functools
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import elulayer as el

README = Path(__file__).parents[2] / "README.md"
PLACES = ("bench", "cpp", "docs")


@pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")
def test_python_examples(monkeypatch, tmp_path, capsys):
    """On fewer images and epochs than the README's, so that it takes a second."""
    monkeypatch.chdir(tmp_path)  # some write files
    load_digits = el.data.load_digits
    monkeypatch.setattr(el.data, "load_digits", functools.partial(load_digits, n_train=1280))
    quick = functools.partial(el.TrainingOptions, max_epochs=3, verbose=False)
    monkeypatch.setattr(el, "TrainingOptions", quick)
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(blocks) >= 3
    names = {}
    for block in blocks:
        if 'device="cuda"' in block:  # tests/arrays/test_gpu_arrays.py runs it
            continue
        exec(compile(block, str(README), "exec"), names)

    assert "16 passed, 0 failed" in capsys.readouterr().out  # of the layer of one's own
    assert names["accuracy"] > 0.7
    x, alpha, dalpha = names["x"], names["alpha"], names["dalpha"]
    expected = (np.where(x > 0, 0, np.expm1(x.astype(float))) * names["grad"]).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(dalpha, expected, rtol=1e-5)
    assert names["dX"].shape == x.shape
    assert alpha.shape == (20,)

    own = names["MyLeakyReLULayer"]()
    layers = [own if isinstance(layer, el.ELULayer) else layer for layer in names["layers"]]
    network, info = el.train_network(names["X_train"], names["Y_train"], layers, quick("sgdm"))
    assert info.loss[-1] < info.loss[0]
    assert network.layers[3].alpha != own.alpha


@pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")
def test_the_index_has_every_public_name_where_it_is():
    links = re.findall(r"\[`(\w+)`\]\(([\w/.]+)\)", README.read_text())
    assert sorted(name for name, _ in links) == sorted(set(el.__all__) - {"__version__"})
    for name, path in links:
        public = getattr(el, name)
        source = sys.modules[public.__module__] if hasattr(public, "__module__") else public
        assert Path(source.__file__).parts[-2:] == Path(path).parts[-2:]


@pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")
def test_links_and_paths_lead_somewhere():
    """In all documents: from the document, the root, or where a reader would look for code."""
    root = README.parent
    bases = [root, root / "cpp", root / "cpp/include", root / "python/elulayer"]
    made = {"raw/", "build/gpu/"}  # by the benchmarks
    for document in [*root.glob("*.md"), *(p for d in PLACES for p in (root / d).rglob("*.md"))]:
        text = document.read_text()
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
        for path in set(re.findall(r"`([\w.-]+/[\w./-]*)`", text)) - made:
            assert any((base / path).exists() for base in [document.parent, *bases]), (
                f"{document.name}: {path}"
            )
