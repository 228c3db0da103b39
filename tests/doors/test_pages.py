"""The pages about other frameworks: their code runs, and prints what they show."""

import pytest

from shared import documents

PAGES = {
    "images": ["PIL", "scipy"],
    "jax": ["jax"],
    "onnx": ["onnx", "onnxruntime"],
    "pytorch": ["torch"],
}


@pytest.mark.parametrize("page", PAGES)
def test_page(page, tmp_path, monkeypatch):
    for package in PAGES[page]:
        pytest.importorskip(package, reason=f"the optional package {package} is not installed")
    document = documents.DOCS / f"{page}.md"
    if not document.exists():
        pytest.skip("the documentation is not beside the tests")
    monkeypatch.chdir(tmp_path)
    documents.run(document)
