"""Networks: layers in a row, their files and analysis, and the record of their training."""

from __future__ import annotations

from .analysis import LayerAnalysis, NetworkAnalysis, analyze_network
from .files import load_network, save_network
from .network import Network
from .record import TrainingProgress, TrainingRecord

__all__ = [
    "LayerAnalysis",
    "Network",
    "NetworkAnalysis",
    "TrainingProgress",
    "TrainingRecord",
    "analyze_network",
    "load_network",
    "save_network",
]
