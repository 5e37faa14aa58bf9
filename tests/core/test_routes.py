"""Changing what is connected loses nothing that was acknowledged."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from littoral.core.link import Link, Upstream
from littoral.core.recipe import EventSource
from littoral.core.routes import Routes
from littoral.core.spool import Spool
from littoral.core.waiting import PREFIX
from littoral.site.capabilities.core import CoreBroker
from littoral.store.embedded import EmbeddedStore
from littoral.things.access import OpenAccess
from littoral.things.broker import Broker
from littoral.things.message import Publication
from tests.core.test_events import Gate, component, numbers
from tests.core.world import until

STREAM = PREFIX + "ward.vitals"


class Wired:
    def __init__(self, folder: Path, gate: Gate) -> None:
        self.folder = folder
        self.gate = gate

    async def __aenter__(self) -> Wired:
        self.store = await EmbeddedStore.open(self.folder)
        self.broker = Broker(access=OpenAccess(), streams=self.store.streams, records=self.store.records("broker"))
        await self.broker.start()
        spool = await Spool.open(self.store.streams, self.store.records("core"), "core")
        link = Link(Upstream("127.0.0.1", 1), "core", spool)
        functions: Any = self.gate
        self.routes = Routes(CoreBroker(self.broker), link, spool, functions, self.store.streams)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gate.gate.set()
        await self.routes.close()
        await self.broker.close()
        await self.store.close()

    async def publish(self, number: int) -> None:
        await self.broker.publish(Publication("ward/1/wave", json.dumps(number).encode(), 1))


def version(number: int) -> Any:
    made = component(queue=100)
    return replace(made, version=f"{number}.0.0", sources=(EventSource("ward/+/wave", "PUB_SUB"),))


async def test_versions_change_in_the_midst_of_traffic_and_every_event_is_handled_once(tmp_path: Path) -> None:
    gate = Gate()
    async with Wired(tmp_path, gate) as wired:
        await wired.routes.change((version(1),), (), keep={"ward.vitals"})

        async def traffic() -> None:
            for number in range(300):
                await wired.publish(number)

        sending = asyncio.create_task(traffic())
        for number in range(2, 12):
            await until(lambda wanted=number: len(gate.seen) >= 20 * (wanted - 1))
            await wired.routes.change((version(number),), (), keep={"ward.vitals"})
        await sending
        await until(lambda: len(gate.seen) >= 300)
    assert gate.seen == numbers(*range(300))


async def test_a_component_that_cannot_run_keeps_what_waits_and_one_that_is_gone_does_not(tmp_path: Path) -> None:
    gate = Gate(open=False)
    async with Wired(tmp_path, gate) as wired:
        await wired.routes.change((version(1),), (), keep={"ward.vitals"})
        for number in range(5):
            await wired.publish(number)
        await until(lambda: gate.seen == numbers(0))
        gate.gate.set()
        await wired.routes.change((), (), keep={"ward.vitals"})
        waits = 5 - len(gate.seen)
        assert waits >= 3
        await wired.routes.change((version(1),), (), keep={"ward.vitals"})
        await until(lambda: gate.seen == numbers(*range(5)))
    async with Wired(tmp_path, gate) as wired:
        assert await wired.store.streams.names(PREFIX) == [STREAM]
        await wired.routes.change((), (), keep=())  # as after a kill between the two steps of a removal
        assert await wired.store.streams.names(PREFIX) == []
