"""README and the pages: their examples run and print what they show, their links lead somewhere."""

import re
from pathlib import Path

import numpy as np
import pytest

import elulayer as el
from shared import documents

ROOT = documents.ROOT
README = ROOT / "README.md"
PLACES = ("bench", "cpp", "docs")
PAGES = ["README.md", "docs/functions.md", "docs/index.md", "docs/numerics.md", "docs/training.md"]
ELSEWHERE = {  # what else runs a page's examples
    "docs/define-your-own-layer.md": "tests/project/test_guide.py",
    "docs/gpu.md": "tests/arrays/test_gpu_arrays.py",
    "docs/images.md": "tests/doors/test_pages.py",
    "docs/jax.md": "tests/doors/test_pages.py",
    "docs/onnx.md": "tests/doors/test_pages.py",
    "docs/parallel.md": "tests/mpi/test_page.py",
    "docs/pytorch.md": "tests/doors/test_pages.py",
}

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not beside the tests")


@pytest.mark.parametrize("page", PAGES)
def test_examples(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # some write files
    if page == "docs/training.md":
        for package in ("matplotlib", "safetensors"):
            pytest.importorskip(package, reason=f"the optional package {package} is not installed")
    names = documents.run(ROOT / page)
    if page != "README.md":
        return
    x, Z, dalpha = names["x"], names["Z"], names["dalpha"]
    expected = (np.where(x > 0, 0, np.expm1(x.astype(float))) * Z).sum(axis=(0, 2, 3))
    np.testing.assert_allclose(dalpha, expected, rtol=1e-5)

    own = names["MyLeakyReLULayer"]()
    layers = [own if isinstance(layer, el.ELULayer) else layer for layer in names["layers"]]
    options = el.TrainingOptions("sgdm", max_epochs=1, verbose=False)
    network, info = el.train_network(names["X_train"], names["Y_train"], layers, options)
    assert info.loss[-1] < info.loss[0]
    assert network.layers[3].alpha != own.alpha


def test_every_page_s_examples_run():
    pages = [README, *documents.DOCS.glob("*.md")]
    examples = {str(p.relative_to(ROOT)) for p in pages if "```python" in p.read_text()}
    assert examples == {*PAGES, *ELSEWHERE}
    for page, test in ELSEWHERE.items():
        assert Path(page).stem in (ROOT / test).read_text(), f"{test} does not run {page}"


@pytest.mark.parametrize("module", ["", "data", "models", "plots", "torch", "jax"])
def test_the_reference_has_every_public_name(module):
    modules = {"data", "jax", "models", "plots", "torch"}
    name = f"elulayer.{module}" if module else "elulayer"
    if module in ("torch", "jax"):
        source = Path(el.__file__).parent / module / "__init__.py"
        public = set(re.findall(r'"(\w+)"', source.read_text().split("__all__ = ")[1]))
    else:
        public = set((getattr(el, module) if module else el).__all__) - modules
    reference = "".join(page.read_text() for page in (documents.DOCS / "reference").glob("*.rst"))
    entries = re.findall(rf"^\.\. (?:auto)?\w+:: {name}\.(\w+)$", reference, re.MULTILINE)
    assert sorted({*entries} - modules) == sorted(public)


def test_the_page_of_commands_has_each():
    from elulayer.cli import COMMANDS

    page = (documents.DOCS / "commands.md").read_text()
    shown = re.findall(r"^```\{command-output\} elulayer (\w+) --help$", page, re.MULTILINE)
    assert shown == list(COMMANDS)


def test_links_and_paths_lead_somewhere():
    """In all documents: from the document, the root, or where a reader would look for code."""
    root = ROOT
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
