"""The unit and its derivatives in PyTorch's own operations.

PyTorch differentiates them in every way it knows. They serve where the operators cannot: in forward
mode and under `torch.func`, for the second derivative on a GPU and for the third everywhere.

With a = alpha[c], E = exp(x) where x <= 0 and 0 elsewhere, e = expm1(x) and 0, s = a E and 1:

    z                = a e + max(x, 0)
    dx, dalpha       = g s,  sum(g e)
    dg, dx, dalpha   = v s + w e,  (v a + w) g E,  sum(v g E)       of  sum(v dx) + w dalpha
"""

from __future__ import annotations

import torch
from torch import Tensor


def elu(x: Tensor, alpha: Tensor, dim: int) -> Tensor:
    """Compute the unit; 16-bit types in float32, rounded once."""
    wide = _wide(x)
    negative = _beside(alpha, x, dim) * _expm1(_below(wide))
    return torch.where(wide > 0, wide, negative).to(x.dtype)


def elu_backward(grad: Tensor, x: Tensor, alpha: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Differentiate sum(grad z) by x and alpha."""
    g = _wide(grad)
    _, e, s = _factors(x, _beside(alpha, x, dim))
    return (g * s).to(x.dtype), _sum(g * e, alpha, dim)


def elu_double_backward(
    v: Tensor, w: Tensor, grad: Tensor, x: Tensor, alpha: Tensor, dim: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Differentiate sum(v dx) + sum(w dalpha) by grad, x and alpha."""
    v_, g = _wide(v), _wide(grad)
    a, w_ = _beside(alpha, x, dim), _beside(w, x, dim)
    E, e, s = _factors(x, a)
    return (
        (v_ * s + w_ * e).to(x.dtype),
        ((v_ * a + w_) * g * E).to(x.dtype),
        _sum(v_ * g * E, alpha, dim),
    )


def elu_triple_backward(
    p: Tensor,
    q: Tensor,
    r: Tensor,
    v: Tensor,
    w: Tensor,
    grad: Tensor,
    x: Tensor,
    alpha: Tensor,
    dim: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Differentiate sum(p dg) + sum(q dx) + sum(r dalpha) of it by v, w, grad, x and alpha."""
    p_, q_, v_, g = _wide(p), _wide(q), _wide(v), _wide(grad)
    a, w_, r_ = (_beside(vector, x, dim) for vector in (alpha, w, r))
    E, e, s = _factors(x, a)
    inner = v_ * a + w_
    return (
        (p_ * s + (q_ * a + r_) * g * E).to(x.dtype),
        _sum(p_ * e + q_ * g * E, alpha, dim),
        ((q_ * inner + r_ * v_) * E).to(x.dtype),
        ((p_ * inner + (q_ * inner + r_ * v_) * g) * E).to(x.dtype),
        _sum((p_ + q_ * g) * v_ * E, alpha, dim),
    )


def _wide(x: Tensor) -> Tensor:
    """Return x, or where it is of a 16-bit type its numbers in float32."""
    return x.float() if x.dtype.itemsize == 2 else x


def _beside(vector: Tensor, x: Tensor, dim: int) -> Tensor:
    """Return a vector with a dimension for each of x, of which all but `dim` are 1."""
    if vector.dim() == 0:
        return vector
    return vector.reshape([-1 if i == dim else 1 for i in range(x.dim())])


def _sum(terms: Tensor, alpha: Tensor, dim: int) -> Tensor:
    """Sum over all that has one alpha."""
    if alpha.dim() == 0:
        return terms.sum()
    return terms.movedim(dim, 0).reshape(terms.shape[dim], -1).sum(1)


def _factors(x: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return E, e and s."""
    wide = _wide(x)
    below = _below(wide)
    E = torch.where(wide > 0, 0, torch.exp(below))
    return E, _expm1(below), torch.where(wide > 0, 1, a * E)


def _below(x: Tensor) -> Tensor:
    """Return x where it is not above 0: no infinity in what is not looked at."""
    return torch.where(x > 0, 0, x)


def _expm1(x: Tensor) -> Tensor:
    """Return expm1(x), of which the derivative is exp(x).

    PyTorch takes expm1(x) + 1, of which nothing is left where x is far below 0.
    """
    constant = x.detach()
    return torch.expm1(constant) + (torch.exp(x) - torch.exp(constant))
