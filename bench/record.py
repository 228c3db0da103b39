"""Where a command's results go: its table, all its numbers, and the few figures that are kept.

The table NAME.md and record.json are in bench/results/, and everything that was measured is in
bench/raw/NAME.json, which is not under version control. record.json has an entry for each table:
its date, its machine, the versions of what ran, and the medians behind the figures in the READMEs.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

BENCH = Path(__file__).parent
RAW = BENCH / "raw"
RECORD = BENCH / "results" / "record.json"
MACHINE = (
    "processor",
    "usable_processors",
    "caches",
    "instruction_set",
    "compiler",
    "python",
    "numpy",
    "elulayer",
    "device",
    "cuda",
    "torch",
)


def publish(name, table, results, figures, folder=None):
    """Write a table, the numbers behind it and the entry of record.json.

    Parameters
    ----------
    results : dict
        Ready for JSON, with the "machine" and, where others ran beside elulayer, the "libraries".
    figures : dict of dict
        What the record keeps.
    folder : Path, optional
        Takes the table and the numbers; the record stays as it is then.
    """
    files = {
        (folder or RECORD.parent) / f"{name}.md": table,
        (folder or RAW) / f"{name}.json": json.dumps(results, indent=1) + "\n",
    }
    if not folder:
        record = json.loads(RECORD.read_text())
        record[name] = entry(results, figures)
        files[RECORD] = layout(record)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def entry(results, figures):
    about = results["machine"]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": {key: about[key] for key in MACHINE if key in about},
        "libraries": results.get("libraries", {}),
        "figures": figures,
    }


def layout(record):
    """Lay out JSON with the innermost objects on a line each."""
    text = json.dumps(record, indent=1)
    return re.sub(r"\{[^{}]*\}", lambda match: " ".join(match[0].split()), text) + "\n"
