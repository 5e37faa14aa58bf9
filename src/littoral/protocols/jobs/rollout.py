"""How fast a job reaches its things, and when it gives up.

``Rate`` is jobExecutionsRolloutConfig, ``Criterion`` one of abortConfig's. Counted per minute, as AWS does: within one
minute at most the rate of that minute is notified. Source:
https://docs.aws.amazon.com/iot/latest/developerguide/jobs-configurations-details.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from littoral.protocols.jobs.execution import FAILED, PENDING, REJECTED, TIMED_OUT

MAX_PER_MINUTE: Final = 1_000
_FAILURES: Final = (FAILED, REJECTED, TIMED_OUT)


@dataclass(frozen=True, slots=True)
class Rate:
    """Things a minute; with ``base`` it grows by ``factor`` for each ``notified`` or ``succeeded`` things."""

    most: int = MAX_PER_MINUTE
    base: int | None = None
    factor: float = 1.0
    notified: int | None = None
    succeeded: int | None = None

    def per_minute(self, notified: int, succeeded: int) -> int:
        if self.base is None:
            return self.most
        steps = notified // self.notified if self.notified else succeeded // (self.succeeded or 1)
        growth = min(self.factor ** min(steps, 100), float(MAX_PER_MINUTE))
        return max(1, min(self.most, int(self.base * growth)))


@dataclass(frozen=True, slots=True)
class Pace:
    """The minute that runs: when it began, how many may be notified in it, and how many were."""

    minute: float = -60.0
    rate: int = 0
    sent: int = 0

    def at(self, rate: Rate, notified: int, succeeded: int, now: float) -> Pace:
        """This minute's, or that of the minute that begins now."""
        return self if now < self.minute + 60 else Pace(now, rate.per_minute(notified, succeeded))

    @property
    def room(self) -> int:
        """How many more may be notified in this minute."""
        return max(0, self.rate - self.sent)

    def after(self, count: int) -> Pace:
        return Pace(self.minute, self.rate, self.sent + count)


@dataclass(frozen=True, slots=True)
class Criterion:
    failure: str  # FAILED, REJECTED, TIMED_OUT or ALL
    percentage: float
    minimum: int  # executions that must have ended first

    def met(self, counts: Mapping[str, int]) -> bool:
        """``counts`` by status."""
        executed = sum(count for status, count in counts.items() if status not in PENDING)
        kinds = _FAILURES if self.failure == "ALL" else (self.failure,)
        failed = sum(counts.get(status, 0) for status in kinds)
        return executed >= self.minimum and failed > 0 and failed * 100 >= self.percentage * executed


def aborts(criteria: Sequence[Criterion], counts: Mapping[str, int]) -> bool:
    return any(criterion.met(counts) for criterion in criteria)
