"""The alphas of a network as they are learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .._support.wording import counted
from ..layers.contract import label
from ..network import TrainingProgress
from ._figure import TEXT_SIZE, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class AlphaHistory:
    """Keep the alphas of a network at every iteration: an output function for training.

    ::

        history = AlphaHistory()
        options = TrainingOptions("sgdm", output_fcn=history)
        network, record = train_network(X, Y, layers, options)
        plot_alphas(history).savefig("alphas.png")

    They are those of all layers that learn an ``alpha``: `ELULayer`, and layers of your own with a
    learnable of that name. A further run begins anew.

    Attributes
    ----------
    iterations : ndarray of int, shape (n,)
        The first is that before training: 0 if the run was not resumed.
    values : dict of int to ndarray of shape (n, C), float32
        By the layer's position in the network, the alphas after each of `iterations`.
    names : dict of int to str
        By the layer's position, how messages call the layer.
    """

    def __init__(self) -> None:
        self.names: dict[int, str] = {}
        self._iterations: list[int] = []
        self._values: dict[int, list[npt.NDArray[np.float32]]] = {}

    @property
    def iterations(self) -> npt.NDArray[np.int64]:
        """The iterations after which the alphas were kept."""
        return np.array(self._iterations, dtype=np.int64)

    @property
    def values(self) -> dict[int, npt.NDArray[np.float32]]:
        """The alphas, by the layer's position."""
        return {index: np.stack(rows) for index, rows in self._values.items() if rows}

    def __call__(self, progress: TrainingProgress) -> None:
        """Keep the alphas as they are now."""
        if progress.state == "done":
            return
        layers = progress.network.layers
        if progress.state == "start":
            learned = {i: layer for i, layer in enumerate(layers) if "alpha" in layer.learnables}
            self.names = {index: label(index, layer) for index, layer in learned.items()}
            self._iterations = []
            self._values = {index: [] for index in learned}
        self._iterations.append(progress.iteration)
        for index, rows in self._values.items():
            alpha = layers[index].alpha  # type: ignore[attr-defined]  # one of its learnables
            rows.append(np.array(alpha, dtype=np.float32).ravel())


def plot_alphas(history: AlphaHistory) -> Figure:
    """Draw the alphas of every ELU layer over the iterations, a line per channel.

    The lines are coloured by their last value.

    Parameters
    ----------
    history : AlphaHistory
        What a training run was watched with.

    Returns
    -------
    figure : matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If `history` is something else, or holds no alphas.
    """
    if not isinstance(history, AlphaHistory):
        raise TypeError(f"history must be an AlphaHistory, not {type(history).__name__}")
    values = history.values
    if not values:
        raise ValueError(
            "history must hold alphas, not none: pass it to TrainingOptions as output_fcn, and "
            "train a network that has an ELULayer"
        )
    figure = new_figure(8.0, 0.6 + 2.8 * len(values))
    from matplotlib import colormaps

    colors = colormaps["viridis"]
    panels = figure.subplots(len(values), 1, sharex=True, squeeze=False)[:, 0]
    iterations = history.iterations
    for axes, (index, alphas) in zip(panels, values.items(), strict=True):
        last = alphas[-1]
        # The end of the colour map is too pale for lines on white.
        shades = 0.88 * (last - last.min()) / max(float(np.ptp(last)), 1e-12)
        for channel, shade in enumerate(shades):
            axes.plot(iterations, alphas[:, channel], color=colors(float(shade)), linewidth=1.2)
        axes.axhline(0, color="0.5", linewidth=0.8, linestyle=":")
        axes.set_xlim(iterations[0], max(iterations[-1], iterations[0] + 1))
        count = alphas.shape[1]
        title = f"{history.names[index]}: {counted(count, 'channel')}"
        tidy(axes, title, ylabel="alpha")
    panels[-1].set_xlabel("iteration", fontsize=TEXT_SIZE)
    return figure
