"""Eight threads share arrays, layers and networks, with and without an interpreter lock."""

import subprocess
import sys
import sysconfig
import threading

import numpy as np
import pytest

import elulayer as el

THREADS = 8
ROUNDS = 20
FREE = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))


def together(work):
    """Call ``work(i)`` in eight threads that begin together; raise what one of them raises."""
    gate = threading.Barrier(THREADS)
    errors = []

    def begin(i):
        try:
            gate.wait()
            work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@pytest.mark.skipif(not FREE, reason="this Python always has an interpreter lock")
@pytest.mark.parametrize("module", ["elulayer", "elulayer._cuda"])
def test_an_import_leaves_the_interpreter_lock_off(module):
    code = f"import sys, {module}; assert not sys._is_gil_enabled()"
    command = [sys.executable, "-W", "error"]
    result = subprocess.run([*command, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_the_threads_share_inputs():
    """Small and large ones: the large results are of the cache's memory."""
    for shape in ((3, 4, 5), (16, 4, 64, 64)):
        x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        alpha = np.linspace(0.1, 1, 4, dtype=np.float32)
        z, memory = el.elu_with_memory(x, alpha)
        sources = ({"x": x}, {"output": z}, {"memory": memory})
        expected = [el.elu_backward(z, alpha=alpha, **source) for source in sources]

        def work(i, x=x, alpha=alpha, z=z, sources=sources, expected=expected):
            for _ in range(ROUNDS):
                assert np.array_equal(el.elu(x, alpha), z)
                for source, gradients in zip(sources, expected, strict=True):
                    dx, dalpha = el.elu_backward(z, alpha=alpha, **source)
                    assert np.array_equal(dx, gradients[0])
                    assert np.array_equal(dalpha, gradients[1])
                if i == 0:
                    el.empty_cache()

        together(work)


def test_the_threads_write_to_parts_of_one_array():
    x = np.random.default_rng(1).normal(size=(THREADS, 64, 1024))
    expected = el.elu(x, 0.5)
    out = np.empty_like(x)

    def work(i):
        for _ in range(ROUNDS):
            el.elu(x[i], 0.5, out=out[i])

    together(work)
    assert np.array_equal(out, expected)


def test_arrays_go_from_thread_to_thread():
    """One makes them, another one lets the last reference go."""
    shelves = [None] * THREADS

    def work(i):
        for k in range(ROUNDS * 5):
            made = el.elu(np.full((4, 1 << 16), -1.0, np.float32), float(i + 1))
            shelves[(i + k) % THREADS] = made
            assert np.all(made == made[0, 0])

    together(work)


def test_the_threads_share_layers_and_a_network():
    network = el.Network(el.models.blog_layers((1, 12, 12), 10), range(10))
    network.initialize(0)
    X = np.random.default_rng(2).random((32, 1, 12, 12), np.float32)
    layer = el.ELULayer(4)
    layer.initialize((4, 9, 9), np.random.default_rng(3))
    x = np.random.default_rng(4).normal(size=(8, 4, 9, 9)).astype(np.float32)
    expected = network.predict(X)
    Z, memory = layer.forward(x)
    gradients = layer.backward(x, Z, Z, memory)

    def work(i):
        for _ in range(ROUNDS):
            assert np.array_equal(network.predict(X), expected)
            z, m = layer.forward(x)
            assert np.array_equal(z, Z)
            for mine, one in zip(layer.backward(x, z, z, m), gradients, strict=True):
                assert np.array_equal(mine, one)

    together(work)


def test_a_training_in_each_thread_has_the_bits_of_one_alone():
    X = np.random.default_rng(5).random((64, 1, 8, 8), np.float32)
    Y = np.arange(64) % 2
    options = el.TrainingOptions("sgdm", max_epochs=2, seed=0, verbose=False, mini_batch_size=16)

    def train():
        network, record = el.train_network(X, Y, el.models.blog_layers((1, 8, 8), 2), options)
        return network.predict(X).tobytes(), record.loss.tobytes()

    expected = train()

    def work(i):
        for _ in range(2):
            assert train() == expected

    together(work)
