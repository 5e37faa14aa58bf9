"""A cable to the box: a TCP proxy that can be pulled, and whose connections can become half open. It is not quick, so
that there is a transfer to be cut: so many bytes a second in all."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from littoral.tour.link import Link

CHUNK: Final = 65536
RATE: Final = 12e6  # bytes a second


class Cable(Link):
    def __init__(self, target_host: str, target_port: int) -> None:
        super().__init__(target_host, target_port)
        self._age = 0
        self._free = 0.0  # when the next chunk may go

    def half_open(self) -> None:
        """From now on nothing passes on the connections that there are, and nobody is told; new ones are well."""
        self._age += 1

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        born = self._age
        with contextlib.suppress(OSError):
            while chunk := await reader.read(CHUNK):
                if self._age != born:
                    await asyncio.Event().wait()  # until the cable is pulled, which cancels
                writer.write(chunk)
                await writer.drain()
                await self._pace(len(chunk))
            if self._age == born and writer.can_write_eof():
                writer.write_eof()

    async def _pace(self, size: int) -> None:
        now = self._loop.time()
        self._free = max(now, self._free) + size / RATE
        await asyncio.sleep(self._free - now)
