"""The objects of a bucket as a source: a range of its keys, or those under a prefix, with headers and metadata."""

from __future__ import annotations

import asyncio
import calendar
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from littoral.box.manifest import KeyRange
from littoral.box.transfer.asking import Refused, Unanswered, Unwell
from littoral.box.transfer.bucket import Bucket, Given, is_laid
from littoral.box.transfer.items import About, CannotMove, Changed, Found, Item, NotSound
from littoral.box.transfer.pieces import Laid
from littoral.box.transfer.sums import Sum, computed, stated
from littoral.net.message import BodyError, Headers
from littoral.net.receiving import Room, Sink
from littoral.protocols.manyobjects import Asked

KEPT: Final = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
)
META: Final = "x-amz-meta-"
AT_ONCE: Final = 16  # small ones asked for together, each by a request of its own
Head = Headers | Mapping[str, str]
Small = tuple[bytes, About] | Exception


class Objects:
    """``prefix`` is what their keys begin with; it stays."""

    def __init__(self, bucket: Bucket, wanted: KeyRange, prefix: str = "") -> None:
        self._bucket = bucket
        self._wanted = wanted
        self._prefix = prefix
        self._read_here: set[str] = set()  # what comes again is asked of its place
        bounds = f"{wanted.begin}..{wanted.end}" if wanted.begin or wanted.end else prefix
        self.name = f"{bucket.place}/{bounds}"
        self._gathers: bool | None = None  # whether the place gives many in one answer; None: not known yet
        self._trying = asyncio.Lock()

    def list(self) -> Range:
        return Range(self._bucket, self._wanted, self._prefix)

    async def small(self, items: Sequence[Item]) -> Sequence[Small]:
        """In one answer where the place knows of that; what does not come so, by a request of its own."""
        found = await self._together(items)
        alone = [number for number in range(len(items)) if number not in found]
        limit = asyncio.Semaphore(AT_ONCE)

        async def whole(number: int) -> tuple[bytes, About]:
            async with limit:
                return await self._whole(items[number])

        for number, one in zip(alone, await asyncio.gather(*map(whole, alone), return_exceptions=True), strict=True):
            if isinstance(one, BaseException) and not isinstance(one, Changed | CannotMove | Unwell):
                raise one
            found[number] = one
        return [found[number] for number in range(len(items))]

    async def _together(self, items: Sequence[Item]) -> dict[int, Small]:
        """Those that came in one answer, by their places; none where nobody knows of such a request, which is found
        out once."""
        async with self._trying if self._gathers is None else nullcontext():
            if self._gathers is False or len(items) < 2:
                return {}
            try:
                given = await self._bucket.many([Asked(item.key, item.stamp) for item in items])
            except Refused:
                self._gathers = False
                return {}
            except Unanswered as problem:
                if self._gathers and not isinstance(problem, Unwell):
                    raise
                return {}  # each by itself: it may be this request that is not understood
            self._gathers = True
        return {number: _outcome(items[number], one) for number, one in given.items() if number < len(items)}

    async def _whole(self, item: Item) -> tuple[bytes, About]:
        with _told(item):
            response = await self._bucket.get(item.key, item.stamp)
        try:
            async with response:
                data = await response.body.read(item.size)
        except BodyError as problem:
            raise Unanswered(f"{item.key}: {problem}") from problem
        return _proven(item, response.headers, data)

    async def open(self, item: Item) -> Stretches | Laid:
        tray = self._bucket.tray
        laid = tray.place() if tray is not None and item.key not in self._read_here else None
        with _told(item):
            head = await self._head(item, laid)
        if head is None:
            raise Changed(item.key)
        about, said = about_of(head), proof_of(head, item.stamp)
        if laid is not None and is_laid(head, laid):
            self._read_here.add(item.key)
            with suppress(NotSound):
                return await Laid.open(laid, item, about, said)
        return Stretches(self._bucket, item, about, said)

    async def _head(self, item: Item, laid: Path | None) -> Headers | None:
        try:
            return await self._bucket.head(item.key, item.stamp, laid)
        except Refused:  # without a word why: a GET has one
            (await self._bucket.get(item.key, item.stamp)).release()
            raise


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


class Stretches:
    """A large object, each buffer by a request of its own: what is cut off is asked for again from there."""

    def __init__(self, bucket: Bucket, item: Item, about: About, said: Sum | None) -> None:
        self._bucket, self._item = bucket, item
        self._at = 0
        self.about, self.said = about, said

    async def fill(self, buffer: memoryview) -> int:
        size = min(len(buffer), self._item.size - self._at)
        if size:
            await self.draw(self._at, size, Room(buffer[:size]))
            self._at += size
        return size

    async def draw(self, begin: int, size: int, sink: Sink) -> None:
        with _told(self._item):
            await self._bucket.stretch(self._item.key, self._item.stamp, begin, size, sink)

    async def close(self) -> None:
        """Nothing of it is open."""


@contextmanager
def _told(item: Item) -> Iterator[None]:
    """Raises Changed and CannotMove for what is refused."""
    try:
        yield
    except Refused as refused:
        if refused.status in (404, 412):
            raise Changed(item.key) from refused
        raise CannotMove(str(refused)) from refused


def _outcome(item: Item, given: Given) -> Small:
    try:
        with _told(item):
            if isinstance(given, Exception):
                raise given
        return _proven(item, *given)
    except (Changed, CannotMove, Unwell) as problem:
        return problem
    except Unanswered as problem:
        return Unwell(str(problem))


def _proven(item: Item, head: Head, data: bytes) -> tuple[bytes, About]:
    """Raises Unanswered, Unwell."""
    if len(data) != item.size:
        raise Unanswered(f"{item.key}: {len(data)} of {item.size} bytes came")
    said = proof_of(head, item.stamp)
    if said is not None and not said.is_of(data):
        raise Unwell(f"{item.key}: what came is not what its {said.algorithm} says")
    return data, about_of(head)


def _lowered(headers: Head) -> Mapping[str, str]:
    """Names in small letters: those of a frame are."""
    return {name.lower(): value for name, value in headers.items()} if isinstance(headers, Headers) else headers


def about_of(headers: Head) -> About:
    found = _lowered(headers)
    kept: dict[str, str] = {name: found[name] for name in KEPT if name in found}
    if kept.get("content-type") == "binary/octet-stream":
        del kept["content-type"]  # which is what an object has that says nothing
    metadata = {name.removeprefix(META): value for name, value in found.items() if name.startswith(META)}
    return About(kept, metadata)


def proof_of(headers: Head, etag: str) -> Sum | None:
    """What the source says of the whole content: its checksum, or its ETag where that is an MD5."""
    told = _lowered(headers)
    if (known := computed(told) or stated(told)) is not None:
        return known
    plain = told.get("x-amz-server-side-encryption") != "aws:kms"
    return Sum("MD5", bytes.fromhex(etag)) if plain and _is_md5(etag) else None


def _is_md5(etag: str) -> bool:
    return len(etag) == 32 and set(etag) <= set("0123456789abcdef")


def _seconds(text: str) -> int:
    try:
        return calendar.timegm(datetime.fromisoformat(text).utctimetuple())
    except ValueError:
        return 0
