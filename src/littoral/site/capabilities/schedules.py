"""Handed to rules and schedules: their targets."""

from __future__ import annotations

from littoral.aws.invoke import Invocation
from littoral.aws.service import ServiceError
from littoral.functions import Functions
from littoral.streams import StreamStore


class ScheduleTargets:
    """For rules and schedules: functions, by their durable queue, and data streams."""

    def __init__(self, functions: Functions, streams: StreamStore) -> None:
        self._functions = functions
        self._streams = streams

    def accepts(self, arn: str) -> bool:
        return arn.startswith("arn:aws:lambda:") or self._streams.accepts(arn)

    async def deliver(self, arn: str, payload: bytes, *, key: str, service: str | None, source: str) -> None:
        if not arn.startswith("arn:aws:lambda:"):
            await self._streams.put(arn, payload, key)
            return
        if service is not None and not self._functions.may_invoke(arn, service=service, source_arn=source):
            raise ServiceError("AccessDeniedException", f"{service} may not invoke {arn} for {source}", status=403)
        await self._functions.invoke_async(Invocation(arn, payload))
