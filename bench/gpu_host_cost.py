"""What a call on a GPU array costs the host, beside torch's F.elu. Needs torch, and no GPU.

Tensors in host memory stand for the device's: the library says that they are on device 0, and the
unit is the real one on the emulated CUDA runtime of the tests. elulayer's tensors have no elements,
so that no kernel runs: what is timed is what is done before one is launched. torch's functions have
the 320 elements of (1, 20, 4, 4), and a kernel of less time than a launch takes on a GPU. What is
not timed: torch's answers to which stream and which device are current, about 2 us a call.
"""

import statistics
import sys
import tempfile
import timeit
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.nn import functional

import elulayer as el
from elulayer.arrays.gpu import extension, libraries

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from shared import emulated_gpu

REPEATS, CALLS = 15, 2000


def stand_in():
    """Let tensors in host memory be those of a device."""
    unit, _ = emulated_gpu.build(Path(tempfile.mkdtemp()))
    extension.load, extension.unavailable = (lambda: unit), (lambda: None)
    torch.cuda.current_stream = lambda device: SimpleNamespace(cuda_stream=0)
    torch.cuda.current_device = lambda: 0
    library = libraries.library_of(torch.Tensor)
    library.device_of = lambda array: 0
    library.empty = lambda shape, dtype, device: torch.empty(shape, dtype=getattr(torch, dtype))


def main():
    stand_in()
    x, alpha = torch.empty(0, 20, 4, 4), torch.full((20,), 0.5)
    out = torch.empty_like(x)
    small = torch.randn(1, 20, 4, 4)
    calls = {
        "F.elu": lambda: functional.elu(small),
        "F.prelu(F.elu)": lambda: functional.prelu(functional.elu(small), alpha),
        "elu, alpha a number": lambda: el.elu(x, 0.5),
        "elu": lambda: el.elu(x, alpha),
        "elu, out=": lambda: el.elu(x, alpha, out=out),
        "elu_with_memory": lambda: el.elu_with_memory(x, alpha),
        "elu_backward": lambda: el.elu_backward(x, x, alpha),
    }
    times = {name: [] for name in calls}
    for _ in range(REPEATS):
        for name, call in calls.items():
            times[name].append(timeit.timeit(call, number=CALLS) / CALLS * 1e6)
    standard = statistics.median(times["F.elu"])
    print("| call | us | times F.elu |\n|---|---|---|")
    for name, values in times.items():
        median = statistics.median(values)
        print(f"| {name} | {median:.1f} | {median / standard:.1f} |")


if __name__ == "__main__":
    main()
