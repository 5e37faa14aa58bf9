"""What a behaviour's plan knows of real-time logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from littoral.edge.plan.document import Document


@dataclass(frozen=True, slots=True)
class RealtimeLog:
    fields: tuple[str, ...]  # in the order of a record
    rate: int  # of a hundred requests
    stream: str  # ARN


def realtime_of(behaviour: Document, policies: Mapping[str, Any]) -> RealtimeLog | None:
    """``policies`` holds real-time log configurations by ARN."""
    arn = behaviour.get("RealtimeLogConfigArn")
    if not arn:
        return None
    config = policies[arn]
    stream = config["EndPoints"][0]["KinesisStreamConfig"]["StreamARN"]
    return RealtimeLog(tuple(config["Fields"]), int(config["SamplingRate"]), stream)
