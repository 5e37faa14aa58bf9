"""The long way of one viewer request, of all that is no fresh hit: ``serve`` and ``found`` are the list of steps."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable

from littoral.aws.invoke import InvokeResult
from littoral.edge import answer
from littoral.edge.cache import Cache, Key
from littoral.edge.cloudfrontheaders import with_made
from littoral.edge.entry import Entry
from littoral.edge.fetching import Fetching
from littoral.edge.geo import Locator
from littoral.edge.outcome import Outcome
from littoral.edge.plan import SAFE_METHODS, Plan
from littoral.edge.responseheaders import ResponseHeaders, server_timing
from littoral.edge.signing import refusal_page
from littoral.edge.tier import RAW
from littoral.edge.told import Told
from littoral.edge.triggering import Triggering
from littoral.edge.triggers import About, EdgeRequest
from littoral.edge.tunnels import NoTunnel, Tunnels
from littoral.edge.viewerrules import refusal
from littoral.edge.visit import EdgeFailure, Visit
from littoral.net.client import RequestFailed
from littoral.net.message import Answer, BodyTooLarge, BytesBody, Headers, Request, Response, Switching
from littoral.protocols import websocket
from littoral.protocols.signedurl import Refused

# a hit is not answered whole, or not with the headers that everybody gets, or not at all
UNCACHED = frozenset((b"content-length", b"transfer-encoding", b"upgrade"))
SPECIAL = UNCACHED | {b"range", b"if-none-match", b"if-modified-since", b"origin", b"via", RAW}
MAX_TRIGGER_BODY = 20 * 1024 * 1024  # bytes of a request body that a trigger with IncludeBody may hold up


class Serving:
    """``results`` are counted by the first word of X-Cache."""

    def __init__(
        self,
        pop: str,
        cache: Cache,
        fetching: Fetching,
        tunnels: Tunnels,
        triggering: Triggering,
        locator: Locator,
        results: Counter[str],
        clock: Callable[[], float],
    ) -> None:
        self._pop = pop
        self._cache = cache
        self._fetching = fetching
        self._tunnels = tunnels
        self._triggering = triggering
        self._locator = locator
        self._results = results
        self._clock = clock
        self.tls_port = 443  # of the location, for those who name its other port

    async def guarded(self, serving: Awaitable[Answer]) -> Answer:
        try:
            return await serving
        except EdgeFailure as failure:
            return self.failed(failure)

    async def serve(self, viewer: Request, plan: Plan, tried: RequestFailed | None = None) -> Answer:
        """``tried`` is what an attempt at the origin came to that was made before."""
        visit = self.visit(viewer, plan)
        visit.tried = tried
        redirect = self.policy(visit)
        if redirect is not None:
            return redirect
        refused = self.stopped(visit)
        if refused is not None:
            return await self.respond(visit, await self._error_page(visit, refused))
        await self._take_body(visit)
        return await self.triggered(visit)

    async def triggered(self, visit: Visit, called: Awaitable[InvokeResult] | None = None) -> Answer:
        """From the function at viewer-request on; ``called`` where the call is made already (``calling``)."""
        generated = await self._triggering.at_request(visit, called)
        if generated is not None:
            return self.dressed(visit, generated, generated.headers.get("x-cache") or "")
        behaviour = visit.behaviour
        if behaviour.direct and "viewer-response" not in behaviour.triggers and not behaviour.functions:
            response = self.stored(visit, whole=True)
            if response is not None:
                return response
        return await self.found(visit)

    def stored(self, visit: Visit, *, whole: bool) -> Response | None:
        """A fresh stored object, for a request as its function has left it. ``whole``: nothing is to look at the
        response's headers any more."""
        self.rooted(visit)
        behaviour, request, asked = visit.behaviour, visit.request, dict(visit.viewer.headers.raw)
        if request.method not in SAFE_METHODS or not UNCACHED.isdisjoint(asked):
            return None
        key = (visit.plan.id, behaviour.key_of(request.uri, request.querystring, request.headers, request.method))
        identifier = visit.about.request_id
        if whole and request.method == "GET" and SPECIAL.isdisjoint(asked):
            return self.hit(key, request.headers, behaviour.response_headers, identifier)
        entry, now = self._fresh(key, request.headers)
        if entry is None:
            return None
        self._results["Hit"] += 1
        response = answer.from_entry(entry, visit.viewer, answer.HIT, self._pop, now, identifier)
        return self.dressed(visit, response, answer.HIT)

    def hit(self, key: Key, headers: Headers, policy: ResponseHeaders | None, identifier: str) -> Response | None:
        """A fresh stored object, whole, for whoever asks for it by GET."""
        entry, now = self._fresh(key, headers)
        if entry is None:
            return None
        self._results["Hit"] += 1
        return answer.hit(entry, self._pop, now, policy, identifier)

    def _fresh(self, key: Key, headers: Headers) -> tuple[Entry | None, float]:
        entry, now = self._cache.get(self._cache.variant_of(key, headers)), self._clock()
        if entry is None or now >= entry.fresh_until or entry.status >= 400:
            return None, now
        return entry, now

    async def found(self, visit: Visit) -> Answer:
        """What comes after the viewer-request function."""
        self.rooted(visit)
        if websocket.asks(visit.viewer.method, visit.viewer.headers.raw):
            return await self._tunnel(visit)
        outcome = await self.find(visit)
        shown = await self._error_page(visit, outcome)
        try:
            response = self.dressed(visit, await self.respond(visit, shown), shown.label)
            # "Events that can trigger a function": not for errors of the origin, nor for pages shown in their place
            return (
                await self._triggering.at_response(visit, response)
                if shown is outcome and shown.status < 400
                else response
            )
        except BaseException:
            shown.release()
            raise

    def rooted(self, visit: Visit) -> None:
        visit.request.uri = visit.plan.rooted(visit.request.uri)

    def visit(self, viewer: Request, plan: Plan, identifier: str = "") -> Visit:
        path, _, query = viewer.target.partition("?")
        behaviour = plan.behaviour(path)
        headers = Headers(list(viewer.headers.raw))
        if behaviour.made:
            headers = with_made(behaviour.made, viewer, self._locator.locate(viewer.peer.host))
        request = EdgeRequest(viewer.method, path, query, headers, viewer.peer.host)
        return Visit(viewer, plan, behaviour, request, About(plan.domain, plan.id, identifier or answer.request_id()))

    def policy(self, visit: Visit) -> Response | None:
        behaviour, viewer = visit.behaviour, visit.viewer
        if not viewer.peer.tls and behaviour.viewer_policy == "https-only":
            raise EdgeFailure(403, "Forbidden", "This distribution is served over HTTPS only.")
        if not viewer.peer.tls and behaviour.viewer_policy == "redirect-to-https":
            status = 301 if viewer.method in {"GET", "HEAD"} else 307
            response = answer.page(status, "Moved", "Use HTTPS.", self._pop, "Redirect from cloudfront")
            name, _, port = viewer.host.partition(":")  # without one nobody knows what stands before the location
            at = f":{self.tls_port}" if port and self.tls_port != 443 else ""
            response.headers.set("location", f"https://{name}{at}{viewer.target}")
            return response
        if viewer.target == "*":
            raise EdgeFailure(400, "Bad Request", "A distribution is asked for a path.", detail="InvalidRequest")
        if viewer.method == "GET" and (
            viewer.headers.get("content-length", "0") != "0" or "transfer-encoding" in viewer.headers
        ):
            raise EdgeFailure(403, "Forbidden", "A GET request has no body.", detail="InvalidRequest")
        if viewer.method not in behaviour.allowed:
            reason = f"The method {viewer.method} is not allowed by this distribution."
            raise EdgeFailure(403, "Forbidden", reason, detail="InvalidRequestMethod")
        return None

    def stopped(self, visit: Visit) -> Outcome | None:
        """Every check that comes before functions and may have a custom error page: here, so that none is left out."""
        return self._restricted(visit) or self._admit(visit)

    def refusal_of(self, viewer: Request, plan: Plan) -> str | None:
        country = self._locator.locate(viewer.peer.host).country if plan.restriction is not None else ""
        return refusal(plan, viewer.headers, country)

    def _restricted(self, visit: Visit) -> Outcome | None:
        """Geo restriction and loops; a custom error page may stand for the 403."""
        reason = self.refusal_of(visit.viewer, visit.plan)
        if reason is None:
            return None
        page = answer.page(403, "Forbidden", reason, self._pop)
        assert isinstance(page.body, bytes)
        detail = "ClientGeoBlocked" if "country" in reason else ""
        return Outcome(403, "Error from cloudfront", headers=page.headers, content=page.body, detail=detail)

    def _admit(self, visit: Visit) -> Outcome | None:
        """Signed URLs and cookies: the request goes on without them, or is refused."""
        signers = visit.behaviour.signers
        if signers is None:
            return None
        try:
            target, visit.request.headers = signers.admit(visit.viewer, self._clock())
        except Refused as refused:
            headers = Headers.of([("content-type", "text/xml")])
            return Outcome(403, "Error from cloudfront", headers=headers, content=refusal_page(refused))
        visit.request.querystring = target.partition("?")[2]
        return None

    async def _take_body(self, visit: Visit) -> None:
        """Hold the body only where a trigger asked for it."""
        if any(trigger.include_body for trigger in visit.behaviour.triggers.values()):
            try:
                visit.request.body = await visit.viewer.body.read(MAX_TRIGGER_BODY)
            except BodyTooLarge as problem:
                raise EdgeFailure(413, "Payload Too Large", str(problem)) from problem
            visit.viewer.body = BytesBody(visit.request.body)

    async def _tunnel(self, visit: Visit) -> Answer:
        """A WebSocket to the origin, or what the origin says instead."""
        try:
            found = await self._tunnels.open(visit)
        except NoTunnel as problem:
            raise EdgeFailure(problem.status, problem.title, str(problem)) from problem
        if isinstance(found, Switching):
            self._results["Miss"] += 1
            return found
        return await self.respond(visit, found)

    async def find(self, visit: Visit) -> Outcome:
        """From the cache, from a fetch already under way, or from the origin."""
        behaviour, request = visit.behaviour, visit.request
        private = "authorization" in request.headers and not behaviour.shares_authorized
        if request.method not in behaviour.cached or not behaviour.caches:
            return await self._fetching.pass_through(visit)
        key = (visit.plan.id, behaviour.key_of(request.uri, request.querystring, request.headers, request.method))
        if private:
            visit.shared = key
            return await self._fetching.pass_through(visit)
        return await self._fetching.find(key, visit)

    async def _error_page(self, visit: Visit, outcome: Outcome) -> Outcome:
        """A custom error page comes through the behaviour of its own path."""
        page = visit.plan.errors.get(outcome.status)
        if page is None or page.path is None or visit.request.uri == page.path:
            return outcome
        outcome.release()
        instead = self.visit(visit.viewer, visit.plan)
        instead.request.method, instead.request.uri, instead.request.querystring = "GET", page.path, ""
        instead.behaviour = visit.plan.behaviour(page.path)
        found = await self.find(instead)
        if found.status < 400:  # else there is no such page, and what its origin says is the answer
            found.status = page.status or outcome.status
        found.label = "Error from cloudfront"
        return found

    async def page(self, viewer: Request, plan: Plan, status: int) -> Answer:
        """The custom error page of an answer that came by ``relaying``."""
        visit = self.visit(viewer, plan)
        self.rooted(visit)
        shown = await self._error_page(visit, Outcome(status, "Error from cloudfront"))
        try:
            return self.dressed(visit, await self.respond(visit, shown), shown.label)
        except BaseException:
            shown.release()
            raise

    async def respond(self, visit: Visit, outcome: Outcome) -> Response:
        response = await self._shown(visit, outcome)
        if visit.told is not None or outcome.detail:
            told = visit.told or Told()
            told.detail = outcome.detail
            response.note = told
        return response

    async def _shown(self, visit: Visit, outcome: Outcome) -> Response:
        self._results[outcome.label.partition(" ")[0]] += 1
        entry = outcome.entry
        if entry is not None:
            response = answer.from_entry(entry, visit.viewer, outcome.label, self._pop, self._clock())
            if outcome.status != entry.status:
                response.status = outcome.status
            return response
        if outcome.filling is not None and "range" in visit.viewer.headers and outcome.status == 200:
            part = answer.part_of_filling(outcome, visit.viewer)
            if part is None:
                whole = await outcome.whole()
                return answer.from_entry(whole, visit.viewer, outcome.label, self._pop, self._clock())
            outcome = part
        headers = outcome.headers
        answer.mark(headers, outcome.label, self._pop, visit.about.request_id)
        return Response(outcome.status, headers, outcome.body())

    def dressed(self, visit: Visit, response: Response, label: str) -> Response:
        """With what the response headers policy adds and takes away; viewer-response functions see it so."""
        policy, viewer = visit.behaviour.response_headers, visit.viewer
        if policy is None:
            return response
        headers = response.headers
        headers.raw = policy.apply(headers.raw, viewer.method, viewer.headers)
        if policy.times(viewer.headers):
            result, took = label.partition(" ")[0], time.perf_counter() - visit.began
            metrics = server_timing(result, self._pop, visit.about.request_id, took, visit.upstream_took).decode()
            own = headers.get("server-timing") if visit.upstream_took is not None else None
            headers.set("server-timing", f"{metrics},{own}" if own else metrics)
        return response

    def refuse(
        self, status: int, title: str, reason: str, label: str = "Error from cloudfront", identifier: str = ""
    ) -> Response:
        self._results[label.partition(" ")[0]] += 1
        return answer.page(status, title, reason, self._pop, label, identifier)

    def failed(self, failure: EdgeFailure) -> Response:
        response = self.refuse(failure.status, failure.title, failure.reason, failure.label, failure.identifier)
        if failure.detail:
            response.note = Told(failure.detail)
        return response
