"""Who waits for an instance, and whether one more may. Pure: no socket, no clock.

Owns: the order of the events that one instance was given (``Line``), and what a version is known for (``Pace``), by
which it is decided whether an event may wait behind another, and whether instances at work will soon have taken those
who wait or a further one is to be started.

An instance runs one event at a time. One that is known to be quick may have its next events in its mailbox meanwhile,
so that it need not sleep between them, and few instances serve many callers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median
from typing import Protocol, TypeVar

DEPTH = 15  # events at one instance: a pipe of the usual size takes one more
PATIENCE = 0.001  # seconds that an event may be expected to wait in a mailbox
SOON = 0.002  # seconds that it may be expected to wait for an instance at work before another is started
HANDING = 0.00002  # seconds that an event takes beside its handler
LONG = 0.001  # seconds: more of one event counts as so much, for it was more likely the machine than the function
KNOWN = 32  # events after which a version's pace counts as known
SILENCE = 1000  # events without a word after which a version counts as silent
BATCH = 16  # events after which the pace is reckoned anew
_SHARE = 0.6  # of the latest batch in the running mean


class Pace:
    """What the latest executions of a version say about the next. ``took`` is what they took since it was reckoned,
    seconds in the handler; who adds to it calls ``reckon`` when there are BATCH of them."""

    __slots__ = ("_known", "_mean", "_silent", "_typical", "depth", "took")

    def __init__(self) -> None:
        self.took: list[float] = []
        self.depth = 1  # events that one instance may have, those that wait among them
        self._mean = 0.0
        self._typical: float | None = None
        self._silent = SILENCE  # events since something was printed
        self._known = 0

    def reckon(self) -> None:
        took = self.took
        count = len(took)
        self._typical = median(took)
        mean = sum(took) / count if max(took) <= LONG else sum(min(each, LONG) for each in took) / count
        took.clear()
        self._mean += (mean - self._mean) * (_SHARE if self._known else 1.0)
        self._known += count
        self._silent += count
        if self._known >= KNOWN and self._silent >= SILENCE:
            self.depth = min(DEPTH, 1 + int(PATIENCE / (self._mean + HANDING)))
        else:
            self.depth = 1

    def spoke(self) -> None:
        """Something was printed: until it has been silent for long, no event waits behind another."""
        self._silent = 0
        self.depth = 1

    def soon(self, instances: int) -> int:
        """How many events so many instances at work will have taken before long."""
        typical = median(self.took) if self._typical is None and self.took else self._typical
        return 0 if typical is None else int(instances * SOON / (typical + HANDING))


class Named(Protocol):
    request_id: str


T = TypeVar("T", bound=Named)


class Line(deque[T]):
    """The events that one instance was given and has not answered. The first is under way."""

    @property
    def current(self) -> T | None:
        return self[0] if self else None

    def take_back(self, letters: Iterable[str], *, alive: bool) -> tuple[list[T], T | None]:
        """``letters`` (request ids) come out of the mailbox, the oldest first, while a living instance may take others.
        Those who waited for nothing, and the one whose letter is to be put back: the first of the line is not sent
        elsewhere. Where the instance took another in between, that one is now under way and the first comes last."""
        first, returned, put_back = self.current, [], None
        for request_id in letters:
            event = self.find(request_id)
            if event is first:
                put_back = event
            elif event is not None:
                self.remove(event)
                returned.append(event)
        if put_back is None or not alive:
            return returned, None
        self.rotate(-1)  # only those that the instance has taken are behind it now
        return returned, put_back

    def find(self, request_id: str) -> T | None:
        return next((event for event in self if event.request_id == request_id), None)
