"""The objects of a bucket as a source: a range of its keys, or those under a prefix, with headers and metadata."""

from __future__ import annotations

import asyncio
import calendar
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from littoral.box.manifest import KeyRange
from littoral.box.transfer.bucket import Bucket, Refused, Unanswered, Unwell
from littoral.box.transfer.items import About, CannotMove, Changed, Found, Item
from littoral.box.transfer.sums import Running, Sum, stated
from littoral.net.client import ClientResponse
from littoral.net.message import BodyError, Headers

KEPT: Final = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)
META: Final = "x-amz-meta-"
AT_HAND: Final = 256 * 1024  # bytes; more are hashed on a thread
AT_ONCE: Final = 16  # small ones asked for together


class Objects:
    """``prefix`` is what their keys begin with; it stays."""

    def __init__(self, bucket: Bucket, wanted: KeyRange, prefix: str = "") -> None:
        self._bucket = bucket
        self._wanted = wanted
        self._prefix = prefix
        bounds = f"{wanted.begin}..{wanted.end}" if wanted.begin or wanted.end else prefix
        self.name = f"{bucket.place}/{bounds}"

    def list(self) -> Range:
        return Range(self._bucket, self._wanted, self._prefix)

    async def small(self, items: Sequence[Item]) -> Sequence[tuple[bytes, About] | Exception]:
        limit = asyncio.Semaphore(AT_ONCE)

        async def whole(item: Item) -> tuple[bytes, About] | Exception:
            async with limit:
                try:
                    reader = await self.open(item)
                    data = bytearray(item.size + 1)
                    size = await reader.fill(memoryview(data))
                    await reader.close()
                except (Changed, CannotMove, Unwell) as problem:
                    return problem
            return bytes(data[:size]), reader.about

        found = await asyncio.gather(*map(whole, items), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, Changed | CannotMove | Unwell):
                raise one
        return found  # type: ignore[return-value]

    async def open(self, item: Item) -> Body:
        try:
            return Body(await self._bucket.get(item.key, item.stamp), item)
        except Refused as refused:
            if refused.status in (404, 412):
                raise Changed(item.key) from refused
            raise CannotMove(str(refused)) from refused


class Range:
    """The keys, page by page."""

    def __init__(self, bucket: Bucket, wanted: KeyRange, prefix: str) -> None:
        self._bucket = bucket
        self._wanted = wanted
        self._prefix = prefix
        self._after = ""
        self._more = True

    async def page(self) -> Sequence[Found] | None:
        begin, end = self._wanted.begin, self._wanted.end
        if begin and not self._after:  # the first of the range, which a page after it does not have
            first = await self._bucket.head(begin)
            self._after = begin
            if first is None:
                return []
            return [Item(begin, int(first.get("content-length") or 0), (first.get("etag") or "").strip('"'))]
        if not self._more:
            return None
        found, more = await self._bucket.page(prefix=self._prefix, after=self._after)
        inside = [one for one in found if not end or one.key.encode() <= end.encode()]
        self._more = more and len(inside) == len(found)
        self._after = found[-1].key if found else self._after
        return [Item(one.key, one.size, one.etag, _seconds(one.modified)) for one in inside]


class Body:
    def __init__(self, response: ClientResponse, item: Item) -> None:
        self._response = response
        self._chunks = aiter(response.body)
        self._item = item
        self._held = memoryview(b"")
        self._came = 0
        self.about = about_of(response.headers)
        self._said = proof_of(response.headers, item.stamp)
        self._proof = None if self._said is None else Running(self._said.algorithm)

    async def fill(self, buffer: memoryview) -> int:
        filled = 0
        try:
            while filled < len(buffer):
                if not self._held:
                    if (chunk := await anext(self._chunks, None)) is None:
                        break
                    self._held = memoryview(chunk)
                taken, self._held = self._held[: len(buffer) - filled], self._held[len(buffer) - filled :]
                buffer[filled : filled + len(taken)] = taken
                filled += len(taken)
        except BodyError as problem:
            raise Unanswered(str(problem)) from problem
        self._came += filled
        await self._prove(buffer[:filled])
        if filled < len(buffer):
            self._check()
        return filled

    async def _prove(self, data: memoryview) -> None:
        if self._proof is None:
            return
        if len(data) < AT_HAND:
            self._proof.update(data)
        else:
            await asyncio.to_thread(self._proof.update, data)

    def _check(self) -> None:
        """At the end. Raises Unanswered, for it may be right the next time."""
        if self._came != self._item.size:
            raise Unanswered(f"{self._item.key}: {self._came} of {self._item.size} bytes came")
        if self._proof is not None and self._said is not None and self._proof.digest() != self._said.digest:
            raise Unwell(f"{self._item.key}: what came is not what its {self._said.algorithm} says")

    async def close(self) -> None:
        self._response.release()


def about_of(headers: Headers) -> About:
    found = {name.lower(): value for name, value in headers.items()}
    kept: dict[str, str] = {name: found[name] for name in KEPT if name in found}
    if kept.get("content-type") == "binary/octet-stream":
        del kept["content-type"]  # which is what an object has that says nothing
    metadata = {name.removeprefix(META): value for name, value in found.items() if name.startswith(META)}
    return About(kept, metadata)


def proof_of(headers: Headers, etag: str) -> Sum | None:
    """What the source says of the whole content: its checksum, or its ETag where that is an MD5."""
    found = {name.lower(): value for name, value in headers.items()}
    if (known := stated(found)) is not None:
        return known
    plain = found.get("x-amz-server-side-encryption") != "aws:kms"
    return Sum("MD5", bytes.fromhex(etag)) if plain and _is_md5(etag) else None


def _is_md5(etag: str) -> bool:
    return len(etag) == 32 and set(etag) <= set("0123456789abcdef")


def _seconds(text: str) -> int:
    try:
        return calendar.timegm(datetime.fromisoformat(text).utctimetuple())
    except ValueError:
        return 0
