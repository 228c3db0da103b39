"""Training: the options, the solver, the record of a run, its table, and the loop."""

from __future__ import annotations

from ..network import TrainingProgress, TrainingRecord
from .options import TrainingOptions
from .trainer import train_network

__all__ = ["TrainingOptions", "TrainingProgress", "TrainingRecord", "train_network"]
