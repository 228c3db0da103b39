"""Work on a batch's images on threads, and BLAS kept to one thread."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

import elulayer as el
from elulayer import _parallel

threadpoolctl = pytest.importorskip("threadpoolctl", reason="the extra 'train' is absent")


@pytest.fixture
def three_threads(monkeypatch):
    monkeypatch.setattr(_parallel, "cpu_info", lambda: type("Info", (), {"threads": 3}))


def blas_threads():
    return [
        pool["num_threads"]
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    ]


def test_parts_cover_everything_once(three_threads):
    for count in (0, 1, 2, 3, 4, 100):
        seen = np.zeros(count, int)

        def work(part, seen=seen):
            seen[part] += 1

        with _parallel.one_blas_thread():
            _parallel.in_parallel(work, count)
        assert seen.tolist() == [1] * count


def test_one_part_where_blas_has_its_threads(three_threads):
    parts = []
    _parallel.in_parallel(parts.append, 10)
    assert parts == [slice(0, 10)]


@pytest.mark.parametrize("where", [0, 9])
def test_errors_come_through_when_all_have_stopped(three_threads, where):
    done = []

    def work(part):
        if part.start <= where < part.stop:
            raise ZeroDivisionError(f"at {where}")
        done.append(part)

    with _parallel.one_blas_thread(), pytest.raises(ZeroDivisionError, match=f"at {where}"):
        _parallel.in_parallel(work, 10)
    assert len(done) == 2


def test_blas_has_one_thread_inside_and_its_own_outside():
    before = blas_threads()
    with _parallel.one_blas_thread():
        assert set(blas_threads()) <= {1}
        with _parallel.one_blas_thread():
            pass
        assert set(blas_threads()) <= {1}
    assert blas_threads() == before


def test_overlapping_calls_on_two_threads_restore_the_threads():
    before = blas_threads()
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def second():
        first_in.wait()
        with _parallel.one_blas_thread():
            second_in.set()
            first_out.wait()

    thread = threading.Thread(target=second)
    thread.start()
    with _parallel.one_blas_thread():
        first_in.set()
        second_in.wait()
        assert set(blas_threads()) <= {1}
    first_out.set()
    thread.join()
    assert blas_threads() == before
    with _parallel.one_blas_thread():
        assert set(blas_threads()) <= {1}
    assert blas_threads() == before


def test_settings_for_floating_point_errors_hold_in_all_threads(three_threads):
    values = np.full(9, 1e38, np.float32)
    results = np.empty_like(values)
    with _parallel.one_blas_thread(), np.errstate(over="ignore"):
        _parallel.in_parallel(
            lambda part: np.multiply(values[part], 100, out=results[part]), len(values)
        )
    assert np.isinf(results).all()


def test_training_and_prediction_have_one_blas_thread():
    seen = []

    class Watching(el.Layer):
        def predict(self, X):
            seen.extend(blas_threads())
            return X

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    layers = el.models.blog_layers((1, 8, 8), 2)
    layers.insert(1, Watching())
    X = np.random.default_rng(0).random((8, 1, 8, 8), dtype=np.float32)
    run = el.TrainingOptions("sgdm", max_epochs=1, seed=0, verbose=False)
    network, _ = el.train_network(X, np.arange(8) % 2, layers, run)
    seen.clear()
    network.predict(X)
    assert set(seen) <= {1}


def convolution_results(threads, monkeypatch):
    monkeypatch.setattr(_parallel, "cpu_info", lambda: type("Info", (), {"threads": threads}))
    X = np.random.default_rng(1).normal(size=(7, 3, 9, 8)).astype(np.float32)
    layer = el.Convolution2DLayer((3, 2), 5, stride=2, padding=1)
    layer.initialize(X.shape[1:], np.random.default_rng(2))
    with _parallel.one_blas_thread():
        Z, memory = layer.forward(X)
        return Z, *layer.backward(X, Z, np.cos(Z), memory)


def test_the_convolutions_bits_do_not_depend_on_the_threads(monkeypatch):
    one = convolution_results(1, monkeypatch)
    for threads in (2, 3, 16):
        more = convolution_results(threads, monkeypatch)
        for a, b in zip(one, more, strict=True):
            assert np.array_equal(a, b)


FORK = """
import os, sys
import numpy as np
from elulayer import _parallel
_parallel.cpu_info = lambda: type("Info", (), {"threads": 3})
with _parallel.one_blas_thread():
    _parallel.in_parallel(lambda part: None, 9)
    child = os.fork()
    if child == 0:
        seen = []
        _parallel.in_parallel(seen.append, 9)
        os._exit(0 if len(seen) == 3 else 1)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX's")
def test_a_forked_child_has_threads_of_its_own():
    # Python 3.12 and newer warn of a fork beside threads, which is what is tried here.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    subprocess.run(command, check=True, timeout=60)
