from typing import TypedDict

class _Device(TypedDict):
    name: str
    compute_capability: tuple[int, int]
    memory: int
    multiprocessors: int

class _Info(TypedDict):
    available: bool
    reason: str
    devices: list[_Device]

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
def order(device: int, first: int, next: int) -> None: ...
def info() -> _Info: ...
