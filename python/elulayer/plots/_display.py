"""Where a figure that changes can be seen: a window here, elsewhere the output of a notebook."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Display(Protocol):
    """Shows one figure, again and again."""

    def show(self, figure: Figure) -> None:
        """Show the figure as it is now."""


class Window:
    """A window of matplotlib's, on a canvas that pyplot has given the figure."""

    def show(self, figure: Figure) -> None:
        """Draw the figure, unless its window has been closed."""
        from matplotlib import pyplot

        manager = figure.canvas.manager
        if manager is not None and pyplot.fignum_exists(int(manager.num)):
            figure.canvas.draw()
            figure.canvas.flush_events()


def open_window(width: float, height: float) -> Figure | None:
    """Open a window with an empty figure, or return None where matplotlib has no windows."""
    if threading.current_thread() is not threading.main_thread():
        return None  # windows belong to the main thread
    from matplotlib import pyplot

    try:
        figure = pyplot.figure(figsize=(width, height), layout="constrained")
    except ImportError:  # a backend was asked for by name, and there is no display for it
        return None
    manager = figure.canvas.manager
    if figure.canvas.required_interactive_framework is None or manager is None:
        pyplot.close(figure)
        return None
    manager.show()
    return figure
