"""The store alone: publishes, puts and drains, beside an idle and beside a busy loop. There is no peer to compare with.

flock /tmp/bench.lock .venv/bin/python bench/bench_store.py
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from littoral.store.contract import Outgoing
from littoral.store.embedded import EmbeddedStore

SECONDS = 3.0
CALLERS = 200


async def rate(step: Callable[[int], Awaitable[object]], callers: int) -> float:
    """Calls a second of ``callers`` that each await one call after the other."""
    begun = time.perf_counter()
    count = 0

    async def caller() -> None:
        nonlocal count
        while time.perf_counter() < begun + SECONDS:
            count += 1
            await step(count)

    await asyncio.gather(*(caller() for _ in range(callers)))
    return count / (time.perf_counter() - begun)


async def keep_busy() -> None:
    """A loop that works in pieces of 0.8 ms with a system call between."""
    while True:
        begun = time.perf_counter()
        while time.perf_counter() < begun + 0.0008:
            pass
        await asyncio.sleep(0)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = await EmbeddedStore.open(Path(folder))
        await store.streams.create("s")
        records, data = store.records("b"), b"x" * 200

        async def publish(number: int) -> object:
            return await store.streams.publish("s", [Outgoing(data, f"{number}/{time.perf_counter()}")])

        async def put(number: int) -> object:
            return await records.put(f"k{number % 10_000}", data)

        print(f"publish, 1 caller:                  {await rate(publish, 1):9,.0f} /s")
        print(f"publish, {CALLERS} callers:               {await rate(publish, CALLERS):9,.0f} /s")
        busy = asyncio.create_task(keep_busy())
        print(f"publish, {CALLERS} callers, busy loop:    {await rate(publish, CALLERS):9,.0f} /s")
        busy.cancel()
        print(f"put, {CALLERS} callers:                   {await rate(put, CALLERS):9,.0f} /s")
        consumer = await store.streams.consumer("s", "c")
        begun, drained = time.perf_counter(), 0
        while time.perf_counter() < begun + SECONDS and (messages := await consumer.fetch(500)):
            await consumer.ack([message.sequence for message in messages])
            drained += len(messages)
        print(f"fetch and acknowledge 500 at a time: {drained / (time.perf_counter() - begun):8,.0f} /s")
        await store.close()


uvloop.run(main())
