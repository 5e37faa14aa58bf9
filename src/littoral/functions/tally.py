"""What the executions of each version came to since the place started: counts that metering and metrics read.

Owns: the numbers. An execution that went well is on the way of every invocation, so it only adds its seconds to a list
(``fresh``); the list is counted when it has grown a little and before anybody reads. A version that runs nowhere any
more keeps its numbers until the place stops.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil

from littoral.functions.outcome import Outcome
from littoral.functions.version import FunctionVersion

# upper ends of the histogram of durations, in seconds
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0)
RECENT = 1000  # durations that are kept


@dataclass(slots=True)
class Tally:
    """Of one version of one function."""

    function: str
    version: str
    requests: int = 0
    errors: int = 0  # of the function, timeouts and exits included
    timeouts: int = 0
    throttles: int = 0  # refused, and so no requests
    cold: int = 0
    billed_ms: int = 0
    billed_mb_ms: int = 0  # billed milliseconds × MemorySize
    seconds: float = 0.0  # in the handler
    init_seconds: float = 0.0
    memory_kib: int = 0  # the most that one instance used
    memory_size: int = 0  # MB, as it was set at the latest execution
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))  # not cumulative; the last is beyond
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=RECENT), repr=False)  # durations, seconds
    _fresh: dict[int, list[float]] = field(default_factory=dict, repr=False)

    def fresh(self, memory_size: int) -> list[float]:
        """Where warm executions that went well with so much memory (MB) add their seconds."""
        return self._fresh.setdefault(memory_size, [])

    def concluded(self, outcome: Outcome, billed_ms: int, memory_size: int, init: float | None) -> None:
        """Any other execution. ``init`` is the seconds of the init phase where it began with one."""
        if outcome.kind != "ok":
            self.errors += 1
            self.timeouts += outcome.kind == "timeout"
        self.memory_kib = max(self.memory_kib, outcome.memory_kib)
        if init is not None:
            self.cold += 1
            self.init_seconds += init
        self._add([outcome.duration], billed_ms, memory_size)

    def settle(self) -> None:
        """Count what is fresh."""
        for memory_size, fresh in self._fresh.items():
            if fresh:
                self._add(fresh, sum([ceil(each * 1000) or 1 for each in fresh]), memory_size)
                fresh.clear()

    def _add(self, durations: list[float], billed_ms: int, memory_size: int) -> None:
        self.requests += len(durations)
        self.billed_ms += billed_ms
        self.billed_mb_ms += billed_ms * memory_size
        self.memory_size = memory_size
        self.seconds += sum(durations)
        if max(durations) <= BUCKETS[0]:
            self.buckets[0] += len(durations)
        else:
            for each in durations:
                self.buckets[bisect_left(BUCKETS, each)] += 1
        self.recent.extend(durations)


class Tallies:
    def __init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=RECENT)  # durations of all versions together
        self._tallies: dict[tuple[str, str], Tally] = {}

    def of(self, version: FunctionVersion) -> Tally:
        key = version.name, version.version
        found = self._tallies.get(key)
        if found is None:
            found = self._tallies[key] = Tally(*key, recent=self.recent)
        return found

    def __iter__(self) -> Iterator[Tally]:
        """What they come to now."""
        tallies = list(self._tallies.values())
        for tally in tallies:
            tally.settle()
        return iter(tallies)
