"""Ready models get learnable units."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .module import ELU


def convert(
    module: nn.Module,
    *inputs: Any,
    dim: int = 1,
    prelu: bool = False,
    learnable: bool = True,
) -> nn.Module:
    """Replace a model's `torch.nn.ELU` by learnable units that compute the same at first.

    One forward pass, in evaluation mode and without gradients, finds how many channels each has.

    Parameters
    ----------
    module : torch.nn.Module
        Its units are replaced, where they are; all else stays as it is.
    *inputs
        What the model is called with, such as ``torch.zeros(1, 3, 224, 224)``.
    dim : int
        The dimension of the channels in the inputs of its units.
    prelu : bool
        Whether `torch.nn.PReLU` is replaced too, by units whose alpha is its weight: they have its
        slope at 0, and its values above.
    learnable : bool
        Whether alpha requires a gradient.

    Returns
    -------
    torch.nn.Module
        `module`, or a unit where it is one itself.

    Raises
    ------
    ValueError
        If the model has no unit to replace, the pass does not come to one, or it comes to one with
        different numbers of channels. Nothing is replaced then.

    Examples
    --------
    >>> import torch
    >>> from elulayer.torch import convert
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ELU())
    >>> convert(model, torch.zeros(1, 3, 9, 9))[1]
    ELU(8)
    """
    kinds = (nn.ELU, nn.PReLU) if prelu else (nn.ELU,)
    units: dict[nn.Module, str] = {
        unit: name for name, unit in module.named_modules() if isinstance(unit, kinds)
    }
    if not units:
        raise ValueError(
            "module must hold torch.nn.ELU" + " or torch.nn.PReLU" * prelu + ", not none of them"
        )
    reached = _inputs(module, inputs, units, dim)
    new = {unit: _learnable(unit, x, dim, learnable) for unit, x in reached.items()}
    for parent in list(module.modules()):
        for name, child in parent._modules.items():
            if child in new:
                setattr(parent, name, new[child])
    return new.get(module, module)


def _inputs(
    module: nn.Module, inputs: tuple[Any, ...], units: dict[nn.Module, str], dim: int
) -> dict[nn.Module, Tensor]:
    """Return an input of each unit, of which all have one number of channels."""
    seen: dict[nn.Module, list[Tensor]] = {unit: [] for unit in units}
    hooks = [
        unit.register_forward_pre_hook(lambda unit, given: seen[unit].append(given[0]))
        for unit in units
    ]
    modes = {part: part.training for part in module.modules()}
    try:
        module.eval()
        with torch.no_grad():
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for part, training in modes.items():
            part.training = training
    for unit, tensors in seen.items():
        sizes = sorted({x.shape[dim] for x in tensors})
        name = units[unit] or "module"
        if not sizes:
            raise ValueError(f"{name} must be reached by the forward pass of the inputs")
        if len(sizes) > 1:
            raise ValueError(f"{name} must have one number of channels, not {sizes}")
    return {unit: tensors[0] for unit, tensors in seen.items()}


def _learnable(unit: nn.Module, x: Tensor, dim: int, learnable: bool) -> ELU:
    """Return the unit that takes the place of another, whose input is like x."""
    alpha: Any = unit.alpha if isinstance(unit, nn.ELU) else unit.weight
    if isinstance(alpha, Tensor) and alpha.numel() == 1:
        alpha = alpha.reshape(())
    return ELU(
        x.shape[dim], alpha=alpha, learnable=learnable, dim=dim, device=x.device, dtype=x.dtype
    ).train(unit.training)
