"""A trained network as a model of PyTorch."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import layers
from ..layers.contract import label
from ..network import Network
from ..network.files import require_built_in, require_values
from ..network.states import prefixes
from .module import ELU


class ZeroCenter(nn.Module):
    """Subtracts the mean image of a training set.

    Parameters
    ----------
    shape : tuple of int
        Channels, height and width.

    Attributes
    ----------
    mean : Tensor of this shape
        A buffer.
    """

    mean: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))

    def forward(self, x: Tensor) -> Tensor:
        """Subtract."""
        return x - self.mean


def from_network(network: Network) -> nn.Sequential:
    """Return the equal model of PyTorch, with the network's values.

    Its modules have the names of `Network.state_dict`'s keys, so values go both ways:
    ``network.load_state_dict(model.state_dict())``. The last module is the softmax, which
    `torch.nn.CrossEntropyLoss` has itself: train ``model[:-1]``.

    Parameters
    ----------
    network : Network
        With values, of this package's layers.

    Returns
    -------
    torch.nn.Sequential
        In evaluation mode.

    Raises
    ------
    RuntimeError
        If the network has no values yet.
    TypeError
        If it is no network, or holds a layer of another class.
    """
    require_values(network)
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    flat = False
    for name in (
        name for name in prefixes(network.layers) if "." in name or hasattr(nn.Sequential, name)
    ):
        raise ValueError(f"a layer's name must be one that a module can have, not {name!r}")
    for index, prefix in enumerate(prefixes(network.layers)[:-1]):
        layer = network.layers[index]
        if isinstance(layer, layers.FullyConnectedLayer):
            modules[f"flatten before {prefix}"] = nn.Flatten()
            flat = True
        modules[prefix] = _module(index, layer, flat)
    model = nn.Sequential(modules)
    model.load_state_dict(
        {key: torch.from_numpy(value) for key, value in network.state_dict().items()}
    )
    return model.eval()


def _module(index: int, layer: Any, flat: bool) -> nn.Module:
    """Return the module of a layer; `flat` says that its input is no image."""
    require_built_in(index, layer)
    match layer:
        case layers.ImageInputLayer():
            return ZeroCenter(layer.input_shape)
        case layers.Convolution2DLayer():
            return nn.Conv2d(
                np.asarray(layer.weights).shape[1],
                layer.num_filters,
                layer.filter_size,
                stride=layer.stride,
                padding=layer.padding,
            )
        case layers.BatchNormalizationLayer():
            kind = nn.BatchNorm1d if flat else nn.BatchNorm2d
            return kind(np.asarray(layer.scale).size, eps=layer.epsilon, momentum=layer.mean_decay)
        case layers.ELULayer():
            return ELU(layer.num_channels, learnable=layer.learnable, shared=layer.shared)
        case layers.ReLULayer():
            return nn.ReLU()
        case layers.LeakyReLULayer():
            return nn.LeakyReLU(layer.scale)
        case layers.PReLULayer():
            return nn.PReLU(layer.num_channels)
        case layers.MaxPooling2DLayer() | layers.AveragePooling2DLayer():
            average = isinstance(layer, layers.AveragePooling2DLayer)
            return (nn.AvgPool2d if average else nn.MaxPool2d)(
                layer.pool_size,
                stride=layer.stride,
                padding=layer.padding,
                ceil_mode=layer.ceil_mode,
            )
        case layers.FullyConnectedLayer():
            return nn.Linear(np.asarray(layer.weights).shape[1], layer.num_outputs)
        case layers.SoftmaxLayer():
            return nn.Softmax(dim=1)
    raise TypeError(f"{label(index, layer)} has no module of PyTorch")
