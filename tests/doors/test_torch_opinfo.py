"""PyTorch's own samples for its ELU and PReLU, through elulayer.torch."""

import pytest

torch = pytest.importorskip("torch", reason="the optional package torch is not installed")
pytest.importorskip("expecttest", reason="PyTorch's samples need the package expecttest")

import torch.nn.functional as F  # noqa: E402, N812
from torch.testing._internal.common_methods_invocations import op_db  # noqa: E402

from elulayer.torch import elu  # noqa: E402

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
SAMPLES = {info.name: info for info in op_db if info.name.startswith("nn.functional.")}


def samples(name, dtype):
    info = SAMPLES[f"nn.functional.{name}"]
    found = list(info.sample_inputs("cpu", dtype, requires_grad=True))
    assert found
    return found


def check(call, expected, tensors, dtype):
    """Values and gradients are those of the other form."""
    tensors = [tensor for tensor in tensors if tensor.requires_grad]
    grad = torch.randn(expected.shape).to(dtype)
    assert call.dtype == dtype and call.shape == expected.shape
    found = torch.autograd.grad(call, tensors, grad)
    wanted = torch.autograd.grad(expected, tensors, grad)
    for got, should in zip((call, *found), (expected, *wanted), strict=True):
        assert got.dtype == should.dtype
        torch.testing.assert_close(got, should)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_elu(dtype):
    for sample in samples("elu", dtype):
        x = sample.input
        alpha = sample.kwargs.get("alpha", 1.0)
        check(elu(x, alpha), F.elu(x, alpha), [x], dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_prelu(dtype):
    for sample in samples("prelu", dtype):
        x = sample.input
        (weight,) = (*sample.args, *sample.kwargs.values())
        alpha = weight.reshape(()) if weight.numel() == 1 else weight
        wide = torch.promote_types(dtype, torch.float32)  # the two operations round twice
        expected = F.prelu(F.elu(x.to(wide)), weight.to(wide)).to(dtype)
        check(elu(x, alpha), expected, [x, weight], dtype)
