"""Networks as ONNX models, for every runtime that reads them.

ONNX has no ELU with one alpha per channel, but two of its operators are one, for every alpha:
``PRelu(Elu(x, 1), alpha)`` is x where x > 0 and ``alpha * expm1(x)`` elsewhere.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from ._support.typing import AnyArray
from ._support.whole_files import require_writable, write_whole
from .layers import (
    AveragePooling2DLayer,
    BatchNormalizationLayer,
    ClassificationLayer,
    Convolution2DLayer,
    ELULayer,
    FullyConnectedLayer,
    ImageInputLayer,
    LeakyReLULayer,
    MaxPooling2DLayer,
    PReLULayer,
    ReLULayer,
    SoftmaxLayer,
)
from .layers.contract import label
from .network import Network
from .network.files import require_built_in, require_values

_OPSET = 13
_IR = 8


def export_onnx(network: Network, path: str | os.PathLike[str]) -> None:
    """Write a network as an ONNX model of opset 13.

    The model takes "images" of shape (N, C, H, W), float32, as `Network.predict` does, subtracts
    the mean image itself, and gives "probabilities" of shape (N, K). Its metadata "classes" is the
    JSON of the labels, in the order of the probabilities.

    Parameters
    ----------
    network : Network
        With values, of this package's layers.
    path : str or path
        The file. One that is there is replaced, in one step.

    Raises
    ------
    ImportError
        If the package onnx is not installed.
    OSError
        If the file cannot be written.
    RuntimeError
        If the network has no values yet.
    TypeError
        If `network` is none, or holds a layer of another class.

    Notes
    -----
    ONNX Runtime computes exp(x) - 1 in Elu: of x between about -1e-7 and 0 nothing is left in
    float32, where `elulayer.elu` gives alpha * x.
    """
    require_values(network)
    try:
        import onnx
    except ImportError as error:
        raise ImportError(
            "ONNX models need the package onnx, which cannot be imported: "
            "pip install 'elulayer[onnx]'"
        ) from error
    require_writable(path)
    graph = _Graph(network)
    float32 = onnx.TensorProto.FLOAT
    shape: list[str | int | None] = ["N", *network.input_layer.input_shape]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node(kind, i, o, **options) for kind, i, o, options in graph.nodes],
            "elulayer network",
            [onnx.helper.make_tensor_value_info("images", float32, shape)],
            [onnx.helper.make_tensor_value_info(graph.last, float32, ["N", network.num_classes])],
            [onnx.numpy_helper.from_array(value, name) for name, value in graph.values.items()],
        ),
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
        producer_name="elulayer",
    )
    if network.classes is not None:
        onnx.helper.set_model_props(
            model, {"classes": json.dumps(network.classes.tolist(), default=str)}
        )
    onnx.checker.check_model(model, full_check=True)
    write_whole(path, model.SerializeToString())


class _Graph:
    """The operators of a network, one after the other.

    Attributes
    ----------
    nodes : list of (str, list of str, list of str, dict)
        Kind, inputs, outputs and attributes of each.
    values : dict of str to ndarray
    last : str
        The output of the last operator.
    """

    def __init__(self, network: Network) -> None:
        self.nodes: list[tuple[str, list[str], list[str], dict[str, Any]]] = []
        self.values: dict[str, AnyArray] = {}
        self.last = "images"
        self._flat = False
        for index, layer in enumerate(network.layers):
            self._name = f"{index}.{layer.name}" if layer.name else str(index)
            self._add_layer(index, layer, network._shapes[index] or ())
        kind, inputs, _, options = self.nodes[-1]
        self.last = "probabilities"
        self.nodes[-1] = kind, inputs, [self.last], options

    def _add(self, kind: str, *values: Any, **options: Any) -> None:
        """Add an operator on the last output and on values."""
        names = [f"{self._name}.{kind}.{i}" for i in range(len(values))]
        for name, value in zip(names, values, strict=True):
            array = np.asarray(value)
            self.values[name] = array.astype(np.float32) if array.dtype.kind == "f" else array
        output = f"{self._name}.{kind}"
        self.nodes.append((kind, [self.last, *names], [output], options))
        self.last = output

    def _add_layer(self, index: int, layer: Any, shape: tuple[int, ...]) -> None:
        require_built_in(index, layer)
        match layer:
            case ImageInputLayer():
                if layer.normalization != "none":
                    self._add("Sub", layer.mean)
            case Convolution2DLayer():
                self._add("Conv", layer.weights, layer.bias, **_windows(layer.filter_size, layer))
            case BatchNormalizationLayer():
                values = layer.scale, layer.offset, layer.mean, layer.variance
                self._add("BatchNormalization", *values, epsilon=layer.epsilon)
            case ELULayer():
                self._add("Elu", alpha=1.0)
                self._add("PRelu", self._beside(layer.alpha))
            case ReLULayer():
                self._add("Relu")
            case LeakyReLULayer():
                self._add("LeakyRelu", alpha=layer.scale)
            case PReLULayer():
                self._add("PRelu", self._beside(layer.slope))
            case MaxPooling2DLayer():
                self._add_pooling("MaxPool", layer, shape)
            case AveragePooling2DLayer():
                self._add_pooling("AveragePool", layer, shape, count_include_pad=1)
            case FullyConnectedLayer():
                self._add("Flatten", axis=1)
                self._add("Gemm", layer.weights, layer.bias, transB=1)
                self._flat = True
            case SoftmaxLayer():
                self._add("Softmax", axis=1)
            case ClassificationLayer():
                pass
            case _:
                raise TypeError(f"{label(index, layer)} has no operator of ONNX")

    def _add_pooling(self, kind: str, layer: Any, shape: tuple[int, ...], **options: Any) -> None:
        """Add a pooling whose result has this shape.

        In ceil mode ONNX's, before opset 19, has windows that would begin behind the image.
        """
        ceil_mode = int(layer.ceil_mode)
        windows = _windows(layer.pool_size, layer)
        self._add(kind, ceil_mode=ceil_mode, **windows, **options)
        if ceil_mode:
            self._add("Slice", [0, 0], list(shape[1:]), [2, 3])

    def _beside(self, vector: Any) -> AnyArray:
        """Return a vector as it broadcasts along the channels."""
        return np.reshape(vector, -1 if self._flat else (-1, 1, 1))


def _windows(size: tuple[int, int], layer: Any) -> dict[str, list[int]]:
    return {
        "kernel_shape": list(size),
        "strides": [layer.stride] * 2,
        "pads": [layer.padding] * 4,
    }
