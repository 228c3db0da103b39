"""Checks of a layer of one's own, before it is trained."""

from __future__ import annotations

from .checker import check_layer
from .report import CheckReport, CheckResult

__all__ = ["CheckReport", "CheckResult", "check_layer"]
