"""Networks trained here are models of PyTorch, and back."""

import numpy as np
import pytest

import elulayer as el
from shared.all_layers import Own, every_layer, images, network_of

torch = pytest.importorskip("torch", reason="the optional package torch is not installed")

from torch import nn  # noqa: E402

from elulayer.torch import ELU, from_network  # noqa: E402


@pytest.fixture(scope="module")
def digits():
    return el.data.load_digits(0, n_train=640, n_test=400)


@pytest.fixture(scope="module")
def network(digits):
    options = el.TrainingOptions("sgdm", max_epochs=3, verbose=False, seed=0)
    layers = el.models.blog_layers((1, 28, 28), 10)
    return el.train_network(digits.X_train, digits.Y_train, layers, options)[0]


def same_labels(network, model, X):
    expected = network.predict(X)
    with torch.no_grad():
        found = model(torch.from_numpy(X)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))
    return expected.argmax(1)


def test_a_model_by_hand(network, digits):
    """The keys are those of modules with the layers' names, or of their positions."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(1, 28, 28))
            self.conv, self.norm = nn.Conv2d(1, 20, 5), nn.BatchNorm2d(20)
            self.elu, self.fc = ELU(20), nn.Linear(20 * 24 * 24, 10)

        def forward(self, x):
            x = self.elu(self.norm(self.conv(x - self.mean)))
            return torch.softmax(self.fc(x.flatten(1)), 1)

    names = {"0.": "", "1.": "conv.", "2.": "norm.", "3.": "elu.", "4.": "fc."}
    state = {
        names[key[:2]] + key[2:]: torch.from_numpy(value)
        for key, value in network.state_dict().items()
    }
    model = Model().eval()
    model.load_state_dict(state)
    assert len(set(same_labels(network, model, digits.X_test))) == 10


def test_from_network_and_back(network, digits):
    model = from_network(network)
    assert [type(module).__name__ for module in model] == [
        *("ZeroCenter", "Conv2d", "BatchNorm2d", "ELU", "Flatten", "Linear", "Softmax")
    ]
    assert model.state_dict().keys() == network.state_dict().keys()
    same_labels(network, model, digits.X_test)

    # It goes on learning there, and comes back.
    images, labels = torch.from_numpy(digits.X_train), torch.from_numpy(digits.Y_train)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    model.train()
    for part in torch.arange(640).split(128):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model[:-1](images[part]), labels[part]).backward()
        optimizer.step()
    back = el.Network(el.models.blog_layers((1, 28, 28), 10), range(10))
    back.initialize(0)
    back.load_state_dict(model.state_dict())
    same_labels(back, model.eval(), digits.X_test)
    assert not np.array_equal(back.layers[3].alpha, network.layers[3].alpha)


def test_values_of_tensors_that_numpy_does_not_take(network):
    """Parameters, which require a gradient, and bfloat16."""
    model = from_network(network).bfloat16()
    state = dict(model.named_parameters()) | dict(model.named_buffers())
    back = el.Network(el.models.blog_layers((1, 28, 28), 10), range(10))
    back.initialize(0)
    back.load_state_dict(state)
    assert np.array_equal(back.layers[3].alpha, model[3].alpha.detach().float().numpy())
    with pytest.raises(TypeError, match=r"state\['0.mean'\] must be an array, not torch.Tensor"):
        back.load_state_dict({key: value.to("meta") for key, value in state.items()})


def test_every_layer_has_its_module():
    network = network_of(every_layer())
    same_labels(network, from_network(network), images(7))


@pytest.mark.parametrize("name", ["features.0", "train"])
def test_names_that_no_module_can_have(name):
    layers = every_layer()
    layers[1].name = name
    with pytest.raises(ValueError, match=f"one that a module can have, not '{name}'"):
        from_network(network_of(layers))


def test_what_has_no_module_is_refused():
    layers = every_layer()
    layers.insert(2, Own())
    network = el.Network(layers)
    with pytest.raises(RuntimeError, match="the network has no values yet"):
        from_network(network)
    network.initialize(0)
    with pytest.raises(TypeError, match=r"layers\[2\].*must be of one of elulayer's own classes"):
        from_network(network)
    with pytest.raises(TypeError, match="network must be a Network, not list"):
        from_network(layers)
