"""How far a transfer is: counters that the mover changes and whoever shows them reads."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW = 10.0  # seconds over which a rate is told


@dataclass(slots=True)
class Progress:
    listed: int = 0  # objects
    listed_bytes: int = 0
    whole: bool = False  # all is listed
    done: int = 0  # objects that have arrived, now or in an earlier run
    done_bytes: int = 0
    sent: int = 0  # objects of this run
    sent_bytes: int = 0  # of this run, of objects and parts that were acknowledged
    retries: int = 0
    waiting: str = ""  # why nothing goes on at the moment
    _seen: deque[tuple[float, int, int]] = field(default_factory=deque)

    @property
    def remaining(self) -> tuple[int, int]:
        """Objects and bytes that are listed and have not arrived."""
        return self.listed - self.done, self.listed_bytes - self.done_bytes

    def rates(self, now: float) -> tuple[float, float]:
        """Objects and bytes a second, lately. Ask about once a second."""
        self._seen.append((now, self.sent, self.sent_bytes))
        while len(self._seen) > 2 and self._seen[0][0] < now - WINDOW:
            self._seen.popleft()
        began, objects, volume = self._seen[0]
        passed = max(now - began, 1e-6)
        return (self.sent - objects) / passed, (self.sent_bytes - volume) / passed

    def document(self, now: float) -> dict[str, object]:
        objects, volume = self.rates(now)
        left, left_bytes = self.remaining
        return {
            "objects": self.done,
            "bytes": self.done_bytes,
            "listed": self.listed,
            "listedBytes": self.listed_bytes,
            "allListed": self.whole,
            "remaining": left,
            "remainingBytes": left_bytes,
            "objectsPerSecond": round(objects, 1),
            "bytesPerSecond": round(volume),
            "retries": self.retries,
            "waiting": self.waiting,
        }
