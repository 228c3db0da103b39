"""Arguments that NumPy reads by their own `__array__`, and what that does beside giving values."""

import inspect
import threading
import warnings

import numpy as np
import pytest

import elulayer as el
from shared.inputs import TENSOR_REFUSED, Tensor

X = np.linspace(-2, 2, 24, dtype=np.float32).reshape(2, 3, 4)
A = np.array([0.5, 1, 2], np.float32)

CALLS = {
    "elu": {"x": X, "alpha": A},
    "elu_with_memory": {"x": X, "alpha": A},
    "elu_backward": {"grad": X, "x": X, "alpha": A},
    "elu_backward, memory": {"grad": X, "memory": X, "alpha": A},
    "elu_backward, output": {"grad": X, "output": X, "alpha": A},
    "elu_double_backward": {"grad_dx": X, "grad_dalpha": A, "grad": X, "x": X, "alpha": A},
}
ARGUMENTS = [(call, name) for call, arguments in CALLS.items() for name in arguments]


def called(call, **changes):
    return getattr(el, call.partition(",")[0])(**CALLS[call] | changes)


@pytest.mark.parametrize(("call", "name"), ARGUMENTS)
def test_what_cannot_be_read_is_named(call, name):
    with pytest.raises(TypeError, match=f"^{name} {TENSOR_REFUSED}"):
        called(call, **{name: Tensor()})
    with pytest.raises(TypeError, match=f"^{name} {TENSOR_REFUSED}"):
        called(call, **{name: [Tensor()] * 3})


@pytest.mark.parametrize("call", CALLS)
def test_an_out_that_cannot_be_read(call):
    if "out" in inspect.signature(getattr(el, call.partition(",")[0])).parameters:
        with pytest.raises(TypeError, match=r"^out must be an ndarray, not shared\.inputs\.Tensor"):
            called(call, out=Tensor())


class OwnWarning(UserWarning):
    pass


class Warns:
    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        warnings.warn("read", OwnWarning, stacklevel=2)
        return self.array


@pytest.mark.parametrize(("call", "name"), ARGUMENTS)
def test_a_warning_is_the_users_own(call, name):
    argument = {name: Warns(CALLS[call][name])}
    with pytest.warns(OwnWarning, match=r"^read$"):
        results = called(call, **argument)
    for result, expected in zip(results, called(call), strict=True):
        np.testing.assert_array_equal(result, expected)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        called(call, **argument)
        warnings.simplefilter("error")
        with pytest.raises(OwnWarning, match=r"^read$"):
            called(call, **argument)


ALPHAS = [0.5, 1, np.float32(0.5), A, A.tolist(), tuple(A), Warns(A)]


def test_threads_leave_the_filters_for_warnings_alone():
    """Not for a moment either: a warning that is ignored is ignored in every thread."""
    failures = []

    def work(alpha):
        try:
            for _ in range(300):
                el.elu(X, alpha, num_threads=1)
                el.elu_backward(X, X, alpha)
                warnings.warn("ignored", OwnWarning, stacklevel=1)
        except Exception as error:
            failures.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OwnWarning)
        before = list(warnings.filters)
        threads = [threading.Thread(target=work, args=(alpha,)) for alpha in ALPHAS]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert warnings.filters == before
    assert failures == []
