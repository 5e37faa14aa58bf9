"""Events before a function: kept before they are acknowledged, in order, bounded, there again after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.invoke import Invocation, InvokeResult
from littoral.aws.service import ServiceError
from littoral.core.events import Feed
from littoral.core.recipe import LambdaComponent, component_of
from littoral.core.waiting import PREFIX, Event, Stopped, Waiting
from littoral.store.contract import StreamFull
from littoral.store.embedded import EmbeddedStore
from tests.core.test_recipe import recipe
from tests.core.world import until

STREAM = PREFIX + "ward.vitals"


def component(queue: int = 1000, instances: int = 1) -> LambdaComponent:
    return component_of(recipe(maxInstancesCount=instances, maxQueueSize=queue))


class Gate:
    """A function that notes what it is given and answers when it may."""

    def __init__(self, *, open: bool = True) -> None:
        self.seen: list[bytes] = []
        self.running = self.most = 0
        self.refusals: list[ServiceError] = []
        self.error: str | None = None
        self.gate = asyncio.Event()
        if open:
            self.gate.set()

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        if self.refusals:
            raise self.refusals.pop(0)
        self.running += 1
        self.most = max(self.most, self.running)
        self.seen.append(invocation.payload)
        await self.gate.wait()
        self.running -= 1
        return InvokeResult(b"{}", self.error)


@asynccontextmanager
async def serving(folder: Path, made: LambdaComponent, gate: Gate | None) -> AsyncIterator[tuple[Waiting, Feed, Any]]:
    """Without a gate nobody takes the events."""
    store = await EmbeddedStore.open(folder)
    waiting = await Waiting.open(store.streams, made)
    feed = Feed(made, gate or Gate(), waiting)  # type: ignore[arg-type]
    if gate is not None:
        feed.start()
    yield waiting, feed, store.streams
    if gate is not None:
        gate.gate.set()
    await feed.close()
    await waiting.close()
    await store.close()


async def put(waiting: Waiting, number: int) -> None:
    kept = waiting.put("t", b"%d" % number, 1)
    assert kept is not None
    await kept


def numbers(*of: int) -> list[bytes]:
    return [b"%d" % number for number in of]


async def test_what_is_acknowledged_is_in_the_stream_and_comes_again_in_order(tmp_path: Path) -> None:
    async with serving(tmp_path, component(), None) as (waiting, feed, streams):
        for number in range(200):
            await put(waiting, number)
            stored = await streams.read(STREAM)
            assert [each.data for each in stored][-1:] == numbers(number)
        assert feed.stats.waiting == 200
    gate = Gate()
    async with serving(tmp_path, component(), gate) as (waiting, feed, streams):
        await asyncio.gather(*(put(waiting, number) for number in range(200, 300)))
        await until(lambda: feed.stats.handled == 300)
        assert gate.seen == numbers(*range(300))
        assert gate.most == 1
    gate = Gate()
    async with serving(tmp_path, component(), gate) as (waiting, feed, streams):
        assert feed.stats.waiting == 0
        await put(waiting, 300)
        await until(lambda: gate.seen == numbers(300))


async def test_an_event_that_the_function_failed_at_is_done(tmp_path: Path) -> None:
    gate = Gate()
    gate.error = "Unhandled"
    async with serving(tmp_path, component(), gate) as (waiting, feed, streams):
        await put(waiting, 1)
        await until(lambda: feed.stats.failed == 1)
        await until(lambda: _empty(streams))
    assert gate.seen == numbers(1)


async def _empty(streams: Any) -> bool:
    return not await streams.read(STREAM)


@pytest.mark.parametrize(("code", "status"), [("TooManyRequestsException", 429), ("ServiceException", 500)])
async def test_what_the_function_could_not_be_given_now_is_given_later(tmp_path: Path, code: str, status: int) -> None:
    gate = Gate()
    gate.refusals = [ServiceError(code, "not now", status=status)]
    async with serving(tmp_path, component(), gate) as (waiting, feed, _):
        await put(waiting, 1)
        await put(waiting, 2)
        await until(lambda: feed.stats.handled == 2)
    assert gate.seen == numbers(1, 2)


async def test_what_the_function_was_never_given_waits_for_the_next_start(tmp_path: Path) -> None:
    gate = Gate()
    gate.refusals = [ServiceError("ServiceException", "no process", status=500) for _ in range(1000)]
    async with serving(tmp_path, component(), gate) as (waiting, feed, _):
        await put(waiting, 1)
        await put(waiting, 2)
        await until(lambda: len(gate.refusals) < 1000)
    gate.refusals.clear()
    async with serving(tmp_path, component(), gate) as (_, feed, _):
        await until(lambda: feed.stats.handled == 2)
    assert gate.seen == numbers(1, 2)


async def test_what_no_function_can_take_is_done(tmp_path: Path) -> None:
    gate = Gate()
    gate.refusals = [ServiceError("InvalidRequestContentException", "no JSON", status=400)]
    async with serving(tmp_path, component(), gate) as (waiting, feed, streams):
        await put(waiting, 1)
        await put(waiting, 2)
        await until(lambda: (feed.stats.failed, feed.stats.handled) == (1, 1))
        await until(lambda: _empty(streams))
    assert gate.seen == numbers(2)


async def test_beyond_the_queue_publishers_are_held_back_then_refused_and_order_holds(tmp_path: Path) -> None:
    gate = Gate(open=False)
    async with serving(tmp_path, component(queue=2), gate) as (waiting, feed, streams):
        for number in (0, 1, 2):  # one in the function's hands, two that wait
            await put(waiting, number)
        await until(lambda: gate.seen == numbers(0))
        held_back = [asyncio.create_task(put(waiting, number)) for number in (3, 4)]
        await until(lambda: feed.stats.waiting == 4)
        with pytest.raises(StreamFull):
            waiting.put("t", b"5", 1)
        assert len(await streams.read(STREAM)) == 3
        assert not any(each.done() for each in held_back)
        gate.gate.set()
        await asyncio.gather(*held_back)
        await until(lambda: feed.stats.handled == 5)
        await put(waiting, 6)
        await until(lambda: feed.stats.handled == 6)
    assert gate.seen == numbers(0, 1, 2, 3, 4, 6)


async def test_nobody_is_held_back_while_the_function_cannot_be_started(tmp_path: Path) -> None:
    no_process = asyncio.Event()

    class Unstartable(Gate):
        async def invoke(self, invocation: Invocation) -> InvokeResult:
            await no_process.wait()
            if len(self.seen) < 2:
                self.seen.append(b"tried")
                raise ServiceError("ServiceException", "no process", status=500)
            return await super().invoke(invocation)

    function = Unstartable()
    async with serving(tmp_path, component(queue=1), function) as (waiting, feed, _):
        await put(waiting, 0)
        await put(waiting, 1)
        held_back = asyncio.create_task(put(waiting, 2))
        await until(lambda: feed.stats.waiting == 2)
        no_process.set()
        with pytest.raises(StreamFull):
            await held_back
        with pytest.raises(StreamFull):
            waiting.put("t", b"3", 1)
        await until(lambda: feed.stats.handled == 2)
        await put(waiting, 4)
        await until(lambda: feed.stats.handled == 3)
    assert function.seen == [b"tried", b"tried", *numbers(0, 1, 4)]


async def test_what_is_held_back_at_the_stop_is_not_acknowledged(tmp_path: Path) -> None:
    async with serving(tmp_path, component(queue=1), None) as (waiting, _, _):
        await put(waiting, 0)
        await put(waiting, 1)
        kept = waiting.put("t", b"2", 1)
        await waiting.close()
        assert kept is not None
        with pytest.raises(Stopped):
            await kept
    gate = Gate()
    async with serving(tmp_path, component(queue=1), gate) as (_, feed, _):
        await until(lambda: feed.stats.handled == 2)
    assert gate.seen == numbers(0, 1)


async def test_qos_0_is_in_memory_only_and_dropped_when_there_is_no_room(tmp_path: Path) -> None:
    gate = Gate(open=False)
    async with serving(tmp_path, component(queue=2), gate) as (waiting, feed, streams):
        waiting.put("t", b"0", 0)
        await until(lambda: gate.seen == numbers(0))
        for number in (1, 2, 3):
            assert waiting.put("t", b"%d" % number, 0) is None
        assert (feed.stats.waiting, feed.stats.dropped) == (2, 1)
        assert await _empty(streams)
        gate.gate.set()
        await until(lambda: feed.stats.handled == 3)
    assert gate.seen == numbers(0, 1, 2)


async def test_instances_run_side_by_side(tmp_path: Path) -> None:
    gate = Gate(open=False)
    async with serving(tmp_path, component(instances=3), gate) as (waiting, feed, _):
        for number in range(5):
            await put(waiting, number)
        await until(lambda: gate.running == 3)
        gate.gate.set()
        await until(lambda: feed.stats.handled == 5)
    assert gate.most == 3


async def test_another_version_takes_over_what_waits_and_a_larger_queue_lets_in_who_was_held_back(
    tmp_path: Path,
) -> None:
    gate = Gate(open=False)
    async with serving(tmp_path, component(queue=1), gate) as (waiting, feed, _):
        await put(waiting, 0)
        await put(waiting, 1)
        held_back = asyncio.create_task(put(waiting, 2))
        await until(lambda: feed.stats.waiting == 2)
        await waiting.resize(component(queue=5))
        await held_back
        closing = asyncio.create_task(feed.close())
        await until(lambda: gate.seen == numbers(0))
        gate.gate.set()
        await closing
        successor = Feed(component(queue=5), gate, waiting)  # type: ignore[arg-type]
        successor.start()
        await until(lambda: successor.stats.waiting == 0)
        await successor.close()
    assert gate.seen == numbers(0, 1, 2)


async def test_forgotten_events_are_gone_and_nobody_waits_for_them(tmp_path: Path) -> None:
    async with serving(tmp_path, component(queue=1), None) as (waiting, _, streams):
        await put(waiting, 0)
        await put(waiting, 1)
        kept = waiting.put("t", b"2", 1)
        await waiting.close(forget=True)
        assert kept is not None
        await kept
        assert await streams.names(PREFIX) == []
        again = await Waiting.open(streams, component())
        assert again.count == 0
        await put(again, 7)
        assert await again.take() == Event("t", b"7", 1)
        await again.close()
