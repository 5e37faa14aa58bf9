"""The location's side: refusals of the guard become attacks, in constant memory.

An attack is a run of refusals without a quiet minute among them, once it has come to a hundred: below that it is a
client that was too quick. Nothing is decided by it. Host names are the attacker's to choose, so only those of
distributions are counted.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from littoral.protocols.shield import Contributors

LEAST = 100  # refusals
QUIET = 60.0  # seconds without one that end an attack
TELL = 10.0  # seconds between two words of one that goes on
TOP = 20  # contributors that are told


@dataclass(slots=True)
class Vector:
    """The refusals of one name."""

    sum: int = 0
    max: int = 0  # of a second
    seconds: int = 0  # in which there were any

    def second(self, count: int) -> None:
        self.sum += count
        self.max = max(self.max, count)
        self.seconds += 1


@dataclass(slots=True)
class Run:
    began: float
    latest: float
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    total: int = 0
    told: float = 0.0
    vectors: dict[str, Vector] = field(default_factory=dict)
    clients: Contributors = field(default_factory=Contributors)
    distributions: Counter[str] = field(default_factory=Counter)

    def document(self, *, ended: bool) -> dict[str, Any]:
        vectors = {name: {"sum": v.sum, "max": v.max, "seconds": v.seconds} for name, v in self.vectors.items()}
        most = self.distributions.most_common(1)
        return {
            "id": self.id,
            "start": self.began,
            "end": self.latest if ended else None,
            "distribution": most[0][0] if most else "",
            "total": self.total,
            "vectors": vectors,
            "contributors": self.clients.top(TOP),
        }


class Watch:
    """Told of each refusal; asked once a second for a word to the region."""

    def __init__(self, clock: Callable[[], float], distribution_of: Callable[[str], str]) -> None:
        """``distribution_of`` is the id behind a host name, or ""."""
        self._clock = clock
        self._distribution_of = distribution_of
        self._run: Run | None = None
        self._second: Counter[str] = Counter()

    def refused(self, why: str, client: str, host: str = "") -> None:
        """``host`` is what a request asked for; a connection has not said it yet."""
        run = self._run
        if run is None:
            now = self._clock()
            run = self._run = Run(now, now)
        run.total += 1
        run.clients.add(client)
        self._second[why] += 1
        if host:
            identifier = self._distribution_of(host)
            if identifier:
                run.distributions[identifier] += 1

    def report(self) -> dict[str, Any] | None:
        """The attack under way where there is news of it, or one that is over."""
        run, now = self._run, self._clock()
        if run is None:
            return None
        for name, count in self._second.items():
            run.vectors.setdefault(name, Vector()).second(count)
        if self._second:
            run.latest = now
            self._second = Counter()
        ended = now - run.latest >= QUIET
        if ended:
            self._run = None
        news = ended or (run.latest > run.told and now - run.told >= TELL)
        if run.total < LEAST or not news:
            return None
        run.told = now
        return run.document(ended=ended)
