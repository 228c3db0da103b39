"""Arrays that the functions are given: dtypes, shapes, memory layouts."""

import hypothesis.strategies as st
import numpy as np

DTYPES = [np.float32, np.float64]
SHAPES = [
    (3, 5, 7, 9),
    (4, 6),  # NC
    (2, 8, 8, 8),  # C == W
    (1, 3, 4, 5),  # N == 1
    (6, 5, 1, 1),  # H * W == 1
    (2, 3, 4, 5, 6),
    (1, 1),
    (257, 3, 129),
    (1, 2, 40000),  # rows that are cut into tiles
    (5000, 70),  # more channels than one tile has
]


def random_inputs(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 3, shape).astype(dtype)
    alpha = rng.uniform(-1, 2, shape[1]).astype(dtype)
    return x, alpha


def misaligned(array):
    """A copy of C-contiguous `array` whose address is odd."""
    memory = np.empty(array.nbytes + 1, np.uint8)[1:]
    view = memory.view(array.dtype).reshape(array.shape)
    view[...] = array
    assert view.size == 0 or not view.flags.aligned
    return view


def in_memory_order(array, order):
    """A copy of `array` whose axes lie in memory in the given order, slowest first."""
    return np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))


@st.composite
def views(draw, shape, seed):
    """A strided, reversed, permuted, repeated, misaligned or plain view of random numbers."""
    rng = np.random.default_rng(seed)
    dtype = draw(st.shared(st.sampled_from(DTYPES), key="dtype"))
    kind = draw(st.sampled_from(["plain", "strided", "permuted", "broadcast", "misaligned"]))
    if kind == "strided":
        steps = [draw(st.sampled_from([1, 2, -1, -2])) for _ in shape]
        big = rng.normal(size=[n * abs(s) for n, s in zip(shape, steps, strict=True)])
        view = big.astype(dtype)[tuple(slice(None, None, s) for s in steps)]
    elif kind == "permuted":
        view = in_memory_order(
            rng.normal(size=shape).astype(dtype), draw(st.permutations(range(len(shape))))
        )
    elif kind == "broadcast":
        repeated = [draw(st.booleans()) for _ in shape]
        small = rng.normal(size=[1 if r else n for n, r in zip(shape, repeated, strict=True)])
        view = np.broadcast_to(small.astype(dtype), shape)
    else:
        view = rng.normal(size=shape).astype(dtype)
        view = misaligned(view) if kind == "misaligned" else view
    assert view.shape == tuple(shape)
    return view


class Tensor:
    """What NumPy cannot read, as a tensor of PyTorch that requires a gradient."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")


TENSOR_REFUSED = r"must be an array, not .*: Can't call numpy\(\) on Tensor that requires grad$"
