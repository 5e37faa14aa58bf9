"""A body on its way in, for the listener's requests and the client's responses alike.

Owns: the buffer between a parser that pushes and a reader that pulls. Knows no socket: it asks its source to pause
when more than ``high`` bytes wait unread and to go on below half of it, so what is not read is not received.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from time import monotonic
from typing import Protocol, runtime_checkable

from littoral.net.lending import SLOW, Fill, Frames, Lent
from littoral.net.message import BodyError, BodyTooLarge, Headers

LENDABLE = 1024 * 1024  # bytes to come from which on a thread is worth its while


class BodySource(Protocol):
    def body_opened(self, body: IncomingBody) -> None:
        """The reader wants the first byte (``Expect: 100-continue`` is answered now)."""

    def hold_body(self) -> None: ...

    def release_body(self) -> None: ...

    def lend_body(self) -> Lent | None:
        """The connection, to a thread that receives the body; None where that may not be. ``take_back`` it."""

    def take_back(self, lent: Lent) -> None: ...


@runtime_checkable
class StraightBody(Protocol):
    """A body that a reader may receive right where it wants it."""

    def into(self, room: memoryview) -> Awaitable[int]:
        """Fill ``room`` from its begin on; how many bytes, which are fewer than it holds only where the body ends.
        Raises BodyError."""

    def lend(self, work: Callable[[Fill], None]) -> Awaitable[bool]:
        """Let ``work`` receive in a thread, a room at a time, until it gets less than that holds: the body has ended,
        or the thread is better not kept waiting, so go on by ``into``. False where nobody may now. Raises what ``work``
        does."""


@runtime_checkable
class BodyInFrames(StraightBody, Protocol):
    """One that may come in frames, which are of use as they are."""

    def lend_frames(self, work: Callable[[Frames], None]) -> Awaitable[bool]:
        """As ``lend``; what ``work`` leaves comes opened, by ``lend`` or ``into``. False, too, where it does not come
        so, or some of it has come."""


class IncomingBody:
    """Implements ``message.Body``. ``length`` is what the head declared, None when chunked. ``trailers`` are there
    once the body has ended."""

    __slots__ = (
        "_chunks",
        "_error",
        "_high",
        "_lent",
        "_quick",
        "_received",
        "_source",
        "_waiter",
        "buffered",
        "ended",
        "length",
        "opened",
        "trailers",
    )

    def __init__(self, source: BodySource, length: int | None, high: int) -> None:
        self._source = source
        self._high = high
        self._chunks: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: BodyError | None = None
        self._lent: Lent | None = None  # to a thread that receives
        self._quick = True  # the client sends quickly, as far as is known
        self._received = 0  # bytes until now, but for those of that thread
        self.length = length
        self.buffered = 0
        self.ended = False
        self.opened = False
        self.trailers = Headers()

    def __repr__(self) -> str:
        return f"<IncomingBody of {self.length} bytes{', ended' if self.ended else ''}>"

    # the parser's side

    def feed(self, data: bytes) -> None:
        self._chunks.append(data)
        self.buffered += len(data)
        self._received += len(data)
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
            if self._lent is not None:
                self._lent.recall()
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def received(self) -> int:
        """Bytes until now."""
        return self._received if self._lent is None else self._received + self._lent.taken

    @property
    def left(self) -> int:
        """Bytes that have still to come; 0 where that is not known."""
        return 0 if self.length is None else self.length - self.received

    @property
    def awaited(self) -> bool:
        """A reader waits for bytes now."""
        return self._waiter is not None or (self._lent is not None and self._lent.waiting)

    # the reader's side

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._open()
        while not self._chunks:
            if self.ended:
                raise StopAsyncIteration
            await self._more()
        chunk = self._chunks.popleft()
        self.buffered -= len(chunk)
        self._taken()
        return chunk

    async def into(self, room: memoryview) -> int:
        """See StraightBody."""
        self._open()
        filled, began = 0, monotonic()
        while filled < len(room):
            if self._chunks:
                filled += self._copy(room[filled:])
                self._taken()
            elif self.ended:
                break
            else:
                await self._more()
        if not self._quick:
            self._quick = filled * SLOW >= (monotonic() - began) * LENDABLE
        return filled

    async def lend(self, work: Callable[[Fill], None]) -> bool:
        """See StraightBody."""
        return await self._lend(lambda _: partial(work, self._fill))

    async def lend_frames(self, work: Callable[[Frames], None]) -> bool:
        """See BodyInFrames."""

        def framed(lent: Lent) -> Callable[[], None] | None:
            frames = None if self._chunks or self._received else lent.frames()
            return None if frames is None or frames.size != self.length else partial(work, frames)

        return await self._lend(framed)

    async def _lend(self, working: Callable[[Lent], Callable[[], None] | None]) -> bool:
        """``working`` says what the thread does; None where it is not worth one."""
        self._open()
        if self._waiter is not None or self._lent is not None:
            raise RuntimeError("a body has one reader at a time")
        if not self._quick or self.left < LENDABLE or self._error is not None:
            return False
        self._source.release_body()
        lent = self._source.lend_body()
        if lent is None:
            return False
        self._lent = lent
        try:
            while lent.behind() and not self.ended and self._error is None:
                await asyncio.sleep(0)
                self._source.release_body()
            if not (self.ended or self._error is not None) and (work := working(lent)) is not None:
                await lent.run(self.left, work)
        finally:
            self._lent = None
            self._received += lent.taken
            self._quick = not lent.slow
            self._source.take_back(lent)
        return True

    def _fill(self, room: memoryview) -> int:
        """The thread's: what had come before is here, the rest on the connection."""
        filled = 0
        while self._chunks and filled < len(room):
            filled += self._copy(room[filled:])
        assert self._lent is not None
        return filled + self._lent.fill(room[filled:])

    def _copy(self, room: memoryview) -> int:
        chunk = self._chunks[0]
        size = min(len(chunk), len(room))
        room[:size] = memoryview(chunk)[:size]
        if size < len(chunk):
            self._chunks[0] = chunk[size:]
        else:
            self._chunks.popleft()
        self.buffered -= size
        return size

    def _open(self) -> None:
        if not self.opened:
            self.opened = True
            self._source.body_opened(self)

    def _taken(self) -> None:
        if self.buffered * 2 <= self._high:
            self._source.release_body()

    async def _more(self) -> None:
        """Wait until there is something new. Raises BodyError."""
        if self._error is not None:
            raise self._error
        if self._waiter is not None or self._lent is not None:
            raise RuntimeError("a body has one reader at a time")
        self._source.release_body()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

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
