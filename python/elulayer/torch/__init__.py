"""The unit for PyTorch: a function, a module, and a way for ready models to have it.

Needs PyTorch, which elulayer itself does not import.

>>> import torch
>>> from elulayer.torch import ELU
>>> model = torch.nn.Sequential(torch.nn.Conv2d(1, 20, 5), torch.nn.BatchNorm2d(20), ELU(20))
>>> model(torch.zeros(2, 1, 28, 28)).shape
torch.Size([2, 20, 24, 24])
"""

from __future__ import annotations

try:
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError("elulayer.torch needs PyTorch: pip install 'elulayer[torch]'") from error

from .conversion import convert
from .functional import elu
from .module import ELU
from .onnx import onnx_translation_table
from .translation import from_network

__all__ = ["ELU", "convert", "elu", "from_network", "onnx_translation_table"]
