"""Layers: the base class, the ELU layer, its rivals, and the few others that networks need.

Their methods take arrays as `elulayer.elu` does: of a floating dtype, or what NumPy makes one of.
"""

from __future__ import annotations

from .base import Layer
from .batch_normalization import BatchNormalizationLayer
from .classification import ClassificationLayer
from .convolution import Convolution2DLayer
from .elu import ELULayer
from .fully_connected import FullyConnectedLayer
from .image_input import ImageInputLayer
from .pooling import AveragePooling2DLayer, MaxPooling2DLayer
from .relu import LeakyReLULayer, PReLULayer, ReLULayer
from .softmax import SoftmaxLayer

__all__ = [
    "AveragePooling2DLayer",
    "BatchNormalizationLayer",
    "ClassificationLayer",
    "Convolution2DLayer",
    "ELULayer",
    "FullyConnectedLayer",
    "ImageInputLayer",
    "Layer",
    "LeakyReLULayer",
    "MaxPooling2DLayer",
    "PReLULayer",
    "ReLULayer",
    "SoftmaxLayer",
]
