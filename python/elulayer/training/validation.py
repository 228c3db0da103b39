"""Validation data, on which a network is tried as it learns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._support.typing import AnyArray
from ..network import Network
from .ranks import Ranks
from .sources import Pair, is_pair, make_source


class Validation:
    """Images and labels that are not trained on; the ranks of a parallel run share them out.

    Parameters
    ----------
    data : object
        The option `validation_data`.
    image_shape : tuple of int
    classes : ndarray
    size : int
        Images that pass through the network at once, where data are arrays.
    ranks : Ranks

    Raises
    ------
    TypeError, ValueError
        If data do not fit; the message begins with the option's name.
    """

    def __init__(
        self,
        data: Any,
        image_shape: tuple[int, ...],
        classes: AnyArray | None,
        size: int,
        ranks: Ranks,
    ) -> None:
        self._size = size
        self._ranks = ranks
        with _naming_the_option():
            X, Y = data if is_pair(data) else (data, None)
            self.source = make_source(image_shape, X, Y, classes, ranks)
        next(self._batches(), None)  # what does not fit is told before the run

    def trial(self, network: Network) -> tuple[float, float]:
        """Return the loss, and how many of the images are classified rightly, in percent."""
        one_hot = np.eye(network.num_classes, dtype=np.float32)

        def of_batch(batch: Pair) -> tuple[float, int, int]:
            X, codes = batch
            *_, P = network.inputs(len(network.layers), [X])
            loss = len(codes) * network.output_layer.loss(P, one_hot[codes])
            return loss, int((P.argmax(axis=1) == codes).sum()), len(codes)

        loss, right, count = 0.0, 0, 0
        for more, hits, images in self._ranks.dealt(map(of_batch, self._batches()), "validation"):
            loss += more
            right += hits
            count += images
        return loss / count, 100 * right / count

    def _batches(self) -> Iterator[Pair]:
        with _naming_the_option():
            yield from self.source.dealt(self._size, self._ranks.rank, self._ranks.size)


@contextlib.contextmanager
def _naming_the_option() -> Iterator[None]:
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"validation_data: {error}") from error
