"""check_layer passes every layer of the package, with every option; and layers in place."""

import inspect

import numpy as np
import pytest

import elulayer as el
from elulayer import layers as builtin
from elulayer.checking import check_layer
from shared.checked_layers import ELU, only_failure

IMAGES = (3, 5, 6)

VARIANTS = [
    (el.ImageInputLayer, [{}, {"normalization": "none"}], {"input_shape": IMAGES}, IMAGES),
    (
        el.Convolution2DLayer,
        [{}, {"filter_size": (2, 3)}, {"stride": 2}, {"padding": 1}, {"weights_initializer": "he"}],
        {"filter_size": 3, "num_filters": 2},
        IMAGES,
    ),
    *[
        (
            pooling,
            [
                {},
                {"pool_size": (3, 2)},
                {"stride": 2},
                {"padding": 1},
                {"stride": 3, "ceil_mode": True},
                {"stride": 2, "padding": 1, "ceil_mode": True},
            ],
            {"pool_size": 2},
            IMAGES,
        )
        for pooling in (el.MaxPooling2DLayer, el.AveragePooling2DLayer)
    ],
    (
        el.BatchNormalizationLayer,
        [{}, {"epsilon": 1e-3}, {"mean_decay": 0.5}, {"variance_decay": 0.0}],
        {},
        IMAGES,
    ),
    (
        el.ELULayer,
        [
            {"shared": shared, "learnable": learnable, **how}
            for shared in (False, True)
            for learnable in (False, True)
            for how in (
                {},
                {"alpha": 0.0},
                {"alpha": -0.5},
                {"backward_from": "memory"},
                {"backward_from": "output"},
                {"backward_from": "output", "in_place": True},
                {"backward_from": "output", "in_place": True, "alpha": 0.5},
            )
        ],
        {"num_channels": 3},
        IMAGES,
    ),
    (el.ReLULayer, [{}], {}, IMAGES),
    (el.LeakyReLULayer, [{}, {"scale": 0.0}, {"scale": 2.0}], {}, IMAGES),
    (el.PReLULayer, [{}, {"slope": [0.0, -0.5, 2.0]}], {"num_channels": 3}, IMAGES),
    (el.FullyConnectedLayer, [{}, {"weights_initializer": "he"}], {"num_outputs": 4}, IMAGES),
    (el.SoftmaxLayer, [{}], {}, (4,)),
    (el.ClassificationLayer, [{}], {}, (4,)),
]

CASES = [
    pytest.param(cls, {**needed, **options}, shape, id=f"{cls.__name__}-{options}")
    for cls, variants, needed, shape in VARIANTS
    for options in variants
]


@pytest.mark.parametrize(("cls", "arguments", "shape"), CASES)
def test_every_variant_passes(cls, arguments, shape):
    report = check_layer(cls(**arguments), shape)
    assert report, report
    skipped = [result.name for result in report.results if result.outcome == "skipped"]
    assert skipped == [] if cls.learnables else ["backward without dLdX"]


def test_every_layer_and_every_option_is_tried():
    assert {cls.__name__ for cls, *_ in VARIANTS} == set(builtin.__all__) - {"Layer"}
    for cls, variants, needed, _ in VARIANTS:
        tried = {*needed, *(name for options in variants for name in options)}
        parameters = inspect.signature(cls.__init__).parameters  # of the class, `__new__` in 3.10
        assert {*parameters} - {"self", "name", "rng"} == tried, cls


# Layers of one's own that work in place


class InPlaceReLU(el.Layer):
    """Keeps where X was positive, so that neither X nor Z is needed."""

    in_place = True

    def predict(self, X):
        return np.where(X > 0, X, 0 * X)

    def forward(self, X):
        positive = X > 0
        X[~positive] = 0
        return X, positive

    def backward(self, X, Z, dLdZ, memory):
        return np.where(memory, dLdZ, 0 * dLdZ)


class Promising(InPlaceReLU):
    backward_uses_output = False


class InPlaceELU(ELU):
    """Works in place, and back from Z."""

    in_place = True

    def forward(self, X):
        X[...] = self.predict(X)
        return X, None

    def terms(self, Z, dLdZ):
        return np.where(Z > 0, 0, Z / self.alpha.reshape(-1, 1, 1)) * dLdZ

    def dLdX(self, X, Z, dLdZ):
        return np.where(Z > 0, dLdZ, (self.alpha.reshape(-1, 1, 1) + Z) * dLdZ)

    def backward(self, X, Z, dLdZ, memory):
        return self.dLdX(X, Z, dLdZ), self.terms(Z, dLdZ).sum(axis=(0, 2, 3))


@pytest.mark.parametrize("layer", [InPlaceReLU(), Promising(), InPlaceELU()])
def test_layers_that_work_in_place_pass(layer):
    report = check_layer(layer, (4, 3, 3))
    assert report, report
    message = next(r.message for r in report.results if r.name == "no writing into inputs")
    assert message.endswith("stay as they are, but that forward works in place")


def test_a_layer_that_works_in_place_without_saying_so():
    class Silent(InPlaceReLU):
        in_place = False

    result = only_failure(Silent(), "no writing into inputs")
    assert result.message.startswith("forward changes X: ")


def test_predict_may_not_work_in_place():
    class Predicting(InPlaceReLU):
        def predict(self, X):
            return self.forward(X)[0]

    result = only_failure(Predicting(), "no writing into inputs")
    assert result.message.startswith("predict changes X: ")


def test_forward_may_write_nothing_but_Z_over_X():
    class Leaving(InPlaceReLU):
        def forward(self, X):
            Z, memory = super().forward(X.copy())
            X *= 2
            return Z, memory

    result = only_failure(Leaving(), "no writing into inputs")
    assert result.message.startswith("forward leaves in X neither X nor Z: ")
    assert result.cause == "in_place = True says that forward writes Z over X."


def test_what_backward_reads_of_an_X_that_was_written_over():
    class Reading(InPlaceELU):
        """Takes the sign of X, which Z has too, and its exponential, which Z has not."""

        def dLdX(self, X, Z, dLdZ):
            return np.where(X > 0, dLdZ, self.alpha.reshape(-1, 1, 1) * np.exp(X) * dLdZ)

    assert "wrong where x <= 0 alone" in only_failure(Reading(), "dLdX").cause


def test_backward_may_not_write_over_Z_in_place():
    class Writing(InPlaceReLU):
        def backward(self, X, Z, dLdZ, memory):
            result = super().backward(X, Z, dLdZ, memory)
            Z *= 2
            return result

    result = only_failure(Writing(), "no writing into inputs")
    assert result.message.startswith("backward changes X, Z: ")
