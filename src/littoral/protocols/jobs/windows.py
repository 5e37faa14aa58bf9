"""Maintenance windows: when a job may tell further things of itself. One opens by a cron expression, for minutes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from littoral.protocols.schedule import next_after, parse


@dataclass(frozen=True, slots=True)
class Window:
    starts: str  # "cron(…)", UTC
    minutes: int

    def check(self) -> None:
        """Raises ScheduleError."""
        parse(self.starts)

    def open(self, now: float) -> bool:
        begun = next_after(self.starts, now - 60 * self.minutes)
        return begun is not None and begun <= now


def permitted(windows: Sequence[Window], now: float) -> bool:
    """Whether one is open; without windows it is always time."""
    return not windows or any(window.open(now) for window in windows)


def next_opening(windows: Sequence[Window], now: float) -> float | None:
    """When the next one begins."""
    return min((at for window in windows if (at := next_after(window.starts, now)) is not None), default=None)
