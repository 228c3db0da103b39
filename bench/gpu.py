"""The functions on a GPU beside torch's, and beside the fastest copy of the same device.

    python bench/gpu.py [--budget SECONDS] [--quick] [--results DIR]

Every result is checked against torch in float64 before anything is timed. Then all contenders run
in turn in each round, timed by CUDA events while the device has a queue of work, on sets of arrays
that together exceed its L2 cache; medians of the rounds are compared. Prints Markdown tables and
writes them to bench/results/gpu-<device>.md, every number to gpu-<device>.json. It needs torch and
an elulayer with the CUDA unit. A target that is missed does not change the exit status; a wrong
result does, or a contender of elulayer that fails.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import os
import re
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gpu_report import markdown, target_rows

ROOT = Path(__file__).parent.parent
# Elements that are read or written for each element of x.
MOVED = {
    "forward": 2,
    "with memory": 3,
    "backward": 3,
    "forward + backward": 5,
    "copy": 2,
    "sum": 3,
}
MOST_ROUNDS = 100
# What the device does while the calls to be timed are put into its queue.
SLEEP_CYCLES = 3_000_000


@dataclass(frozen=True)
class Workload:
    """One shape, memory order and dtype.

    Attributes
    ----------
    shape : tuple of int
        The channels are axis 1.
    channels_last : bool
        In memory (torch.channels_last).
    shift : int
        Elements after a multiple of 16 bytes at which every array begins.
    compiled : bool
        Whether torch.compile takes part: it takes seconds for each.
    rate : float or None
        Target: the part of the copy's rate that forward and backward reach.
    times : bool
        Whether the targets beside torch's backward are stated here.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    channels_last: bool = False
    shift: int = 0
    compiled: bool = True
    rate: float | None = None
    times: bool = False

    @property
    def size(self):
        """Elements of x."""
        return math.prod(self.shape)

    @property
    def title(self):
        """The arrays in words."""
        notes = [", channels last"] * self.channels_last
        notes += [f", {self.shift} element after an aligned address"] * bool(self.shift)
        return f"{self.shape} {self.dtype}{''.join(notes)}"


def workloads():
    """Those of the targets first: what comes last is left out when the time is up."""
    images, wide = (256, 64, 112, 112), (1024, 2048, 7, 7)
    pairs = ("float32", "bfloat16")
    return [
        *(Workload(images, dtype, rate=0.9, times=True) for dtype in pairs),
        *(Workload((256, 256, 56, 56), dtype, rate=0.9, compiled=False) for dtype in pairs),
        *(Workload(images, dtype, channels_last=True, rate=0.85, times=True) for dtype in pairs),
        Workload((512, 2048, 7, 7), rate=0.85, times=True),
        Workload(wide, "bfloat16", rate=0.85, times=True),
        *(Workload((1, 1, 16384, 8192), dtype, rate=0.9, times=True) for dtype in pairs),
        *(Workload(images, dtype, shift=1, compiled=False) for dtype in pairs),
        Workload(images, "float16", compiled=False),
        Workload(images, "float64", compiled=False),
        Workload((1024, 3, 224, 224), compiled=False),
        Workload((16384, 4096), compiled=False),
    ]


def quick_workloads():
    return [
        Workload((4, 8, 12, 12), rate=0.9, times=True),
        Workload((4, 8, 12, 12), "bfloat16", channels_last=True, compiled=False),
        Workload((4, 16, 7, 7), "float64", compiled=False),
        Workload((1, 1, 64, 300), "float16", shift=1, compiled=False),
    ]


class WrongError(Exception):
    """A contender's results are not those of float64."""


@dataclass
class Arrays:
    """One set: what is read, and where results go."""

    x: Any
    grad: Any
    out: Any


@dataclass
class Contender:
    """Something to be timed.

    Attributes
    ----------
    name, task : str
    calls : list of callables without arguments
        One for each set of arrays.
    results : str
        What a call returns: names of `reference`'s arrays with blanks between them, or nothing.
    exact : bool
        Whether each element must be right to a few units in the last place.
    """

    name: str
    task: str
    calls: list[Any]
    results: str = ""
    exact: bool = False
    ms: list[float] = field(default_factory=list)


class Bench:
    """The contenders on one device; `el` is the package, `timer` returns milliseconds of a call."""

    def __init__(self, torch, el, device, timer):
        self.torch, self.el, self.device, self.timer = torch, el, device, timer

    def empty(self, workload):
        """Make an array, as the workload has them."""
        torch = self.torch
        dtype = getattr(torch, workload.dtype)
        if workload.channels_last:
            order = torch.channels_last
            return torch.empty(workload.shape, dtype=dtype, device=self.device, memory_format=order)
        memory = torch.empty(workload.size + workload.shift, dtype=dtype, device=self.device)
        return memory[workload.shift :].view(workload.shape)

    def arrays(self, workload):
        """Make one set, x and grad random."""
        made = Arrays(*(self.empty(workload) for _ in range(3)))
        made.x.normal_(0, 2)
        made.grad.normal_()
        return made

    def alpha(self, workload):
        """Make an alpha for each channel, of the dtype that elulayer takes with x's."""
        torch = self.torch
        dtype = torch.float64 if workload.dtype == "float64" else torch.float32
        channels = workload.shape[1]
        return torch.linspace(0.25, 1.5, channels, dtype=dtype, device=self.device)

    def reference(self, workload, arrays, alpha):
        """Compute Z, dX, the memory and dalpha in float64, and the sum of its terms' magnitudes."""
        torch = self.torch
        other = [axis for axis in range(len(workload.shape)) if axis != 1]
        a = alpha.double().view([-1 if axis == 1 else 1 for axis in range(len(workload.shape))])
        x, grad = arrays.x.double(), arrays.grad.double()
        positive = x > 0
        x_below = x.clamp(max=0)
        memory = torch.expm1(x_below)
        z = torch.where(positive, x, a * memory)
        terms = grad * memory
        dalpha, magnitude = terms.sum(other), terms.abs_().sum(other)
        del terms, x
        dx = torch.where(positive, grad, grad * a * x_below.exp_())
        return {"z": z, "dx": dx, "memory": memory, "dalpha": dalpha, "magnitude": magnitude}

    def elulayer(self, sets, alpha, memories):
        """List elulayer's contenders; with `memories`, those that start from the memory and Z."""
        el, first = self.el, sets[0]
        found = [
            Contender(
                "elulayer, out=",
                "forward",
                [lambda s=s: el.elu(s.x, alpha, out=s.out) for s in sets],
                "z",
                exact=True,
            ),
            Contender(
                "elulayer", "forward", [lambda s=s: el.elu(s.x, alpha) for s in sets], "z", True
            ),
            Contender(
                "elulayer, out=",
                "backward",
                [lambda s=s: el.elu_backward(s.grad, s.x, alpha, out=s.out) for s in sets],
                "dx dalpha",
                exact=True,
            ),
            Contender(
                "elulayer",
                "backward",
                [lambda s=s: el.elu_backward(s.grad, s.x, alpha) for s in sets],
                "dx dalpha",
                exact=True,
            ),
            Contender(
                "elulayer",
                "forward + backward",
                [
                    lambda s=s: (el.elu(s.x, alpha), *el.elu_backward(s.grad, s.x, alpha))
                    for s in sets
                ],
                "z dx dalpha",
                exact=True,
            ),
        ]
        if memories:
            z, memory = el.elu_with_memory(first.x, alpha)

            def backward(**source):
                return lambda: el.elu_backward(first.grad, None, alpha, out=first.out, **source)

            remember = lambda s=first: el.elu_with_memory(s.x, alpha)  # noqa: E731
            found += [
                Contender("elulayer", "with memory", [remember], "z memory", exact=True),
                Contender(
                    "elulayer, memory=, out=", "backward", [backward(memory=memory)], "dx dalpha"
                ),
                Contender("elulayer, output=, out=", "backward", [backward(output=z)], "dx dalpha"),
            ]
        return found

    def copies(self, sets):
        """List what only moves memory: two copies, and a sum of two arrays for comparison."""
        torch = self.torch
        return [
            Contender("torch copy_", "copy", [lambda s=s: s.out.copy_(s.x) for s in sets]),
            Contender(
                "torch neg, out=", "copy", [lambda s=s: torch.neg(s.x, out=s.out) for s in sets]
            ),
            Contender(
                "torch add, out=",
                "sum",
                [lambda s=s: torch.add(s.x, s.grad, out=s.out) for s in sets],
            ),
        ]

    def composed(self, name, function, sets, alpha):
        """List torch's contenders around function(x, alpha); backward is autograd's alone."""
        torch, first = self.torch, sets[0]
        axes = [-1 if axis == 1 else 1 for axis in range(first.x.ndim)]
        # In x's dtype: in another one, torch would compute and write in the wider.
        a = alpha.to(first.x.dtype).view(axes)
        learned = [tensor.detach().requires_grad_() for tensor in (first.x, a)]

        def forward(x):
            with torch.no_grad():
                return function(x, a)

        def both(x, grad):
            inputs = x.detach().requires_grad_(), learned[1]
            z = function(*inputs)
            dx, dalpha = torch.autograd.grad(z, inputs, grad)
            return z, dx, dalpha.flatten()

        z = function(*learned)

        def backward():
            dx, dalpha = torch.autograd.grad(z, learned, first.grad, retain_graph=True)
            return dx, dalpha.flatten()

        return [
            Contender(name, "forward", [lambda s=s: forward(s.x) for s in sets], "z"),
            Contender(name, "backward", [backward], "dx dalpha"),
            Contender(
                name,
                "forward + backward",
                [lambda s=s: both(s.x, s.grad) for s in sets],
                "z dx dalpha",
            ),
        ]

    def torch_elu(self, sets):
        """List torch's own function, which has no alpha for each channel."""
        elu = self.torch.nn.functional.elu
        return [
            Contender(
                "torch F.elu, one alpha", "forward", [lambda s=s: elu(s.x, 0.5) for s in sets]
            )
        ]

    def check(self, contender, expected):
        """Raise WrongError if a call's results are not those of float64."""
        if not contender.results:
            return
        torch = self.torch
        got = contender.calls[0]()
        got = got if isinstance(got, tuple) else (got,)
        for name, result in zip(contender.results.split(), got, strict=True):
            right = expected[name]
            limits = torch.finfo(result.dtype)
            epsilon = limits.eps
            if result.shape != right.shape:
                raise WrongError(f"{name} has shape {tuple(result.shape)}")
            error = result.detach().double().sub_(right).abs_()
            if name == "dalpha":
                bound = (3 if contender.exact else 64) * epsilon * expected["magnitude"]
            elif contender.exact:
                bound = right.abs().mul_(4 * epsilon).add_(epsilon * limits.tiny)
            else:
                bound = 8 * epsilon * right.abs().max()
            wrong = int((~(error <= bound)).sum())
            if wrong:
                raise WrongError(f"{name} is wrong in {wrong} of {right.numel()} elements")

    def contenders(self, workload, sets, alpha, left_out):
        """Those that are right, by their groups; `left_out` gets why others are not there."""
        torch = self.torch
        expected = self.reference(workload, sets[0], alpha)
        memories = workload.dtype == "float32"
        composition = make_composition(torch)
        groups = {
            "copies": lambda: self.copies(sets),
            "elulayer": lambda: self.elulayer(sets, alpha, memories),
            "torch eager": lambda: self.composed("torch eager, composed", composition, sets, alpha),
            "torch F.elu": lambda: self.torch_elu(sets),
        }
        if workload.compiled:
            groups["torch.compile"] = lambda: self.composed(
                "torch.compile, composed",
                torch.compile(composition, dynamic=False, fullgraph=True),
                sets,
                alpha,
            )
        ready = []
        for group, make in groups.items():
            try:
                for contender in make():
                    self.check(contender, expected)
                    ready.append(contender)
            except Exception as error:
                left_out[group] = first_line(error)
        return ready

    def rounds(self, contenders, least, seconds):
        """Time all in turn, at least so many times, beginning with another one in each round."""
        for contender in contenders:
            for _ in range(2):
                self.timer(contender.calls)
        end = time.perf_counter() + seconds
        for number in range(MOST_ROUNDS):
            if number >= least and time.perf_counter() > end:
                break
            first = number % len(contenders)
            for contender in contenders[first:] + contenders[:first]:
                contender.ms.append(self.timer(contender.calls))

    def measure(self, workload, least, seconds, sets):
        """Check and time one workload."""
        print(workload.title, file=sys.stderr, flush=True)
        alpha = self.alpha(workload)
        made = [self.arrays(workload) for _ in range(sets)]
        left_out = {}
        ready = self.contenders(workload, made, alpha, left_out)
        end = time.perf_counter() + seconds
        if ready:
            self.rounds(ready, least, end - time.perf_counter())
        array_bytes = made[0].x.numel() * made[0].x.element_size()
        return {
            "title": workload.title,
            "shape": list(workload.shape),
            "dtype": workload.dtype,
            "channels_last": workload.channels_last,
            "shift": workload.shift,
            "array_bytes": array_bytes,
            "sets": sets,
            "rate_target": workload.rate,
            "times_targets": workload.times,
            "left_out": left_out,
            "contenders": [summary(contender, array_bytes) for contender in ready],
        }


def first_line(error):
    text = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {text}"


def make_composition(torch):
    """Return ELU of torch's operations, alpha shaped to broadcast."""

    def elu(x, alpha):
        return torch.where(x > 0, x, alpha * torch.expm1(torch.clamp(x, max=0)))

    return elu


def summary(contender, array_bytes):
    """Return a contender's median and quartiles, and the rate of what has to be moved."""
    quartiles = statistics.quantiles(contender.ms, n=4) if len(contender.ms) > 1 else []
    median = statistics.median(contender.ms)
    return {
        "name": contender.name,
        "task": contender.task,
        "median_ms": median,
        "quartiles_ms": quartiles,
        "rounds": len(contender.ms),
        "gb_per_s": MOVED[contender.task] * array_bytes / median / 1e6,
    }


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
        help="default: bench/results, or build/gpu with --quick",
    )
    args = parser.parse_args(arguments)
    if args.budget <= 0:
        parser.error("--budget is more than 0")
    if args.results is None:
        args.results = ROOT / "build" / "gpu" if args.quick else ROOT / "bench" / "results"
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
    args.results.mkdir(parents=True, exist_ok=True)
    path = args.results / f"gpu-{slug(results['machine']['device'])}"
    text = markdown(results)
    path.with_suffix(".md").write_text(text)
    path.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n")
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
