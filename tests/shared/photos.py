"""Photos of digits: dark ink on light paper, in light from one side, somewhere in the picture."""

import numpy as np


def photo(digit, rng, inverted=False):
    """Make a photo of (240, 200) from a digit of shape (28, 28), light on black."""
    large = np.kron(digit, np.ones((4, 4)))
    for axis in (0, 1):  # smooth its corners
        large = (np.roll(large, 1, axis) + 2 * large + np.roll(large, -1, axis)) / 4
    paper = np.full((240, 200), 0.9)
    down, across = rng.integers(5, 240 - 117), rng.integers(5, 200 - 117)
    paper[down : down + 112, across : across + 112] -= 0.7 * large
    rows, columns = np.meshgrid(np.linspace(0, 1, 240), np.linspace(0, 1, 200), indexing="ij")
    picture = paper * (0.7 + 0.2 * rows + 0.1 * columns) + rng.normal(0, 0.015, paper.shape)
    picture = np.clip(picture, 0, 1)
    return 1 - picture if inverted else picture
