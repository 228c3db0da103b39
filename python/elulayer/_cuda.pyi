from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

class _Device(TypedDict):
    name: str
    compute_capability: tuple[int, int]
    memory: int
    multiprocessors: int

class _Info(TypedDict):
    available: bool
    reason: str
    devices: list[_Device]

class _Imported(TypedDict):
    pointer: int
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    read_only: bool
    owner: object

def import_dlpack(capsule: Any) -> _Imported: ...
def layout(
    shape: Sequence[int], strides: Sequence[int], item_size: int
) -> npt.NDArray[np.floating[Any]]: ...
def elu(
    dtype: str,
    x: int,
    alpha: int,
    alpha_value: float,
    out: int,
    outer: int,
    channels: int,
    inner: int,
    device: int,
    stream: int,
) -> None: ...
def elu_with_memory(
    dtype: str,
    x: int,
    alpha: int,
    alpha_value: float,
    out: int,
    memory: int,
    outer: int,
    channels: int,
    inner: int,
    device: int,
    stream: int,
) -> None: ...
def elu_backward(
    dtype: str,
    grad: int,
    source: int,
    alpha: int,
    alpha_value: float,
    out: int,
    dalpha: int,
    workspace: int,
    outer: int,
    channels: int,
    inner: int,
    device: int,
    stream: int,
) -> None: ...
def elu_backward_from_memory(
    dtype: str,
    grad: int,
    source: int,
    alpha: int,
    alpha_value: float,
    out: int,
    dalpha: int,
    workspace: int,
    outer: int,
    channels: int,
    inner: int,
    device: int,
    stream: int,
) -> None: ...
def elu_backward_from_output(
    dtype: str,
    grad: int,
    source: int,
    alpha: int,
    alpha_value: float,
    out: int,
    dalpha: int,
    workspace: int,
    outer: int,
    channels: int,
    inner: int,
    device: int,
    stream: int,
) -> None: ...
def workspace_bytes(dtype: str, outer: int, channels: int, inner: int) -> int: ...
def device_of(address: int) -> int: ...
def order(device: int, first: int, next: int) -> None: ...
def synchronize(device: int, stream: int) -> None: ...
def info() -> _Info: ...
