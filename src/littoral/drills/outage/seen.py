"""What an outage is to be like, and what was seen of it. Facts only: ``findings`` says what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from littoral.drills.checking import Compared

SKEW = 600  # seconds that the core's clock is ahead after its restart
LEAST = 1.0  # seconds of draining, looked at ten times each, that a rate needs


@dataclass(frozen=True, slots=True)
class Plan:
    records: int  # a bed
    step: float = 5.0  # seconds of the ward from one to the next
    speed: float = 72.0  # of the ward's time, to the clock's
    disk: int = 256 * 1024**2  # bytes
    when_full: str = "refuse"
    spool_share: float = 0.8  # of all records fit into the spool

    @property
    def pace(self) -> float:
        """Records a second and bed."""
        return self.speed / self.step

    @property
    def hours(self) -> float:
        return self.records * self.step / 3600


@dataclass(slots=True)
class Seen:
    """Moments are Unix seconds."""

    plan: Plan
    moments: dict[str, float] = field(default_factory=dict)
    disk_filled: bool = False
    disk_refused: int = 0
    spool_limit: int = 0
    spooled_bytes: int = 0  # the most
    left: int = 0  # bytes, when last looked at
    spooled: int = 0  # messages, likewise
    resumed_after: float = 0.0
    due: float = 0.0  # what ``sent`` is when all has drained that waited
    drain_cpu: dict[str, float] = field(default_factory=dict)  # seconds, by process, until it had drained
    sent: list[tuple[float, float]] = field(default_factory=list)  # acknowledged above, by moment
    alarms: list[tuple[float, float | None]] = field(default_factory=list)  # (asked, heard)
    records: Compared | None = None
    missing: dict[str, list[int]] = field(default_factory=dict)  # records, by bed

    @property
    def drained(self) -> float:
        """Messages."""
        return self.sent[-1][1] - self.sent[0][1] if self.sent else 0.0

    @property
    def draining(self) -> tuple[float, float]:
        """Seconds from the first look at which it drained to the last at which it had not finished, and messages in
        them. Neither the wait for the link nor the time from its end to the look that found it counts."""
        steps = [each for before, each in pairwise(self.sent) if before[1] < each[1] < self.due]
        return (steps[-1][0] - steps[0][0], steps[-1][1] - steps[0][1]) if steps else (0.0, 0.0)

    @property
    def drain_rate(self) -> float | None:
        """Messages a second; None where it was over too soon to say."""
        seconds, messages = self.draining
        return messages / seconds if seconds >= LEAST else None

    @property
    def drain_rate_at_least(self) -> float:
        """Messages a second from the link's return to the look that found all of them sent. The wait for the link and
        for that look count as draining, so it was not slower."""
        seconds = self.sent[-1][0] - self.sent[0][0] if self.sent else 0.0
        return self.drained / seconds if seconds else 0.0
