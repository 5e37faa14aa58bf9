"""The core's side of fleet status: told at its first connect, at later ones, after deployments, as components change,
and once a day.

By MQTT and past the spool, as AWS's nucleus does: what waits there for hours would be told too late. What cannot be
told is told at the next connect, with the last deployment that was not; nothing of it outlives the process but the
sequence number.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from littoral import __version__
from littoral.core.fleetstatus.message import TOPIC, WHOLE, Component, Trigger, messages
from littoral.core.link import Link, LinkDown
from littoral.core.nucleusparts import FLEET, every
from littoral.store.contract import StoreError
from littoral.store.documents import Documents

log = logging.getLogger(__name__)

KEY: Final = "fleet-status"
GAP: Final = 3.0  # seconds between messages of changes, which come in swarms
SELDOM: Final = 60.0  # seconds in which another connect has nothing new to tell


class FleetStatusService:
    """``components`` says what there is, ``platform`` what this device is. ``play`` it, then tell it."""

    def __init__(self, thing: str, documents: Documents, link: Link, platform: Mapping[str, str]) -> None:
        self.components: Callable[[], Sequence[Component]] = tuple
        self._thing = thing
        self._documents = documents
        self._link = link
        self._platform = platform
        self._launched = False
        self._sequence: int | None = None
        self._told: Mapping[str, Component] = {}
        self._told_at = -SELDOM
        self._deployed: tuple[Trigger, dict[str, Any]] | None = None  # that is not told yet
        self._change = asyncio.Event()
        self._lock = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        link.on_connected(self._connected)

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        await self.close()
        daily = self._follow_days(every((configuration or {}).get(FLEET)))
        self._tasks = [asyncio.create_task(each) for each in (daily, self._follow_changes())]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def changed(self) -> None:
        """The state of a component is another."""
        self._change.set()

    async def deployed(self, trigger: Trigger, information: dict[str, Any]) -> None:
        """A deployment has ended so."""
        self._deployed = trigger, information
        await self._tell_what_is_new("RECONNECT")

    async def _connected(self) -> None:
        """Raises LinkDown."""
        if not self._launched:
            await self._tell("NUCLEUS_LAUNCH")
            self._launched = True
        same = self._now() == self._told and time.monotonic() - self._told_at < SELDOM
        if self._deployed is not None or not same:
            await self._tell_new("RECONNECT")

    async def _follow_days(self, interval: float) -> None:
        while True:
            await asyncio.sleep(interval)
            await self._try(self._tell("CADENCE"))

    async def _follow_changes(self) -> None:
        while True:
            await self._change.wait()
            await asyncio.sleep(max(0.0, self._told_at + GAP - time.monotonic()))
            self._change.clear()
            if self._now() != self._told:
                await self._tell_what_is_new("COMPONENT_STATUS_CHANGE")

    async def _tell_what_is_new(self, trigger: Trigger) -> None:
        if self._launched:  # else the first connect tells all
            await self._try(self._tell_new(trigger))

    async def _try(self, telling: Any) -> None:
        try:
            await telling
        except LinkDown as problem:
            log.info("how %s fares is told at the next connect: %s", self._thing, problem)

    async def _tell_new(self, trigger: Trigger) -> None:
        deployed = self._deployed
        await self._tell(*(deployed or (trigger, None)))
        if self._deployed is deployed:
            self._deployed = None

    def _now(self) -> dict[str, Component]:
        return {each.name: each for each in self.components()}

    async def _tell(self, trigger: Trigger, information: dict[str, Any] | None = None) -> None:
        """Raises LinkDown."""
        async with self._lock:
            now = self._now()
            gone = [Component(each.name, each.version, each.state, root=False) for each in self._told.values()]
            gone = [] if trigger in WHOLE else [each for each in gone if each.name not in now]
            head = await self._head(trigger, information, now)
            for message in messages(head, [*now.values(), *gone]):
                await self._link.publish(TOPIC.format(self._thing), message)
            self._told, self._told_at = now, time.monotonic()

    async def _number(self) -> int:
        """Of the next message. A disk that refuses costs the numbers' order over a restart, and no link."""
        if self._sequence is None:
            self._sequence = int((await self._documents.get(KEY) or {}).get("sequence", 0))
        number, self._sequence = self._sequence, self._sequence + 1
        try:
            await self._documents.put(KEY, {"sequence": self._sequence})
        except StoreError as problem:
            log.warning("the number of a fleet status is not kept: %s", problem)
        return number

    async def _head(
        self, trigger: Trigger, information: dict[str, Any] | None, now: Mapping[str, Component]
    ) -> dict[str, Any]:
        number = await self._number()
        broken = any(each.state == "BROKEN" for each in now.values())
        return {
            "ggcVersion": __version__,
            "platform": self._platform["os"],
            "architecture": self._platform["architecture"],
            "thing": self._thing,
            "overallDeviceStatus": "UNHEALTHY" if broken else "HEALTHY",
            "sequenceNumber": number,
            "timestamp": int(time.time() * 1000),
            "messageType": "COMPLETE" if trigger in WHOLE else "PARTIAL",
            "trigger": trigger,
            **({"deploymentInformation": information} if information is not None else {}),
        }
