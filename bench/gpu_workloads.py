"""The shapes, memory orders and dtypes that ``gpu.py`` times, and their targets."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
