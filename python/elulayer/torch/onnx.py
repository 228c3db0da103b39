"""The operator in `torch.onnx.export`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch

from . import operators as _operators  # noqa: F401  registers them


def onnx_translation_table() -> dict[Any, Callable[..., Any]]:
    """Return what lets `torch.onnx.export` take models that hold the unit.

    It is two of ONNX's operators, ``PRelu(Elu(x), alpha)``; those of 16 bits are computed in float.

    Returns
    -------
    dict
        For ``torch.onnx.export(..., custom_translation_table=onnx_translation_table())``.

    Raises
    ------
    ImportError
        If the package onnxscript, which the export needs, is not installed.
    """
    op: Any
    try:
        op = importlib.import_module("onnxscript").opset18
    except ImportError as error:
        raise ImportError(
            "torch.onnx.export needs the package onnxscript, which cannot be imported: "
            "pip install onnxscript"
        ) from error

    def elu(x: Any, alpha: Any, dim: int) -> Any:
        narrow = x.dtype != alpha.dtype
        wide = op.CastLike(x, alpha) if narrow else x
        beside = [-1] + [1] * (len(x.shape) - 1 - dim) if len(alpha.shape) else [1]
        z = op.PRelu(op.Elu(wide), op.Reshape(alpha, op.Constant(value_ints=beside)))
        return op.CastLike(z, x) if narrow else z

    return {torch.ops.elulayer.elu.default: elu}
