"""The results of a comparison, as a table and as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from .variants import VARIANTS


@dataclass(frozen=True)
class ComparisonRun:
    """One training.

    Attributes
    ----------
    variant : str
    seed : int
    accuracy : float
        Of the test images, in percent; NaN where the training diverged.
    seconds : float
        Of the training; NaN where it diverged.
    memory : float
        By how much the peak memory of the process grew in the iterations, in MiB; NaN where it
        diverged or the system does not tell.
    error : str
        Why the training diverged; empty where it did not.
    """

    variant: str
    seed: int
    accuracy: float
    seconds: float
    memory: float
    error: str = ""


@dataclass(frozen=True)
class ComparisonRow:
    """One variant over the seeds from which it did not diverge.

    Attributes
    ----------
    variant, description : str
    runs, diverged : int
        How many trainings there were, and how many of them diverged.
    accuracy, seconds, memory : float
        Means, in percent, seconds and MiB; NaN where there is no value.
    accuracy_spread, seconds_spread, memory_spread : float
        Sample standard deviations; NaN where there are fewer than two values.
    """

    variant: str
    description: str
    runs: int
    diverged: int
    accuracy: float
    accuracy_spread: float
    seconds: float
    seconds_spread: float
    memory: float
    memory_spread: float


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    model : str
    epochs : int
    seeds : tuple of int
    train_images, test_images : int
    variants : tuple of str
        In the order of the table.
    runs : tuple of ComparisonRun
        In the order in which they were done.
    """

    model: str
    epochs: int
    seeds: tuple[int, ...]
    train_images: int
    test_images: int
    variants: tuple[str, ...]
    runs: tuple[ComparisonRun, ...]

    @property
    def rows(self) -> tuple[ComparisonRow, ...]:
        """One row for each variant."""
        return tuple(self._row(name) for name in self.variants)

    def _row(self, name: str) -> ComparisonRow:
        runs = [run for run in self.runs if run.variant == name]
        return ComparisonRow(
            name,
            VARIANTS[name].description,
            len(runs),
            sum(bool(run.error) for run in runs),
            *_mean_and_spread([run.accuracy for run in runs]),
            *_mean_and_spread([run.seconds for run in runs]),
            *_mean_and_spread([run.memory for run in runs]),
        )

    def markdown(self) -> str:
        """Return a table in Markdown, with a line before it that says what was trained on.

        The last column but one compares the mean time with that of the first row. The column of
        the memory is left empty where the system does not tell.
        """
        rows = self.rows
        first = rows[0]
        seeds = f"{len(self.seeds)} seed" + "s" * (len(self.seeds) > 1)
        spread = ": mean ± sample standard deviation" * (len(self.seeds) > 1)
        lines = [
            f"Model {self.model!r}, {self.train_images} training and {self.test_images} test "
            f"images, {self.epochs} epoch{'s' * (self.epochs > 1)}, {seeds}{spread}.",
            "",
            "| Variant | What it is | Test accuracy, % | Training, s | Time against "
            f"{first.variant} | Peak memory growth, MiB |",
            "|---|---|---:|---:|---:|---:|",
        ]
        for row in rows:
            accuracy = _with_spread(row.accuracy, row.accuracy_spread, 2)
            if row.diverged:
                count = "" if row.diverged == row.runs else f"{row.diverged} of {row.runs} "
                accuracy = f"{accuracy} ({count}diverged)" if accuracy else "diverged"
            change = 100 * (row.seconds / first.seconds - 1)
            cells = [
                f"`{row.variant}`",
                row.description,
                accuracy,
                _with_spread(row.seconds, row.seconds_spread, 1 if row.seconds >= 10 else 2),
                "" if row is first or math.isnan(change) else f"{change:+.0f} %",
                _with_spread(row.memory, row.memory_spread, 1),
            ]
            lines.append(f"| {' | '.join(cells)} |")
        return "\n".join(lines) + "\n"

    def plot(self) -> Figure:
        """Draw the accuracy, with its spread, and the time beside it."""
        figure = Figure(figsize=(9.0, 1.2 + 0.3 * len(self.rows)), dpi=110, layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        places = np.arange(len(self.rows))

        def column(value: Callable[[ComparisonRow], float]) -> list[float]:
            return [value(row) for row in self.rows]

        left.errorbar(
            column(lambda row: row.accuracy),
            places,
            xerr=np.nan_to_num(column(lambda row: row.accuracy_spread)),
            fmt="o",
            capsize=3,
        )
        right.barh(
            places,
            column(lambda row: row.seconds),
            xerr=np.nan_to_num(column(lambda row: row.seconds_spread)),
            color="C1",
            capsize=3,
        )
        left.set_yticks(places, self.variants)
        left.set_ylim(len(self.rows) - 0.4, -0.6)
        left.grid(axis="x", alpha=0.3)
        spread = f", mean and deviation over {len(self.seeds)} seeds" * (len(self.seeds) > 1)
        left.set(title=f"Test accuracy{spread}", xlabel="percent")
        right.set(title="Training time", xlabel="seconds")
        return figure


def _mean_and_spread(values: list[float]) -> tuple[float, float]:
    """Return the mean and the sample standard deviation of what is not NaN."""
    known = [value for value in values if not math.isnan(value)]
    mean = float(np.mean(known)) if known else math.nan
    return mean, float(np.std(known, ddof=1)) if len(known) > 1 else math.nan


def _with_spread(mean: float, spread: float, digits: int) -> str:
    if math.isnan(mean):
        return ""
    if math.isnan(spread):
        return f"{mean:.{digits}f}"
    return f"{mean:.{digits}f} ± {spread:.{digits}f}"
