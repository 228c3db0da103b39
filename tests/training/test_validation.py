"""Validation during training, output functions, and what stops a run early."""

import io
import sys

import numpy as np
import pytest

import elulayer as el
from shared.small_network import blobs, options, same, small_layers, values


def test_trials_are_recorded():
    X, Y = blobs()
    other = blobs(30, seed=1)
    _, record = el.train_network(
        X, Y, small_layers(), options(validation_data=other, validation_frequency=6)
    )
    tried = ~np.isnan(record.validation_loss)
    assert (np.flatnonzero(tried) + 1).tolist() == [1, 6, 12, 18, 20]
    assert np.array_equal(tried, ~np.isnan(record.validation_accuracy))
    assert record.validation_loss[19] < record.validation_loss[0]
    assert record.stopped_by == "max_epochs"


def test_a_trial_is_a_prediction_with_the_moving_statistics():
    X, Y = blobs()
    Xv, Yv = blobs(31, seed=1)
    run = options(
        validation_data=(Xv, Yv), batch_normalization_statistics="moving", validation_frequency=50
    )
    network, record = el.train_network(X, Y, small_layers(), run)
    P = network.predict(Xv)
    loss = -np.log(P[np.arange(31), Yv]).mean()
    assert record.validation_loss[-1] == pytest.approx(loss, rel=1e-5)
    assert record.validation_accuracy[-1] == pytest.approx(
        100 * (network.classify(Xv) == Yv).mean()
    )


def test_validation_changes_nothing_in_the_run():
    X, Y = blobs()
    with_trials, _ = el.train_network(
        X, Y, small_layers(), options(validation_data=blobs(30, seed=1), validation_frequency=1)
    )
    without, _ = el.train_network(X, Y, small_layers(), options())
    assert same(values(with_trials.layers), values(without.layers))


def test_validation_data_may_be_batches():
    X, Y = blobs()
    Xv, Yv = blobs(30, seed=1)
    _, one = el.train_network(X, Y, small_layers(), options(validation_data=(Xv, Yv)))
    batches = [(Xv[:16], Yv[:16]), (Xv[16:], Yv[16:])]
    _, two = el.train_network(X, Y, small_layers(), options(validation_data=batches))
    assert np.array_equal(one.validation_loss, two.validation_loss, equal_nan=True)
    three = options(validation_data=(Xv[:, :, :5], Yv))
    with pytest.raises(
        ValueError,
        match=r"validation_data: X must have shape \(N, 1, 8, 8\), not \(30, 1, 5, 8\)",
    ):
        el.train_network(X, Y, small_layers(), three)
    with pytest.raises(ValueError, match=r"labels of the classes .*, not the label 7"):
        el.train_network(X, Y, small_layers(), options(validation_data=(Xv, Yv + 7)))


def test_validation_data_may_be_a_list_of_two():
    X, Y = blobs()
    Xv, Yv = blobs(30, seed=1)
    halves = [(Xv[:16], Yv[:16]), (Xv[16:], Yv[16:])]
    images, labels = [Xv[:16], Xv[16:]], [Yv[:16], Yv[16:]]
    _, one = el.train_network(X, Y, small_layers(), options(validation_data=(Xv, Yv)))
    for data in (
        [Xv, Yv], [Xv, Yv.tolist()], [Xv.tolist(), Yv.tolist()], [list(Xv), list(Yv)],
        tuple(halves), [list(half) for half in halves], [images, labels], (images, labels),
    ):  # fmt: skip
        _, two = el.train_network(X, Y, small_layers(), options(validation_data=data))
        assert np.array_equal(one.validation_loss, two.validation_loss, equal_nan=True)
    _, of_two = el.train_network(X, Y, small_layers(), options(validation_data=(Xv[:2], Yv[:2])))
    two = [list(Xv[:2]), list(Yv[:2])]
    _, listed = el.train_network(X, Y, small_layers(), options(validation_data=two))
    assert np.array_equal(of_two.validation_loss, listed.validation_loss, equal_nan=True)


X, Y = blobs(30)


@pytest.mark.parametrize(
    "data",
    [
        [X], [X, Y, Y], [Y, X], [X[:, :, :5], Y], [X, Y[:9]], X, 3, [], iter([(X, Y)]),
        [(X[:, :, :5], Y)], [(X, Y[:9])], [(X, Y + 7)], [(X, Y), X], [(X * np.nan, Y)],
    ],
)  # fmt: skip
def test_what_is_no_validation_data_is_told_before_the_run_by_name(data):
    calls = []
    run = options(validation_data=data, output_fcn=calls.append)
    with pytest.raises((TypeError, ValueError), match=r"^validation_data: "):
        el.train_network(X, Y, small_layers(), run)
    assert calls == []


def test_a_batch_that_comes_later_is_told_by_name():
    run = options(validation_data=[(X, Y), (X, Y[:9])])
    with pytest.raises(ValueError, match=r"^validation_data: a batch must hold 30 labels"):
        el.train_network(X, Y, small_layers(), run)


def test_patience():
    """Labels that have nothing to do with the images: the validation loss soon rises."""
    X, Y = blobs()
    wrong = (X[:30], np.random.default_rng(0).permutation(Y[:30]))
    run = options(
        max_epochs=50, validation_data=wrong, validation_frequency=1, validation_patience=4
    )
    _, record = el.train_network(X, Y, small_layers(), run)
    assert record.stopped_by == "validation_patience"
    losses = record.validation_loss
    best = losses.argmin()
    assert len(losses) == best + 1 + 4 < 250


def test_the_best_network_can_be_kept():
    X, Y = blobs()
    wrong = (X[:30], np.random.default_rng(0).permutation(Y[:30]))
    run = {
        "max_epochs": 10,
        "validation_data": wrong,
        "validation_frequency": 1,
        "batch_normalization_statistics": "moving",
    }
    best, record = el.train_network(
        X, Y, small_layers(), options(output_network="best-validation-loss", **run)
    )
    last, _ = el.train_network(X, Y, small_layers(), options(**run))
    P = best.predict(wrong[0])
    loss = -np.log(P[np.arange(30), wrong[1]]).mean()
    assert loss == pytest.approx(record.validation_loss.min(), rel=1e-5)
    assert not same(values(best.layers), values(last.layers))


def test_moving_statistics():
    X, Y = blobs()
    layers = small_layers()
    seen = []
    run = options(batch_normalization_statistics="moving", max_epochs=1, output_fcn=seen.append)
    network, _ = el.train_network(X, Y, layers, run)
    population, _ = el.train_network(X, Y, layers, options(max_epochs=1))
    assert same(values(network.layers), values(population.layers))
    moving = network.layers[2]
    # A reference of its own: one layer fed the convolution's outputs of the same mini-batches.
    assert not np.allclose(moving.mean, population.layers[2].mean, rtol=1e-3)
    layer = el.BatchNormalizationLayer(mean_decay=0.25, variance_decay=0.5)
    layer.initialize((3,), np.random.default_rng(0))
    mean, variance = np.zeros(3), np.ones(3)
    for seed in range(4):
        batch = np.random.default_rng(seed).normal(2, 3, (50, 3)).astype(np.float32)
        layer.forward(batch)
        mean = 0.25 * batch.mean(axis=0) + 0.75 * mean
        variance = 0.5 * batch.var(axis=0) + 0.5 * variance
    np.testing.assert_allclose(layer.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.variance, variance, rtol=1e-5)


def test_output_functions_see_the_run():
    X, Y = blobs()
    seen, alphas = [], []
    run = options(
        output_fcn=[seen.append, lambda at: alphas.append(at.network.layers[3].alpha.copy())],
        validation_data=(X, Y),
        validation_frequency=7,
    )
    network, record = el.train_network(X, Y, small_layers(), run)
    assert [at.state for at in seen] == ["start", *["iteration"] * 20, "done"]
    assert [at.iteration for at in seen] == [0, *range(1, 21), 20]
    assert [at.epoch for at in seen[1:-1]] == record.epoch.tolist()
    assert seen[0].epoch == 0 and np.isnan(seen[0].loss)
    assert {at.total_iterations for at in seen} == {20}
    for name in ("loss", "accuracy", "validation_loss", "validation_accuracy", "learn_rate"):
        told = [getattr(at, name) for at in seen[1:-1]]
        assert np.array_equal(told, getattr(record, name), equal_nan=True), name
    assert [at.time_since_start for at in seen[1:-1]] == record.time.tolist()
    assert np.array_equal(alphas[-1], network.layers[3].alpha)
    assert not np.array_equal(alphas[0], alphas[1])


def test_an_output_function_can_stop_the_run():
    X, Y = blobs()
    states = []

    def stop(at):
        states.append(at.state)
        return at.iteration == 3

    network, record = el.train_network(X, Y, small_layers(), options(output_fcn=stop))
    assert len(record.loss) == 3
    assert record.stopped_by == "output_fcn"
    assert states == ["start", *["iteration"] * 3, "done"]
    X, Y = blobs()
    again, _ = el.train_network(X, Y, small_layers(), options())
    assert not same(values(network.layers), values(again.layers))


@pytest.mark.parametrize("answer", [True, np.True_])
def test_any_true_stops_before_the_first_iteration_too(answer):
    _, record = el.train_network(*blobs(), small_layers(), options(output_fcn=lambda at: answer))
    assert len(record.loss) == 0
    assert record.stopped_by == "output_fcn"


def test_false_goes_on_and_other_answers_are_refused():
    run = options(output_fcn=[lambda at: False, lambda at: np.False_, lambda at: None])
    _, record = el.train_network(*blobs(), small_layers(), run)
    assert len(record.loss) == 20
    with pytest.raises(
        TypeError, match=r"an output_fcn must return True, .*, False or None, not 1"
    ):
        el.train_network(*blobs(), small_layers(), options(output_fcn=lambda at: 1))


def test_the_table_has_columns_for_validation(capsys):
    X, Y = blobs()
    run = options(verbose=True, validation_data=(X, Y), validation_frequency=8, verbose_frequency=5)
    _, record = el.train_network(X, Y, small_layers(), run)
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].count("Mini-batch") == lines[3].count("Validation") == 2
    assert len({len(line) for line in lines[2:]}) == 1
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[6:-1]]
    assert [int(row[1]) for row in rows] == [1, 5, 8, 10, 15, 16, 20]
    for row in rows:
        i = int(row[1]) - 1
        loss, accuracy = record.validation_loss[i], record.validation_accuracy[i]
        tried = not np.isnan(loss)
        assert row[4] == (f"{loss:.4f}" if tried else "")
        assert row[6] == (f"{accuracy:.2f}%" if tried else "")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_shows_a_bar(monkeypatch, capsys):
    pytest.importorskip("tqdm", reason="the extra 'train' is absent")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    el.train_network(*blobs(), small_layers(), options(verbose=True, max_epochs=30))
    shown = terminal.getvalue()
    assert "images/s" in shown and "/2.40k" in shown and "loss=" in shown
    assert "images" not in capsys.readouterr().out


def test_no_bar_where_there_is_no_terminal(capsys):
    el.train_network(*blobs(), small_layers(), options(verbose=True, max_epochs=1))
    assert capsys.readouterr().err == ""
