"""Ready models get learnable units."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from .._support.checks import kind_of
from .module import ELU

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


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
        If `module` is no module, there are no inputs, or `dim` is no integer.
    ValueError
        If the model has no unit to replace, the pass does not come to one, or it comes to one with
        different numbers of channels; if one has hooks; or if the model, but for what `prelu` asks
        for, computes something else then, as where it uses what a unit does in place, or nothing
        that can be compared. Nothing is replaced then.

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
    if not isinstance(dim, int):
        raise TypeError(f"dim must be an integer, not {dim!r}")
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
        if any(getattr(unit, hooks) for hooks in _HOOKS):
            raise ValueError(f"{name} must have no hooks, which would be lost")
    before, reached = _run(module, inputs, units, dim)
    new: dict[nn.Module, nn.Module] = {
        unit: _learnable(unit, x, dim, learnable) for unit, x in reached.items()
    }
    elus: dict[nn.Module, nn.Module] = {unit: new[unit] for unit in new if type(unit) is nn.ELU}
    if elus and not list(_tensors(before)):
        raise ValueError("module must return a tensor, or a container or dataclass of some")
    cause = None
    try:
        _replace(module, elus)
        same = not elus or _same(before, _run(elus.get(module, module), inputs, {}, dim)[0])
        if same and len(elus) < len(new):
            _replace(module, new)
            _run(new.get(module, module), inputs, {}, dim)
    except Exception as error:
        same, cause = False, error
    if same:
        return new.get(module, module)
    _replace(module, {new_unit: unit for unit, new_unit in new.items()})
    if cause is None and not _same(before, _run(module, inputs, {}, dim)[0]):
        raise ValueError("module must compute the same each time it is called")
    raise ValueError(
        "module must compute the same with other units in the places of its own; it uses what one "
        "of them does in place or has, or calls one that is not found among its modules"
        + (f": {cause}" if cause else "")
    ) from cause


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
            result = module(*tree_map(_copy, inputs))
    finally:
        for hook in hooks:
            hook.remove()
        for part, training in modes.items():
            part.training = training
    for unit, tensors in seen.items():
        name = units[unit]
        if not tensors:
            raise ValueError(
                f"{name} must be reached by the forward pass of the inputs, in evaluation mode; "
                "else convert the other parts of the model one by one"
            )
        if not all(-x.dim() <= dim < x.dim() for x in tensors):
            raise ValueError(f"dim must be a dimension of {name}'s input, not {dim}")
        sizes = sorted({x.shape[dim] for x in tensors})
        if len(sizes) > 1:
            raise ValueError(f"{name} must have one number of channels, not {sizes}")
    return result, {unit: tensors[0] for unit, tensors in seen.items()}


def _copy(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)


def _same(one: Any, other: Any) -> bool:
    """Whether two results of a model are, but for rounding."""
    return all(_close(a, b) for a, b in zip(_tensors(one), _tensors(other), strict=True))


def _tensors(result: Any) -> Iterator[Tensor]:
    for leaf in tree_leaves(result):
        if isinstance(leaf, Tensor):
            yield leaf
        elif dataclasses.is_dataclass(leaf):
            yield from _tensors(vars(leaf))


def _close(a: Tensor, b: Tensor) -> bool:
    """Whether elements that differ do by little of the largest of them: no mask is among those."""
    if not a.is_floating_point() or a.is_meta:
        return True
    tolerance = max(1e-3, 4 * torch.finfo(a.dtype).eps)
    differ = (a != b) & ~(a.isnan() & b.isnan())
    a, b = a[differ].double(), b[differ].double()
    return not a.numel() or bool((a - b).abs().max() <= tolerance * a.abs().max() < math.inf)


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
