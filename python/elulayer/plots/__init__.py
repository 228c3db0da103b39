"""Pictures of layers, data and training runs, drawn with matplotlib: ``elulayer[plot]``.

Every function ``plot_...`` returns a `matplotlib.figure.Figure` that pyplot knows nothing of: save
it with ``figure.savefig("picture.png")``; a notebook shows the one that a cell ends with.
`AlphaHistory` and `TrainingProgressFigure` are for `TrainingOptions`'s `output_fcn`. matplotlib is
loaded when the first figure is made.
"""

from __future__ import annotations

from .activations import plot_activations
from .alphas import AlphaHistory, plot_alphas
from .confusion import plot_confusion
from .images import plot_images, plot_misclassified
from .progress import TrainingProgressFigure
from .training import plot_training

__all__ = [
    "AlphaHistory",
    "TrainingProgressFigure",
    "plot_activations",
    "plot_alphas",
    "plot_confusion",
    "plot_images",
    "plot_misclassified",
    "plot_training",
]
