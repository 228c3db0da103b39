"""Results in new arrays: of memory that earlier results have left, and as any other array."""

import gc
import itertools
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import tracemalloc

import numpy as np
import pytest

import elulayer as el
from elulayer import _core
from elulayer._support import process

SIZE = 2**19 + 3  # elements: 2 MiB of float32
SYSTEM_HAS_IT = sys.platform.startswith(("linux", "darwin"))

pytestmark = pytest.mark.skipif(not SYSTEM_HAS_IT, reason="this system cannot take memory back")


@pytest.fixture(autouse=True)
def nothing_at_rest():
    gc.collect()
    el.empty_cache()
    yield
    gc.collect()
    el.empty_cache()


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(8, SIZE // 8)).astype(np.float32)


def address(array):
    return array.ctypes.data


RESULTS = {
    "elu": lambda x: el.elu(x),
    "elu with threads": lambda x: el.elu(x, num_threads=1),
    "elu of float16": lambda x: el.elu(np.concatenate([x, x]).astype(np.float16)),
    "elu_backward": lambda x: el.elu_backward(x, x)[0],
    "elu_with_memory": lambda x: el.elu_with_memory(x)[0],
    "transposed": lambda x: el.elu(x.T),
}


@pytest.mark.parametrize("function", RESULTS)
def test_memory_is_used_again(function, x):
    compute = RESULTS[function]
    first = compute(x)
    at = address(first)
    expected = first.copy()
    del first
    assert el.empty_cache() > 0
    first = compute(x)
    at = address(first)
    del first
    again = compute(x)
    assert address(again) == at
    np.testing.assert_array_equal(again, expected)


def test_arrays_that_live_share_nothing(x):
    results = [el.elu(x) for _ in range(5)]
    spans = sorted((address(z), address(z) + z.nbytes) for z in results)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
    view = results.pop()[2:]  # what is left of an array keeps its memory
    others = [el.elu(x - 1) for _ in range(3)]
    np.testing.assert_array_equal(view, el.elu(x)[2:])
    assert not any(np.shares_memory(view, other) for other in others)


def test_a_result_is_an_ordinary_array(x):
    z = el.elu(x)
    assert z.flags.owndata and z.flags.writeable and z.base is None and z.flags.aligned
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(z)), z)
    expected = z.copy()
    for size in (2 * SIZE, SIZE // 2, 10, 3 * SIZE):
        count = min(size, expected.size)
        z.resize(size, refcheck=False)
        np.testing.assert_array_equal(z[:count], expected.reshape(-1)[:count])
        expected = z.copy()


def test_tracemalloc_sees_it(x):
    tracemalloc.start()
    try:
        z = el.elu(x)
        assert tracemalloc.get_traced_memory()[0] >= z.nbytes
        del z
        assert tracemalloc.get_traced_memory()[0] < x.nbytes
    finally:
        tracemalloc.stop()


def test_the_handler_of_others_is_left_alone(x):
    """Small arrays, and those that NumPy makes afterwards, are as before."""
    core = np._core if hasattr(np, "_core") else np.core
    handler = core.multiarray.get_handler_name
    before = handler()
    z = el.elu(x)
    assert handler(z) == "elulayer_block_cache"
    assert handler(el.elu(x[:, :10])) == handler(np.empty(SIZE)) == handler() == before
    with process.cached_memory():
        assert handler(np.empty(SIZE)) == "elulayer_block_cache"
        with pytest.raises(ZeroDivisionError), process.cached_memory():
            raise ZeroDivisionError
        assert handler() == "elulayer_block_cache"
    assert handler() == before


def test_the_bound(x):
    limit = 2 * x.nbytes + 2**18
    _core.set_cache_bytes(limit)
    try:
        results = [el.elu(x) for _ in range(6)]
        del results
        assert 0 < el.empty_cache() <= limit
        _core.set_cache_bytes(0)
        z = el.elu(x)
        del z
        assert el.empty_cache() == 0
    finally:
        process.limit_cache()


def test_threads_share_it(x):
    """No block goes to two threads."""
    expected = el.elu(x)
    failures = []

    def work(seed):
        mine = x + np.float32(seed)
        right = el.elu(mine, num_threads=1)
        for _ in range(30):
            z = el.elu(mine, num_threads=1)
            if not np.array_equal(z, right):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    np.testing.assert_array_equal(el.elu(x), expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_after_a_fork(x):
    """While another thread is allocating: the child's cache is not locked for good."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            el.elu(x, num_threads=1)

    thread = threading.Thread(target=work)
    thread.start()
    kept = el.elu(x)
    expected = kept.copy()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                kept[...] = 0
                z = el.elu(x, num_threads=1)
                os._exit(0 if np.array_equal(z, expected) else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()
    np.testing.assert_array_equal(kept, expected)


def start(code, **variables):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=dict(os.environ, **variables),
        text=True,
        capture_output=True,
        check=False,
    )


ONE_CALL = "import numpy as np, elulayer as el; z = el.elu(np.ones(2**19, np.float32)); del z; "


@pytest.mark.parametrize(("value", "rests"), [("0", False), ("4194304", True), ("100", False)])
def test_the_switch(value, rests):
    done = start(f"{ONE_CALL} print(el.empty_cache() > 0)", ELULAYER_CACHE_BYTES=value)
    assert (done.returncode, done.stdout.strip()) == (0, str(rests)), done.stderr


@pytest.mark.parametrize("value", ["1G", "-1", "", "1e9", "9" * 30])
def test_a_switch_that_says_nothing(value):
    done = start("import elulayer", ELULAYER_CACHE_BYTES=value)
    assert done.returncode == 1
    message = f"ELULAYER_CACHE_BYTES must be a number of bytes, 0 for none, not {value!r}"
    assert done.stderr.strip().endswith(message)


def test_arrays_outlive_the_module():
    """The interpreter's end frees some after everything else."""
    code = """
        import builtins, sys
        sys.modules["kept"] = el.elu(np.ones(2**20))
        builtins.kept = [el.elu(np.ones(2**20))]
        el.kept = el.elu(np.ones(2**20))
    """
    done = start(ONE_CALL + textwrap.dedent(code))
    assert (done.returncode, done.stderr) == (0, "")
