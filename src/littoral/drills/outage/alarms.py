"""How quick the alarms were, by what was going on, held against the goals. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from littoral.drills.outage.seen import Seen
from littoral.tour.findings import Findings

MEDIAN, P99 = 10.0, 50.0  # ms from publish to alarm
AWAY = 2.0  # seconds until a monitor is connected again to a core that came back
LEAST = 20  # alarms, a second's worth, that a phase needs to be judged

PHASES = (  # from which moment, which ends where the next begins
    ("the link up", "beds"),
    ("the link down", "cut"),
    ("the clock ahead", "again"),
    ("the disk full", "disk full"),
    ("the disk free again", "disk free"),
    ("the spool draining", "restored"),
    ("the spool drained", "drained"),
)


@dataclass(frozen=True, slots=True)
class Times:
    """Milliseconds from publish to alarm, of those that were heard."""

    median: float
    p99: float
    count: int
    late: int  # later than the goal of the 99th percentile

    @classmethod
    def of(cls, alarms: Iterable[tuple[float, float | None]]) -> Times:
        """``alarms``: when each was asked for and heard, Unix seconds."""
        found = sorted((heard - asked) * 1000 for asked, heard in alarms if heard is not None)
        if not found:
            return cls(0.0, 0.0, 0, 0)
        late = sum(each > P99 for each in found)
        return cls(statistics.median(found), found[len(found) * 99 // 100], len(found), late)

    @property
    def held(self) -> bool | None:
        """Whether both goals hold; one alarm may be late, be it one of fewer than a hundred. None: too few to say."""
        if self.count < LEAST:
            return None
        return self.median <= MEDIAN and (self.p99 <= P99 or self.late == 1)

    def __str__(self) -> str:
        return f"median {self.median:.1f} ms, p99 {self.p99:.1f} ms, {self.count} of them"


def judge(found: Findings, seen: Seen) -> None:
    moments = seen.moments
    away = moments["killed"], moments["again"] + AWAY
    asked = [each for each in seen.alarms if each[0] >= moments["beds"] and not away[0] - 0.1 <= each[0] <= away[1]]
    phases = {
        name: Times.of(each for each in asked if begin <= each[0] < end) for name, (begin, end) in _spans(seen).items()
    }
    for name, times in phases.items():
        few = f", not judged: fewer than {LEAST}" if times.held is None else ""
        found.row(f"alarms, {name}", f"{times}{few}")
    overall = Times.of(asked)
    found.check("every alarm was heard", 0 < overall.count == len(asked), f"{overall.count} of {len(asked)}")
    found.check(f"alarms: median ≤ {MEDIAN:g} ms", 0 < overall.median <= MEDIAN, f"{overall.median:.1f} ms")
    found.check(f"alarms: p99 ≤ {P99:g} ms", 0 < overall.p99 <= P99, f"{overall.p99:.1f} ms")
    _throughout(found, phases)


def _throughout(found: Findings, phases: Mapping[str, Times]) -> None:
    """Hours of calm must not hide the seconds that count."""
    judged = {name: times for name, times in phases.items() if times.held is not None}
    missed = [f"{name}: {times}" for name, times in judged.items() if not times.held]
    slowest = max(judged.items(), key=lambda each: each[1].median, default=None)
    seen = "; ".join(missed) or (f"the slowest, {slowest[0]}: {slowest[1]}" if slowest else "no phase had enough")
    found.check("alarms: both throughout, in each phase", bool(judged) and not missed, seen)


def _spans(seen: Seen) -> dict[str, tuple[float, float]]:
    there = [(name, seen.moments[first]) for name, first in PHASES if first in seen.moments]
    ends = [*(began for _, began in there[1:]), float("inf")]
    return {name: (began, end) for (name, began), end in zip(there, ends, strict=True)}
