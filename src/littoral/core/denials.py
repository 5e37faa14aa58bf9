"""Which topics the place above denies, and how slowly their messages are set aside. Decides; sends nothing.

A place that obeys AWS ends the connection of a core that publishes where its policy denies it (DISCONNECT 0x87) and
does not say which publish was meant; sent again it ends the next connection, too, and nothing behind it goes up::

    whole window ──cut twice in a row──▶ alone: one publish at a time, of those that were under way
          ▲                                │
          ├──────all of them answered──────┤
          └──its topic is denied──◀──the one that was under way was cut twice in a row

A place that answers PUBACK 0x87 names the publish itself. Messages to a denied topic are set aside unsent, while
others pass; after a while the next of them is tried, alone. A policy may have been taken away by mistake, so no more
than ``MOST`` are set aside at once, then one a second, and none while nothing else is accepted: what may not be set
aside waits, and holds up the link. A *target* is a topic, and whether the message is to be retained there, since a
policy tells these apart. Time is an argument, in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

Target = tuple[str, bool]

CUTS: Final = 2  # in a row until each publish goes alone, and of one alone until its target is denied
FIRST, LONGEST = 30.0, 300.0  # seconds until a denied target is tried again; twice as many each time
STALLED: Final = 30.0  # where the link waits for it
MOST: Final = 1000  # messages set aside at once
IDLE: Final = 60.0  # seconds without a publish accepted that count for the next to be set aside
TARGETS: Final = 1000  # remembered; of one that is forgotten the next message is tried


class Decision(Enum):
    SEND = auto()
    TRY = auto()  # alone; tell ``trying``
    ASIDE = auto()
    WAIT = auto()


class Spooled(Protocol):
    @property
    def sequence(self) -> int: ...
    @property
    def target(self) -> Target: ...


@dataclass(slots=True)
class _Denied:
    since: float  # when it was last refused
    patience: float
    told: bool = False  # by ``due``


class Denials:
    def __init__(self) -> None:
        self._cuts = 0  # in a row
        self._suspects: set[int] = set()  # sequences that were under way at the last cut
        self._blamed = (0, 0)  # a sequence, and how often it was cut alone in a row
        self._trying = 0  # the sequence of a message to a denied target; 0 for none
        self._denied: dict[Target, _Denied] = {}
        self._left = float(MOST)  # how many may be set aside now
        self._accepted_at = 0.0

    @property
    def quiet(self) -> bool:
        """Nothing is suspected or denied: nobody need ask or tell."""
        return not (self._suspects or self._denied)

    @property
    def alone(self) -> bool:
        """Whether publishes are to go one at a time."""
        return bool(self._trying or (self._cuts >= CUTS and self._suspects))

    @property
    def denied(self) -> list[str]:
        """Topics, for people."""
        return sorted({topic for topic, _ in self._denied})

    # ------------------------------------------------------------------------------------- what happened

    def cut(self, under_way: Sequence[Spooled], only: Spooled | None, now: float) -> Target | None:
        """The connection was ended as not authorised. ``under_way`` is all of the spool that was not acknowledged,
        ``only`` the one that alone could have been meant. The target that is denied, where that is certain now."""
        if not under_way:
            return None  # it was something else of the core's
        self._cuts += 1
        self._suspects = {each.sequence for each in under_way}
        if only is None or not self.alone:
            return None
        times = self._blamed[1] + 1 if self._blamed[0] == only.sequence else 1
        self._blamed = (only.sequence, times)
        if times < CUTS and only.target not in self._denied:
            return None
        self._suspects -= {each.sequence for each in under_way if each.target == only.target}
        self._cuts = CUTS - 1  # the whole window again; another culprit in it is looked for after one more cut
        self.refused(only, now)
        return only.target

    def refused(self, spooled: Spooled, now: float) -> None:
        """It is certain that this one was."""
        self._answered(spooled.sequence)
        before = self._denied.pop(spooled.target, None)
        patience = FIRST if before is None else min(LONGEST, 2 * before.patience)
        self._denied[spooled.target] = _Denied(now, patience)
        while len(self._denied) > TARGETS:
            del self._denied[next(iter(self._denied))]

    def accepted(self, spooled: Spooled, now: float) -> bool:
        """Whether its target was denied until now."""
        self._left = min(MOST, self._left + min(max(0.0, now - self._accepted_at), IDLE))
        self._accepted_at = now
        self._answered(spooled.sequence)
        return self._denied.pop(spooled.target, None) is not None

    def _answered(self, sequence: int) -> None:
        self._blamed = (0, 0)
        if sequence == self._trying:
            self._trying = 0
        self._suspects.discard(sequence)
        if not self._suspects:
            self._cuts = 0

    def dropped(self, spooled: Spooled) -> None:
        """It was not sent, or for another reason will not be again."""
        self._answered(spooled.sequence)

    def due(self, now: float) -> list[Target]:
        """Denied ones whose next message is to be tried, each told once: one that is set aside may be that message."""
        found = [each for each, denied in self._denied.items() if not denied.told and self._over(denied, now)]
        for target in found:
            self._denied[target].told = True
        return found

    def _over(self, denied: _Denied, now: float) -> bool:
        return now - denied.since >= (denied.patience if self._left >= 1 else STALLED)

    def forget(self, topics: Sequence[str]) -> None:
        """Somebody says that they may be denied no more: their next messages are tried."""
        for target in [each for each in self._denied if each[0] in topics]:
            del self._denied[target]

    # -------------------------------------------------------------------------------------- what to do

    def decide(self, target: Target, now: float) -> Decision:
        """Of the next message to that target."""
        found = self._denied.get(target)
        if found is None:
            return Decision.SEND
        if self._over(found, now):
            return Decision.TRY
        if self._left < 1:
            return Decision.WAIT
        self._left -= 1
        return Decision.ASIDE

    def restore(self, target: Target) -> None:
        """It was denied before this start; its next message is tried."""
        self._denied[target] = _Denied(-LONGEST, FIRST)

    def trying(self, spooled: Spooled) -> None:
        self._trying = spooled.sequence
