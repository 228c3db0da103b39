"""What an iteration would take on more machines: a model, and a simulation that it is held against.

    python bench/scaling.py

Prints the tables of docs/parallel.md and writes them to bench/results/scaling.md. What computing
takes is of the last run of bench/parallel.py (bench/results/record.json); the networks are
assumptions.

With P ranks, each of which computes B / P of B images, gradients of n bytes, and a network that
takes `latency` for a message and n / `bandwidth` for its bytes:

    compute = that of B / P images on one thread, between those measured
    small   = 3 ceil(log2 P) latency                            lengths, and what all must agree on
    gather  = small + (P - 1) (latency + n / bandwidth + add)   what the trainer does: P parts
    ring    = 2 (P - 1) (latency + n / (P bandwidth)) + add     an Allreduce, as DDP does it
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from record import RECORD

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
SMALL_EXCHANGES = 3
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
    """Milliseconds of iterations of 1, 2, 4 ... images and of adding two gradients; their bytes."""

    iteration_ms: tuple[float, ...]
    add_ms: float
    gradient_bytes: int


def measured():
    """Return the costs on record."""
    model = json.loads(RECORD.read_text())["parallel"]["figures"]["model"]
    return Costs(**model | {"iteration_ms": tuple(model["iteration_ms"])})


def gather(costs, link, ranks):
    """Milliseconds until every rank has every gradient, and their sum."""
    small = SMALL_EXCHANGES * rounds(ranks) * link.latency
    each = link.latency + costs.gradient_bytes / link.bandwidth + costs.add_ms
    return small + (ranks - 1) * each


def rounds(ranks):
    """Messages that a rank sends, one after the other, until all know what each has to say."""
    return (ranks - 1).bit_length()


def ring(costs, link, ranks):
    """Milliseconds of an Allreduce in a ring: of sums of parts, then of the parts of the sum."""
    if ranks == 1:
        return 0.0
    step = link.latency + costs.gradient_bytes / ranks / link.bandwidth
    return 2 * (ranks - 1) * step + costs.add_ms * (ranks - 1) / ranks


def compute(costs, images):
    """Milliseconds of an iteration of so many images: a line between those measured."""
    known = [2**power for power in range(len(costs.iteration_ms))]
    return float(np.interp(images, known, costs.iteration_ms))


def simulate(link, distances, nbytes, ready):
    """Return when each rank is done that sends messages, to ranks at these distances.

    A rank begins to send when the last message that it sent has left and the one that it waited for
    is there; messages take their time on the link, and then the latency.

    Parameters
    ----------
    distances : sequence of int
        To whom each message goes, counted from its sender.
    nbytes : float
        Of a message.
    ready : ndarray of shape (ranks,)
        When each rank begins.
    """
    free = there = np.array(ready, float)
    for distance in distances:
        start = np.maximum(free, there)
        free = start + nbytes / link.bandwidth
        there = np.roll(free + link.latency, distance)
    return np.maximum(free, there)


def simulated_gather(costs, link, ready):
    """Milliseconds until the last rank has the sum of all gradients."""
    ranks = len(ready)
    for _ in range(SMALL_EXCHANGES - 1):  # before the gradients; what all agree on comes after
        ready = simulate(link, [2**k for k in range(rounds(ranks))], 0, ready)
    ready = simulate(link, [1] * (ranks - 1), costs.gradient_bytes, ready)
    ready = ready + (ranks - 1) * costs.add_ms
    return float(simulate(link, [2**k for k in range(rounds(ranks))], 0, ready).max())


def simulated_ring(costs, link, ready):
    ranks = len(ready)
    done = simulate(link, [1] * (2 * (ranks - 1)), costs.gradient_bytes / ranks, ready)
    return float(done.max()) + costs.add_ms * (ranks - 1) / ranks


def most_ranks(costs, link, cost):
    """Return the number of ranks, a power of two, with the shortest iteration."""

    def time(ranks):
        return compute(costs, IMAGES / ranks) + cost(costs, link, ranks)

    return min((ranks for ranks in RANKS if ranks <= IMAGES), key=time)


def tables(costs):
    parts = [
        "| assumption | |",
        "|---|---|",
        "| an iteration of 1, 2, 4, ... 128 images on one thread (measured) | "
        + ", ".join(f"{ms:.2f}" for ms in costs.iteration_ms)
        + " ms |",
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
