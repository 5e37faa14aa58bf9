"""What is done with many things at once: jobs, provisioning, the index; opened and started together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from littoral.store.contract import Records
from littoral.things.access import Client
from littoral.things.asked import AskedFunctions
from littoral.things.events import SETTING, Events
from littoral.things.indexing import Follow, Index, Membership
from littoral.things.jobs import JobObjects, JobRequests, Jobs, Progress
from littoral.things.names import Names
from littoral.things.provisioning import Joining, Provisioning, ProvisioningRequests
from littoral.things.provisioning.bulk import BulkRegistration
from littoral.things.registry import Registry
from littoral.things.registry.events import RegistryEvents
from littoral.things.shadows import Shadows

Publish = Callable[[str, bytes], Awaitable[None]]


class Fleet:
    """``publish`` sends a message on a topic, ``follow`` has presence events come, ``functions`` are asked by
    provisioning templates."""

    def __init__(
        self,
        records: Records,
        registry: Registry,
        names: Names,
        publish: Publish,
        shadows: Shadows,
        follow: Follow,
        clock: Callable[[], float],
        functions: AskedFunctions | None = None,
        *,
        objects: JobObjects | None = None,
    ) -> None:
        self._registry = registry
        self.events = Events(publish)
        RegistryEvents(registry, names, self.events, clock)
        self.jobs = Jobs(records, names, publish, clock, self.events, objects)
        self.progress = Progress(self.jobs, registry, names, records)
        self.provisioning = Provisioning(records, registry, names, clock, functions or AskedFunctions())
        self.bulk = BulkRegistration(records, clock, objects)
        self.index = Index(registry, shadows, follow)
        self.membership = Membership(registry, self.index)
        self.job_requests = JobRequests(self.jobs)
        self.provisioning_requests = ProvisioningRequests(self.provisioning)
        self._joining = Joining(registry, self.provisioning, names, publish, clock)

    async def open(self) -> None:
        await self.jobs.open()
        kept = await self._registry.settings.get(SETTING)
        if kept is not None:
            self.events.enabled = kept["enabled"]
        await self.progress.open()
        await self.provisioning.open()
        await self.bulk.open()
        await self.index.open()

    def start(self) -> None:
        self.events.start()
        self.progress.start()
        self.provisioning.start()
        self.bulk.start()
        self.membership.start()

    async def close(self) -> None:
        await self.progress.close()
        await self.bulk.close()
        await self.provisioning.close()
        await self.membership.close()
        await self.events.close()

    def stranger(self, client: Client, spawn: Callable[..., object]) -> None:
        """Who was refused, for its certificate is not known here, may be on its way in."""
        if self._joining.concerns(client):
            spawn(self._joining.join(client))
