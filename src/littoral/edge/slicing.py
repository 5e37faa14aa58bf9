"""Ranges of objects that are not stored whole: fetched, kept and put together in blocks.

The way of one:
1. The block that holds the first byte is found or fetched (one fetch for all who wait for it, like any object).
2. Its Content-Range says how long the object is, so the ranges can be resolved, and If-Range compared.
3. The answer begins; the blocks after it are found or fetched as it goes on, one ahead.

An origin that does not do ranges answers whole, and that is stored and answered from. What has no strong validator
cannot be put together from pieces and is fetched whole; what may not be stored is asked for as the viewer asked. A
block of another version than the first ends the answer, for its beginning has been sent; both go, the next gets one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from littoral.edge.answer import unchanged
from littoral.edge.cache import Cache
from littoral.edge.entry import Entry, Key
from littoral.edge.outcome import Outcome
from littoral.edge.ranges import (
    BLOCK,
    Span,
    block_key,
    first_asked,
    is_block,
    multipart,
    part_of,
    same_object,
    spans_of,
)
from littoral.net.message import BodyError, Headers, RawHeaders

if TYPE_CHECKING:
    from littoral.edge.visit import Visit

Find = Callable[[Key, "Visit"], Awaitable[Outcome]]


class Slicing:
    """``find`` finds or fetches what lies under a key, ``pass_through`` asks the origin as the viewer asked."""

    def __init__(
        self,
        cache: Cache,
        find: Find,
        pass_through: Callable[[Visit], Awaitable[Outcome]],
        clock: Callable[[], float],
    ) -> None:
        self._cache = cache
        self._find = find
        self._pass_through = pass_through
        self._clock = clock

    async def find(self, key: Key, visit: Visit) -> Outcome:
        """A request with Range for an object that is not stored."""
        text = visit.viewer.headers.get("range") or ""
        first = first_asked(text)
        if first is None:
            return await self._find(key, visit)
        outcome = await self._block(key, visit, first // BLOCK)
        if outcome.status == 416 and first >= BLOCK:  # perhaps: what is there is shorter than that
            return outcome
        entry = outcome.entry
        if entry is None or entry.status != 206:
            return outcome
        return await self._answer(key, visit, text, first // BLOCK, outcome, entry)

    async def whole(self, key: Key, visit: Visit) -> Outcome | None:
        """A request for all of an object of which the first block is in memory."""
        first = self._cache.get(block_key(key, 0))
        if first is None or self._clock() >= first.fresh_until or not _joins(first):
            return None
        return await self._answer(key, visit, "", 0, Outcome(206, "Hit from cloudfront", first), first)

    async def _block(self, key: Key, visit: Visit, number: int) -> Outcome:
        """With an entry of status 206 where the origin does ranges, and what it says instead otherwise."""
        outcome = await self._find(block_key(key, number), replace(visit, block=(number, key)))
        if outcome.entry is None and outcome.status == 206:
            if outcome.storing is None:
                outcome.release()
                return await self._pass_through(visit)
            outcome = Outcome(206, outcome.label, await outcome.whole())
        if outcome.entry is not None and outcome.entry.status == 206:
            part = part_of(outcome.entry.headers.get("content-range"))
            if part is None or not is_block(part, number) or outcome.entry.size != part.last - part.first + 1:
                self._cache.discard(outcome.entry.place)
                return await self._pass_through(visit)
            if not _joins(outcome.entry):
                return await self._find(key, visit)
        return outcome

    async def _answer(self, key: Key, visit: Visit, text: str, number: int, outcome: Outcome, entry: Entry) -> Outcome:
        part = part_of(entry.headers.get("content-range"))
        assert part is not None
        now = self._clock()
        if part.total <= BLOCK:  # the block is the object
            whole = replace(entry, status=200, raw=_without(entry.raw, b"content-range"), head=b"", aged=-1)
            self._cache.put(key, whole, visit.request.headers, now)
            return Outcome(200, outcome.label, whole)
        raw = _without(entry.raw, b"content-range")
        raw.append((b"age", b"%d" % max(0, now - entry.born)))
        asked = visit.viewer.headers
        if unchanged(entry.etag, entry.last_modified, asked):
            return Outcome(304, outcome.label, headers=Headers(_without(raw, b"content-type")))
        spans = spans_of(text, part.total)
        condition = asked.get("if-range")
        if condition is not None and condition not in {entry.etag, entry.last_modified}:
            spans = None
        if spans == []:
            raw = [*_without(raw, b"content-type"), (b"content-range", b"bytes */%d" % part.total)]
            return Outcome(416, outcome.label, headers=Headers(raw))
        body = _Assembly(self, key, visit, number, entry, part.total)
        if spans is None or len(spans) == 1:
            span = (0, part.total - 1) if spans is None else spans[0]
            if spans is not None:
                raw.append((b"content-range", b"bytes %d-%d/%d" % (*span, part.total)))
            parts, end = [(b"", span)], b""
        else:
            raw, parts, end = multipart(raw, spans, part.total)
        length = sum(len(before) + last - first + 1 for before, (first, last) in parts) + len(end)
        raw.append((b"content-length", b"%d" % length))
        status = 200 if spans is None else 206
        return Outcome(status, outcome.label, headers=Headers(raw), stream=body.read(parts, end), stored=True)

    async def another(self, key: Key, visit: Visit, number: int, first: Entry) -> Entry:
        """A further block of the same version as ``first``. Raises BodyError."""
        for attempt in range(2):
            entry = (await self._block(key, visit, number)).entry
            if entry is not None and entry.status == 206 and same_object(first, entry):
                return entry
            if attempt == 0:  # perhaps one that was kept from before the first was fetched
                self._cache.discard(block_key(key, number))
        self._cache.discard(first.place)
        raise BodyError("the object changed at its origin while it was sent")


class _Assembly:
    """The bytes of one answer, from blocks."""

    def __init__(self, slicing: Slicing, key: Key, visit: Visit, number: int, entry: Entry, total: int) -> None:
        self._slicing = slicing
        self._key = key
        self._visit = visit
        self._first = entry
        self._at = (number, entry)
        self._total = total
        self._next: tuple[int, asyncio.Task[Entry]] | None = None

    async def read(self, parts: list[tuple[bytes, Span]], end: bytes) -> AsyncIterator[bytes]:
        try:
            for before, (first, last) in parts:
                if before:
                    yield before
                for number in range(first // BLOCK, last // BLOCK + 1):
                    entry = await self._block(number, more=number < last // BLOCK)
                    assert isinstance(entry.body, bytes)
                    begin = number * BLOCK
                    yield entry.body[max(0, first - begin) : last + 1 - begin]
            if end:
                yield end
        finally:
            if self._next is not None:
                self._next[1].cancel()

    async def _block(self, number: int, *, more: bool) -> Entry:
        if self._at[0] != number:
            ahead, self._next = self._next, None
            if ahead is not None and ahead[0] == number:
                self._at = (number, await ahead[1])
            else:
                if ahead is not None:
                    ahead[1].cancel()
                self._at = (number, await self._fetched(number))
        if more:
            task = asyncio.ensure_future(self._fetched(number + 1))
            task.add_done_callback(_seen)
            self._next = (number + 1, task)
        return self._at[1]

    async def _fetched(self, number: int) -> Entry:
        return await self._slicing.another(self._key, self._visit, number, self._first)


def _seen(task: asyncio.Task[Entry]) -> None:
    """A block that was fetched ahead and not needed may have failed."""
    if not task.cancelled():
        task.exception()


def _joins(entry: Entry) -> bool:
    return same_object(entry, entry)


def _without(raw: RawHeaders, name: bytes) -> RawHeaders:
    return [pair for pair in raw if pair[0] != name]
