"""The way of one viewer request through an edge location. Read ``handle`` and ``_serve`` as the list of its steps.

The hot path, a fresh hit at a behaviour without viewer triggers, returns its Response at once: no task, no await.
Everything else is ``_serve``.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from littoral.aws.invoke import Invocation, Invoker
from littoral.aws.service import ServiceError
from littoral.edge import answer
from littoral.edge.accesslog.delivery import AccessLogs
from littoral.edge.cache import Cache, Entry, Key
from littoral.edge.cffunctions import viewer as scripts
from littoral.edge.cffunctions.functions import CloudFrontFunctions
from littoral.edge.cloudfrontheaders import FINGERPRINTS, with_made
from littoral.edge.continuous import marked, marked_later, way_of, without_session
from littoral.edge.edgeheaders import InvalidAnswer
from littoral.edge.fetching import Fetching
from littoral.edge.geo import Locator, Nowhere
from littoral.edge.outcome import Outcome
from littoral.edge.plan import SAFE_METHODS, Behaviour, Origin, Plan, Trigger
from littoral.edge.responseheaders import ResponseHeaders, server_timing
from littoral.edge.signing import refusal_page
from littoral.edge.tier import HEADER, RAW, NotTrusted, Tier, inner
from littoral.edge.told import Told
from littoral.edge.traffic import Traffic
from littoral.edge.triggers import (
    About,
    EdgeRequest,
    EdgeResponse,
    apply_request,
    apply_response,
    event,
)
from littoral.edge.tunnels import NoTunnel, Tunnels
from littoral.edge.upstream import Upstream
from littoral.edge.validationlog import ValidationLog
from littoral.edge.viewerrules import named_by_wildcard, refusal
from littoral.edge.waf.guard import Firewall
from littoral.edge.waf.verdict import Verdict
from littoral.net.message import Answer, BodyTooLarge, BytesBody, Headers, Request, Response, Switching
from littoral.protocols import websocket
from littoral.protocols.signedurl import Refused

log = logging.getLogger("littoral.edge")

T = TypeVar("T")
MAX_KNOWN = 16384
REGION = "us-east-1"  # of every Lambda@Edge function
BODY = frozenset((b"content-length", b"transfer-encoding"))
# for TLS only; the policy that dresses it; how it is given once more
Known = tuple[Key, bool, ResponseHeaders | None, Traffic, Callable[[], bytes | None]]
# a hit is not answered whole, or not with the headers that everybody gets, or not at all
UNCACHED = BODY | {b"upgrade"}
SPECIAL = UNCACHED | {b"range", b"if-none-match", b"if-modified-since", b"origin", b"via", RAW}
MAX_TRIGGER_BODY = 20 * 1024 * 1024  # bytes of a request body that a trigger with IncludeBody may hold up


@dataclass(slots=True)
class Visit:
    """One viewer request and what is known of it by now."""

    viewer: Request
    plan: Plan
    behaviour: Behaviour
    request: EdgeRequest
    about: About
    since: int = 0  # the cache's generation when the origin was asked
    began: float = field(default_factory=time.perf_counter)
    told: Told | None = None  # of the origin, where this visit asked it
    failed: str = ""  # how the primary of an origin group did
    inner: bool = False  # another location asks, for a viewer of its own
    block: tuple[int, Key] | None = None  # of its object under that key, where a piece is asked for (``slicing``)
    origin: Origin | None = None  # the one that a CloudFront function chose
    shared: Key | None = None  # where the answer to a request with Authorization lies, if its origin lets it be shared

    @property
    def upstream_took(self) -> float | None:
        """Seconds until the origin answered, where this visit asked it."""
        return self.told.first if self.told is not None and self.told.first >= 0 else None

    @property
    def path(self) -> str:
        """And query, as invalidations match it."""
        query = self.request.querystring
        return f"{self.request.uri}?{query}" if query else self.request.uri


class EdgeFailure(Exception):
    """The request ends with an error of the edge itself."""

    def __init__(
        self,
        status: int,
        title: str,
        reason: str,
        label: str = "Error from cloudfront",
        detail: str = "",
        identifier: str = "",
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.title = title
        self.reason = reason
        self.label = label
        self.detail = detail  # for logs (``told``)
        self.identifier = identifier  # of the request, where a function has seen it


def _failure(failed: scripts.Failed, identifier: str) -> EdgeFailure:
    title = "Service Unavailable" if failed.status == 503 else "Bad Gateway"
    reason = "The CloudFront function associated with the CloudFront distribution is invalid or could not run."
    return EdgeFailure(failed.status, title, reason, f"{failed.kind} from cloudfront", identifier=identifier)


class Pipeline:
    """``plans`` may be replaced at any time by ``use``."""

    def __init__(
        self,
        *,
        pop: str,
        folder: Path,
        upstream: Upstream,
        invoker: Invoker | None,
        cache_bytes: int = 512 * 1024 * 1024,
        disk_bytes: int = 4 * 1024 * 1024 * 1024,
        clock: Callable[[], float] = answer.clock,
        tier: Tier | None = None,
        locator: Locator | None = None,
        functions: CloudFrontFunctions | None = None,
        execution_error: int = 503,
        zstd: bool = False,
    ) -> None:
        self.pop = pop
        self.cache = Cache(folder / "cache", cache_bytes, disk_bytes)
        self.results: Counter[str] = Counter()
        self._plans_told: set[str] = set()  # ids of distributions that a warning was given about
        self.traffic: dict[str, Traffic] = {}  # by distribution, of those that are served
        self._plans: dict[str, Plan] = {}
        self._staging: dict[str, Plan] = {}  # by domain
        self.on_use: list[Callable[[], None]] = []  # told when other distributions are served
        self.access: AccessLogs | None = None
        self.functions = functions or CloudFrontFunctions(pop)
        self._known: dict[tuple[bytes | None, str, bytes | None], Known] = {}  # keys of recent hits
        self._invoker = invoker
        self._zstd = zstd
        self._execution_error = execution_error  # status for a Lambda@Edge function that failed
        self._validation = ValidationLog(pop, self.functions.lines, clock)
        self._clock = clock
        self._locator = locator or Nowhere()
        self.tunnels = Tunnels(upstream, self._origin_triggers)
        self.firewall: Firewall | None = None
        self.tier = tier or Tier(pop.lower())
        self._shielding = False  # other locations ask this one
        self._fingerprinting = False  # a policy asks for headers that tell of a ClientHello
        self.tier.clock = clock
        self.chance: Callable[[], float] = random.random  # of a request to go to a staging distribution
        self.fetching = Fetching(self.cache, upstream, self._origin_triggers, clock, self.tier)

    def use(self, plans: Mapping[str, Plan]) -> None:
        """Serve these distributions, by id, and no others."""
        by_host: dict[str, Plan] = {}
        self.traffic = {key: self.traffic.get(key, plan.traffic) for key, plan in plans.items()}
        for key, plan in plans.items():
            plan.traffic = self.traffic[key]
            if self._zstd:
                plan.offer_zstd()
            if plan.enabled and not plan.staging:
                for name in plan.names:
                    by_host[name] = plan
            if plan.restriction is not None and isinstance(self._locator, Nowhere) and key not in self._plans_told:
                self._plans_told.add(key)
                log.warning("distribution %s restricts countries; without --geo-database everybody is served", key)
        self._plans = by_host
        self._staging = {plan.domain.lower(): plan for plan in plans.values() if plan.staging and plan.enabled}
        origins = (origin for plan in plans.values() for origin in plan.origins.values())
        self._shielding = any(self.tier.is_shield(origin.shield) for origin in origins)
        behaviours = (behaviour for plan in plans.values() for behaviour in plan.behaviours)
        self._fingerprinting = any(not FINGERPRINTS.isdisjoint(behaviour.made) for behaviour in behaviours)
        if self.access is not None:
            self.access.use(plans)
        self._known = {}
        for told in self.on_use:
            told()

    @property
    def locator(self) -> Locator:
        """Where addresses are."""
        return self._locator

    def is_location(self, address: str) -> bool:
        """Whether another location asks from there, whose shield this one is."""
        return self._shielding and address in self.tier.hosts

    def asks_for_fingerprints(self) -> bool:
        """Whether a distribution or its web ACL wants to know of viewers' ClientHellos; asked at each handshake."""
        return self._fingerprinting or (self.firewall is not None and self.firewall.asks_for_fingerprints)

    def serves(self, host: str) -> bool:
        """Whether a distribution has that name."""
        return self.plan_of(host) is not None

    def plan_of(self, host: str) -> Plan | None:
        """The distribution of that name, which may come with a port."""
        found = self._plans.get(host) or self._plans.get(host := host.partition(":")[0].lower())
        return found or named_by_wildcard(self._plans, host)

    def plans(self) -> list[Plan]:
        """What is served, each once, in the order of ids."""
        return sorted({plan.id: plan for plan in self._plans.values()}.values(), key=lambda plan: plan.id)

    async def close(self) -> None:
        await self.fetching.close()
        await self.cache.close()

    # ------------------------------------------------------------------------------------- the hot path

    def handle(self, request: Request) -> Answer | Awaitable[Answer]:
        """Access logs see whatever is answered to a viewer; another location has looked at its own viewer."""
        if self._shielding and HEADER in request.headers:
            return self._inner(request)
        answered = self._entered(request)
        return answered if self.access is None else self.access.of(request, answered)

    def _entered(self, request: Request) -> Answer | Awaitable[Answer]:
        """The firewall first: what it stops is not looked up. A location that asks has asked its own."""
        plan = self._plan_of(request) if self._staging else None
        if plan is not None and plan.deployment is not None:
            return self._deployed(request, plan)
        firewall = self.firewall
        if firewall is None or not firewall.active:
            return self._admitted(request)
        stopped = firewall.admit(request, self._asked, self._blocked)
        if stopped is not None:
            return stopped
        answered = self._admitted(request)
        if type(answered) is Response and answered.again is not None:
            answered.again = firewall.again(request, answered.again)
        return answered

    def _asked(self, request: Request) -> Answer | Awaitable[Answer]:
        """What the firewall hands on: another location's request too, which ``_inner`` trusts or refuses."""
        return self._inner(request) if RAW in dict(request.headers.raw) else self._admitted(request)

    def _admitted(self, request: Request) -> Answer | Awaitable[Answer]:
        """A known request (same host, target and Accept-Encoding) for a fresh object is answered from two look-ups."""
        headers = dict(request.headers.raw)
        known = self._known.get((headers.get(b"host"), request.target, headers.get(b"accept-encoding")))
        if known is not None and request.method == "GET" and len(headers) == len(request.headers.raw):
            key, secure_only, policy, traffic, again = known
            entry = self.cache.get(key)
            if entry is not None and not (secure_only and not request.peer.tls) and SPECIAL.isdisjoint(headers):
                now = self._clock()
                if now < entry.fresh_until and entry.status < 400:
                    self.results["Hit"] += 1
                    traffic.hits += 1
                    traffic.bytes += entry.size
                    hit = answer.hit(entry, self.pop, now, policy)
                    hit.again = again
                    return hit
        if RAW in headers:
            return self._inner(request)
        plan = self._plan_of(request)
        if plan is None:
            return self._refuse(403, "Forbidden", "No distribution is configured for this host name.")
        return self._answered(request, plan, headers)

    def _answered(self, request: Request, plan: Plan, headers: dict[bytes, bytes]) -> Answer | Awaitable[Answer]:
        found = self._quick_hit(request, plan, headers) or self._guarded(self._serve(request, plan))
        if isinstance(found, Awaitable):
            return self._counted(found, plan.traffic, request)
        plan.traffic.count(found, request)
        return found

    def _deployed(self, request: Request, plan: Plan) -> Answer | Awaitable[Answer]:
        """By the primary distribution, or by its staging distribution, each behind its own web ACL."""
        if RAW in dict(request.headers.raw):
            return self._inner(request)
        assert plan.deployment is not None
        way = way_of(plan.deployment, request.headers, self.chance(), self._clock())
        staging = self._staging.get(plan.deployment.staging) if way.staged else None
        chosen = staging or plan
        raw = without_session(request.headers.raw)
        inner = request if raw is request.headers.raw else replace(request, headers=Headers(raw))

        def onward(admitted: Request) -> Answer | Awaitable[Answer]:
            return self._answered(admitted, chosen, dict(admitted.headers.raw))

        found = None
        if self.firewall is not None and self.firewall.active:
            found = self.firewall.admit(inner, onward, self._blocked, chosen.domain.lower())
        found = onward(inner) if found is None else found
        served = chosen.domain if staging is not None else ""
        return marked_later(found, served, way) if isinstance(found, Awaitable) else marked(found, served, way)

    def _once_more(self, key: Key, policy: ResponseHeaders | None, traffic: Traffic) -> Callable[[], bytes | None]:
        """The same for the very same request: until anything but the cache would have a say in it."""
        book, log, guards = self._known, self.access, self._guards

        def again() -> bytes | None:
            if self._known is not book or self.access is not log or self._guards is not guards or self._watched:
                return None
            entry, now = self.cache.get(key), self._clock()
            if entry is None or now >= entry.fresh_until or entry.dressed is not policy or entry.status != 200:
                return None
            whole = answer.whole_hit(entry, now)
            if whole is not None:
                self.results["Hit"] += 1
                traffic.hits += 1
                traffic.bytes += entry.size
            return whole

        return again

    @property
    def _guards(self) -> object:
        """Another object each time that other web ACLs are in force."""
        return None if self.firewall is None else self.firewall.guards

    @property
    def _watched(self) -> bool:
        """Whether each request is to be looked at, as another location's. (The firewall and a log are told.)"""
        return self._shielding

    def _quick_hit(
        self, request: Request, plan: Plan, headers: dict[bytes, bytes]
    ) -> Answer | Awaitable[Answer] | None:
        """A fresh object at a behaviour without triggers; None for everything else."""
        path, _, query = request.target.partition("?")
        if path == "/" and plan.default_root:
            path = "/" + plan.default_root
        behaviour = plan.behaviour(path)
        if behaviour.scripted:
            return self._scripted(request, plan)
        secure_only = behaviour.viewer_policy != "allow-all"
        if not behaviour.quick or request.method not in SAFE_METHODS or (secure_only and not request.peer.tls):
            return None
        if (plan.restriction is not None or b"via" in headers) and self._refusal(request, plan) is not None:
            return None
        if behaviour.signers is not None:
            try:
                target, _ = behaviour.signers.admit(request, self._clock())
            except Refused:
                return None
            query = target.partition("?")[2]
        primary = (plan.id, behaviour.key_of(path, query, request.headers, request.method))
        key = self.cache.variant_of(primary, request.headers)
        entry, now = self.cache.get(key), self._clock()
        if entry is None or now >= entry.fresh_until or entry.status >= 400 or not UNCACHED.isdisjoint(headers):
            return None
        each_time = behaviour.signers is not None or plan.restriction is not None or plan.routed
        if behaviour.keyed_by_target and key is primary and not each_time and len(headers) == len(request.headers.raw):
            if len(self._known) >= MAX_KNOWN:
                self._known = {}
            asked = headers.get(b"host"), request.target, headers.get(b"accept-encoding")
            policy = behaviour.response_headers
            self._known[asked] = key, secure_only, policy, plan.traffic, self._once_more(key, policy, plan.traffic)
        self.results["Hit"] += 1
        response = answer.from_entry(entry, request, answer.HIT, self.pop, now)
        policy = behaviour.response_headers
        if policy is not None:
            response.headers.raw = policy.apply(response.headers.raw, request.method, request.headers)
        return response

    def _scripted(self, request: Request, plan: Plan) -> Answer | Awaitable[Answer] | None:
        """A CloudFront function stands before the cache: it runs at once, and what it finds fresh is answered at once.
        None where the long way has something else to say first."""
        visit = self._visit(request, plan)
        try:
            if self._policy(visit) is not None or self._stopped(visit) is not None:
                return None
            behaviour = visit.behaviour
            if "viewer-request" in behaviour.functions:
                generated = self._scripted_request(visit)
                if generated is not None:
                    return self._dressed(visit, generated, generated.headers.get("x-cache") or "")
            entry = self._fresh(visit)
            if entry is None:
                return self._guarded(self._found(visit))
            self.results["Hit"] += 1
            now, identifier, scripted = self._clock(), visit.about.request_id, "viewer-response" in behaviour.functions
            if not scripted and request.method == "GET" and SPECIAL.isdisjoint(dict(request.headers.raw)):
                return answer.hit(entry, self.pop, now, behaviour.response_headers, identifier)
            response = answer.from_entry(entry, request, answer.HIT, self.pop, now, identifier)
            response = self._dressed(visit, response, answer.HIT)
            return self._scripted_response(visit, response) if scripted else response
        except EdgeFailure as failure:
            return self._failed(failure)

    def _fresh(self, visit: Visit) -> Entry | None:
        """The stored object for a request as a function has left it."""
        self._rooted(visit)
        behaviour, request = visit.behaviour, visit.request
        if request.method not in SAFE_METHODS or not UNCACHED.isdisjoint(dict(visit.viewer.headers.raw)):
            return None
        key = (visit.plan.id, behaviour.key_of(request.uri, request.querystring, request.headers, request.method))
        entry = self.cache.get(self.cache.variant_of(key, request.headers))
        return entry if entry is not None and self._clock() < entry.fresh_until and entry.status < 400 else None

    def _plan_of(self, request: Request) -> Plan | None:
        for name, value in request.headers.raw:
            if name == b"host":
                return self.plan_of(value.decode("latin-1"))
        return None

    # ------------------------------------------------------------------------------------- all the rest

    async def _counted(self, answering: Awaitable[Answer], traffic: Traffic, request: Request) -> Answer:
        answered = await answering
        traffic.count(answered, request)
        return answered

    async def _guarded(self, serving: Awaitable[Answer]) -> Answer:
        try:
            return await serving
        except EdgeFailure as failure:
            return self._failed(failure)

    async def _serve(self, viewer: Request, plan: Plan) -> Answer:
        visit = self._visit(viewer, plan)
        redirect = self._policy(visit)
        if redirect is not None:
            return redirect
        refused = self._stopped(visit)
        if refused is not None:
            return await self._respond(visit, await self._error_page(visit, refused))
        await self._take_body(visit)
        generated = await self._viewer_request(visit)
        if generated is not None:
            return self._dressed(visit, generated, generated.headers.get("x-cache") or "")
        return await self._found(visit)

    async def _found(self, visit: Visit) -> Answer:
        """What comes after the viewer-request function."""
        self._rooted(visit)
        if websocket.asks(visit.viewer.method, visit.viewer.headers.raw):
            return await self._tunnel(visit)
        outcome = await self._find(visit)
        shown = await self._error_page(visit, outcome)
        try:
            response = self._dressed(visit, await self._respond(visit, shown), shown.label)
            # "Events that can trigger a function": not for errors of the origin, nor for pages shown in their place
            return await self._finish(visit, response) if shown is outcome and shown.status < 400 else response
        except BaseException:
            shown.release()
            raise

    async def _inner(self, request: Request) -> Response:
        """Another location asks this one, which is the origin's shield (``tier``)."""
        try:
            asking = self.tier.asked(request)
        except NotTrusted as problem:
            return self._refuse(403, "Forbidden", f"{problem}.")
        plan = self._plan_of(request) or self._staging.get(request.host.lower())
        behaviours = [each for each in plan.behaviours if each.pattern == asking.behaviour] if plan is not None else []
        if plan is None or not behaviours or self.tier.behind(asking):
            return self._refuse(503, "Service Unavailable", "This location does not serve by that revision yet.")
        viewer = inner(request, asking)
        path, _, query = viewer.target.partition("?")
        made = EdgeRequest(viewer.method, path, query, Headers(list(viewer.headers.raw)), asking.address)
        about = About(plan.domain, plan.id, answer.request_id())
        visit = Visit(viewer, plan, behaviours[0], made, about, inner=True)
        try:
            response = await self._respond(visit, await self._find(visit))
        except EdgeFailure as failure:
            response = self._failed(failure)
        response.headers.set(HEADER, "1")
        return response

    def _rooted(self, visit: Visit) -> None:
        if visit.request.uri == "/" and visit.plan.default_root:
            visit.request.uri = "/" + visit.plan.default_root

    def _visit(self, viewer: Request, plan: Plan) -> Visit:
        path, _, query = viewer.target.partition("?")
        behaviour = plan.behaviour(path)
        headers = Headers(list(viewer.headers.raw))
        if behaviour.made:
            headers = with_made(behaviour.made, viewer, self._locator.locate(viewer.peer.host))
        request = EdgeRequest(viewer.method, path, query, headers, viewer.peer.host)
        return Visit(viewer, plan, behaviour, request, About(plan.domain, plan.id, answer.request_id()))

    def _policy(self, visit: Visit) -> Response | None:
        behaviour, viewer = visit.behaviour, visit.viewer
        if not viewer.peer.tls and behaviour.viewer_policy == "https-only":
            raise EdgeFailure(403, "Forbidden", "This distribution is served over HTTPS only.")
        if not viewer.peer.tls and behaviour.viewer_policy == "redirect-to-https":
            status = 301 if viewer.method in {"GET", "HEAD"} else 307
            response = answer.page(status, "Moved", "Use HTTPS.", self.pop, "Redirect from cloudfront")
            response.headers.set("location", f"https://{viewer.host.partition(':')[0]}{viewer.target}")
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

    def _stopped(self, visit: Visit) -> Outcome | None:
        """Every check that comes before functions and may have a custom error page: here, so that none is left out."""
        return self._restricted(visit) or self._admit(visit)

    def _refusal(self, viewer: Request, plan: Plan) -> str | None:
        country = self._locator.locate(viewer.peer.host).country if plan.restriction is not None else ""
        return refusal(plan, viewer.headers, country)

    def _restricted(self, visit: Visit) -> Outcome | None:
        """Geo restriction and loops; a custom error page may stand for the 403."""
        reason = self._refusal(visit.viewer, visit.plan)
        if reason is None:
            return None
        page = answer.page(403, "Forbidden", reason, self.pop)
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
            found = await self.tunnels.open(visit)
        except NoTunnel as problem:
            raise EdgeFailure(problem.status, problem.title, str(problem)) from problem
        if isinstance(found, Switching):
            self.results["Miss"] += 1
            return found
        return await self._respond(visit, found)

    async def _find(self, visit: Visit) -> Outcome:
        """From the cache, from a fetch already under way, or from the origin."""
        behaviour, request = visit.behaviour, visit.request
        private = "authorization" in request.headers and not behaviour.shares_authorized
        if request.method not in behaviour.cached or not behaviour.caches:
            return await self.fetching.pass_through(visit)
        key = (visit.plan.id, behaviour.key_of(request.uri, request.querystring, request.headers, request.method))
        if private:
            visit.shared = key
            return await self.fetching.pass_through(visit)
        return await self.fetching.find(key, visit)

    async def _error_page(self, visit: Visit, outcome: Outcome) -> Outcome:
        """A custom error page comes through the behaviour of its own path."""
        page = visit.plan.errors.get(outcome.status)
        if page is None or page.path is None or visit.request.uri == page.path:
            return outcome
        outcome.release()
        instead = self._visit(visit.viewer, visit.plan)
        instead.request.method, instead.request.uri, instead.request.querystring = "GET", page.path, ""
        instead.behaviour = visit.plan.behaviour(page.path)
        found = await self._find(instead)
        found.status = page.status or outcome.status
        found.label = "Error from cloudfront"
        return found

    async def _respond(self, visit: Visit, outcome: Outcome) -> Response:
        response = await self._shown(visit, outcome)
        if visit.told is not None or outcome.detail:
            told = visit.told or Told()
            told.detail = outcome.detail
            response.note = told
        return response

    async def _shown(self, visit: Visit, outcome: Outcome) -> Response:
        self.results[outcome.label.partition(" ")[0]] += 1
        entry = outcome.entry
        if entry is not None:
            response = answer.from_entry(entry, visit.viewer, outcome.label, self.pop, self._clock())
            if outcome.status != entry.status:
                response.status = outcome.status
            return response
        if outcome.filling is not None and "range" in visit.viewer.headers and outcome.status == 200:
            part = answer.part_of_filling(outcome, visit.viewer)
            if part is None:
                whole = await outcome.whole()
                return answer.from_entry(whole, visit.viewer, outcome.label, self.pop, self._clock())
            outcome = part
        headers = outcome.headers
        answer.mark(headers, outcome.label, self.pop, visit.about.request_id)
        return Response(outcome.status, headers, outcome.body())

    def _dressed(self, visit: Visit, response: Response, label: str) -> Response:
        """With what the response headers policy adds and takes away; viewer-response functions see it so."""
        policy, viewer = visit.behaviour.response_headers, visit.viewer
        if policy is None:
            return response
        headers = response.headers
        headers.raw = policy.apply(headers.raw, viewer.method, viewer.headers)
        if policy.times(viewer.headers):
            result, took = label.partition(" ")[0], time.perf_counter() - visit.began
            metrics = server_timing(result, self.pop, visit.about.request_id, took, visit.upstream_took).decode()
            own = headers.get("server-timing") if visit.upstream_took is not None else None
            headers.set("server-timing", f"{metrics},{own}" if own else metrics)
        return response

    def _blocked(self, verdict: Verdict) -> Response:
        """What a web ACL answers instead, with the headers that all of the edge's pages have."""
        reply = verdict.reply
        assert reply is not None
        self.results["Error"] += 1
        response = answer.page(reply.status, "", "", self.pop)
        response.headers.remove("content-type")
        response.headers.raw.extend(
            (name.encode(), value.encode("latin-1", "replace")) for name, value in reply.headers
        )
        response.body = reply.body
        return response

    def _refuse(
        self, status: int, title: str, reason: str, label: str = "Error from cloudfront", identifier: str = ""
    ) -> Response:
        self.results[label.partition(" ")[0]] += 1
        return answer.page(status, title, reason, self.pop, label, identifier)

    def _failed(self, failure: EdgeFailure) -> Response:
        response = self._refuse(failure.status, failure.title, failure.reason, failure.label, failure.identifier)
        if failure.detail:
            response.note = Told(failure.detail)
        return response

    # ----------------------------------------------------------------------------------------- triggers

    async def _viewer_request(self, visit: Visit) -> Response | None:
        """The request goes on changed, or a generated response ends it."""
        if "viewer-request" in visit.behaviour.functions:
            return self._scripted_request(visit)
        trigger = visit.behaviour.triggers.get("viewer-request")
        if trigger is None:
            return None
        payload = event(visit.about, "viewer-request", trigger, visit.request)
        result = await self._run(visit, "viewer-request", trigger.function, payload)
        changed = self._checked(
            visit, "viewer-request", trigger, lambda: apply_request("viewer-request", result, visit.request)
        )
        if isinstance(changed, EdgeResponse):
            return self._generated(visit, changed, "LambdaGeneratedResponse from cloudfront")
        visit.request = changed
        if changed.body is not None:
            visit.viewer.body = BytesBody(changed.body)
        return None

    async def _finish(self, visit: Visit, response: Response) -> Response:
        """viewer-response."""
        if "viewer-response" in visit.behaviour.functions:
            return self._scripted_response(visit, response)
        trigger = visit.behaviour.triggers.get("viewer-response")
        if trigger is None:
            return response
        before = EdgeResponse(response.status, response.headers)
        payload = event(visit.about, "viewer-response", trigger, visit.request, before)
        result = await self._run(visit, "viewer-response", trigger.function, payload)
        after = self._checked(
            visit, "viewer-response", trigger, lambda: apply_response("viewer-response", result, before)
        )
        response.headers = after.headers
        return response

    def _scripted_request(self, visit: Visit) -> Response | None:
        """The same with a CloudFront function."""
        arn, origins = visit.behaviour.functions["viewer-request"], visit.plan.origins
        try:
            going = scripts.at_request(self.functions, arn, visit.about, visit.request, visit.behaviour.origin, origins)
        except scripts.Failed as failed:
            raise _failure(failed, visit.about.request_id) from failed
        if isinstance(going, EdgeResponse):
            return self._generated(visit, going, "FunctionGeneratedResponse from cloudfront")
        visit.request, visit.origin = going.request, going.origin
        return None

    def _scripted_response(self, visit: Visit, response: Response) -> Response:
        before = EdgeResponse(response.status, response.headers)
        try:
            after = scripts.at_response(
                self.functions, visit.behaviour.functions["viewer-response"], visit.about, visit.request, before
            )
        except scripts.Failed as failed:
            raise _failure(failed, visit.about.request_id) from failed
        response.status, response.headers = after.status, after.headers
        if after.body is not None:
            response.body = after.body
        return response

    async def _origin_triggers(
        self, kind: str, visit: Visit, request: EdgeRequest, response: EdgeResponse | None
    ) -> EdgeRequest | EdgeResponse | None:
        """What origin-request or origin-response make of it; None where there is no such trigger."""
        trigger = visit.behaviour.triggers.get(kind)
        if trigger is None:
            return None
        result = await self._run(visit, kind, trigger.function, event(visit.about, kind, trigger, request, response))
        if response is None:
            return self._checked(visit, kind, trigger, lambda: apply_request(kind, result, request))
        return self._checked(visit, kind, trigger, lambda: apply_response(kind, result, response))

    async def _run(self, visit: Visit, kind: str, function: str, payload: bytes) -> bytes:
        """Invoke. Throttles and time-outs are 503, execution errors by a setting (502 where the answer is wrong)."""
        if self._invoker is None:
            raise EdgeFailure(
                503, "Service Unavailable", "This edge location runs no functions.", "LambdaExecutionError"
            )
        try:
            result = await self._invoker.invoke(Invocation(function, payload, replica_of=REGION))
        except ServiceError as error:
            log.warning("%s of %s: %s", kind, visit.plan.id, error)
            label = "LambdaLimitExceeded" if error.code == "TooManyRequestsException" else "LambdaExecutionError"
            reason = "The Lambda function associated with the distribution could not be run."
            raise EdgeFailure(
                503, "Service Unavailable", reason, f"{label} from cloudfront", identifier=visit.about.request_id
            ) from error
        if result.function_error is not None:
            log.warning("%s of %s failed: %s", kind, visit.plan.id, result.payload[:500].decode(errors="replace"))
            reason = "The Lambda function associated with the distribution failed or timed out."
            status = 503 if b"Sandbox.Timedout" in result.payload else self._execution_error
            title = "Service Unavailable" if status == 503 else "Internal Server Error"
            label = "LambdaExecutionError from cloudfront"
            raise EdgeFailure(status, title, reason, label, identifier=visit.about.request_id)
        return result.payload

    def _checked(self, visit: Visit, kind: str, trigger: Trigger, apply: Callable[[], T]) -> T:
        try:
            return apply()
        except InvalidAnswer as problem:
            log.warning("a function's answer is not valid: %s", problem)
            self._validation.say(visit.plan.id, visit.about.request_id, kind, trigger.function, str(problem))
            reason = f"The Lambda function returned an invalid result: {problem}."
            label, identifier = "LambdaValidationError from cloudfront", visit.about.request_id
            raise EdgeFailure(502, "Bad Gateway", reason, label, identifier=identifier) from problem

    def _generated(self, visit: Visit, made: EdgeResponse, label: str) -> Response:
        answer.mark(made.headers, label, self.pop, visit.about.request_id)
        self.results[label.partition(" ")[0]] += 1
        return Response(made.status, made.headers, made.body or b"")
