"""Topics of the core's own messages that the place above denies: which they are, and how long each is left alone.

A place that obeys AWS ends the connection at such a message and does not say at which. A core that says it again at
every connect would be cut off for ever, several times a second. So a topic that alone was under way at a cut, or was at
two cuts without being taken in between, counts as denied; it is tried again after 30 s, then after twice as long each
time. The spool's messages are another matter (``denials``): these here are not kept. Time is an argument, in seconds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from littoral.core.denials import CUTS, FIRST, LONGEST, TARGETS


@dataclass(slots=True)
class _Suspect:
    cuts: int = 0  # without being taken in between
    patience: float = 0.0  # 0: it is only suspected
    until: float = 0.0
    due: bool = False  # its time has been waited for, and is not yet told as over


class Patience:
    def __init__(self) -> None:
        self._suspects: dict[str, _Suspect] = {}

    def cut(self, topics: Collection[str], *, only: bool, now: float) -> list[str]:
        """The connection was ended as not authorised with these under way; ``only``: there was nothing else. Those that
        count as denied from now on."""
        found = []
        for topic in topics:
            suspect = self._suspects.setdefault(topic, _Suspect())
            suspect.cuts += 1
            if suspect.cuts >= CUTS or suspect.patience or (only and len(topics) == 1):
                self.denied(topic, now)
                found.append(topic)
        return found

    def denied(self, topic: str, now: float) -> None:
        """It is certain that this one is."""
        suspect = self._suspects.setdefault(topic, _Suspect())
        suspect.patience = min(LONGEST, 2 * suspect.patience) if suspect.patience else FIRST
        suspect.until, suspect.cuts, suspect.due = now + suspect.patience, 0, True
        while len(self._suspects) > TARGETS:
            del self._suspects[next(iter(self._suspects))]

    def taken(self, topic: str) -> bool:
        """Whether it counted as denied until now."""
        found = self._suspects.pop(topic, None)
        return found is not None and found.patience > 0

    def allows(self, topic: str, now: float) -> bool:
        """Whether it may be tried."""
        found = self._suspects.get(topic)
        return found is None or now >= found.until

    def over(self, now: float) -> bool:
        """Whether the time of some has come, told once."""
        ready = [each for each in self._suspects.values() if each.due and now >= each.until]
        for each in ready:
            each.due = False
        return bool(ready)
