"""A network's values as a dictionary, and back: all or none."""

import numpy as np
import pytest

import elulayer as el
from shared.small_network import small_layers


@pytest.fixture
def network():
    network = el.Network(small_layers())
    network.initialize(0)
    return network


def test_keys_and_shapes():
    layers = el.models.blog_layers((1, 28, 28), 10)
    layers[1].name = "conv"
    network = el.Network(layers)
    network.initialize(0)
    assert {key: value.shape for key, value in network.state_dict().items()} == {
        "0.mean": (1, 28, 28),
        "conv.weight": (20, 1, 5, 5),
        "conv.bias": (20,),
        "2.weight": (20,),
        "2.bias": (20,),
        "2.running_mean": (20,),
        "2.running_var": (20,),
        "2.num_batches_tracked": (),
        "3.alpha": (20,),
        "4.weight": (10, 11520),
        "4.bias": (10,),
    }


def test_there_and_back(network):
    other = el.Network(small_layers())
    other.initialize(1)
    state = network.state_dict()
    other.load_state_dict(state)
    for key, value in other.state_dict().items():
        np.testing.assert_array_equal(value, state[key])


def test_they_are_copies(network):
    state = network.state_dict()
    kept = network.state_dict()
    for value in state.values():
        value[...] = 9
    assert all(np.array_equal(network.state_dict()[key], kept[key]) for key in kept)
    network.load_state_dict(kept)
    for value in kept.values():
        value[...] = 9
    assert not any((value == 9).all() for value in network.state_dict().values())


def test_what_does_not_fit_changes_nothing(network):
    state = network.state_dict()
    before = {key: value.copy() for key, value in state.items()}
    first, *_, last = (key for key in state if not key.endswith("tracked"))
    for wrong, message in (
        ({key: state[key] for key in state if key != first}, f"it lacks {first}"),
        ({f"module.{key}": state[key] for key in state}, r"must have keys without 'module\."),
        ({**state, "other": 1}, "it has beside them other"),
        ({**state, last: np.ones(99)}, rf"state\['{last}'\] must hold floats of shape"),
        ({**state, last: state[last].astype(int)}, "must hold floats of shape .* not int64"),
        ({**state, last: np.full_like(state[last], np.nan)}, rf"'{last}'\] must be finite as"),
        ({**state, last: np.full(state[last].shape, 1e300)}, "must be finite as float32"),
    ):
        changed = {key: value + (value is state[first]) for key, value in wrong.items()}
        with pytest.raises(ValueError, match=message):
            network.load_state_dict(changed)
    with pytest.raises(TypeError, match=r"state must be a mapping, .*, not int"):
        network.load_state_dict(3)
    with pytest.raises(TypeError, match="state must have keys that are str, not 0"):
        network.load_state_dict({0: 1})
    for key, value in network.state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_two_layers_of_one_name():
    layers = small_layers()
    layers[1].name = layers[2].name = "one"
    network = el.Network(layers)
    network.initialize(0)
    with pytest.raises(ValueError, match=r"layers\[2\].*must have another name than layers\[1\]"):
        network.state_dict()


def test_names_that_keys_have_too():
    """A layer called as a value, and a value called as PyTorch's count, which is passed over."""

    class Counting(el.Layer):
        state = ("num_batches_tracked", "running_var")

        def __init__(self):
            self.num_batches_tracked = self.running_var = np.zeros(1)

        def predict(self, X):
            return X

        def backward(self, X, Z, dLdZ, memory):
            return dLdZ

    layers = small_layers()
    normalization = el.BatchNormalizationLayer(name="running_var")
    network = el.Network([*layers[:1], normalization, Counting(), *layers[1:]])
    network.initialize(0)
    state = network.state_dict()
    assert {"running_var.num_batches_tracked", "2.num_batches_tracked"} <= set(state)
    state["2.num_batches_tracked"] = np.ones(1)
    network.load_state_dict(state)
    assert network.layers[2].num_batches_tracked == 1
