"""The API of botocore's service ``greengrassv2``, the region's side.

The way of a deployment: CreateDeployment checks it as a whole and keeps it, then writes it as ``desired`` into the
thing's named shadow ``AWSManagedGreengrassV2Deployment``, or for a thing group makes a continuous job of it. The core
finds it there whenever it has a link, fetches
recipes and artifacts by the data plane operations with its certificate, and answers in ``reported``, which the
site hands to ``shadow_changed``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from littoral.core.document import SHADOW, Report, parse_reported
from littoral.core.fleetstatus.message import parse
from littoral.core.ports import Allows, ArtifactObjects, DeploymentJobs, FunctionCatalog, Shadows
from littoral.core.region.clients import ClientDevices
from littoral.core.region.components import Components
from littoral.core.region.deployments import Deployments
from littoral.core.region.devices import CoreDevices
from littoral.core.region.state import State
from littoral.core.region.tags import TagsAndRole
from littoral.store.contract import Records, StoreError

log = logging.getLogger(__name__)


class Greengrass(Components, Deployments, CoreDevices, ClientDevices, TagsAndRole):
    """``allows`` decides what a calling certificate may do on the data plane. ``start`` before the listeners open."""

    def __init__(
        self,
        records: Records,
        shadows: Shadows,
        functions: FunctionCatalog,
        objects: ArtifactObjects,
        jobs: DeploymentJobs,
        allows: Allows,
        clock: Callable[[], float] = time.time,
    ) -> None:
        state = State(records)
        Components.__init__(self, state, functions, objects, allows)
        ClientDevices.__init__(self, state, allows, jobs.is_thing)
        Deployments.__init__(self, state, shadows, jobs)
        CoreDevices.__init__(self, state, jobs)
        TagsAndRole.__init__(self, state)
        self._clock = clock
        self._reports: asyncio.Queue[tuple[str, Report]] = asyncio.Queue()
        self._recorder: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self.deliver_pending()
        self._recorder = asyncio.create_task(self._record_all())

    async def close(self) -> None:
        if self._recorder is not None:
            self._recorder.cancel()
            await asyncio.gather(self._recorder, return_exceptions=True)

    def shadow_changed(self, thing: str, shadow: str, document: Mapping[str, Any] | None) -> None:
        """A listener for every change of a shadow; ``document`` is whole, {"state": {"reported": …}}."""
        if shadow == SHADOW and document is not None:
            reported = (document.get("state") or {}).get("reported")
            if isinstance(reported, dict):
                self._reports.put_nowait((thing, parse_reported(reported)))

    async def fleet_status(self, thing: str, payload: bytes) -> None:
        """What a core publishes to its topic of that; durable on return. Raises ValueError for what is none."""
        await self.record_health(thing, parse(payload), self._clock())

    async def _record_all(self) -> None:
        while True:
            thing, report = await self._reports.get()
            try:
                await self.record(thing, report, self._clock())
            except StoreError:  # the core reports again when it next connects
                log.exception("the report of core %s was not kept", thing)
