"""Scaling out by concurrency, within the place's memory, and fair between functions."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from littoral.functions.capacity import GUESS, Capacity, affordable_memory
from littoral.functions.slots import STARVING
from tests.functions.deploy import Place, call, place_in

MIB = 1024 * 1024
# The handler connects to the test, says which function it is, and returns once the test has let it go.
HELD = (
    "import os, socket\n"
    "def handler(event, context):\n"
    "    with socket.create_connection(('127.0.0.1', event)) as gate:\n"
    "        gate.sendall(context.function_name.encode() + b'\\n')\n"
    "        return gate.recv(1).decode()\n"
)


@dataclass
class Held:
    function: str
    gate: asyncio.StreamWriter


class Gates:
    """Where held handlers wait, one connection each."""

    def __init__(self) -> None:
        self._held: asyncio.Queue[Held] = asyncio.Queue()

    async def __aenter__(self) -> Gates:
        async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._held.put(Held((await reader.readline()).decode().strip(), writer))

        self._server = await asyncio.start_server(hold, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def held(self, count: int) -> list[Held]:
        return [await self._held.get() for _ in range(count)]


def let_go(held: list[Held]) -> None:
    for each in held:
        each.gate.write(b"x")
        each.gate.close()


def start(place: Place, gates: Gates, count: int, name: str = "f") -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(place.invoke(gates.port, name)) for _ in range(count)]


async def test_a_burst_of_two_hundred_has_no_error_and_goes_to_zero_again(place: Place) -> None:
    await place.python("import time\ndef handler(e, c):\n    time.sleep(0.1)\n    return e", timeout=60)
    answers = await asyncio.gather(*(place.invoke(n) for n in range(200)))
    assert [(each.error, each.result) for each in answers] == [(None, n) for n in range(200)]
    scheduler = place.functions._parts.scheduler
    (pool,) = scheduler._pools.values()
    while pool.starting:  # started for those whom another took
        await asyncio.sleep(0.01)
    scheduler.reap(time.monotonic() + 1000)
    assert place.functions.stats()["idle"] == 0
    assert scheduler._capacity.used == 0


async def test_instances_stay_within_the_memory_of_the_place(tmp_path: Path) -> None:
    async with place_in(tmp_path, memory=3 * GUESS) as place, Gates() as gates:
        await place.python(HELD, timeout=60)
        await place.python(HELD, "other", timeout=60)
        running = start(place, gates, 3)
        held = await gates.held(3)
        with pytest.raises(ServiceError) as caught:
            await place.invoke(gates.port, "other")
        assert (caught.value.code, caught.value.fields["Reason"]) == (
            "TooManyRequestsException",
            "ConcurrentInvocationLimitExceeded",
        )
        let_go(held)
        await asyncio.gather(*running)
        assert place.functions.stats()["idle"] == 3
        running = start(place, gates, 2, "other")  # what is idle makes room
        let_go(await gates.held(2))
        await asyncio.gather(*running)
        assert place.functions.stats()["idle"] == 3


async def test_an_instance_counts_with_what_it_was_seen_to_take(tmp_path: Path) -> None:
    async with place_in(tmp_path, memory=3 * GUESS) as place, Gates() as gates:
        large = "kept = bytearray(3 * 48 * 1024 * 1024)\nfor at in range(0, len(kept), 4096): kept[at] = 1\n" + HELD
        await place.python(large, timeout=60, memory_size=512)
        (first,) = start(place, gates, 1)  # one always fits, however large it turns out to be
        let_go(await gates.held(1))
        assert (await first).result == "x"
        assert place.functions._parts.scheduler._capacity.used > 3 * GUESS
        await place.python("def handler(e, c): return 1", "small")
        assert (await place.invoke({}, "small")).result == 1
        assert place.functions.stats()["idle"] == 1  # the large one had to go
        assert place.functions._parts.scheduler._capacity.used == pytest.approx(GUESS, rel=0.9)


async def test_a_refused_function_gets_its_share_before_others_get_more(tmp_path: Path) -> None:
    async with place_in(tmp_path, concurrency=4) as place, Gates() as gates:
        for name in ("greedy", "modest"):
            await place.python(HELD, name, timeout=60)
        running = start(place, gates, 4, "greedy")
        held = await gates.held(4)
        with pytest.raises(ServiceError):
            await place.invoke(gates.port, "modest")
        let_go(held[:1])
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        with pytest.raises(ServiceError):  # three of four are more than half
            await place.invoke(gates.port, "greedy")
        running += start(place, gates, 1, "modest")
        held += await gates.held(1)
        let_go(held[1:2])
        await asyncio.wait([task for task in running if not task.done()], return_when=asyncio.FIRST_COMPLETED)
        running += start(place, gates, 1, "greedy")  # nobody waits any more: the slot is whose it is
        held += await gates.held(1)
        let_go(held[2:])
        assert {(await each).result for each in running} == {"x"}


async def test_asynchronous_events_of_functions_take_turns(tmp_path: Path) -> None:
    async with place_in(tmp_path, deliveries=1) as place, Gates() as gates:
        for name in ("many", "few"):
            await place.python(HELD, name, timeout=60)
        event = str(gates.port).encode()
        for name in ("many",) * 6 + ("few",):
            await place.api.invoke(call(), function_name=name, invocation_type="Event", payload=event)
        order = []
        for _ in range(7):
            held = await gates.held(1)
            order.append(held[0].function)
            let_go(held)
        assert order.index("few") <= 2
        assert sorted(order) == ["few"] + ["many"] * 6


async def test_a_function_that_asks_no_more_is_not_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    scheduler = place.functions._parts.scheduler
    scheduler.slots._starving["gone"] = time.monotonic() - STARVING
    await place.python("def handler(e, c): return 1")
    assert (await place.invoke()).result == 1
    assert scheduler.slots._starving == {}


def test_capacity_never_counts_more_than_the_memory_size() -> None:
    capacity = Capacity(10 * GUESS)
    assert capacity.expected("f:1:r", 128 * MIB) == GUESS
    assert capacity.expected("f:1:r", 32 * MIB) == 32 * MIB
    capacity.saw("f:1:r", 200 * MIB)
    capacity.saw("f:1:r", 100 * MIB)
    assert (capacity.expected("f:1:r", 512 * MIB), capacity.expected("f:1:r", 128 * MIB)) == (200 * MIB, 128 * MIB)
    capacity.forget("f:1:r")
    assert capacity.expected("f:1:r", 512 * MIB) == GUESS


def test_a_machine_affords_something() -> None:
    assert affordable_memory() > GUESS
