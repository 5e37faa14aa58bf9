"""From answered requests to log objects: lines are gathered a minute in memory, then put into their bucket.

Best effort, as S3's own: a place that is killed loses a minute at most; what its bucket does not take is tried again,
and beyond MOST lines the oldest go.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from littoral.aws.service import ServiceError
from littoral.net.ongoing import Ongoing
from littoral.objects.events import Origin
from littoral.objects.facts import Facts
from littoral.objects.serverlogs.line import Access, line

log = logging.getLogger("littoral.objects")
EVERY = 60.0  # seconds
MOST = 100_000  # lines of a bucket that may wait

Put = Callable[[str, str, bytes, Facts, Origin], Awaitable[object]]


class ServerLogs(Ongoing):
    """``start`` and ``close`` it. ``configured`` has the buckets that log, with their LoggingEnabled as kept."""

    def __init__(
        self, configured: Mapping[str, str], put: Put, region: str, account: str, clock: Callable[[], float]
    ) -> None:
        self._configured = configured
        self._put = put
        self._region = region
        self._account = account
        self._clock = clock
        self._lines: dict[tuple[str, str], list[str]] = defaultdict(list)  # by bucket and day

    async def close(self) -> None:
        if self._task is not None:
            await super().close()
            await self.deliver()

    def note(self, access: Access) -> None:
        day = time.strftime("%Y-%m-%d", time.gmtime(access.at))
        lines = self._lines[access.bucket, day]
        lines.append(line(access))
        if len(lines) > MOST:
            del lines[: MOST // 10]
            log.warning("server access logs of %s wait for their bucket; the oldest are lost", access.bucket)

    async def _work(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            await self.deliver()

    async def deliver(self) -> None:
        """All that was noted, an object for each bucket and day."""
        waiting, self._lines = self._lines, defaultdict(list)
        for (bucket, day), lines in waiting.items():
            kept = self._configured.get(bucket)
            if kept is None:
                continue
            target = json.loads(kept)
            data = ("\n".join(lines) + "\n").encode("ascii", "backslashreplace")
            key = _key(target, bucket, day, self._clock(), self._region, self._account)
            origin = Origin("s3-log-service", "127.0.0.1", "LOGDELIVERY", self._clock())
            try:
                await self._put(target["TargetBucket"], key, data, Facts({"ContentType": "text/plain"}), origin)
            except ServiceError as problem:
                log.warning("server access logs of %s were not delivered: %s", bucket, problem)
                self._lines[bucket, day] = lines + self._lines[bucket, day]


def _key(target: Mapping[str, Any], bucket: str, day: str, now: float, region: str, account: str) -> str:
    prefix, form = target.get("TargetPrefix") or "", target.get("TargetObjectKeyFormat") or {}
    stamp, unique = time.strftime("%Y-%m-%d-%H-%M-%S", time.gmtime(now)), secrets.token_hex(8).upper()
    partitioned = form.get("PartitionedPrefix")
    if partitioned is None:
        return f"{prefix}{stamp}-{unique}"
    if partitioned.get("PartitionDateSource") == "EventTime":
        stamp = f"{day}-00-00-00"
    return f"{prefix}{account}/{region}/{bucket}/{stamp[:10].replace('-', '/')}/{stamp}-{unique}"
