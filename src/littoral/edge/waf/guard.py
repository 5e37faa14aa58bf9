"""The firewall of an edge location: which web ACL guards which host, and what comes of its verdict.

The way of one request: ``admit`` finds the guard by Host; without a body (or where no rule looks at one) it judges at
once, and None means "go on". A body is read up to the inspection limit first, and handed on whole. Verdicts are
counted, sampled and logged here; nothing is sent from here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

from littoral.edge.waf import logs
from littoral.edge.waf.ladder import Known
from littoral.edge.waf.sampling import A_TICK, Sampler
from littoral.edge.waf.trodden import MOST, Way
from littoral.edge.waf.verdict import Verdict
from littoral.edge.waf.view import View
from littoral.edge.waf.webacl import Limits, WebAcl
from littoral.edge.waf.work import LONG
from littoral.net.message import Answer, Body, BytesBody, Headers, Request, Response, gathered
from littoral.net.passage import Again, Passage

Onward = Callable[[Request], Answer | Awaitable[Answer]]
Refuse = Callable[[Verdict], Response]
Climbed = tuple[Request, View, Verdict | None]  # the rates have counted it, and say so
MOST_WAITING = 20000  # log records that wait to be sent; beyond it the oldest are lost, and counted


@dataclass(slots=True)
class Guard:
    """One distribution behind its web ACL."""

    acl: WebAcl
    distribution: str
    logging: Mapping[str, Any] | None = None
    again: int = 0  # requests of this tick that no rule matched, and that are not logged
    keeps: Callable[[View, Verdict], bool] = field(init=False)
    redacted: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        configuration = self.logging or {}
        self.keeps, self.redacted = logs.keeper(configuration), logs.redactions(configuration)


class Firewall:
    """Guards by host name; replaced as a whole by ``use``."""

    def __init__(
        self, clock: Callable[[], float], request_id: Callable[[], str], *, exempt: bytes | None = None
    ) -> None:
        """``exempt`` is the header of requests that the pipeline judges otherwise: they are handed on as they are."""
        self._exempt = exempt
        self.guards: dict[bytes, Guard] = {}
        self._free: frozenset[bytes] = frozenset()  # names of distributions without a web ACL
        self._clock = clock
        self._request_id = request_id
        self.asks_for_fingerprints = False  # a rule looks at JA3 or JA4
        self.limits = Limits()
        self.sampler = Sampler()
        self.waiting: deque[tuple[tuple[str, ...], dict[str, Any]]] = deque(maxlen=MOST_WAITING)
        self.lost = 0
        self._plain = False  # the last request passed without a look at any rule, and no rate was exceeded
        self._last: Guard | None = None  # of the last request
        self._climbed: Climbed | None = None  # counted by ``again``, left to ``admit``
        self._ways: dict[tuple[str, int], tuple[Guard, Way]] = {}  # by address and port
        self._worker: ThreadPoolExecutor | None = None  # of one thread, once there was something long
        self.active = False  # whether any host is guarded
        self._told_keys = False  # the region holds a list that must be taken back some time

    def use(self, guards: Mapping[str, Guard], free: Iterable[str] = ()) -> None:
        """By host name, which may be a wildcard; ``free`` are the names that nobody guards."""
        self.guards = {host.encode(): guard for host, guard in guards.items()}
        self.asks_for_fingerprints = any(guard.acl.fingerprints for guard in guards.values())
        self._free = frozenset(name.encode() for name in free)
        self.active = bool(guards)
        self._ways = {}

    def admit(
        self, request: Request, onward: Onward, refuse: Refuse, name: str | None = None
    ) -> Answer | Awaitable[Answer] | None:
        """None where the request may go on as it is. ``name`` stands for the Host of the request, where it is given."""
        climbed, self._climbed = self._climbed, None
        if climbed is None and name is None:
            peer = request.peer
            found = self._ways.get((peer.host, peer.port))
            if found is not None and found[0].again >= A_TICK and found[1].leads(request):
                return self._led(found[0], request, refuse)
        guard = self._guard_of(request) if name is None else self.guards.get(name.encode())
        self._plain, self._last = guard is None, guard
        if guard is None:
            return None
        if climbed is not None and _same(climbed[0], request):
            return self._again(guard, climbed, refuse)
        return self._judged(guard, request, onward, refuse)

    def _led(self, guard: Guard, request: Request, refuse: Refuse) -> Response | None:
        """One on a trodden way, beyond those of which samples are taken."""
        self._last = guard
        climbed = self._counted(guard.acl, request)
        if climbed is not None:
            return self._again(guard, climbed, refuse)
        guard.again += 1
        self._plain = True
        return None

    def _judged(
        self, guard: Guard, request: Request, onward: Onward, refuse: Refuse
    ) -> Answer | Awaitable[Answer] | None:
        acl, body = guard.acl, request.body
        bodyless = isinstance(body, BytesBody) and not body.data
        view = View(request, self._clock(), acl.slots)
        known = acl.known(view) if bodyless else None
        if known is not None and guard.logging is None and (known.free or known.passed):
            self._remember(guard, view, known)
        if known is not None and request.target in known.passed:  # it has to be counted only
            return self._again(guard, (request, view, acl.counting.climb(view)), refuse)
        if self._exempt is not None and self._exempt in dict(request.headers.raw):
            return onward(request)
        if acl.needs_body and (not bodyless or (acl.rules.long and view.is_long())):
            return self._at_length(guard, request, onward, refuse, bodyless=bodyless)
        verdict = acl.judge(view, known)
        self._note(guard, view, verdict)
        if verdict.reply is not None:
            return refuse(verdict)
        return onward(_with_headers(request, view)) if view.inserted else None

    def _remember(self, guard: Guard, view: View, known: Known) -> None:
        """The way of this request, for those behind it on its connection."""
        if len(self._ways) >= MOST:
            self._ways.clear()
        peer = view.request.peer
        self._ways[peer.host, peer.port] = guard, Way(view.request, known.passed, known.free)

    def _counted(self, acl: WebAcl, request: Request) -> Climbed | None:
        """Count for the rates one that meets nothing else; None where it exceeds none of them."""
        now = self._clock()
        if acl.counting.by_address:
            place = acl.counting.exceeded(request.peer.host, now)
            if place is None:
                return None
            view = View(request, now, acl.slots)
            return request, view, acl.counting.beyond(view, place)
        view = View(request, now, acl.slots)
        verdict = acl.counting.climb(view)
        return None if verdict is None and not view.matched else (request, view, verdict)

    def _again(self, guard: Guard, climbed: Climbed, refuse: Refuse) -> Response | None:
        """One that no other rule matched, and that the rates have counted."""
        _, view, exceeded = climbed
        passed = guard.acl.passed
        assert passed is not None
        verdict = exceeded or passed
        self._plain = verdict is passed and not view.matched
        self._note(guard, view, verdict)
        return refuse(verdict) if verdict.reply is not None else None

    def again(self, request: Request, once_more: Again) -> Again | None:
        """What may answer the very same request once more without ``admit``, which has just let it pass: it counts for
        the rates as before, and gives None where samples are taken, something is exceeded or other ACLs are in force.
        What it has counted ``admit``, which is asked next, does not count again."""
        if not self._plain:
            return None
        guard, guards = self._last, self.guards
        if guard is None:
            return once_more
        if guard.logging is not None:
            return None
        acl = guard.acl

        def counted() -> bytes | Passage | None:
            if self.guards is not guards or guard.again < A_TICK:
                return None
            if acl.rates:
                self._climbed = self._counted(acl, request)
                if self._climbed is not None:
                    return None
            whole = once_more()
            if whole is not None:
                guard.again += 1
            elif acl.rates:
                self._climbed = request, View(request, self._clock(), acl.slots), None
            return whole

        return counted

    def _guard_of(self, request: Request) -> Guard | None:
        for name, value in request.headers.raw:
            if name == b"host":
                return self.guards.get(value) or self._guard_by(value.partition(b":")[0].lower())
        return None

    def _guard_by(self, host: bytes) -> Guard | None:
        """As ``Pipeline.plan_of`` finds the distribution: by the name, or by the longest wildcard above it."""
        found, name = self.guards.get(host), host
        while found is None and name not in self._free and b"." in host:
            host = host.partition(b".")[2]
            name = b"*." + host
            found = self.guards.get(name)
        return found

    async def _at_length(
        self, guard: Guard, request: Request, onward: Onward, refuse: Refuse, *, bodyless: bool
    ) -> Answer:
        acl = guard.acl
        start, whole = b"", True
        if not bodyless:
            request.body = read = Reread(request.body)
            start, whole = await read.begin(acl.body_limit), read.whole
        view = View(request, self._clock(), acl.slots, start, truncated=not whole)
        is_long = len(start) >= LONG or view.is_long()
        verdict = await acl.judge_aside(view, self._aside) if is_long else acl.judge(view)
        self._note(guard, view, verdict)
        if verdict.reply is not None:
            return refuse(verdict)
        answer = onward(_with_headers(request, view) if view.inserted else request)
        return await answer if isinstance(answer, Awaitable) else answer

    async def _aside(self, look: Callable[[], Verdict | None]) -> Verdict | None:
        """One thread does what is long, one after the other: the loop shares its processor with one at most."""
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="waf")
        return await asyncio.get_running_loop().run_in_executor(self._worker, look)

    def _note(self, guard: Guard, view: View, verdict: Verdict) -> None:
        """Of those that no rule matched the first of a tick are samples; the others are counted and told at its end."""
        acl = guard.acl
        if verdict is acl.passed and not view.matched and guard.logging is None:
            guard.again += 1
            if guard.again > A_TICK:
                return
        self.sampler.note(acl.name, acl.arn, view, verdict)
        if guard.logging is not None and guard.keeps(view, verdict):
            self.lost += len(self.waiting) == MOST_WAITING
            made = logs.record(acl.arn, guard.distribution, self._request_id(), view, verdict, guard.redacted)
            self.waiting.append((tuple(guard.logging["LogDestinationConfigs"]), made))

    # ------------------------------------------------------------------------------------ reports

    def report(self, *, with_keys: bool) -> dict[str, Any] | None:
        """What the region is to be told: samples, log records, and where asked the keys that rate-based rules hold
        back; None where there is nothing to tell."""
        records: list[dict[str, Any]] = []
        while self.waiting and len(records) < 2000:
            destinations, made = self.waiting.popleft()
            records.append({"to": destinations, "record": made})
        blocked = list(self._blocked()) if with_keys else []
        news = bool(records or blocked or self._told_keys)
        self._told_keys = bool(blocked) if with_keys else self._told_keys
        for guard in {id(each): each for each in self.guards.values()}.values():
            if guard.again > A_TICK and guard.acl.passed is not None and guard.logging is None:
                self.sampler.passed(guard.acl.name, guard.acl.arn, guard.acl.passed, guard.again - A_TICK)
            guard.again = 0
        samples = self.sampler.take()
        if not (news or samples):
            return None
        return {"samples": samples, "logs": records, "blocked": blocked if with_keys else None}

    def _blocked(self) -> Iterator[dict[str, Any]]:
        now = self._clock()
        for acl in {id(guard.acl): guard.acl for guard in self.guards.values()}.values():
            for rate in acl.rates:
                keys = [key for key in rate.blocked(now) if isinstance(key, str)][:10000]
                if keys:
                    yield {"arn": acl.arn, "rule": rate.rule, "group": rate.group_rule, "keys": keys}


def _same(one: Request, other: Request) -> bool:
    """Whether they are the same one of a connection, asked again."""
    return one.peer is other.peer and one.target == other.target and one.headers.raw == other.headers.raw


def _with_headers(request: Request, view: View) -> Request:
    """With what rules inserted; a header of that name that the client sent is replaced."""
    names = {name.encode() for name, _ in view.inserted}
    kept = [pair for pair in request.headers.raw if pair[0] not in names]
    added = [(name.encode(), value.encode("latin-1", "replace")) for name, value in view.inserted]
    return replace(request, headers=Headers([*kept, *added]))


class Reread:
    """A body whose beginning was read for inspection: whoever reads it gets it from the first byte."""

    def __init__(self, body: Body) -> None:
        self._body = body
        self._chunks: list[bytes] = []
        self._rest = aiter(body)
        self.whole = False

    async def begin(self, limit: int) -> bytes:
        """At most ``limit`` bytes of the beginning. Raises BodyError."""
        size = 0
        while size <= limit:
            try:
                chunk = await anext(self._rest)
            except StopAsyncIteration:
                self.whole = True
                break
            self._chunks.append(chunk)
            size += len(chunk)
        return b"".join(self._chunks)[:limit]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        if not self.whole:
            async for chunk in self._rest:
                yield chunk

    async def read(self, limit: int | None = None) -> bytes:
        return await gathered(self, limit)
