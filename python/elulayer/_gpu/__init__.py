"""The functions on arrays that live on a CUDA device.

``arrays.py`` reads them, ``libraries.py`` has what each array library does in its own way,
``functions.py`` has the functions, ``extension.py`` the compiled unit.
"""

from __future__ import annotations

from .arrays import on_gpu
from .functions import elu, elu_backward, elu_with_memory

__all__ = ["elu", "elu_backward", "elu_with_memory", "on_gpu"]
