"""What the edge knows of an answer beyond its headers, for those who write logs of it. Never sent to anybody."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

SHIELD_HIT = "OriginShieldHit"
GENERATED = "MissGeneratedResponse"


@dataclass(slots=True)
class Told:
    """Put on a response as its ``note``. Seconds count from when this request began to ask the origin."""

    detail: str = ""  # x-edge-detailed-result-type, where X-Cache does not say it
    first: float = -1.0  # until the origin's answer began; below 0: it was not asked for this request
    last: float = -1.0  # until the origin's answer was there
    origin: str = ""  # domain
    reason: str = ""  # why that origin was asked and not the first
    served: str = ""  # domain of the distribution that answered, where it is not the one that Host names
    received: int = -1  # bytes that the viewer of a WebSocket sent; below 0: there was none
    began: float = field(default_factory=time.perf_counter)

    def answered(self) -> float:
        """The origin's answer begins. Returns the seconds until now."""
        self.first = time.perf_counter() - self.began
        return self.first

    def ended(self) -> None:
        self.last = time.perf_counter() - self.began
