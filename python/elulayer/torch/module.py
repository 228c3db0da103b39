"""The unit as a module."""

from __future__ import annotations

from typing import Any

import torch
import torch.fx
from torch import Tensor

from .._support.checks import integer
from .._support.wording import shown
from .functional import elu

torch.fx.wrap("elu")  # a call of its own to torch.fx.symbolic_trace


class ELU(torch.nn.Module):
    """Exponential linear unit with one learnable alpha per channel.

    Parameters
    ----------
    num_channels : int
        The size of the input's dimension `dim`.
    alpha : float or Tensor of shape (num_channels,), or () where it is shared
        First values; of 1, the default, it computes what `torch.nn.ELU` does.
    learnable : bool
        Whether alpha requires a gradient.
    shared : bool
        Whether all channels share one alpha.
    dim : int
        The dimension of the channels.
    device, dtype
        Of alpha. The input's dtype, or float32 for inputs of 16 bits; narrower ones are converted.

    Attributes
    ----------
    alpha : torch.nn.Parameter of shape (num_channels,), or () where it is shared

    Raises
    ------
    TypeError, ValueError
        If `num_channels` is not a positive integer, `alpha` is no number or tensor or does not fit
        it, or `dtype` is not a floating one of torch's.

    Examples
    --------
    >>> from elulayer.torch import ELU
    >>> ELU(20)
    ELU(20)
    """

    def __init__(
        self,
        num_channels: int,
        *,
        alpha: Tensor | float = 1.0,
        learnable: bool = True,
        shared: bool = False,
        dim: int = 1,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.num_channels = integer("num_channels", num_channels)
        self.shared = shared
        self.dim = dim
        shape = () if shared else (self.num_channels,)
        if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
            raise TypeError(f"dtype must be a floating one of torch's, not {shown(dtype)}")
        try:
            given = torch.as_tensor(alpha, device="cpu")
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(
                f"alpha must be a number or a tensor, not {shown(alpha)}: {error}"
            ) from error
        if given.is_complex():
            raise TypeError(f"alpha must be real, not of {given.dtype}")
        if given.shape not in ((), shape):
            allowed = "()" if shared else f"{shape} or ()"
            raise ValueError(f"alpha must have shape {allowed}, not {tuple(given.shape)}")
        self._first = given.detach().clone()
        values = torch.empty(shape, device=device, dtype=dtype)
        self.alpha = torch.nn.Parameter(values, requires_grad=learnable)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Give alpha its first values."""
        with torch.no_grad():
            self.alpha.copy_(self._first)

    def forward(self, input: Tensor) -> Tensor:
        """Compute :func:`elulayer.torch.elu`."""
        return elu(input, self.alpha, dim=self.dim)

    def extra_repr(self) -> str:
        """Return what `repr` shows: the arguments that are not the defaults."""
        shown = [str(self.num_channels)]
        if not self.alpha.requires_grad:
            shown.append("learnable=False")
        if self.shared:
            shown.append("shared=True")
        if self.dim != 1:
            shown.append(f"dim={self.dim}")
        return ", ".join(shown)
