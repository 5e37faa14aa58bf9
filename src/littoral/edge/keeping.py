"""What becomes of an origin's answer in the cache: stored as it comes, refreshed, kept a while longer in need.

Every refusal to store has a name (``Lifetime.refusal``). Knows no origin: who asks, and whether, is ``fetching``'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from littoral.edge.cache import Cache, Entry, Key
from littoral.edge.compressing import Compression, encoded, encoding_for, weakened
from littoral.edge.filling import Filling
from littoral.edge.outcome import Outcome
from littoral.edge.storable import by_name, storable, tags_of, vary_of
from littoral.edge.told import GENERATED
from littoral.edge.triggers import EdgeResponse
from littoral.net.client import ClientResponse, RequestFailed
from littoral.net.message import BodyError, Headers
from littoral.protocols.httpcache import Lifetime, initial_age, lifetime
from littoral.protocols.httpcache.directives import date_text

if TYPE_CHECKING:
    from littoral.edge.visit import Visit


log = logging.getLogger("littoral.edge")


class Keeping:
    """``tasks`` are bodies on their way into the cache."""

    def __init__(self, cache: Cache, clock: Callable[[], float]) -> None:
        self._cache = cache
        self._clock = clock
        self.tasks: set[asyncio.Task[Entry]] = set()

    def store(
        self,
        key: Key,
        visit: Visit,
        made: EdgeResponse,
        said: Lifetime,
        known: dict[str, list[str]],
        requested_at: float,
        response: ClientResponse,
        length: str | None,
    ) -> Outcome:
        filling = Filling(self._cache.disk.new_file)
        entry = self._entry(visit, made, said, known, requested_at)
        viewer = visit.viewer
        if length is not None:
            known = {**known, "content-length": [length]}
        encoding = encoding_for(
            visit.behaviour, visit.request.headers, viewer.http_version, made.status, known, said.seconds
        )
        if encoding is not None:
            entry.raw, length = encoded(entry.raw, encoding), None
        storing = asyncio.ensure_future(self._fill(key, visit, entry, filling, response, encoding))
        self.tasks.add(storing)
        storing.add_done_callback(self.tasks.discard)
        storing.add_done_callback(_retrieved)
        headers = Headers(list(entry.raw))
        if "age" in known:
            headers.set("age", str(max(0, int(self._clock() - entry.born))))
        if length is not None:
            headers.set("content-length", length)
        label = "Miss from cloudfront" if made.status < 400 else "Error from cloudfront"
        return Outcome(made.status, label, headers=headers, filling=filling, storing=storing, vary=entry.vary)

    async def _fill(
        self, key: Key, visit: Visit, entry: Entry, filling: Filling, response: ClientResponse, encoding: str | None
    ) -> Entry:
        compression = Compression(encoding) if encoding is not None else None
        try:
            async with response:
                async for chunk in response.body:
                    await filling.write(chunk if compression is None else await compression.feed(chunk))
            if compression is not None:
                await filling.write(await compression.end())
        except (BodyError, RequestFailed, OSError) as problem:
            filling.fail(str(problem))
            raise
        except BaseException:
            filling.fail("the edge location is stopping")
            raise
        if visit.told is not None:
            visit.told.ended()
        entry.body = filling.finish()
        entry.size = filling.size
        self.keep(key, visit, entry)
        return entry

    def keep(self, key: Key, visit: Visit, entry: Entry) -> None:
        """Store, unless an invalidation came after the origin was asked."""
        entry.since = visit.since
        self._cache.put(key, entry, visit.request.headers, self._clock())

    def _entry(
        self, visit: Visit, made: EdgeResponse, said: Lifetime, known: dict[str, list[str]], requested_at: float
    ) -> Entry:
        now = self._clock()
        age = initial_age(known, requested_at, now)
        raw = storable(made.headers)
        if "date" not in known:
            raw.append((b"date", date_text(now).encode()))  # RFC 9110 s. 6.6.1
        return Entry(
            visit.path,
            made.status,
            raw,
            b"",
            0,
            born=now - age,
            fresh_until=now - (age if made.status < 400 else 0.0) + said.seconds,
            stale_while_revalidate=said.stale_while_revalidate,
            stale_if_error=said.stale_if_error,
            etag=known.get("etag", [None])[0],
            last_modified=known.get("last-modified", [None])[0],
            vary=vary_of(visit.behaviour, known),
            tags=tags_of(visit.plan.tag_header, known),
        )

    def replaced(
        self,
        key: Key | None,
        visit: Visit,
        made: EdgeResponse,
        said: Lifetime,
        known: dict[str, list[str]],
        requested_at: float,
    ) -> Outcome:
        """A body that origin-response wrote."""
        label = "Miss from cloudfront" if made.status < 400 else "Error from cloudfront"
        made.headers.remove("content-length")
        if key is not None and said.storable:
            entry = self._entry(visit, made, said, known, requested_at)
            entry.body, entry.size = made.body or b"", len(made.body or b"")
            self.keep(key, visit, entry)
        return Outcome(made.status, label, headers=Headers(storable(made.headers)), content=made.body or b"")

    def generated(self, key: Key | None, visit: Visit, made: EdgeResponse) -> Outcome:
        """A response that origin-request generated; it is cached like an origin's."""
        now = self._clock()
        known = by_name(made.headers)
        said = lifetime(made.status, known, visit.behaviour.ttl, now, visit.plan.error_minimum(made.status))
        outcome = self.replaced(key, visit, replace(made, body=made.body or b""), said, known, now)
        outcome.label = "LambdaGeneratedResponse from cloudfront"
        outcome.detail = GENERATED if outcome.status < 400 else ""
        return outcome

    def refreshed(self, key: Key | None, visit: Visit, entry: Entry, headers: Headers, requested_at: float) -> Outcome:
        """304: the stored body with the new headers (RFC 9111 s. 4.3.4)."""
        now = self._clock()
        fresh = {name for name, _ in headers.raw} - {b"content-length", b"content-encoding", b"content-range"}
        merged = [pair for pair in entry.raw if pair[0] not in fresh]
        merged += [pair for pair in headers.raw if pair[0] in fresh]
        weak = entry.etag is not None and entry.headers.get("etag") == f"W/{entry.etag}"  # it was compressed here
        entry.raw = weakened(storable(Headers(merged))) if weak else storable(Headers(merged))
        entry.head, entry.aged = b"", -1
        known = by_name(Headers(merged))
        said = lifetime(entry.status, known, visit.behaviour.ttl, now, visit.plan.error_minimum(entry.status))
        age = initial_age(known, requested_at, now)
        entry.born, entry.fresh_until = now - age, now - age + said.seconds
        entry.stale_while_revalidate, entry.stale_if_error = said.stale_while_revalidate, said.stale_if_error
        if key is not None:
            self._cache.refreshed(key, entry, visit.request.headers)
        return Outcome(entry.status, "RefreshHit from cloudfront", entry)

    def may_be_stale(self, entry: Entry, now: float) -> bool:
        """CloudFront serves stale when the origin fails, unless the object says how long, or never."""
        return entry.status < 400 and (entry.stale_if_error is None or now < entry.fresh_until + entry.stale_if_error)

    def stale(self, visit: Visit, entry: Entry, status: int) -> Outcome:
        """The old object for as long as the error would have been kept."""
        if entry.stale_if_error is None:
            entry.fresh_until = self._clock() + visit.plan.error_minimum(status)
        return Outcome(entry.status, "Hit from cloudfront", entry)


def _retrieved(task: asyncio.Task[Entry]) -> None:
    """A body that broke off was told to its readers; nobody else needs the exception."""
    if not task.cancelled() and task.exception() is not None:
        log.info("an object was not stored: %s", task.exception())
