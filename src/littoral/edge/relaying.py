"""The short way of a request that is not cached and that nobody else has to see: a ``Passage`` to its origin and back.

Owns: which requests go it, and what they and their responses become, kept by their bytes. It has no rules of its own:
what a request's headers come to is made by ``upstream``, what a response's come to by ``storable`` and ``answer``, as
on the long way (``serving``). That is taken by what finds no waiting connection to its origin, and by whatever fails
before its answer's head is sent.

A client sends the same header block with each request of a connection, and an origin the same head with each answer of
a second; what they came to is looked up by all of their bytes.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

from littoral.edge import answer
from littoral.edge.fetching import EARLY_HINTS, Fetching, extra_headers
from littoral.edge.observed import Noting, Observed
from littoral.edge.plan import Behaviour, Plan
from littoral.edge.storable import end_to_end
from littoral.edge.told import Told
from littoral.edge.triggers import EdgeRequest
from littoral.edge.upstream import Upstream, escaped, forwarded_query
from littoral.net.client import Idle, RequestFailed
from littoral.net.failures import BadResponse, Disconnected
from littoral.net.message import Answer, Headers, RawHeaders, Request
from littoral.net.passage import Known, Viewer
from littoral.protocols.http1 import request_head, response_head

# What needs the long way: a body, another protocol, trailers, a look at where the request came through.
NOT_RELAYED = frozenset((b"content-length", b"transfer-encoding", b"upgrade", b"expect", b"te", b"trailer", b"via"))
MOST_KNOWN, LONGEST = 2048, 4096  # heads that are kept, of either kind, and bytes of one

Long = Callable[[Request, Plan, RequestFailed | None], Awaitable[Answer]]
Page = Callable[[Request, Plan, int], Awaitable[Answer]]


class Book:
    """What heads came to, of requests and of responses."""

    def __init__(self) -> None:
        # by way, who asks, whether by TLS, and headers
        self._asked: dict[tuple[Way, str, bool, tuple[tuple[bytes, bytes], ...]], tuple[bytes, bytes]] = {}
        self._answered: dict[tuple[Way, bytes], Known] = {}

    def asked(self, way: Way, request: Request, make: Callable[[Request], tuple[bytes, bytes]]) -> tuple[bytes, bytes]:
        raw = request.headers.raw
        key = way, request.peer.host, request.peer.tls, tuple(raw)
        found = self._asked.get(key)
        if found is None:
            found = make(request)
            if sum(len(name) + len(value) for name, value in raw) <= LONGEST:
                if len(self._asked) >= MOST_KNOWN:
                    self._asked.clear()
                self._asked[key] = found
        return found

    def answered(self, way: Way, head: bytes) -> Known | None:
        return self._answered.get((way, head))

    def keep(self, way: Way, head: bytes, known: Known) -> None:
        if len(head) <= LONGEST:
            if len(self._answered) >= MOST_KNOWN:
                self._answered.clear()
            self._answered[way, head] = known


class Way:
    """What requests of one behaviour have in common."""

    def __init__(self, plan: Plan, behaviour: Behaviour, upstream: Upstream, pop: str, book: Book) -> None:
        self.plan = plan
        self.behaviour = behaviour
        self.pages = frozenset(status for status, page in plan.errors.items() if page.path is not None)
        self.book = book
        self._upstream = upstream
        self._pop = pop
        self._waiting: dict[bool, Idle] = {}

    def waiting(self, request: Request) -> Idle:
        """Connections to the origin that nobody uses."""
        found = self._waiting.get(request.peer.tls)
        if found is None:
            base = self._upstream.base(self.behaviour.origin, request.peer)
            found = self._waiting[request.peer.tls] = self._upstream.client.idle_of(base)
        return found

    def target(self, path: str, query: str) -> str:
        target = escaped(self.behaviour.origin.path + path)
        query = forwarded_query(self.behaviour, query)
        return f"{target}?{query}" if query else target

    def head(self, request: Request, path: str, query: str) -> tuple[bytes, bytes]:
        """Of the request to the origin: what comes before and after its identifier."""
        before, after = self.book.asked(self, request, self._head)
        return b"GET %b %b" % (self.target(path, query).encode("ascii"), before), after

    def _head(self, request: Request) -> tuple[bytes, bytes]:
        """All but method and target, which do not matter to the rest."""
        origin, identifier = self.behaviour.origin, answer.request_id()
        asked = EdgeRequest("GET", "/", "", Headers(list(request.headers.raw)), request.peer.host)
        going = self._upstream.outgoing(origin, self.behaviour, asked, request.peer)
        headers = self._upstream.sent(origin, going, extra_headers(identifier, request.headers))
        whole = request_head("GET", "/", headers.raw, 0).removeprefix(b"GET / ")
        before, _, after = whole.partition(identifier.encode())
        return before, after

    def made(self, status: int, headers: RawHeaders, identifier: str, request: Request) -> RawHeaders:
        """The viewer's headers."""
        made = end_to_end(Headers(headers))
        for name, value in headers:
            if name == b"content-length":
                made.set("content-length", value.decode("latin-1"))
        label = "Miss from cloudfront" if status < 400 else "Error from cloudfront"
        answer.mark(made, label, self._pop, identifier)
        policy = self.behaviour.response_headers
        return made.raw if policy is None else policy.apply(made.raw, "GET", request.headers)


class Relaying:
    """``long`` is the way of everything else, which is told what the first attempt at the origin came to; ``page``
    shows the custom error page for a status."""

    def __init__(self, pop: str, fetching: Fetching, results: Counter[str], long: Long, page: Page) -> None:
        self.fetching = fetching
        self.results = results
        self.long = long
        self.page = page
        self._pop = pop
        self._ways: dict[int, Way] = {}
        self._book = Book()

    def use(self) -> None:
        """Other distributions are served."""
        self._ways, self._book = {}, Book()

    def of(self, request: Request, plan: Plan, headers: dict[bytes, bytes]) -> Relayed | None:
        """None for a request that goes another way. ``headers`` are the last of each name."""
        path, _, query = request.target.partition("?")
        if path == "/" and plan.default_root:
            path = "/" + plan.default_root
        behaviour = plan.behaviour(path)
        if (
            not behaviour.relayed
            or request.method != "GET"
            or request.http_version != "1.1"
            or plan.routed
            or plan.restriction is not None
            or (behaviour.viewer_policy != "allow-all" and not request.peer.tls)
            or not NOT_RELAYED.isdisjoint(headers)
        ):
            return None
        way = self._ways.get(id(behaviour))
        if way is None:
            way = self._ways[id(behaviour)] = Way(plan, behaviour, self.fetching.upstream, self._pop, self._book)
        return Relayed(self, way, request, path, query) if way.waiting(request) else None


class Relayed(Observed):
    """One of them. ``parts`` are what ``Way.head`` gave for the very same request."""

    __slots__ = ("_began", "_first", "_head", "_identifier", "_parts", "_path", "_query", "_relaying", "_way")

    def __init__(
        self,
        relaying: Relaying,
        way: Way,
        request: Request,
        path: str,
        query: str,
        parts: tuple[bytes, bytes] | None = None,
        noting: Noting | None = None,
    ) -> None:
        super().__init__(request, noting)
        self._relaying = relaying
        self._way = way
        self._path = path
        self._query = query
        self._parts = parts
        self._identifier = b""
        self._head = b""  # of the response; for the log
        self._began = self._first = -1.0

    def anew(self) -> Relayed:
        """For the very same request once more. It is copied where somebody keeps it."""
        request = self.request if self.noting is None else self._copied()
        return Relayed(self._relaying, self._way, request, self._path, self._query, self._parts, self.noting)

    def begin(self, viewer: Viewer) -> None:
        way, fetching = self._way, self._relaying.fetching
        upstream = fetching.upstream.client.take(way.waiting(self.request))
        if upstream is None:
            self.request = self._copied()
            viewer.pass_instead(self.request, self._long(None))
            return
        parts = self._parts
        if parts is None:
            parts = self._parts = way.head(self.request, self._path, self._query)
        self._identifier = identifier = answer.request_id().encode()
        self._began = time.perf_counter()
        fetching.origin_requests += 1
        self.send(viewer, upstream, b"%b%b%b" % (parts[0], identifier, parts[1]), way.behaviour.origin.read_timeout)

    def known(self, head: bytes) -> Known | None:
        return self._way.book.answered(self._way, head)

    def head_of(self, known: Known) -> bytes:
        head = b"%b%b%b" % (known.before, self._identifier, known.after)
        self._count(known.status, known.length, head)
        return head

    def made(self, status: int, headers: RawHeaders, date_line: bytes) -> bytes | None:
        if status in self._way.pages and self._way.plan.errors[status].path != self._path:
            self._way.plan.traffic.asked(time.perf_counter() - self._began)
            self.request = self._copied()
            self.instead(self.noted(self._relaying.page(self.request, self._way.plan, status)))
            return None
        made = self._way.made(status, headers, self._identifier.decode(), self.request)
        try:
            head, length = response_head(status, made, date_line)
        except ValueError as problem:
            raise BadResponse(str(problem)) from problem
        self._count(status, length or 0, head)
        return head

    def remember(self, head: bytes, length: int) -> None:
        """Only with a Date of its own: ours would be kept with it. Where a page may stand for it, not at all."""
        if self.status in self._way.pages:
            return
        before, found, after = self._head.partition(self._identifier)
        if found and found not in after and b"\r\ndate:" in head.lower():
            self._way.book.keep(self._way, head, Known(self.status, length, before, after))

    def hinted(self, status: int, headers: RawHeaders) -> None:
        if status == EARLY_HINTS and self._viewer is not None:
            self._viewer.pass_hint(status, end_to_end(Headers(headers)).raw)

    def failed(self, problem: RequestFailed) -> None:
        """A connection that had ended was no attempt."""
        self.request = self._copied()
        self.instead(self._long(None if isinstance(problem, Disconnected) else problem))

    def over(self, whole: bool) -> None:
        if self.noting is not None:
            told = Told(origin=self._way.behaviour.origin.domain, first=self._first, began=self._began)
            told.ended()
            self.noting.passed(self.request, self.status, self._head + b"\r\n", self.sent, whole, told)

    def _count(self, status: int, size: int, head: bytes) -> None:
        self._head = head
        self._first = time.perf_counter() - self._began
        result = "Miss" if status < 400 else "Error"
        self._relaying.results[result] += 1
        self._way.plan.traffic.passed(result, status, size, self._first)

    def _copied(self) -> Request:
        """Of its own, and of now: the very same one may be asked again, and the long way changes what it gets."""
        since = time.perf_counter() - self._began if self._began >= 0 else 0.0
        return replace(self.request, headers=Headers(list(self.request.headers.raw)), received_at=time.time() - since)

    def _long(self, problem: RequestFailed | None) -> Awaitable[Answer]:
        return self.noted(self._relaying.long(self.request, self._way.plan, problem))
