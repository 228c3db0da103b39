"""Threads, forked processes and the interpreter lock."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import elulayer as el

X = np.random.default_rng(0).normal(size=(8, 4, 200, 200)).astype(np.float32)
A = np.linspace(0, 1, 4, dtype=np.float32)

FORK = """
import multiprocessing, sys
import numpy as np, elulayer as el
x = np.random.default_rng(0).normal(size=(8, 4, 200, 200)).astype(np.float32)
a = np.linspace(0, 1, 4, dtype=np.float32)
expected = el.elu_backward(x, x, a, num_threads=2)[1]  # starts OpenMP's threads
def child(queue):
    queue.put((el.elu_backward(x, x, a, num_threads=2)[1], el.cpu_info().threads))
context = multiprocessing.get_context("fork")
queue = context.SimpleQueue()
process = context.Process(target=child, args=(queue,))
process.start()
process.join(60)
if process.exitcode is None:
    process.kill()
    sys.exit("the child hangs")
dalpha, threads = queue.get()
assert np.array_equal(dalpha, expected) and threads == 1, (dalpha, expected, threads)
"""


@pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="this system has no fork"
)
def test_a_forked_child_does_not_wait_for_its_parents_threads():
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr


@pytest.mark.skipif(el.cpu_info().openmp is None, reason="this build has no OpenMP")
def test_omp_num_threads_is_the_default():
    code = "import elulayer as el; print(el.cpu_info().threads)"
    env = {**os.environ, "OMP_NUM_THREADS": "3"}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert result.stdout.strip() == "3", result.stderr


@pytest.mark.skipif(el.cpu_info().openmp is None, reason="this build has no OpenMP")
@pytest.mark.parametrize(("number", "limit", "threads"), [(3, 2, 2), (2, 3, 2), (100_000, 2, 2)])
def test_there_are_no_more_threads_than_omp_thread_limit_allows(number, limit, threads):
    code = "import elulayer as el; print(el.cpu_info().threads)"
    env = {**os.environ, "OMP_NUM_THREADS": str(number), "OMP_THREAD_LIMIT": str(limit)}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert result.stdout.strip() == str(threads), result.stderr


LIMITED = """
import resource, sys, threading
import numpy as np, elulayer as el
x = np.random.default_rng(0).normal(size=2**22).astype(np.float32)
expected = el.elu(x, num_threads=1)
out, equal = np.empty_like(x), np.empty(x.shape, bool)
def run():
    for threads in (64, 2, 64):
        out.fill(0)
        el.elu(x, out=out, num_threads=threads)
        assert np.equal(out, expected, out=equal).all()
        el.elu(x, out=out)
if sys.argv[2] == "had more":
    for threads in (40, 2):
        el.elu(x, out=out, num_threads=threads)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(sys.argv[1]) * 2**20,) * 2)
run()
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="tells how much is used")
@pytest.mark.parametrize("before", ["had one", "had more"])
@pytest.mark.parametrize("mebibytes", [12, 50, 200])
def test_threads_that_the_system_refuses_are_done_without(mebibytes, before):
    command = [sys.executable, "-c", LIMITED, str(mebibytes), before]
    env = {**os.environ, "OMP_NUM_THREADS": "64"}
    result = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.skipif(
    "libgomp" not in (el.cpu_info().openmp or ""), reason="this build does not use GNU libgomp"
)
@pytest.mark.parametrize(
    ("setting", "spins"),
    [({}, "10000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "passive"}, "0")],
)
def test_idle_threads_spin_briefly(setting, spins):
    """The runtime itself tells, when it is loaded, what it has read; a user's word goes first."""
    code = "import os; before = dict(os.environ); import elulayer; assert os.environ == before"
    names = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
    env = {name: value for name, value in os.environ.items() if name not in names}
    env |= {"OMP_DISPLAY_ENV": "verbose", **setting}
    result = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert f"GOMP_SPINCOUNT = '{spins}'" in result.stderr


def test_the_interpreter_lock_is_released():
    """Another Python thread makes progress while a kernel runs."""
    x = np.full(20_000_000, -1.0)
    done = threading.Event()
    progress = []

    def watch():
        while not done.is_set():
            progress.append(time.perf_counter())
            time.sleep(0.0005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    while not progress:
        time.sleep(0.001)
    start = time.perf_counter()
    el.elu(x, out=x, num_threads=1)
    end = time.perf_counter()
    done.set()
    watcher.join()
    assert sum(start < t < end for t in progress) >= 3


def test_concurrent_calls():
    expected = el.elu_backward(X, X, A)
    results = [None] * 8

    def work(i):
        results[i] = el.elu_backward(X, X, A)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(results))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for dx, dalpha in results:
        np.testing.assert_array_equal(dx, expected[0])
        np.testing.assert_array_equal(dalpha, expected[1])
