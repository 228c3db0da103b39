"""Training: the options, the solver, the record of a run, its table, and the loop."""

from __future__ import annotations

from .options import TrainingOptions
from .progress import TrainingProgress
from .record import TrainingRecord
from .trainer import train_network

__all__ = ["TrainingOptions", "TrainingProgress", "TrainingRecord", "train_network"]
