"""The way of one viewer request into an edge location: which distribution it is for, its firewall, and the hot path.

The hot path, a fresh hit at a behaviour without viewer triggers, returns its Response at once: no task, no await.
Everything else is ``serving``.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from littoral.aws.invoke import Invoker, InvokeResult
from littoral.edge import answer
from littoral.edge.accesslog.delivery import AccessLogs
from littoral.edge.cache import Cache, Key
from littoral.edge.calling import Calling
from littoral.edge.cffunctions.functions import CloudFrontFunctions
from littoral.edge.cloudfrontheaders import FINGERPRINTS
from littoral.edge.continuous import marked, marked_later, way_of, without_session
from littoral.edge.fetching import Fetching
from littoral.edge.geo import Locator, Nowhere
from littoral.edge.observed import Observed
from littoral.edge.plan import SAFE_METHODS, Plan
from littoral.edge.relaying import Relaying
from littoral.edge.responseheaders import ResponseHeaders
from littoral.edge.serving import SPECIAL, UNCACHED, Serving
from littoral.edge.shielding import Shielding
from littoral.edge.tier import HEADER, RAW, Tier
from littoral.edge.traffic import Traffic
from littoral.edge.triggering import Triggering
from littoral.edge.tunnels import Tunnels
from littoral.edge.upstream import Upstream
from littoral.edge.validationlog import ValidationLog
from littoral.edge.viewerrules import named_by_wildcard
from littoral.edge.visit import EdgeFailure, Visit
from littoral.edge.waf.guard import Firewall
from littoral.edge.waf.verdict import Verdict
from littoral.net.client import RequestFailed
from littoral.net.message import Answer, Headers, Request, Response
from littoral.net.passage import Passage
from littoral.protocols.signedurl import Refused

log = logging.getLogger("littoral.edge")

MAX_KNOWN = 16384
# for TLS only; the policy that dresses it; how it is given once more
Known = tuple[Key, bool, ResponseHeaders | None, Traffic, Callable[[], bytes | None]]


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
        self._zstd = zstd
        self._clock = clock
        self._locator = locator or Nowhere()
        self.firewall: Firewall | None = None
        self.tier = tier or Tier(pop.lower())
        self._fingerprinting = False  # a policy asks for headers that tell of a ClientHello
        self.tier.clock = clock
        self.chance: Callable[[], float] = random.random  # of a request to go to a staging distribution
        validation = ValidationLog(pop, self.functions.lines, clock)
        self._triggering = Triggering(pop, invoker, self.functions, validation, self.results, execution_error)
        self.fetching = Fetching(self.cache, upstream, self._triggering.at_origin, clock, self.tier)
        self.tunnels = Tunnels(upstream, self._triggering.at_origin)
        self._relaying = Relaying(pop, self.fetching, self.results, self._long, self._page)
        self._serving = Serving(
            pop, self.cache, self.fetching, self.tunnels, self._triggering, self._locator, self.results, clock
        )
        self._shielding = Shielding(self.tier, self._serving, self._any_plan_of)
        self._calling = Calling(self._serving, self._triggering, self._called)

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
        self._shielding.use(plans)
        behaviours = (behaviour for plan in plans.values() for behaviour in plan.behaviours)
        self._fingerprinting = any(not FINGERPRINTS.isdisjoint(behaviour.made) for behaviour in behaviours)
        if self.access is not None:
            self.access.use(plans)
        self._known = {}
        self._relaying.use()
        self._calling.use()
        for told in self.on_use:
            told()

    def secured(self, port: int) -> None:
        """The location listens there over TLS: who came to its other port by number is redirected to that number."""
        self._serving.tls_port = port

    @property
    def locator(self) -> Locator:
        """Where addresses are."""
        return self._locator

    def is_location(self, address: str) -> bool:
        """Whether another location asks from there, whose shield this one is."""
        return self._shielding.is_location(address)

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

    def distribution_of(self, host: str) -> str:
        """The id of the distribution of that name, or ""."""
        plan = self.plan_of(host)
        return plan.id if plan is not None else ""

    def plans(self) -> list[Plan]:
        """What is served, each once, in the order of ids."""
        return sorted({plan.id: plan for plan in self._plans.values()}.values(), key=lambda plan: plan.id)

    async def close(self) -> None:
        await self.fetching.close()
        await self.cache.close()

    # ------------------------------------------------------------------------------------- the hot path

    def handle(self, request: Request) -> Answer | Awaitable[Answer]:
        """Access logs see whatever is answered to a viewer; another location has looked at its own viewer."""
        if self._shielding.active and HEADER in request.headers:
            return self._shielding.answer(request)
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
            if isinstance(stopped, (Response, Passage)):
                stopped.again = None  # it was handed on changed, or as an exception: the next one is looked at, too
            return stopped
        answered = self._admitted(request)
        if isinstance(answered, (Response, Passage)) and answered.again is not None:
            answered.again = firewall.again(request, answered.again)
        return answered

    def _asked(self, request: Request) -> Answer | Awaitable[Answer]:
        """What the firewall hands on: another location's request too, which ``Shielding`` trusts or refuses."""
        return self._shielding.answer(request) if RAW in dict(request.headers.raw) else self._admitted(request)

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
            return self._shielding.answer(request)
        plan = self._plan_of(request)
        if plan is None:
            return self._serving.refuse(403, "Forbidden", "No distribution is configured for this host name.")
        return self._answered(request, plan, headers)

    def _answered(self, request: Request, plan: Plan, headers: dict[bytes, bytes]) -> Answer | Awaitable[Answer]:
        found = (
            self._quick_hit(request, plan, headers)
            or self._relaying.of(request, plan, headers)
            or self._calling.of(request, plan, headers)
        )
        if found is None:
            return self._long(request, plan)
        if isinstance(found, Observed):
            found.again = self._pass_once_more(found)
            return found
        if isinstance(found, Awaitable):
            return self._counted(found, plan.traffic, request)
        plan.traffic.count(found, request)
        return found

    def _long(self, request: Request, plan: Plan, tried: RequestFailed | None = None) -> Awaitable[Answer]:
        serving = self._serving.serve(request, plan, tried)
        return self._counted(self._serving.guarded(serving), plan.traffic, request)

    def _called(self, visit: Visit, called: Awaitable[InvokeResult]) -> Awaitable[Answer]:
        serving = self._serving.triggered(visit, called)
        return self._counted(self._serving.guarded(serving), visit.plan.traffic, visit.viewer)

    def _page(self, request: Request, plan: Plan, status: int) -> Awaitable[Answer]:
        serving = self._serving.page(request, plan, status)
        return self._counted(self._serving.guarded(serving), plan.traffic, request)

    def _deployed(self, request: Request, plan: Plan) -> Answer | Awaitable[Answer]:
        """By the primary distribution, or by its staging distribution, each behind its own web ACL."""
        if RAW in dict(request.headers.raw):
            return self._shielding.answer(request)
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

    def _pass_once_more(self, passage: Observed) -> Callable[[], Passage | None]:
        """The same of what has a short way of its own."""
        book, log, guards = self._known, self.access, self._guards

        def again() -> Passage | None:
            if self._known is not book or self.access is not log or self._guards is not guards or self._watched:
                return None
            return passage.anew()

        return again

    @property
    def _guards(self) -> object:
        """Another object each time that other web ACLs are in force."""
        return None if self.firewall is None else self.firewall.guards

    @property
    def _watched(self) -> bool:
        """Whether each request is to be looked at, as another location's. (The firewall and a log are told.)"""
        return self._shielding.active

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
        if (plan.restriction is not None or b"via" in headers) and self._serving.refusal_of(request, plan) is not None:
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
        visit = self._serving.visit(request, plan)
        try:
            if self._serving.policy(visit) is not None or self._serving.stopped(visit) is not None:
                return None
            behaviour = visit.behaviour
            if "viewer-request" in behaviour.functions:
                generated = self._triggering.scripted_request(visit)
                if generated is not None:
                    return self._serving.dressed(visit, generated, generated.headers.get("x-cache") or "")
            scripted = "viewer-response" in behaviour.functions
            response = self._serving.stored(visit, whole=not scripted)
            if response is None:
                return self._serving.guarded(self._serving.found(visit))
            return self._triggering.scripted_response(visit, response) if scripted else response
        except EdgeFailure as failure:
            return self._serving.failed(failure)

    def _plan_of(self, request: Request) -> Plan | None:
        for name, value in request.headers.raw:
            if name == b"host":
                return self.plan_of(value.decode("latin-1"))
        return None

    def _any_plan_of(self, request: Request) -> Plan | None:
        """Of a staging distribution, too: another location has chosen it."""
        return self._plan_of(request) or self._staging.get(request.host.lower())

    # ------------------------------------------------------------------------------------- all the rest

    async def _counted(self, answering: Awaitable[Answer], traffic: Traffic, request: Request) -> Answer:
        answered = await answering
        traffic.count(answered, request)
        return answered

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
