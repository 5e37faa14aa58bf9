"""What functions used, by day: requests, billed milliseconds, GB-seconds. Durable; no prices.

Owns: the documents ``day/<2026-11-23>/<function>`` of the bucket "functions-usage". Days are UTC.

What an invocation is billed is in its REPORT line: the handler's time and, at a cold start, the init phase (billed for
all runtimes since August 2025), together rounded up to a millisecond, times the function's memory. The sums are
written every two seconds and when the place stops; a killed place loses the sums of those seconds, and counts nothing
twice. What the disk refuses is kept and written with the next. Days are kept for 400 days.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from littoral.functions.tally import Tallies, Tally
from littoral.net.ongoing import Ongoing
from littoral.store.contract import Records, StoreError

log = logging.getLogger(__name__)

WRITE_EVERY = 2.0  # seconds
KEEP_DAYS = 400
MB_MS_IN_GB_SECOND = 1024 * 1000


@dataclass(slots=True)
class Usage:
    """Sums of one function on one day, or of many."""

    requests: int = 0
    errors: int = 0
    throttles: int = 0
    cold: int = 0
    billed_ms: int = 0
    billed_mb_ms: int = 0

    def add(self, other: Usage) -> None:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))

    def less(self, other: Usage) -> Usage:
        return Usage(*(getattr(self, each.name) - getattr(other, each.name) for each in fields(self)))

    @property
    def gb_seconds(self) -> float:
        return self.billed_mb_ms / MB_MS_IN_GB_SECOND

    def document(self) -> dict[str, Any]:
        """For people: sums, with GB-seconds beside the exact megabyte-milliseconds."""
        return {**asdict(self), "gb_seconds": round(self.gb_seconds, 6)}

    @classmethod
    def of(cls, tally: Tally) -> Usage:
        return cls(*(getattr(tally, each.name) for each in fields(cls)))


@dataclass(frozen=True, slots=True)
class Used:
    day: str  # 2026-11-23
    function: str
    usage: Usage


class Meter(Ongoing):
    def __init__(self, records: Records, tallies: Tallies, clock: Callable[[], float]) -> None:
        self._records = records
        self._tallies = tallies
        self._clock = clock
        self._written: dict[int, Usage] = {}  # id of a tally → what of it is in the sums
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """What was counted is durable when it returns, unless the disk refuses."""
        await super().close()
        try:
            await self.write()
        except StoreError as error:
            log.warning("the latest usage of functions could not be written: %s", error)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(WRITE_EVERY)
            try:
                await self.write()
            except StoreError as error:
                log.warning("the usage of functions could not be written, and will be with the next: %s", error)

    async def write(self) -> None:
        """Bring the sums of today up to date. Raises StorageFailed; what was not written is written next time."""
        # Finished even when the caller leaves: half of it would be counted again.
        await asyncio.shield(asyncio.ensure_future(self._write_all()))

    async def _write_all(self) -> None:
        async with self._lock:
            day = day_of(self._clock())
            fresh: dict[str, list[tuple[Tally, Usage]]] = {}
            for tally in self._tallies:
                now = Usage.of(tally)
                if now != self._written.get(id(tally)):
                    fresh.setdefault(tally.function, []).append((tally, now))
            results = await asyncio.gather(
                *(self._write(day, function, some) for function, some in fresh.items()), return_exceptions=True
            )
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _write(self, day: str, function: str, fresh: list[tuple[Tally, Usage]]) -> None:
        key = f"day/{day}/{function}"
        record = await self._records.get(key)
        usage = Usage(**json.loads(record.value)) if record is not None else Usage()
        for tally, now in fresh:
            usage.add(now.less(self._written.get(id(tally), Usage())))
        await self._records.put(key, json.dumps(asdict(usage)).encode())
        for tally, now in fresh:
            self._written[id(tally)] = now

    async def read(self, since: str, until: str) -> list[Used]:
        """By day and function, both days included, this moment's too. Raises StorageFailed."""
        await self.write()
        found: list[Used] = []
        after = f"day/{since}"
        while records := await self._records.scan("day/", after=after):
            for record in records:
                _, day, function = record.key.split("/")
                if day > until:
                    return found
                found.append(Used(day, function, Usage(**json.loads(record.value))))
            after = records[-1].key
        return found

    async def sweep(self) -> None:
        """Forget days that are too old."""
        oldest = day_of(self._clock() - KEEP_DAYS * 86400)
        while records := await self._records.scan("day/"):
            for record in records:
                if record.key.split("/")[1] >= oldest:
                    return
                await self._records.delete(record.key)


def day_of(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def days_ago(moment: float, days: int) -> str:
    return (datetime.fromtimestamp(moment, UTC) - timedelta(days=days)).strftime("%Y-%m-%d")
