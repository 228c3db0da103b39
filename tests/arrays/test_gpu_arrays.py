"""Arrays on a GPU through the public functions: what they compute.

The libraries are PyTorch and CuPy where a CUDA device is there, and on every machine the emulated
ones of ``emulated_gpu.py``, whose arrays go through the real extension and the real kernels.
"""

import re
from pathlib import Path

import numpy as np
import pytest

import elulayer as el
from shared.gpu_libraries import Emulated, alphas, assert_close, numbers, refused, same_bits

ROOT = Path(__file__).parents[2]
DTYPES = ["float32", "float64", "float16", "bfloat16"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((3, 5, 7, 7), 1), ((4, 6), 1), ((2, 9, 4), -1), ((7,), 0), ((2, 3, 0), 1), ((0, 3), 1)],
)
def test_results(library, dtype, shape, axis):
    x, grad = numbers(shape, dtype), numbers(shape, dtype, 2)
    if not library.has(dtype):
        refused(
            TypeError, "x must have dtype float32, .*, not uint16", library.array(x.view(np.uint16))
        )
        return
    alpha = alphas(shape[axis], dtype)
    x_, grad_, alpha_ = map(library.array, (x, grad, alpha))
    z = el.elu(x_, alpha_, axis=axis)
    assert type(z) is library.type
    expected = el.elu(x, alpha, axis=axis)
    assert library.numpy(z).dtype == expected.dtype
    assert same_bits(library.numpy(z), expected)
    dx, dalpha = el.elu_backward(grad_, x_, alpha_, axis=axis)
    expected_dx, expected_dalpha = el.elu_backward(grad, x, alpha, axis=axis)
    assert type(dalpha) is library.type
    assert same_bits(library.numpy(dx), expected_dx)
    assert library.numpy(dalpha).shape == alpha.shape
    assert library.numpy(dalpha).dtype == alpha.dtype
    assert_close(library.numpy(dalpha), expected_dalpha, x, grad, axis)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((4, 1), "float32"), ((1,), "float32"), ((4,), "float16")]
)
def test_alphas_that_broadcast_and_widen(library, shape, dtype):
    """As in host memory; the gradient has their shape."""
    x = numbers((3, 4, 5), "float32")
    alpha = np.resize(alphas(4, "float32"), shape).astype(dtype)
    z = el.elu(library.array(x), library.array(alpha))
    assert same_bits(library.numpy(z), el.elu(x, alpha))
    dx, dalpha = el.elu_backward(library.array(x), library.array(x), library.array(alpha))
    expected = el.elu_backward(x, x, alpha)
    assert same_bits(library.numpy(dx), expected[0])
    assert library.numpy(dalpha).shape == shape and library.numpy(dalpha).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_memory_modes(library, dtype):
    x, grad = numbers((3, 4, 5), dtype), numbers((3, 4, 5), dtype, 2)
    alpha = np.abs(alphas(4, dtype))
    grad_, alpha_ = library.array(grad), library.array(alpha)
    z, memory = el.elu_with_memory(library.array(x), alpha_)
    z_cpu, memory_cpu = el.elu_with_memory(x, alpha)
    assert same_bits(library.numpy(z), z_cpu)
    assert same_bits(library.numpy(memory), memory_cpu)
    for name, there, here in (("memory", memory, memory_cpu), ("output", z, z_cpu)):
        dx, dalpha = el.elu_backward(grad_, alpha=alpha_, **{name: there})
        dx_cpu, dalpha_cpu = el.elu_backward(grad, alpha=alpha, **{name: here})
        assert same_bits(library.numpy(dx), dx_cpu)
        np.testing.assert_allclose(library.numpy(dalpha), dalpha_cpu, rtol=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 2, np.float32(0.25)])
def test_one_alpha(library, alpha):
    x, grad = numbers((3, 4, 5), "float32"), numbers((3, 4, 5), "float32", 2)
    z = el.elu(library.array(x), alpha)
    assert same_bits(library.numpy(z), el.elu(x, alpha))
    _, dalpha = el.elu_backward(library.array(grad), library.array(x), alpha)
    assert library.numpy(dalpha).shape == ()
    assert_close(library.numpy(dalpha), el.elu_backward(grad, x, alpha)[1], x, grad)
    scalar = library.array(np.array(alpha, np.float32))
    assert same_bits(library.numpy(el.elu(library.array(x), scalar)), el.elu(x, alpha))


def test_a_vector_of_one_alpha_keeps_its_shape(library):
    x = numbers((6, 1, 3), "float32")
    alpha = library.array(np.array([0.5], np.float32))
    _, dalpha = el.elu_backward(library.array(x), library.array(x), alpha)
    assert library.numpy(dalpha).shape == (1,)


def test_memory_orders(library):
    """Dense orders are read as they are, and others copied; results have the order of x."""
    x = numbers((4, 5, 6), "float32")
    alpha = alphas(5, "float32")
    expected = el.elu(x, alpha)
    for order in ((0, 2, 1), (2, 1, 0)):
        turned = np.ascontiguousarray(x.transpose(order)).transpose(np.argsort(order))
        assert turned.strides != x.strides
        there = library.array(turned)
        z = el.elu(there, library.array(alpha))
        assert same_bits(library.numpy(z), expected)
        assert library.strides(there) == library.strides(z) == turned.strides
        grad = numbers((4, 5, 6), "float32", 3)  # in C order, unlike x
        dx, _ = el.elu_backward(library.array(grad), there, library.array(alpha))
        assert same_bits(library.numpy(dx), el.elu_backward(grad, x, alpha)[0])


def test_strides_are_copied(gpu):
    library = Emulated(gpu, "torch")
    wide = numbers((4, 5, 12), "float32")
    there = library.array(wide)
    there.host = there.host[:, :, ::2]
    alpha = alphas(10, "float32")
    alpha_ = library.array(alpha)
    alpha_.host = alpha_.host[::2]
    z = el.elu(there, alpha_)
    assert same_bits(library.numpy(z), el.elu(wide[:, :, ::2], alpha[::2]))


def test_out(library):
    x, grad = numbers((3, 4, 5), "float32"), numbers((3, 4, 5), "float32", 2)
    alpha = alphas(4, "float32")
    alpha_ = library.array(alpha)
    out = library.array(np.empty_like(x))
    assert el.elu(library.array(x), alpha_, out=out) is out
    assert same_bits(library.numpy(out), el.elu(x, alpha))
    inplace = library.array(x)
    assert el.elu(inplace, alpha_, out=inplace) is inplace
    assert same_bits(library.numpy(inplace), el.elu(x, alpha))
    grad_ = library.array(grad)
    dx, _ = el.elu_backward(grad_, library.array(x), alpha_, out=grad_)
    assert dx is grad_
    assert same_bits(library.numpy(dx), el.elu_backward(grad, x, alpha)[0])


def test_two_runs_have_the_same_bits(library):
    x, grad = numbers((64, 8, 49), "float32"), numbers((64, 8, 49), "float32", 2)
    arrays = [library.array(a) for a in (grad, x, alphas(8, "float32"))]
    first, again = el.elu_backward(*arrays), el.elu_backward(*arrays)
    for a, b in zip(first, again, strict=True):
        assert same_bits(library.numpy(a), library.numpy(b))


def test_autograd_is_told_what_is_written(gpu):
    library = Emulated(gpu, "torch")
    x, z = library.array(numbers((3, 4), "float32")), library.array(numbers((3, 4), "float32"))
    el.elu(x, out=z)
    assert (x._version, z._version) == (0, 1)
    el.elu_backward(x, x, out=x)
    assert x._version == 1
    x.inference = True
    el.elu(x, out=x)
    assert x._version == 1


def test_the_page_s_example(gpu):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/gpu.md").read_text(), re.DOTALL)
    names = {}
    exec(compile(block, "gpu.md", "exec"), names)
    x = names["x"].host
    expected = el.elu(x, np.full(20, 0.5, np.float32))
    assert same_bits(names["z"].host, expected)
    assert names["dx"].shape == x.shape
    assert names["dalpha"].shape == (20,)
