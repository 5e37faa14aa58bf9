"""The link between core and region: a TCP proxy that the tour owns, so that it can really take the path away.

Cutting closes the listening socket and resets every connection: a new one is refused, an old one is dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self


class Link:
    """Forwards ``127.0.0.1:port`` to a target. Runs in a thread with a loop of its own."""

    def __init__(self, target_host: str, target_port: int) -> None:
        self._target = (target_host, target_port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="link", daemon=True)
        self._listener: socket.socket | None = None
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
        return self._listener is not None

    def _run(self, step: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run_coroutine_threadsafe(step(), self._loop).result(timeout=10)

    async def _listen(self) -> None:
        """A socket of our own: ``asyncio.Server`` forgets, without closing, a connection that it has accepted at the
        moment of its own end."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._loop.add_reader(self._listener, self._accept, self._listener)

    async def _cut(self) -> None:
        if self._listener is None:
            return
        self._loop.remove_reader(self._listener)
        self._listener.close()
        self._listener = None
        for task in self._forwarding:
            task.cancel()  # also one that is still connecting to the far side
        await asyncio.gather(*self._forwarding, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        try:
            near, _ = listener.accept()
        except OSError:  # the caller has gone again
            return
        near.setblocking(False)
        self.accepted += 1
        task = self._loop.create_task(self._forward(near))
        self._forwarding.add(task)
        task.add_done_callback(self._forwarding.discard)
        task.add_done_callback(lambda _: near.close())  # a task cancelled before its first step closes nothing itself

    async def _forward(self, near: socket.socket) -> None:
        """Until both sides have ended, one has failed, or the link is cut; then neither is left open."""
        writers: list[asyncio.StreamWriter] = []
        try:
            near_reader, near_writer = await asyncio.open_connection(sock=near)
            writers.append(near_writer)
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            writers.append(far_writer)
            await asyncio.gather(self._pump(near_reader, far_writer), self._pump(far_reader, near_writer))
        except (OSError, asyncio.CancelledError):
            for writer in writers:
                reset(writer)
        finally:
            for writer in writers:
                writer.transport.abort()

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
