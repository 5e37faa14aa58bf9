"""Where a handler meets the test: over loopback TCP, for a function sees neither files nor processes of its test.

A handler connects to ``port``, says a line, and may hold the line: it reads a byte to wait until the test lets it go,
and the end of its connection is the end of every process that held it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass


@dataclass
class Met:
    said: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def let_go(self) -> None:
        self.writer.write(b"x")
        self.writer.close()

    async def ended(self) -> None:
        """Until all who hold the connection have ended."""
        try:
            while await self.reader.read(4096):
                continue
        except ConnectionResetError:
            return
        finally:
            self.writer.close()


class Meeting:
    def __init__(self) -> None:
        self._met: asyncio.Queue[Met] = asyncio.Queue()

    async def __aenter__(self) -> Meeting:
        async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._met.put(Met((await reader.readline()).decode().strip(), reader, writer))

        self._server = await asyncio.start_server(meet, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def next(self) -> Met:
        return await self._met.get()
