"""Which requests of one batch are run together. Pure.

Rows of several requests may be one run where the model's inputs and outputs all begin with the same open length, whose
name says that it counts rows (``N``, ``batch…``): of a sequence's length that would not be true.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Final

from littoral.models.registry.onnxfile import Tensor

ROWS: Final = ("n", "b", "bs")


def counts_rows(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> bool:
    """Whether the first length of all of them is one, and is that of a batch."""
    first = {each.shape[0] if each.shape else 0 for each in (*inputs, *outputs)}
    if len(first) != 1:
        return False
    (length,) = first
    return isinstance(length, str) and (length.lower() in ROWS or length.lower().startswith("batch"))


def grouped(kinds: Sequence[Hashable], rows: Sequence[int], most: int) -> list[list[int]]:
    """The numbers of the requests, in runs: of one kind each and at most ``most`` rows, unless a request has more; in
    the order in which the first of each came."""
    runs: list[list[int]] = []
    open_runs: dict[Hashable, tuple[list[int], int]] = {}
    for number, (kind, count) in enumerate(zip(kinds, rows, strict=True)):
        run, before = open_runs.get(kind, ([], 0))
        if not run or before + count > most:
            run, before = [], 0
            runs.append(run)
        run.append(number)
        open_runs[kind] = run, before + count
    return runs
