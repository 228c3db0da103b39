"""What elu_with_memory, elu_backward from its memory or from Z, and elu_double_backward take."""

import re

import numpy as np
import pytest

import elulayer as el
from shared.reference import assert_same

MODES = ["memory", "output"]
DTYPE = "dtype float32, float64, float16 or bfloat16"
X = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 3, 4)
A = np.array([0.5, 1, 2], np.float32)


@pytest.mark.parametrize(
    "given", [(), ("x", "memory"), ("x", "output"), ("memory", "output"), ("x", "memory", "output")]
)
def test_exactly_one_source_is_taken(given):
    names = " and ".join(given) or "none"
    message = f"exactly one of x, memory and output must be given, not {names}$"
    with pytest.raises(ValueError, match=message):
        el.elu_backward(X, **dict.fromkeys(given, X))
    with pytest.raises(ValueError, match=message):
        el.elu_backward(X, **dict.fromkeys(given, X), alpha=A, out=X.copy(), num_threads=1)


@pytest.mark.parametrize("mode", MODES)
def test_errors_name_what_backward_starts_from(mode):
    cases = [
        ({mode: X.astype(int)}, TypeError, f"{mode} must have {DTYPE}, not int64"),
        ({mode: X.astype(">f4")}, TypeError, f"{mode}.astype({mode}.dtype.newbyteorder('='))"),
        (
            {mode: X.astype("f8")},
            TypeError,
            f"grad must have the dtype of {mode}, float64, not float32",
        ),
        (
            {mode: X[:1]},
            ValueError,
            f"grad must have the shape of {mode}, (1, 3, 4), not (2, 3, 4)",
        ),
        ({mode: np.float32(1)}, ValueError, f"{mode} must be an array with at least one dimension"),
        ({mode: np.ma.masked_array(X)}, TypeError, f"{mode} must not be a masked array"),
        (
            {"alpha": A[:2]},
            ValueError,
            f"for the 3 channels on axis 1 of {mode}, whose shape is (2, 3, 4)",
        ),
        ({"alpha": A.astype("f8")}, TypeError, f"float32, the dtype of {mode}, not float64"),
        ({"axis": 3, "alpha": A}, ValueError, f"not 3: {mode} has 3 dimensions"),
        ({"out": X[0]}, ValueError, "out must have shape (2, 3, 4), as the result, not (3, 4)"),
        (
            {"out": X.astype("f8")},
            ValueError,
            "out must have dtype float32, as the result, not float64",
        ),
        (
            {"out": np.broadcast_to(X, X.shape)},
            ValueError,
            "out must be an array that can be written to",
        ),
        ({"num_threads": 0}, ValueError, "num_threads must be None or from 1 to 2147483647, not 0"),
    ]
    for differs, error, message in cases:
        with pytest.raises(error, match=re.escape(message)):
            el.elu_backward(X, **{mode: X} | differs)


def test_bad_arguments_of_elu_with_memory():
    cases = [
        ({"x": X.astype(int)}, TypeError, f"x must have {DTYPE}, not int64"),
        ({"x": X.astype(">f4")}, TypeError, "x.astype(x.dtype.newbyteorder('='))"),
        ({"x": np.float32(1)}, ValueError, "x must be an array with at least one dimension"),
        ({"alpha": A[:2]}, ValueError, "alpha must be a scalar or have shape (3,), for the 3"),
        ({"alpha": A.astype("f8")}, TypeError, "have dtype float32, the dtype of x, not float64"),
        ({"alpha": 1e39}, ValueError, "alpha must be in the range of float32, not 1e+39"),
        ({"axis": 3}, ValueError, "axis must be from -3 to 2, not 3: x has 3 dimensions"),
        ({"axis": 1.0}, TypeError, "axis must be an integer, not float 1.0"),
        (
            {"num_threads": -1},
            ValueError,
            "num_threads must be None or from 1 to 2147483647, not -1",
        ),
    ]
    for differs, error, message in cases:
        with pytest.raises(error, match=re.escape(message)):
            el.elu_with_memory(**{"x": X, "alpha": A} | differs)


# elu_double_backward -----------------------------------------------------------------------------

BAD = {
    # what differs from a call that is right, the error, its message
    "x int": ({"x": X.astype(int)}, TypeError, f"x must have {DTYPE}, not int64"),
    "x scalar": (
        {"x": np.float32(1)},
        ValueError,
        "x must be an array with at least one dimension",
    ),
    "x masked": ({"x": np.ma.masked_array(X)}, TypeError, "x must not be a masked array"),
    "x swapped": ({"x": X.astype(">f4")}, TypeError, "x.astype(x.dtype.newbyteorder("),
    "grad shape": (
        {"grad": X[0]},
        ValueError,
        "grad must have the shape of x, (2, 3, 4), not (3, 4)",
    ),
    "grad dtype": (
        {"grad": X.astype("f8")},
        TypeError,
        "grad must have the dtype of x, float32, not float64",
    ),
    "grad None": ({"grad": None}, TypeError, f"grad must have {DTYPE}, not object"),
    "v shape": (
        {"grad_dx": X[0]},
        ValueError,
        "grad_dx must have the shape of x, (2, 3, 4), not (3, 4)",
    ),
    "v dtype": (
        {"grad_dx": X.astype("f8")},
        TypeError,
        "grad_dx must have the dtype of x, float32, not float64",
    ),
    "v int": ({"grad_dx": X.astype(int)}, TypeError, f"grad_dx must have {DTYPE}, not int64"),
    "v number": ({"grad_dx": np.float32(0)}, ValueError, "grad_dx must have the shape of x"),
    "v masked": (
        {"grad_dx": np.ma.masked_array(X)},
        TypeError,
        "grad_dx must not be a masked array",
    ),
    "w shape": (
        {"grad_dalpha": A[:2]},
        ValueError,
        "grad_dalpha must have the shape of alpha, (3,), not (2,)",
    ),
    "w scalar": (
        {"grad_dalpha": 1.0},
        ValueError,
        "grad_dalpha must have the shape of alpha, (3,), not ()",
    ),
    "w vector": (
        {"alpha": 1.0},
        ValueError,
        "grad_dalpha must have the shape of alpha, (), not (3,)",
    ),
    "w length 1": (
        {"grad_dalpha": A[:1], "alpha": 1.0},
        ValueError,
        "grad_dalpha must have the shape of alpha, (), not (1,)",
    ),
    "w dtype": (
        {"grad_dalpha": A.astype("f8")},
        TypeError,
        "grad_dalpha must have the dtype of alpha, float32, not float64",
    ),
    "w NumPy": (
        {"grad_dalpha": np.ones(()), "alpha": 1.0},
        TypeError,
        "grad_dalpha must have the dtype of alpha, float32, not float64",
    ),
    "w int": (
        {"grad_dalpha": np.arange(3)},
        TypeError,
        "grad_dalpha must have the dtype of alpha, float32, not int64",
    ),
    "w bool": (
        {"grad_dalpha": True, "alpha": 1.0},
        TypeError,
        "grad_dalpha must have the dtype of alpha, float32, not bool",
    ),
    "w text": (
        {"grad_dalpha": "1", "alpha": 1.0},
        TypeError,
        "grad_dalpha must have the dtype of alpha, float32, not <U1",
    ),
    "w swapped": (
        {"grad_dalpha": A.astype(">f4")},
        TypeError,
        "grad_dalpha must be in this machine's byte order",
    ),
    "w masked": (
        {"grad_dalpha": np.ma.masked_array(A)},
        TypeError,
        "grad_dalpha must not be a masked array",
    ),
    "w large": (
        {"grad_dalpha": 1e39, "alpha": 1.0},
        ValueError,
        "grad_dalpha must be in the range of float32, not 1e+39",
    ),
    "w huge": (
        {"grad_dalpha": 10**400, "alpha": 1.0},
        ValueError,
        "must be in the range of float32, not ",
    ),
    "alpha shape": (
        {"alpha": A[:2]},
        ValueError,
        "alpha must be a scalar or have shape (3,), for the 3 channels on axis 1 of x",
    ),
    "alpha dtype": (
        {"alpha": A.astype("f8")},
        TypeError,
        "have dtype float32, the dtype of x, not float64",
    ),
    "alpha large": (
        {"grad_dalpha": 1.0, "alpha": 1e39},
        ValueError,
        "alpha must be in the range of float32, not 1e+39",
    ),
    "axis": ({"axis": 3}, ValueError, "axis must be from -3 to 2, not 3: x has 3 dimensions"),
    "axis type": ({"axis": 1.0}, TypeError, "axis must be an integer, not float 1.0"),
    "threads": (
        {"num_threads": 0},
        ValueError,
        "num_threads must be None or from 1 to 2147483647, not 0",
    ),
    "threads type": (
        {"num_threads": 1.5},
        TypeError,
        "num_threads must be None or a positive integer, not 1.5",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_of_double_backward(case):
    differs, error, message = BAD[case]
    right = {"grad_dx": X, "grad_dalpha": A, "grad": X, "x": X, "alpha": A}
    with pytest.raises(error, match=re.escape(message)):
        el.elu_double_backward(**right | differs)


@pytest.mark.parametrize(
    ("grad_dalpha", "alpha"),
    [
        (1, 0.5),
        (1.0, np.float32(0.5)),
        (np.float32(1), 0.5),
        (np.ones((), "f"), 0.5),
        (np.ones(3, "f"), [0.5, 0.5, 0.5]),
        (np.ones(6, "f")[::2], np.full(3, 0.5, "f")),
        (-np.inf, 0.5),
        (2**70, 0.5),
    ],
    ids=repr,
)
def test_forms_of_grad_dalpha(grad_dalpha, alpha):
    results = el.elu_double_backward(X, grad_dalpha, X, X, alpha)
    w = float(np.max(grad_dalpha))
    expected = el.elu_double_backward(X, np.full(3, w, "f"), X, X, np.full(3, 0.5, "f"))
    assert_same(results[0], expected[0])
    assert_same(results[1], expected[1])
    assert np.shape(results[2]) == np.shape(alpha)
