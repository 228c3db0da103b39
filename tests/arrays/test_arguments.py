"""What elu and elu_backward take, and the one clear error for what they do not."""

import array
import re

import ml_dtypes
import numpy as np
import pytest

import elulayer as el
from elulayer import _core
from elulayer.arrays import functions
from shared.inputs import misaligned

X = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 3, 4)
A = np.array([0.5, 1, 2], np.float32)


def read_only(array):
    array.flags.writeable = False
    return array


BAD_X = {
    "int": (
        X.astype(int),
        TypeError,
        "x must have dtype float32, float64, float16 or bfloat16, not int64: convert it to float32 "
        "or float64 first",
    ),
    "bool": (X > 0, TypeError, "x must have dtype float32, .*, not bool"),
    "longdouble": (X.astype("g"), TypeError, "x must have dtype float32, .*, not .*1"),
    "complex": (X.astype("c8"), TypeError, "x must have dtype float32, .*, not complex64"),
    "object": (X.astype(object), TypeError, "x must have dtype float32, .*, not object"),
    "text": ("x", TypeError, "x must have dtype float32, .*, not <U1"),
    "byte order": (
        X.astype(">f4"),
        TypeError,
        r"x must be in this machine's byte order, .*'>f4'.*x.astype(x.dtype.newbyteorder('='))",
    ),
    "scalar": (
        np.float32(1),
        ValueError,
        "x must be an array with at least one dimension, not a scalar",
    ),
    "masked": (np.ma.masked_array(X), TypeError, "x must not be a masked array"),
}


def pattern(message):
    return ".*".join(re.escape(part) for part in message.split(".*"))


@pytest.mark.parametrize("case", BAD_X)
def test_bad_x(case):
    x, error, message = BAD_X[case]
    with pytest.raises(error, match=pattern(message)):
        el.elu(x)
    with pytest.raises(error, match=pattern(message)):
        el.elu_backward(x, x)


BAD_ALPHA = {
    "length": (
        np.ones(4, "f"),
        ValueError,
        "alpha must be a scalar or have shape (3,), for the 3 channels on axis 1 of x, whose shape "
        "is (2, 3, 4), not shape (4,)",
    ),
    "along another axis": (
        np.ones((1, 3), "f"),
        ValueError,
        "alpha must be a scalar or have shape (3,), .*, not shape (1, 3)",
    ),
    "as another axis": (
        np.ones(4, "f"),
        ValueError,
        "have shape (3,), .*, not shape (4,); axis=2 has as many channels",
    ),
    "along two axes": (np.ones((3, 4), "f"), ValueError, "have shape (3,), .*, not shape (3, 4)"),
    "too many axes": (
        np.ones((1, 1, 3, 1), "f"),
        ValueError,
        "have shape (3,), .*, not shape (1, 1, 3, 1); alpha.reshape(3) has it",
    ),
    "along the first axis": (
        np.ones((2, 1, 1), "f"),
        ValueError,
        "have shape (3,), .*, not shape (2, 1, 1); axis=0 is where it has so many",
    ),
    "float64": (
        A.astype("f8"),
        TypeError,
        "Python numbers or have dtype float32, the dtype of x, not float64; "
        "alpha.astype('float32') rounds it",
    ),
    "int": (
        np.arange(3),
        TypeError,
        "alpha must be Python numbers or .*, not int64; alpha.astype('float32')",
    ),
    "byte order": (A.astype(">f4"), TypeError, "alpha.astype(alpha.dtype.newbyteorder('='))"),
    "too large": (1e39, ValueError, "alpha must be in the range of float32, not 1e+39"),
    "one too large": ([1, 1e39, 1], ValueError, "alpha must be in the range of float32, not 1e+39"),
    "huge integer": (10**400, ValueError, "alpha must be in the range of float32, not 1000"),
    "bool": (True, TypeError, "alpha must be Python numbers or have dtype float32, .*, not bool"),
    "nested": (
        [[0.5, 0.5, 0.5]],
        ValueError,
        "alpha must be a scalar or have shape (3,), .*, not shape (1, 3); alpha.reshape(3) has it",
    ),
    "ragged": (
        [0.5, [0.5], 0.5],
        ValueError,
        "alpha must be an array of numbers, not [0.5, [0.5], 0.5]",
    ),
    "just too large": (
        float(np.nextafter(float(np.finfo("f").max), np.inf)),
        ValueError,
        "alpha must be in the range of float32, not 3.4028",
    ),
    "bools": ([True, False, True], TypeError, "or have dtype float32, .*, not bool"),
    "text": ("1.5", TypeError, "or have dtype float32, .*, not <U3"),
    "texts": (["1", "2", "3"], TypeError, "or have dtype float32, .*, not <U1"),
    "None": (None, TypeError, "or have dtype float32, .*, not object"),
    "array.array": (
        array.array("d", [1, 2, 3]),
        TypeError,
        "or have dtype float32, .*, not float64",
    ),
    "masked": (np.ma.masked_array(A), TypeError, "alpha must not be a masked array"),
}


@pytest.mark.parametrize("case", BAD_ALPHA)
def test_bad_alpha(case):
    alpha, error, message = BAD_ALPHA[case]
    with pytest.raises(error, match=pattern(message)):
        el.elu(X, alpha)
    with pytest.raises(error, match=pattern(message)):
        el.elu_backward(X, X, alpha)


@pytest.mark.parametrize("shape", [(1,), (3,), (3, 1), (1, 1), (1, 3, 1), (1, 1, 1), ()])
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
def test_alpha_that_broadcasts_along_the_channels(shape, dtype):
    """By NumPy's rules, or as a vector; its gradient has its shape."""
    grad, x = np.cos(X).astype(dtype), (X - 11).astype(dtype)
    alpha = np.resize(A, shape).astype("f8" if dtype == "f8" else "f4")
    plain = alpha.reshape(-1) if alpha.size > 1 else float(alpha.reshape(-1)[0])
    assert np.array_equal(el.elu(x, alpha), el.elu(x, plain))
    for found, expected in (
        (el.elu_backward(grad, x, alpha), el.elu_backward(grad, x, plain)),
        (
            el.elu_double_backward(x, alpha, grad, x, alpha)[1:],
            el.elu_double_backward(x, plain, grad, x, plain)[1:],
        ),
    ):
        assert found[1].shape == shape
        assert all(
            np.array_equal(a.ravel(), np.ravel(b)) for a, b in zip(found, expected, strict=True)
        )


@pytest.mark.parametrize(
    ("x", "alpha"),
    [("f4", "f2"), ("f8", "f4"), ("f8", "f2"), ("f2", "f2"), ("f4", ml_dtypes.bfloat16)],
)
def test_alpha_of_a_narrower_dtype_widens(x, alpha):
    """Exactly; its gradient has the dtype in which alpha is computed with."""
    values = X.astype(x) - 11
    narrow = A.astype(alpha)
    wide = narrow.astype("f8" if x == "f8" else "f4")
    assert np.array_equal(el.elu(values, narrow), el.elu(values, wide))
    dX, dalpha = el.elu_backward(values, values, narrow)
    expected, expected_dalpha = el.elu_backward(values, values, wide)
    assert np.array_equal(dX, expected) and np.array_equal(dalpha, expected_dalpha)
    assert dalpha.dtype == wide.dtype


def test_numpys_float64_is_a_number():
    for alpha in (np.float64(0.3), [np.float64(0.3)] * 3):
        assert np.array_equal(el.elu(X - 11, alpha), el.elu(X - 11, 0.3))


@pytest.mark.parametrize("alpha", [0.5, np.float32(0.5)])
def test_axis_is_checked_where_alpha_is_a_scalar_too(alpha):
    for axis, error in ((9, ValueError), (None, TypeError), (-4, ValueError)):
        with pytest.raises(error, match=r"^axis must be "):
            el.elu(X, alpha, axis=axis)
    vector = X.ravel() - 11
    assert np.array_equal(el.elu(vector, alpha), el.elu(vector, alpha, axis=0))
    with pytest.raises(ValueError, match=r"^axis must be from -1 to 0, not 2: x has 1 dimension$"):
        el.elu(vector, alpha, axis=2)


@pytest.mark.parametrize("axis", [None, 1.0, "1", True])
def test_axis_that_is_no_integer(axis):
    with pytest.raises(TypeError, match=pattern(f"axis must be an integer, not .*{axis!r}")):
        el.elu(X, A, axis=axis)


@pytest.mark.parametrize("axis", [3, -4])
def test_bad_axis(axis):
    with pytest.raises(
        ValueError, match=f"axis must be from -3 to 2, not {axis}: x has 3 dimensions"
    ):
        el.elu(X, A, axis=axis)


@pytest.mark.parametrize(
    ("threads", "error"),
    [(0, ValueError), (-1, ValueError), (2**40, ValueError), (1.5, TypeError), (True, TypeError)],
)
def test_bad_num_threads(threads, error):
    wanted = "from 1 to 2147483647" if error is ValueError else "a positive integer"
    message = f"num_threads must be None or {wanted}, not {threads}"
    with pytest.raises(error, match=message):
        el.elu(X, num_threads=threads)
    with pytest.raises(error, match=message):
        el.elu_backward(X, X, num_threads=threads)


def test_bad_grad():
    with pytest.raises(
        ValueError, match=pattern("grad must have the shape of x, (2, 3, 4), not (2, 3)")
    ):
        el.elu_backward(X[:, :, 0].copy(), X)
    with pytest.raises(TypeError, match="grad must have the dtype of x, float32, not float64"):
        el.elu_backward(X.astype(float), X)
    with pytest.raises(TypeError, match=r"grad must have dtype float32, .*, not int64"):
        el.elu_backward(X.astype(int), X)


BAD_OUT = {
    "list": (X.tolist(), TypeError, "out must be an ndarray, not list"),
    "masked": (
        np.ma.masked_array(X.copy()),
        TypeError,
        "out must be an ndarray, not numpy.ma.*MaskedArray",
    ),
    "shape": (
        np.empty((2, 3), "f"),
        ValueError,
        "out must have shape (2, 3, 4), as the result, not (2, 3)",
    ),
    "dtype": (
        np.empty(X.shape),
        ValueError,
        "out must have dtype float32, as the result, not float64",
    ),
    "byte order": (
        np.empty(X.shape, ">f4"),
        ValueError,
        "out must have dtype float32, as the result, not >f4",
    ),
    "read-only": (
        read_only(X.copy()),
        ValueError,
        "out must be an array that can be written to, not a read-only one",
    ),
}


@pytest.mark.parametrize("case", BAD_OUT)
def test_bad_out_is_left_untouched(case):
    out, error, message = BAD_OUT[case]
    before = np.array(out)
    with pytest.raises(error, match=pattern(message)):
        el.elu(X, A, out=out)
    with pytest.raises(error, match=pattern(message)):
        el.elu_backward(X, X, A, out=out)
    np.testing.assert_array_equal(np.array(out), before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_out_is_filled_and_returned(dtype):
    x, a = X.astype(dtype), A.astype(dtype)
    out = np.full_like(x, np.nan)
    assert el.elu(x, a, out=out) is out
    np.testing.assert_array_equal(out, el.elu(x, a))
    grad = x[::-1].copy()
    expected, expected_dalpha = el.elu_backward(grad, x, a)
    dx, dalpha = el.elu_backward(grad, x, a, out=out)
    assert dx is out
    np.testing.assert_array_equal(dx, expected)
    np.testing.assert_array_equal(dalpha, expected_dalpha)


def big(seed):
    return np.random.default_rng(seed).normal(size=(4, 3, 200_00)).astype(np.float32)


def test_in_place():
    """Out may be x or grad, by another view of the same memory too."""
    x, grad = big(0), big(1)
    z, (dx, dalpha) = el.elu(x, A), el.elu_backward(grad, x, A)
    same = x.copy()
    assert el.elu(same, A, out=same) is same
    np.testing.assert_array_equal(same, z)
    same = x.copy()
    el.elu(same, A, out=same[:])
    np.testing.assert_array_equal(same, z)
    for target in ("x", "grad"):
        arrays = {"x": x.copy(), "grad": grad.copy()}
        out, in_place_dalpha = el.elu_backward(**arrays, alpha=A, out=arrays[target])
        assert out is arrays[target]
        np.testing.assert_array_equal(out, dx)
        np.testing.assert_array_equal(in_place_dalpha, dalpha)


@pytest.mark.parametrize("shift", [1, 7, 16, 5000])
@pytest.mark.parametrize("forwards", [True, False])
def test_partial_overlap_gives_the_result_without_overlap(shift, forwards):
    memory = np.random.default_rng(2).normal(size=60_000 + shift).astype(np.float32)
    first, second = memory[:60_000].reshape(2, 3, -1), memory[shift:].reshape(2, 3, -1)
    x, out = (first, second) if forwards else (second, first)
    other = big(3).ravel()[:60_000].reshape(x.shape)
    before = memory.copy()
    expected = el.elu(x.copy(), A)
    np.testing.assert_array_equal(el.elu(x, A, out=out), expected)
    for grad_overlaps in (True, False):
        memory[...] = before
        grad, inputs = (x, other) if grad_overlaps else (other, x)
        dx, dalpha = el.elu_backward(grad.copy(), inputs.copy(), A)
        out_dx, out_dalpha = el.elu_backward(grad, inputs, A, out=out)
        np.testing.assert_array_equal(out_dx, dx)
        np.testing.assert_array_equal(out_dalpha, dalpha)


def test_out_that_overlaps_alpha():
    x = big(4)
    alpha = x[0, 0, 5000:5003]
    expected = el.elu(x.copy(), alpha.copy())
    np.testing.assert_array_equal(el.elu(x, alpha, out=x), expected)


def test_strided_alpha_is_taken():
    np.testing.assert_array_equal(el.elu(X, np.repeat(A, 2)[::2]), el.elu(X, A))


def test_inputs_are_not_written():
    x, grad, a = (read_only(v.copy()) for v in (X, X, A))
    el.elu(x, a)
    el.elu_backward(grad, x, a)


def plain_is_off(monkeypatch):
    """Let the path in Python take all calls."""
    for name in ("elu_plain", "elu_backward_plain"):
        monkeypatch.setattr(functions._core, name, lambda *arguments: None)


def outcome(function, arguments, options):
    """What a call does: its results and what it has written, or its error."""
    given = [a for a in (*arguments, *options.values()) if isinstance(a, np.ndarray)]
    before = [a.copy() for a in given]
    try:
        results = function(*arguments, **options)
    except Exception as error:
        results = (type(error), str(error))
    results = results if isinstance(results, tuple) else (results,)
    found = [
        (type(a), a.dtype, a.shape, a.strides, a.tobytes()) if hasattr(a, "dtype") else a
        for a in (*results, *given)
    ]
    for a, old in zip(given, before, strict=True):
        if a.flags.writeable:
            a[...] = old
    return found


GOOD_X = {
    "float32": X,
    "float64": X.astype("f8"),
    "float16": X.astype("f2"),
    "bfloat16": X.astype(ml_dtypes.bfloat16),
    "list": X.tolist(),
    "Fortran order": np.asfortranarray(X),
    "strided": np.repeat(X, 2, axis=2)[:, :, ::2],
    "reversed": X[::-1, ::-1],
    "misaligned": misaligned(X),
    "subclass": X.view(type("Own", (np.ndarray,), {})),
    "empty": X[:0],
    "one channel": X[:, :1],
    "one dimension": X[0, :, 0].copy(),
}
GOOD_ALPHA = {
    "none": (),
    "float": (0.5,),
    "negative": (-0.5,),
    "int": (2,),
    "infinite": (float("inf"),),
    "NaN": (float("nan"),),
    "float32 scalar": (np.float32(0.5),),
    "vector": (A,),
    "list": ([0.5, 1, 2],),
    "strided": (np.repeat(A, 2)[::2],),
    "float64": (A.astype("f8"),),
    "one": (A[:1],),
}
MORE = {
    "axis": {"axis": -2},
    "axis 0": {"axis": 0},
    "NumPy's axis": {"axis": np.int64(1)},
    "axis None": {"axis": None},
    "axis True": {"axis": True},
    "axis 3": {"axis": 3},
    "axis 2**70": {"axis": 2**70},
    "threads": {"num_threads": 2},
    "threads 0": {"num_threads": 0},
    "stream": {"stream": 1},
    **{f"out {name}": {"out": out} for name, (out, _, _) in BAD_OUT.items()},
    "out": {"out": np.zeros_like(X)},
    "out x": {"out": X},
    "out of another layout": {"out": np.zeros_like(np.asfortranarray(X))},
    "out strided": {"out": np.zeros((2, 3, 8), "f")[:, :, ::2]},
}
CALLS = {
    **{f"x {name}": ((x,), {}) for name, (x, _, _) in BAD_X.items()},
    **{f"alpha {name}": ((X, alpha), {}) for name, (alpha, _, _) in BAD_ALPHA.items()},
    **{
        f"x {x_name}, alpha {name}": ((x, *alpha), {"axis": 0} if np.ndim(x) == 1 else {})
        for x_name, x in GOOD_X.items()
        for name, alpha in GOOD_ALPHA.items()
    },
    **{f"{name}, {a}": ((X, *a_), options) for name, options in MORE.items()
       for a, a_ in (("float", (0.5,)), ("vector", (A,)))},
}  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_both_paths_do_the_same(call, monkeypatch):
    """Every argument, good and bad, by the compiled path of the common call and by Python's."""
    (x, *alpha), options = CALLS[call]
    with_grad = {"alpha": alpha[0]} if alpha else {}
    grads = [x, X, np.asfortranarray(X), X.astype("f8"), X[:, :, 0], None]
    calls = [(el.elu, (x, *alpha), options)]
    calls += [(el.elu_backward, (grad, x), {**with_grad, **options}) for grad in grads]
    fast = [outcome(*arguments) for arguments in calls]
    plain_is_off(monkeypatch)
    for arguments, found in zip(calls, fast, strict=True):
        assert outcome(*arguments) == found


def test_the_compiled_path_takes_the_common_call():
    grad, out = X[::-1].copy(), np.empty_like(X)
    for alpha in (0.5, A):
        for to in (None, out, X.copy()):
            assert _core.elu_plain(X, alpha, 1, to) is not None
            assert _core.elu_backward_plain(grad, X, alpha, 1, to) is not None
        inplace = X.copy()
        assert _core.elu_plain(inplace, alpha, 1, inplace) is inplace
    for x in (X[::-1], X.astype("f2"), X.astype(">f4"), X.tolist()):
        assert _core.elu_plain(x, 0.5, 1, None) is None


def test_shared_memory_by_both_paths(monkeypatch):
    """Results that overlap inputs or alpha: the same as without, by either path."""

    def results():
        found = []
        for shift in (0, 1, 12, 24):
            for alpha_at in (0, 30, 60):
                memory = np.random.default_rng(shift).normal(size=80).astype(np.float32)
                x, out = memory[:24].reshape(X.shape), memory[shift : shift + 24].reshape(X.shape)
                alpha = memory[alpha_at : alpha_at + 3]
                found.append(el.elu(x, alpha, out=out).copy())
                found += [a.copy() for a in el.elu_backward(x, out, alpha, out=x)]
        return [a.tobytes() for a in found]

    fast = results()
    plain_is_off(monkeypatch)
    assert results() == fast


def test_a_list_of_floats_is_float64():
    assert el.elu([-1.0, 2.0]).dtype == np.float64
