"""Random numbers whose bits are the same with every NumPy and on every machine.

NumPy freezes the raw 64-bit stream of a seeded bit generator, but not what
`numpy.random.Generator` makes of it. Only raw words are drawn here.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["raw_words", "uniforms"]

# A float64 has 53 significant bits: the upper 53 of a word convert and scale exactly.
_DROPPED_BITS = np.uint64(11)
_STEP = 1.0 / (1 << 53)


def raw_words(shape: tuple[int, ...], *, seed: int, stream: int) -> npt.NDArray[np.uint64]:
    """Draw 64-bit words; streams of one seed are independent of each other.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result. The draw fills it in C order, so fewer rows are a prefix of more.
    seed : int
        Any integer from 0 on.
    stream : int
        Number of the stream, from 0 on.

    Returns
    -------
    ndarray of uint64
        Words, uniform over all 2^64 values.
    """
    count = 1
    for extent in shape:
        count *= extent
    source = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream,)))
    words: npt.NDArray[np.uint64] = source.random_raw(count)
    return words.reshape(shape)


def uniforms(words: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Map words to multiples of 2^-53 in [0, 1)."""
    upper: npt.NDArray[np.float64] = (words >> _DROPPED_BITS).astype(np.float64)
    upper *= _STEP
    return upper
