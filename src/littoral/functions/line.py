"""Who waits for an instance, and whether one more may. Pure: no socket, no clock.

Owns: the order of the events that one instance was given (``Line``), and what a version is known for, by which it is
decided whether an event may wait behind another (``Pace``).

An instance runs one event at a time. One that is known to be quick may have its next events in its mailbox meanwhile,
so that it need not sleep between them, and few instances serve many callers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Protocol, TypeVar

DEPTH = 15  # events at one instance: a pipe of the usual size takes one more
PATIENCE = 0.001  # seconds that an event may be expected to wait
HANDING = 0.00002  # seconds that an event takes beside its handler
LONG = 0.001  # seconds: more of one event counts as so much, for it was more likely the machine than the function
KNOWN = 32  # events after which a version's pace counts as known
SILENCE = 1000  # events without a word after which a version counts as silent
_SHARE = 1 / 16  # of the latest event in the running mean


class Pace:
    """What the latest executions of a version say about the next."""

    __slots__ = ("_known", "mean", "silent")

    def __init__(self) -> None:
        self.mean = 0.0  # seconds in the handler
        self.silent = SILENCE  # events since something was printed
        self._known = 0

    def saw(self, seconds: float, *, printed: bool) -> None:
        self._known += 1
        self.mean += (min(seconds, LONG) - self.mean) * _SHARE
        self.silent = 0 if printed else self.silent + 1

    def may_wait(self, ahead: int) -> bool:
        """Whether an event may be given to an instance that has so many."""
        return (
            self._known >= KNOWN
            and self.silent >= SILENCE
            and ahead < DEPTH
            and ahead * (self.mean + HANDING) <= PATIENCE
        )


class Named(Protocol):
    request_id: str


T = TypeVar("T", bound=Named)


class Line(deque[T]):
    """The events that one instance was given and has not answered. The first is under way."""

    @property
    def current(self) -> T | None:
        return self[0] if self else None

    def answered(self) -> T | None:
        """What an answer is for: None where nothing was asked."""
        return self.popleft() if self else None

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
