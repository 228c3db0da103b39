"""The unit as a function of tensors."""

from __future__ import annotations

import numbers

import torch
from torch import Tensor

from ..arrays.arguments import other_axis
from . import formulas, operators

_PLAIN = (Tensor, torch.nn.Parameter)
_DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def elu(x: Tensor, alpha: Tensor | float = 1.0, *, dim: int = 1) -> Tensor:
    """Exponential linear unit with one learnable alpha per channel.

    x where x > 0, ``alpha[c] * expm1(x)`` elsewhere, as :func:`elulayer.elu`, whose bits it has on
    the CPU and on CUDA devices. Other devices compute the formula in PyTorch's own operations.

    Parameters
    ----------
    x : Tensor of float32, float64, float16 or bfloat16, any shape and strides
    alpha : Tensor of shape (C,) or (), or float
        One for each index of x's dimension `dim`, or one for all. Of x's dtype, or of another whose
        values x's dtype has as well, or float32 for the 16-bit types: what those compute in.
    dim : int
        The dimension of the channels. The default is taken where x has fewer and alpha is one.

    Returns
    -------
    Tensor
        As ``torch.empty_like(x)``. It can be differentiated any number of times, in reverse and in
        forward mode, under `torch.func` and `torch.compile`.

    Raises
    ------
    TypeError
        If x is not a tensor of one of the dtypes, or alpha's dtype would have to be rounded.
    ValueError
        If alpha does not fit x, or is on another device.
    IndexError
        If x has no dimension `dim`.

    Notes
    -----
    In forward mode, under the transforms of `torch.func` and under `torch.jit.trace`, PyTorch's own
    operations compute the formula, to the last places.

    Examples
    --------
    >>> import torch
    >>> from elulayer.torch import elu
    >>> elu(torch.tensor([[-1.0, 2.0]]), torch.tensor([0.5, 1.0]))
    tensor([[-0.3161,  2.0000]])
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x must be a tensor, not {type(x).__name__}")
    alpha = _alpha(alpha, x)
    dim = _channels(x, alpha, dim)
    if x.dim() == 0:
        return elu(x.reshape(1), alpha, dim=0).reshape(())
    if torch._C._get_tracing_state() is not None or operators.needs_formula(x, alpha):
        return formulas.elu(x, alpha, dim)
    if torch.compiler.is_compiling():
        return torch.ops.elulayer.elu(x, alpha, dim)
    if (
        type(x) not in _PLAIN
        or type(alpha) not in _PLAIN
        or not (x.is_cpu or x.is_cuda)
        or torch._C._len_torch_dispatch_stack()
    ):
        return torch.ops.elulayer.elu(x, alpha, dim)
    if torch.is_grad_enabled() and (x.requires_grad or alpha.requires_grad):
        return operators.Elu.apply(x, alpha, dim)
    return operators.elu(x, alpha, dim)


def _alpha(alpha: Tensor | float, x: Tensor) -> Tensor:
    """Return alpha in the dtype that x is computed in."""
    if x.dtype not in _DTYPES or x.layout != torch.strided:
        is_integer = not (x.is_floating_point() or x.is_complex() or x.is_quantized)
        cure = ": x.float()" if is_integer and x.layout == torch.strided else ""
        raise TypeError(
            "x must be dense and of torch.float32, float64, float16 or bfloat16, not of "
            f"{x.dtype} and {x.layout}{cure}"
        )
    dtype = torch.float32 if x.dtype.itemsize == 2 else x.dtype
    if not isinstance(alpha, Tensor):
        if not isinstance(alpha, (int, float, numbers.Real)):
            raise TypeError(f"alpha must be a tensor or a number, not {alpha!r}")
        return torch.full((), alpha, dtype=dtype, device=x.device)
    if alpha.device != x.device:
        raise ValueError(
            f"alpha must be on x's device {x.device}, not on {alpha.device}: alpha.to(x.device)"
        )
    if alpha.layout != torch.strided:
        raise TypeError(f"alpha must be dense, not of {alpha.layout}")
    if alpha.dtype == dtype:
        return alpha
    if not alpha.is_floating_point() or torch.promote_types(alpha.dtype, dtype) != dtype:
        cure = "" if alpha.is_complex() else f": alpha.to({dtype})"
        if alpha.dtype == torch.float64:
            cure += f", or x.to({alpha.dtype})"
        raise TypeError(f"alpha must be of {dtype} for x of {x.dtype}, not {alpha.dtype}{cure}")
    return alpha.to(dtype)


def _channels(x: Tensor, alpha: Tensor, dim: int) -> int:
    """Return which dimension alpha belongs to, from 0 on."""
    if alpha.dim() > 1:
        raise ValueError(f"alpha must have shape (C,) or (), not {tuple(alpha.shape)}")
    if not isinstance(dim, int):
        raise TypeError(f"dim must be an integer, not {dim!r}")
    if alpha.dim() == 0 and x.dim() < 2 and dim in (-1, 0, 1):
        return 0
    if x.dim() == 0:
        raise ValueError("x must have dimensions, one of them alpha's, or alpha none")
    if not -x.dim() <= dim < x.dim():
        raise IndexError(
            f"dim must be a dimension of x, from {-x.dim()} to {x.dim() - 1}, not {dim}"
        )
    if alpha.dim() == 0:
        return 0
    if x.shape[dim] != alpha.shape[0]:
        cure = other_axis("dim", alpha.shape[0], tuple(x.shape))
        raise ValueError(
            f"alpha must have shape ({x.shape[dim]},), one for each index of dimension {dim} of x "
            f"of shape {tuple(x.shape)}, not {tuple(alpha.shape)}{cure}"
        )
    return dim % x.dim()
