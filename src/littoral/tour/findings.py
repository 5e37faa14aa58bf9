"""What the tour claims and whether it holds: checks, latencies, and the numbers of the closing table."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    claim: str
    holds: bool
    seen: str


@dataclass(slots=True)
class Findings:
    """Filled as the tour goes; the table, the report and the exit status are read from it."""

    checks: list[Check] = field(default_factory=list)
    rows: list[tuple[str, str]] = field(default_factory=list)

    def check(self, claim: str, holds: bool, seen: object) -> None:
        self.checks.append(Check(claim, holds, str(seen)))

    def row(self, what: str, value: object) -> None:
        self.rows.append((what, str(value)))

    @property
    def failed(self) -> list[Check]:
        return [check for check in self.checks if not check.holds]


@dataclass(frozen=True, slots=True)
class Outage:
    """Unix seconds between which the link was away."""

    start: float
    end: float

    def covers(self, moment: float) -> bool:
        return self.start <= moment <= self.end


def points(aggregates: Iterable[dict[str, Any]]) -> int:
    """Samples summed up by distinct windows: a window that came twice counts once."""
    return sum({(a["bed"], a["window"]): a["points"] for a in aggregates}.values())


def doubled(aggregates: Iterable[dict[str, Any]]) -> int:
    """How many windows came more than once."""
    return sum(1 for times in Counter((a["bed"], a["window"]) for a in aggregates).values() if times > 1)


def gaps(aggregates: Iterable[dict[str, Any]]) -> list[str]:
    """Windows whose first sample is not where the one before ended."""
    found = []
    expected: dict[str, int] = {}
    for a in sorted(aggregates, key=lambda a: (a["bed"], a["window"])):
        if a["first"] != expected.get(a["bed"], 0):
            found.append(f"{a['bed']} window {a['window']}")
        expected[a["bed"]] = a["first"] + a["points"]
    return found


def latency(alarms: Sequence[dict[str, Any]]) -> str:
    """Median and 99th percentile from the monitor's publish to the station's hearing, in milliseconds."""
    if not alarms:
        return "none"
    times = sorted((a["heard_at"] - a["sent_at"]) * 1000 for a in alarms)
    p99 = times[min(len(times) - 1, round(0.99 * (len(times) - 1)))]
    return f"{len(times)}, median {statistics.median(times):.1f} ms, p99 {p99:.1f} ms"
