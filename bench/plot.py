"""The plot of the throughput against the size."""

from __future__ import annotations

import sys

from ceiling import gb_per_s
from peers import PEERS

# Okabe and Ito's colours, which colour-blind people can tell apart; markers say the same again.
STYLES = {
    "elulayer": {"color": "#D55E00", "marker": "o", "linewidth": 2.2},
    "elulayer-out": {"color": "#E69F00", "marker": "s", "linewidth": 2.2},
    "torch-compile": {"color": "#0072B2", "marker": "^"},
    "torch-elu": {"color": "#56B4E9", "marker": "v"},
    "jax": {"color": "#009E73", "marker": "D"},
    "numpy": {"color": "#CC79A7", "marker": "X"},
}


def draw_throughput(results, path):
    """Draw the sweep of `results`; without matplotlib say so and draw nothing."""
    sweep = [m for m in results["workloads"] if m["workload"]["kind"] == "sweep"]
    if not sweep:
        return
    try:
        import matplotlib as mpl
    except ModuleNotFoundError:
        print("No plot: matplotlib is not installed.", file=sys.stderr)
        return
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(figsize=(9, 5.2), layout="constrained")
    ceilings = [(elements(m), m["ceiling"]["gb_per_s"]) for m in sweep if m["ceiling"]]
    if ceilings:
        axes.plot(
            *zip(*ceilings, strict=True), color="black", ls="--", lw=1.5, label="fastest copy"
        )
    for key, style in STYLES.items():
        points = [(elements(m), gb_per_s(m, key, "forward")) for m in sweep if key in m["peers"]]
        if points:
            axes.plot(*zip(*points, strict=True), label=PEERS[key].name, markersize=5, **style)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.grid(axis="y", color="0.88")
    axes.set_axisbelow(True)
    axes.set_xlabel("elements of x (float32)")
    axes.set_ylabel("GB/s, read and written")
    axes.set_title(subtitle(results), fontsize=11, loc="left")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=100)
    plt.close(figure)


def elements(measured):
    return measured["workload"]["array_bytes"] // 4


def subtitle(results):
    machine = results["machine"]
    return (
        f"ELU forward, {results['threads']} threads "
        f"({machine['processor']}, {machine['instruction_set']})"
    )
