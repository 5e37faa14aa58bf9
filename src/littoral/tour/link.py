"""The link between core and region: a TCP proxy that the tour owns, so that it can really take the path away.

Cutting closes the listening socket and resets every connection: a new one is refused, an old one is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Self


class Link:
    """Forwards ``127.0.0.1:port`` to a target. Runs in a thread with a loop of its own."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._forwarding: set[asyncio.Task[Any]] = set()
        self.port = 0
        self.accepted = 0

    def __enter__(self) -> Self:
        self._thread.start()
        self.restore()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._cut)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Take the path away."""
        self._run(self._cut)

    def restore(self) -> None:
        """Listen again, on the same port as before."""
        self._run(self._listen)

    @property
    def up(self) -> bool:
        return self._server is not None

    def _run(self, step: Callable[[], Awaitable[None]]) -> None:
        async def call() -> None:
            await step()

        done: Future[Any] = asyncio.run_coroutine_threadsafe(call(), self._loop)
        done.result(timeout=10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._forward, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            reset(writer)
        for task in self._forwarding:
            task.cancel()  # also one that is still connecting to the far side
        if self._forwarding:
            await asyncio.wait(self._forwarding)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.up:  # accepted a moment before the cut
            reset(writer)
            return
        self.accepted += 1
        task = asyncio.current_task()
        assert task is not None
        self._forwarding.add(task)
        task.add_done_callback(self._forwarding.discard)
        self._writers.add(writer)
        far_writer: asyncio.StreamWriter | None = None
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            self._writers.add(far_writer)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        except OSError:
            reset(writer)
        finally:
            for side in (writer, far_writer):
                if side is not None:
                    self._writers.discard(side)
                    side.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, not FIN: the peer learns that the path is dead, not that all was said."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
