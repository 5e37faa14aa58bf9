"""A large body on its way into a blob, a stride at a time.

While one stride is hashed in a thread and another written, the next is on its way in: a large put takes about as long
as its MD5, and some strides of memory, which are used again (``store.strides``). A body that knows ``into`` is received
right into them. A checksum that costs less than the way to a thread and back is computed here.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable

from littoral.aws.service import ServiceError
from littoral.net.message import Body
from littoral.objects.checksums import Digests
from littoral.objects.errors import error
from littoral.store import strides
from littoral.store.contract import BlobWriter
from littoral.store.frames import Sealer
from littoral.store.strides import STRIDE
from littoral.store.waiting import until_done

PUT_LIMIT = 5 * 1024**3  # bytes in one PutObject or UploadPart
RING = 3  # strides of one body: one is filled, one hashed, one waits for that
SHORT_RING = 2  # where hashing takes no time: one is filled, one written


async def pour(body: Body, digests: Digests, writer: BlobWriter, sealer: Sealer | None) -> None:
    """All of it, to the writer; ``digests`` has seen all of it then. Raises what the body does, StorageFailed,
    EntityTooLarge."""
    pouring = Pouring(digests, writer, sealer)
    into: Callable[[memoryview], Awaitable[int]] | None = getattr(body, "into", None)
    try:
        if into is not None:
            while pouring.took(await into(pouring.room)):
                await pouring.turn()
        else:
            async for chunk in body:
                left = memoryview(chunk)
                while left:
                    left = left[pouring.fill(left) :]
                    if pouring.full:
                        await pouring.turn()
        await pouring.finish()
    finally:
        await pouring.close()


class Pouring:
    def __init__(self, digests: Digests, writer: BlobWriter, sealer: Sealer | None) -> None:
        self._writer, self._sealer = writer, sealer
        self._hashing = None if digests.by_checksum else Line(digests.update)
        self._ring = RING if self._hashing is not None else SHORT_RING
        self._digests = digests
        self._filling = strides.take()
        self._filled = self._size = 0
        self._leaving: deque[tuple[memoryview, asyncio.Future[None]]] = deque()  # and when it is hashed
        self._writing: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        return self._filled == STRIDE

    @property
    def room(self) -> memoryview:
        return self._filling[self._filled :]

    def fill(self, data: memoryview) -> int:
        """How many bytes of it there was room for. Raises EntityTooLarge."""
        taken = min(len(data), STRIDE - self._filled)
        self._filling[self._filled : self._filled + taken] = data[:taken]
        self.took(taken)
        return taken

    def took(self, size: int) -> bool:
        """So many bytes were put into ``room``; whether it is full now. Raises EntityTooLarge."""
        self._size += size
        if self._size > PUT_LIMIT:
            raise too_large(self._size)
        self._filled += size
        return self.full

    async def turn(self) -> None:
        """What is filled leaves, once what left before is written; one that has left and is hashed is filled next."""
        await self._written()
        stride, self._filled, filled = self._filling, 0, self._filled
        data = stride if filled == STRIDE else stride[:filled]
        self._leaving.append((stride, self._hashed(data)))
        self._writing = asyncio.ensure_future(self._write(data))
        if len(self._leaving) < self._ring:
            self._filling = strides.take()
            return
        await asyncio.shield(self._leaving[0][1])
        self._filling = self._leaving.popleft()[0]

    def _hashed(self, data: memoryview) -> asyncio.Future[None]:
        if self._hashing is not None:
            return self._hashing.put(data)
        self._digests.update(data)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def finish(self) -> None:
        if self._filled:
            await self.turn()
        await self._written()
        for _, hashed in self._leaving:
            await asyncio.shield(hashed)
        if self._sealer is not None:
            await self._writer.write(memoryview(self._sealer.finish()))

    async def close(self) -> None:
        """Only when the threads have let go, however often it is cancelled."""
        underway = [hashed for _, hashed in self._leaving]
        if self._writing is not None:
            underway.append(self._writing)
        try:
            await until_done(underway)
        finally:
            for each in underway:
                if not each.cancelled():
                    each.exception()  # known to whoever waited for it, or nobody's concern after what broke off before
            for stride in {id(each): each for each in (self._filling, *(each for each, _ in self._leaving))}.values():
                strides.give(stride)

    async def _written(self) -> None:
        if self._writing is not None:
            await asyncio.shield(self._writing)
            self._writing = None

    async def _write(self, data: memoryview) -> None:
        sealed = data if self._sealer is None else await asyncio.to_thread(self._sealer.update, data)
        await self._writer.write(memoryview(sealed))


class Line:
    """Work on one thing after another in a thread, which goes on to the next by itself where that is there."""

    def __init__(self, work: Callable[[memoryview], None]) -> None:
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[memoryview, asyncio.Future[None]]] = deque()
        self._lock = threading.Lock()
        self._running = False

    def put(self, data: memoryview) -> asyncio.Future[None]:
        """Done when it has been worked on; never cancelled by the line."""
        future: asyncio.Future[None] = self._loop.create_future()
        with self._lock:
            self._waiting.append((data, future))
            begins, self._running = not self._running, True
        if begins:
            self._loop.run_in_executor(None, self._run)
        return future

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                data, future = self._waiting.popleft()
            try:
                self._work(data)
            except Exception as problem:  # noqa: BLE001 - whoever waits for the future hears of it
                self._loop.call_soon_threadsafe(future.set_exception, problem)
            else:
                self._loop.call_soon_threadsafe(future.set_result, None)


def too_large(size: int) -> ServiceError:
    message = "Your proposed upload exceeds the maximum allowed size"
    return error("EntityTooLarge", message, ProposedSize=size, MaxSizeAllowed=PUT_LIMIT)
