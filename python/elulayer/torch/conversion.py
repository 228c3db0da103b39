"""Ready models get learnable units."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from .._support.checks import kind_of
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
    TypeError
        If `module` is no module, or there are no inputs.
    ValueError
        If the model has no unit to replace, the pass does not come to one, or it comes to one with
        different numbers of channels; if one has hooks; or if the model computes something else
        then, as where it uses what a unit does in place. Nothing is replaced then.

    Examples
    --------
    >>> import torch
    >>> from elulayer.torch import convert
    >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ELU())
    >>> convert(model, torch.zeros(1, 3, 9, 9))[1]
    ELU(8)
    """
    if not isinstance(module, nn.Module):
        raise TypeError(f"module must be a torch.nn.Module, not {kind_of(module)}")
    if not inputs:
        raise TypeError(
            "inputs must follow the module: what it is called with, such as "
            "torch.zeros(1, 3, 224, 224)"
        )
    kinds = (nn.ELU, nn.PReLU) if prelu else (nn.ELU,)
    units: dict[nn.Module, str] = {
        unit: name or "module" for name, unit in module.named_modules() if type(unit) in kinds
    }
    if not units:
        has_prelu = any(type(part) is nn.PReLU for part in module.modules())
        raise ValueError(
            "module must hold torch.nn.ELU"
            + " or torch.nn.PReLU" * prelu
            + ", not none of them"
            + "; prelu=True replaces its torch.nn.PReLU" * has_prelu
        )
    for unit, name in units.items():
        if unit._forward_hooks or unit._forward_pre_hooks or unit._backward_hooks:
            raise ValueError(f"{name} must have no hooks, which would be lost")
    before, reached = _run(module, inputs, units, dim)
    new = {unit: _learnable(unit, x, dim, learnable) for unit, x in reached.items()}
    _replace(module, new)
    result = new.get(module, module)
    if not prelu and not _same(before, _run(result, inputs, {}, dim)[0]):
        _replace(module, {new_unit: unit for unit, new_unit in new.items()})
        raise ValueError(
            "module must compute the same with other units in the places of its own; it uses what "
            "one of them does in place, or calls one that is not found among its modules"
        )
    return result


def _replace(module: nn.Module, new: Mapping[nn.Module, nn.Module]) -> None:
    for parent in list(module.modules()):
        for name, child in parent._modules.items():
            if child is not None and child in new:
                setattr(parent, name, new[child])


def _run(
    module: nn.Module, inputs: tuple[Any, ...], units: dict[nn.Module, str], dim: int
) -> tuple[Any, dict[nn.Module, Tensor]]:
    """Return what the model computes, and an input of each unit."""
    seen: dict[nn.Module, list[Tensor]] = {unit: [] for unit in units}

    def look(unit: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        seen[unit].append(given[0] if given else named["input"])

    hooks = [unit.register_forward_pre_hook(look, with_kwargs=True) for unit in units]
    modes = {part: part.training for part in module.modules()}
    try:
        module.eval()
        with torch.no_grad():
            result = module(*copy.deepcopy(inputs))
    finally:
        for hook in hooks:
            hook.remove()
        for part, training in modes.items():
            part.training = training
    for unit, tensors in seen.items():
        name = units[unit]
        if not tensors:
            raise ValueError(f"{name} must be reached by the forward pass of the inputs")
        if not all(-x.dim() <= dim < x.dim() for x in tensors):
            raise ValueError(f"dim must be a dimension of {name}'s input, not {dim}")
        sizes = sorted({x.shape[dim] for x in tensors})
        if len(sizes) > 1:
            raise ValueError(f"{name} must have one number of channels, not {sizes}")
    return result, {unit: tensors[0] for unit, tensors in seen.items()}


def _same(one: Any, other: Any) -> bool:
    """Whether two results of a model are, but for rounding."""
    pairs = zip(tree_leaves(one), tree_leaves(other), strict=True)
    return all(
        torch.allclose(a, b, rtol=1e-3, atol=1e-3 * float(a.abs().max()), equal_nan=True)
        for a, b in pairs
        if isinstance(a, Tensor) and a.is_floating_point() and a.numel()
    )


def _learnable(unit: nn.Module, x: Tensor, dim: int, learnable: bool) -> ELU:
    """Return the unit that takes the place of another, whose input is like x."""
    alpha: Any = unit.alpha if isinstance(unit, nn.ELU) else unit.weight
    if isinstance(alpha, Tensor):
        learnable = learnable and alpha.requires_grad
        if alpha.numel() == 1:
            alpha = alpha.reshape(())
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    with torch.inference_mode(False):
        new = ELU(
            x.shape[dim], alpha=alpha, learnable=learnable, dim=dim, device=x.device, dtype=dtype
        )
    return new.train(unit.training)
