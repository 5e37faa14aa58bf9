"""A TCP path with faults in either direction: what the kernel here cannot do itself (it has no netem).

==============  ==========================================================================================
delay           every piece comes so many seconds later, in order
rate            bytes a second
stall           nothing passes until it ends; then all does, as when TCP has sent again what was lost
swallow         what is sent is taken and never arrives, not afterwards either: the path is half open
==============  ==========================================================================================
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Self


@dataclass(slots=True)
class Direction:
    delay: float = 0.0
    rate: float = 0.0  # 0: any
    swallow: bool = False
    passing: asyncio.Event = field(default_factory=asyncio.Event)
    passed: int = 0  # bytes

    def stall(self, stalled: bool) -> None:
        self.passing.clear() if stalled else self.passing.set()


class FaultyPath:
    """Forwards to ``127.0.0.1:target``; ``up`` is towards it. Connections end together with the path."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.up, self.down = Direction(), Direction()
        self.up.passing.set()
        self.down.passing.set()
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        pumps = [
            asyncio.create_task(_pump(self.up, reader, far_writer)),
            asyncio.create_task(_pump(self.down, far_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            writer.transport.abort()
            far_writer.transport.abort()
            self._tasks.discard(task)


async def _pump(direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    lost = False  # what missed one byte can never go on
    while data := await reader.read(4096):
        lost = lost or direction.swallow
        if lost:
            continue
        if direction.delay:
            await asyncio.sleep(direction.delay)
        if direction.rate:
            await asyncio.sleep(len(data) / direction.rate)
        await direction.passing.wait()
        writer.write(data)
        direction.passed += len(data)
        await writer.drain()
