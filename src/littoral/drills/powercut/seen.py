"""What was seen of the cuts. Facts only."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    seed: int = 1
    size: int = 768 * 1024**2  # bytes of the disk
    least: float = 0.3  # seconds of load before a cut
    most: float = 2.0


@dataclass(frozen=True, slots=True)
class Round:
    load: float  # seconds until the cut
    objects: int  # changes acknowledged in it
    records: int
    invocations: int
    ready: float  # seconds from the start to ready, afterwards


@dataclass(slots=True)
class Seen:
    plan: Plan
    rounds: list[Round] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # of objects
    records: dict[str, int] = field(default_factory=dict)  # accepted, lost, doubled, disordered
    invocations: dict[str, int] = field(default_factory=dict)  # accepted, never run
