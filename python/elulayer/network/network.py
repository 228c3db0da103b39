"""A network: layers in a row, from an image input to a classification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .._support.checks import as_array, batch_shape, integer
from .._support.process import cached_memory, one_blas_thread
from .._support.typing import AnyArray, FloatArray
from .._support.wording import by, table
from ..layers import (
    AveragePooling2DLayer,
    ClassificationLayer,
    Convolution2DLayer,
    ImageInputLayer,
    Layer,
    MaxPooling2DLayer,
)
from ..layers.contract import (
    check_definition,
    check_forward,
    check_gradients,
    check_output,
    label,
    named,
    settle_learnables,
    title,
)
from .images import Images, check_image
from .labels import label_array, plain_strings, require_characters
from .states import load_state_dict, state_dict

Tape = list[tuple[FloatArray, FloatArray, Any]]
"""For each layer its X, its Z and its memory."""

BackwardInputs = tuple[FloatArray, FloatArray, FloatArray, Any]
"""What `Layer.backward` is given: X, Z, dLdZ and memory."""


class Network:
    """Layers in a row; `train_network` returns one. It computes in float32.

    Parameters
    ----------
    layers : iterable of Layer
        An `ImageInputLayer` first, a `ClassificationLayer` last. They are used, not copied.
    classes : array-like of shape (K,), optional
        The labels that the columns of the output stand for.

    Attributes
    ----------
    layers : tuple of Layer
    input_layer, output_layer : Layer
        The first and the last of them.
    classes : ndarray of shape (K,) or None

    Raises
    ------
    TypeError
        If something in the row is not a layer, or lacks a method.
    ValueError
        If the first or the last layer is of another class, a layer stands there twice, or one
        works in place on an output that is still needed.
    """

    def __init__(self, layers: Iterable[Layer], classes: npt.ArrayLike | None = None) -> None:
        if isinstance(layers, Network):
            raise TypeError(
                "layers must be a list of layers, not a Network; its layers are network.layers"
            )
        if not isinstance(layers, Iterable):
            raise TypeError(f"layers must be a list of layers, not {type(layers).__name__}")
        self.layers = tuple(layers)
        self.classes = classes
        seen: set[int] = set()
        for index, layer in enumerate(self.layers):
            check_definition(index, layer)
            if id(layer) in seen:
                raise ValueError(f"{label(index, layer)} must stand in the network once, not twice")
            seen.add(id(layer))
        kinds = [type(layer).__name__ for layer in self.layers]
        if not self.layers or not isinstance(self.layers[0], ImageInputLayer):
            raise ValueError(f"the first layer must be an ImageInputLayer, among {kinds}")
        if not isinstance(self.layers[-1], ClassificationLayer):
            raise ValueError(f"the last layer must be a ClassificationLayer, among {kinds}")
        for index, layer in enumerate(self.layers[1:-1], start=1):
            if isinstance(layer, (ImageInputLayer, ClassificationLayer)):
                raise ValueError(
                    f"{label(index, layer)} must be the first or the last layer, not between others"
                )
            if layer.in_place:
                _check_in_place(index, layer, self.layers[index - 1])
        self.input_layer: ImageInputLayer = self.layers[0]
        self.output_layer: ClassificationLayer = self.layers[-1]
        self._shapes: list[tuple[int, ...] | None] = [None] * len(self.layers)

    def initialize(self, rng: int | np.random.Generator | None = None) -> None:
        """Give values to the learnables that have none, and find the shapes of the outputs.

        Parameters
        ----------
        rng : None, int or numpy.random.Generator
            Source, or seed, of the values.
        """
        self._initialize(np.random.default_rng(rng), None)

    def _initialize(self, generator: np.random.Generator, largest: int | None) -> None:
        """Do it; no layer may need more than `largest` numbers for one image."""
        X: FloatArray = np.zeros((1, *self.input_layer.input_shape), dtype=np.float32)
        for index, layer in enumerate(self.layers):
            with named(index, layer):
                layer.initialize(X.shape[1:], generator)
            settle_learnables(index, layer)
            if largest is not None:
                _check_size(index, layer, X.shape, largest)
            X = self._predicted(index, layer, X, None)
            self._shapes[index] = X.shape[1:]
        if X.ndim != 2:
            raise ValueError(
                f"the input of {label(len(self.layers) - 1, self.output_layer)} must be "
                f"probabilities of shape (N, K), not {batch_shape(X.shape[1:])}"
            )

    @property
    def num_classes(self) -> int:
        """Width of the output; 0 before `initialize`."""
        shape = self._shapes[-1]
        return 0 if shape is None else shape[0]

    def state_dict(self) -> dict[str, AnyArray]:
        """Return copies of the values under the names of PyTorch's modules.

        A layer's values have keys such as ``"conv1.weight"``, of its name, or of its position where
        it has none. The weights and bias of a convolution or a fully connected layer are ``weight``
        and ``bias``; batch normalization's scale, offset, mean and variance ``weight``, ``bias``,
        ``running_mean`` and ``running_var``, with ``num_batches_tracked`` beside them; a PReLU's
        slope is ``weight``. Others have their own names: ``alpha``.

        Returns
        -------
        dict of str to ndarray
            Shapes are those of PyTorch; `elulayer.torch.from_network` makes the model.

        Raises
        ------
        ValueError
            If two layers have one name.
        """
        return state_dict(self.layers)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the values from arrays, or tensors in host memory, under `state_dict`'s keys.

        ``num_batches_tracked`` is not looked at. Either all values are set or none.

        Parameters
        ----------
        state : mapping of str to array-like

        Raises
        ------
        ValueError
            If a key is missing or unknown, or a value has another shape.
        """
        load_state_dict(self.layers, state)

    @property
    def classes(self) -> AnyArray | None:
        """The labels, one for each output."""
        return self._classes

    @classes.setter
    def classes(self, classes: npt.ArrayLike | None) -> None:
        if classes is not None:
            labels = plain_strings(label_array("classes", classes))
            if labels.ndim != 1:
                raise ValueError(f"classes must have shape (K,), not {labels.shape}")
            if len(np.unique(labels)) < len(labels):
                raise ValueError(f"classes must be different labels, not {labels}")
            require_characters("classes", labels)
            classes = labels
        self._classes: AnyArray | None = classes

    def predict(self, X: npt.ArrayLike, batch_size: int = 128) -> FloatArray:
        """Compute the probabilities of the classes.

        Parameters
        ----------
        X : array-like of shape (N, C, H, W), or (C, H, W) for one image
            Images of any real dtype; their values are taken as they are, as float32. They may be
            mapped from a file larger than memory.
        batch_size : int
            Number of images that pass through the layers at once.

        Returns
        -------
        probabilities : ndarray of shape (N, K), float32, or (K,) for one image

        Raises
        ------
        TypeError
            If `X` does not hold real numbers.
        ValueError
            If `X` has another shape than the input layer takes, or holds NaN or infinity.
        RuntimeError
            If a layer has no values yet.
        """
        array = as_array("X", X)
        if array.ndim == 3:
            check_image(array.shape, self.input_layer.input_shape)
            probabilities: FloatArray = self.predict(array[np.newaxis])[0]
            return probabilities
        images = Images(array, self.input_layer.input_shape)
        size = integer("batch_size", batch_size)
        batches = (images[i : i + size] for i in range(0, max(len(images), 1), size))
        with one_blas_thread(), cached_memory():
            return np.concatenate(list(self.inputs(len(self.layers), batches)))

    def classify(self, X: npt.ArrayLike, batch_size: int = 128) -> AnyArray:
        """Return for each image the label of its most probable class.

        Parameters and errors are those of `predict`.

        Returns
        -------
        labels : ndarray of shape (N,), or a label for one image
            In the dtype of the labels that the network was trained with.

        Raises
        ------
        FloatingPointError
            If the probabilities of an image are NaN.
        """
        if self.classes is None:
            raise RuntimeError("the network has no classes yet: train it, or pass classes=")
        probabilities = self.predict(X, batch_size)
        if probabilities.shape[-1] != len(self.classes):
            raise ValueError(
                f"classes must be {probabilities.shape[-1]} labels, one for each output of the "
                f"network, not {len(self.classes)}"
            )
        unclear = int(np.isnan(probabilities).any(axis=-1).sum())
        if unclear:
            raise FloatingPointError(f"the network's output is NaN for {unclear} of the images")
        labels: AnyArray = self.classes[probabilities.argmax(axis=-1)]
        return labels

    def inputs(self, index: int, batches: Iterable[FloatArray]) -> Iterator[FloatArray]:
        """Yield what reaches layer `index` at prediction, one mini-batch after the other."""
        for X in batches:
            Z = X
            for i, layer in enumerate(self.layers[:index]):
                Z = self._predicted(i, layer, Z, self._shapes[i])
            yield Z

    @staticmethod
    def _predicted(
        index: int, layer: Layer, X: FloatArray, shape: tuple[int, ...] | None
    ) -> FloatArray:
        with named(index, layer):
            Z = layer.predict(X)
        return check_output(index, layer, "predict", Z, len(X), shape)

    def forward(self, X: FloatArray) -> Tape:
        """Pass a mini-batch through the layers at training time."""
        return self.forward_parts([X], lambda _, layer, parts: [layer.forward(parts[0])])[0]

    def forward_parts(
        self,
        parts: list[FloatArray],
        call: Callable[[int, Layer, list[FloatArray]], list[Any]],
    ) -> list[Tape]:
        """Pass parts of a mini-batch through the layers, all through one before the next.

        Parameters
        ----------
        parts : list of ndarray
        call : callable
            ``call(index, layer, inputs)`` returns what `Layer.forward` gives for each input.
        """
        tapes: list[Tape] = [[] for _ in parts]
        for index, layer in enumerate(self.layers):
            with named(index, layer):
                results = call(index, layer, parts)
            outputs = []
            for tape, X, result in zip(tapes, parts, results, strict=True):
                Z, memory = check_forward(index, layer, result)
                Z = check_output(index, layer, "forward", Z, len(X), self._shapes[index])
                tape.append((X, Z, memory))
                outputs.append(Z)
            parts = outputs
        return tapes

    def backward(self, tape: Tape, dLdY: FloatArray, first: int = 0) -> list[list[FloatArray]]:
        """Propagate the loss's derivative from the output down to layer `first`.

        Parameters
        ----------
        tape : list
            What `forward` returned. It is emptied, so that memory is free as early as can be.
        dLdY : ndarray of shape (N, K)
            The loss's derivative with respect to the network's output.
        first : int
            The lowest layer to reach; its dLdX is not computed.

        Returns
        -------
        gradients : list of list of ndarray
            For each layer the gradients of its learnables; none for layers below `first`.
        """
        return self.backward_parts(
            [tape], [dLdY], first, lambda _, layer, items: [layer.backward(*items[0])]
        )[0]

    def backward_parts(
        self,
        tapes: list[Tape],
        dLdY: list[FloatArray],
        first: int,
        call: Callable[[int, Layer, list[BackwardInputs]], list[Any]],
    ) -> list[list[list[FloatArray]]]:
        """Do the same for parts of a mini-batch.

        ``call(index, layer, items)`` returns what `Layer.backward` gives for each item.
        """
        gradients: list[list[list[FloatArray]]] = [[[] for _ in self.layers] for _ in tapes]
        upper: list[FloatArray | None] = list(dLdY)
        for index in range(len(self.layers) - 1, first - 1, -1):
            layer = self.layers[index]
            items = [
                (X, Z, np.asarray(gradient), memory)
                for (X, Z, memory), gradient in zip(
                    (tape.pop() for tape in tapes), upper, strict=True
                )
            ]
            layer.needs_input_gradient = index > first
            try:
                with named(index, layer):
                    results = call(index, layer, items)
                for part, (item, result) in enumerate(zip(items, results, strict=True)):
                    upper[part], gradients[part][index] = check_gradients(
                        index, layer, item[0], result
                    )
            finally:
                layer.needs_input_gradient = True
        for tape in tapes:
            tape.clear()
        return gradients

    def __repr__(self) -> str:
        columns = {
            "": [str(index) for index in range(len(self.layers))],
            "layer": [title(layer) for layer in self.layers],
            "activations": [by(shape) for shape in self._shapes if shape is not None],
            "description": [layer.description for layer in self.layers],
        }
        if None in self._shapes:  # before `initialize`
            del columns["activations"]
        rows = list(zip(*columns.values(), strict=True))
        lines = table(list(columns), rows, right=(0,))
        return "\n".join([f"Network of {len(self.layers)} layers", *lines])


def _check_size(index: int, layer: Layer, shape: tuple[int, ...], largest: int) -> None:
    """Check that a convolution or a pooling does not need more numbers for an image than may be."""
    layers = (Convolution2DLayer, MaxPooling2DLayer, AveragePooling2DLayer)
    if not isinstance(layer, layers) or len(shape) != 4:
        return
    height, width = (size + 2 * layer.padding for size in shape[2:])
    size = shape[1] * height * width
    if isinstance(layer, Convolution2DLayer):
        rows, columns = layer.filter_size
        positions = max((height - rows) // layer.stride + 1, 0)
        positions *= max((width - columns) // layer.stride + 1, 0)
        size = max(size, positions * max(shape[1] * rows * columns + 1, layer.num_filters))
    if size > largest:
        raise ValueError(
            f"{label(index, layer)} must need at most {largest} numbers for an image, not {size}: "
            f"its padding is {layer.padding}, its input has shape {batch_shape(shape[1:])}"
        )


def _check_in_place(index: int, layer: Layer, below: Layer) -> None:
    """Check that a layer may write over the output of the layer below it."""
    if below.backward_uses_output:
        raise ValueError(
            f"{label(index, layer)} cannot work in place: {label(index - 1, below)} passes its "
            "input on, or needs its output for backward (Layer.backward_uses_output)"
        )
