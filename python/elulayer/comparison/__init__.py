"""The blog's readers' questions, answered with figures: variants trained from several seeds."""

from __future__ import annotations

from .command import add_arguments, run
from .runner import compare
from .table import Comparison, ComparisonRow, ComparisonRun
from .variants import VARIANTS, Variant, variant_names

__all__ = [
    "VARIANTS",
    "Comparison",
    "ComparisonRow",
    "ComparisonRun",
    "Variant",
    "add_arguments",
    "compare",
    "run",
    "variant_names",
]
