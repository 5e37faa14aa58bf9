"""One large item: a PUT, or an upload in parts that goes on where it was cut."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from littoral.box.transfer.bucket import Bucket, Refused, Unanswered, Unwell
from littoral.box.transfer.items import Arrived, CannotMove, Item, Reader, Source
from littoral.box.transfer.journal import Journal

PART: Final = 16 * 1024 * 1024
MOST_PARTS: Final = 10_000
AHEAD: Final = 3  # parts under way at once

Patiently = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Large:
    """``patiently`` asks until there is an answer; ``told`` hears of each part."""

    source: Source
    destination: Bucket
    journal: Journal
    item: Item
    patiently: Patiently
    told: Callable[[int], None]

    async def send(self) -> Arrived:
        """Raises Changed, CannotMove, Refused, Unanswered (while the source is read)."""
        reader = await self.source.open(self.item)
        try:
            if self.item.size <= PART:
                return await self._whole(reader)
            return await self._in_parts(reader)
        finally:
            await reader.close()

    async def _whole(self, reader: Reader) -> Arrived:
        data = await reader.read(self.item.size + 1)
        sha256 = await asyncio.to_thread(hashlib.sha256, data)
        self._check(reader, len(data), sha256.hexdigest())
        key, sent = self.item.key, reader.about.sent()
        etag = await self.patiently(lambda: self.destination.put(key, data, sha256.digest(), sent))
        return Arrived(self.item, sha256.hexdigest(), etag)

    async def _in_parts(self, reader: Reader) -> Arrived:
        upload, there = await self._upload(reader)
        whole, size, number = hashlib.sha256(), 0, 0
        length = max(PART, -(-self.item.size // MOST_PARTS))
        sums: list[bytes] = []
        sending: list[asyncio.Task[str]] = []
        room = asyncio.Semaphore(AHEAD)
        try:
            while data := await reader.read(length):
                number, size = number + 1, size + len(data)
                sums.append(await asyncio.to_thread(_digests, whole, data))
                await room.acquire()
                part = self._part(upload, number, data, sums[-1], there.get(number))
                sending.append(asyncio.create_task(_releasing(part, room)))
            self._check(reader, size, whole.hexdigest())
            etags = await asyncio.gather(*sending)
        finally:
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
        etag = await self._complete(upload, list(zip(etags, sums, strict=True)))
        return Arrived(self.item, whole.hexdigest(), etag)

    async def _upload(self, reader: Reader) -> tuple[str, dict[int, tuple[int, str, str]]]:
        """One that is under way, and what it has; or a new one."""
        key = self.item.key
        known = self.journal.upload(self.item)
        if known is not None:
            try:
                return known, await self.patiently(lambda: self.destination.parts(key, known))
            except Refused as refused:
                if refused.status != 404:
                    raise
        made = await self.patiently(lambda: self.destination.begin(key, reader.about.sent()))
        self.journal.begin(self.item, made)
        return made, {}

    async def _part(
        self, upload: str, number: int, data: bytes, sha256: bytes, there: tuple[int, str, str] | None
    ) -> str:
        checksum = base64.b64encode(sha256).decode()
        if there is not None and (there[0], there[2]) == (len(data), checksum):
            return there[1]
        etag: str = await self.patiently(lambda: self.destination.part(self.item.key, upload, number, data, sha256))
        self.told(len(data))
        return etag

    async def _complete(self, upload: str, parts: list[tuple[str, bytes]]) -> str:
        listed = [(etag, base64.b64encode(sha256).decode()) for etag, sha256 in parts]
        joined = base64.b64encode(hashlib.sha256(b"".join(sha256 for _, sha256 in parts)).digest()).decode()
        expected = f"{joined}-{len(parts)}"
        key = self.item.key
        try:
            etag, checksum = await self.patiently(lambda: self.destination.complete(key, upload, listed))
        except Refused as refused:
            if refused.code != "NoSuchUpload":
                raise
            there = await self.patiently(lambda: self.destination.head(key))  # it may have been completed unheard
            if there is None or there.get("x-amz-checksum-sha256") != expected:
                raise Unanswered(f"{key}: its upload is gone; it begins anew") from refused
            return str(there.get("etag")).strip('"')
        if checksum != expected:
            raise CannotMove(f"the destination's checksum is {checksum}, not {expected}")
        return str(etag)

    def _check(self, reader: Reader, size: int, sha256: str) -> None:
        if size != self.item.size or reader.about.sha256 not in (None, sha256):
            raise Unwell(f"{self.item.key}: what came is not what its source says")


def _digests(whole: Any, data: bytes) -> bytes:
    """Of the part; the whole goes on."""
    whole.update(data)
    return hashlib.sha256(data).digest()


async def _releasing(part: Awaitable[str], room: asyncio.Semaphore) -> str:
    try:
        return await part
    finally:
        room.release()
