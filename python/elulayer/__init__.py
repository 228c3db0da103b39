"""Exponential linear unit with one learnable alpha per channel, on NumPy arrays.

``elu`` and ``elu_backward`` are the functions, ``ELULayer`` the layer; ``train_network`` trains a
network with it.
"""

from __future__ import annotations

from ._support.process import brief_spin, check_only_copy, empty_cache, limit_cache

try:
    with brief_spin():
        from ._core import __version__  # first: where it is missing, its name is told
        from . import _core  # isort: skip
    check_only_copy(_core)
except ModuleNotFoundError as error:
    if error.name != f"{__name__}._core":
        raise
    raise ImportError(
        "elulayer's compiled extension (elulayer._core) is missing. It is built by 'pip install .' "
        "in the repository's folder, for the Python that runs it; this copy of the package at "
        f"{__path__[0]} was not built for this Python."
    ) from error

from . import data, plots
from .arrays import (
    CpuInfo,
    CudaDevice,
    CudaInfo,
    cpu_info,
    cuda_info,
    elu,
    elu_backward,
    elu_double_backward,
    elu_with_memory,
)
from .checking import CheckReport, check_layer
from .layers import (
    AveragePooling2DLayer,
    BatchNormalizationLayer,
    ClassificationLayer,
    Convolution2DLayer,
    ELULayer,
    FullyConnectedLayer,
    ImageInputLayer,
    Layer,
    LeakyReLULayer,
    MaxPooling2DLayer,
    PReLULayer,
    ReLULayer,
    SoftmaxLayer,
)
from .network import Network, analyze_network, load_network, models, save_network
from .onnx import export_onnx
from .training import TrainingOptions, TrainingProgress, TrainingRecord, train_network

limit_cache()

__all__ = [
    "AveragePooling2DLayer",
    "BatchNormalizationLayer",
    "CheckReport",
    "ClassificationLayer",
    "Convolution2DLayer",
    "CpuInfo",
    "CudaDevice",
    "CudaInfo",
    "ELULayer",
    "FullyConnectedLayer",
    "ImageInputLayer",
    "Layer",
    "LeakyReLULayer",
    "MaxPooling2DLayer",
    "Network",
    "PReLULayer",
    "ReLULayer",
    "SoftmaxLayer",
    "TrainingOptions",
    "TrainingProgress",
    "TrainingRecord",
    "__version__",
    "analyze_network",
    "check_layer",
    "cpu_info",
    "cuda_info",
    "data",
    "elu",
    "elu_backward",
    "elu_double_backward",
    "elu_with_memory",
    "empty_cache",
    "export_onnx",
    "load_network",
    "models",
    "plots",
    "save_network",
    "train_network",
]


def __dir__() -> list[str]:
    """Name what is public, for completion."""
    return __all__
