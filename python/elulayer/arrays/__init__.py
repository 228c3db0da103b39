"""The functions on arrays, in host memory or on a GPU, and what they run on."""

from __future__ import annotations

from .functions import elu, elu_backward, elu_double_backward, elu_with_memory
from .info import CpuInfo, CudaDevice, CudaInfo, cpu_info, cuda_info

__all__ = [
    "CpuInfo",
    "CudaDevice",
    "CudaInfo",
    "cpu_info",
    "cuda_info",
    "elu",
    "elu_backward",
    "elu_double_backward",
    "elu_with_memory",
]
