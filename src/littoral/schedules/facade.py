"""``Schedules``: the capability as the site sees it.

schedules = await Schedules.open(store, targets, region="us-east-1", account="000000000000")
await schedules.start()
schedules.events, schedules.scheduler      # for botocore's services of those names
await schedules.close()
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

from littoral.schedules.api import EventsApi, SchedulerApi
from littoral.schedules.jobs import Jobs
from littoral.schedules.outbox import Outbox, Targets
from littoral.schedules.rules import Rules
from littoral.store.contract import Records, Streams


class Store(Protocol):
    @property
    def streams(self) -> Streams: ...

    def records(self, bucket: str) -> Records: ...


class Schedules:
    """Made by ``open``."""

    def __init__(self, outbox: Outbox, rules: Rules, jobs: Jobs, targets: Targets) -> None:
        self._outbox = outbox
        self._rules = rules
        self._jobs = jobs
        self.events = EventsApi(rules, targets)
        self.scheduler = SchedulerApi(jobs, targets)

    @classmethod
    async def open(
        cls,
        store: Store,
        targets: Targets,
        *,
        region: str,
        account: str,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Load what is stored; nothing fires before ``start``."""
        outbox = Outbox(store.streams, targets, clock)
        await outbox.open()
        records = store.records("schedules")
        rules = Rules(records, outbox, clock, region=region, account=account)
        jobs = Jobs(records, outbox, clock, region=region, account=account)
        await rules.load()
        await jobs.load()
        return cls(outbox, rules, jobs, targets)

    async def start(self) -> None:
        self._outbox.start()
        self._rules.timekeeper.start()
        self._jobs.timekeeper.start()

    async def close(self) -> None:
        await self._rules.timekeeper.close()
        await self._jobs.timekeeper.close()
        await self._outbox.close()

    async def publish(
        self,
        detail_type: str,
        source: str,
        at: float,
        detail: Any,
        *,
        resources: Sequence[str] = (),
        identity: str | None = None,
    ) -> None:
        """An event of a service of this place: what a rule wants is durable for its targets when this returns."""
        name = identity or str(uuid.uuid4())
        await self._rules.publish([self._rules.event(name, detail_type, source, at, list(resources), detail)])

    def look(self) -> None:
        """The clock was set: see what is due now, not at the next look."""
        self._rules.timekeeper.wake()
        self._jobs.timekeeper.wake()
