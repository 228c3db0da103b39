"""What every layer makes of inputs that are no arrays: what `elulayer.elu` makes of them."""

import numpy as np
import pytest

import elulayer as el
from elulayer import layers as builtin
from elulayer.layers.inputs import floats

IMAGES, SCORES = (2, 3, 4, 4), (2, 3)

LAYERS = [
    (el.ImageInputLayer(IMAGES[1:]), IMAGES),
    (el.ImageInputLayer(IMAGES[1:], normalization="none"), IMAGES),
    (el.Convolution2DLayer(2, 2), IMAGES),
    (el.Convolution2DLayer(2, 2, padding=1), IMAGES),
    (el.BatchNormalizationLayer(), IMAGES),
    (el.BatchNormalizationLayer(), SCORES),
    (el.ELULayer(3), SCORES),
    (el.ELULayer(3, shared=True), IMAGES),
    (el.ELULayer(3, backward_from="memory"), SCORES),
    (el.ELULayer(3, backward_from="output"), SCORES),
    (el.ELULayer(3, backward_from="output", in_place=True), SCORES),
    (el.ReLULayer(), SCORES),
    (el.LeakyReLULayer(), SCORES),
    (el.PReLULayer(3), SCORES),
    (el.MaxPooling2DLayer(2), IMAGES),
    (el.AveragePooling2DLayer(2), IMAGES),
    (el.FullyConnectedLayer(2), SCORES),
    (el.SoftmaxLayer(), SCORES),
    (el.ClassificationLayer(), SCORES),
]

each_layer = pytest.mark.parametrize(
    ("layer", "shape"),
    LAYERS,
    ids=[f"{number}-{type(layer).__name__}" for number, (layer, _) in enumerate(LAYERS)],
)


@pytest.fixture(autouse=True, scope="module")
def initialized():
    for layer, shape in LAYERS:
        layer.initialize(shape[1:], np.random.default_rng(0))


def test_every_layer_is_tried():
    assert {type(layer).__name__ for layer, _ in LAYERS} == set(builtin.__all__) - {"Layer"}


def gradients(result):
    return result if isinstance(result, tuple) else (result,)


@each_layer
def test_lists_are_taken(layer, shape):
    X = np.random.default_rng(1).normal(size=shape)
    Z, memory = layer.forward(X.copy())
    assert np.array_equal(layer.predict(X.tolist()), layer.predict(X))
    again, memory_again = layer.forward(X.tolist())
    assert again.dtype == np.float64 and np.array_equal(again, Z)
    dLdZ = np.random.default_rng(2).normal(size=Z.shape)
    expected = gradients(layer.backward(X, Z, dLdZ, memory))
    found = gradients(layer.backward(X.tolist(), Z.tolist(), dLdZ.tolist(), memory_again))
    for one, other in zip(expected, found, strict=True):
        assert np.array_equal(one, other)


class Opaque:
    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("it has no numbers")


REFUSED = {
    "integers": ([[1, 2, 3]], TypeError, "{} must have dtype float32, .* bfloat16, not int"),
    "integer array": (np.ones((2, 3), np.uint8), TypeError, "{} must have dtype .*, not uint8"),
    "booleans": ([[True, False, True]], TypeError, "{} must have dtype .*, not bool"),
    "complex": ([[1j, 2, 3]], TypeError, "{} must have dtype .*, not complex128"),
    "None": (None, TypeError, "{} must have dtype .*, not object"),
    "text": ("text", TypeError, "{} must have dtype .*, not <U4"),
    "dict": ({"X": 1.0}, TypeError, "{} must have dtype .*, not object"),
    "masked": (np.ma.masked_array([[1.0, 2.0, 3.0]]), TypeError, "{} must not be a masked array"),
    "opaque": (Opaque(), TypeError, "{} must be an array, not .*Opaque: it has no numbers"),
}


@each_layer
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_array_of_floats_is_refused(layer, shape, what):
    value, kind, message = REFUSED[what]
    with pytest.raises(kind, match="^" + message.format("X")):
        layer.predict(value)
    with pytest.raises(kind, match="^" + message.format("X")):
        layer.forward(value)
    X = np.random.default_rng(1).normal(size=shape)
    Z, memory = layer.forward(X.copy())
    with pytest.raises(kind, match="^" + message.format("dLdZ")):
        layer.backward(X, Z, value, memory)


@each_layer
def test_numbers_are_refused_or_taken_as_arrays_without_axes(layer, shape):
    if isinstance(layer, (el.ReLULayer, el.LeakyReLULayer, el.ClassificationLayer)):
        assert np.shape(layer.predict(0.5)) == ()
    elif not isinstance(layer, el.ImageInputLayer):
        with pytest.raises(ValueError, match=r"^the input of .* must .* not (shape )?\(\)$"):
            layer.predict(0.5)


def test_the_loss_takes_lists():
    layer, Y, T = el.ClassificationLayer(), [[0.25, 0.75]], [[0, 1]]
    assert layer.loss(Y, T) == -np.log(0.75)
    assert np.array_equal(layer.backward_loss(Y, T), layer.backward_loss(np.array(Y), np.array(T)))
    with pytest.raises(TypeError, match="Y must have dtype"):
        layer.loss([[0, 1]], T)


def test_arrays_stay_the_same_object(tmp_path):
    X = np.ones((2, 3), np.float32)
    assert floats("X", X) is X
    assert floats("X", X.astype(">f4")).dtype == ">f4"
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=(2, 3))
    layer = el.ELULayer(3, alpha=1.0, backward_from="output", in_place=True)
    mapped[...] = -np.inf
    layer.forward(mapped)
    assert (mapped == -1).all()


@pytest.mark.parametrize("layer", [el.ReLULayer(), el.LeakyReLULayer(), el.PReLULayer(3)])
def test_units_take_gradients_of_one_dtype_with_the_input(layer):
    X = np.ones((2, 3), np.float32)
    with pytest.raises(TypeError, match="dLdZ must have the dtype of X, float32, not float64"):
        layer.backward(X, X, [[1.0] * 3] * 2, None)


@pytest.mark.parametrize(
    "make",
    [
        lambda name: el.ELULayer(4, name),
        lambda name: el.PReLULayer(4, name),
        lambda name: el.LeakyReLULayer(0.1, name),
        lambda name: el.ReLULayer(name),
        lambda name: el.SoftmaxLayer(name),
        lambda name: el.ClassificationLayer(name),
        lambda name: el.MaxPooling2DLayer(2, name=name),
        lambda name: el.AveragePooling2DLayer(2, name=name),
        lambda name: el.FullyConnectedLayer(3, name=name),
        lambda name: el.Convolution2DLayer(3, 4, name=name),
        lambda name: el.ImageInputLayer((1, 8, 8), name=name),
        lambda name: el.BatchNormalizationLayer(name=name),
    ],
)
@pytest.mark.parametrize("name", [0.5, None, ["a"]])
def test_a_name_is_a_str(make, name):
    """ELULayer(4, 0.5) is no alpha."""
    with pytest.raises(TypeError, match="name must be a str, not "):
        make(name)
    assert make("first").name == "first"


def test_a_number_of_channels_is_no_epsilon():
    with pytest.raises(ValueError, match=r"epsilon must be .* less than 1, not 20"):
        el.BatchNormalizationLayer(20)


def test_images_of_the_caller_are_not_written_to():
    """Without a normalization the first layer's output is the input itself."""

    class InPlace(el.Layer):
        def predict(self, X):
            X *= 2
            return X

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    layers = [
        el.ImageInputLayer((1, 4, 4), normalization="none"), InPlace(), el.FullyConnectedLayer(2),
        el.SoftmaxLayer(), el.ClassificationLayer(),
    ]  # fmt: skip
    X = np.ones((2, 1, 4, 4), np.float32)
    with pytest.raises(ValueError, match=r"layers\[1\] \(InPlace\): .*read-only"):
        el.Network(layers).initialize(0)
    assert X.flags.writeable and el.ImageInputLayer((1, 4, 4)).predict(X).flags.writeable
