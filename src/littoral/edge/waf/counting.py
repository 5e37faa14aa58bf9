"""The rate-based rules of a web ACL alone: all that is asked of a request that no other rule matches.

Where each of them counts by the client's address and nothing else, they need not even a view of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from littoral.edge.waf.ladder import Step
from littoral.edge.waf.ratelimit import SlidingWindow
from littoral.edge.waf.verdict import Verdict
from littoral.edge.waf.view import View


@dataclass(slots=True)
class Counter:
    """A rule: ``step`` counts a request and acts beyond the limit. ``act`` is what it does there."""

    step: Step
    act: Step
    window: SlidingWindow
    limit: int
    by_address: bool  # by nothing else, and any request


class Counting:
    """In the order of priority."""

    def __init__(self, counters: Sequence[Counter]) -> None:
        self.steps = tuple(each.step for each in counters)
        self.by_address = all(each.by_address for each in counters)
        self._acts = tuple(each.act for each in counters)
        self._windows = tuple(enumerate((each.window.hit, each.limit) for each in counters))

    def exceeded(self, address: str, now: float) -> int | None:
        """Count one request of that address; the place of the first rule that it exceeds, which ``beyond`` goes on
        from. Only where all are ``by_address``."""
        for place, (hit, limit) in self._windows:
            if hit(address, now) > limit:
                return place
        return None

    def beyond(self, view: View, place: int) -> Verdict | None:
        """What comes of a request that exceeded the limit of the rule at ``place``."""
        return self._acts[place](view) or self.climb(view, place + 1)

    def climb(self, view: View, first: int = 0) -> Verdict | None:
        """The first verdict of the rules from that place on."""
        for step in self.steps[first:]:
            verdict = step(view)
            if verdict is not None:
                return verdict
        return None
