"""check_layer: wrong gradients, and the mistakes that explain them."""

import numpy as np
import pytest

import elulayer as el
from elulayer.checking import check_layer
from shared.checked_layers import ELU, Linear, failures, only_failure

# The blog's mistake


class BlogELU(ELU):
    """dLdalpha as in the blog: exp(min(X,0) - 1)."""

    def terms(self, X, dLdZ):
        return np.exp(np.minimum(X, 0) - 1) * dLdZ


@pytest.mark.parametrize("shape", [(4, 3, 3), (4,), (4, 24, 24)])
def test_the_misplaced_parenthesis(shape):
    result = only_failure(BlogELU(), "dLdalpha", shape)
    assert result.cause.startswith(
        "exp(min(X, 0) - 1) was computed where exp(min(X, 0)) - 1 is meant: "
        "look at the parenthesis in dLdalpha."
    )
    assert "sign is wrong where x < 0" in result.cause
    assert "leaks into the sum where x > 0" in result.cause
    assert result.message.startswith("4 of 4 elements tried are wrong; worst at [")


@pytest.mark.parametrize("shape", [(), (1,), (4, 1, 1), (1, 4, 1, 1), (4, 3, 3)])
def test_the_misplaced_parenthesis_for_alphas_of_any_shape(shape):
    class Shaped(el.Layer):
        learnables = ("a",)

        def __init__(self):
            self.a = np.full(shape, 0.5)

        def predict(self, X):
            return np.where(X > 0, X, self.a * np.expm1(np.minimum(X, 0)))

        def backward(self, X, Z, dLdZ, memory):
            terms = np.exp(np.minimum(X, 0) - 1) * dLdZ
            padded = (1,) * (4 - len(shape)) + shape
            axes = tuple(axis for axis, n in enumerate(padded) if n == 1)
            return np.where(X > 0, dLdZ, (self.a + Z) * dLdZ), terms.sum(axis=axes).reshape(shape)

    assert "look at the parenthesis in dLda." in only_failure(Shaped(), "dLda").cause


def test_the_numbers_of_a_failure_are_right():
    class Doubled(el.Layer):
        learnables = ("slope",)

        def __init__(self):
            self.slope = 0.5

        def predict(self, X):
            return self.slope * X

        def backward(self, X, Z, dLdZ, memory):
            self.seen.append((X.copy(), dLdZ.copy()))
            return self.slope * dLdZ, 2 * np.sum(dLdZ * X)

    # A list that deep copies share.
    class Seen(list):
        def __deepcopy__(self, memo):
            return self

    layer = Doubled()
    layer.seen = Seen()
    result = only_failure(layer, "dLdslope", (3,))
    numbers = {f"{2 * np.sum(X * g):.4g}": f"{np.sum(X * g):.4g}" for X, g in layer.seen}
    words = result.message.replace(",", "").split()
    assert numbers[words[words.index("backward") + 1]] == words[words.index("numerically") + 1]
    assert "relative 0.5." in result.message


# Other wrong gradients


def elu(terms=None, dLdX=None, dLdalpha=None):
    """Make an ELU whose gradients are computed by other functions."""

    class Changed(ELU):
        def backward(self, X, Z, dLdZ, memory):
            first, second = super().backward(X, Z, dLdZ, memory)
            if terms is not None:
                second = terms(X, dLdZ).sum(axis=(0, *range(2, X.ndim)))
            if dLdalpha is not None:
                second = dLdalpha(second, X)
            return first if dLdX is None else dLdX(first, X, Z, dLdZ), second

    return Changed()


@pytest.mark.parametrize(
    ("terms", "cause"),
    [
        (lambda X, g: np.exp(np.minimum(X, 0)) * g, "look for the missing - 1 in dLdalpha"),
        (lambda X, g: np.expm1(X) * g, "look for the missing min(X, 0) in dLdalpha"),
        (lambda X, g: np.where(X > 0, 0.1 * g, np.expm1(X) * g), "leaks into dLdalpha where x > 0"),
        (lambda X, g: np.where(X > 0, 0, X * g), "dLdalpha is wrong where x <= 0 alone"),
        (lambda X, g: np.expm1(np.minimum(X, 0)), "dLdalpha does not depend on dLdZ"),
        (lambda X, g: 0 * g, "dLdalpha is zero everywhere"),
        (lambda X, g: np.log(X) * g, "a division by zero"),
        (lambda X, g: X**2 * g, "no mistake that is known"),
    ],
)
def test_wrong_terms(terms, cause):
    assert cause in only_failure(elu(terms), "dLdalpha").cause


def test_an_output_that_does_not_change():
    """The gradient is right, and the output is not."""

    class Rounded(el.Layer):
        learnables = ("alpha",)

        def __init__(self):
            self.alpha = 0.1

        def predict(self, X):
            return np.where(X > 0, X, np.sign(X))

        def backward(self, X, Z, dLdZ, memory):
            return np.where(X > 0, dLdZ, 0), np.sum(np.where(X > 0, 0, X) * dLdZ)

    assert "Z does not change with alpha" in only_failure(Rounded(), "dLdalpha").cause


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda d, X: -d, "dLdalpha has the wrong sign"),
        (lambda d, X: d / len(X), "divided by 3, the number of observations"),
        (lambda d, X: d / (X.size / 4), "divided by 27, the number of terms"),
        (lambda d, X: d * 1.01, "dLdalpha is 1.01 times what it must be"),
        (lambda d, X: d * 1.0005, "dLdalpha is 1.0005 times what it must be"),
    ],
)
def test_wrong_factors(change, cause):
    assert cause in only_failure(elu(dLdalpha=change), "dLdalpha").cause


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda d, X, Z, g: -d, "dLdX has the wrong sign"),
        (lambda d, X, Z, g: d / len(X), "dLdX is divided by 3, the number of observations"),
        (lambda d, X, Z, g: np.zeros_like(d), "dLdX is zero everywhere"),
        (lambda d, X, Z, g: np.where(X > 0, 1.1 * d, d), "dLdX is wrong where x > 0 alone"),
        (lambda d, X, Z, g: np.where(X > 0, d, Z * g), "dLdX is wrong where x <= 0 alone"),
        (lambda d, X, Z, g: d / np.where(g == 0, 1, g), "dLdX does not depend on dLdZ"),
        (lambda d, X, Z, g: d.swapaxes(2, 3), "its axes 2 and 3 are interchanged"),
        (lambda d, X, Z, g: np.where(X > 3, np.nan, d), "a division by zero"),
    ],
)
def test_wrong_input_gradients(change, cause):
    result = only_failure(elu(dLdX=change), "dLdX", (4, 9, 9))
    assert cause in result.cause
    assert "(x = " in result.message or "NaN" in result.message


def test_transposed_and_interchanged_gradients():
    class Transposed(Linear):
        def backward(self, X, Z, dLdZ, memory):
            return dLdZ @ self.weights.T, dLdZ.T @ X, dLdZ.sum(axis=0)

    assert "dLdweights is transposed" in only_failure(Transposed(), "dLdweights", (4,)).cause

    class Affine(el.Layer):
        learnables = ("scale", "offset")

        def __init__(self):
            self.scale, self.offset = [1, 2, 3], [4, 5, 6]

        def predict(self, X):
            return X * self.scale + self.offset

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ * self.scale, dLdZ.sum(axis=0), (dLdZ * X).sum(axis=0)

    failed = failures(Affine(), (3,))
    assert list(failed) == ["dLdscale", "dLdoffset"]
    assert "this is dLdoffset: backward must return (dLdX, dLdscale, dLdoffset)" in (
        failed["dLdscale"].cause
    )
    assert "this is dLdscale" in failed["dLdoffset"].cause


def test_training_differentiates_forward_not_predict():
    class Centred(el.Layer):
        """forward subtracts the batch's mean, predict does not; backward is predict's."""

        def predict(self, X):
            return X**3

        def forward(self, X):
            return (X - X.mean(axis=0)) ** 3, X - X.mean(axis=0)

        def backward(self, X, Z, dLdZ, memory):
            return 3 * memory**2 * dLdZ

    only_failure(Centred(), "dLdX", (5,))

    class Sound(Centred):
        def backward(self, X, Z, dLdZ, memory):
            d = 3 * memory**2 * dLdZ
            return d - d.mean(axis=0)

    assert check_layer(Sound(), (5,))


# Kinks and precision


class Quantized(el.Layer):
    """Identity with steps of a size; its gradient passes straight through."""

    def __init__(self, size):
        self.size = size

    def predict(self, X):
        return np.round(X / self.size) * self.size

    def backward(self, X, Z, dLdZ, memory):
        return dLdZ


def test_elements_at_a_kink_are_left_out_and_counted():
    class Kinked(el.Layer):
        """A ReLU that bends where the first observation lies, and at two elements beside it."""

        def predict(self, X):
            return np.where(self.bend < X, X, 0).astype(X.dtype)

        def backward(self, X, Z, dLdZ, memory):
            return np.where(self.bend < X, dLdZ, 0).astype(X.dtype)

    X = np.random.default_rng(0).standard_normal((3, 8))
    layer = Kinked()
    layer.bend = np.where(np.arange(8) < 3, X[1], 0)
    result = {r.name: r for r in check_layer(layer, (8,)).results}["dLdX"]
    assert result.message == ("21 of 24 elements tried, 3 at a kink left out: right within 1e-05")


def test_a_layer_of_steps_has_no_gradient():
    result = only_failure(Quantized(1e-7), "dLdX", (4, 3))
    assert "elements had to be left out" in result.message
    assert "forward jumps" in result.cause


def test_a_layer_that_rounds_to_float32_is_checked_in_it():
    class Single(ELU):
        def predict(self, X):
            return super().predict(X.astype(np.float32))

        def backward(self, X, Z, dLdZ, memory):
            X, Z, dLdZ = (array.astype(np.float32) for array in (X, Z, dLdZ))
            return super().backward(X, Z, dLdZ, memory)

    results = {r.name: r for r in check_layer(Single(), (4, 3, 3)).results}
    assert results["dLdalpha"].outcome == results["dLdX"].outcome == "passed"
    assert "right within 0.01 (the layer rounds to float32)" in results["dLdalpha"].message
    assert "does not compute in float64" in results["dtypes"].message

    class SingleInside(Single):
        def predict(self, X):
            return super().predict(X).astype(X.dtype)

    assert check_layer(SingleInside(), (4, 3, 3))

    class SingleWrong(Single):
        def terms(self, X, dLdZ):
            return np.exp(np.minimum(X, 0) - 1) * dLdZ

    assert "look at the parenthesis" in only_failure(SingleWrong(), "dLdalpha").cause
