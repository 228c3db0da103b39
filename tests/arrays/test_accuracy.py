"""Accuracy of float64, and of float32 with any g and alpha; the worst inputs are printed.

The reference is long double, which is itself tested against mpmath. The sweep over all float32
inputs is native: tests/cpp/accuracy.cpp, `make accuracy`.
"""

import mpmath
import numpy as np
import pytest

import elulayer as el

needs_long_double = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than double here"
)

COUNT = 500_000
FUSED = el.cpu_info().fused


def points(rng, dtype, low, count):
    """Log-uniform and hard x from `low` to 0."""
    n = count // 5
    smallest = np.finfo(dtype).smallest_subnormal
    x = np.concatenate(
        [
            -(10.0 ** rng.uniform(np.log10(float(np.finfo(dtype).tiny)), np.log10(-low), n)),
            rng.uniform(low, 0, n),
            rng.uniform(-2, 0, n),  # the polynomial at its largest
            # Beside the places where n, and with it the power of two, changes.
            -np.log(2) * (rng.integers(0, 60, n) + 0.6796875 + rng.normal(0, 1e-3, n)),
            -smallest * rng.integers(1, 2**20, n),
        ]
    )
    return np.minimum(x.astype(dtype), dtype(0))


def inputs(dtype, seed):
    """`points`, and g and alpha over thirty decades."""
    rng = np.random.default_rng(seed)
    low = -0.98 * float(np.log(float(np.finfo(dtype).max)))
    x = points(rng, dtype, low, COUNT)
    g, alpha = (
        rng.choice([-1, 1], (2, x.size)) * 10.0 ** rng.uniform(-15, 15, (2, x.size))
    ).astype(dtype)
    return x, g, alpha


def dx_bound(dtype, subnormal):
    """In ULP; where dX is subnormal, in its steps: one from the correctly rounded result."""
    if subnormal:
        return 2.5 if dtype == np.float64 and not FUSED else 1.5  # two steps
    return 1.5 if dtype == np.float64 else 2.0


def worst(name, result, exact, dtype, *arguments):
    """Largest error in ULP of the exact value rounded; in subnormal steps where it is subnormal."""
    rounded = exact.astype(dtype)
    error = np.abs(result.astype(np.longdouble) - exact) / np.spacing(np.abs(rounded))
    i = int(np.argmax(error))
    at = ", ".join(repr(a[i]) for a in arguments)
    print(f"{np.dtype(dtype)} {name}: {float(error[i]):.4f} ULP at {at} ({len(error)} inputs)")
    return float(error[i])


@needs_long_double
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_z(dtype):
    """Alpha = 1 and any alpha; float32 with another alpha rounds a second time."""
    x, _, alpha = inputs(dtype, 1)
    exact = np.expm1(x.astype(np.longdouble))
    bound = 1.5 if dtype == np.float64 else 0.75 if FUSED else 0.9
    z = el.elu(x)
    assert worst("Z, alpha = 1", z, exact, dtype, x) <= bound
    z = el.elu(x[None], alpha)[0]
    bound = 1.5 if dtype == np.float64 else 2.3
    assert worst("Z", z, exact * alpha, dtype, x, alpha) <= bound


@needs_long_double
def test_z_where_its_error_is_largest():
    """In float64: where n is 0, x deep, and the products with alpha lie below a power of two."""
    rng = np.random.default_rng(3)
    for alpha in [1.2796345862971932, 1.311978705448401, *rng.uniform(1, 2, 20)]:
        x = -rng.uniform(0.2, 0.75, 200_000)
        exact = np.expm1(x.astype(np.longdouble)) * np.longdouble(alpha)
        error = worst("Z", el.elu(x, alpha), exact, np.float64, x)
        assert error <= (1.02 if FUSED else 1.5)


@needs_long_double
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dx(dtype):
    x, g, alpha = inputs(dtype, 2)
    exact = np.exp(x.astype(np.longdouble)) * g * alpha
    dx, _ = el.elu_backward(g[None], x[None], alpha)
    normal = np.abs(exact) >= np.finfo(dtype).tiny
    for name, chosen in (("dX", normal), ("dX, subnormal", ~normal)):
        arguments = [a[chosen] for a in (x, g, alpha)]
        bound = dx_bound(dtype, chosen is not normal)
        assert worst(name, dx[0][chosen], exact[chosen], dtype, *arguments) <= bound


@needs_long_double
def test_ten_million_points_in_float64():
    """At alpha = 1 and g = 1: Z = expm1(x) and dX = exp(x), down to where dX is 0."""
    rng = np.random.default_rng(3)
    worst = {"Z": (0, None), "dX": (0, None), "dX, subnormal": (0, None)}
    count = dict.fromkeys(worst, 0)
    for _ in range(20):
        x = points(rng, np.float64, -746, COUNT)
        z, dx = el.elu(x), el.elu_backward(np.ones_like(x), x)[0]
        exact_z, exact_dx = np.expm1(x.astype(np.longdouble)), np.exp(x.astype(np.longdouble))
        normal = exact_dx >= np.finfo(np.float64).tiny
        for name, result, exact, chosen in (
            ("Z", z, exact_z, slice(None)),
            ("dX", dx, exact_dx, normal),
            ("dX, subnormal", dx, exact_dx, ~normal),
        ):
            ulp = np.spacing(np.abs(exact[chosen].astype(np.float64)))
            error = np.abs(result[chosen] - exact[chosen]) / ulp
            i = int(np.argmax(error))
            worst[name] = max(worst[name], (float(error[i]), float(x[chosen][i])))
            count[name] += error.size
    for name, (error, at) in worst.items():
        print(f"float64 {name}: {error:.4f} ULP at x = {at!r} ({count[name]} inputs)")
    assert count["Z"] == 10_000_000
    assert worst["Z"][0] <= 1.5
    assert worst["dX"][0] <= dx_bound(np.float64, False)
    assert worst["dX, subnormal"][0] <= dx_bound(np.float64, True)


def to_mpmath(value):
    """A long double exactly, as a sum of two doubles and a power of two."""
    mantissa, exponent = np.frexp(value)
    high = float(mantissa)
    return mpmath.ldexp(mpmath.mpf(high) + mpmath.mpf(float(mantissa - high)), int(exponent))


@needs_long_double
@pytest.mark.parametrize("name", ["expm1", "exp"])
def test_long_double_is_a_reference(name):
    """Within 2^-60 of mpmath's 256 bits: 1/256 ULP of float64."""
    x = points(np.random.default_rng(4), np.float64, -746, 5000)
    results = getattr(np, name)(x.astype(np.longdouble))
    errors = []
    with mpmath.workprec(256):
        for value, result in zip(x.tolist(), results, strict=True):
            exact = getattr(mpmath, name)(mpmath.mpf(value))
            difference = to_mpmath(result) - exact
            errors.append(float(abs(difference / exact) if exact != 0 else abs(difference)))
    i = int(np.argmax(errors))
    print(f"long double {name}: 2^{np.log2(errors[i]):.2f} at x = {float(x[i])!r}")
    assert errors[i] <= 2.0**-60


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_against_mpmath(dtype):
    """With g and alpha of every scale that the dtype has; results that overflow are infinite."""
    info = np.finfo(dtype)
    lowest, highest = int(np.log2(info.smallest_subnormal)), info.maxexp - 1
    rng = np.random.default_rng(5)
    x = points(rng, dtype, -746 if dtype == np.float64 else -104, 6000)
    exponents = rng.integers(lowest, highest, (2, x.size), endpoint=True)
    # Every third product is of ordinary size.
    exponents[0, ::3] = np.clip(-exponents[1, ::3], lowest, highest)
    factors = rng.choice([-1, 1], (2, x.size)) * rng.uniform(1, 2, (2, x.size))
    alpha, g = np.ldexp(factors, exponents).astype(dtype)
    z = el.elu(x[None], alpha)[0]
    dx = el.elu_backward(g[None], x[None], alpha)[0][0]

    # 2.3: float32 rounds expm1(x), then the product.
    bounds = {"Z": 1.5 if dtype == np.float64 else 2.3}
    bounds["dX"], bounds["dX, subnormal"] = (dx_bound(dtype, sub) for sub in (False, True))
    worst = {name: (0.0, None) for name in bounds}
    overflows = 0
    with mpmath.workprec(256):
        largest = mpmath.mpf(float(info.max))
        for xi, ai, gi, zi, dxi in zip(*(v.tolist() for v in (x, alpha, g, z, dx)), strict=True):
            xm, am, gm = mpmath.mpf(xi), mpmath.mpf(ai), mpmath.mpf(gi)
            at = f"x = {xi!r}, alpha = {ai!r}, g = {gi!r}"
            for kind, result, exact in (
                ("Z", zi, am * mpmath.expm1(xm)),
                ("dX", dxi, gm * am * mpmath.exp(xm)),
            ):
                if abs(exact) > largest:
                    overflows += 1
                    # Within 2 ULP of the largest number either is right.
                    assert abs(result) >= info.max * (1 - 2 * info.eps), f"{kind}: {result}, {at}"
                    continue
                power = max(mpmath.frexp(exact)[1], info.minexp + 1) if exact != 0 else info.minexp
                ulp = mpmath.ldexp(1, power - 1 - info.nmant)
                subnormal = kind == "dX" and abs(exact) < info.tiny
                name = "dX, subnormal" if subnormal else kind
                worst[name] = max(worst[name], (float(abs(result - exact) / ulp), at))
    for name, (error, at) in worst.items():
        print(f"{np.dtype(dtype)} {name}: {error:.4f} ULP at {at}")
    print(f"{overflows} results overflow")
    assert overflows > 100
    assert all(worst[name][0] <= bound for name, bound in bounds.items())
