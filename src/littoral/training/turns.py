"""Whose turn it is. Pure.

Workers take a processor each. Jobs that pay for theirs go first, in the order of their creation; nobody overtakes. Spot
jobs (``EnableManagedSpotTraining``) have what is left over, and give it back when another needs it: the latest first.

A job that wants more hosts than this machine has, or each on another one, has some of other machines. Who waits for
those keeps them from others, but nobody from the processors that are here: a machine may never come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from littoral.training.job import Job


class Room(NamedTuple):
    here: int
    away: int = 0


def needs(job: Job, cores: int) -> Room:
    """Where its hosts are to be, of a machine with so many processors for training. The first is always here."""
    here = 1 if job.spread else min(job.workers, cores)
    return Room(here, job.workers - here) if job.isolated else Room(job.workers)


def choose(
    waiting: Iterable[Job], running: Sequence[Job], leaving: Iterable[Job], room: Room
) -> tuple[list[Job], list[Job]]:
    """Who of those that wait begins, and who of those that run is interrupted; ``leaving`` have been asked to end and
    still have what they had, as all that run have. ``room``: the processors here, and hosts of other machines that
    nobody has."""
    need = {id(job): needs(job, room.here) for job in (*waiting, *running, *leaving)}
    going = [need[id(job)] for job in leaving]
    going_here, going_away = sum(each.here for each in going), sum(each.away for each in going)
    here, away = room.here - going_here - sum(need[id(job)].here for job in running), room.away
    begin: list[Job] = []
    for job in sorted(waiting, key=lambda each: (each.spot, each.created, each.name)):
        wanted = need[id(job)]
        if wanted.away > away:
            short = wanted.away - away - going_away
            give = [] if job.spot else _give_way(running, [need[id(each)].away for each in running], short)
            if give:
                return begin, give
            away = 0
            continue
        if wanted.here > here:
            short = wanted.here - here - going_here
            return begin, [] if job.spot else _give_way(running, [need[id(each)].here for each in running], short)
        begin.append(job)
        here, away = here - wanted.here, away - wanted.away
    return begin, []


def _give_way(running: Sequence[Job], has: Sequence[int], short: int) -> list[Job]:
    """Of jobs that have so many of what is short. None, where all of them together would not be enough."""
    found: list[Job] = []
    for job, had in sorted(zip(running, has, strict=True), key=lambda each: -each[0].created):
        if short > 0 and job.spot and had:
            found.append(job)
            short -= had
    return found if short <= 0 else []
