"""The blog's readers' questions, answered with figures: variants trained from several seeds.

``make compare`` runs it; ``docs/compare.md`` has what it found.
"""

from __future__ import annotations

from .runner import compare
from .table import Comparison, ComparisonRow, ComparisonRun
from .variants import VARIANTS, Variant, variant_names

__all__ = [
    "VARIANTS",
    "Comparison",
    "ComparisonRow",
    "ComparisonRun",
    "Variant",
    "compare",
    "variant_names",
]
