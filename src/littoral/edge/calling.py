"""The short way of a GET through its Lambda@Edge function at viewer-request to a fresh object, without a task.

Owns: which requests go it, and what they, their events and the answers to them come to, kept by all of their bytes. It
has no rules of its own: ``triggers`` writes the event and reads the answer, and whatever is no fresh small object for a
request that goes on is left to the long way (``serving``), which is the reference: it gets the call that was made, and
reads its result again.

A client sends the same header block with each request of a connection, and a function makes the same of the same
request: then only the identifier is new.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

from littoral.aws.invoke import InvokeResult
from littoral.aws.service import ServiceError
from littoral.edge import answer
from littoral.edge.cache import Key
from littoral.edge.edgeheaders import InvalidAnswer
from littoral.edge.observed import Noting, Observed
from littoral.edge.plan import Plan
from littoral.edge.serving import SPECIAL, Serving
from littoral.edge.triggering import Triggering
from littoral.edge.triggers import EdgeResponse, apply_request, event
from littoral.edge.visit import Visit
from littoral.net.message import Answer, Headers, Request, Response
from littoral.net.passage import Viewer
from littoral.protocols.http1 import framed_head

KIND = "viewer-request"
MOST_KNOWN, LONGEST, MOST_ANSWERS = 2048, 4096, 8  # requests kept, bytes of one or of an answer, answers of one request

Long = Callable[[Visit, Awaitable[InvokeResult]], Awaitable[Answer]]


class Found(NamedTuple):
    """Where the object lies for a request as its function left it."""

    key: Key
    headers: Headers


class Asked:
    """All requests that are the same but for their identifiers. ``before`` and ``after`` it: the event."""

    __slots__ = ("_answers", "_request", "after", "before", "function", "plan", "policy")

    def __init__(self, visit: Visit) -> None:
        trigger, behaviour = visit.behaviour.triggers[KIND], visit.behaviour
        self.plan, self.policy, self.function = visit.plan, behaviour.response_headers, trigger.function
        written = event(visit.about, KIND, trigger, visit.request)
        self.before, _, self.after = written.partition(visit.about.request_id.encode())
        self._request = visit.request
        self._answers: dict[bytes, Found] = {}

    def found(self, payload: bytes) -> Found | None:
        """None for an answer that somebody else has to look at."""
        found = self._answers.get(payload)
        if found is None:
            found = self._looked(payload)
            if found is not None and len(payload) <= LONGEST:
                if len(self._answers) >= MOST_ANSWERS:
                    self._answers.clear()
                self._answers[payload] = found
        return found

    def _looked(self, payload: bytes) -> Found | None:
        before, plan = self._request, self.plan
        try:
            changed = apply_request(KIND, payload, before)
        except InvalidAnswer:
            return None
        if isinstance(changed, EdgeResponse) or changed.body is not None:
            return None
        behaviour = plan.behaviour(before.uri)
        uri = plan.rooted(changed.uri)
        key = plan.id, behaviour.key_of(uri, changed.querystring, changed.headers, changed.method)
        return Found(key, changed.headers)


class Calling:
    """``long`` goes on from the call that was made."""

    def __init__(self, serving: Serving, triggering: Triggering, long: Long) -> None:
        self.serving = serving
        self.triggering = triggering
        self.long = long
        # by distribution, who asks, target and headers
        self._asked: dict[tuple[str, str, str, tuple[tuple[bytes, bytes], ...]], Asked] = {}

    def use(self) -> None:
        """Other distributions are served."""
        self._asked = {}

    def of(self, request: Request, plan: Plan, headers: dict[bytes, bytes]) -> Called | None:
        """None for a request that goes another way. ``headers`` are the last of each name."""
        behaviour = plan.behaviour(request.target.partition("?")[0])
        if (
            not behaviour.called
            or request.method != "GET"
            or request.http_version != "1.1"
            or request.target == "*"
            or self.triggering.invoker is None
            or plan.routed
            or plan.restriction is not None
            or (behaviour.viewer_policy != "allow-all" and not request.peer.tls)
            or not SPECIAL.isdisjoint(headers)
        ):
            return None
        return Called(self, self._same(request, plan), request)

    def _same(self, request: Request, plan: Plan) -> Asked:
        key = plan.id, request.peer.host, request.target, tuple(request.headers.raw)
        found = self._asked.get(key)
        if found is None:
            found = Asked(self.serving.visit(request, plan))
            if len(found.before) + len(found.after) <= LONGEST:
                if len(self._asked) >= MOST_KNOWN:
                    self._asked.clear()
                self._asked[key] = found
        return found


class Called(Observed):
    """One of them. When its viewer has gone, the function's answer is counted and noted all the same."""

    __slots__ = ("_asked", "_began", "_calling", "_identifier", "_left")

    def __init__(self, calling: Calling, asked: Asked, request: Request, noting: Noting | None = None) -> None:
        super().__init__(request, noting)
        self._calling = calling
        self._asked = asked
        self._identifier = ""
        self._began = 0.0
        self._left = False

    def anew(self) -> Called:
        """The request is copied where somebody keeps it."""
        request = self.request if self.noting is None else self._copied(time.time())
        return Called(self._calling, self._asked, request, self.noting)

    def begin(self, viewer: Viewer) -> None:
        asked = self._asked
        self._viewer, self._identifier, self._began = viewer, answer.request_id(), time.perf_counter()
        payload = b"%b%b%b" % (asked.before, self._identifier.encode(), asked.after)
        called: asyncio.Future[InvokeResult]
        try:
            called = asyncio.ensure_future(self._calling.triggering.call(asked.function, payload))
        except ServiceError as error:
            called = asyncio.get_running_loop().create_future()
            called.set_exception(error)
        called.add_done_callback(self._answered)

    def viewer_left(self) -> None:
        self._left = True

    def _answered(self, called: asyncio.Future[InvokeResult]) -> None:
        viewer, response = self._viewer, self._at_once(called)
        assert viewer is not None
        self._viewer = None
        if response is None:
            viewer.pass_instead(self.request, self._long(called))
        elif response.prepared is not None and isinstance(response.body, bytes):
            size, traffic = len(response.body), self._asked.plan.traffic
            traffic.hits += 1
            traffic.bytes += size
            if self.noting is not None:
                self.noting.of(self.request, response)
            if not self._left:
                head = framed_head(response.prepared, response.status, size, viewer.date_line)
                viewer.pass_whole(head, response.body)
        else:
            self._asked.plan.traffic.count(response, self.request)
            viewer.pass_instead(self.request, self.noted(_made(response)))

    def _at_once(self, called: asyncio.Future[InvokeResult]) -> Response | None:
        if called.cancelled() or called.exception() is not None or called.result().function_error is not None:
            return None
        try:
            found = self._asked.found(called.result().payload)
            hit = self._calling.serving.hit
            return None if found is None else hit(*found, self._asked.policy, self._identifier)
        except Exception:  # noqa: BLE001 - the long way meets it again, and tells of it
            return None

    def _long(self, called: Awaitable[InvokeResult]) -> Awaitable[Answer]:
        self.request = self._copied(time.time() - (time.perf_counter() - self._began))
        visit = self._calling.serving.visit(self.request, self._asked.plan, self._identifier)
        return self.noted(self._calling.long(visit, called))

    def _copied(self, received_at: float) -> Request:
        """Of its own: the very same one may be asked again, and the long way changes what it gets."""
        return replace(self.request, headers=Headers(list(self.request.headers.raw)), received_at=received_at)


async def _made(response: Response) -> Response:
    """What takes a while to send."""
    return response
