from typing import TypedDict, TypeVar

import numpy as np
import numpy.typing as npt

_T = TypeVar("_T", np.float32, np.float64)

class _CpuInfo(TypedDict):
    compiled: tuple[str, ...]
    usable: tuple[str, ...]
    active: str
    reason: str
    openmp: str | None
    threads: int

__version__: str

def elu(
    x: npt.NDArray[_T],
    alpha: npt.NDArray[_T],
    out: npt.NDArray[_T],
    outer: int,
    channels: int,
    inner: int,
    num_threads: int,
) -> None: ...
def elu_backward(
    grad: npt.NDArray[_T],
    x: npt.NDArray[_T],
    alpha: npt.NDArray[_T],
    out: npt.NDArray[_T],
    dalpha: npt.NDArray[_T],
    outer: int,
    channels: int,
    inner: int,
    num_threads: int,
) -> None: ...
def cpu_info() -> _CpuInfo: ...
