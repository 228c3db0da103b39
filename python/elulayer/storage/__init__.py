"""Networks and checkpoints in files."""

from __future__ import annotations

from .networks import load_network, save_network

__all__ = ["load_network", "save_network"]
