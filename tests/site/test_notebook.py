"""The blog's post as a notebook: it runs from top to bottom, and shows what it says."""

import itertools
import json

import pytest

from shared import documents

nbformat = pytest.importorskip("nbformat", reason="the extra 'docs' is absent")
nbclient = pytest.importorskip("nbclient", reason="the extra 'docs' is absent")
pytest.importorskip("ipykernel", reason="the extra 'docs' is absent")

NOTEBOOK = documents.DOCS / "blog.ipynb"

pytestmark = [
    pytest.mark.skipif(not NOTEBOOK.exists(), reason="the notebook is not beside the tests"),
    # Of the notebook's client: its event loop, and a connection that stays on this machine.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]


def run(notebook):
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_outputs_are_cleared():
    for cell in json.loads(NOTEBOOK.read_text())["cells"]:
        assert cell.get("outputs", []) == [] and cell.get("execution_count") is None


def test_from_top_to_bottom():
    cells = run(nbformat.read(NOTEBOOK, as_version=4))
    pictures = [
        cell.source
        for cell in cells
        for output in cell.outputs
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 4  # curves, digits, the run's figure, the classified digit
    (accuracy,) = (cell for cell in cells if cell.source.startswith("Y_pred"))
    assert float(accuracy.outputs[0].data["text/plain"].split("(")[-1].rstrip(")")) > 0.95


LIVE = """\
import elulayer as el
X, Y, _, _ = el.data.load_digits(seed=0, n_train=256, n_test=10)
layers = el.models.blog_layers((1, 28, 28), 10)
options = el.TrainingOptions("sgdm", max_epochs=2, seed=0, plots="training-progress")
el.train_network(X, Y, layers, options)
None
"""
SEEN = """\
import IPython.display
lines, inner = [], IPython.display.DisplayHandle.update
def update(self, what, **options):
    lines.append(repr(what))
    inner(self, what, **options)
IPython.display.DisplayHandle.update = update
"""


def test_the_live_figure_is_above_the_table_and_there_is_a_bar():
    pytest.importorskip("tqdm", reason="the extra 'train' is absent")
    new = nbformat.v4
    cells = [new.new_code_cell(source) for source in (SEEN, LIVE, "print(lines)")]
    _, training, seen = run(new.new_notebook(cells=cells))
    shown = []  # what was printed without a break in it is one text
    for kind, outputs in itertools.groupby(training.outputs, lambda output: output.output_type):
        if kind == "stream":
            outputs = list(outputs)
            assert {output.name for output in outputs} == {"stdout"}
            shown.append("".join(output.text for output in outputs))
        else:
            shown += ["figure" if "image/png" in output.data else "bar" for output in outputs]
    opening, bar, figure, table = shown
    assert opening.startswith("Training ") and "Mini-batch" not in opening
    assert (bar, figure) == ("bar", "figure")
    assert table.startswith("|===") and table.count("\n") == 7
    assert "0.00/512" in seen.outputs[0].text and " images/s" in seen.outputs[0].text
