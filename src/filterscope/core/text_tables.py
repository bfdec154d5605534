"""Tables as lines of text."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with columns of one width, two spaces apart.

    Args:
        rows: Of equally many cells, at least one row.

    Examples:
        >>> aligned([["", "error"], ["fgsm", "4.5 %"]])
        ['      error', 'fgsm  4.5 %']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
