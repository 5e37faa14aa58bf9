"""A large body on its way into a blob, a stride at a time.

While one stride is hashed in a thread and written in another, the next is on its way in: a large put takes about as
long as its MD5, and two strides of memory, which are used again (``store.strides``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from littoral.aws.service import ServiceError
from littoral.net.message import Body
from littoral.objects.checksums import Digests
from littoral.objects.errors import error
from littoral.store import strides
from littoral.store.contract import BlobWriter
from littoral.store.frames import Sealer
from littoral.store.strides import STRIDE

PUT_LIMIT = 5 * 1024**3  # bytes in one PutObject or UploadPart


async def pour(body: Body, digests: Digests, writer: BlobWriter, sealer: Sealer | None) -> None:
    """All of it, to the writer; ``digests`` has seen all of it then. Raises what the body does, StorageFailed,
    EntityTooLarge."""
    pouring = Pouring(digests, writer, sealer)
    try:
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
        self._digests, self._writer, self._sealer = digests, writer, sealer
        self._filling, self._leaving = strides.take(), strides.take()
        self._filled = self._size = 0
        self._underway: Sequence[asyncio.Future[None]] = ()

    @property
    def full(self) -> bool:
        return self._filled == STRIDE

    def fill(self, data: memoryview) -> int:
        """How many bytes of it there was room for. Raises EntityTooLarge."""
        taken = min(len(data), STRIDE - self._filled)
        self._size += taken
        if self._size > PUT_LIMIT:
            raise too_large(self._size)
        self._filling[self._filled : self._filled + taken] = data[:taken]
        self._filled += taken
        return taken

    async def turn(self) -> None:
        """What is filled leaves, once what left before has arrived; what that lay in is filled next."""
        await self._arrived()
        self._filling, self._leaving = self._leaving, self._filling
        data = self._leaving if self._filled == STRIDE else self._leaving[: self._filled]
        self._filled = 0
        hashing = asyncio.ensure_future(asyncio.to_thread(self._digests.update, data))
        self._underway = hashing, asyncio.ensure_future(self._write(data))

    async def finish(self) -> None:
        if self._filled:
            await self.turn()
        await self._arrived()
        if self._sealer is not None:
            await self._writer.write(memoryview(self._sealer.finish()))

    async def close(self) -> None:
        """Only when the threads have let go, however often it is cancelled."""
        cancelled = False
        while left := [each for each in self._underway if not each.done()]:
            try:
                await asyncio.wait(left)
            except asyncio.CancelledError:
                cancelled = True
        for each in self._underway:
            each.exception()  # known to whoever waited for it, or nobody's concern after what broke off before
        for stride in (self._filling, self._leaving):
            strides.give(stride)
        if cancelled:
            raise asyncio.CancelledError

    async def _arrived(self) -> None:
        for each in self._underway:
            await asyncio.shield(each)
        self._underway = ()

    async def _write(self, data: memoryview) -> None:
        sealed = data if self._sealer is None else await asyncio.to_thread(self._sealer.update, data)
        await self._writer.write(memoryview(sealed))


def too_large(size: int) -> ServiceError:
    message = "Your proposed upload exceeds the maximum allowed size"
    return error("EntityTooLarge", message, ProposedSize=size, MaxSizeAllowed=PUT_LIMIT)
