"""Training runs: options, repeatability, the solver, hooks, and what stops a run."""

import tracemalloc

import numpy as np
import pytest

import elulayer as el
from shared.small_network import SHAPE, LeakyReLU, blobs, options, same, small_layers, values

# Runs


def test_training_learns():
    X, Y = blobs()
    network, record = el.train_network(X, Y, small_layers(), options())
    assert record.loss[-5:].mean() < 0.2 * record.loss[0]
    Xt, Yt = blobs(seed=1)
    assert (network.classify(Xt) == Yt).mean() > 0.95


def test_record():
    X, Y = blobs(90)
    _, record = el.train_network(X, Y, small_layers(), options(initial_learn_rate=0.02))
    total = 4 * (90 // 16)
    assert record.iteration.tolist() == list(range(1, total + 1))
    assert record.epoch.tolist() == [1] * 5 + [2] * 5 + [3] * 5 + [4] * 5
    assert record.loss.shape == record.accuracy.shape == record.time.shape == (total,)
    assert ((record.accuracy >= 0) & (record.accuracy <= 100)).all()
    assert np.allclose(record.accuracy * 16 / 100, np.round(record.accuracy * 16 / 100))
    assert (record.learn_rate == 0.02).all()
    assert (np.diff(record.time) > 0).all()


def test_the_blogs_number_of_iterations():
    X = np.zeros((5000, 1, 1, 1), np.float32)
    layers = [
        el.ImageInputLayer((1, 1, 1)),
        el.FullyConnectedLayer(10),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]
    run = el.TrainingOptions("sgdm", seed=0, verbose=False)
    _, record = el.train_network(X, np.arange(5000) % 10, layers, run)
    assert len(record.iteration) == 1170
    assert record.epoch[[0, 49, 99, 149, 1149, 1169]].tolist() == [1, 2, 3, 4, 30, 30]


def test_a_seed_repeats_to_the_bit():
    X, Y = blobs()
    layers = small_layers()
    one, first = el.train_network(X, Y, layers, options())
    two, second = el.train_network(X, Y, layers, options())
    fresh, _ = el.train_network(X, Y, small_layers(), options())
    other, _ = el.train_network(X, Y, layers, options(seed=1))
    assert same(values(one.layers), values(two.layers))
    assert same(values(one.layers), values(fresh.layers))
    assert np.array_equal(first.loss, second.loss)
    assert not any(
        np.array_equal(a, b) for a, b in zip(values(one.layers), values(other.layers), strict=True)
    )


def test_no_seed_differs():
    X, Y = blobs()
    runs = [el.train_network(X, Y, small_layers(), options(seed=None, max_epochs=1)) for _ in "ab"]
    assert not same(values(runs[0][0].layers), values(runs[1][0].layers))


def test_the_layers_passed_in_stay_as_they_are():
    X, Y = blobs()
    layers = small_layers(alpha=0.5)
    network, _ = el.train_network(X, Y, layers, options())
    assert layers[1].weights is None
    assert layers[2].scale is None
    assert not layers[0].mean.any()
    assert (layers[3].alpha == np.float32(0.5)).all()
    assert all(a is not b for a, b in zip(layers, network.layers, strict=True))


def test_training_goes_on_from_a_trained_networks_layers():
    X, Y = blobs()
    network, record = el.train_network(X, Y, small_layers(learnable=False), options())
    kept = values(network.layers)
    further, more = el.train_network(X, Y, network.layers, options(max_epochs=1))
    assert same(values(network.layers), kept)
    assert more.loss[0] < 0.5 * record.loss[0]
    assert np.array_equal(further.layers[3].alpha, network.layers[3].alpha)
    still, _ = el.train_network(
        X, Y, network.layers, options(max_epochs=1, initial_learn_rate=1e-30)
    )
    assert same(values(still.layers), kept)


@pytest.mark.parametrize("labels", [["cat", "dog", "eel"], [7, -1, 30], [0.5, 1.5, 2.5]])
def test_labels_of_any_type(labels):
    X, codes = blobs()
    Y = np.array(labels)[codes]
    network, _ = el.train_network(X, Y.tolist(), small_layers(), options())
    predicted = network.classify(X)
    assert predicted.dtype == Y.dtype
    assert network.classes.tolist() == sorted(labels)
    assert (predicted == Y).mean() > 0.95


def test_a_set_smaller_than_a_mini_batch_is_one():
    X, Y = blobs(9)
    _, record = el.train_network(X, Y, small_layers(), options(mini_batch_size=128))
    assert len(record.iteration) == 4


def test_memory_does_not_grow():
    X, Y = blobs(160)
    seen = []

    class Watching(el.Layer):
        def predict(self, X):
            return X

        def forward(self, X):
            seen.append(tracemalloc.get_traced_memory()[0])
            return X, None

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    layers = small_layers()
    layers.insert(1, Watching())
    tracemalloc.start()
    try:
        el.train_network(X, Y, layers, options(max_epochs=40))
    finally:
        tracemalloc.stop()
    assert len(seen) == 400
    # The record and Python's own free lists take some 600 bytes; a batch of images has thousands.
    growth = np.median(seen[300:]) - np.median(seen[100:200])
    assert growth < 200 * 1000 < 200 * X[:16].nbytes


# Shuffling


def batches_seen(shuffle, seed=0):
    """The mini-batches of two epochs as the labels that a layer finds in its images."""
    X = np.arange(12, dtype=np.float32).reshape(12, 1, 1, 1)
    seen = []

    class Watching(el.Layer):
        def predict(self, X):
            return X

        def forward(self, X):
            seen.append(X.ravel().tolist())
            return X, None

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    layers = [
        el.ImageInputLayer((1, 1, 1), normalization="none"),
        Watching(),
        el.FullyConnectedLayer(2),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]
    run = options(max_epochs=2, mini_batch_size=5, shuffle=shuffle, seed=seed)
    el.train_network(X, np.arange(12) % 2, layers, run)
    return seen[:2], seen[2:]


def test_shuffle():
    plain = [[0.0, 1, 2, 3, 4], [5.0, 6, 7, 8, 9]]
    assert batches_seen("never") == (plain, plain)
    first, second = batches_seen("once")
    assert first == second != plain
    assert len(set(first[0] + first[1])) == 10
    assert batches_seen("once") == (first, second)
    assert batches_seen("once", seed=1)[0] != first
    first, second = batches_seen("every-epoch")
    assert first != second


# The solver


def test_updates_are_those_of_a_plain_reference():
    X, codes = blobs(48)
    run = options(
        max_epochs=3, shuffle="never", momentum=0.8, initial_learn_rate=0.05, l2_regularization=0.01
    )
    layers = [
        el.ImageInputLayer(SHAPE, normalization="none"),
        el.FullyConnectedLayer(3),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]
    layers[1].learn_rate_factors["bias"] = 2
    layers[1].l2_factors["weights"] = 3
    layers[1].weights = start = np.random.default_rng(5).normal(size=(3, 64)).astype(np.float32) / 8
    network, record = el.train_network(X, codes, layers, run)

    weights, bias = start.astype(np.float64), np.zeros(3)
    old_weights, old_bias = weights, bias
    losses = []
    for i in range(9):
        batch = slice(16 * (i % 3), 16 * (i % 3) + 16)
        x, T = X[batch].reshape(16, 64).astype(np.float64), np.eye(3)[codes[batch]]
        scores = x @ weights.T + bias
        P = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        losses.append(-np.log(P[T == 1]).mean())
        dscores = (P - T) / 16
        dweights = dscores.T @ x + 0.01 * 3 * weights
        dbias = dscores.sum(axis=0)
        new_weights = weights - 0.05 * dweights + 0.8 * (weights - old_weights)
        new_bias = bias - 0.05 * 2 * dbias + 0.8 * (bias - old_bias)
        old_weights, old_bias, weights, bias = weights, bias, new_weights, new_bias
    np.testing.assert_allclose(record.loss, losses, rtol=1e-5)
    np.testing.assert_allclose(network.layers[1].weights, weights, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(network.layers[1].bias, bias, rtol=1e-4, atol=1e-6)


def test_a_frozen_alpha_stays():
    X, Y = blobs()
    alpha = np.array([0.1, 0.5, 0.9, -0.2], np.float32)
    frozen, _ = el.train_network(X, Y, small_layers(alpha=alpha, learnable=False), options())
    learned, _ = el.train_network(X, Y, small_layers(alpha=alpha), options())
    assert np.array_equal(frozen.layers[3].alpha, alpha)
    assert (learned.layers[3].alpha != alpha).all()


def test_layers_below_the_first_that_learns_get_no_backward():
    X, Y = blobs()
    layers = small_layers(learnable=False)
    for layer in layers[1:4]:
        layer.learn_rate_factors |= dict.fromkeys(layer.learnables, 0.0)
        layer.backward = None
    network, _ = el.train_network(X, Y, layers, options())
    assert not network.layers[1].bias.any()
    assert network.layers[4].bias.any()


def test_everything_frozen_changes_nothing():
    X, Y = blobs()
    layers = small_layers()
    for layer in layers:
        layer.learn_rate_factors |= dict.fromkeys(layer.learnables, 0.0)
    network, _ = el.train_network(X, Y, layers, options(shuffle="never"))
    again, _ = el.train_network(X, Y, layers, options(shuffle="never", max_epochs=1))
    assert same(values(network.layers), values(again.layers))


# Layers of a user's own, and hooks


def test_a_users_layer_with_predict_and_backward_alone_trains():
    X, Y = blobs()
    own = LeakyReLU(0.25)
    network, record = el.train_network(X, Y, small_layers(own), options())
    assert own.alpha == 0.25
    assert network.layers[3].alpha.shape == ()
    assert network.layers[3].alpha != np.float32(0.25)
    assert record.loss[-5:].mean() < 0.2 * record.loss[0]
    own.learn_rate_factors["alpha"] = 0
    network, _ = el.train_network(X, Y, small_layers(own), options())
    assert network.layers[3].alpha == np.float32(0.25)


def test_population_statistics_of_several_layers():
    X, Y = blobs()
    layers = small_layers()
    layers[4:4] = [el.Convolution2DLayer(3, 2), el.BatchNormalizationLayer()]
    network, _ = el.train_network(X, Y, layers, options())
    Z = X
    for layer in network.layers:
        if isinstance(layer, el.BatchNormalizationLayer):
            exact = Z.astype(np.float64)
            np.testing.assert_allclose(layer.mean, exact.mean((0, 2, 3)), rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(layer.variance, exact.var((0, 2, 3)), rtol=1e-4)
        Z = layer.predict(Z)


def test_hooks_see_the_layers_inputs_over_the_training_set():
    X, Y = blobs(150)
    seen = {}

    class Watching(el.Layer):
        def predict(self, X):
            return 2 * X

        def backward(self, X, Z, dLdZ, memory):
            return 2 * dLdZ

        def before_training(self, batches):
            seen["before"] = np.concatenate(list(batches))

        def after_training(self, batches):
            seen["after"] = np.concatenate(list(batches))

    layers = small_layers()
    layers.insert(1, Watching())
    el.train_network(X, Y, layers, options(max_epochs=1))
    expected = X - X.mean(axis=0)
    np.testing.assert_allclose(seen["before"], expected, atol=1e-6)
    np.testing.assert_allclose(seen["after"], expected, atol=1e-6)


# The table of a run


def test_verbose_output(capsys):
    X, Y = blobs()
    run = options(verbose=True, verbose_frequency=6)
    _, record = el.train_network(X, Y, small_layers(), run)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["Training on single CPU.", "Initializing image normalization."]
    assert lines[2:6] == [
        "|" + "=" * 89 + "|",
        "|     Epoch    |   Iteration  | Time Elapsed |  Mini-batch  |  Mini-batch  "
        "| Base Learning|",
        "|              |              |  (seconds)   |     Loss     |   Accuracy   "
        "|     Rate     |",
        "|" + "=" * 89 + "|",
    ]
    assert lines[-1] == lines[2]
    shown = [0, 5, 11, 17, 19]
    for line, i in zip(lines[6:-1], shown, strict=True):
        epoch, iteration, seconds, loss, accuracy, rate = line.strip("| ").split("|")
        assert (int(epoch), int(iteration)) == (record.epoch[i], i + 1)
        assert seconds.strip() == f"{record.time[i]:.2f}"
        assert loss.strip() == f"{record.loss[i]:.4f}"
        assert accuracy.strip() == f"{record.accuracy[i]:.2f}%"
        assert rate.strip() == "0.0100"
    assert [line.split("|")[2].strip() for line in lines[6:-1]] == ["1", "6", "12", "18", "20"]
    layers = small_layers()
    layers[0] = el.ImageInputLayer(SHAPE, normalization="none")
    el.train_network(X, Y, layers, run)
    assert "normalization" not in capsys.readouterr().out


def test_not_verbose_prints_nothing(capsys):
    el.train_network(*blobs(), small_layers(), options(max_epochs=1))
    assert capsys.readouterr() == ("", "")


# What does not fit


def test_arguments_are_checked():
    X, Y = blobs()
    layers = small_layers()
    with pytest.raises(TypeError, match="options must be TrainingOptions, not str"):
        el.train_network(X, Y, layers, "sgdm")
    with pytest.raises(ValueError, match="Y must hold 90 labels, one per image of X, not 89"):
        el.train_network(X, Y[1:], layers, options())
    with pytest.raises(ValueError, match=r"one label per image, not \(90, 3\); Y.argmax\(axis=1\)"):
        el.train_network(X, np.eye(3)[Y], layers, options())
    with pytest.raises(ValueError, match="X must hold at least one image"):
        el.train_network(X[:0], Y[:0], layers, options())
    with pytest.raises(ValueError, match="Y must not hold NaN"):
        el.train_network(X, np.where(Y == 0, np.nan, Y), layers, options())
    with pytest.raises(
        ValueError, match=r"Y must have 3 classes, one for each output .*, not 2, .*0.*1"
    ):
        el.train_network(X, np.minimum(Y, 1), layers, options())
    with pytest.raises(TypeError, match="Y's labels must be of one type that can be sorted"):
        el.train_network(X, np.array([1.5, "a", 3], object)[Y], layers, options())
    with pytest.raises(ValueError, match=r"Y must not hold .* None as at index 0"):
        el.train_network(X, np.array([None, "a", "b"], object)[np.sort(Y)], layers, options())
    for classes, error in (([None, "a", "b"], ValueError), ([1, "a", 2.5], TypeError)):
        classes = np.array(classes, object)
        with pytest.raises(error, match="classes must"):
            el.train_network(X, Y, layers, options(), classes=classes)
    X[3, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"NaN or infinity .* in 1 of its images"):
        el.train_network(X, Y, layers, options())


def test_a_loss_that_is_not_finite_stops_the_run():
    class Spoiling(LeakyReLU):
        calls = 0

        def forward(self, X):
            self.calls += 1
            return (X * np.float32(np.nan) if self.calls == 3 else X), None

    with pytest.raises(
        FloatingPointError,
        match=r"stopped at iteration 3 \(epoch 1\): the loss is nan.*check_layer finds a layer",
    ):
        el.train_network(*blobs(), small_layers(Spoiling(0.1)), options())


def test_divergence_stops_the_run():
    with pytest.raises(
        FloatingPointError, match=r"stopped at iteration \d+ \(epoch \d+\)"
    ) as caught:
        el.train_network(*blobs(), small_layers(), options(initial_learn_rate=1e30))
    assert "check_layer" not in str(caught.value)  # no layer is one's own


def test_a_missing_softmax_is_told():
    layers = small_layers()
    del layers[5]
    with pytest.raises(ValueError, match="is there a SoftmaxLayer before it"):
        el.train_network(*blobs(), layers, options())
