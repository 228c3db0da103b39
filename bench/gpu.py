"""The functions on a GPU beside torch's, and beside the fastest copy of the same device.

    python bench/gpu.py [--budget SECONDS] [--quick] [--results DIR]

Every result is checked against torch in float64 before anything is timed. Then all contenders run
in turn in each round, timed by CUDA events while the device has a queue of work, on sets of arrays
that together exceed its L2 cache; medians of the rounds are compared. Prints Markdown tables and
writes them to bench/results/gpu-<device>.md, every number to bench/raw/gpu-<device>.json. It needs
torch and an elulayer with the CUDA unit. A target that is missed does not change the exit status; a
wrong result does, or a contender of elulayer that fails.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import re
import statistics
import sys
import time
from pathlib import Path

from gpu_contenders import Bench, first_line, make_composition
from gpu_report import markdown, target_rows
from gpu_workloads import quick_workloads, workloads
from record import publish

ROOT = Path(__file__).parent.parent
# What the device does while the calls to be timed are put into its queue.
SLEEP_CYCLES = 3_000_000


def cuda_timer(torch):
    """Return a function that gives the device's milliseconds for one of `calls`."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def timer(calls):
        torch.cuda._sleep(SLEEP_CYCLES)
        start.record()
        for call in calls:
            call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / len(calls)

    return timer


def check_many_elements(torch, el, shape, dim, device, part_size=2**27):
    """Return what differs between a call on an array and calls on parts of it along `dim`."""
    x, grad = (torch.empty(shape, dtype=torch.bfloat16, device=device) for _ in range(2))
    parts = -(-math.prod(shape) // part_size)
    step = -(-shape[dim] // parts)
    for array in (x, grad):
        for part in array.split(step, dim):
            part.normal_()
    alpha = torch.linspace(0.25, 1.5, shape[1], device=device)
    z = el.elu(x, alpha)
    wrong = [
        "Z"
        for a, b in zip(x.split(step, dim), z.split(step, dim), strict=True)
        if not torch.equal(el.elu(a.contiguous(), alpha), b)
    ]
    dx, dalpha = el.elu_backward(grad, x, alpha, out=z)
    sums = torch.zeros(shape[1], dtype=torch.float64, device=device)
    for g, a, b in zip(*(array.split(step, dim) for array in (grad, x, dx)), strict=True):
        part, part_sum = el.elu_backward(g.contiguous(), a.contiguous(), alpha)
        sums += part_sum.double()
        if not torch.equal(part, b):
            wrong.append("dX")
    # The terms' magnitudes add to less than half of the number of elements.
    bound = 1e-7 * (x.numel() / shape[1])
    if not bool(((dalpha.double() - sums).abs() <= bound).all()):
        wrong.append("dalpha")
    return " and ".join(dict.fromkeys(wrong))


def check_beyond_32_bits(torch, el, device):
    """Check arrays of more than 2^32 elements, by columns and by planes, if there is room."""
    checks = {}
    for shape, dim in (((2**26 + 3, 64), 0), ((1, 4, 2**30 + 5), 2)):
        title = f"{shape} bfloat16, {math.prod(shape)} elements"
        if torch.cuda.mem_get_info()[0] < 5 * 2 * math.prod(shape):
            checks[title] = "left out: the device's memory is too small"
            continue
        try:
            wrong = check_many_elements(torch, el, shape, dim, device)
            checks[title] = f"wrong: {wrong}" if wrong else "right"
        except Exception as error:
            checks[title] = f"failed: {first_line(error)}"
        release(torch)
    return checks


def small_calls(torch, el, device, repeats, calls):
    """Microseconds of one call from Python on a small array, by contender."""
    x, grad, out = (torch.randn(1, 20, 4, 4, device=device) for _ in range(3))
    alpha = torch.full((20,), 0.5, device=device)
    shaped = alpha.view(1, 20, 1, 1)
    composition = make_composition(torch)
    learned = x.detach().requires_grad_(), shaped.detach().requires_grad_()
    z = composition(*learned)
    functions = {
        "elulayer, forward, out=": lambda: el.elu(x, alpha, out=out),
        "elulayer, forward": lambda: el.elu(x, alpha),
        "elulayer, backward, out=": lambda: el.elu_backward(grad, x, alpha, out=out),
        "elulayer, backward": lambda: el.elu_backward(grad, x, alpha),
        "torch F.elu, one alpha": lambda: torch.nn.functional.elu(x, 0.5),
        "torch neg, out=": lambda: torch.neg(x, out=out),
        "torch eager, composed, forward": lambda: composition(x, shaped),
        "torch eager, composed, backward": lambda: torch.autograd.grad(
            z, learned, grad, retain_graph=True
        ),
    }
    times = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            function()
            synchronize(torch)
            start = time.perf_counter()
            for _ in range(calls):
                function()
            synchronize(torch)
            times[name].append((time.perf_counter() - start) / calls * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def synchronize(torch):
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def release(torch):
    """Give back what a workload had."""
    gc.collect()
    torch._dynamo.reset()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def sets_of(torch, workload, l2_bytes):
    """Count the sets of arrays that exceed twice the L2 cache; one where memory is short."""
    array_bytes = workload.size * getattr(torch, workload.dtype).itemsize
    sets = min(8, max(2, -(-2 * l2_bytes // (2 * array_bytes))))
    free, _ = torch.cuda.mem_get_info()
    # The reference has about ten arrays of float64, autograd's graphs eight of x's dtype.
    needed = 80 * workload.size + (8 + 3 * sets) * array_bytes
    return sets if needed < free else 1


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=240, help="seconds; default: 240")
    parser.add_argument("--quick", action="store_true", help="small arrays, to see that all works")
    parser.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="for all files; default: bench/, or build/gpu with --quick",
    )
    args = parser.parse_args(arguments)
    if args.budget <= 0:
        parser.error("--budget is more than 0")
    if args.results is None and args.quick:
        args.results = ROOT / "build" / "gpu"
    return args


def prepare():
    """Return torch and elulayer, or say what is missing."""
    try:
        import torch
    except ImportError as error:
        sys.exit(f"bench/gpu.py needs torch with CUDA: {error}")
    try:
        import elulayer as el
    except ImportError as error:
        sys.exit(f"bench/gpu.py needs elulayer: {error}")
    info = el.cuda_info()
    if not info.available:
        sys.exit(f"elulayer can use no GPU: {info.reason}")
    if not torch.cuda.is_available():
        sys.exit(f"torch {torch.__version__} finds no CUDA device; elulayer does ({info.reason})")
    import torch._functorch.config

    # What autograd's backward needs, a second call needs again.
    torch._functorch.config.donated_buffer = False
    return torch, el, info


def measure_all(torch, el, results, args, end):
    """Add the workloads to the results, and write them after each."""
    bench = Bench(torch, el, torch.device("cuda"), cuda_timer(torch))
    l2_bytes = results["machine"]["l2_bytes"] or 64 << 20
    chosen = quick_workloads() if args.quick else workloads()
    for number, workload in enumerate(chosen):
        left = end - time.perf_counter()
        # What a workload costs without its share: checks, compiling, twenty rounds.
        if number and left < (20 if workload.compiled else 8):
            results["no_time"].append(workload.title)
            continue
        share = 0.25 * left / (len(chosen) - number)
        try:
            sets = sets_of(torch, workload, l2_bytes)
            case = bench.measure(workload, 3 if args.quick else 20, share, sets)
        except Exception as error:
            case = {
                "title": workload.title,
                "contenders": [],
                "rate_target": workload.rate,
                "times_targets": workload.times,
                "left_out": {"elulayer": first_line(error)},
            }
        results["cases"].append(case)
        release(torch)
        write(results, args)


def write(results, args):
    """Write the files of results; return the text."""
    results["targets"] = target_rows(results["cases"])
    text = markdown(results)
    figures = {}
    for target in results["targets"]:
        figures.setdefault(target["case"], {})[target["what"]] = target["value"]
    publish(f"gpu-{slug(results['machine']['device'])}", text, results, figures, args.results)
    return text


def describe(torch, el, info):
    properties = torch.cuda.get_device_properties(0)
    return {
        "device": properties.name,
        "memory_bytes": properties.total_memory,
        "l2_bytes": getattr(properties, "L2_cache_size", None),
        "multiprocessors": properties.multi_processor_count,
        "cuda": info.reason,
        "torch": torch.__version__,
        "torch_cuda": torch.version.cuda,
        "python": ".".join(map(str, sys.version_info[:3])),
        "elulayer": el.__version__,
        "processors": os.cpu_count(),
    }


def slug(name):
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def problems(results):
    """List what makes the run a failure."""
    found = [
        f"{case['title']}: {group}: {why}"
        for case in results["cases"]
        for group, why in case["left_out"].items()
        if group in ("elulayer", "copies")
    ]
    checks = results["many_elements"].items()
    return found + [
        f"{title}: {what}" for title, what in checks if what.startswith(("wrong", "failed"))
    ]


def main():
    args = parse_arguments()
    end = time.perf_counter() + args.budget
    torch, el, info = prepare()
    device = torch.device("cuda")
    results = {
        "quick": args.quick,
        "machine": describe(torch, el, info),
        "small_calls_us": small_calls(torch, el, device, 7, 100 if args.quick else 1000),
        "many_elements": {} if args.quick else check_beyond_32_bits(torch, el, device),
        "cases": [],
        "no_time": [],
    }
    measure_all(torch, el, results, args, end)
    print(write(results, args), end="")
    wrong = problems(results)
    if wrong:
        sys.exit("\n".join(["", *wrong]))


if __name__ == "__main__":
    main()
