"""The results of a comparison as Markdown tables."""

from __future__ import annotations

from collections import defaultdict

from accuracy import DALPHA_BOUND
from ceiling import gb_per_s
from peers import PEERS
from workloads import ARRAYS_MOVED

TASKS = {"forward": "forward", "forward_backward": "forward + backward with alpha's gradient"}
NOTHING = ""


def markdown(results):
    parts = [introduction(results)]
    kinds = {"arrays": arrays_tables, "overhead": overhead_tables}
    for measured in results["workloads"]:
        parts += kinds.get(measured["workload"]["kind"], lambda _: [])(measured)
    parts.append(sweep_table([m for m in results["workloads"] if m["workload"]["kind"] == "sweep"]))
    return "\n".join(part for part in parts if part)


def introduction(results):
    machine = results["machine"]
    libraries = ", ".join(f"{name} {version}" for name, version in results["libraries"].items())
    quick = " A quick run: its times mean nothing." if results["quick"] else ""
    return f"""\
# elulayer beside its peers

- Times are medians, stated as multiples of elulayer's: above 1 is slower.
- GB/s counts what has to be read and written: x and Z forward; grad, x and dX for the gradients.
  The fastest copy from one array to another is the ceiling.
- Page faults, of one call, are what new arrays cost. `out=` and the copies write to arrays that are
  there already.
- Errors are the worst on these arrays (normal x and grad, alpha in 0.1 to 1): of Z and dX in ULP,
  of dalpha as a part of {DALPHA_BOUND} epsilon times the sum of its terms' magnitudes.
- Memory is how much one forward + backward adds to what is resident, at its peak.

{machine["processor"]}, {machine["cores"]} cores, {machine["caches"]}.
Threads of each peer: {results["threads"]}. Instruction set {machine["instruction_set"]}, built with
{machine["compiler"]}; Python {machine["python"]}, {libraries}.
Rounds: {results["rounds"]}, the peers in turn in each. The load average was
{machine["load_average"][0]:.2f} before the run.{quick}
"""


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def row_name(key):
    peer = PEERS[key]
    return f"{peer.name} ({peer.note})" if peer.note else peer.name


def relative(measured, key, task):
    """State a peer's time, elulayer's being 1."""
    base = measured["peers"].get("elulayer")
    if base is None:
        return NOTHING
    time = measured["peers"][key]["tasks"][task]["median_ns"]
    return f"{time / base['tasks'][task]['median_ns']:.2f}"


def of_ceiling(measured, key, task):
    if not measured["ceiling"]:
        return NOTHING
    return f"{100 * gb_per_s(measured, key, task) / measured['ceiling']['gb_per_s']:.0f} %"


def milliseconds(record):
    median, (low, high) = record["median_ns"], record["quartiles_ns"]
    return f"{median / 1e6:.3g} ({low / 1e6:.3g} to {high / 1e6:.3g})"


def error_text(error):
    if error is None:
        return NOTHING
    return f"{error:.2f}" if error < 100 else f"{error:.1e}".replace("e+0", "e")


def memory_text(peer):
    growth = peer.get("peak_memory_bytes")
    return NOTHING if growth is None else f"{growth / 2**20:.1f} MiB"


def arrays_tables(measured):
    """One table for each task."""
    return [arrays_table(measured, task) for task in measured["workload"]["tasks"]]


def arrays_table(measured, task):
    backward = task == "forward_backward"
    header = [
        "",
        "time, elulayer = 1",
        "GB/s",
        "of the fastest copy",
        "ms (quartiles)",
        "page faults",
    ]
    header += ["error of dX", "of dalpha", "memory"] if backward else ["error of Z"]
    rows = []
    for key, peer in measured["peers"].items():
        record = peer["tasks"].get(task)
        if record is None:
            continue
        row = [
            row_name(key),
            relative(measured, key, task),
            f"{gb_per_s(measured, key, task):.2f}",
            of_ceiling(measured, key, task),
            milliseconds(record),
            f"{record['median_page_faults']:.0f}",
        ]
        names = ("dX", "dalpha") if backward else ("Z",)
        row += [error_text(peer["errors"].get(name)) for name in names]
        rows.append(row + [memory_text(peer)] * backward)
    title = f"## {measured['workload']['title']}: {TASKS[task]}\n"
    return "\n".join([title, table(header, rows), notes(measured, task)])


def notes(measured, task):
    lines = []
    ceiling = measured["ceiling"]
    if ceiling:
        lines.append(f"Fastest copy: {ceiling['gb_per_s']:.2f} GB/s ({ceiling['source']}).")
    if task == "forward_backward":
        mib = 2 * measured["workload"]["array_bytes"] / 2**20
        lines.append(f"Bytes moved: {ARRAYS_MOVED[task]} arrays. Z and dX take {mib:.1f} MiB.")
    lines.append(left_out(measured["left_out"]))
    return "\n".join(line for line in lines if line) + "\n"


def left_out(reasons):
    """Name the peers that were not timed, those with the same reason together."""
    names = defaultdict(list)
    for key, reason in reasons.items():
        names[reason].append(PEERS[key].name)
    if not names:
        return ""
    return "Left out: " + "; ".join(f"{', '.join(n)}: {why}" for why, n in names.items()) + "."


def overhead_tables(measured):
    """Make a table for each task: of calls on an array so small that the call takes the time."""
    tables = []
    for task in measured["workload"]["tasks"]:
        rows = []
        for key, peer in measured["peers"].items():
            if task in peer["tasks"]:
                record = peer["tasks"][task]
                low, high = (q / 1e3 for q in record["quartiles_ns"])
                microseconds = f"{record['median_ns'] / 1e3:.2f} ({low:.2f} to {high:.2f})"
                rows.append([row_name(key), relative(measured, key, task), microseconds])
        what = "call" if task == "forward" else "calls, forward and backward,"
        title = f"## The whole {what} on {measured['workload']['title']}\n"
        header = ["", "time, elulayer = 1", "microseconds (quartiles)"]
        found = [title, table(header, rows), left_out(measured["left_out"])]
        tables.append("\n".join(found).rstrip() + "\n")
    return tables


def sweep_table(sweep):
    """Throughput of the forward function: a row for each size."""
    if not sweep:
        return ""
    # A peer may be missing for some of the sizes.
    keys = [key for key in sweep[0]["workload"]["peers"] if any(key in m["peers"] for m in sweep)]
    header = ["elements", *(PEERS[key].name for key in keys), "fastest copy"]
    rows, reasons = [], {}
    for measured in sweep:
        elements = measured["workload"]["array_bytes"] // 4
        cells = [
            f"{gb_per_s(measured, key, 'forward'):.2f}" if key in measured["peers"] else NOTHING
            for key in keys
        ]
        ceiling = measured["ceiling"]
        cells.append(f"{ceiling['gb_per_s']:.2f}, {ceiling['source']}" if ceiling else NOTHING)
        rows.append([str(elements), *cells])
        reasons.update(measured["left_out"])
    title = "## Throughput of forward by size, float32, GB/s\n"
    return "\n".join([title, table(header, rows), left_out(reasons)]).rstrip() + "\n"
