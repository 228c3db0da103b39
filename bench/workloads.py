"""The arrays that the peers are timed on, and which peers are timed on which."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

# Of the peers that have one alpha for all channels.
SCALAR_ALPHA = 0.5

COPIES = ("copy-numpy", "copy-torch", "copy-numba")
PER_CHANNEL = (
    "elulayer",
    "elulayer-out",
    "elulayer-torch",
    "numpy",
    "torch",
    "torch-compile",
    "jax",
    "elulayer-jax",
    "numba",
    "numexpr",
)
ONE_ALPHA = ("torch-elu", "onnxruntime")
SWEPT = ("elulayer", "elulayer-out", "numpy", "torch-compile", "jax", "torch-elu")
QUICK = ("elulayer", "elulayer-out", "numpy", "copy-numpy")
OVERHEAD = (
    "elulayer",
    "elulayer-out",
    "elulayer-torch",
    "numpy-maximum",
    "torch",
    "torch-elu",
    "empty-call",
)

# Arrays that are read or written once: x and Z; then grad, x and dX for the gradients.
ARRAYS_MOVED = {"forward": 2, "forward_backward": 5}


@dataclass(frozen=True)
class Workload:
    """One shape and dtype with the peers that are timed on it.

    Attributes
    ----------
    kind : str
        "arrays", "sweep" (one point of the throughput plot) or "overhead" (of a call).
    tasks : tuple of str
        Methods of the peers.
    peers : tuple of str
        Their keys.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    axis: int = 1
    tasks: tuple[str, ...] = ("forward", "forward_backward")
    peers: tuple[str, ...] = PER_CHANNEL + ONE_ALPHA + COPIES

    @property
    def size(self):
        """Elements of x."""
        return math.prod(self.shape)

    @property
    def array_bytes(self):
        """Bytes of x."""
        return self.size * np.dtype(self.dtype).itemsize

    @property
    def title(self):
        """The arrays in words."""
        layout = ", channels last" if self.axis == -1 else ""
        return f"{self.shape} {self.dtype}{layout}"


def sweep_shape(exponent):
    """Give an NCHW shape of 2**exponent elements."""
    if exponent < 12:
        return (2 ** (exponent - 10), 16, 8, 8)
    side = min(32, 2 ** ((exponent - 6) // 2))
    return (2 ** (exponent - 6) // side**2, 64, side, side)


def workloads():
    shape, channels_last = (32, 64, 56, 56), (32, 56, 56, 64)
    return [
        Workload("arrays", shape),
        Workload("arrays", (128, 20, 24, 24)),
        Workload("arrays", channels_last, axis=-1, peers=PER_CHANNEL + COPIES),
        Workload("arrays", shape, "float64", peers=PER_CHANNEL + COPIES),
        Workload("arrays", (8192, 1024), peers=PER_CHANNEL + COPIES),
        Workload("arrays", (64, 2048, 7, 7), peers=PER_CHANNEL + COPIES),
        Workload("overhead", (1, 20, 4, 4), peers=OVERHEAD),
        *sweep(range(10, 26), SWEPT + COPIES),
    ]


def quick_workloads():
    """Small arrays of every kind; peers that take seconds to compile run on the first alone."""
    shape, channels_last = (4, 20, 12, 12), (4, 12, 12, 20)
    return [
        Workload("arrays", shape),
        Workload("arrays", channels_last, axis=-1, peers=QUICK),
        Workload("arrays", shape, "float64", peers=QUICK),
        Workload("overhead", (1, 20, 4, 4), peers=OVERHEAD),
        *sweep((10, 14), QUICK),
    ]


def sweep(exponents, peers):
    shapes = [sweep_shape(exponent) for exponent in exponents]
    return [Workload("sweep", shape, tasks=("forward",), peers=peers) for shape in shapes]


def make_arrays(workload, seed=0):
    """Return x, grad and alpha; grad is None where no task needs it."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(workload.dtype)
    x = rng.standard_normal(workload.shape, dtype)
    needed = "forward_backward" in workload.tasks
    grad = rng.standard_normal(workload.shape, dtype) if needed else None
    alpha = rng.uniform(0.1, 1, workload.shape[workload.axis]).astype(dtype)
    return x, grad, alpha
