"""Entries on their way into the log group: formed at once, written behind.

What is logged must not hold up what it tells of: entries wait in memory and are put into the group once a second.
Beyond ``MOST`` that wait new ones are dropped and counted; what a killed place had not written is lost.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import uuid
from collections.abc import Callable
from typing import Any, Final

from littoral.aws.service import ServiceError
from littoral.store.contract import StoreError
from littoral.things.iotlogs.levels import Levels, Who
from littoral.things.names import Names
from littoral.things.rules import LogSink

log = logging.getLogger(__name__)

GROUP: Final = "AWSIotLogsV2"
MOST: Final = 10_000  # entries that wait
PAUSE: Final = 1.0  # seconds between two writes


class IotLogs:
    """Without a sink nothing is kept."""

    def __init__(self, levels: Levels, names: Names, clock: Callable[[], float], sink: LogSink | None) -> None:
        self.levels = levels
        self.dropped = 0
        self._account = names.account
        self._clock = clock
        self._sink = sink
        self._waiting: list[tuple[int, str]] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._sink is not None:
            self._task = asyncio.create_task(self._run(), name="AWSIotLogsV2")

    async def close(self) -> None:
        """What waits is written, if the disk lets it be."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
            await self._write()

    def note(self, level: str, event: str, who: Who, *, trace_id: str = "", **more: Any) -> None:
        """``more`` in the names of the log's attributes; None is left out. An ERROR is a failure."""
        if self._sink is None or not self.levels.wants(level, who):
            return
        if len(self._waiting) >= MOST:
            self.dropped += 1
            return
        now = self._clock()
        when = datetime.datetime.fromtimestamp(now, datetime.UTC)
        entry = {
            "timestamp": f"{when:%Y-%m-%d %H:%M:%S}.{when.microsecond // 1000:03}",
            "logLevel": level,
            "traceId": trace_id or str(uuid.uuid4()),
            "accountId": self._account,
            "status": "Failure" if level == "ERROR" else "Success",
            "eventType": event,
            **{name: value for name, value in more.items() if value is not None},
        }
        self._waiting.append((int(now * 1000), json.dumps(entry)))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            await self._write()

    async def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting or self._sink is None:
            return
        stream = f"{datetime.datetime.fromtimestamp(self._clock(), datetime.UTC):%Y/%m/%d}"
        try:
            try:
                await self._sink.put(GROUP, stream, waiting)
            except ServiceError:  # not there yet, or deleted
                await self._sink.ensure(GROUP)
                await self._sink.put(GROUP, stream, waiting)
        except (ServiceError, StoreError) as problem:
            self.dropped += len(waiting)
            log.warning("%d entries of %s are lost: %s", len(waiting), GROUP, problem)
