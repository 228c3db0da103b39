"""What `check_layer` found."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

_WIDTH = 100
_MARGIN = " " * 11
_TOGETHER = re.compile(r"\((?:[^()]|\([^()]*\)){,40}\)| [-+*/<>=]+ ")
"""Short parentheses, and the spaces around an operator: lines do not break there."""


@dataclass(frozen=True)
class CheckResult:
    """The outcome of one check.

    Attributes
    ----------
    name : str
        What was checked.
    outcome : {"passed", "failed", "skipped"}
    message : str
        The numbers; why the check was skipped.
    cause : str
        Of a failed check, the likely cause and where to look; empty if none is known.
    """

    name: str
    outcome: str
    message: str
    cause: str = ""


@dataclass(frozen=True, repr=False)
class CheckReport:
    """The outcomes of a layer's checks; true if none failed. Printed, it is text for people.

    Attributes
    ----------
    title : str
        Which layer was checked, and with what input.
    results : tuple of CheckResult
        In the order of the checks.
    """

    title: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> int:
        """Number of checks that the layer passed."""
        return self._count("passed")

    @property
    def failed(self) -> int:
        """Number of checks that the layer failed."""
        return self._count("failed")

    @property
    def skipped(self) -> int:
        """Number of checks that do not apply, or need what another check found wrong."""
        return self._count("skipped")

    def _count(self, outcome: str) -> int:
        return sum(result.outcome == outcome for result in self.results)

    def _skipped(self) -> dict[str, list[str]]:
        """Return the names of the skipped checks by their messages, which many may share."""
        found: dict[str, list[str]] = {}
        for result in self.results:
            if result.outcome == "skipped":
                found.setdefault(result.message, []).append(result.name)
        return found

    def __bool__(self) -> bool:
        return self.failed == 0

    def __str__(self) -> str:
        width = max((len(result.name) for result in self.results), default=0)
        lines = [self.title]
        skipped = self._skipped()
        for result in self.results:
            mark = "FAILED" if result.outcome == "failed" else result.outcome
            first, text = f"  {mark:<7}  {result.name:<{width}}  ", result.message
            if result.outcome == "skipped":
                names = skipped.pop(result.message, [])
                if not names:
                    continue
                if len(names) > 1:
                    first, text = "  skipped  ", f"{', '.join(names)}: {result.message}"
            lines += _wrapped(first, _MARGIN, text)
            if result.cause:
                lines += _wrapped(_MARGIN, _MARGIN, f"Likely cause: {result.cause}")
        end = f"{self.passed} passed, {self.failed} failed"
        lines.append(end + (f", {self.skipped} skipped" if self.skipped else ""))
        return "\n".join(lines)

    __repr__ = __str__


def _wrapped(first: str, margin: str, text: str) -> list[str]:
    held = _TOGETHER.sub(lambda found: found[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(
        held,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=margin,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ") for line in lines]
