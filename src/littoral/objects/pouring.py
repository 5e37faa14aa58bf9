"""A large body on its way into a blob, a stride at a time.

A thread receives a stride, hashes it and writes it, and then the next, where the body's connection can be lent to it
and the blob lies on this machine's disk; else the event loop receives, into the same stride. An MD5 takes longer than
all of that: it has a thread of its own, in step, so that a large put takes about as long as its MD5. Strides are used
again (``store.strides``).
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from typing import Any

from littoral.aws.service import ServiceError
from littoral.lasting import until_done
from littoral.net.incoming import BodyInFrames, StraightBody
from littoral.net.lending import Fill, Frames
from littoral.net.message import Body
from littoral.objects.checksums import Digests
from littoral.objects.errors import error
from littoral.spare import Spare
from littoral.store import strides
from littoral.store.contract import BlobWriter, FramedWriter, NearWriter
from littoral.store.frames import FRAME, SEALED, Sealer
from littoral.store.strides import STRIDE

PUT_LIMIT = 5 * 1024**3  # bytes in one PutObject or UploadPart
RING = 3  # strides of one body: one is filled, one hashed, one waits for that


async def pour(body: Body, digests: Digests, writer: BlobWriter, sealer: Sealer | None) -> None:
    """All of it, to the writer; ``digests`` has seen all of it then. Raises what the body does, StorageFailed,
    EntityTooLarge."""
    pouring = Pouring(digests, writer, sealer)
    try:
        if isinstance(body, StraightBody):
            near = isinstance(writer, NearWriter)
            if isinstance(body, BodyInFrames) and isinstance(writer, FramedWriter) and pouring.takes_frames:
                await body.lend_frames(partial(pouring.receive_frames, writer))
            while True:
                if near:
                    await body.lend(pouring.receive)
                if not pouring.took(await body.into(pouring.room)):
                    break
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


_opened = Spare(lambda: memoryview(bytearray(STRIDE + FRAME)))


class Pouring:
    def __init__(self, digests: Digests, writer: BlobWriter, sealer: Sealer | None) -> None:
        self._writer, self._sealer = writer, sealer
        self._digests = digests
        self._line = None if digests.by_checksum else Line(digests.update)
        self._filling = strides.take()
        self._filled = self._size = 0
        self._leaving: deque[tuple[memoryview, Future[None]]] = deque()  # and when it is hashed

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

    def receive(self, fill: Fill) -> None:
        """A thread's: strides as they come, until one is not filled. Raises StorageFailed, EntityTooLarge."""
        writer = self._writer
        assert isinstance(writer, NearWriter)
        while self.took(fill(self.room)):
            data = self._hashing()
            writer.write_here(data if self._sealer is None else self._sealer.update(data))
            if len(self._leaving) == RING:
                self._leaving[0][1].result()
            self._next()

    @property
    def takes_frames(self) -> bool:
        """What comes in frames may be written as it is: nobody but the disk wants it sealed, and it is hashed here."""
        return self._sealer is None and self._line is None

    def receive_frames(self, writer: FramedWriter, frames: Frames) -> None:
        """A thread's: frames as they come, until the body ends, or the thread is better not kept waiting. Raises
        StorageFailed, EntityTooLarge."""
        if frames.size > PUT_LIMIT:
            raise too_large(frames.size)
        if not writer.begin_frames(frames.key, frames.name):
            return
        opening, opened, full = Opening(frames), _opened.take(), True
        try:
            while full:
                room = writer.frames_room()
                count = frames.fill(room)
                content = opening.open(room[:count], opened)
                self._digests.update(content)
                self._size += len(content)
                full = count == len(room)
                writer.frames_came(count, content)
            writer.end_frames(-(-opening.opened // FRAME), len(opening.begun), whole=not frames.next)
        finally:
            _opened.give(opened)
            frames.leave(opening.begun)

    async def turn(self) -> None:
        """What is filled is written; what is hashed is filled next."""
        data = self._hashing()
        if self._sealer is not None:
            sealing = asyncio.get_running_loop().run_in_executor(None, self._sealer.update, data)
            await until_done([sealing])
            data = memoryview(sealing.result())
        await self._writer.write(data)
        if len(self._leaving) == RING:
            await asyncio.shield(asyncio.wrap_future(self._leaving[0][1]))
        self._next()

    def _hashing(self) -> memoryview:
        """What is filled, which begins to be hashed. What costs less than the way to another thread is hashed here."""
        data = self._filling if self.full else self._filling[: self._filled]
        if self._line is None:
            self._digests.update(data)
        else:
            self._leaving.append((self._filling, self._line.put(data)))
        return data

    def _next(self) -> None:
        self._filled = 0
        if self._line is not None:
            self._filling = strides.take() if len(self._leaving) < RING else self._leaving.popleft()[0]

    async def finish(self) -> None:
        if self._filled:
            await self.turn()
        for _, hashed in self._leaving:
            await asyncio.shield(asyncio.wrap_future(hashed))
        if self._sealer is not None:
            await self._writer.write(memoryview(self._sealer.finish()))

    async def close(self) -> None:
        """Only when the threads have let go, however often it is cancelled."""
        underway = [asyncio.wrap_future(hashed) for _, hashed in self._leaving]
        try:
            await until_done(underway)
        finally:
            for each in underway:
                each.exception()  # known to whoever waited for it, or nobody's concern after what broke off before
            for stride in {id(each): each for each in (self._filling, *(each for each, _ in self._leaving))}.values():
                strides.give(stride)


class Opening:
    """Of frames that come in pieces."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames
        self._beside = memoryview(bytearray(SEALED))  # one that lies across pieces
        self._here = 0  # bytes of it
        self.opened = 0  # bytes of content

    @property
    def begun(self) -> memoryview:
        """Of the next frame, what has come."""
        return self._beside[: self._here]

    def open(self, piece: memoryview, room: memoryview) -> memoryview:
        """The content of all that are whole now, at the begin of ``room``, which has the size of the piece and of a
        frame: one that begun before is whole now, and the last one may be. Of one that is refused, and of what
        follows, nothing."""
        made = at = 0
        if self._here:
            at = self._aside(piece[: self._frames.next - self._here])
            if self._here < self._frames.next:
                return room[:0]
            made = self._frames.open_into(self.begun, room)
            self._here = 0
            if not made:
                return room[:0]
        left = len(piece) - at
        whole = left if left == self._frames.unopened else left // SEALED * SEALED
        if whole:
            made += self._frames.open_into(piece[at : at + whole], room[made:])
        self._aside(piece[at + whole :])
        self.opened += made
        return room[:made]

    def _aside(self, part: memoryview) -> int:
        self._beside[self._here : self._here + len(part)] = part
        self._here += len(part)
        return len(part)


class Line:
    """Work on one thing after another in a thread."""

    def __init__(self, work: Callable[[memoryview], None]) -> None:
        self._work = work
        self._waiting: deque[tuple[memoryview, Future[None]]] = deque()
        self._lock = threading.Lock()
        self._running = False

    def put(self, data: memoryview) -> Future[None]:
        """Done when it has been worked on. From any thread."""
        future: Future[None] = Future()
        with self._lock:
            self._waiting.append((data, future))
            begins, self._running = not self._running, True
        if begins:
            _hashers().submit(self._run)
        return future

    def _run(self) -> None:
        """One thing: others' lines have their turn, too."""
        with self._lock:
            data, future = self._waiting.popleft()
        try:
            self._work(data)
        except Exception as problem:  # noqa: BLE001 - whoever waits for the future hears of it
            future.set_exception(problem)
        else:
            future.set_result(None)
        with self._lock:
            self._running = bool(self._waiting)
            goes_on = self._running
        if goes_on:
            _hashers().submit(self._run)


@cache
def _hashers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), "hashing")


def too_large(size: int | None) -> ServiceError:
    """``size`` where it is known."""
    message = "Your proposed upload exceeds the maximum allowed size"
    proposed: dict[str, Any] = {} if size is None else {"ProposedSize": size}
    return error("EntityTooLarge", message, **proposed, MaxSizeAllowed=PUT_LIMIT)
