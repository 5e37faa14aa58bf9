"""A table for people, in columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def aligned(lines: Sequence[Sequence[str]], left: int) -> Iterable[str]:
    """The lines with their cells under each other: the first ``left`` columns to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [
            f"{cell:<{width}}" if column < left else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip() + "\n"
