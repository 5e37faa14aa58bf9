"""A body on its way in, for the listener's requests and the client's responses alike.

Owns: the buffer between a parser that pushes and a reader that pulls. Knows no socket: it asks its source to pause
when more than ``high`` bytes wait unread and to go on below half of it, so what is not read is not received.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from littoral.net.message import BodyError, BodyTooLarge, Headers


class BodySource(Protocol):
    def body_opened(self, body: IncomingBody) -> None:
        """The reader wants the first byte (``Expect: 100-continue`` is answered now)."""

    def hold_body(self) -> None: ...

    def release_body(self) -> None: ...


class IncomingBody:
    """Implements ``message.Body``. ``length`` is what the head declared, None when chunked. ``trailers`` are there
    once the body has ended."""

    __slots__ = (
        "_chunks",
        "_error",
        "_high",
        "_source",
        "_waiter",
        "buffered",
        "ended",
        "length",
        "opened",
        "received",
        "trailers",
    )

    def __init__(self, source: BodySource, length: int | None, high: int) -> None:
        self._source = source
        self._high = high
        self._chunks: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: BodyError | None = None
        self.length = length
        self.buffered = 0
        self.received = 0  # bytes until now
        self.ended = False
        self.opened = False
        self.trailers = Headers()

    def __repr__(self) -> str:
        return f"<IncomingBody of {self.length} bytes{', ended' if self.ended else ''}>"

    # the parser's side

    def feed(self, data: bytes) -> None:
        self._chunks.append(data)
        self.buffered += len(data)
        self.received += len(data)
        if self.buffered > self._high:
            self._source.hold_body()
        self._wake()

    def end(self, trailers: list[tuple[bytes, bytes]]) -> None:
        self.trailers.raw = trailers
        self.ended = True
        self._wake()

    def fail(self, error: BodyError) -> None:
        """Readers get what has arrived, then the error."""
        if not self.ended and self._error is None:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def awaited(self) -> bool:
        """A reader waits for bytes now."""
        return self._waiter is not None

    # the reader's side

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.opened:
            self.opened = True
            self._source.body_opened(self)
        while not self._chunks:
            if self.ended:
                raise StopAsyncIteration
            if self._error is not None:
                raise self._error
            if self._waiter is not None:
                raise RuntimeError("a body has one reader at a time")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        chunk = self._chunks.popleft()
        self.buffered -= len(chunk)
        if self.buffered * 2 <= self._high:
            self._source.release_body()
        return chunk

    def at_hand(self, size: int) -> bytes | None:
        """All of it, where that is ``size`` bytes, nobody has read of it and no trailers came; else None."""
        if not self.ended or self.opened or self.trailers.raw or not self.buffered == self.received == size:
            return None
        return self._all()

    def _all(self) -> bytes:
        """What a small body is when somebody asks for it: here."""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self.opened = True
        self.buffered = 0
        self._chunks.clear()
        self._source.release_body()
        return data

    async def read(self, limit: int | None = None) -> bytes:
        if limit is not None and self.length is not None and self.length > limit:
            raise BodyTooLarge(f"{self.length} bytes where at most {limit} are allowed")
        if self.ended and (limit is None or self.buffered <= limit):
            return self._all()
        chunks: list[bytes] = []
        size = 0
        async for chunk in self:
            size += len(chunk)
            if limit is not None and size > limit:
                raise BodyTooLarge(f"more than the {limit} bytes that are allowed")
            chunks.append(chunk)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)
