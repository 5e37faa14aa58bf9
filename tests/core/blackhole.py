"""A path that can be lost the hard way: nothing passes, nothing is refused, nothing is closed."""

from __future__ import annotations

import asyncio
from typing import Self


class BlackHole:
    """A TCP proxy in this loop. What is connected or sent while it swallows never arrives, not afterwards either."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._swallowing = False
        self.port = 0
        self.accepted: list[bool] = []  # whether it could pass, connection by connection
        self.swallowed = 0  # bytes

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def swallow(self) -> None:
        self._swallowing = True

    def restore(self) -> None:
        self._swallowing = False

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self.accepted.append(not self._swallowing)
        try:
            if self._swallowing:
                while data := await reader.read(65536):
                    self.swallowed += len(data)
            else:
                await self._forward(reader, writer)
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        lost = [False]  # what missed one byte can never go on
        try:
            await asyncio.gather(self._pump(reader, far_writer, lost), self._pump(far_reader, writer, lost))
        finally:
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: list[bool]) -> None:
        while data := await reader.read(65536):
            lost[0] = lost[0] or self._swallowing
            if lost[0]:
                self.swallowed += len(data)
            else:
                writer.write(data)
                await writer.drain()
        if not lost[0]:
            writer.close()
