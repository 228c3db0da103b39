"""Documents whose code runs in its order, and prints what they show."""

import contextlib
import doctest
import io
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

# A block of code, and the output that the document shows after it.
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)


def programs(document):
    """Return its programs of Python, each with the output that is shown after it."""
    text = document.read_text()
    for block in re.split(r"^```python\n", text, flags=re.MULTILINE)[1:]:
        code, rest = block.split("```\n", 1)
        yield code, re.search(r"^```text\n(.*?)^```\n", rest, re.DOTALL | re.MULTILINE)[1]


def same(shown, printed):
    """Whether this is what a document shows; its ... stands for what differs between machines."""
    return doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)


def run(document):
    """Run its blocks, compare what they print; return the names that they leave."""
    text = document.read_text()
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```python") > 0
    assert sum(block[2] is not None for block in blocks) == text.count("```text")
    names = {"__name__": document.stem}
    for block in blocks:
        # Empty lines before it, so that tracebacks have the document's line numbers.
        line = text.count("\n", 0, block.start()) + 1
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * line + block[1], str(document), "exec"), names)
        shown = block[2] or ""
        assert same(shown, printed.getvalue()), (
            f"{document.name}, line {line}, shows\n{shown}\nand prints\n{printed.getvalue()}"
        )
    return names
