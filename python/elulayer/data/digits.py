"""Synthetic digits: a seeded generator that needs NumPy alone, no file and no network.

The images are drawn: a digit's strokes with moved knots, sheared, stretched, rotated, placed and
inked by the distance from the pen's path. They are a synthetic stand-in for data sets of this
kind and come from none.

The bits of the result depend on the arguments alone, not on NumPy's version nor the processor.
Everything is therefore made of raw generator words and of the operations that IEEE 754 rounds
correctly: addition, subtraction, multiplication, division, square root, comparison. There is no
trigonometric function, no sum over an axis and no matrix product in this file, and the geometry
is float64 throughout.
"""

from __future__ import annotations

from typing import SupportsIndex

import numpy as np
import numpy.typing as npt

from .._support.checks import integer
from .dataset import Dataset, images_from_levels
from .draws import raw_words, uniforms
from .strokes import STYLES, Stroke, Style

__all__ = ["load_digits", "make_digits"]

_Floats = npt.NDArray[np.float64]

_SIDE = 28
_CLASSES = len(STYLES)
_MARGIN = 0.5  # pixels that stay free of the path's edge at every border, where the size allows

_HALF_TURN = 0.41421356  # tan(45 degrees / 2), rounded down
_SHEAR = 0.20
_WIDTH = (0.80, 1.15)  # of the digit, as a factor
_SIZE = (8.0, 10.0)  # half the digit's height, in pixels
_SHIFT = 1.75  # pixels in x and in y
_PEN = (0.8, 1.6)  # half the stroke's width, in pixels
_WOBBLE = (0.03, 0.12)  # how far a knot moves in x and in y, in halves of the digit's height
_EDGE = 1.2  # pixels over which the ink fades

_SAMPLES = 4  # straight pieces of a curve between two knots, and of a straight stroke

# Images are made in groups that keep the working arrays within a processor's cache.
_GROUP = 128

# The columns of an image's random words. From the last one on, every knot takes two.
(
    _ORDER,
    _STYLE,
    _TURN,
    _SLANT,
    _STRETCH,
    _SCALE,
    _RIGHT,
    _DOWN,
    _INK,
    _UNREST,
    _MOVES,
) = range(11)
_MOST_KNOTS = 16
_COLUMNS = _MOVES + 2 * _MOST_KNOTS


def make_digits(
    n: SupportsIndex, *, seed: SupportsIndex = 0, stream: SupportsIndex = 0
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Draw n synthetic digits.

    Every run of ten images, counted from the first, holds each digit once, in random order: the
    classes are equal where n is a multiple of ten, and in any beginning of the set they differ by
    one at most. Fewer images of one seed and stream are the beginning of more.

    Parameters
    ----------
    n : int
        Number of images, at least 1.
    seed : int, optional
        Any integer from 0 on.
    stream : int, optional
        Streams of one seed are independent of each other. `load_digits` trains on stream 0 and
        tests on stream 1.

    Returns
    -------
    X : ndarray of float32, shape (n, 1, 28, 28)
        White digits on black: multiples of 1/255 in [0, 1].
    Y : ndarray of int64, shape (n,)
        The digits, 0 to 9.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If `n` is less than 1, or `seed` or `stream` is negative.
    """
    count = integer("n", n)
    levels, labels = _draw(
        count, integer("seed", seed, least=0), integer("stream", stream, least=0)
    )
    return images_from_levels(levels), labels


def load_digits(
    seed: SupportsIndex = 0, n_train: SupportsIndex = 5000, n_test: SupportsIndex = 5000
) -> Dataset:
    """Draw a training set and a test set of synthetic digits.

    A synthetic stand-in for scanned or rendered digits: 28x28 grey images of the ten digits in
    one to three styles each, with random wobble, shear, width, size, rotation within 45 degrees,
    place and pen. The two sets come from independent random streams; `make_digits` says in which
    order the images come.

    Parameters
    ----------
    seed : int, optional
        Any integer from 0 on. Equal arguments give equal bits everywhere.
    n_train, n_test : int, optional
        Number of training and of test images, at least 1.

    Returns
    -------
    Dataset
        ``X_train`` and ``X_test`` are float32 of shape (n, 1, 28, 28), multiples of 1/255 in
        [0, 1]; ``Y_train`` and ``Y_test`` are int64 of shape (n,), 0 to 9.

    Raises
    ------
    TypeError
        If an argument is not an integer.
    ValueError
        If `n_train` or `n_test` is less than 1, or `seed` is negative.
    """
    number = integer("seed", seed, least=0)
    count_train = integer("n_train", n_train)
    count_test = integer("n_test", n_test)
    X_train, Y_train = make_digits(count_train, seed=number, stream=0)
    X_test, Y_test = make_digits(count_test, seed=number, stream=1)
    return Dataset(X_train, Y_train, X_test, Y_test)


def _draw(
    count: int, seed: int, stream: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return grey levels (count, 28, 28) and labels (count,)."""
    rounds = -(-count // _CLASSES)
    words = raw_words((rounds * _CLASSES, _COLUMNS), seed=seed, stream=stream)
    # A stable sort has one result only, even if two words were equal.
    order = np.argsort(words[:, _ORDER].reshape(rounds, _CLASSES), axis=1, kind="stable")
    labels = order.astype(np.int64).reshape(-1)[:count]
    random = uniforms(words[:count])

    levels = np.empty((count, _SIDE, _SIDE), np.uint8)
    for digit, styles in enumerate(STYLES):
        of_digit = np.flatnonzero(labels == digit)
        choice = np.floor(random[of_digit, _STYLE] * float(len(styles)))
        for number, style in enumerate(styles):
            members = of_digit[choice == float(number)]
            for first in range(0, members.size, _GROUP):
                group = members[first : first + _GROUP]
                levels[group] = _render(style, np.ascontiguousarray(random[group].T))
    return levels, labels


def _between(low: float, high: float, uniform: _Floats) -> _Floats:
    return low + (high - low) * uniform


def _render(style: Style, random: _Floats) -> npt.NDArray[np.uint8]:
    """Return the grey levels (n, 28, 28) of one style for random numbers (columns, n)."""
    half_width = _between(_PEN[0], _PEN[1], random[_INK])
    lines, points = _skeleton(style, random)
    x, y = _place(points, half_width, random)
    reach = half_width + 0.5 * _EDGE
    distance = np.sqrt(_squared_distance(lines, x, y, reach))
    ink = (reach[:, np.newaxis, np.newaxis] - distance) / _EDGE
    level = np.floor(np.minimum(np.maximum(ink, 0.0), 1.0) * 255.0 + 0.5)
    return level.astype(np.uint8)


def _skeleton(style: Style, random: _Floats) -> tuple[list[tuple[int, int]], _Floats]:
    """Move the knots and sample the strokes.

    Returns the pairs of points that a straight piece joins, and the points (points, 2, n).
    """
    unrest = _between(_WOBBLE[0], _WOBBLE[1], random[_UNREST])
    knots: dict[tuple[float, float], _Floats] = {}
    for stroke in style:
        for point in stroke:
            if point not in knots:
                column = _MOVES + 2 * len(knots)
                move = (2.0 * random[column : column + 2] - 1.0) * unrest
                knots[point] = np.array(point)[:, np.newaxis] + move
    lines: list[tuple[int, int]] = []
    points: list[_Floats] = []
    for stroke in style:
        sampled = _sample(stroke, [knots[point] for point in stroke])
        lines.extend((len(points) + i, len(points) + i + 1) for i in range(len(sampled) - 1))
        points.extend(sampled)
    return lines, np.stack(points)


def _sample(stroke: Stroke, knots: list[_Floats]) -> list[_Floats]:
    """Sample the uniform Catmull-Rom curve through the knots (or the straight line of two)."""
    if stroke[0] == stroke[-1]:
        before, after = knots[-2], knots[1]
    else:
        before, after = 2.0 * knots[0] - knots[1], 2.0 * knots[-1] - knots[-2]
    hull = [before, *knots, after]
    points = [knots[0]]
    for a, b, c, d in zip(hull, hull[1:], hull[2:], hull[3:], strict=False):
        slope = 0.5 * (c - a)
        bend = a - 2.5 * b + 2.0 * c - 0.5 * d
        twist = 0.5 * (d - a) + 1.5 * (b - c)
        for step in range(1, _SAMPLES + 1):
            t = float(step) / float(_SAMPLES)
            points.append(((twist * t + bend) * t + slope) * t + b)
    return points


def _place(points: _Floats, half_width: _Floats, random: _Floats) -> tuple[_Floats, _Floats]:
    """Map points (points, 2, n) to pixel coordinates x and y, each (points, n)."""
    size = _between(_SIZE[0], _SIZE[1], random[_SCALE])
    slant = _between(-_SHEAR, _SHEAR, random[_SLANT])
    x = points[:, 0] * _between(_WIDTH[0], _WIDTH[1], random[_STRETCH]) - points[:, 1] * slant
    y = points[:, 1]

    # The rational circle: half is tan(angle / 2), and the angle is nearly uniform.
    half = _between(-_HALF_TURN, _HALF_TURN, random[_TURN])
    square = half * half
    cosine = size * ((1.0 - square) / (1.0 + square))
    sine = size * (2.0 * half / (1.0 + square))
    x, y = x * cosine - y * sine, x * sine + y * cosine
    return (
        _shift(x, half_width, random[_RIGHT]),
        _shift(y, half_width, random[_DOWN]),
    )


def _shift(along: _Floats, half_width: _Floats, uniform: _Floats) -> _Floats:
    """Centre coordinates (points, n) in the image, then shift them as far as there is room."""
    low = np.min(along, axis=0)
    high = np.max(along, axis=0)
    room = 0.5 * float(_SIDE) - _MARGIN - half_width - 0.5 * (high - low)
    most = np.minimum(np.maximum(room, 0.0), _SHIFT)
    centre = 0.5 * float(_SIDE - 1)
    shift: _Floats = centre - 0.5 * (low + high) + _between(-1.0, 1.0, uniform) * most
    return along + shift


def _squared_distance(
    lines: list[tuple[int, int]], x: _Floats, y: _Floats, reach: _Floats
) -> _Floats:
    """Return the squared distance (n, 28, 28) of every pixel within reach from the path.

    Pixels out of reach get some larger number.
    """
    count = reach.size
    nearest = np.full((count, _SIDE * _SIDE), 4.0 * float(_SIDE * _SIDE))
    image = np.arange(count)[:, np.newaxis, np.newaxis]
    for start, end in lines:
        # A window that holds all pixels in reach of the piece, the same size for all images.
        column, columns = _window(x[start], x[end], reach)
        row, rows = _window(y[start], y[end], reach)
        right = column[:, np.newaxis] + np.arange(columns)
        down = row[:, np.newaxis] + np.arange(rows)

        along_x = x[end] - x[start]
        along_y = y[end] - y[start]
        # Knots may coincide: the bound keeps a piece of no length from dividing by zero.
        length = np.maximum(along_x * along_x + along_y * along_y, 1e-12)
        from_x = right.astype(np.float64) - x[start][:, np.newaxis]
        from_y = down.astype(np.float64) - y[start][:, np.newaxis]
        part_x = from_x * (along_x / length)[:, np.newaxis]
        part_y = from_y * (along_y / length)[:, np.newaxis]
        part = part_x[:, np.newaxis, :] + part_y[:, :, np.newaxis]
        np.maximum(part, 0.0, out=part)
        np.minimum(part, 1.0, out=part)
        away_x = from_x[:, np.newaxis, :] - part * along_x[:, np.newaxis, np.newaxis]
        np.multiply(part, along_y[:, np.newaxis, np.newaxis], out=part)
        away_y = from_y[:, :, np.newaxis] - part
        np.multiply(away_x, away_x, out=away_x)
        np.multiply(away_y, away_y, out=away_y)
        np.add(away_x, away_y, out=away_x)

        pixel = down[:, :, np.newaxis] * _SIDE + right[:, np.newaxis, :]
        nearest[image, pixel] = np.minimum(nearest[image, pixel], away_x)
    return nearest.reshape(count, _SIDE, _SIDE)


def _window(start: _Floats, end: _Floats, reach: _Floats) -> tuple[npt.NDArray[np.intp], int]:
    """Return each image's first pixel and the common number of pixels of a window."""
    low = np.floor(np.minimum(start, end) - reach)
    high = np.ceil(np.maximum(start, end) + reach)
    low = np.minimum(np.maximum(low, 0.0), float(_SIDE - 1))
    high = np.minimum(np.maximum(high, low), float(_SIDE - 1))
    extent = int(np.max(high - low)) + 1
    first = np.minimum(low, float(_SIDE - extent))
    return first.astype(np.intp), extent
