"""The table of a training run, in the layout of MATLAB's trainNetwork (R2017b)."""

from __future__ import annotations

import math

from ..network import TrainingProgress

# The two lines of each column's heading, spaced as MATLAB's are.
_EPOCH = ("     Epoch    ", "              ")
_ITERATION = ("   Iteration  ", "              ")
_TIME = (" Time Elapsed ", "  (seconds)   ")
_LOSS = ("  Mini-batch  ", "     Loss     ")
_VALIDATION_LOSS = ("  Validation  ", "     Loss     ")
_ACCURACY = ("  Mini-batch  ", "   Accuracy   ")
_VALIDATION_ACCURACY = ("  Validation  ", "   Accuracy   ")
_RATE = (" Base Learning", "     Rate     ")


class Table:
    """The lines of a run's table.

    Parameters
    ----------
    validation : bool
        Whether it has columns for the validation data.
    """

    def __init__(self, validation: bool) -> None:
        self._validation = validation
        columns = [_EPOCH, _ITERATION, _TIME, _LOSS]
        columns += [_VALIDATION_LOSS] * validation + [_ACCURACY]
        columns += [_VALIDATION_ACCURACY] * validation + [_RATE]
        self.rule = "|" + "=" * (15 * len(columns) - 1) + "|"
        lines = ["|" + "|".join(cells) + "|" for cells in zip(*columns, strict=True)]
        self.header = "\n".join([self.rule, *lines, self.rule])

    def row(self, at: TrainingProgress) -> str:
        """Format a row; numbers that do not fit or would vanish are in scientific notation."""
        rate = _fixed(at.learn_rate, 4) if at.learn_rate >= 1e-3 else f"{at.learn_rate:12.4e}"
        cells = [f"{at.epoch:12d}", f"{at.iteration:12d}", _fixed(at.time_since_start, 2)]
        cells.append(_fixed(at.loss, 4))
        if self._validation:
            cells.append(_fixed(at.validation_loss, 4))
        cells.append(f"{at.accuracy:11.2f}%")
        if self._validation:
            shown = not math.isnan(at.validation_accuracy)
            cells.append(f"{at.validation_accuracy:11.2f}%" if shown else " " * 12)
        cells.append(rate)
        return "| " + " | ".join(cells) + " |"


def _fixed(value: float, digits: int) -> str:
    if math.isnan(value):
        return " " * 12
    text = f"{round(value, digits) + 0.0:12.{digits}f}"  # never -0.0
    return text if len(text) == 12 else f"{value:12.4e}"
