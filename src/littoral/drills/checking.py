"""Whether what arrived above is what was accepted below: nothing lost, nothing doubled, order per bed. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, slots=True)
class Compared:
    """Counts over all beds."""

    accepted: int
    arrived: int
    lost: int  # accepted and never arrived
    doubled: int  # arrived twice, though the bed did not send it twice
    disordered: int  # arrived before one that the core had accepted before it
    gaps: int  # stretches of lost ones: where the oldest make room it is one a bed


def compare(
    accepted: Mapping[str, Sequence[int]], again: Mapping[str, Collection[int]], arrived: Mapping[str, Sequence[int]]
) -> Compared:
    """By bed: what the core accepted, in that order; what the bed may have sent twice; what arrived, in that order."""
    totals = [_of_bed(accepted[bed], again.get(bed, ()), arrived.get(bed, ())) for bed in accepted]
    return Compared(*(sum(column) for column in zip(*totals, strict=True)))


def missing(accepted: Mapping[str, Sequence[int]], arrived: Mapping[str, Sequence[int]]) -> dict[str, list[int]]:
    """By bed, what was accepted and never arrived: where to look."""
    found = {bed: sorted({*numbers} - {*arrived.get(bed, ())}) for bed, numbers in accepted.items()}
    return {bed: lost for bed, lost in found.items() if lost}


def _of_bed(accepted: Sequence[int], again: Collection[int], arrived: Sequence[int]) -> tuple[int, ...]:
    first = list(dict.fromkeys(arrived))
    there = set(first)
    lost = [number not in there for number in accepted]
    gaps = sum(1 for index, gone in enumerate(lost) if gone and not (index and lost[index - 1]))
    seen: set[int] = set()
    doubled = 0
    for number in arrived:
        doubled += number in seen and number not in again
        seen.add(number)
    place = {number: index for index, number in enumerate(accepted) if number not in again}
    places = [place[number] for number in first if number in place]
    disordered = sum(after < before for before, after in pairwise(places))
    return len(accepted), len(first), sum(lost), doubled, disordered, gaps
