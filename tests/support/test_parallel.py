"""Work on a batch's images on threads, and BLAS kept to one thread."""

import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import threadpoolctl

import elulayer as el
from elulayer._support import parallel, process
from shared.small_network import blobs, options, same, small_layers, values


def set_threads(monkeypatch, threads):
    core = SimpleNamespace(cpu_info=lambda: {"threads": threads})
    monkeypatch.setattr(parallel, "_core", core)


@pytest.fixture
def three_threads(monkeypatch):
    set_threads(monkeypatch, 3)


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

        with process.one_blas_thread():
            parallel.in_parallel(work, count)
        assert seen.tolist() == [1] * count


def test_one_part_where_blas_has_its_threads(three_threads):
    parts = []
    parallel.in_parallel(parts.append, 10)
    assert parts == [slice(0, 10)]


@pytest.mark.parametrize("where", [0, 9])
def test_errors_come_through_when_all_have_stopped(monkeypatch, where):
    set_threads(monkeypatch, 2)
    both_in = threading.Barrier(2)
    done = []

    def work(part):
        both_in.wait()
        if part.start <= where < part.stop:
            raise ZeroDivisionError(f"at {where}")
        time.sleep(0.05)
        done.append(part)

    with process.one_blas_thread(), pytest.raises(ZeroDivisionError, match=f"at {where}"):
        parallel.in_parallel(work, 10)
    assert len(done) == 1


def test_where_no_thread_can_be_started_the_calling_one_does_all(three_threads, monkeypatch):
    def refuse(function, arguments):
        raise RuntimeError("can't start new thread")

    done = []
    parallel._crew.cache_clear()
    with process.one_blas_thread():
        with monkeypatch.context() as patch:
            patch.setattr(parallel._thread, "start_new_thread", refuse)
            for _ in range(2):
                parallel.in_parallel(lambda part: done.append(threading.current_thread()), 10)
        assert done == [threading.current_thread()] * 6
        parallel.in_parallel(done.append, 10)
    assert len(done) == 9


INTERRUPTED = """
import os, random, signal, sys, time
import numpy as np, elulayer as el
from elulayer._support import process

def blas():
    import threadpoolctl

    return [p["num_threads"] for p in threadpoolctl.threadpool_info() if p["user_api"] == "blas"]

network = el.Network(el.models.blog_layers((1, 12, 12), 10), range(10))
network.initialize(0)
X = np.random.default_rng(0).random((64, 1, 12, 12), np.float32)
environment = dict(os.environ)
expected = network.predict(X)
assert dict(os.environ) == environment
before = blas()
def seconds():
    start = time.perf_counter()
    network.predict(X)
    return time.perf_counter() - start

whole = min(seconds() for _ in range(10))  # one alone may be many times that on a busy machine
random.seed(int(sys.argv[1]))
caught = 0
for _ in range(400):
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-5, 1.5 * whole))
        network.predict(X)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        caught += 1
signal.signal(signal.SIGALRM, signal.SIG_IGN)
assert np.array_equal(network.predict(X), expected)
assert blas() == before and not process.blas_has_one_thread(), blas()
assert caught > 50, caught
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no such timer")
@pytest.mark.parametrize("seed", range(3))
def test_interrupts_at_any_moment(seed):
    """No lock stays held, and BLAS gets its threads back."""
    code = "import signal\nsignal.signal(signal.SIGALRM, signal.default_int_handler)" + INTERRUPTED
    result = subprocess.run(
        [sys.executable, "-c", code, str(seed)], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr


def test_blas_has_one_thread_inside_and_its_own_outside():
    before = blas_threads()
    with process.one_blas_thread():
        assert set(blas_threads()) <= {1}
        with process.one_blas_thread():
            pass
        assert set(blas_threads()) <= {1}
    assert blas_threads() == before


def test_of_overlapping_calls_the_last_one_gives_blas_its_threads_back():
    """Whichever of them began first."""
    before = blas_threads()
    both_in, first_out = threading.Barrier(2), threading.Event()
    seen = []

    def second():
        both_in.wait()
        with process.one_blas_thread():
            both_in.wait()
            first_out.wait()
            seen.extend(blas_threads())

    thread = threading.Thread(target=second)
    thread.start()
    with process.one_blas_thread():
        both_in.wait()
        both_in.wait()
        assert set(blas_threads()) <= {1}
    first_out.set()
    thread.join()
    assert set(seen) <= {1}
    assert blas_threads() == before
    assert not process.blas_has_one_thread()


@pytest.mark.parametrize("works", [0, 1])
def test_a_limit_that_cannot_be_set_or_lifted_leaves_the_next_call_alone(works, monkeypatch):
    """Of BLAS that takes a number of threads so many times, and then no more."""

    class Library:
        num_threads, taken = 1, 0

        def set_num_threads(self, number):
            self.taken += 1
            if self.taken > works:
                raise OSError("no BLAS")

    before = blas_threads()
    with monkeypatch.context() as patch:
        patch.setattr(process, "_blas", lambda: SimpleNamespace(lib_controllers=[Library()]))
        with pytest.raises(OSError, match="no BLAS"), process.one_blas_thread():
            pass
    with process.one_blas_thread():
        assert process.blas_has_one_thread()
        assert set(blas_threads()) <= {1}
    assert blas_threads() == before
    assert not process.blas_has_one_thread()


def test_trainings_side_by_side_have_the_bits_of_one_after_the_other(three_threads):
    """The second one begins when the first has begun, and ends when the first has ended."""
    before = blas_threads()
    X, Y = blobs()
    started, ended = threading.Event(), threading.Event()
    results = {}

    def train(name, **callbacks):
        network, record = el.train_network(X, Y, small_layers(), options(**callbacks))
        results[name] = [*values(network.layers), record.loss]

    train("alone")

    def start_the_other(progress):
        started.set()
        if progress.state == "iteration":
            assert set(blas_threads()) <= {1}

    def end_last(progress):
        if progress.state == "start":
            started.wait()
        if progress.iteration == 2:
            ended.wait()
        assert set(blas_threads()) <= {1}

    thread = threading.Thread(target=train, args=("last",), kwargs={"output_fcn": end_last})
    thread.start()
    train("first", output_fcn=start_the_other)
    ended.set()
    thread.join()
    assert same(results["first"], results["alone"])
    assert same(results["last"], results["alone"])
    assert blas_threads() == before


def test_settings_for_floating_point_errors_hold_in_all_threads(three_threads):
    values = np.full(9, 1e38, np.float32)
    results = np.empty_like(values)
    with process.one_blas_thread(), np.errstate(over="ignore"):
        parallel.in_parallel(
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


def results(layer, threads, monkeypatch):
    set_threads(monkeypatch, threads)
    X = np.random.default_rng(1).normal(size=(7, 3, 29, 83)).astype(np.float32)
    layer.initialize(X.shape[1:], np.random.default_rng(2))
    with process.one_blas_thread():
        Z, memory = layer.forward(X)
        return Z, *layer.backward(X, Z, np.cos(Z), memory)


@pytest.mark.parametrize(
    "layer",
    [el.Convolution2DLayer((3, 2), 5, stride=2, padding=1), el.FullyConnectedLayer(10)],
    ids=lambda layer: type(layer).__name__,
)
def test_bits_do_not_depend_on_the_threads(layer, monkeypatch):
    one = results(layer, 1, monkeypatch)
    for threads in (2, 3, 16):
        more = results(layer, threads, monkeypatch)
        for a, b in zip(one, more, strict=True):
            assert np.array_equal(a, b)


FORK = """
import os, sys
import numpy as np
from types import SimpleNamespace
from elulayer._support import parallel, process
parallel._core = SimpleNamespace(cpu_info=lambda: {"threads": 3})
with process.one_blas_thread():
    parallel.in_parallel(lambda part: None, 9)
    child = os.fork()
    if child == 0:
        seen = []
        parallel.in_parallel(seen.append, 9)
        os._exit(0 if len(seen) == 3 else 1)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork is POSIX's")
def test_a_forked_child_has_threads_of_its_own():
    # Python 3.12 and newer warn of a fork beside threads, which is what is tried here.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    subprocess.run(command, check=True, timeout=60)
