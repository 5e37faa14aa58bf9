"""Bytes in and out: bodies become inline bytes or blobs, objects become response bodies, doomed blobs go.

Theory. A body of any size costs a few MiB (``pouring``). Blobs never change and have names of chance: an object
that is overwritten while it is read goes on reading its own. A blob that nobody names any more is removed once those
who stream it have ended; the store keeps its file for some more seconds, for those who were just given its path.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, contextmanager
from dataclasses import replace
from functools import partial
from typing import Protocol

from littoral.aws.service import ServiceError
from littoral.net.message import Body, FileSlice, Proof, ResponseBody
from littoral.net.sending import WHOLE, Broken, read_slice
from littoral.objects.checksums import Digests, Stated
from littoral.objects.conditions import Span
from littoral.objects.damage import Damage
from littoral.objects.encryption import Sealing
from littoral.objects.errors import damaged, disk, lost, upload
from littoral.objects.facts import Content, Piece, Stored
from littoral.objects.index import Index
from littoral.objects.inline import IN_INDEX, INLINE, Received, check_length, etag, inline_bytes, inlined
from littoral.objects.nearby import Nearby
from littoral.objects.pouring import PUT_LIMIT, pour, too_large
from littoral.objects.room import Room
from littoral.objects.spooled import Spooled
from littoral.store.contract import BlobInfo, Blobs, BlobWriter, Damaged, NearBlobs, NotFound, StoreError, Sums
from littoral.store.frames import CannotOpen, Opener, Sealer, sealed, sealed_span
from littoral.store.spool import Spool

log = logging.getLogger("littoral.objects")
SWEEP = 1000
IN_PARTS = 16 * 1024 * 1024  # bytes of an object that a transfer reads and hashes in parts
AGAIN = 30.0  # seconds after which it is tried again to remove what the disk did not let go


class Above(Protocol):
    """Who has blobs that are not here any more."""

    def read(self, blob: str, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """As readers get it, not sealed. Raises NotFound where it has no such thing, StorageAway."""

    def touched(self, blobs: list[str]) -> None:
        """They are being read."""


class Shelf:
    """Where the bytes are. ``start`` and ``close`` it."""

    above: Above | None = None

    def __init__(self, blobs: Blobs, index: Index, room: Room, spool: Spool | None = None) -> None:
        self._blobs = blobs
        self._room = room
        self._spooled = Spooled(blobs, spool, room)
        self._index = index
        self._doomed: asyncio.Queue[list[str]] = asyncio.Queue()
        self._reading: Counter[str] = Counter()
        self._waiting: set[str] = set()  # doomed, and still being read
        self._remover: asyncio.Task[None] | None = None
        self._settling = asyncio.Lock()  # a blob's file goes, or comes back
        self.damage = Damage(index)
        index.doomed = self.remove

    async def start(self) -> None:
        """Remove what a crash left. Only before anybody writes."""
        after = ""
        while page := await self._blobs.scan(after=after, limit=SWEEP):
            after = page[-1].key
            for blob in await self._index.removable([info.key for info in page]):
                await self._blobs.delete(blob)
                log.info("removed blob %s, which a crash left without an object", blob)
        await self._index.forget_ownerless()
        self._remover = asyncio.get_running_loop().create_task(self._remove_doomed())

    async def close(self) -> None:
        """What is doomed and not yet removed goes now; what cannot go now goes at the next start."""
        if self._remover is not None:
            self._remover.cancel()
            await asyncio.wait([self._remover])
            self._remover = None
        while not self._doomed.empty():
            await self._delete(self._doomed.get_nowait())

    # ---------------------------------------------------------------------------------------------------- in

    async def receive(
        self,
        body: Body,
        stated: Stated,
        trailers: Mapping[str, str],
        length: int | None,
        *,
        inline: bool = True,
        within: int = INLINE,
        sealing: Sealing | None = None,
    ) -> Received:
        """Take the whole body in and verify it. ``length`` is what was declared, None where unknown; up to ``within``
        bytes are kept here, where that may be.

        The blob is durable; it is nobody's until the index names it: use ``keep`` around what does.
        Raises BadDigest, IncompleteBody, EntityTooLarge, InternalError, and leaves nothing then.
        """
        if length is not None and length > PUT_LIMIT:
            raise too_large(length)
        self._room.check(length or 0)
        if inline and length is not None and length <= within:
            with upload():
                data = await body.read(within)
            return inlined(data, length, stated, trailers, sealing)
        if sealing is not None and not sealing.shows_md5:
            stated = replace(stated, by_checksum=True)
        if inline and (length is None or length >= IN_PARTS):  # a whole object, and no part of one
            stated = replace(stated, besides=True)
        digests = stated.digests()
        name = secrets.token_hex(16)
        with upload():
            writer = await self._blobs.create(name)
            try:
                await pour(body, digests, writer, None if sealing is None else Sealer(sealing.key, name))
                check_length(digests.size, length)
                checksum = stated.verify(digests, trailers)
                await writer.commit()
            except BaseException:
                await self._abandon(writer, name)
                raise
        content = Content(digests.size, etag(digests, sealing), None, (Piece(name, digests.size),))
        return Received(content, checksum, digests.found)

    async def take_over(self, body: Body, stated: Stated, named: str, sealing: Sealing | None) -> Received:
        """``receive``, of what lies in the spool: the body is the sums of its blocks. Raises NotSpooled,
        IncompleteBody, EntityTooLarge, InternalError, and leaves nothing then."""
        name = secrets.token_hex(16)
        try:
            with upload():
                return await self._spooled.take(name, body, stated, named, sealing)
        except BaseException:
            self.abandon([name])
            raise

    async def lay_out(self, content: Content, named: str) -> bool:
        """The whole content into the spool. False where it cannot be had so, and where it is known to be damaged."""
        names = [piece.blob for piece in content.pieces]
        if self.damage.knows(names):
            return False
        if self.above is not None:
            self.above.touched(names)
        with self.holding(content):
            return await self._spooled.lay(content, named)

    def abandon(self, blobs: Sequence[str]) -> None:
        """The index did not take them, or was not heard to: remove those that it does not name."""
        if blobs:
            self._doomed.put_nowait(list(blobs))

    async def _abandon(self, writer: BlobWriter, name: str) -> None:
        try:
            await writer.abort()
        except (OSError, StoreError):
            log.exception("blob %s could not be removed; the next start does it", name)
        self.abandon([name])  # a commit whose caller was cancelled may have been kept

    # --------------------------------------------------------------------------------------------------- out

    def at_hand(self, content: Content, span: Span, key: bytes | None) -> bytes | None:
        """What ``body`` gives, where the bytes came with the index. Raises InternalError where they are damaged."""
        if content.inline is None:
            return None
        try:
            data = inline_bytes(content, key)
        except Damaged as problem:
            raise damaged() from problem
        return data if span.length == len(data) else data[span.start : span.start + span.length]

    async def body(self, content: Content, span: Span, key: bytes | None) -> ResponseBody:
        """The bytes of the span: sent by the kernel where they lie in one file and nobody has to open them. ``key`` is
        the object's data key, None where it is not encrypted. Raises NotFound where they went."""
        at_hand = self.at_hand(content, span, key)
        if at_hand is not None:
            return at_hand
        cuts = cut(content.pieces, span)
        if not cuts:
            return b""
        self.damage.check(piece.blob for piece, _, _ in cuts)
        if len(cuts) == 1 and key is None:
            piece, offset, length = cuts[0]
            with disk():
                info = await self._blobs.info(piece.blob)
            if info is None and self.above is None:
                raise NotFound(piece.blob)
            if info is not None and info.path is not None:
                if self.above is not None:
                    self.above.touched([piece.blob])
                return self._file(info, offset, length)
        if key is None and self.above is None and isinstance(self._blobs, NearBlobs):
            nearby = self._nearby(self._blobs, cuts)
            if nearby is not None:
                with disk():
                    await nearby.begin()
                return nearby
        return await begun(self.stream(cuts, key))

    def _nearby(self, blobs: NearBlobs, cuts: Sequence[tuple[Piece, int, int]]) -> Nearby | None:
        """Of blobs that are here and have to be opened by the store. Raises NotFound."""
        readers = [(piece.blob, blobs.reader(piece.blob, offset, length)) for piece, offset, length in cuts]
        near = [(blob, reader) for blob, reader in readers if reader is not None]
        if len(near) < len(cuts):
            return None
        holding = self._holding([blob for blob, _ in near])
        return Nearby(near, sum(length for _, _, length in cuts), holding, self.damage.found)

    def _file(self, info: BlobInfo, offset: int, length: int) -> bytes | FileSlice:
        """Little of it at once; of more its first block is looked at here, the others as they are sent."""
        assert info.path is not None
        proof = None if info.sums is None else Proof(info.sums.block, partial(self._sound, info))
        first = FileSlice(info.path, offset, min(length, WHOLE), proof)
        try:
            data = read_slice(first)
        except FileNotFoundError as problem:
            raise NotFound(info.key) from problem
        except (OSError, Broken) as problem:
            self.damage.found(info.key, problem)
            raise damaged() from problem
        return data if length <= WHOLE else FileSlice(info.path, offset, length, proof)

    def _sound(self, info: BlobInfo, number: int, block: memoryview) -> bool:
        assert info.sums is not None
        if info.sums.sound(number, block):
            return True
        self.damage.found(info.key, f"block {number} is not what was written")
        return False

    async def stream(self, cuts: Sequence[tuple[Piece, int, int]], key: bytes | None) -> AsyncGenerator[bytes, None]:
        """The bytes of the cuts in order. What is overwritten meanwhile stays until this ends."""
        names = [piece.blob for piece, _, _ in cuts]
        if self.above is not None:
            self.above.touched(names)
        with self._holding(names):
            for piece, offset, length in cuts:
                async for chunk in self._cut(piece, offset, length, key):
                    yield chunk

    def holding(self, content: Content) -> AbstractContextManager[None]:
        """Whoever has just been told of it by the index may name its blobs anew until this ends, also where its object
        is overwritten meanwhile: what is named when it ends stays."""
        return self._holding([piece.blob for piece in content.pieces])

    @contextmanager
    def _holding(self, names: Sequence[str]) -> Iterator[None]:
        self._reading.update(names)
        try:
            yield
        finally:
            self._reading.subtract(names)
            ended = [name for name in names if self._reading[name] <= 0]
            for name in ended:
                del self._reading[name]
            if free := [name for name in ended if name in self._waiting]:
                self._waiting.difference_update(free)
                self._doomed.put_nowait(free)

    async def _cut(self, piece: Piece, offset: int, length: int, key: bytes | None) -> AsyncIterator[bytes]:
        """Raises NotFound where bytes are missing, Damaged where they are not what was written, StorageAway."""
        if self.above is not None and await self._blobs.info(piece.blob) is None:
            async with aclosing(self.above.read(piece.blob, offset, length)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        opener = None if key is None else Opener(key, piece.blob, piece.size, offset, length)
        begin, left = (offset, length) if opener is None else sealed_span(piece.size, offset, length)
        try:
            async for chunk in self._blobs.stream(piece.blob, offset=begin, length=left):
                left -= len(chunk)
                yield chunk if opener is None else opener.update(chunk)
            if not left and opener is not None:
                yield opener.finish()
        except (Damaged, CannotOpen) as problem:
            self.damage.found(piece.blob, problem)
            raise Damaged(f"blob {piece.blob}: {problem}") from problem
        if left:
            raise NotFound(f"blob {piece.blob} is shorter than the index says")

    async def read(self, content: Content, span: Span, key: bytes | None) -> AsyncIterator[bytes]:
        """The bytes of the span, here. Raises InternalError, ServiceUnavailable."""
        try:
            with disk():
                if content.inline is not None:
                    yield inline_bytes(content, key)[span.start : span.start + span.length]
                    return
                async for chunk in self.stream(cut(content.pieces, span), key):
                    yield chunk
        except NotFound as problem:
            raise lost() from problem

    async def digest(self, content: Content, digests: Digests, key: bytes | None) -> Digests:
        """Compute over the whole content."""
        async for chunk in self.read(content, Span(0, content.size), key):
            await asyncio.to_thread(digests.update, chunk)
        return digests

    # ----------------------------------------------------------------------------------------------- mending

    def inspect(self, name: str) -> AsyncIterator[bytes]:
        """A blob as it lies on the disk. Raises NotFound, Damaged."""
        return self._blobs.stream(name, fresh=True)

    async def mend(self, name: str, size: int, chunks: AsyncIterator[bytes], key: bytes | None) -> bool:
        """Write the blob anew where the bytes prove to be those that it had. Raises StorageFailed."""
        info = await self._blobs.info(name)
        if info is None or info.sums is None:
            return False
        proving = Proving(info.sums)
        writer = await self._blobs.create(name)
        try:
            sealer = None if key is None else Sealer(key, name)
            async for chunk in chunks:
                await writer.write(proving.update(chunk if sealer is None else sealer.update(chunk)))
            if sealer is not None:
                await writer.write(proving.update(sealer.finish()))
            if not proving.finish(info.size):
                return False
            await writer.commit()
        finally:
            await writer.abort()
        return True

    async def take_back(self, name: str, size: int, chunks: AsyncIterator[bytes], key: bytes | None) -> bool:
        """Write a blob that was above; it is here from then on. False where it is nobody's meanwhile. Raises what
        ``chunks`` do, StorageFailed, InternalError where there is no room."""
        self._room.check(size)
        writer = await self._blobs.create(name)
        try:
            sealer = None if key is None else Sealer(key, name)
            async for chunk in chunks:
                await writer.write(memoryview(chunk if sealer is None else sealer.update(chunk)))
            if sealer is not None:
                await writer.write(memoryview(sealer.finish()))
            async with self._settling:
                if await self._index.unknown([name]):
                    return False
                await writer.commit()
                await self._index.came_back([name])
        finally:
            await writer.abort()
        self.abandon([name])  # where it became nobody's in this moment
        return True

    async def mend_row(self, stored: Stored, data: bytes, key: bytes | None) -> bool:
        """The same of an object whose bytes lie in the index."""
        kept = data if key is None else sealed(key, IN_INDEX, data)
        try:
            inline_bytes(replace(stored.content, inline=kept), key)
        except Damaged:
            return False
        await self._index.mend_row(stored, kept)
        return True

    # ---------------------------------------------------------------------------------------------- removal

    def remove(self, blobs: Sequence[str]) -> None:
        """Remove blobs that nobody names any more, once those who read them have ended."""
        self._waiting.update(blob for blob in blobs if self._reading[blob] > 0)
        if free := [blob for blob in blobs if blob not in self._waiting]:
            self._doomed.put_nowait(free)

    async def _remove_doomed(self) -> None:
        while True:
            await self._delete(await self._doomed.get())

    async def _delete(self, blobs: list[str]) -> None:
        """Ask the index once more: a blob that was abandoned, or held, may after all have been taken."""
        try:
            async with self._settling:
                for blob in await self._index.removable(blobs):
                    await self._blobs.delete(blob)
                if self.above is not None and (gone := await self._index.unknown(blobs)):
                    await self._index.came_back(gone)
        except (ServiceError, StoreError) as problem:
            log.warning("%d blobs could not be removed; tried again in %.0f s: %s", len(blobs), AGAIN, problem)
            asyncio.get_running_loop().call_later(AGAIN, self._doomed.put_nowait, blobs)


class Proving:
    """Bytes as they come, held against the sums of what was written."""

    def __init__(self, sums: Sums) -> None:
        self._sums = sums
        self._held = bytearray()
        self._number = self._size = 0
        self._sound = True

    def update(self, data: bytes) -> bytes:
        self._held += data
        self._size += len(data)
        while len(self._held) >= self._sums.block:
            self._close()
        return data

    def finish(self, size: int) -> bool:
        if self._held:
            self._close()
        return self._sound and self._size == size

    def _close(self) -> None:
        block = bytes(self._held[: self._sums.block])
        del self._held[: self._sums.block]
        self._sound = self._sound and self._sums.sound(self._number, block)
        self._number += 1


class Chunks:
    """An iterator as a ``Body``, for bytes that come from another object."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks

    async def read(self, limit: int | None = None) -> bytes:
        return b"".join([chunk async for chunk in self._chunks])


class Begun:
    """An iterator whose first chunk is there: what cannot be had at all is known before anything is answered."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self._first: bytes | None = first
        self._rest = rest

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        return await anext(self._rest)

    async def aclose(self) -> None:
        await self._rest.aclose()


async def begun(chunks: AsyncGenerator[bytes, None]) -> Begun:
    """Raises what the first chunk raises; ServiceUnavailable where the storage is away."""
    with disk():
        return Begun(await anext(chunks), chunks)


def cut(pieces: Sequence[Piece], span: Span) -> list[tuple[Piece, int, int]]:
    """Which (offset, length) of which pieces make up the span."""
    cuts, at, end = [], 0, span.start + span.length
    for piece in pieces:
        first, last = max(at, span.start), min(at + piece.size, end)
        if first < last:
            cuts.append((piece, first - at, last - first))
        at += piece.size
    return cuts
