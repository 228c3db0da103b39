from typing import Any, TypedDict

import numpy.typing as npt

_Array = npt.NDArray[Any]

class StandardFloats:
    def __enter__(self) -> None: ...
    def __exit__(self, *error: object) -> None: ...

class _CpuInfo(TypedDict):
    compiled: tuple[str, ...]
    usable: tuple[str, ...]
    active: str
    fused: bool
    reason: str
    openmp: str | None
    threads: int

__version__: str

def elu(
    x: _Array,
    alpha: _Array,
    out: _Array,
    outer: int,
    channels: int,
    inner: int,
    num_threads: int,
) -> None: ...
def elu_with_memory(
    x: _Array,
    alpha: _Array,
    out: _Array,
    memory: _Array,
    outer: int,
    channels: int,
    inner: int,
    num_threads: int,
) -> None: ...
def elu_backward(
    grad: _Array,
    x: _Array,
    alpha: _Array,
    out: _Array,
    dalpha: _Array,
    outer: int,
    channels: int,
    inner: int,
    num_threads: int,
) -> None: ...
def elu_backward_from_memory(
    grad: _Array,
    memory: _Array,
    alpha: _Array,
    out: _Array,
    dalpha: _Array,
    outer: int,
    channels: int,
    inner: int,
    num_threads: int,
) -> None: ...
def elu_backward_from_output(
    grad: _Array,
    output: _Array,
    alpha: _Array,
    out: _Array,
    dalpha: _Array,
    outer: int,
    channels: int,
    inner: int,
    num_threads: int,
) -> None: ...
def elu_double_backward(
    v: _Array,
    w: _Array,
    grad: _Array,
    x: _Array,
    alpha: _Array,
    dgrad: _Array,
    dx: _Array,
    dalpha: _Array,
    outer: int,
    channels: int,
    inner: int,
    num_threads: int,
) -> None: ...
def elu_plain(x: object, alpha: object, axis: object, out: object, /) -> Any: ...
def elu_backward_plain(
    grad: object, x: object, alpha: object, axis: object, out: object, /
) -> Any: ...
def channel_moments(x: _Array, mean: _Array, variance: _Array) -> None: ...
def channel_dots(g: _Array, x: _Array, center: _Array, sums: _Array, dots: _Array) -> None: ...
def channel_affine(x: _Array, center: _Array, a: _Array, b: _Array, z: _Array) -> None: ...
def channel_affine_gradient(
    g: _Array, x: _Array, center: _Array, a: _Array, b: _Array, d: _Array, dx: _Array
) -> None: ...
def empty_like(array: _Array) -> _Array: ...
def set_memory_handler(handler: object) -> object: ...
def empty_cache() -> int: ...
def set_cache_bytes(bytes: int) -> None: ...
def cpu_info() -> _CpuInfo: ...
