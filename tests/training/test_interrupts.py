"""Ctrl-C during a run: the first stops it with what it has learned, the second ends it at once."""

import signal
import threading

import numpy as np
import pytest

import elulayer as el
from shared.small_network import blobs, options, same, small_layers, values

SIGINT = signal.SIGINT


@pytest.fixture(autouse=True)
def handler():
    """Python's own handler at first, which must be there again in the end."""
    before = signal.signal(SIGINT, signal.default_int_handler)
    yield
    after = signal.signal(SIGINT, before)
    assert after is signal.default_int_handler


class Press:
    """An output function that presses Ctrl-C after some iterations."""

    def __init__(self, *iterations, times=1, state="iteration"):
        self.iterations, self.times, self.state = iterations, times, state
        self.seen = []

    def __call__(self, progress):
        self.seen.append((progress.state, progress.iteration))
        if progress.state == self.state and progress.iteration in self.iterations:
            for _ in range(self.times):
                signal.raise_signal(SIGINT)


def stops_at(iteration):
    return lambda progress: progress.iteration == iteration


def test_the_first_returns_what_was_learned():
    X, Y = blobs()
    press = Press(7)
    network, record = el.train_network(X, Y, small_layers(), options(output_fcn=press))
    assert record.stopped_by == "interrupt"
    assert press.seen[-2:] == [("iteration", 7), ("done", 7)]
    # In the ordinary way: as where an output function stops the run.
    stopped, other = el.train_network(X, Y, small_layers(), options(output_fcn=stops_at(7)))
    assert np.array_equal(record.loss, other.loss) and len(record.loss) == 7
    assert same(values(network.layers), values(stopped.layers))
    assert np.array_equal(network.predict(X), stopped.predict(X))


def test_the_iteration_is_finished():
    """Ctrl-C inside a layer, in the middle of an iteration."""

    class Interrupted(el.ELULayer):
        calls = 0

        def backward(self, X, Z, dLdZ, memory=None):
            Interrupted.calls += 1
            if Interrupted.calls == 4:
                signal.raise_signal(SIGINT)
            return super().backward(X, Z, dLdZ, memory)

    X, Y = blobs()
    network, record = el.train_network(X, Y, small_layers(Interrupted(4)), options())
    assert record.stopped_by == "interrupt" and len(record.loss) == 4
    stopped, _ = el.train_network(X, Y, small_layers(), options(output_fcn=stops_at(4)))
    assert same(values(network.layers), values(stopped.layers))


def test_the_best_network_and_the_last_trial():
    X, Y = blobs()
    run = {
        "validation_data": (X[:9], Y[:9]),
        "validation_frequency": 5,
        "output_network": "best-validation-loss",
    }
    network, record = el.train_network(X, Y, small_layers(), options(output_fcn=Press(7), **run))
    stopped, other = el.train_network(X, Y, small_layers(), options(output_fcn=stops_at(7), **run))
    assert record.stopped_by == "interrupt"
    assert np.array_equal(record.validation_loss, other.validation_loss, equal_nan=True)
    assert not np.isnan(record.validation_loss[6])
    assert same(values(network.layers), values(stopped.layers))


def test_the_second_interrupts():
    press = Press(3, times=2)
    with pytest.raises(KeyboardInterrupt):
        el.train_network(*blobs(), small_layers(), options(output_fcn=press))
    assert press.seen[-1] == ("iteration", 3)


def test_the_second_interrupts_the_last_pass_over_the_images():
    class Slow(el.ELULayer):
        def after_training(self, batches):
            signal.raise_signal(SIGINT)

    with pytest.raises(KeyboardInterrupt):
        el.train_network(*blobs(), small_layers(Slow(4)), options(output_fcn=Press(3)))


def test_the_first_after_the_last_iteration_costs_nothing():
    X, Y = blobs()
    network, record = el.train_network(
        X, Y, small_layers(), options(output_fcn=Press(20, state="done"))
    )
    assert record.stopped_by == "interrupt" and len(record.loss) == 20
    whole, _ = el.train_network(X, Y, small_layers(), options())
    assert same(values(network.layers), values(whole.layers))


def test_before_the_first_iteration_there_is_nothing_to_keep():
    class Early(el.ELULayer):
        def before_training(self, batches):
            signal.raise_signal(SIGINT)

    with pytest.raises(KeyboardInterrupt):
        el.train_network(*blobs(), small_layers(Early(4)), options())
    _, record = el.train_network(
        *blobs(), small_layers(), options(output_fcn=Press(0, state="start"))
    )
    assert record.stopped_by == "interrupt" and len(record.loss) == 0


def test_an_error_puts_the_handler_back():
    def fail(progress):
        signal.raise_signal(SIGINT)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        el.train_network(*blobs(), small_layers(), options(output_fcn=fail))


def test_a_run_in_a_run():
    """The outer run has the Ctrl-C; the inner one leaves its handler alone."""
    inner = []

    def trains(progress):
        if progress.iteration == 2:
            run = options(max_epochs=1, output_fcn=Press(1))
            inner.append(el.train_network(*blobs(), small_layers(), run)[1])

    _, record = el.train_network(*blobs(), small_layers(), options(output_fcn=trains))
    assert record.stopped_by == "interrupt" and len(record.loss) == 2
    assert inner[0].stopped_by == "max_epochs"


@pytest.mark.parametrize("own", ["function", "ignored"])
def test_another_handler_is_left_alone(own):
    caught = []
    mine = signal.SIG_IGN if own == "ignored" else lambda *_: caught.append(1)
    signal.signal(SIGINT, mine)
    try:
        _, record = el.train_network(*blobs(), small_layers(), options(output_fcn=Press(3, 4)))
        assert signal.getsignal(SIGINT) is mine
    finally:
        signal.signal(SIGINT, signal.default_int_handler)
    assert record.stopped_by == "max_epochs"
    assert len(caught) == (0 if own == "ignored" else 2)


def test_a_handler_that_was_set_during_the_run_stays():
    def mine(*_):
        pass

    def sets(progress):
        if progress.iteration == 2:
            signal.signal(SIGINT, mine)

    el.train_network(*blobs(), small_layers(), options(output_fcn=sets))
    assert signal.signal(SIGINT, signal.default_int_handler) is mine


def test_another_thread_changes_nothing():
    found = []

    def look(progress):
        found.append(signal.getsignal(SIGINT))

    def train():
        found.append(el.train_network(*blobs(), small_layers(), options(output_fcn=look))[1])

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert found.pop().stopped_by == "max_epochs"
    assert set(found) == {signal.default_int_handler}


@pytest.mark.parametrize("at", [3, 5, 7])
@pytest.mark.parametrize("unit", ["epoch", "iteration"])
def test_a_checkpoint_is_written_from_which_the_run_goes_on(tmp_path, at, unit):
    pytest.importorskip("safetensors", reason="checkpoints need safetensors")
    X, Y = blobs()
    run = {"validation_data": (X[:9], Y[:9]), "validation_frequency": 4, "shuffle": "every-epoch"}
    saving = {"checkpoint_path": tmp_path, "checkpoint_frequency_unit": unit}
    saving["checkpoint_frequency"] = 1 if unit == "epoch" else 4
    el.train_network(X, Y, small_layers(), options(output_fcn=Press(at), **run, **saving))
    files = sorted(file.name for file in tmp_path.iterdir())
    assert files[-1] == f"checkpoint-{at:08d}.safetensors"
    resumed, record = el.train_network(X, Y, small_layers(), options(**run), resume=tmp_path)
    whole, other = el.train_network(X, Y, small_layers(), options(**run))
    assert record.stopped_by == "max_epochs"
    assert same(values(resumed.layers), values(whole.layers))
    assert np.array_equal(record.validation_loss, other.validation_loss, equal_nan=True)
