"""The operators ``torch.ops.elulayer``: forward, backward and second derivative.

Each is computed by this package's kernels, and each is differentiable in reverse mode, the last by
`formulas`. What is like x has any strides, results have those of ``empty_like(x)``; alpha is a
vector, or has no dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

from .. import arrays
from . import formulas

_library = torch.library.Library("elulayer", "DEF")
_library.define("elu(Tensor x, Tensor alpha, int dim) -> Tensor")
_library.define("elu_backward(Tensor grad, Tensor x, Tensor alpha, int dim) -> (Tensor, Tensor)")
_library.define(
    "elu_double_backward(Tensor v, Tensor w, Tensor grad, Tensor x, Tensor alpha, int dim)"
    " -> (Tensor, Tensor, Tensor)"
)


def elu(x: Tensor, alpha: Tensor, dim: int) -> Tensor:
    """Compute the unit."""
    x = _dense(x)
    return _tensor(arrays.elu(_array(x), _array(alpha), axis=dim), x)


def elu_backward(grad: Tensor, x: Tensor, alpha: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Compute the gradients with respect to x and alpha."""
    x = _dense(x)
    dx, dalpha = arrays.elu_backward(_array(grad), _array(x), _array(alpha), axis=dim)
    return _tensor(dx, x), _tensor(dalpha)


def elu_double_backward(
    v: Tensor, w: Tensor, grad: Tensor, x: Tensor, alpha: Tensor, dim: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the gradients of sum(v dx) + sum(w dalpha) with respect to grad, x and alpha."""
    x = _dense(x)
    if not x.is_cpu:
        return formulas.elu_double_backward(v, w, grad, x, alpha, dim)
    dgrad, dx, dalpha = arrays.elu_double_backward(
        _array(v), _array(w), _array(grad), _array(x), _array(alpha), axis=dim
    )
    return _tensor(dgrad, x), _tensor(dx, x), _tensor(dalpha)


def _array(tensor: Tensor) -> Any:
    """Return what the functions on arrays take: an array in host memory, a tensor on a GPU."""
    if not tensor.is_cpu:
        return _dense(tensor.detach().resolve_neg())
    if tensor.dtype == torch.bfloat16:
        try:
            from ml_dtypes import bfloat16
        except ImportError as error:
            raise ImportError(
                "tensors of bfloat16 need the package ml_dtypes: pip install 'elulayer[bfloat16]'"
            ) from error
        return tensor.detach().resolve_neg().view(torch.int16).numpy().view(bfloat16)
    try:
        return tensor.numpy()
    except RuntimeError:  # autograd has it on record, or it is a view with its sign turned
        return tensor.numpy(force=True)


def _dense(tensor: Tensor) -> Tensor:
    """Return a tensor that has the strides of its results."""
    if tensor.is_contiguous():
        return tensor
    result = torch.empty_like(tensor)
    return tensor if result.stride() == tensor.stride() else result.copy_(tensor)


def _tensor(array: Any, like: Tensor | None = None) -> Tensor:
    """Return what the functions on arrays give: an array, a NumPy scalar, or a tensor already.

    Strides that mean nothing, of dimensions of 1 and empty tensors, are those of dense `like`.
    """
    if type(array) is np.ndarray and array.dtype.kind == "f":
        tensor = torch.from_numpy(array)
    elif isinstance(array, Tensor):
        tensor = array
    elif (array := np.asarray(array)).dtype.kind == "f":
        tensor = torch.from_numpy(array)
    else:
        tensor = torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    if like is None or tensor.stride() == like.stride():
        return tensor
    return tensor.as_strided(like.shape, like.stride())


for _name, _kernel in (
    ("elu", elu),
    ("elu_backward", elu_backward),
    ("elu_double_backward", elu_double_backward),
):
    for _key in ("CPU", "CUDA"):
        _library.impl(_name, _kernel, _key)


@torch.library.register_fake("elulayer::elu", lib=_library)
def _(x: Tensor, alpha: Tensor, dim: int) -> Tensor:
    return torch.empty_like(x)


@torch.library.register_fake("elulayer::elu_backward", lib=_library)
def _(grad: Tensor, x: Tensor, alpha: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(alpha)


@torch.library.register_fake("elulayer::elu_double_backward", lib=_library)
def _(
    v: Tensor, w: Tensor, grad: Tensor, x: Tensor, alpha: Tensor, dim: int
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(x), torch.empty_like(x), torch.empty_like(alpha)


# Derivatives. All that is saved is given back as it came, so that each is differentiable again.


def _save(ctx: Any, inputs: tuple[Any, ...]) -> None:
    *tensors, ctx.dim = inputs
    ctx.save_for_backward(*tensors)


def _elu_gradient(ctx: Any, grad: Tensor) -> Any:
    return (*torch.ops.elulayer.elu_backward(grad, *ctx.saved_tensors, ctx.dim), None)


def _elu_backward_gradient(ctx: Any, v: Tensor, w: Tensor) -> Any:
    return (*torch.ops.elulayer.elu_double_backward(v, w, *ctx.saved_tensors, ctx.dim), None)


def _elu_double_backward_gradient(ctx: Any, p: Tensor, q: Tensor, r: Tensor) -> Any:
    v, w, grad, x, alpha = ctx.saved_tensors
    return (*formulas.elu_triple_backward(p, q, r, v, w, grad, x, alpha, ctx.dim), None)


def needs_formula(*tensors: Tensor) -> bool:
    """Whether there is more to do than reverse mode, all that the operators know."""
    return torch._C._are_functorch_transforms_active() or (
        forward_ad._current_level >= 0
        and any(forward_ad.unpack_dual(tensor).tangent is not None for tensor in tensors)
    )


def _differentiable(name: str, gradient: Callable[..., Any], formula: Callable[..., Any]) -> None:
    """Make an operator differentiable in reverse mode, and by its formula in forward mode."""
    operator = getattr(torch.ops.elulayer, name).default

    class Function(torch.autograd.Function):
        backward = staticmethod(gradient)

        @staticmethod
        def forward(ctx: Any, *inputs: Any) -> Any:
            _save(ctx, inputs)
            with torch._C._AutoDispatchBelowAutograd():
                return operator(*inputs)

    def differentiated(*inputs: Any) -> Any:
        if needs_formula(*inputs[:-1]):
            return formula(*inputs[:-1], inputs[-1] % max(1, inputs[0].dim()))
        return Function.apply(*inputs)

    _library.impl(name, differentiated, "Autograd")


_differentiable("elu", _elu_gradient, formulas.elu)
_differentiable("elu_backward", _elu_backward_gradient, formulas.elu_backward)
_differentiable("elu_double_backward", _elu_double_backward_gradient, formulas.elu_double_backward)


class Elu(torch.autograd.Function):
    """The unit as `torch.ops.elulayer.elu`, without the dispatcher, which takes longer than it."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        """Compute the unit."""
        _save(ctx, inputs)
        return elu(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:  # type: ignore[override]
        """Compute the gradients."""
        x, alpha = ctx.saved_tensors
        if (
            torch.is_grad_enabled()
            or needs_formula(grad, x, alpha)
            or torch._C._functorch.is_legacy_batchedtensor(grad)
        ):
            return _elu_gradient(ctx, grad)
        return (*elu_backward(grad, x, alpha, ctx.dim), None)
