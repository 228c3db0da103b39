"""elulayer.torch.elu: values, dtypes, strides, and what it refuses."""

import sys

import numpy as np
import pytest

import elulayer as el

torch = pytest.importorskip("torch", reason="the optional package torch is not installed")

from elulayer.torch import elu, formulas  # noqa: E402

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
LAYOUTS = {
    "contiguous": lambda x: x,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
    "steps": lambda x: torch.stack([x, x], -1)[..., 0],
    "expanded": lambda x: x[:1].expand(x.shape),
    "negative view": lambda x: (
        torch.complex(x.float(), -x.float()).conj().imag.to(x.dtype)
        if x.dtype != torch.float32
        else torch.complex(x, -x).conj().imag
    ),
    "empty": lambda x: x[:0],
    "channels last of one row": lambda x: x[:, :, :1].to(memory_format=torch.channels_last),
}


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def images(dtype):
    return torch.randn(2, 3, 4, 5).mul(3).to(dtype)


def alphas(dtype):
    return torch.tensor([0.7, -0.3, 0.0], dtype=wide(dtype))


def wide(dtype):
    return torch.float64 if dtype == torch.float64 else torch.float32


def array(tensor):
    """In NumPy, of which the 16-bit types' values are float32's."""
    tensor = tensor.detach().resolve_neg()
    return tensor.float().numpy() if tensor.dtype == torch.bfloat16 else tensor.numpy()


def reference(x, alpha, grad):
    """What the functions on arrays give, as tensors of x's dtype."""
    import ml_dtypes

    def given(tensor):
        exact = array(tensor)
        return exact.astype(ml_dtypes.bfloat16) if tensor.dtype == torch.bfloat16 else exact

    z = el.elu(given(x), given(alpha))
    dx, dalpha = el.elu_backward(given(grad), given(x), given(alpha))
    back = np.float32 if x.dtype == torch.bfloat16 else z.dtype
    return [torch.from_numpy(a.astype(back)).to(x.dtype) for a in (z, dx)] + [
        torch.from_numpy(dalpha)
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_bits_are_those_of_the_functions_on_arrays(dtype, layout):
    x = LAYOUTS[layout](images(dtype))
    alpha = alphas(dtype).requires_grad_()
    grad = torch.randn(x.shape).to(dtype)
    x.requires_grad_()
    z = elu(x, alpha)
    z.backward(grad)
    for got, expected in zip((z, x.grad, alpha.grad), reference(x, alpha, grad), strict=True):
        assert got.dtype == expected.dtype
        assert torch.equal(got, expected)
    assert z.stride() == torch.empty_like(x).stride()
    with torch.no_grad():
        assert torch.equal(elu(x, alpha), z)
    assert torch.equal(torch.ops.elulayer.elu(x, alpha, 1), z)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_formula(dtype):
    """It has the operator's values to the last places."""
    x, alpha = images(dtype), alphas(dtype)
    z, expected = formulas.elu(x, alpha, 1).double(), elu(x, alpha).double()
    eps = torch.finfo(dtype).eps
    assert z.dtype == torch.float64 and torch.allclose(z, expected, rtol=4 * eps, atol=0)


@pytest.mark.parametrize("dim", [0, 2, 3, -1, -4])
def test_channels_on_any_dimension(dim):
    x = images(torch.float32)
    alpha = torch.rand(x.shape[dim])
    expected = torch.where(x > 0, x, formulas._beside(alpha, x, dim % 4) * torch.expm1(x))
    torch.testing.assert_close(elu(x, alpha, dim=dim), expected)


def test_alphas_of_any_strides():
    x, alpha = images(torch.float32), torch.rand(6)[::2]
    for given in (alpha, torch.tensor(0.3).expand(3), alpha.flip(0)):
        given = given.detach().requires_grad_()
        z = elu(x, given)
        z.sum().backward()
        assert torch.equal(z, elu(x, given.detach().clone()))
        torch.testing.assert_close(given.grad, torch.expm1(x.clamp(max=0)).sum((0, 2, 3)))


def test_one_alpha():
    x = images(torch.float32)
    expected = torch.nn.functional.elu(x, 0.3)
    for alpha in (0.3, torch.tensor(0.3)):
        torch.testing.assert_close(elu(x, alpha), expected)
    torch.testing.assert_close(elu(x), torch.nn.functional.elu(x))
    torch.testing.assert_close(elu(torch.tensor(-1.0), 2), 2 * torch.expm1(torch.tensor(-1.0)))
    assert torch.equal(elu(x.ravel(), 0.3), elu(x, 0.3).ravel())
    alpha = torch.tensor(0.3, requires_grad=True)
    elu(x, alpha).sum().backward()
    torch.testing.assert_close(alpha.grad, torch.expm1(x.clamp(max=0)).sum())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_alpha_of_16_bits_gets_its_gradient_in_them(dtype):
    x = images(dtype)
    alpha = alphas(dtype).to(dtype).requires_grad_()
    z = elu(x, alpha)
    assert torch.equal(z, elu(x, alpha.detach().float()))
    z.float().sum().backward()
    assert alpha.grad.dtype == dtype


def test_narrow_alpha_beside_wide_x():
    alpha = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float32)
    x = images(torch.float64)
    assert torch.equal(elu(x, alpha), elu(x, alpha.double()))


def test_autocast():
    """As after F.prelu: the result has the convolution's dtype, alpha's gradient alpha's."""
    from elulayer.torch import ELU

    model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), ELU(8))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = model(images(torch.float32))
        z.float().sum().backward()
    assert z.dtype == torch.bfloat16
    assert model[1].alpha.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([1.0], 1.0), {}, TypeError, "x must be a tensor, not list"),
        ((torch.ones(2, 3, dtype=torch.int32), 1.0), {}, TypeError, r"int32.*: x.float\(\)"),
        ((torch.ones(2, 3), torch.ones(3).double()), {}, TypeError, r"or x.to\(torch.float64\)"),
        ((torch.ones(2, 3), torch.ones(3).int()), {}, TypeError, "not torch.int32"),
        ((torch.ones(2, 3), torch.ones(4)), {}, ValueError, r"alpha must have shape \(3,\)"),
        ((torch.ones(3, 4, 5), torch.ones(3)), {}, ValueError, "; dim=0 if it is one image$"),
        ((torch.ones(3, 8, 8, 3), torch.ones(3)), {}, ValueError, "; dim=3 has as many channels$"),
        ((torch.ones(3, 4), torch.ones(3)), {}, ValueError, r", not \(3,\)$"),
        ((torch.ones(2, 3), torch.ones(3) * 1j), {}, TypeError, "not torch.complex64$"),
        ((torch.ones(2, 3).int().to_sparse(), 1.0), {}, TypeError, "torch.sparse_coo$"),
        ((torch.ones(2, 3), torch.ones(3, 1)), {}, ValueError, r"\(C,\) or \(\), not \(3, 1\)"),
        ((torch.ones(2, 3), torch.ones(3)), {"dim": 2}, IndexError, "from -2 to 1, not 2"),
        ((torch.ones(3), torch.ones(3)), {}, IndexError, "from -1 to 0, not 1"),
        ((torch.tensor(1.0), torch.ones(3)), {}, ValueError, "x must have dimensions"),
        ((torch.ones(2, 3), torch.ones(3).to("meta")), {}, ValueError, "x's device cpu"),
        ((torch.ones(2, 3), "a"), {}, TypeError, "alpha must be a tensor or a number, not 'a'"),
        ((torch.ones(2, 3), torch.ones(3)), {"dim": "a"}, TypeError, "dim must be an integer"),
        ((torch.ones(2, 3), 0.5), {"dim": 9}, IndexError, "from -2 to 1, not 9"),
        ((torch.ones(3), torch.tensor(0.5)), {"dim": 2}, IndexError, "from -1 to 0, not 2"),
        ((torch.ones(2, 3).to_sparse(), 1.0), {}, TypeError, "x must be dense"),
        ((torch.ones(2, 3), torch.ones(3).to_sparse()), {}, TypeError, "alpha must be dense"),
    ],
)
def test_what_does_not_fit(arguments, options, error, message):
    with pytest.raises(error, match=message):
        elu(*arguments, **options)


def test_the_functions_on_arrays_name_the_one_that_is_differentiable():
    x = torch.ones(2, 3)
    np.testing.assert_array_equal(el.elu(x, 0.5), np.ones((2, 3)))
    with pytest.raises(TypeError, match=r"x must not require a gradient.*elulayer\.torch\.elu"):
        el.elu(x.requires_grad_(), 0.5)
    with pytest.raises(TypeError, match=r"BFloat16; elulayer\.torch\.elu takes tensors"):
        el.elu(torch.ones(2, 3, dtype=torch.bfloat16), 0.5)


def test_devices_without_kernels_have_the_formula():
    """No device but the CPU and CUDA's; meta tensors have no values at all."""
    x = images(torch.float32).to("meta")
    z = elu(x, torch.ones(3, device="meta"))
    assert z.is_meta and z.shape == x.shape


def test_bfloat16_without_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    x = torch.ones(2, 3, dtype=torch.bfloat16)
    with pytest.raises(ImportError, match=r"pip install 'elulayer\[bfloat16\]'"):
        elu(x, 1.0)
