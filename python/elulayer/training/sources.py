"""Where a run's images and labels come from: arrays, or iterables of batches."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Iterable, Iterator, Sized
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._support.typing import AnyArray, FloatArray
from ..network.images import Images
from ..network.labels import distinct, label_array, plain_strings, require_no_missing
from .parts import Parts
from .ranks import Ranks

Codes = npt.NDArray[np.intp]
Pair = tuple[FloatArray, Codes]
"""Images as float32, and for each the number of its class."""


Part = tuple[int, FloatArray, Codes]
"""The number of a part of a mini-batch, its images and their classes."""


class Batch(NamedTuple):
    """A mini-batch, of which one rank has some parts; a checksum shows whether labels differ."""

    size: int
    labels: int
    parts: list[Part]


_MOST_HASHED = 2**30
_HASHED_TOGETHER = 2**22
"""Bytes of images as float32 that a fingerprint is of, and that it takes at once."""


class ArraySource:
    """Images and labels in arrays, which may be mapped from files larger than memory.

    Parameters
    ----------
    image_shape : tuple of int
        (C, H, W).
    X, Y : array-like
        As `train_network` takes them.
    classes : ndarray, optional
        The classes; without them the distinct labels are.
    ranks : Ranks
        Each looks through its share of the images for NaN and infinity.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        X: npt.ArrayLike,
        Y: npt.ArrayLike,
        classes: AnyArray | None,
        ranks: Ranks,
    ) -> None:
        labels = _labels(Y)
        share = slice(
            ranks.rank * len(labels) // ranks.size, (ranks.rank + 1) * len(labels) // ranks.size
        )
        self._images = Images(X, image_shape, share if ranks.size > 1 else slice(None))
        if len(labels) != len(self._images):
            raise ValueError(
                f"Y must hold {len(self._images)} labels, one per image of X, not {len(labels)}"
            )
        if len(labels) == 0:
            raise ValueError("X must hold at least one image, not none")
        self.classes = _distinct([labels]) if classes is None else classes
        self._codes = _codes(labels, self.classes)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self._codes)

    def count_batches(self, size: int) -> int:
        """Return the number of mini-batches of an epoch."""
        return len(self) // min(size, len(self))

    def dealt(self, size: int, rank: int = 0, ranks: int = 1) -> Iterator[Pair]:
        """Yield all images in their order, so many at once: of these batches every `ranks`-th."""
        for start in range(rank * size, len(self), ranks * size):
            part = slice(start, start + size)
            yield self._images[part], self._codes[part]

    def batches(
        self, size: int, order: npt.NDArray[np.int64] | None, skip: int, parts: Parts
    ) -> Iterator[Batch]:
        """Yield the mini-batches of an epoch.

        Parameters
        ----------
        size : int
            Images of each; what does not fill a mini-batch is left out.
        order : ndarray
            Indices of the images.
        skip : int
            Mini-batches to leave out at the beginning.
        parts : Parts
            Which parts of them to read.
        """
        assert order is not None
        size = min(size, len(self))
        for start in range(skip * size, len(self) - size + 1, size):
            chosen = order[start : start + size]
            codes = self._codes[chosen]
            own = [
                (part, self._images[chosen[place]], codes[place])
                for part, place in parts.slices(size)
            ]
            yield Batch(size, zlib.crc32(codes.tobytes()), own)

    def fingerprint(self, most: int | None = None) -> dict[str, Any]:
        """Describe the data, so that a resumed run can tell that they are others.

        All labels count, and all images up to so many bytes of them as float32, a gibibyte by
        default; of more, images that lie evenly in the set and are as many bytes at most.
        """
        shape = self._images.shape[1:]
        size = 4 * math.prod(shape)  # as float32
        step = max(1, -(-len(self) * size // (most or _MOST_HASHED)))
        group = max(1, _HASHED_TOGETHER // size)
        digest = hashlib.sha256(self._codes.astype(np.int64).data)
        for start in range(0, len(self), step * group):
            images = self._images[start : start + step * group : step]
            digest.update(np.ascontiguousarray(images).reshape(-1).data)
        return {
            "images": len(self),
            "shape": list(shape),
            f"sha256 of the labels and of every image whose index {step} divides"
            if step > 1
            else "sha256 of the labels and the images": digest.hexdigest(),
        }


class IterableSource:
    """Batches (X, Y) from an iterable that starts anew whenever it is iterated over.

    Parameters
    ----------
    image_shape : tuple of int
        (C, H, W).
    batches : iterable of (X, Y)
        Each X and Y as `train_network` takes them.
    classes : ndarray, optional
        The classes; without them one pass over the iterable collects the labels.
    """

    def __init__(
        self, image_shape: tuple[int, ...], batches: Iterable[Any], classes: AnyArray | None
    ) -> None:
        _refuse_iterator("X", batches)
        self._image_shape = image_shape
        self._iterable = batches
        self.classes = (
            _distinct([_labels(Y) for _, Y in self._pairs()]) if classes is None else classes
        )

    def count_batches(self, size: int) -> int | None:
        """Return the number of batches of an epoch, where the iterable tells it."""
        return len(self._iterable) if isinstance(self._iterable, Sized) else None

    def dealt(self, size: int, rank: int = 0, ranks: int = 1) -> Iterator[Pair]:
        """Yield the batches, as they come: every `ranks`-th."""
        for X, Y in islice(self._pairs(), rank, None, ranks):
            images, codes = self._checked(X, Y)
            yield images[:], codes

    def batches(self, size: int, order: object, skip: int, parts: Parts) -> Iterator[Batch]:
        """Yield the batches of an epoch, as they come, without the first `skip`."""
        for X, Y in islice(self._pairs(), skip, None):
            images, codes = self._checked(X, Y)
            # Copies: the iterable may fill the same array again while this batch waits.
            own = [
                (part, images[place].copy(), codes[place])
                for part, place in parts.slices(len(images))
            ]
            yield Batch(len(images), zlib.crc32(codes.tobytes()), own)

    def _checked(self, X: Any, Y: Any) -> tuple[Images, Codes]:
        images, labels = Images(X, self._image_shape), _labels(Y)
        if len(labels) != len(images):
            raise ValueError(
                f"a batch must hold {len(images)} labels, one per image, not {len(labels)}"
            )
        return images, _codes(labels, self.classes)

    def fingerprint(self, most: int | None = None) -> dict[str, Any]:
        """Describe the data, as far as they are known without reading them."""
        return {"batches": self.count_batches(0)}

    def _pairs(self) -> Iterator[tuple[Any, Any]]:
        empty = True
        for item in self._iterable:
            if not isinstance(item, (tuple, list)) or len(item) != 2:
                raise TypeError(
                    f"an iterable of batches must give pairs (X, Y), not {type(item).__name__}"
                )
            if np.shape(item[0])[:1] == (0,):
                raise ValueError("a batch of the iterable must hold at least one image, not none")
            empty = False
            yield item[0], item[1]
        if empty:
            raise ValueError(
                "the iterable of batches must give at least one batch, not none; it must start "
                "anew each time it is iterated over"
            )


class _Zipped:
    """Two iterables of batches, of images and of labels, as one of pairs."""

    def __init__(self, X: Iterable[Any], Y: Iterable[Any]) -> None:
        self._parts = (X, Y)
        for name, part in zip("XY", self._parts, strict=True):
            _refuse_iterator(name, part)

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        images, labels = map(iter, self._parts)
        end = object()
        while True:
            X, Y = next(images, end), next(labels, end)
            if (X is end) != (Y is end):
                raise ValueError(
                    f"{'XY'[Y is end]} must have as many batches as {'XY'[X is end]}, not fewer"
                )
            if X is end:
                return
            yield X, Y


class _SizedZipped(_Zipped):
    def __len__(self) -> int:
        return min(len(part) for part in self._parts if isinstance(part, Sized))


Source = ArraySource | IterableSource


def make_source(
    image_shape: tuple[int, ...], X: Any, Y: Any, classes: AnyArray | None, ranks: Ranks
) -> Source:
    """Make the source that fits what was given as X and Y."""
    if Y is None:
        if not isinstance(X, Iterable) or hasattr(X, "__array__"):
            raise TypeError(
                f"without Y, X must be an iterable of batches (X, Y), not {type(X).__name__}"
            )
        return IterableSource(image_shape, X, classes)
    if _is_array_like(X):
        return ArraySource(image_shape, X, Y, classes, ranks)
    if not isinstance(X, Iterable) or not isinstance(Y, Iterable) or isinstance(Y, np.ndarray):
        raise TypeError(
            "X and Y must both be arrays or both be iterables of batches, "
            f"not {type(X).__name__} and {type(Y).__name__}"
        )
    pair = _SizedZipped if isinstance(X, Sized) and isinstance(Y, Sized) else _Zipped
    return IterableSource(image_shape, pair(X, Y), classes)


def is_pair(data: Any) -> bool:
    """Whether data are X and Y, and not an iterable of batches; both may be a list of two."""
    return (
        isinstance(data, (tuple, list))
        and len(data) == 2
        and not all(
            isinstance(part, (tuple, list)) and len(part) == 2 and np.ndim(part[0]) == 4
            for part in data
        )
    )


def _refuse_iterator(name: str, value: object) -> None:
    if isinstance(value, Iterator):
        raise TypeError(
            f"{name} must be an iterable that starts anew for every epoch, such as a list or an "
            f"object with an __iter__ of its own, not a {type(value).__name__}, which gives its "
            "batches once"
        )


def _is_array_like(value: Any) -> bool:
    # A list of image batches is an iterable of them.
    if isinstance(value, (list, tuple)) and value and getattr(value[0], "ndim", 0) == 4:
        return False
    return isinstance(value, (list, tuple, int, float, np.generic)) or hasattr(value, "__array__")


def _labels(Y: npt.ArrayLike) -> AnyArray:
    labels = label_array("Y", Y)
    if labels.ndim != 1:
        cure = ""
        if labels.ndim == 2:
            cure = "; Y.ravel()" if 1 in labels.shape else "; Y.argmax(axis=1) of one-hot rows"
        raise ValueError(f"Y must have shape (N,), one label per image, not {labels.shape}{cure}")
    require_no_missing("Y", labels)
    return labels


def _distinct(parts: list[AnyArray]) -> AnyArray:
    classes = [distinct("Y's labels", part) for part in parts]
    return plain_strings(distinct("Y's labels", np.concatenate(classes)))


def _codes(labels: AnyArray, classes: AnyArray) -> Codes:
    """Return the position of each label among the classes."""
    try:
        codes = np.searchsorted(classes, labels).astype(np.intp)
    except TypeError as error:
        raise TypeError(
            f"Y's labels must compare with the classes, {classes}, not be of dtype {labels.dtype}"
        ) from error
    known = classes[np.minimum(codes, len(classes) - 1)] == labels
    if not np.all(known):
        stranger = labels[~known].tolist()[0]
        raise ValueError(f"Y must hold labels of the classes {classes}, not the label {stranger!r}")
    return codes
