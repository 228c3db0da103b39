"""Values in messages, and the line of an error in a user's file."""

import numpy as np
import pytest

from elulayer._support.wording import described, line_in, shown


class Unspeakable:
    def __repr__(self):
        raise RuntimeError("repr broke")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        ("a\nb", r"'a\nb'"),
        (np.array([1.0, np.nan]), "array([ 1., nan])"),
        (np.zeros((2, 3, 4)), "an array of shape (2, 3, 4) and dtype float64"),
        (np.ma.zeros(7), "a MaskedArray of shape (7,) and dtype float64"),
        ([1, 2], "[1, 2]"),
        (list(range(50)), "a list of 50"),
        (dict.fromkeys(range(200)), "a dict of 200"),
        ("x" * 200, "'" + "x" * 99 + "..."),
    ],
)
def test_values(value, text):
    assert shown(value) == text


def test_what_has_no_text():
    assert shown(Unspeakable()).startswith("<")
    assert shown(10**5000).startswith(("<int object", "1000"))
    assert "\n" not in shown(np.eye(2))


def test_values_with_their_types():
    assert described(1.0) == "float 1.0"
    assert described(None) == "None"
    assert described(()) == "a tuple of 0"
    assert described((1, [2, 3])) == "a tuple of 2: (int 1, a list of 2)"
    assert described(tuple(range(2000))).endswith("int 5, ...)")
    assert described({}) == "{}"


def test_an_error_that_is_its_own_cause():
    error = KeyError("k")
    with pytest.raises(KeyError):
        raise error from error
    assert line_in(error, lambda file: False) == ""
    assert line_in(error, lambda file: file == __file__).endswith(" of test_wording.py)")
