"""Whose turn it is. Pure.

Workers take a processor each. Jobs that pay for theirs go first, in the order of their creation; nobody overtakes. Spot
jobs (``EnableManagedSpotTraining``) have what is left over, and give it back when another needs it: the latest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from littoral.training.job import Job


def choose(
    waiting: Iterable[Job], running: Sequence[Job], leaving: Iterable[Job], cores: int
) -> tuple[list[Job], list[Job]]:
    """Who of those that wait begins, and who of those that run is interrupted; ``leaving`` have been asked to end and
    still have their processors, as all that run have."""
    going = sum(job.workers for job in leaving)
    free = cores - going - sum(job.workers for job in running)
    begin: list[Job] = []
    for job in sorted(waiting, key=lambda each: (each.spot, each.created, each.name)):
        if job.workers > free:
            short = job.workers - free - going
            return begin, [] if job.spot else _give_way(running, short)
        begin.append(job)
        free -= job.workers
    return begin, []


def _give_way(running: Sequence[Job], short: int) -> list[Job]:
    """None, where all of them together would not be enough."""
    found: list[Job] = []
    for job in sorted(running, key=lambda each: -each.created):
        if short > 0 and job.spot:
            found.append(job)
            short -= job.workers
    return found if short <= 0 else []
