"""The table of a training run, in the layout of MATLAB's trainNetwork (R2017b)."""

from __future__ import annotations

RULE = "|" + "=" * 89 + "|"

HEADER = f"""\
{RULE}
|     Epoch    |   Iteration  | Time Elapsed |  Mini-batch  |  Mini-batch  | Base Learning|
|              |              |  (seconds)   |     Loss     |   Accuracy   |     Rate     |
{RULE}"""


def row(
    epoch: int, iteration: int, seconds: float, loss: float, accuracy: float, learn_rate: float
) -> str:
    """Format one row; numbers that do not fit or would vanish appear in scientific notation.

    Parameters
    ----------
    epoch, iteration : int
        Counted from 1.
    seconds : float
        Time elapsed.
    loss : float
        Loss of the mini-batch.
    accuracy : float
        Accuracy on the mini-batch, in percent.
    learn_rate : float
        Base learn rate.
    """
    rate = _fixed(learn_rate, 4) if learn_rate >= 1e-3 else f"{learn_rate:12.4e}"
    cells = (
        f"{epoch:12d}",
        f"{iteration:12d}",
        _fixed(seconds, 2),
        _fixed(loss, 4),
        f"{accuracy:11.2f}%",
        rate,
    )
    return "| " + " | ".join(cells) + " |"


def _fixed(value: float, digits: int) -> str:
    text = f"{value:12.{digits}f}"
    return text if len(text) == 12 else f"{value:12.4e}"
