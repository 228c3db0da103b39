"""The functions on arrays that live on a CUDA device.

``arrays.py`` reads them, ``libraries.py`` has what each array library does in its own way,
``functions.py`` has the functions, ``extension.py`` the compiled unit.
"""

from __future__ import annotations

from .call import elu, elu_backward, elu_with_memory
from .views import on_gpu

__all__ = ["elu", "elu_backward", "elu_with_memory", "on_gpu"]
