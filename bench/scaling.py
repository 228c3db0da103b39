"""What an iteration would take on more machines: a model, and a simulation that it is held against.

    python bench/scaling.py

Prints the tables of docs/parallel.md and writes them to bench/results/scaling.md. What computing
takes is of the last run of bench/parallel.py (bench/results/record.json); the networks are
assumptions.

With P ranks, each of which computes B / P of B images, gradients of n bytes, and a network that
takes `latency` for a message and n / `bandwidth` for its bytes:

    compute = iteration + image B / P
    gather  = (P - 1) (latency + n / bandwidth) + (P - 1) add       what the trainer does
    ring    = 2 (P - 1) (latency + n / (P bandwidth)) + add         an Allreduce, as DDP does it
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from record import RECORD

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
IMAGES = 128
"""Of a mini-batch, or of each rank's part where mini-batches grow with the ranks."""


@dataclass(frozen=True)
class Link:
    """A network between machines: milliseconds, and bytes a millisecond."""

    name: str
    latency: float
    bandwidth: float


LINKS = (
    Link("10 Gbit/s Ethernet, 20 us", 0.020, 1.25e6),
    Link("100 Gbit/s InfiniBand, 2 us", 0.002, 12.5e6),
)


@dataclass(frozen=True)
class Costs:
    """Milliseconds of an iteration, of an image and of adding two gradients, and their bytes."""

    iteration_ms: float
    image_ms: float
    add_ms: float
    gradient_bytes: int


def measured():
    """Return the costs on record."""
    return Costs(**json.loads(RECORD.read_text())["parallel"]["figures"]["model"])


def gather(costs, link, ranks):
    """Milliseconds until every rank has every gradient, and their sum."""
    return (ranks - 1) * (link.latency + costs.gradient_bytes / link.bandwidth + costs.add_ms)


def ring(costs, link, ranks):
    """Milliseconds of an Allreduce in a ring: of sums of parts, then of the parts of the sum."""
    if ranks == 1:
        return 0.0
    step = link.latency + costs.gradient_bytes / ranks / link.bandwidth
    return 2 * (ranks - 1) * step + costs.add_ms * (ranks - 1) / ranks


def compute(costs, images):
    return costs.iteration_ms + costs.image_ms * images


def simulate(costs, link, ranks, steps, nbytes, ready=None):
    """Milliseconds until the last rank is done: each sends to the next, `steps` times.

    A rank begins to send when the last message that it sent has left and the one that it waited for
    is there; messages take their time on the link, and then the latency.

    Parameters
    ----------
    steps, nbytes : int, float
        Messages of each rank, and their bytes.
    ready : ndarray of shape (ranks,), optional
        When each rank begins; by default all at once.
    """
    free = np.zeros(ranks) if ready is None else np.array(ready, float)
    there = free.copy()
    for _ in range(steps):
        start = np.maximum(free, there)
        free = start + nbytes / link.bandwidth
        there = np.roll(free + link.latency, 1)
    return float(np.maximum(free, there).max())


def simulated_gather(costs, link, ranks, ready=None):
    last = simulate(costs, link, ranks, ranks - 1, costs.gradient_bytes, ready)
    return last + (ranks - 1) * costs.add_ms


def simulated_ring(costs, link, ranks, ready=None):
    steps = 2 * (ranks - 1)
    last = simulate(costs, link, ranks, steps, costs.gradient_bytes / ranks, ready)
    return last + costs.add_ms * (ranks - 1) / ranks


def most_ranks(costs, link, cost):
    """Return the number of ranks with the shortest iteration."""

    def time(ranks):
        return compute(costs, IMAGES / ranks) + cost(costs, link, ranks)

    return min(range(1, IMAGES + 1), key=time)


def tables(costs):
    parts = [
        "| assumption | |",
        "|---|---|",
        f"| an iteration, whatever its images (measured) | {costs.iteration_ms:.2f} ms |",
        f"| an image, on one thread (measured) | {costs.image_ms:.4f} ms |",
        f"| the gradients | {costs.gradient_bytes} bytes |",
        f"| adding two of them (measured) | {costs.add_ms:.4f} ms |",
        *(f"| {link.name} | each rank sends and receives at once |" for link in LINKS),
        "",
    ]
    for link in LINKS:
        alone = compute(costs, IMAGES)
        parts += [
            f"{link.name}: milliseconds an iteration of {IMAGES} images, and the part of the ideal "
            f"speed where each rank has {IMAGES} of its own:",
            "",
            "| ranks | gather | ring | gather, growing | ring, growing |",
            "|---|---|---|---|---|",
        ]
        for ranks in RANKS:
            shared = compute(costs, IMAGES / ranks) if ranks <= IMAGES else None
            row = [str(ranks)]
            for cost in (gather, ring):
                row.append(f"{shared + cost(costs, link, ranks):.2f}" if shared else "")
            for cost in (gather, ring):
                row.append(f"{100 * alone / (alone + cost(costs, link, ranks)):.0f} %")
            parts.append("| " + " | ".join(row) + " |")
        best = [most_ranks(costs, link, cost) for cost in (gather, ring)]
        parts += ["", f"The shortest iteration is that of {best[0]} and {best[1]} ranks.", ""]
    return "\n".join(parts)


def main():
    text = tables(measured())
    (RECORD.parent / "scaling.md").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
