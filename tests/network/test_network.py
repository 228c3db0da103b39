"""Networks: what they check, what they predict, and layers of a user's own in them."""

import numpy as np
import pytest

import elulayer as el

SHAPE = (1, 6, 6)


def small_layers(*between, classes=3):
    return [
        el.ImageInputLayer(SHAPE),
        *between,
        el.FullyConnectedLayer(classes),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]


def images(n=7, seed=0):
    return np.random.default_rng(seed).random((n, *SHAPE)).astype(np.float32)


def ready(*between, classes=None):
    network = el.Network(small_layers(*between), classes)
    network.initialize(0)
    return network


# What a network is made of


def test_layers_are_checked():
    with pytest.raises(TypeError, match=r"layers\[1\] must be a Layer, not str 'relu'"):
        el.Network(small_layers("relu"))
    with pytest.raises(TypeError, match=r"layers\[1\] must be a Layer, not the class SoftmaxLayer"):
        el.Network(small_layers(el.SoftmaxLayer))
    with pytest.raises(ValueError, match="first layer must be an ImageInputLayer"):
        el.Network(small_layers()[1:])
    with pytest.raises(ValueError, match="first layer must be an ImageInputLayer"):
        el.Network([])
    with pytest.raises(ValueError, match="last layer must be a ClassificationLayer"):
        el.Network(small_layers()[:-1])
    with pytest.raises(TypeError, match="not int"):
        el.Network(3)
    with pytest.raises(TypeError, match=r"not a Network; its layers are network\.layers"):
        el.Network(ready())
    twice = el.ELULayer(1, "e")
    with pytest.raises(
        ValueError, match=r"layers\[2\] \(ELULayer 'e'\) must stand in the network once, not twice"
    ):
        el.Network(small_layers(twice, twice))


def test_methods_and_learnables_are_checked():
    class NoBackward(el.Layer):
        def predict(self, X):
            return X

    class NoPredict(el.Layer):
        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    class StringLearnables(Doubling):
        learnables = "alpha"

    with pytest.raises(TypeError, match=r"layers\[1\] \(NoBackward\) must define backward"):
        el.Network(small_layers(NoBackward()))
    with pytest.raises(TypeError, match=r"layers\[1\] \(NoPredict\) must define predict"):
        el.Network(small_layers(NoPredict()))
    with pytest.raises(TypeError, match=r"tuple of names, \('alpha',\), not the string 'alpha'"):
        el.Network(small_layers(StringLearnables()))


def test_initialize_checks_the_output():
    layers = small_layers()
    del layers[1:3]
    with pytest.raises(ValueError, match=r"must be probabilities of shape \(N, K\), not \(N, "):
        el.Network(layers).initialize()


# Prediction


def test_predict_and_classify():
    network = ready(el.Convolution2DLayer(3, 2), classes=["a", "b", "c"])
    X = images()
    P = network.predict(X)
    assert P.shape == (7, 3)
    assert P.dtype == np.float32
    np.testing.assert_allclose(P.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(network.predict(X, batch_size=2), P, rtol=1e-5)
    labels = network.classify(X)
    assert labels.tolist() == [["a", "b", "c"][i] for i in P.argmax(axis=1)]
    assert network.predict(X[:0]).shape == (0, 3)


def test_predictions_are_not_overwritten_by_later_ones():
    network = ready(el.Convolution2DLayer(3, 2))
    first = network.predict(images())
    kept = first.copy()
    network.predict(images(seed=1))
    assert np.array_equal(first, kept)


def test_images_of_other_dtypes_are_taken_as_they_are():
    network = ready()
    X = np.random.default_rng(1).integers(0, 3, (4, *SHAPE))
    expected = network.predict(X.astype(np.float32))
    for dtype in (np.uint8, np.int64, np.float64, np.float16):
        P = network.predict(X.astype(dtype))
        assert P.dtype == np.float32
        assert np.array_equal(P, expected)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_images_must_be_finite(bad):
    X = images().astype(np.float64)
    X[2, 0, 1, 1] = X[3, 0, 1, 1] = bad
    with pytest.raises(
        ValueError, match=r"X must be finite, not NaN or infinity \(as float32\) in 2 of its images"
    ):
        ready().predict(X)


def test_what_a_layer_raises_names_the_layer():
    """Its position, where there are two of a kind."""
    layers = small_layers(el.ELULayer(1), el.ELULayer(3))
    with pytest.raises(
        ValueError, match=r"^layers\[2\] \(ELULayer\): the input of ELULayer must have 3 channels"
    ):
        el.Network(layers).initialize(0)


def test_prediction_errors():
    network = ready()
    with pytest.raises(ValueError, match=r"X must have shape \(N, 1, 6, 6\), not \(6, 6\)"):
        network.predict(images()[0, 0])
    with pytest.raises(TypeError, match="real numbers, not dtype complex64"):
        network.predict(images().astype(np.complex64))
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        network.predict(images(), batch_size=0)
    with pytest.raises(RuntimeError, match="no classes yet"):
        network.classify(images())
    with pytest.raises(RuntimeError, match="no weights yet"):
        el.Network(small_layers()).predict(images())


def test_repr_lists_the_layers():
    lines = repr(ready(el.ELULayer(1, "elu1"))).splitlines()
    assert lines[4].startswith("1  ELULayer 'elu1' ")
    assert lines[4].endswith("  Exponential linear unit with 1 channels")


# A user's own layers


class LeakyReLU(el.Layer):
    """A user's layer as the README would have it: no super().__init__(), alpha a plain float."""

    learnables = ("alpha",)

    def __init__(self, alpha=0.25):
        self.alpha = alpha

    def predict(self, X):
        return np.where(X > 0, X, self.alpha * X)

    def backward(self, X, Z, dLdZ, memory):
        return np.where(X > 0, dLdZ, self.alpha * dLdZ), np.sum(np.where(X > 0, 0, X) * dLdZ)


class Doubling(el.Layer):
    """A layer without learnables, which computes with float64 constants."""

    def predict(self, X):
        return X * np.array([2.0])

    def backward(self, X, Z, dLdZ, memory):
        return dLdZ * np.array([2.0])


def run_once(layer, *, below=True):
    """One pass forward and back through a network that holds `layer` at index 2."""
    before = el.Convolution2DLayer(3, 2) if below else Doubling()
    network = ready(before, layer)
    tape = network.forward(images())
    return network, network.backward(tape, np.ones((7, 3), np.float32) * [0.1, 0.5, -1], 1)


@pytest.mark.parametrize("alpha", [0.25, 1, [[[0.25]], [[0.5]]], np.float64(0.5), np.array(0.5)])
def test_learnables_may_be_plain_numbers(alpha):
    class PerShape(LeakyReLU):
        def backward(self, X, Z, dLdZ, memory):
            dLdX = np.where(X > 0, dLdZ, self.alpha * dLdZ)
            terms = np.where(X > 0, 0, X) * dLdZ
            axes = (0, 2, 3) if np.ndim(self.alpha) else None
            return dLdX, np.sum(terms, axis=axes).reshape(np.shape(self.alpha))

    layer = PerShape(alpha)
    _, gradients = run_once(layer)
    assert layer.alpha.shape == np.shape(alpha)
    assert layer.alpha.dtype == np.float32
    assert gradients[2][0].shape == np.shape(alpha)


def test_other_floating_outputs_are_rounded_to_float32():
    network, _ = run_once(Doubling())
    assert all(Z.dtype == np.float32 for _, Z, _ in network.forward(images()))


def test_the_tape_is_emptied_and_the_lowest_layer_needs_no_gradient():
    seen = []

    class Watching(Doubling):
        def backward(self, X, Z, dLdZ, memory):
            seen.append(self.needs_input_gradient)
            return dLdZ

    network = ready(Watching())
    tape = network.forward(images())
    network.backward(tape, np.zeros((7, 3), np.float32), 1)
    assert seen == [False]
    assert tape == []
    assert network.layers[1].needs_input_gradient


def with_backward(result):
    class Returning(LeakyReLU):
        def backward(self, X, Z, dLdZ, memory):
            return result(dLdZ)

    layer = Returning()
    layer.name = "mine"
    return layer


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (
            lambda g: g,
            ValueError,
            r"\(dLdX, dLdalpha\), a tuple of 2 gradients, not an array of shape \(7, 2, 4",
        ),
        (lambda g: (g, 1.0, 2.0), ValueError, "2 gradients, not a tuple of 3: .*float 2.0"),
        (lambda g: None, ValueError, "2 gradients, not None"),
        (lambda g: (g[:1], 1.0), ValueError, r"dLdX of shape \(7, 2, 4, 4\), not \(1, 2, 4, 4\)"),
        (lambda g: (g, np.ones(2)), ValueError, r"dLdalpha of shape \(\), not \(2,\)"),
        (lambda g: (g, "x"), TypeError, "dLdalpha as a floating-point array, not str 'x'"),
        (lambda g: (g, 1), TypeError, "dLdalpha as a floating-point array, not int 1"),
        (lambda g: (g, None), TypeError, "dLdalpha as a floating-point array, not None"),
        (lambda g: (g > 0, 1.0), TypeError, r"dLdX as a .* not an array of .* dtype bool"),
        (lambda g: (g.tolist(), 1.0), TypeError, "dLdX as a floating-point array, not a list"),
        (lambda g: (np.ma.masked_less(g, 0), 1.0), TypeError, "dLdX as .*, not a MaskedArray of"),
    ],
)
def test_what_backward_returns_is_checked(result, error, message):
    with pytest.raises(error, match=message) as caught:
        run_once(with_backward(result))
    assert str(caught.value).startswith("layers[2] (Returning 'mine'): backward must return ")


def test_gradient_of_a_layer_without_learnables_is_checked():
    class Extra(Doubling):
        def backward(self, X, Z, dLdZ, memory):
            return dLdZ, 1.0

    message = r"must return dLdX, 1 gradient, not a tuple of 2.*learnables must name .* and is \(\)"
    with pytest.raises(ValueError, match=message):
        run_once(Extra())


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda X: None, TypeError, "must return Z as a floating-point array, not None"),
        (lambda X: X > 0, TypeError, "dtype bool"),
        (lambda X: X.tolist(), TypeError, "not a list"),
        (lambda X: X.sum(axis=0), ValueError, r"the batch of 1 on axis 0, not shape \(2, 4, 4\)"),
        (
            lambda X: X.sum(axis=(1, 2, 3)),
            ValueError,
            r"the batch of 1 on axis 0, not shape \(1,\)",
        ),
    ],
)
def test_what_predict_returns_is_checked(result, error, message):
    class Returning(Doubling):
        def predict(self, X):
            return result(X)

    with pytest.raises(error, match=message) as caught:
        ready(el.Convolution2DLayer(3, 2), Returning())
    assert str(caught.value).startswith("layers[2] (Returning): predict must return ")


def test_what_forward_returns_is_checked():
    class NoMemory(Doubling):
        def forward(self, X):
            return X

    class OtherShape(Doubling):
        def forward(self, X):
            return X[:, :1], None

    with pytest.raises(TypeError, match=r"\(NoMemory\): forward must return \(Z, memory\), not an"):
        run_once(NoMemory())
    with pytest.raises(
        ValueError, match=r"forward must return Z of shape \(7, 2, 4, 4\), not \(7, 1"
    ):
        run_once(OtherShape())


def test_learnables_and_factors_are_checked():
    class Missing(LeakyReLU):
        learnables = ("beta",)

    with pytest.raises(
        ValueError, match=r"layers\[1\] \(Missing\): its learnable 'beta' must have a value"
    ):
        ready(Missing())
    with pytest.raises(TypeError, match="its learnable 'alpha' must be numbers, not 'x'"):
        ready(LeakyReLU("x"))
    typo = LeakyReLU()
    typo.learn_rate_factors["alhpa"] = 0
    with pytest.raises(
        ValueError, match=r"_factors must name learnables, of \('alpha',\), not 'alhpa'"
    ):
        ready(typo)
    negative = LeakyReLU()
    negative.l2_factors["alpha"] = -1
    with pytest.raises(
        ValueError, match=r"l2_factors\['alpha'\] must be at least 0 and finite, not -1"
    ):
        ready(negative)


def test_no_images_give_no_predictions():
    """Through every layer of the blog's network."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 1, 8, 8)).astype(np.float32)
    layers = [
        el.ImageInputLayer((1, 8, 8)),
        el.Convolution2DLayer(3, 4),
        el.BatchNormalizationLayer(),
        el.ELULayer(4),
        el.FullyConnectedLayer(2),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]
    options = el.TrainingOptions("sgdm", max_epochs=1, mini_batch_size=10, verbose=False, seed=0)
    network, _ = el.train_network(X, np.arange(20) % 2, layers, options)
    assert network.predict(X[:0]).shape == (0, 2)
    assert network.classify(X[:0]).shape == (0,)


def test_input_and_classification_layers_only_at_the_ends():
    layers = [el.ImageInputLayer((1, 4, 4)), el.ClassificationLayer(), el.ClassificationLayer()]
    with pytest.raises(ValueError, match=r"layers\[1\] \(ClassificationLayer\) must be the"):
        el.Network(layers)


def small_network(classes):
    layers = [
        el.ImageInputLayer((1, 4, 4)),
        el.FullyConnectedLayer(3),
        el.SoftmaxLayer(),
        el.ClassificationLayer(),
    ]
    network = el.Network(layers, classes=classes)
    network.initialize(0)
    return network


def test_classes_must_fit_the_output():
    X = np.ones((2, 1, 4, 4))
    assert small_network(["a", "b", "c"]).classify(X).shape == (2,)
    with pytest.raises(
        ValueError, match=r"classes must be 3 labels, one for each output .*, not 2"
    ):
        small_network([1, 2]).classify(X)
    with pytest.raises(ValueError, match=r"classes must have shape \(K,\), not \(3, 3\)"):
        small_network(np.eye(3))


def test_nan_is_no_class():
    network = small_network([1, 2, 3])
    network.layers[1].weights[:] = np.nan
    with pytest.raises(FloatingPointError, match="output is NaN for 2 of the images"):
        network.classify(np.ones((2, 1, 4, 4)))


def test_masked_images_are_refused():
    with pytest.raises(TypeError, match="X must not be a masked array"):
        small_network([1, 2, 3]).predict(np.ma.masked_array(np.ones((2, 1, 4, 4))))


@pytest.mark.parametrize("names", [None, (1,), ("alpha", "alpha")])
def test_learnables_must_be_different_names(names):
    class Own(el.Layer):
        learnables = names

        def predict(self, X):
            return X

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    with pytest.raises(TypeError, match="learnables must be a tuple of different names"):
        el.Network([el.ImageInputLayer((1, 4, 4)), Own(), el.ClassificationLayer()])


def test_messages_stay_short():
    class Own(el.Layer):
        def predict(self, X):
            return X.tolist()

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    layers = [el.ImageInputLayer((1, 40, 40)), Own(), el.ClassificationLayer()]
    with pytest.raises(TypeError, match="not a list of 1") as caught:
        el.Network(layers).initialize(0)
    assert len(str(caught.value)) < 200
