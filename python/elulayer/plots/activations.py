"""The curves of ELU, leaky ReLU and ReLU."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .._support.checks import number
from ..arrays import elu
from ._figure import BLUE, GREEN, ORANGE, TEXT_SIZE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_activations(alpha: float = 1.0, scale: float = 0.1) -> Figure:
    """Draw ELU, leaky ReLU and ReLU from -10 to 3, as Steve Eddins' blog post does.

    Parameters
    ----------
    alpha : float
        ELU is x where x > 0, alpha * (exp(x) - 1) elsewhere; computed by `elulayer.elu`.
    scale : float
        Leaky ReLU is x where x > 0, scale * x elsewhere. The post takes 0.1.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If `alpha` or `scale` is not a finite number.
    """
    alpha = number("alpha", alpha, least=-np.finfo(float).max)
    scale = number("scale", scale, least=-np.finfo(float).max)
    figure = new_figure(6.4, 4.0)
    from matplotlib.ticker import MaxNLocator

    axes = figure.subplots()
    x = np.linspace(-10, 3, 1301)
    curves = [
        (f"ELU, alpha = {alpha:g}", elu(x, alpha), BLUE, "-"),
        (f"Leaky ReLU, scale = {scale:g}", np.where(x > 0, x, scale * x), ORANGE, "--"),
        ("ReLU", np.maximum(x, 0), GREEN, ":"),
    ]
    # All three are x above 0: the one drawn last shows, and the styles let the others through.
    for name, y, color, style in curves:
        axes.plot(x, y, color=color, linestyle=style, linewidth=2.2, label=name)
    axes.spines[["left", "bottom"]].set_position("zero")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("0.5")
    axes.tick_params(labelsize=TEXT_SIZE, color="0.5")
    axes.set_xlim(-10, 3)
    axes.set_ylim(*axes.get_ylim())
    axes.set_yticks([tick for tick in MaxNLocator(5).tick_values(*axes.get_ylim()) if tick != 0])
    # A curve that passes behind a label leaves it readable.
    axes.set_axisbelow(False)
    for label in axes.get_xticklabels():
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.0})
    axes.set_xlabel("x", loc="right", fontsize=TEXT_SIZE)
    axes.legend(loc="upper left", frameon=False, fontsize=TEXT_SIZE + 1)
    return figure
