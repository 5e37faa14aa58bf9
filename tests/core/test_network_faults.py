"""The link over a bad network: nothing lost, nothing doubled at a region, order; it goes on when the path does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from littoral.core.link import Backoff, Link, Upstream
from littoral.core.session import Timing
from littoral.core.spool import Spool
from littoral.net.listen import listen_stream
from littoral.store.embedded import EmbeddedStore
from littoral.things.access import OpenAccess
from littoral.things.duplicates import Duplicates, OnceBroker
from littoral.things.message import Publication
from tests.core.faultypath import FaultyPath
from tests.core.world import until

COUNT = 300


class Ends:
    """A core's spool and link, a path with faults, and a region's broker."""

    def __init__(self, path: FaultyPath, spool: Spool, link: Link, arrived: list[int]) -> None:
        self.path = path
        self.spool = spool
        self.link = link
        self.arrived = arrived

    async def put(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            await self.spool.put("ward/1", b"%d" % number + b" " * 200)


@pytest.fixture
async def ends(tmp_path: Path) -> AsyncIterator[Ends]:
    async with opened(tmp_path) as made:
        yield made


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Ends]:
    above, below = await EmbeddedStore.open(folder / "above"), await EmbeddedStore.open(folder / "below")
    broker = OnceBroker(access=OpenAccess(), streams=above.streams, records=above.records("broker"))
    broker.duplicates = Duplicates(above.streams)
    await broker.duplicates.open()
    await broker.start()
    arrived: list[int] = []

    def take(publication: Publication) -> None:
        arrived.append(int(publication.payload))

    broker.subscribe("ward/#", take)
    listener = await listen_stream(broker.protocol_factory("plain"))
    async with FaultyPath(listener.port) as path:
        spool = await Spool.open(below.streams, below.records("core"), "core")
        link = Link(
            Upstream("127.0.0.1", path.port),
            "core",
            spool,
            window=50,
            timing=Timing(ping_every=0.2, dead_after=1.0),
            backoff=Backoff(first=0.01, cap=0.1),
        )
        await link.start()
        try:
            yield Ends(path, spool, link, arrived)
        finally:
            await link.close()
    await listener.close(0)
    await broker.close()
    await below.close()
    await above.close()


def up_stalls(path: FaultyPath, on: bool) -> None:
    path.up.stall(on)


def down_stalls(path: FaultyPath, on: bool) -> None:
    path.down.stall(on)


def up_is_swallowed(path: FaultyPath, on: bool) -> None:
    path.up.swallow = on


def down_is_swallowed(path: FaultyPath, on: bool) -> None:
    """The region hears and answers; the core hears nothing: each message comes to the region again."""
    path.down.swallow = on


FAULTS = [up_stalls, down_stalls, up_is_swallowed, down_is_swallowed]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_in_one_direction_loses_and_doubles_nothing(
    ends: Ends, fault: Callable[[FaultyPath, bool], None]
) -> None:
    await ends.put(0, 10)
    await until(lambda: len(ends.arrived) == 10)
    fault(ends.path, True)
    await ends.put(10, COUNT)
    await until(lambda: not ends.link.stats.connected)  # noticed by a ping without an answer
    fault(ends.path, False)
    await until(lambda: len(ends.arrived) >= COUNT + 10, 60)
    await until(lambda: _nothing_waits(ends), 60)
    assert ends.arrived == list(range(COUNT + 10))


async def test_a_slow_and_late_path_only_takes_longer(ends: Ends) -> None:
    ends.path.up.delay = ends.path.down.delay = 0.02
    ends.path.up.rate = 200_000
    await ends.put(0, COUNT)
    await until(lambda: _nothing_waits(ends), 60)
    assert ends.arrived == list(range(COUNT))
    assert ends.path.up.passed > COUNT * 200


async def test_many_short_faults_in_turn(ends: Ends) -> None:
    writing = asyncio.create_task(ends.put(0, COUNT))
    for turn in range(8):
        before = ends.path.up.passed
        await until(lambda before=before: ends.path.up.passed > before, 60)  # type: ignore[misc]
        FAULTS[turn % 4](ends.path, True)
        await asyncio.sleep(0)
        await until(lambda: not ends.link.stats.connected, 60)
        FAULTS[turn % 4](ends.path, False)
    await writing
    await until(lambda: _nothing_waits(ends), 60)
    assert ends.arrived == list(range(COUNT))


async def _nothing_waits(ends: Ends) -> bool:
    return not await ends.spool.pending()
