"""Calls on arrays of middle sizes: in a loop, and a millisecond after the last one.

    python bench/waking.py [--repeats 300]

OpenMP's threads sleep between calls that are far apart, and to wake them may cost more than they
gain. Prints a table: microseconds with one thread (OpenMP's own limit), with all (`num_threads=`,
which takes the general way through the package: some 20 us more), and with the default, which
chooses; medians, and in the last column the mean after a pause as a part of that with one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from threadpoolctl import threadpool_limits

import elulayer as el

PAUSE = 0.001  # seconds


def times_of(call, repeats, pause, limit):
    """Return the times of calls in microseconds, after a pause or directly after another."""
    times = []
    with threadpool_limits(limit, user_api="openmp"):
        for _ in range(repeats):
            if pause:
                time.sleep(pause)
            else:
                call()
            start = time.perf_counter()
            call()
            times.append((time.perf_counter() - start) * 1e6)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=300)
    repeats = parser.parse_args().repeats
    threads = el.cpu_info().threads
    settings = {"1": (None, 1), str(threads): (threads, None), "default": (None, None)}
    heads = [f"{when}, {name}" for when in ("loop", "pause") for name in settings]
    print(f"| function | elements | {' | '.join(heads)} | mean |")
    print("|---" * (3 + len(heads)) + "|")
    for exponent in range(15, 24):
        x = np.random.default_rng(0).normal(size=(4, 16, 2**exponent // 64)).astype(np.float32)
        alpha, out = np.full(16, 0.5, np.float32), np.empty_like(x)
        functions = {
            "forward": lambda n, x=x, a=alpha, out=out: el.elu(x, a, out=out, num_threads=n),
            "backward": lambda n, x=x, a=alpha, out=out: el.elu_backward(
                x, x, a, out=out, num_threads=n
            ),
        }
        for name, function in functions.items():
            row = [
                times_of(lambda n=n, function=function: function(n), repeats, pause, limit)
                for pause in (0, PAUSE)
                for n, limit in settings.values()
            ]
            medians = " | ".join(f"{statistics.median(times):.0f}" for times in row)
            mean = statistics.mean(row[-1]) / statistics.mean(row[len(settings)])
            print(f"| {name} | 2^{exponent} | {medians} | {mean:.2f} |", flush=True)


if __name__ == "__main__":
    main()
