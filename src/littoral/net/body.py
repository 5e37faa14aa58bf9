"""A request body on its way in: what is not read is not received."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from littoral.net.message import BodyError, BodyTooLarge

HIGH_WATER = 256 * 1024  # bytes held for a reader before the socket is no longer read
LOW_WATER = 64 * 1024


class IncomingBody:
    """Fed by a connection, read by a handler.

    ``on_first_read`` answers ``Expect: 100-continue``; ``pause`` and ``resume`` hold back the socket.
    """

    __slots__ = (
        "_chunks",
        "_error",
        "_held",
        "_on_first_read",
        "_pause",
        "_paused",
        "_resume",
        "_waiter",
        "complete",
        "discarding",
        "started",
        "trailers",
    )

    def __init__(
        self,
        pause: Callable[[], None],
        resume: Callable[[], None],
        on_first_read: Callable[[], None] | None = None,
    ) -> None:
        self._chunks: deque[bytes] = deque()
        self._held = 0
        self._error: BodyError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._pause = pause
        self._resume = resume
        self._paused = False
        self._on_first_read = on_first_read
        self.started = False
        self.complete = False
        self.discarding = False
        self.trailers: list[tuple[bytes, bytes]] = []

    # ------------------------------------------------------------------------------- the connection's side

    def feed(self, chunk: bytes) -> None:
        if self.discarding:
            return
        self._chunks.append(chunk)
        self._held += len(chunk)
        if self._held > HIGH_WATER and not self._paused:
            self._paused = True
            self._pause()
        self._wake()

    def feed_end(self) -> None:
        self.complete = True
        self._wake()

    def fail(self, reason: str) -> None:
        """The peer broke off."""
        if not self.complete:
            self._error = BodyError(reason)
            self._wake()

    def discard(self) -> None:
        """The handler is done: what still comes is dropped."""
        self.discarding = True
        self._chunks.clear()
        self._let_in()

    # ---------------------------------------------------------------------------------- the handler's side

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not self.started:
            self.started = True
            if self._on_first_read is not None and not self.complete:
                self._on_first_read()
        while True:
            while self._chunks:
                chunk = self._chunks.popleft()
                self._held -= len(chunk)
                if self._held < LOW_WATER:
                    self._let_in()
                yield chunk
            if self.complete:
                return
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    async def read(self, limit: int | None = None) -> bytes:
        parts, size = [], 0
        async for chunk in self:
            size += len(chunk)
            if limit is not None and size > limit:
                raise BodyTooLarge(f"more than {limit} bytes")
            parts.append(chunk)
        return b"".join(parts)

    def _let_in(self) -> None:
        if self._paused:
            self._paused = False
            self._resume()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
