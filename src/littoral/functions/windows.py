"""Tumbling windows: what a function makes of a shard's records of some seconds, carried from batch to batch. Pure.

Source: Lambda developer guide, "Implementing stateful Kinesis Data Streams processing". Windows begin at multiples of
their length since 1970; a record is of the window in which it arrived. A late one, whose window has been closed, opens
it again with a fresh state.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from littoral.functions.version import iso_time

MAX_STATE = 1024 * 1024  # bytes, as JSON: beyond, the window is handed to the function early


@dataclass(slots=True)
class Window:
    """The open window of a lane."""

    start: int  # Unix seconds
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def too_large(self) -> bool:
        return len(json.dumps(self.state)) > MAX_STATE

    def event(self, seconds: int, shard: str, source: str, *, final: bool, early: bool) -> dict[str, Any]:
        """What an event has beside its records."""
        return {
            "window": {"start": _second(self.start), "end": _second(self.start + seconds)},
            "state": self.state,
            "shardId": shard,
            "eventSourceARN": source,
            "isFinalInvokeForWindow": final,
            "isWindowTerminatedEarly": early,
        }

    def document(self) -> dict[str, Any]:
        return {"start": self.start, "state": self.state}


def window_from(document: Mapping[str, Any] | None) -> Window | None:
    return Window(document["start"], document["state"]) if document else None


def start_of(arrived: float, seconds: int) -> int:
    return int(arrived // seconds) * seconds


def state_of(payload: bytes) -> dict[str, Any] | None:
    """The state that a function returned; None where it returned none, which AWS takes for a failure."""
    answer = json.loads(payload)
    state = answer.get("state") if isinstance(answer, dict) else None
    return state if isinstance(state, dict) else None


def _second(moment: int) -> str:
    return iso_time(moment).replace(".000Z", "Z")
