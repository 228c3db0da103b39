"""The table of a training run against the one in the blog post."""

import math

import pytest

import elulayer as el
from elulayer.training.table import Table

BLOG = """\
|=========================================================================================|
|     Epoch    |   Iteration  | Time Elapsed |  Mini-batch  |  Mini-batch  | Base Learning|
|              |              |  (seconds)   |     Loss     |   Accuracy   |     Rate     |
|=========================================================================================|
|            1 |            1 |         0.03 |       2.5173 |        5.47% |       0.0100 |
|            2 |           50 |         0.63 |       0.4548 |       85.16% |       0.0100 |
|            3 |          100 |         1.20 |       0.1550 |       96.88% |       0.0100 |
|            7 |          250 |         2.96 |       0.0356 |      100.00% |       0.0100 |
|           26 |         1000 |        11.73 |       0.0049 |      100.00% |       0.0100 |
|           30 |         1170 |        13.80 |       0.0043 |      100.00% |       0.0100 |
|=========================================================================================|"""

RECORDED = [
    (1, 1, 0.0312, 2.51728, 100 * 7 / 128, 0.01),
    (2, 50, 0.631, 0.45481, 100 * 109 / 128, 0.01),
    (3, 100, 1.2, 0.15503, 100 * 124 / 128, 0.01),
    (7, 250, 2.96, 0.0356, 100.0, 0.01),
    (26, 1000, 11.73, 0.0049, 100.0, 0.01),
    (30, 1170, 13.8, 0.0043, 100.0, 0.01),
]


TABLE = Table(validation=False)


def row(epoch, iteration, seconds, loss, accuracy, rate, table=TABLE):
    at = el.TrainingProgress(
        state="iteration", epoch=epoch, iteration=iteration, total_iterations=None,
        time_since_start=seconds, loss=loss, accuracy=accuracy, validation_loss=math.nan,
        validation_accuracy=math.nan, learn_rate=rate, network=None, record=None,
    )  # fmt: skip
    return table.row(at)


def test_the_blogs_table():
    lines = [TABLE.header, *(row(*numbers) for numbers in RECORDED), TABLE.rule]
    assert "\n".join(lines) == BLOG


@pytest.mark.parametrize("seconds", [0.0, 123456789.99, 1e12])
@pytest.mark.parametrize("loss", [0.0, 87.3365, 9999999.9999, 1e20, 1e300, math.inf, math.nan])
@pytest.mark.parametrize("rate", [1e-12, 0.5, 1e9])
def test_any_numbers_keep_the_frame(seconds, loss, rate):
    line = row(999_999_999, 10**11, seconds, loss, 100.0, rate)
    assert len(line) == len(TABLE.rule)
    assert [i for i, c in enumerate(line) if c == "|"] == [0, 15, 30, 45, 60, 75, 90]


def test_numbers_that_would_vanish():
    assert row(1, 1, 0, 1e20, 0, 2e-5).endswith("|   1.0000e+20 |        0.00% |   2.0000e-05 |")
    assert row(1, 1, 0, 1, 0, 0.001).endswith("|       0.0010 |")


@pytest.mark.parametrize("loss", [-0.0, -1e-9, 0.0])
def test_nothing_is_minus_zero(loss):
    assert row(1, 1, 0, loss, 100, 0.01).endswith("|       0.0000 |      100.00% |       0.0100 |")
    assert "      -1.0000 |" in row(1, 1, 0, -1, 100, 0.01)


def test_validation_columns_are_empty_without_a_trial():
    table = Table(validation=True)
    line = row(1, 2, 3, 4, 5, 0.01, table)
    cells = line.strip("|").split("|")
    assert len(line) == len(table.rule)
    assert [cells[i].strip() for i in (3, 4, 5, 6)] == ["4.0000", "", "5.00%", ""]
