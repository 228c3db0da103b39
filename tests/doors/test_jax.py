"""elulayer.jax.elu: by XLA's foreign function interface where it was built, and composed."""

import numpy as np
import pytest

import elulayer as el

jax = pytest.importorskip("jax", reason="the optional package jax is not installed")

import jax.numpy as jnp  # noqa: E402
from jax.test_util import check_grads  # noqa: E402

from elulayer.jax import backend, elu, formulas, function  # noqa: E402

DTYPES = ["float32", "float64", "float16", "bfloat16"]
ONES = np.ones((2, 3))
EPS = {"float32": 2**-23, "float64": 2**-52, "float16": 2**-10, "bfloat16": 2**-7}


@pytest.fixture(params=["composed", "xla-ffi"], autouse=True)
def computed_by(request, monkeypatch):
    if request.param == "xla-ffi" and backend != request.param:
        pytest.skip("this build has no extension for XLA: ELULAYER_XLA_INCLUDE")
    if request.param == "composed":
        monkeypatch.setattr(function, "_compute", formulas.elu)
        monkeypatch.setattr(function, "_compute_backward", formulas.elu_backward)
    jax.clear_caches()
    with jax.enable_x64(True):
        yield request.param
    jax.clear_caches()


def images(dtype="float64", shape=(4, 3, 5, 2)):
    return jnp.asarray(np.random.default_rng(0).normal(0, 2, shape), dtype)


def alphas(dtype="float64"):
    return jnp.asarray([0.7, -0.3, 0.0], "float64" if dtype == "float64" else "float32")


def close(got, expected, dtype, ulps=2):
    """Within so many units in the last place, relative to each value."""
    got, expected = (np.asarray(a).astype(np.float64) for a in (got, expected))
    np.testing.assert_allclose(got, expected, rtol=ulps * EPS[dtype], atol=0)


def reference(x, alpha, axis=1):
    """The functions on arrays, whose bits the kernels give."""
    return el.elu(np.asarray(x), np.asarray(alpha), axis=axis)


@pytest.mark.parametrize("jitted", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_values(dtype, jitted, computed_by):
    x, alpha = images(dtype), alphas(dtype)
    z = (jax.jit(elu) if jitted else elu)(x, alpha)
    assert z.dtype == x.dtype and z.shape == x.shape
    close(z, reference(x, alpha), dtype)
    if computed_by == "xla-ffi":
        np.testing.assert_array_equal(z, reference(x, alpha))


@pytest.mark.parametrize("dtype", DTYPES)
def test_gradients(dtype, computed_by):
    x, alpha, g = images(dtype), alphas(dtype), images(dtype)[::-1]
    dx, dalpha = jax.vjp(elu, x, alpha)[1](g)
    assert dx.dtype == x.dtype and dalpha.dtype == alpha.dtype
    expected = el.elu_backward(np.asarray(g), np.asarray(x), np.asarray(alpha))
    close(dx, expected[0], dtype, 4)
    np.testing.assert_allclose(dalpha, expected[1], rtol=1e-5)
    if computed_by == "xla-ffi":
        np.testing.assert_array_equal(dx, expected[0])


@pytest.mark.parametrize("axis", [0, 1, 2, 3, -1, -4])
def test_channels_on_any_axis(axis):
    x = images()
    alpha = jnp.linspace(0.1, 1, x.shape[axis])
    close(elu(x, alpha, axis=axis), reference(x, alpha, axis), "float64")


@pytest.mark.parametrize("alpha", [0.5, 2, np.float32(0.5), np.float64(0.5)])
def test_one_alpha(alpha):
    x = images()
    close(elu(x, alpha), jnp.where(x > 0, x, alpha * jnp.expm1(x)), "float64", 4)
    derivative = jax.grad(lambda a: elu(x, a).sum())(jnp.float64(alpha))
    np.testing.assert_allclose(derivative, jnp.where(x > 0, 0, jnp.expm1(x)).sum(), rtol=1e-12)


def test_narrow_alpha():
    x = images()
    close(elu(x, alphas("float32")), elu(x, alphas("float32").astype("float64")), "float64")
    x, alpha = images("bfloat16"), alphas("float32").astype("bfloat16")
    np.testing.assert_array_equal(elu(x, alpha), elu(x, alpha.astype("float32")))
    assert jax.grad(lambda a: elu(x, a).sum())(alpha).dtype == jnp.bfloat16


def test_a_vector_with_one_alpha():
    x = images().ravel()
    np.testing.assert_array_equal(elu(x, 0.5), elu(x, 0.5, axis=0))


def test_zero_size():
    assert elu(images()[:0], alphas()).shape == (0, 3, 5, 2)


def test_the_derivative_at_zero_is_alpha():
    for value in (0.0, -0.0):
        x = jnp.full((1, 1), value)
        assert jax.grad(lambda x: elu(x, 0.7).sum())(x)[0, 0] == 0.7
        second = jax.grad(lambda x: jax.grad(lambda x: elu(x, 0.7).sum())(x).sum())(x)
        assert second[0, 0] == 0.7


def test_second_derivatives_are_exact_where_expm1_is_minus_one():
    """JAX's own derivative of expm1 is 0 there."""
    x = jnp.array([[-5.0, -12.0, -40.0]])
    slope = jax.grad(lambda x: jax.grad(lambda a: elu(x, a).sum())(1.0))(x)
    np.testing.assert_allclose(slope, jnp.exp(x), rtol=1e-14)


def test_derivatives_of_two_orders():
    x, alpha = images(shape=(2, 3, 4)), alphas()
    check_grads(elu, (x, alpha), order=2, modes=["rev"])


def orders(f, x, alpha):
    """Gradients of three orders, each of squares of the one before."""
    found = []
    for _ in range(3):
        gradient = jax.grad(f, argnums=(0, 1))
        found += gradient(x, alpha)
        f = lambda x, alpha, gradient=gradient: sum((g**2).sum() for g in gradient(x, alpha))  # noqa: E731
    return found


def test_derivatives_of_three_orders_are_those_of_the_formula():
    def formula(x, alpha):
        rows = x.reshape(4, 3, 10)
        return (formulas.elu(rows, alpha) ** 3).sum()

    x, alpha = images(), alphas()
    got = orders(lambda x, alpha: (elu(x, alpha) ** 3).sum(), x, alpha)
    for one, expected in zip(got, orders(formula, x, alpha), strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-8)


def test_forward_mode_is_an_error_and_not_wrong():
    x = images()
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda x: elu(x, 1.0), (x,), (x,))


def test_vmap():
    x, alpha = images(), alphas()
    one = jax.vmap(lambda x: elu(x, alpha, axis=0))(x)
    close(one, elu(x, alpha), "float64")
    many = jnp.stack([alpha, alpha + 1])
    np.testing.assert_array_equal(
        jax.vmap(lambda a: elu(x, a))(many), jnp.stack([elu(x, a) for a in many])
    )
    np.testing.assert_array_equal(
        jax.vmap(jax.vmap(lambda x: elu(x, alpha, axis=0)))(jnp.stack([x, x + 1])),
        jnp.stack([elu(x, alpha), elu(x + 1, alpha)]),
    )
    each = jax.vmap(jax.grad(lambda x, a: elu(x, a, axis=0).sum(), 1), in_axes=(0, None))(x, alpha)
    assert each.shape == (4, 3)
    whole = jax.grad(lambda a: elu(x, a).sum())(alpha)
    np.testing.assert_allclose(each.sum(axis=0), whole, rtol=1e-12)


def test_remat_and_scan():
    x, alpha = images(), alphas()

    def twice(x, alpha):
        return elu(elu(x, alpha), alpha).sum()

    def scanned(x, alpha):
        return jax.lax.scan(lambda c, _: (elu(c, alpha), None), x, length=2)[0].sum()

    expected = jax.grad(twice, argnums=(0, 1))(x, alpha)
    for f in (jax.checkpoint(twice), scanned, jax.jit(scanned)):
        for got, wanted in zip(jax.grad(f, argnums=(0, 1))(x, alpha), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((ONES, np.ones(4)), ValueError, r"alpha must have shape \(3,\), .* not \(4,\)"),
        ((np.ones((2, 3, 4)), np.ones(4)), ValueError, "; axis=2 has as many channels"),
        ((ONES, np.ones((3, 1))), ValueError, r"or \(\), not \(3, 1\)"),
        ((ONES, 1.0, 2), ValueError, "axis must be from -2 to 1, not 2"),
        ((np.ones(3), np.ones(3)), ValueError, "axis must be from -1 to 0, not 1"),
        ((np.ones(3), 1.0, 2), ValueError, "axis must be from -1 to 0, not 2"),
        ((np.ones((2, 3), int),), TypeError, "x must have dtype float32"),
        ((np.float32(ONES), np.ones(3)), TypeError, "float32, or a narrower one, not float64"),
        ((ONES, np.ones(3, int)), TypeError, "alpha must have dtype float64"),
    ],
)
def test_what_does_not_fit_is_told_in_python(arguments, error, message):
    """Not when the compiled program runs."""
    for call in (elu, jax.jit(elu, static_argnums=2)):
        with pytest.raises(error, match=message):
            call(*arguments)
