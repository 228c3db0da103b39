"""What the compiled kernels were built for, and what runs on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from .. import _core
from .gpu import extension

__all__ = ["CpuInfo", "CudaDevice", "CudaInfo", "cpu_info", "cuda_info"]


@dataclass(frozen=True)
class CpuInfo:
    """The instruction sets of the CPU kernels.

    Attributes
    ----------
    compiled : tuple of str
        Those that this build contains, in order of preference: ``"x86-64-v4"`` (AVX-512),
        ``"x86-64-v3"`` (AVX2 and FMA) and ``"baseline"`` on x86-64, ``"neon"`` on 64-bit Arm,
        ``"baseline"`` on other processors.
    usable : tuple of str
        Those of them that this machine can run.
    active : str
        The one in use. The environment variable ``ELULAYER_ISA``, read at import, forces one by its
        name; a name that is unknown or cannot run here makes the import fail.
    fused : bool
        Whether its multiply-add rounds once. The results of all instruction sets that do have the
        same bits; those of the others have some last bits of their own.
    reason : str
        Why it is the one in use.
    openmp : str or None
        The OpenMP runtime, None for a build without one.
    threads : int
        How many threads a large array gets by default, where the system does not refuse them.
    """

    compiled: tuple[str, ...]
    usable: tuple[str, ...]
    active: str
    fused: bool
    reason: str
    openmp: str | None
    threads: int


def cpu_info() -> CpuInfo:
    """Describe the CPU kernels in use.

    Returns
    -------
    CpuInfo

    Examples
    --------
    >>> import elulayer as el
    >>> el.cpu_info().active in el.cpu_info().usable
    True
    """
    return CpuInfo(**_core.cpu_info())


@dataclass(frozen=True)
class CudaDevice:
    """A CUDA device.

    Attributes
    ----------
    name : str
    compute_capability : tuple of int
        Major and minor.
    memory : int
        In bytes.
    multiprocessors : int
    """

    name: str
    compute_capability: tuple[int, int]
    memory: int
    multiprocessors: int


@dataclass(frozen=True)
class CudaInfo:
    """What the functions find for arrays on a GPU.

    Attributes
    ----------
    available : bool
        Whether this build has the CUDA unit, and this machine a device that can run it.
    reason : str
        Why not; where it can, the versions of CUDA.
    devices : tuple of CudaDevice
        In the driver's order.
    """

    available: bool
    reason: str
    devices: tuple[CudaDevice, ...]


def cuda_info() -> CudaInfo:
    """Describe the CUDA unit.

    Where there is a driver this initializes it: a process that is forked later cannot use CUDA.

    Returns
    -------
    CudaInfo

    Examples
    --------
    >>> import elulayer as el
    >>> info = el.cuda_info()
    >>> info.available or bool(info.reason)
    True
    """
    try:
        info = extension.load().info()
    except ImportError as error:
        return CudaInfo(False, f"elulayer._cuda cannot be imported: {error}", ())
    devices = tuple(CudaDevice(**device) for device in info["devices"])
    return CudaInfo(info["available"], info["reason"], devices)
