"""One large item: a PUT, or an upload in parts that goes on where it was cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from littoral.box.transfer.asking import Refused, Unanswered, Unwell
from littoral.box.transfer.bucket import Bucket, Upload
from littoral.box.transfer.buffers import PART, Buffers
from littoral.box.transfer.items import Arrived, CannotMove, Changed, Drawer, Item, NotSound, Reader, Rereader, Source
from littoral.box.transfer.journal import Journal
from littoral.box.transfer.laying import Spooling
from littoral.box.transfer.passing import Passing, Patiently
from littoral.box.transfer.sums import SHA256, Sum, Whole, header_of
from littoral.net.message import Headers
from littoral.store.spool import Tray

MOST_PARTS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    data: memoryview
    known: Sum


@dataclass(frozen=True, slots=True)
class Large:
    """``patiently`` asks until there is an answer; ``told`` hears of each part."""

    source: Source
    destination: Bucket
    journal: Journal
    buffers: Buffers
    item: Item
    patiently: Patiently
    told: Callable[[int], None]

    async def send(self) -> Arrived:
        """Raises Changed, CannotMove, Refused, Unanswered (while the source is read)."""
        reader = await self.source.open(self.item)
        try:
            if self.item.size < PART:
                return await self._whole(reader)
            return await self._in_parts(reader)
        except NotSound as problem:
            raise Unwell(f"{self.item.key}: {problem}") from problem
        finally:
            await reader.close()

    async def _whole(self, reader: Reader) -> Arrived:
        buffer = await self.buffers.take()
        arrived = False
        try:
            data = memoryview(buffer)[: await self._filled(reader, memoryview(buffer))]
            said = reader.said
            as_said = said is None or await asyncio.to_thread(said.is_of, data)
            self._check(len(data), reader, as_said=as_said)
            key, sent = self.item.key, reader.about.sent()
            etag, known = await self.patiently(lambda: self.destination.put(key, data, sent))
            arrived = True
        finally:
            self.buffers.give(buffer, clean=arrived)
        return Arrived(self.item, known, etag)

    async def _in_parts(self, reader: Reader) -> Arrived:
        upload = await self._upload(reader)
        whole = Whole(upload.algorithm or SHA256, reader.said)
        tray = self.destination.tray
        try:
            if isinstance(reader, Rereader) and whole.by_parts:
                etags = await self._passing(upload, reader, whole)
            elif isinstance(reader, Drawer) and whole.by_parts and tray is not None:
                etags = await self._spooling(upload, tray, reader, whole)
            else:
                etags = await self._held(upload, reader, whole)
        except Changed:
            await self._abandon(upload.id)
            raise
        if not whole.as_said:  # perhaps a part of an earlier try is to blame
            await self._abandon(upload.id)
        self._check(whole.size, reader, as_said=whole.as_said)
        etag = await self._complete(upload, etags, whole)
        return Arrived(self.item, whole.known, etag)

    async def _passing(self, upload: Upload, reader: Rereader, whole: Whole) -> Sequence[str]:
        """Each part is hashed as it is sent."""
        passing = Passing(self.destination, self.item.key, upload, self.patiently)

        async def sent(number: int, begin: int, size: int) -> tuple[str, Sum]:
            return await passing.part(number, reader.stretch(begin, size))

        return await self._together(sent, whole)

    async def _spooling(self, upload: Upload, tray: Tray, reader: Drawer, whole: Whole) -> Sequence[str]:
        """Each part is hashed as it is written, on the destination's disk."""
        spooling = Spooling(self.destination, tray, self.item.key, upload, self.patiently)

        async def laid(number: int, begin: int, size: int) -> tuple[str, Sum]:
            return await spooling.part(reader, number, begin, size)

        return await self._together(laid, whole)

    async def _together(
        self, send: Callable[[int, int, int], Awaitable[tuple[str, Sum]]], whole: Whole
    ) -> Sequence[str]:
        """All parts, by number, begin and size, several at once; which are hashed by whoever sends them."""
        length = self._length
        sending: list[asyncio.Task[tuple[str, Sum, int]]] = []
        failed = False

        async def sent(begin: int) -> tuple[str, Sum, int]:
            size = min(length, self.item.size - begin)
            etag, known = await send(begin // length + 1, begin, size)
            self.told(size)
            return etag, known, size

        def done(task: asyncio.Task[tuple[str, Sum, int]]) -> None:
            nonlocal failed
            failed = failed or task.cancelled() or task.exception() is not None
            self.buffers.leave()

        async with _ended(sending):
            for begin in range(0, self.item.size, length):
                await self.buffers.enter()
                if failed:
                    self.buffers.leave()
                    break
                sending.append(asyncio.create_task(sent(begin)))
                sending[-1].add_done_callback(done)
            found = await asyncio.gather(*sending)
        for _, known, size in found:
            whole.add(known, size)
        return [etag for etag, _, _ in found]

    async def _held(self, upload: Upload, reader: Reader, whole: Whole) -> Sequence[str]:
        """Each part is read into memory and hashed there."""
        sending: list[asyncio.Task[str]] = []
        async with _ended(sending):
            while (part := await self._read(reader, whole)) is not None:
                sending.append(asyncio.create_task(self._part(upload, part)))
                sending[-1].add_done_callback(self._gives_back(part.data.obj))
            return await asyncio.gather(*sending)

    @property
    def _length(self) -> int:
        """Of a part. A box that was filled so has it in one piece, and sends that as it lies."""
        return max(PART, -(-self.item.size // MOST_PARTS))

    async def _read(self, reader: Reader, whole: Whole) -> Part | None:
        """The next part, in a buffer that its sending gives back. None at the end."""
        buffer = await self.buffers.take(self._length)
        part = None
        try:
            data = memoryview(buffer)[: await self._filled(reader, memoryview(buffer)[: self._length])]
            if data:
                known = await asyncio.to_thread(whole.update, data)
                part = Part(len(whole.parts), data, known)
        finally:
            if part is None:
                self.buffers.give(buffer, clean=False)
        return part

    async def _filled(self, reader: Reader, room: memoryview) -> int:
        """As ``fill``, also over a cut of the link: what was read before need not come again."""

        async def fill() -> int | Unwell:
            try:
                return await reader.fill(room)
            except Unwell as problem:  # which is this item's own, and may stay so
                return problem

        found: int | Unwell = await self.patiently(fill)
        if isinstance(found, Unwell):
            raise found
        return found

    def _gives_back(self, buffer: Any) -> Callable[[asyncio.Task[str]], None]:
        return lambda task: self.buffers.give(buffer, clean=not task.cancelled() and task.exception() is None)

    async def _upload(self, reader: Reader) -> Upload:
        """One that is under way, or a new one."""
        key = self.item.key
        known = self.journal.upload(self.item)
        if known is not None:
            try:
                found: Upload = await self.patiently(lambda: self.destination.resumed(key, known))
                return found
            except Refused as refused:
                if refused.status != 404:
                    raise
        if (outdated := self.journal.outdated(self.item)) is not None:
            await self._abandon(outdated)
        made: Upload = await self.patiently(lambda: self.destination.begin(key, reader.about.sent()))
        self.journal.begin(self.item, made.id)
        return made

    async def _abandon(self, upload: str) -> None:
        await abandoned(self.destination, self.journal, self.item.key, upload, self.patiently)

    async def _part(self, upload: Upload, part: Part) -> str:
        there = upload.arrived(part.number, len(part.data), part.known)
        if there is not None:
            return there
        key = self.item.key
        etag: str = await self.patiently(lambda: self.destination.part(key, upload, part.number, part.data, part.known))
        self.told(len(part.data))
        return etag

    async def _complete(self, upload: Upload, etags: Sequence[str], whole: Whole) -> str:
        key, parts = self.item.key, list(zip(etags, whole.parts, strict=True))
        try:
            etag, checksum = await self.patiently(lambda: self.destination.complete(key, upload, parts))
        except Refused as refused:
            if refused.code != "NoSuchUpload":
                raise
            there = await self._there()  # it may have been completed unheard
            if there.get(header_of(whole.algorithm)) != whole.value:
                raise Unanswered(f"{key}: its upload is gone; it begins anew") from refused
            return str(there.get("etag")).strip('"')
        if not upload.algorithm:  # such a one may call the whole otherwise from now on
            return str((await self._there()).get("etag")).strip('"')
        if not checksum:  # kept, and not said here
            checksum = (await self._there()).get(header_of(whole.algorithm)) or ""
        if checksum != whole.value:
            raise CannotMove(f"the destination's checksum is {checksum}, not {whole.value}")
        return str(etag)

    async def _there(self) -> Headers:
        found: Headers | None = await self.patiently(lambda: self.destination.head(self.item.key))
        return found or Headers()

    def _check(self, size: int, reader: Reader, *, as_said: bool) -> None:
        if size != self.item.size or not as_said:
            by = reader.said.algorithm if reader.said is not None and size == self.item.size else "source"
            raise Unwell(f"{self.item.key}: what came is not what its {by} says")


async def abandoned(destination: Bucket, journal: Journal, key: str, upload: str, patiently: Patiently) -> None:
    """An upload is ended: what its parts are of is no more."""
    with suppress(Refused):  # it is gone already, or these keys may not
        await patiently(lambda: destination.abort(key, upload))
    journal.abandon(upload)


@asynccontextmanager
async def _ended(sending: Sequence[asyncio.Task[Any]]) -> AsyncIterator[None]:
    """None of them is under way afterwards."""
    try:
        yield
    finally:
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
