"""Layers: the base class, the ELU layer, and the few others that its network needs."""

from __future__ import annotations

from .base import Layer
from .batch_normalization import BatchNormalizationLayer
from .classification import ClassificationLayer
from .convolution import Convolution2DLayer
from .elu import ELULayer
from .fully_connected import FullyConnectedLayer
from .image_input import ImageInputLayer
from .softmax import SoftmaxLayer

__all__ = [
    "BatchNormalizationLayer",
    "ClassificationLayer",
    "Convolution2DLayer",
    "ELULayer",
    "FullyConnectedLayer",
    "ImageInputLayer",
    "Layer",
    "SoftmaxLayer",
]
