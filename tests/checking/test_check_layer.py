"""check_layer: the package's layers pass, and each mistake fails the check that is meant for it."""

import copy

import numpy as np
import pytest

import elulayer as el
from elulayer import layers as builtin
from elulayer.checking import CheckReport, CheckResult, check_layer
from shared.checked_layers import ELU, Linear, only_failure, per_channel

# Sound layers

SOUND = [
    (el.ImageInputLayer((2, 3, 4)), (2, 3, 4)),
    (el.ImageInputLayer((2, 3, 4), normalization="none"), (2, 3, 4)),
    (el.Convolution2DLayer(3, 4), (2, 6, 5)),
    (el.Convolution2DLayer((2, 3), 4, stride=2, padding=1), (2, 6, 5)),
    (el.AveragePooling2DLayer(2), (3, 6, 6)),
    (el.MaxPooling2DLayer(2, stride=2), (3, 6, 6)),
    (el.BatchNormalizationLayer(), (3, 4, 5)),
    (el.BatchNormalizationLayer(), (3,)),
    (el.ELULayer(4), (4, 3, 3)),
    (el.ELULayer(4, backward_from="memory"), (4, 3, 3)),
    (el.ELULayer(4, alpha=[0.5, 1, 1.5, 2], backward_from="output"), (4, 3, 3)),
    (el.ELULayer(4, alpha=-0.5, learnable=False), (4,)),
    (el.ReLULayer(), (4, 3, 3)),
    (el.LeakyReLULayer(), (4, 3, 3)),
    (el.PReLULayer(4), (4, 3, 3)),
    (el.FullyConnectedLayer(5), (2, 3, 3)),
    (el.SoftmaxLayer(), (5,)),
    (el.ClassificationLayer(), (5,)),
    (ELU(), (4, 3, 3)),
    (Linear(), (4,)),
]


@pytest.mark.parametrize(("layer", "shape"), SOUND, ids=lambda value: type(value).__name__)
def test_sound_layers_pass(layer, shape):
    report = check_layer(layer, shape)
    assert report, report
    assert report.passed >= 14
    assert {result.name for result in report.results if result.outcome == "skipped"} <= {
        "backward without dLdX"
    }


def test_all_layers_of_the_package_are_tried():
    assert {type(layer).__name__ for layer, _ in SOUND} >= set(builtin.__all__) - {"Layer"}


@pytest.mark.parametrize("seed", range(20))
def test_sound_layers_pass_with_any_seed(seed):
    assert check_layer(ELU(), (4, 3, 3), seed=seed, batch_size=2 + seed % 4)
    assert check_layer(el.MaxPooling2DLayer(2), (2, 4, 4), seed=seed)
    assert check_layer(el.BatchNormalizationLayer(), (2, 3), seed=seed)


def test_large_input_is_sampled():
    result = {r.name: r for r in check_layer(el.ELULayer(20), (20, 96, 96)).results}["dLdX"]
    assert result.message == "8 of 552960 elements tried: right within 1e-05"


def test_the_layer_stays_as_it_is():
    layer = el.Convolution2DLayer(3, 4)
    check_layer(layer, (2, 6, 5))
    assert layer.weights is None
    layer = el.BatchNormalizationLayer()
    layer.initialize((3,), np.random.default_rng(0))
    before = copy.deepcopy(vars(layer))
    check_layer(layer, (3, 4))
    assert all(np.array_equal(before[name], value) for name, value in vars(layer).items())


def test_the_same_seed_gives_the_same_report():
    class Wrong(ELU):
        def terms(self, X, dLdZ):
            return dLdZ

    first, again = (str(check_layer(Wrong(), (4, 50))) for _ in "ab")
    assert first == again
    assert str(check_layer(Wrong(), (4, 50), seed=1)) != first


# The other checks, one broken layer each at least


def test_definition():
    class NoBackward(el.Layer):
        def predict(self, X):
            return X

    class Text(ELU):
        learnables = "alpha"

    class Uncopied(ELU):
        def __deepcopy__(self, memo):
            raise RuntimeError("it holds a socket")

    assert only_failure(NoBackward(), "definition").message == "NoBackward must define backward"
    assert "not the string 'alpha'" in only_failure(Text(), "definition").message
    assert "it holds a socket" in only_failure(Uncopied(), "definition").message

    class Misspelt(NoBackward):
        def backwards(self, X, Z, dLdZ, memory):
            return dLdZ

    class Raising(ELU):
        @property
        def backward_uses_output(self):
            raise ZeroDivisionError("no promise")

    assert "is backwards meant to be it?" in only_failure(Misspelt(), "definition").message
    assert only_failure(Raising(), "definition").message == "ZeroDivisionError: no promise"
    report = check_layer(NoBackward(), (3,))
    assert report.passed == 0
    text = str(report)
    assert text.endswith(f"0 passed, 1 failed, {len(report.results) - 1} skipped")
    assert text.count("until") == 1  # the checks that wait for one that failed stand together
    assert "skipped  initialize, output of predict, output of forward, output of backward," in text
    assert "saving and loading: until 'definition' passes" in " ".join(text.split())


def test_initialize():
    class NoValue(ELU):
        def __init__(self):
            self.alpha = None

    class Raises(ELU):
        def initialize(self, input_shape, rng):
            raise RuntimeError("no such luck")

    class NoState(ELU):
        state = ("mean",)

    class NotFinite(ELU):
        def initialize(self, input_shape, rng):
            self.alpha = np.log(-np.ones(input_shape[0]))

    def no_such_key():
        return {}["k"]

    class WithoutSelf(ELU):
        def __init__(self):
            super().__init__()
            self.initialize = lambda input_shape, rng: no_such_key()

    class Factors(ELU):
        def initialize(self, input_shape, rng):
            self.learn_rate_factors["alfa"] = 0

    assert only_failure(NoValue(), "initialize").message == (
        "its learnable 'alpha' must have a value after initialize"
    )
    message = only_failure(Raises(), "initialize").message
    assert message.startswith("initialize raised RuntimeError: no such luck (line ")
    assert message.endswith(" of test_check_layer.py)")
    assert only_failure(WithoutSelf(), "initialize").message.endswith(" of test_check_layer.py)")
    message = only_failure(NoState(), "initialize").message
    assert message == "'mean', which state names, must be an array after initialize, not None"
    message = only_failure(NotFinite(), "initialize").message
    assert message == "its learnable 'alpha' must be finite as float32, not nan as one of 4"
    message = only_failure(Factors(), "initialize").message
    assert message == "learn_rate_factors must name learnables, of ('alpha',), not 'alfa'"


def test_output_of_predict():
    class List(ELU):
        def predict(self, X):
            return super().predict(X).tolist()

    class Sums(ELU):
        def predict(self, X):
            return X.sum(axis=0)

    class Logarithm(ELU):
        def predict(self, X):
            return np.log(X)

    class Raises(ELU):
        def predict(self, X):
            return X @ np.zeros(1000)

    name = "output of predict"
    assert "predict must return Z as a floating-point array" in only_failure(List(), name).message
    assert "the batch of 3 on axis 0, not shape (4, 3, 3)" in only_failure(Sums(), name).message
    assert "values that are NaN or infinite" in only_failure(Logarithm(), name).message
    assert only_failure(Raises(), name).message.startswith("predict raised ValueError: ")


def test_output_of_forward():
    class NoMemory(ELU):
        def forward(self, X):
            return self.predict(X)

    class Reshaped(ELU):
        def forward(self, X):
            return self.predict(X).reshape(len(X), -1), None

    name = "output of forward"
    assert "forward must return (Z, memory)" in only_failure(NoMemory(), name).message
    assert "forward must return Z of shape (3, 4, 3, 3)" in only_failure(Reshaped(), name).message


def test_output_of_backward():
    class Alone(ELU):
        def backward(self, X, Z, dLdZ, memory):
            return self.dLdX(X, Z, dLdZ)

    class Unsummed(ELU):
        def backward(self, X, Z, dLdZ, memory):
            return self.dLdX(X, Z, dLdZ), self.terms(X, dLdZ)

    class Raises(ELU):
        def backward(self, X, Z, dLdZ, memory):
            return memory["mask"]

    name = "output of backward"
    assert (
        "must return (dLdX, dLdalpha), a tuple of 2 gradients"
        in only_failure(Alone(), name).message
    )
    assert "dLdalpha of shape (4,), not (3, 4, 3, 3)" in only_failure(Unsummed(), name).message
    assert "backward raised TypeError" in only_failure(Raises(), name).message


def test_dtypes():
    class Wide(ELU):
        def predict(self, X):
            return super().predict(X) + np.zeros(1)

    class WideGradient(ELU):
        def dLdX(self, X, Z, dLdZ):
            return super().dLdX(X, Z, dLdZ).astype(np.float64)

    result = only_failure(Wide(), "dtypes")
    assert result.message == (
        "for float32 input Z of predict is float64 and Z of forward is float64"
    )
    assert only_failure(WideGradient(), "dtypes").message == "for float32 input dLdX is float64"


def test_determinism():
    class Counting(ELU):
        calls = 0

        def predict(self, X):
            self.calls += 1
            return super().predict(X) + X.dtype.type(self.calls)

    class Noisy(ELU):
        def forward(self, X):
            noise = np.random.default_rng().normal(size=X.shape).astype(X.dtype)
            return self.predict(X) + noise, None

    result = only_failure(Counting(), "determinism")
    assert "predict gives other values the second time" in result.message
    result = only_failure(Noisy(), "determinism")
    assert "from a numpy.random.Generator that the layer holds" in result.cause


def test_random_forward_with_a_generator_of_its_own_passes():
    class Dropout(el.Layer):
        def __init__(self, probability=0.5):
            self.probability = probability

        def initialize(self, input_shape, rng):
            self.rng = rng

        def predict(self, X):
            return X

        def forward(self, X):
            kept = self.rng.random(X.shape) >= self.probability
            mask = (kept / (1 - self.probability)).astype(X.dtype)
            return X * mask, mask

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ * memory

    report = check_layer(Dropout(), (4, 3, 3))
    assert report, report


def test_number_of_observations():
    class AsMany(ELU):
        def predict(self, X):
            Z = super().predict(X)
            return Z if len(X) == 3 else Z[:, :2]

    result = only_failure(AsMany(), "number of observations")
    assert "predict must return Z of shape (1, 4, 3, 3), not (1, 2, 3, 3)" in result.message


def test_independence_of_the_batch():
    class Centred(ELU):
        def predict(self, X):
            return super().predict(X) + X.mean(axis=0)

        def forward(self, X):
            return super().predict(X), None

    result = only_failure(Centred(), "independence of the batch")
    assert "an observation alone" in result.message
    assert "Statistics of the batch belong into forward" in result.cause


def test_no_writing_into_inputs():
    class InPlace(ELU):
        def predict(self, X):
            Z = super().predict(X)
            X *= 0.5
            return Z

        def forward(self, X):
            return super().predict(X), None

    class InPlaceForward(ELU):
        def forward(self, X):
            Z = self.predict(X)
            np.minimum(X, 0, out=X)
            return Z, None

    class InPlaceBackward(ELU):
        def forward(self, X):
            return self.predict(X), {"seen": [X.copy()]}

        def backward(self, X, Z, dLdZ, memory):
            result = super().backward(X, Z, dLdZ, memory)
            Z += 1
            dLdZ *= 2
            memory["seen"][0] += 1
            return result

    class Learns(ELU):
        def backward(self, X, Z, dLdZ, memory):
            result = super().backward(X, Z, dLdZ, memory)
            self.alpha = self.alpha * 0.9
            return result

    name = "no writing into inputs"
    result = only_failure(InPlace(), name)
    assert result.message.startswith("predict changes X: first ")
    assert "use np.where" in result.cause
    assert only_failure(InPlaceForward(), name).message.startswith("forward changes X: ")
    message = only_failure(InPlaceBackward(), name).message
    assert message.startswith("backward changes Z, dLdZ, memory['seen'][0]: first ")
    assert only_failure(Learns(), name).message.startswith("backward changes alpha: ")


def test_memory_hand_over():
    class OnSelf(ELU):
        def forward(self, X):
            self.kept = X
            return self.predict(X), None

        def backward(self, X, Z, dLdZ, memory):
            return super().backward(self.kept, Z, dLdZ, None)

    result = only_failure(OnSelf(), "memory hand-over")
    assert "is another one after forward has seen other data" in result.message
    assert "Return it as memory" in result.cause


def test_overwritten_output():
    class Reading(ELU):
        """Reads Z, which it has promised not to."""

        backward_uses_output = False

        def backward(self, X, Z, dLdZ, memory):
            dLdX, dLdalpha = super().backward(X, Z, dLdZ, memory)
            return dLdX + 0 * Z, dLdalpha

    class View(el.Layer):
        backward_uses_output = False

        def predict(self, X):
            return X.reshape(len(X), -1)

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ.reshape(X.shape)

    class Keeping(View):
        def forward(self, X):
            Z = 2.0 * X
            return Z, (Z,)

        def predict(self, X):
            return 2.0 * X

        def backward(self, X, Z, dLdZ, memory):
            return 2.0 * dLdZ

    for layer, message in (
        (Reading(), "dLdX is another one where Z has been overwritten"),
        (View(), "forward's Z shares the memory of X"),
        (Keeping(), r"forward's Z shares the memory of memory[0]"),
    ):
        failure = only_failure(layer, "overwritten output")
        assert message in failure.message
        assert "backward_uses_output = False promises the contrary" in failure.cause


def test_backward_without_dldx():
    class Fewer(ELU):
        def backward(self, X, Z, dLdZ, memory):
            result = super().backward(X, Z, dLdZ, memory)
            return result if self.needs_input_gradient else result[1]

    class Other(ELU):
        def backward(self, X, Z, dLdZ, memory):
            dLdX, dLdalpha = super().backward(X, Z, dLdZ, memory)
            return (dLdX, dLdalpha) if self.needs_input_gradient else (None, 2 * dLdalpha)

    name = "backward without dLdX"
    assert "must return 2 things, not 1" in only_failure(Fewer(), name).message
    assert "return (None, dLdalpha)" in only_failure(Fewer(), name).cause
    assert "dLdalpha is another one" in only_failure(Other(), name).message


def test_training_hooks():
    class Raises(ELU):
        def after_training(self, batches):
            self.first = batches[0]

    message = only_failure(Raises(), "training hooks").message
    assert message.startswith("after_training raised TypeError: ")


class Mean(ELU):
    """Subtracts a mean that it computes before training."""

    def __init__(self, num_channels=4):
        super().__init__(num_channels)
        self.mean = np.zeros(num_channels, np.float32)

    def before_training(self, batches):
        self.mean = np.mean([X.mean(axis=(0, 2, 3)) for X in batches], axis=0)

    def predict(self, X):
        return super().predict(X) - per_channel(self.mean, X).astype(X.dtype)

    def dLdX(self, X, Z, dLdZ):
        return super().dLdX(X, Z + per_channel(self.mean, X), dLdZ)


def test_saving_and_loading():
    class Stated(Mean):
        state = ("mean",)

    class NoAttribute(ELU):
        def __init__(self, channels=4):
            super().__init__(channels)

    class Array(ELU):
        def __init__(self, table=None):
            super().__init__(4)
            self.table = np.zeros(3)

    class Redraws(ELU):
        def initialize(self, input_shape, rng):
            self.alpha = rng.random(4, dtype=np.float32)

    class Cached(el.Layer):
        """Computes with the value that the constructor was given, not with the learnable."""

        learnables = ("slope",)

        def __init__(self, slope=0.5):
            self.slope, self.first = slope, float(slope)

        def predict(self, X):
            return self.slope * X + X.dtype.type(self.first)

        def backward(self, X, Z, dLdZ, memory):
            return self.slope * dLdZ, np.sum(X * dLdZ)

    class Fewer(ELU):
        def arguments(self):
            return {"num_channels": 3}

    class Refuses(ELU):
        def arguments(self):
            return {"channels": 4}

    name = "saving and loading"
    assert check_layer(Stated(), (4, 3, 3))
    result = only_failure(Mean(), name)
    assert "the loaded layer predicts other values" in result.message
    assert "not named in state" in result.cause
    assert "set self.channels" in only_failure(NoAttribute(), name).message
    message = only_failure(Array(), name).message
    assert "its argument table must be a number" in message and "not array([0., 0., 0.])" in message
    assert "alpha is another one after loading" in only_failure(Redraws(), name).message
    assert "a learnable's first value" in only_failure(Cached(), name).cause
    assert "the saved values do not fit" in only_failure(Fewer(), name).message
    assert "Refuses(**{'channels': 4}) raised TypeError" in only_failure(Refuses(), name).message


# The report and the arguments


def test_report():
    report = CheckReport(
        "Some layer",
        (
            CheckResult("short", "passed", "fine"),
            CheckResult("a longer name", "failed", "1 of 2 is wrong", "exp(min(X, 0)) - 1 " * 9),
            CheckResult("last", "skipped", "no learnables"),
        ),
    )
    assert (report.passed, report.failed, report.skipped) == (1, 1, 1)
    assert not report
    lines = str(report).splitlines()
    assert lines[:3] == [
        "Some layer",
        "  passed   short          fine",
        "  FAILED   a longer name  1 of 2 is wrong",
    ]
    assert lines[3].startswith("           Likely cause: exp(min(X, 0)) - 1 exp(min")
    assert all(line.count("(") == line.count(")") for line in lines)
    assert max(map(len, lines)) <= 100
    assert lines[-1] == "1 passed, 1 failed, 1 skipped"
    assert repr(report) == str(report)
    sound = CheckReport("Some layer", report.results[:1])
    assert sound
    assert str(sound).endswith("\n1 passed, 0 failed")


def test_it_prints_nothing(capsys):
    report = check_layer(el.ELULayer(3, "elu1"), (3, 2))
    assert report.title == "ELULayer 'elu1', input of shape (3, 3, 2)"
    assert capsys.readouterr() == ("", "")


def test_arguments():
    layer = ELU()
    with pytest.raises(TypeError, match=r"not the class ELU: a layer is made by calling it"):
        check_layer(ELU, (4,))
    with pytest.raises(TypeError, match="layer must be a Layer, not int 3"):
        check_layer(3, (4,))
    for shape in (4, "ab", ()):
        with pytest.raises(TypeError, match="input_shape must be the input's shape without"):
            check_layer(layer, shape)
    with pytest.raises(TypeError, match=r"input_shape must be an integer, not 2\.5"):
        check_layer(layer, (4, 2.5))
    with pytest.raises(ValueError, match="input_shape must be at least 1, not 0"):
        check_layer(layer, (4, 0))
    with pytest.raises(ValueError, match="batch_size must be at least 2, not 1"):
        check_layer(layer, (4,), batch_size=1)
    with pytest.raises(ValueError, match="seed must be at least 0, not -1"):
        check_layer(layer, (4,), seed=-1)
