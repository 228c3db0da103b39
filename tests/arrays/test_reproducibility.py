"""The bits of Z and dX follow from the values; those of dalpha from shape and memory order too.

Run as a program, this file prints the hashes that all instruction sets with fused operations share.
NaN stands for the one without a payload, of either sign.
"""

import functools
import hashlib
import itertools
import json
import math
import os
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pytest

import elulayer as el
from shared.inputs import in_memory_order

DTYPES = {
    dtype.__name__: dtype for dtype in (np.float32, np.float64, np.float16, ml_dtypes.bfloat16)
}
# The instruction sets with fused operations: their results have the same bits.
FUSED = [isa for isa in el.cpu_info().usable if isa in ("x86-64-v4", "x86-64-v3", "neon")]


def cast(values, dtype):
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(values).astype(dtype)


def alpha_type(dtype):
    return np.float64 if dtype == np.float64 else np.float32


def bits(array):
    return array.view(f"u{array.itemsize}")


def digest(arrays):
    """Hash their values in C order."""
    result = hashlib.sha256()
    for array in arrays:
        result.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    return result.hexdigest()


def assert_same_bits(array, expected, what):
    different = bits(array) != bits(expected)
    if different.any():
        at = tuple(np.argwhere(different)[0].tolist())
        raise AssertionError(
            f"{what}: {different.sum()} elements, the first at {at}: "
            f"{array[at]!r} ({bits(array)[at]:#x}), not {expected[at]!r} ({bits(expected)[at]:#x})"
        )


# Arrangements in memory --------------------------------------------------------------------------


def at_offset(array, offset):
    """A copy of `array`, its axes in the same order, so many bytes past a cache line."""
    order = np.argsort([-stride for stride in array.strides], kind="stable")
    memory = np.empty(array.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    flat = memory[start : start + array.nbytes].view(array.dtype)
    copy = flat.reshape([array.shape[i] for i in order]).transpose(np.argsort(order))
    copy[...] = array
    return copy


def reversed_strides(array):
    """A copy of `array` with every stride negative."""
    reverse = (slice(None, None, -1),) * array.ndim
    return np.copy(array[reverse], order="K")[reverse]


ARRANGEMENTS = {
    "contiguous": lambda array: array,
    "negative strides": reversed_strides,
    "misaligned": lambda array: at_offset(array, 1),
    "one element past a cache line": lambda array: at_offset(array, array.itemsize),
}


# One hash ----------------------------------------------------------------------------------------

# About 2^20 elements, enough for 64 threads, and the alphas of the channels: most of them ordinary,
# some such that the short form does not take them.
ODD_ALPHAS = (-0.5, 0.0, -0.0, 2.0**-21, 1e-30, -3e4)
LAYOUTS = {
    "one row": ((1_050_002,), [0.75]),
    "long rows": ((4, 7, 37_503), [0.75, *ODD_ALPHAS]),
    "short rows": ((300, 72, 7, 7), [*np.linspace(0.25, 1.5, 66), *ODD_ALPHAS]),
    "NC": ((14_190, 74), np.linspace(0.25, 1.5, 74)),
}


def cancelling(rng, shape, dtype, outside):
    """Return x and grad whose terms of dalpha cancel and span many decades.

    So another order of adding shows in the sums. The first half is followed by its mirror image
    with the opposite sign, within each channel. A few x of the first half are `outside`, with a
    gradient of 0.
    """
    half = (shape[0] // 2, *shape[1:])
    decades = 3 if dtype == np.float16 else 7
    x = rng.normal(-1, 2, half)
    grad = rng.normal(size=half) * 10.0 ** rng.uniform(-decades, decades, half)
    chosen = rng.integers(0, x.size, x.size // 2500)
    grad.reshape(-1)[chosen] = 0
    mirror = tuple(slice(None, None, 1 if axis == 1 else -1) for axis in range(x.ndim))
    x, grad = np.concatenate([x, x[mirror]]), np.concatenate([grad, -grad[mirror]])
    x.reshape(-1)[chosen] = outside
    return cast(x, dtype), cast(grad, dtype)


def one_hash_inputs(layout, dtype):
    """In half of the array a few x are outside of the short form's range."""
    shape, alpha = LAYOUTS[layout]
    x, grad = cancelling(np.random.default_rng(0), shape, dtype, outside=-1e30)
    alpha = cast(alpha, alpha_type(dtype))
    return x, grad, float(alpha[0]) if x.ndim == 1 else alpha


def one_hash(x, grad, alpha, threads):
    z = el.elu(x, alpha, num_threads=threads)
    return digest([z, *el.elu_backward(grad, x, alpha, num_threads=threads)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_hash(layout, dtype):
    """For 1 to 64 threads, every arrangement in memory and all fused instruction sets."""
    x, grad, alpha = one_hash_inputs(layout, DTYPES[dtype])
    arranged = {name: [f(a) for a in (x, grad)] for name, f in ARRANGEMENTS.items()}
    names = itertools.cycle(ARRANGEMENTS)
    hashes = {}
    for threads in range(1, 65):
        # Each arrangement meets one and several threads.
        for name in ARRANGEMENTS if threads in (1, 2, 64) else [next(names)]:
            key = one_hash(*arranged[name], alpha, threads)
            hashes.setdefault(key, f"{threads} threads, {name}")
    hashes.setdefault(one_hash(x, grad, alpha, None), "the default number of threads")
    for isa, key in of_other_instruction_sets(f"one_hash {layout} {dtype}").items():
        hashes.setdefault(key, isa)
    assert len(hashes) == 1, hashes


# Memory orders -----------------------------------------------------------------------------------

ORDERS = [(0, 1, 2, 3), (0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 2, 3), (2, 0, 3, 1), (3, 1, 0, 2)]


def order_inputs(dtype):
    x, grad = cancelling(np.random.default_rng(1), (8, 24, 20, 40), dtype, outside=-1e30)
    return x, grad, np.linspace(0.25, 1.5, 24, dtype=alpha_type(dtype))


def order_hash(x, grad, alpha, order, threads=None):
    """Of dalpha alone."""
    x, grad = in_memory_order(x, order), in_memory_order(grad, order)
    return digest(el.elu_backward(grad, x, alpha, num_threads=threads)[1:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_memory_orders(order, dtype):
    """Z and dX have the same bits in every order, dalpha within one."""
    x, grad, alpha = order_inputs(DTYPES[dtype])
    expected_z, expected_dx = el.elu(x, alpha), el.elu_backward(grad, x, alpha)[0]
    sums = {}
    for name, arrange in ARRANGEMENTS.items():
        arranged_x, arranged_grad = (arrange(in_memory_order(a, order)) for a in (x, grad))
        for threads in (1, 2, 3, 7, 9):
            what = f"{name}, {threads} threads"
            z = el.elu(arranged_x, alpha, num_threads=threads)
            dx, dalpha = el.elu_backward(arranged_grad, arranged_x, alpha, num_threads=threads)
            assert_same_bits(z, expected_z, f"Z, {what}")
            assert_same_bits(dx, expected_dx, f"dX, {what}")
            sums.setdefault(digest([dalpha]), what)
    for isa, key in of_other_instruction_sets(f"order {order} {dtype}").items():
        sums.setdefault(key, isa)
    assert len(sums) == 1, sums


# Positions ---------------------------------------------------------------------------------------

SHORT_LENGTHS = range(1, 71)
LONG_LENGTHS = (255, 256, 257, 511, 512, 513, 1024)
ALPHA = 0.75


def position_inputs(dtype):
    """Rows x and grad of ordinary numbers, and pairs of them most of which are not.

    Those are outside of the short form's range: their block is computed in the other form.
    """
    rng = np.random.default_rng(2)
    ordinary = cast(rng.normal(0, 2, (2, max(LONG_LENGTHS))), dtype)
    deep, least = (-600.0, 5e-324) if dtype == np.float64 else (-70.0, 1.4e-45)
    huge, cut = (1e308, -38.2) if dtype == np.float64 else (3e38, -18.05)
    inf, nan = math.inf, math.nan
    step = abs(deep) * float(ml_dtypes.finfo(dtype).eps)
    pairs = [(x, 1.5) for x in (nan, -nan, inf, -inf, 0.0, -0.0, least, -least)]
    pairs += [(x, -0.7) for x in (deep, deep - step, deep + step, cut, 1.3 * deep, -1e30, -huge)]
    pairs += [(x, huge) for x in (huge, -1e-3, -0.5, -2.0, deep + 1, 2 * deep, 90.0)]
    pairs += [(x, least) for x in (-0.5, -least, -30.0, deep + 1, 2 * deep)]
    pairs += [(-1.0, g) for g in (0.0, -0.0, 1e-36, 6e4, inf, -inf, nan)]
    pairs += [(1.0, g) for g in (0.0, -0.0, huge, -inf, nan)]
    pairs += [(-3.0, 1.0), (-0.4815, 1.0), (-17.5, 1.0), (deep, inf), (-inf, inf), (nan, nan)]
    return ordinary, cast(pairs, dtype)


def positions(dtype):
    """Yield results of rows with a special pair at each position, all else ordinary.

    That is: which pairs, the row's length n, and Z, dX and dalpha of shape (pairs, n, n), where row
    p has the pair at position p. dalpha is that of whatever array the rows were part of.
    """
    ordinary, pairs = position_inputs(dtype)
    for n in SHORT_LENGTHS:
        alphas = np.full(n, ALPHA, alpha_type(dtype))
        x, grad = (np.tile(row[:n], (len(pairs), n, 1)) for row in ordinary)
        x[:, range(n), range(n)], grad[:, range(n), range(n)] = pairs.T[..., None]
        # Rows of an array.
        every = slice(None)
        yield every, n, el.elu(x, alphas), *el.elu_backward(grad, x, alphas)
        # Rows of one element of each channel.
        flat_x, flat_grad = x.reshape(-1, n), grad.reshape(-1, n)
        z, (dx, sums) = el.elu(flat_x, alphas), el.elu_backward(flat_grad, flat_x, alphas)
        yield every, n, z.reshape(x.shape), dx.reshape(x.shape), sums
        # Arrays of one row. A quarter of the 16-bit pairs: these calls take ten times as long.
        chosen = slice(n % 4, None, 4) if x.itemsize == 2 else every
        x, grad = x[chosen], grad[chosen]
        z, dx, sums = np.empty_like(x), np.empty_like(x), np.empty(x.shape[:2], alphas.dtype)
        for row in np.ndindex(x.shape[:2]):
            z[row] = el.elu(x[row], ALPHA)
            dx[row], sums[row] = el.elu_backward(grad[row], x[row], ALPHA)
        yield chosen, n, z, dx, sums
    for n in LONG_LENGTHS:
        alphas = np.full(n, ALPHA, alpha_type(dtype))
        x, grad = (np.tile(row[:n], (1, n, 1)) for row in ordinary)
        for i, pair in enumerate(pairs):
            x[0, range(n), range(n)], grad[0, range(n), range(n)] = pair
            yield slice(i, i + 1), n, el.elu(x, alphas), *el.elu_backward(grad, x, alphas)


def positions_hash(dtype):
    return digest(array for _, _, *results in positions(dtype) for array in results)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_value_at_every_position(dtype):
    """Z and dX of an element are those of an array of it alone, whatever its neighbours are."""
    ordinary, pairs = position_inputs(DTYPES[dtype])

    def alone(x, grad):
        arrays = [(x[i : i + 1], grad[i : i + 1]) for i in range(x.size)]
        return (
            np.concatenate([el.elu(x, ALPHA) for x, _ in arrays]),
            np.concatenate([el.elu_backward(g, x, ALPHA)[0] for x, g in arrays]),
        )

    expected_ordinary, expected_pairs = alone(*ordinary), alone(*pairs.T)
    for chosen, n, *results, _ in positions(DTYPES[dtype]):
        for name, result, row, special in zip(
            ("Z", "dX"), results, expected_ordinary, expected_pairs, strict=True
        ):
            expected = np.tile(row[:n], (len(result), n, 1))
            expected[:, range(n), range(n)] = special[chosen, None]
            what = f"{name} at (pair, position, element) of rows of {n}, pairs {chosen}"
            assert_same_bits(result, expected, what)
    others = of_other_instruction_sets(f"positions {dtype}")
    if others:
        assert set(others.values()) == {positions_hash(DTYPES[dtype])}, others


# Neighbours --------------------------------------------------------------------------------------

# The short form of backward takes 0 and magnitudes from 2^-20 to 2^20.
SHORT_ALPHAS = [1.0, 0.75, 0.0, 2.0**-20, 2.0**20]
NEGATIVE_ALPHAS = [-0.5, -(2.0**20), -(2.0**-20)]
OTHER_ALPHAS = [-0.0, 1e-30, -1e-30, 1e30, 1.5e-45, 3e38, math.inf, -math.inf, math.nan]
OTHER_ALPHAS += [math.nextafter(2.0**-20, 0), math.nextafter(2.0**20, math.inf)]
OTHER_ALPHAS += [2.0**-20 * (1 - 2.0**-24), 2.0**20 * (1 + 2.0**-23)]


@st.composite
def neighbourhoods(draw):
    """x, grad and alpha of ordinary values, and the same with one that is not."""
    dtype = DTYPES[draw(st.sampled_from(sorted(DTYPES)))]
    layout = draw(st.sampled_from(["long rows", "short rows", "channels last"]))
    channels = draw(st.integers(1, 7))
    if layout == "long rows":
        shape = (draw(st.integers(1, 2)), channels, draw(st.integers(257, 1100)))
    elif layout == "short rows":
        shape = (draw(st.integers(1, 12)), channels, draw(st.sampled_from([1, 7, 49, 100, 256])))
    else:
        shape = (draw(st.integers(1, 4)), channels, draw(st.integers(1, 200)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    deep = -600 if dtype == np.float64 else -70
    x = rng.normal(0, draw(st.sampled_from([0.01, 1, 10])), shape)
    borders = rng.random(shape) < 0.05
    x[borders] = rng.choice([0.0, -0.0, -1e-40, deep, 0.999 * deep, 80.0], borders.sum())
    grad = rng.normal(0, draw(st.sampled_from([1e-6, 1, 1e3])), shape)
    grad[rng.random(shape) < 0.02] = 0
    if layout == "channels last":
        x, grad = (in_memory_order(a, (0, 2, 1)) for a in (x, grad))
    x, grad = cast(x, dtype), cast(grad, dtype)
    # Rows of several channels take the short form together.
    kinds = draw(
        st.sampled_from([SHORT_ALPHAS, SHORT_ALPHAS + NEGATIVE_ALPHAS, SHORT_ALPHAS + OTHER_ALPHAS])
    )
    alpha = cast([draw(st.sampled_from(kinds)) for _ in range(channels)], alpha_type(dtype))

    # One element, or one channel's alpha.
    at = tuple(draw(st.integers(0, n - 1)) for n in shape)
    other_x, other_grad, other_alpha = x.copy(order="K"), grad.copy(order="K"), alpha.copy()
    others = np.ones(shape, bool)
    what = draw(st.sampled_from(["x", "grad", "x and grad", "alpha"]))
    if what == "alpha":
        others[:, at[1]] = False
        other_alpha[at[1]] = cast(
            draw(st.sampled_from(NEGATIVE_ALPHAS + OTHER_ALPHAS)), alpha.dtype
        )
    else:
        others[at] = False
        inf, nan = math.inf, math.nan
        if "x" in what:
            other_x[at] = cast(draw(st.sampled_from([1.01 * deep, -1e30, -inf, nan, inf])), dtype)
        if "grad" in what:
            other_grad[at] = cast(draw(st.sampled_from([3e38, -1e308, 1e25, inf, nan])), dtype)
    return (x, grad, alpha), (other_x, other_grad, other_alpha), others


@hypothesis.given(neighbourhoods())
@hypothesis.settings(max_examples=1000)
def test_an_extreme_value_leaves_its_neighbours_alone(case):
    """Its block is computed in the form for every input, the others' in the short form."""
    plain, extreme, others = case
    results = []
    for x, grad, alpha in (plain, extreme):
        z, memory = el.elu_with_memory(x, alpha)
        named = {
            "Z": el.elu(x, alpha),
            "dX": el.elu_backward(grad, x, alpha)[0],
            "Z with memory": z,
            "memory": memory,
            "dX from memory": el.elu_backward(grad, alpha=alpha, memory=memory)[0],
        }
        if np.all(alpha > 0):
            named["dX from output"] = el.elu_backward(grad, alpha=alpha, output=z)[0]
        results.append(named)
    for name in results[0].keys() & results[1].keys():
        assert_same_bits(results[1][name][others], results[0][name][others], name)
    assert_same_bits(results[0]["Z with memory"], results[0]["Z"], "Z with memory")


# The other functions -----------------------------------------------------------------------------


def other_functions_hash(dtype, threads):
    rng = np.random.default_rng(3)
    arrays = []
    for shape in ((4, 5, 10_007), (2000, 3, 7, 7), (3001, 70)):
        x, grad, v = cast(rng.normal(0, 2, (3, *shape)), dtype)
        w, alpha = cast(rng.uniform(0.1, 1, (2, shape[1])), alpha_type(dtype))
        z, memory = el.elu_with_memory(x, alpha, num_threads=threads)
        arrays += [z, memory]
        arrays += el.elu_backward(grad, alpha=alpha, memory=memory, num_threads=threads)
        arrays += el.elu_backward(grad, alpha=alpha, output=z, num_threads=threads)
        arrays += el.elu_double_backward(v, w, grad, x, alpha, num_threads=threads)
    return digest(arrays)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_hash_of_the_other_functions(dtype):
    hashes = {}
    for threads in (1, 2, 3, 5, 9, 64):
        hashes.setdefault(other_functions_hash(DTYPES[dtype], threads), f"{threads} threads")
    for isa, key in of_other_instruction_sets(f"other functions {dtype}").items():
        hashes.setdefault(key, isa)
    assert len(hashes) == 1, hashes


# The other instruction sets ----------------------------------------------------------------------


def all_hashes():
    result = {}
    for name, dtype in DTYPES.items():
        for layout in LAYOUTS:
            inputs = one_hash_inputs(layout, dtype)
            result[f"one_hash {layout} {name}"] = one_hash(*inputs, 2)
        for order in ORDERS:
            result[f"order {order} {name}"] = order_hash(*order_inputs(dtype), order)
        result[f"positions {name}"] = positions_hash(dtype)
        result[f"other functions {name}"] = other_functions_hash(dtype, 2)
    return result


@functools.cache
def hashes_of(isa):
    process = subprocess.run(
        [sys.executable, __file__],
        env={**os.environ, "ELULAYER_ISA": isa, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    name, hashes = json.loads(process.stdout)
    assert name == isa
    return hashes


def of_other_instruction_sets(name):
    """One of the hashes, from each set with fused operations other than the one in use.

    The x86-64 baseline has last places of its own.
    """
    active = el.cpu_info().active
    return {isa: hashes_of(isa)[name] for isa in FUSED if active in FUSED and isa != active}


if __name__ == "__main__":
    print(json.dumps([el.cpu_info().active, all_hashes()]))
