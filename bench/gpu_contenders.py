"""What ``gpu.py`` times: elulayer, torch's functions, the copies. Results are checked first."""

from __future__ import annotations

import statistics
import sys
import time
from dataclasses import dataclass, field
from typing import Any

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
