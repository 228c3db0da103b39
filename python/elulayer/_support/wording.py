"""Text for people: tables, shapes, counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]) -> list[str]:
    """Make the lines of a table: its head, a rule, and its rows.

    Parameters
    ----------
    head : sequence of str
    rows : sequence of sequence of str
        Of the head's length.
    right : collection of int
        The columns whose cells end, rather than begin, below each other.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, ["-" * width for width in widths], *rows)
    ]


def by(shape: Sequence[int]) -> str:
    """Write a shape for people: 20x24x24."""
    return "x".join(map(str, shape)) or "scalar"


def counted(count: int, thing: str) -> str:
    """Write how many there are of a thing: 1 image, 2 images."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"
