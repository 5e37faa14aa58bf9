"""Between the cache and the origins: misses, revalidation, one fetch for all who wait, stale objects in need.

What may not be stored is streamed to the one viewer whose request it answers; others who waited for it ask the origin
themselves (CloudFront collapses cacheable objects only). What is stored, and how, is ``keeping``'s.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from littoral.edge import grpc
from littoral.edge.answer import page_text
from littoral.edge.bodies import Uploading
from littoral.edge.cache import Cache, Entry, Key, variation
from littoral.edge.keeping import Keeping
from littoral.edge.outcome import Outcome
from littoral.edge.plan import FAILS_OVER, Failover, Origin
from littoral.edge.ranges import block_range, first_asked, is_block, part_of
from littoral.edge.slicing import Slicing
from littoral.edge.storable import UNCHANGING, by_name, changed_paths, end_to_end
from littoral.edge.tier import Asking, Tier
from littoral.edge.told import SHIELD_HIT, Told
from littoral.edge.triggers import EdgeRequest, EdgeResponse, switched_origin
from littoral.edge.upstream import Upstream, escaped
from littoral.net.client import ClientResponse, RequestFailed, Timeout
from littoral.net.failures import BadResponse, ConnectFailed, Disconnected
from littoral.net.message import Body, Headers, Request
from littoral.protocols.httpcache import lifetime, shareable

if TYPE_CHECKING:
    from littoral.edge.visit import Visit

EARLY_HINTS = 103
UNREACHABLE = {  # what viewers are told, in CloudFront's words
    502: "CloudFront wasn't able to connect to the origin.",
    504: "CloudFront attempted to establish a connection with the origin, but either the attempt failed or the origin "
    "closed the connection.",
}

log = logging.getLogger("littoral.edge")

REACH = 4 * 1024 * 1024  # bytes that a range waits for of a body that is coming
CONDITIONS = ("range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since")

OriginTriggers = Callable[
    [str, "Visit", EdgeRequest, EdgeResponse | None], Awaitable[EdgeRequest | EdgeResponse | None]
]


@dataclass(frozen=True, slots=True)
class Flight:
    """A fetch that others may join, unless what it fetches was invalidated after it began, or varies on a header in
    which they differ."""

    task: asyncio.Task[Outcome]
    since: int
    headers: Headers  # of the request that caused it
    also: list[Key] = field(default_factory=list)  # other keys that it turned out to be the fetch of


class Fetching:
    def __init__(
        self, cache: Cache, upstream: Upstream, triggers: OriginTriggers, clock: Callable[[], float], tier: Tier
    ) -> None:
        self._cache = cache
        self.upstream = upstream
        self._triggers = triggers
        self._clock = clock
        self._tier = tier
        self._under_way: dict[Key, Flight] = {}
        self._keeping = Keeping(cache, clock)
        self._slicing = Slicing(cache, self._find, self.pass_through, clock)
        self._background: set[asyncio.Task[object]] = set()
        self.origin_requests = 0

    async def close(self) -> None:
        tasks = [*self._background, *self._keeping.tasks, *(flight.task for flight in self._under_way.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def find(self, key: Key, visit: Visit) -> Outcome:
        """The object of that key for this viewer."""
        place = self._cache.variant_of(key, visit.request.headers)
        entry = self._cache.get(place)
        if entry is None and place not in self._under_way:
            place, entry = await self._cache.find(key, visit.request.headers)
        if entry is None and visit.viewer.method == "GET":
            if "range" in visit.viewer.headers and not self._within_reach(place, visit):
                return await self._slicing.find(key, visit)
            sliced = await self._slicing.whole(key, visit)
            if sliced is not None:
                return sliced
        return await self._found(place, key, visit, entry)

    async def _find(self, key: Key, visit: Visit) -> Outcome:
        """What lies under exactly that key, or is fetched for it."""
        place, entry = await self._cache.find(key, visit.request.headers)
        return await self._found(place, key, visit, entry)

    def _within_reach(self, place: Key, visit: Visit) -> bool:
        """The whole is being fetched, and has come about as far as this viewer's range."""
        flight = self._under_way.get(place)
        if flight is None:
            return False
        if not flight.task.done() or flight.task.cancelled() or flight.task.exception() is not None:
            return True
        filling = flight.task.result().filling
        first = first_asked(visit.viewer.headers.get("range") or "") or 0
        return filling is not None and first <= filling.size + REACH

    async def _found(self, place: Key, key: Key, visit: Visit, entry: Entry | None) -> Outcome:
        """``place`` is where this viewer's variant of ``key`` lies."""
        now = self._clock()
        if entry is not None and now < entry.fresh_until:
            return Outcome(entry.status, _hit(entry), entry)
        if entry is not None and now < entry.fresh_until + entry.stale_while_revalidate:
            if place not in self._under_way:
                self._begin(place, key, visit, entry)
            return Outcome(entry.status, _hit(entry), entry)
        flight = self._under_way.get(place)
        leads = flight is None or self._cache.invalidations.overtaken(key[0], visit.path, (), flight.since)
        task = self._begin(place, key, visit, entry) if flight is None or leads else flight.task
        outcome = await asyncio.shield(task)
        if leads or flight is None:
            return outcome
        mine = variation(outcome.vary, visit.request.headers)
        if mine != variation(outcome.vary, flight.headers):
            place = (key[0], (*key[1], mine))
            return await self._found(place, key, visit, self._cache.get(place))
        if outcome.private:
            return await self.pass_through(visit)
        return replace(outcome, headers=Headers(list(outcome.headers.raw)))

    def _begin(self, place: Key, key: Key, visit: Visit, entry: Entry | None) -> asyncio.Task[Outcome]:
        """One fetch, which goes on even when the viewer who caused it goes away."""
        task = asyncio.ensure_future(self._fetch(key, visit, entry))
        flight = self._under_way[place] = Flight(task, self._cache.generation, visit.request.headers)
        self._background.add(task)

        def landed(_: object) -> None:
            for each in [each for each in (place, *flight.also) if self._under_way.get(each) is flight]:
                del self._under_way[each]

        def done(finished: asyncio.Task[Outcome]) -> None:
            self._background.discard(finished)
            storing = None
            if not finished.cancelled() and finished.exception() is None:
                storing = finished.result().storing
            if storing is not None and not storing.done():
                storing.add_done_callback(landed)  # until then later viewers follow the same body
            else:
                landed(finished)

        task.add_done_callback(done)
        return task

    async def pass_through(self, visit: Visit) -> Outcome:
        """A request that is not to be cached: body up, response down, nothing held."""
        outcome = await self._ask(visit, None, key=None)
        if visit.request.method not in UNCHANGING and outcome.status < 400:
            for path in changed_paths(visit.viewer.host, visit.path, outcome.headers):
                self._cache.changed(visit.plan.id, path)
        return outcome

    async def _fetch(self, key: Key, visit: Visit, entry: Entry | None) -> Outcome:
        return await self._ask(visit, entry, key)

    async def _ask(self, visit: Visit, entry: Entry | None, key: Key | None) -> Outcome:
        """The origin, or of an origin group first the primary and, when it fails, the secondary."""
        visit.since = self._cache.generation
        behaviour = visit.behaviour
        shield = None if key is None or visit.inner or visit.origin else self._tier.above(behaviour.origin.shield)
        if shield is not None and visit.request.method in {"GET", "HEAD"}:
            try:
                return await self._ask_shield(shield, visit, entry, key)
            except RequestFailed as problem:
                log.warning("origin shield %s: %s", behaviour.origin.shield, problem)
        origin = visit.origin or behaviour.origin
        failover = behaviour.failover if visit.request.method in FAILS_OVER and visit.origin is None else None
        outcome = await self._attempt(visit, entry, key, origin, failover)
        if outcome is None and failover is not None:
            outcome = await self._attempt(visit, entry, key, failover.secondary, None, visit.failed)
        assert outcome is not None
        return outcome

    async def _attempt(
        self,
        visit: Visit,
        entry: Entry | None,
        key: Key | None,
        origin: Origin,
        failover: Failover | None,
        reason: str = "",
    ) -> Outcome | None:
        """One origin with its triggers; None where another is to be asked."""
        request = self.upstream.outgoing(origin, visit.behaviour, visit.request, visit.viewer.peer)
        changed = await self._triggers("origin-request", visit, request, None)
        if isinstance(changed, EdgeResponse):
            return self._keeping.generated(key, visit, changed)
        if changed is not None:
            request = changed
            if changed.origin_document is not None:
                origin = switched_origin(changed.origin_document, origin)
        requested_at = self._clock()
        told = visit.told = Told(origin=origin.domain, reason=reason)
        try:
            response = await self._send(visit, request, origin, entry, cached=key is not None)
        except RequestFailed as problem:
            if failover is not None:
                log.info("origin %s: %s; the secondary is asked", origin.domain, problem)
                visit.failed = f"Failover:{504 if isinstance(problem, Timeout) else 502}"
                return None
            return self._unreachable(key, visit, entry, origin, problem)
        if failover is not None and response.status in failover.statuses:
            await self._triggers("origin-response", visit, request, _bare(response))  # it ran for this origin, too
            response.release()
            visit.failed = f"Failover:{response.status}"
            return None
        visit.plan.traffic.asked(told.answered())
        return await self._received(key, visit, request, entry, response, requested_at)

    async def _ask_shield(self, shield: str, visit: Visit, entry: Entry | None, key: Key | None) -> Outcome:
        """The tier above; origin functions run there. Raises RequestFailed."""
        asked, requested_at = visit.request, self._clock()
        kept = [pair for pair in asked.headers.raw if pair[0].decode("latin-1") not in CONDITIONS]
        headers = Headers([*kept, *Headers.of(_conditions(visit, entry)).raw])
        target = escaped(asked.uri) + (f"?{asked.querystring}" if asked.querystring else "")
        peer = visit.viewer.peer
        asking = Asking(self._tier.wanted, visit.behaviour.pattern, asked.client_ip, peer.tls)
        told = Told(origin=visit.behaviour.origin.domain)
        response, hit = await self._tier.ask(shield, visit.plan.domain, target, headers, asking)
        visit.told = told
        told.answered()
        outcome = await self._received(key, visit, asked, entry, response, requested_at, above=True)
        if hit and outcome.status < 400 and outcome.entry is None:
            outcome.detail = SHIELD_HIT
        return outcome

    async def _send(
        self, visit: Visit, request: EdgeRequest, origin: Origin, entry: Entry | None, *, cached: bool
    ) -> ClientResponse:
        extra = extra_headers(visit.about.request_id, Headers([]) if cached else visit.request.headers)
        method = request.method
        if cached:
            kept = Headers([pair for pair in request.headers.raw if pair[0].decode("latin-1") not in CONDITIONS])
            method = "GET" if method == "HEAD" else method  # one fetch serves both
            request = replace(request, method=method, headers=kept)
            extra += _conditions(visit, entry)
        self.origin_requests += 1
        body = _body_of(visit, request, method)
        length = str(len(body)) if isinstance(body, bytes) else visit.viewer.headers.get("content-length")
        if body is not None and length is not None:
            extra.append(("content-length", length))
        if grpc.is_call(visit.behaviour, visit.viewer):
            return await self.upstream.ask_http2(
                origin, request, visit.viewer.peer, extra + grpc.headers(visit.request.headers), body
            )
        return await self.upstream.ask(
            origin, request, visit.viewer.peer, extra, body, None, partial(_hinted, visit.viewer), visit.tried
        )

    async def _received(
        self,
        key: Key | None,
        visit: Visit,
        request: EdgeRequest,
        entry: Entry | None,
        response: ClientResponse,
        requested_at: float,
        *,
        above: bool = False,
    ) -> Outcome:
        """``above``: from the shield, where origin functions have run."""
        now = self._clock()
        if response.status == 304 and entry is not None:
            response.release()
            return self._keeping.refreshed(key, visit, entry, response.headers, requested_at)
        if response.status >= 500 and entry is not None and self._keeping.may_be_stale(entry, now):
            response.release()
            return self._keeping.stale(visit, entry, response.status)
        if visit.block is not None and response.status != 206:
            key = self._not_a_block(visit, response.status)
        before = _bare(response)
        after = None if above else await self._triggers("origin-response", visit, request, before)
        made = after if isinstance(after, EdgeResponse) else before
        known = by_name(made.headers)
        said = lifetime(made.status, known, visit.behaviour.ttl, now, visit.plan.error_minimum(made.status))
        if key is None and visit.shared is not None and shareable(known):
            key = visit.shared
        if made.body is not None:
            response.release()
            return self._keeping.replaced(key, visit, made, said, known, requested_at)
        length = response.headers.get("content-length")
        partial = made.status == 206 and not self._is_asked_block(visit, made.headers)
        if "grpc-status" in made.headers and grpc.is_call(visit.behaviour, visit.viewer):
            response.release()
            status_only = grpc.StatusOnly(made.headers)
            return Outcome(made.status, "Miss from cloudfront", headers=status_only.head, stream=status_only)
        if key is None or not said.storable or partial:
            if length is not None and request.method != "HEAD":
                made.headers.set("content-length", length)
            label = "Miss from cloudfront" if made.status < 400 else "Error from cloudfront"
            return Outcome(made.status, label, headers=made.headers, passing=response, told=visit.told)
        return self._keeping.store(key, visit, made, said, known, requested_at, response, length)

    def _not_a_block(self, visit: Visit, status: int) -> Key:
        """The origin was asked for a block and says something else, which is what it says of the whole."""
        assert visit.block is not None
        whole = visit.block[1]
        place = self._cache.variant_of(whole, visit.request.headers)
        mine = next((each for each in self._under_way.values() if each.task is asyncio.current_task()), None)
        if status == 200 and mine is not None and place not in self._under_way:
            self._under_way[place] = mine  # who asks for the whole joins
            mine.also.append(place)
        return whole

    def _is_asked_block(self, visit: Visit, headers: Headers) -> bool:
        return visit.block is not None and is_block(part_of(headers.get("content-range")), visit.block[0])

    def _unreachable(
        self, key: Key | None, visit: Visit, entry: Entry | None, origin: Origin, problem: RequestFailed
    ) -> Outcome:
        log.warning("origin %s: %s", origin.domain, problem)
        status = 504 if isinstance(problem, Timeout) else 502
        if entry is not None and self._keeping.may_be_stale(entry, self._clock()):
            return self._keeping.stale(visit, entry, status)
        title = "Gateway Timeout" if status == 504 else "Bad Gateway"
        text = page_text(status, title, UNREACHABLE[status])
        headers = Headers.of([("content-type", "text/html")])
        if key is not None:
            now = self._clock()
            until = now + visit.plan.error_minimum(status)
            kept = Entry(visit.path, status, list(headers.raw), text, len(text), now, until)
            self._keeping.keep(key, visit, kept)
        return Outcome(status, "Error from cloudfront", headers=headers, content=text, detail=problem_of(problem))


def extra_headers(identifier: str, asked: Headers) -> list[tuple[str, str]]:
    """What goes to the origin beside what policies say, of a request that is not cached: its own conditions."""
    conditions = [(name, value) for name in CONDITIONS if (value := asked.get(name)) is not None]
    return [("x-amz-cf-id", identifier), *conditions]


def problem_of(problem: RequestFailed) -> str:
    """x-edge-detailed-result-type of an origin that did not answer."""
    if isinstance(problem, Timeout):
        return "OriginCommError"
    if isinstance(problem, ConnectFailed):
        return "OriginDnsError" if isinstance(problem.__cause__, socket.gaierror) else "OriginConnectError"
    if isinstance(problem, Disconnected):
        return "OriginReadError"
    return "OriginInvalidResponseError" if isinstance(problem, BadResponse) else "OriginCommError"


def _hinted(viewer: Request, status: int, headers: Headers) -> None:
    """Early hints (RFC 8297) go to the viewer who is being answered; other interim responses are the hop's own."""
    if status == EARLY_HINTS and viewer.interim is not None:
        viewer.interim(status, end_to_end(headers))


def _body_of(visit: Visit, request: EdgeRequest, method: str) -> bytes | Body | None:
    """What goes up: what a function saw or wrote, else the viewer's body as it comes."""
    if method in {"GET", "HEAD", "OPTIONS"}:
        return None
    if request.body is not None:
        return request.body
    headers = visit.viewer.headers
    return Uploading(visit.viewer.body) if headers.get("content-length") or "transfer-encoding" in headers else None


def _conditions(visit: Visit, entry: Entry | None) -> list[tuple[str, str]]:
    """Of a request whose answer is to be stored: which block, and unless it is what is there already."""
    made: list[tuple[str, str]] = []
    if visit.block is not None:
        made.append(("range", block_range(visit.block[0])))
    if entry is not None and entry.status in {200, 206}:
        if entry.etag is not None:
            made.append(("if-none-match", entry.etag))
        if entry.last_modified is not None:
            made.append(("if-modified-since", entry.last_modified))
    return made


def _bare(response: ClientResponse) -> EdgeResponse:
    return EdgeResponse(response.status, end_to_end(response.headers))


def _hit(entry: Entry) -> str:
    return "Hit from cloudfront" if entry.status < 400 else "Error from cloudfront"
