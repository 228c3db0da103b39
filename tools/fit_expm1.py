#!/usr/bin/env python3
"""Derive the polynomial coefficients in cpp/math/exponential.hpp, or check those written there.

    python tools/fit_expm1.py            print the coefficients as C++ literals (about two minutes)
    python tools/fit_expm1.py --check    compare them with the header; exit status 1 on a difference

Needs NumPy and mpmath.

With x = n ln 2 + t the header computes

    p = t + t (t/2 + t^2 R(t)),    expm1(x) = 2^n p + (2^n - 1),

where n = 0 for x down to -0.70 ln 2. Two steps give the coefficients of R:

1. The Remez exchange finds the polynomial of least maximum error. The error in R at t is weighted
   by t^3 2^n / ulp(expm1(x)), the largest over the n that occur: its unit is ULP of the result.
   For float64 the coefficients, rounded, are final: rounding them costs about 0.01 ULP.
2. For float32 the roundings of the evaluation outweigh the fit's error by far, and depend on the
   coefficients' last bits. A random local search over those bits minimises the largest error of the
   result, in the header's own order of operations, with fused operations and without, over a dense
   sample of x. It starts from a fixed seed.
"""

import argparse
import pathlib
import random
import re
import sys

import mpmath as mp
import numpy as np

HEADER = pathlib.Path(__file__).resolve().parent.parent / "cpp" / "math" / "exponential.hpp"

mp.mp.prec = 160
LN2 = mp.log(2)
# n = floor(x / ln 2 + 44/64), where the addition rounds to the nearest 1/64.
SPLIT = mp.mpf(44) / 64 + mp.mpf(1) / 128
T_MIN, T_MAX = -SPLIT * LN2, (1 - SPLIT) * LN2

DEGREE = {"float": 4, "double": 9}
MANTISSA_BITS = {"float": 23, "double": 52}
FIT_CLAIM = {"float": 0.02, "double": 0.01}  # ULP of the result, evaluated exactly
RESULT_CLAIM = {"fused": 0.675, "separate": 0.82}  # ULP of the float32 result over the sample


# Step 1: the minimax polynomial.


def remainder(t):
    """(expm1(t) - t - t^2/2) / t^3."""
    if abs(t) > mp.mpf("1e-3"):
        return (mp.expm1(t) - t - t * t / 2) / t**3
    return mp.fsum(t**k / mp.factorial(k + 3) for k in range(15))


def ulp(value, mantissa_bits):
    return mp.ldexp(1, int(mp.floor(mp.log(abs(value), 2))) - mantissa_bits)


def weight(t, mantissa_bits):
    """ULP of expm1(x) per unit of error in R, the largest over n."""
    weights = []
    for n in range(-3, 1):
        result = mp.ldexp(mp.exp(t), n) - 1
        if result < 0:
            weights.append(mp.ldexp(abs(t) ** 3, n) / ulp(result, mantissa_bits))
    return max(weights)


def chebyshev_grid(points):
    middle, half = (T_MAX + T_MIN) / 2, (T_MAX - T_MIN) / 2
    return [middle - half * mp.cos(mp.pi * (i + mp.mpf(1) / 2) / points) for i in range(points)]


def weighted_errors(coefficients, grid, values, weights):
    reverse = list(reversed(coefficients))
    return [w * (v - mp.polyval(reverse, t)) for t, v, w in zip(grid, values, weights, strict=True)]


def alternating_extrema(errors):
    """Find the place of the largest error in each run of one sign."""
    places = []
    for i, error in enumerate(errors):
        if places and (errors[places[-1]] > 0) == (error > 0):
            if abs(error) > abs(errors[places[-1]]):
                places[-1] = i
        else:
            places.append(i)
    return places


def remez(degree, mantissa_bits, points=1500):
    grid = chebyshev_grid(points)
    values = [remainder(t) for t in grid]
    weights = [weight(t, mantissa_bits) for t in grid]
    size = degree + 2
    reference = [int((i + 0.5) * points / size) for i in range(size)]
    for _ in range(60):
        matrix, right = mp.matrix(size, size), mp.matrix(size, 1)
        for row, i in enumerate(reference):
            for k in range(degree + 1):
                matrix[row, k] = grid[i] ** k
            matrix[row, degree + 1] = (-1) ** row / weights[i]
            right[row] = values[i]
        solution = mp.lu_solve(matrix, right)
        coefficients = [solution[k] for k in range(degree + 1)]
        errors = weighted_errors(coefficients, grid, values, weights)
        if max(abs(e) for e in errors) < abs(solution[degree + 1]) * mp.mpf("1.0001"):
            return coefficients
        places = alternating_extrema(errors)
        while len(places) > size:  # drop the smaller end
            places.pop(0 if abs(errors[places[0]]) < abs(errors[places[-1]]) else -1)
        if len(places) < size:
            raise ArithmeticError("the error does not alternate often enough")
        reference = places
    raise ArithmeticError("the exchange does not converge")


def fit_error(coefficients, mantissa_bits, points=1000):
    grid = chebyshev_grid(points)
    errors = weighted_errors(
        [mp.mpf(float(c)) for c in coefficients],
        grid,
        [remainder(t) for t in grid],
        [weight(t, mantissa_bits) for t in grid],
    )
    return float(max(abs(e) for e in errors))


# Step 2: the last bits in float32. Arrays hold float32 values as float64: a product of two is then
# exact, and rounding the float64 sum to float32 is a fused multiply-add, but for a rare double
# rounding.


def f32(value):
    return np.asarray(value, np.float64).astype(np.float32).astype(np.float64)


def fused(a, b, c):
    return f32(a * b + c)


def separate(a, b, c):
    return f32(f32(a * b) + c)


class Sample:
    """x, its reduction, and expm1(x), for one kind of multiply-add."""

    def __init__(self, x, multiply_add):
        log2_e, ln2, ln2_hi, ln2_lo = (
            float.fromhex(h)
            for h in ("0x1.715476p+0", "0x1.62e430p-1", "0x1.62e4p-1", "0x1.7f7d1cp-20")
        )
        anchor = 1.5 * 2.0**17
        self.multiply_add = multiply_add
        n = np.floor(multiply_add(x, log2_e, anchor + 44 / 64)) - anchor
        two_parts = multiply_add(n, -ln2_lo, multiply_add(n, -ln2_hi, x))
        self.t = fused(n, -ln2, x) if multiply_add is fused else two_parts
        self.t_squared = f32(self.t * self.t)
        self.power = np.exp2(n)
        self.exact = np.expm1(x)
        self.ulp = np.exp2(np.frexp(self.exact)[1] - 24.0)

    def errors(self, c):
        """Compute the error of expm1(x) in ULP, in the header's order of operations."""
        fma, t, t_squared = self.multiply_add, self.t, self.t_squared
        r = fma(c[4], t_squared, fma(c[3], t, c[2]))
        r = fma(r, t_squared, fma(c[1], t, c[0]))
        w = fma(r, t_squared, 0.5 * t)
        p = fma(w, t, t)
        result = fma(self.power, p, self.power - 1)
        return np.abs(result - self.exact) / self.ulp

    def take(self, places):
        """Take part of the sample."""
        part = object.__new__(Sample)
        part.multiply_add = self.multiply_add
        for name in ("t", "t_squared", "power", "exact", "ulp"):
            setattr(part, name, getattr(self, name)[places])
        return part


def samples(points):
    """Where the error is largest: n = 0 near its end, and n = -1, -2."""
    x = np.concatenate(
        [
            np.linspace(-0.483, -0.42, 6 * points),
            np.linspace(-0.42, -0.25, 2 * points),
            np.linspace(-0.25, -0.12, points),
            np.linspace(-1.3, -0.483, 3 * points),
        ]
    )
    x = f32(x)
    return Sample(x, fused), Sample(x, separate)


def largest_errors(coefficients, pair):
    return tuple(float(np.max(sample.errors(coefficients))) for sample in pair)


def search(coefficients, steps=3000):
    """Change last bits while the larger of both errors, each over its bound, decreases."""
    generator = random.Random(1)
    coarse, dense = samples(3000), samples(100000)

    def cost(c, pair):
        a, b = largest_errors(c, pair)
        return max(a / 0.70, b / 0.85)

    best = [float(np.float32(float(c))) for c in coefficients]
    best_cost = cost(best, dense)
    for _ in range(steps):
        trial = list(best)
        for k in generator.sample(range(len(trial)), generator.choice((1, 2, 2, 3))):
            unit = float(np.spacing(np.float32(abs(trial[k]))))
            # At most a quarter of an ULP of a result near 0.4, at t = -0.47.
            limit = max(1, int(2.0**-27 / (unit * 0.48 ** (k + 3))))
            size = generator.randint(1, 1 << generator.randrange(limit.bit_length()))
            trial[k] = float(np.float32(trial[k] + generator.choice((-size, size)) * unit))
        if cost(trial, coarse) < best_cost:
            trial_cost = cost(trial, dense)
            if trial_cost < best_cost:
                best, best_cost = trial, trial_cost
    return best


# The header.


def literal(value, kind):
    mantissa, exponent = float(value).hex().split("p")
    return f"{mantissa[:10]}p{exponent}f" if kind == "float" else f"{mantissa}p{exponent}"


def header_coefficients(kind):
    text = HEADER.read_text(encoding="utf-8")
    body = re.search(rf"struct Remainder<{kind}> {{(.*?)}};", text, re.S)
    if body is None:
        raise SystemExit(f"{HEADER}: no struct Remainder<{kind}>")
    literals = re.findall(r"-?0x1\.[0-9a-f]+p[-+]\d+f?", body[1])
    return [float.fromhex(text.rstrip("f")) for text in literals]


def derive(kind):
    coefficients = remez(DEGREE[kind], MANTISSA_BITS[kind])
    return search(coefficients) if kind == "float" else [float(c) for c in coefficients]


def report(kind, coefficients):
    """Print errors; true if they are within what is claimed."""
    error = fit_error(coefficients, MANTISSA_BITS[kind])
    good = error <= FIT_CLAIM[kind]
    print(f"{kind}: degree {DEGREE[kind]}, error of the fit {error:.5f} ULP")
    if kind == "float":
        errors = dict(zip(RESULT_CLAIM, largest_errors(coefficients, samples(100000)), strict=True))
        for name, value in errors.items():
            print(f"  expm1 over a dense sample, {name} multiply-add: {value:.4f} ULP")
            good = good and value <= RESULT_CLAIM[name]
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="check the header's coefficients")
    check = parser.parse_args().check
    status = 0
    for kind in ("float", "double"):
        if not check:
            coefficients = derive(kind)
            report(kind, coefficients)
            print("  " + ",\n  ".join(literal(c, kind) for c in coefficients))
            continue
        coefficients = header_coefficients(kind)
        good = len(coefficients) == DEGREE[kind] + 1 and report(kind, coefficients)
        if kind == "double":
            good = good and coefficients == derive(kind)
        if not good:
            print(f"{HEADER}: the {kind} coefficients are not what this script derives")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
