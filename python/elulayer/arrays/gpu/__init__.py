"""Arrays of PyTorch and CuPy on a CUDA device.

``libraries.py`` has what each of the two does in its own way, ``device.py`` the place that
``arguments.py`` prepares arguments in, ``extension.py`` the compiled unit.
"""

from __future__ import annotations

from .device import Device, find_device

__all__ = ["Device", "find_device"]
