"""What services of this place tell the event bus, as AWS's own do."""

from __future__ import annotations

import json
import time
from typing import Any

from littoral.schedules import Schedules


class CoreTelemetry:
    """What cores say of their health, as the events that AWS makes of it."""

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def take(self, thing: str, payload: bytes) -> None:
        """Raises ValueError for what is no telemetry."""
        told = json.loads(payload)
        if not isinstance(told, dict) or not isinstance(told.get("ADP"), list):
            raise ValueError("telemetry is an object with a list ADP")  # noqa: TRY004 - of what came, not of a program
        detail = {"ThingName": thing, "Schema": told.get("Schema"), "ADP": told["ADP"]}
        await self._schedules.publish("Greengrass Telemetry Data", "aws.greengrass", time.time(), detail)


class ObjectEvents:
    """What buckets send to EventBridge."""

    def __init__(self, schedules: Schedules) -> None:
        self._schedules = schedules

    async def take(self, event: dict[str, Any]) -> None:
        await self._schedules.publish(
            event["detail-type"],
            "aws.s3",
            event["time"],
            event["detail"],
            resources=event["resources"],
            identity=event["id"],
        )
