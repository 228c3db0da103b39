"""The tables of bench/gpu.py."""

from __future__ import annotations

# How many times as long torch takes for backward alone, at least.
TIMES_TARGETS = {"torch eager, composed": 3.0, "torch.compile, composed": 1.3}
TASKS = ("copy", "sum", "forward", "with memory", "backward", "forward + backward")
BEST = "elulayer, out="


def find(case, name, task):
    """Return the entry of a contender; None where it has not been timed."""
    found = (e for e in case["contenders"] if (e["name"], e["task"]) == (name, task))
    return next(found, None)


def copy_rate(case):
    """GB/s of the fastest copy; None where there is none."""
    return max((e["gb_per_s"] for e in case["contenders"] if e["task"] == "copy"), default=None)


def reference_entry(case, task):
    """Return elulayer's entry that others of the task are compared with."""
    return find(case, BEST, task) or find(case, "elulayer", task)


def target_rows(cases):
    """List the targets: what is measured, the value, the target, whether it is met.

    The value is None, and the target not met, where something has not been timed.
    """
    rows = []
    for case in cases:
        ceiling = copy_rate(case)
        for task in ("forward", "backward") if case.get("rate_target") else ():
            entry = find(case, BEST, task)
            value = entry["gb_per_s"] / ceiling if entry and ceiling else None
            rows.append(row(case, f"{task}, of the copy's rate", value, case["rate_target"]))
        for name, target in TIMES_TARGETS.items() if case.get("times_targets") else ():
            ours, theirs = find(case, BEST, "backward"), find(case, name, "backward")
            value = theirs["median_ms"] / ours["median_ms"] if ours and theirs else None
            rows.append(row(case, f"backward, times faster than {name}", value, target))
    return rows


def row(case, what, value, target):
    met = value is not None and value >= target
    return {"case": case["title"], "what": what, "value": value, "target": target, "met": met}


def number(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}"


def table(head, rows):
    """Lay out a Markdown table; columns after the first are numbers."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    lines += [f"| {' | '.join(cells)} |" for cells in rows]
    return [*lines, ""]


def case_lines(case):
    """One workload: its table and what is missing there."""
    lines = [f"## {case['title']}", ""]
    if case["contenders"]:
        lines += [
            f"Arrays of {case['array_bytes'] / 1e6:.0f} MB, {case['sets']} sets of them in turn.",
            "",
        ]
        ceiling = copy_rate(case)
        order = sorted(case["contenders"], key=lambda e: TASKS.index(e["task"]))
        rows = []
        for entry in order:
            ours = reference_entry(case, entry["task"])
            ratio = entry["median_ms"] / ours["median_ms"] if ours else None
            quartiles = "-".join(number(q, 3) for q in entry["quartiles_ms"][::2])
            rows.append(
                [
                    f"{entry['task']}: {entry['name']}",
                    f"{number(entry['median_ms'], 3)} ({quartiles})",
                    number(entry["gb_per_s"], 0),
                    number(entry["gb_per_s"] / ceiling if ceiling else None),
                    number(ratio),
                    str(entry["rounds"]),
                ]
            )
        head = ["", "ms (quartiles)", "GB/s", "of the copy", "time, elulayer = 1", "rounds"]
        lines += table(head, rows)
    lines += [f"Not timed: {group}: {why}" for group, why in case["left_out"].items()]
    return [*lines, ""] if case["left_out"] else lines


def markdown(results):
    """Return everything as Markdown."""
    machine = results["machine"]
    targets = results["targets"]
    met = sum(target["met"] for target in targets)
    lines = [
        f"# elulayer on {machine['device']}",
        "",
        "- GB/s counts what has to be read and written: x and Z forward (and the memory, with it);",
        "  grad, x and dX for the gradients. The fastest of the copies, which read one array and",
        "  write one, is the copy that others are compared with.",
        "- Times are medians of the device's own, from event to event; elulayer with `out=` is 1,",
        "  where it has it.",
        "- The results of elulayer and of the compositions were compared with float64 first.",
        "",
        f"{machine['cuda']}; torch {machine['torch']} (CUDA {machine['torch_cuda']}), Python "
        f"{machine['python']}, elulayer {machine['elulayer']}.",
        "",
    ]
    if results["quick"]:
        lines += ["A run on small arrays: the times mean nothing.", ""]
    lines += [f"## Targets: {met} of {len(targets)} met", ""]
    lines += table(
        ["", "measured", "target", "met"],
        [
            [
                f"{target['case']}: {target['what']}",
                number(target["value"]) or "not timed",
                number(target["target"]),
                "yes" if target["met"] else "no",
            ]
            for target in targets
        ],
    )
    for case in results["cases"]:
        lines += case_lines(case)
    lines += ["## One call from Python, (1, 20, 4, 4) float32", ""]
    lines += table(
        ["", "microseconds"],
        [[name, number(value, 1)] for name, value in results["small_calls_us"].items()],
    )
    if results["many_elements"]:
        lines += ["## More elements than 32 bits count", ""]
        lines += [f"- {title}: {what}" for title, what in results["many_elements"].items()]
        lines += [""]
    if results["no_time"]:
        lines += ["## No time was left for", ""]
        lines += [f"- {title}" for title in results["no_time"]]
        lines += [""]
    return "\n".join(lines)
