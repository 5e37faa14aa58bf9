"""HTTPS publish by who has no certificate: the authorizer is asked for each request, as AWS does.

Where it is told so (``enableCachingForHttp``) an answer holds for further requests with the same credentials on the
same connection, until its ``refreshAfterInSeconds`` are over.
"""

from __future__ import annotations

import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from littoral.aws.service import Principal
from littoral.net.message import Request
from littoral.protocols.customauth import Http, Presented
from littoral.things.access import Admission
from littoral.things.authorizers.authorizers import Authorizers, NotAdmitted
from littoral.things.authorizers.renewing import admission
from littoral.things.permissions import Caller
from littoral.things.refusals import Refusals

MOST_HELD: Final = 1000  # answers
_OF_THE_MESSAGE: Final = frozenset(("content-length", "content-type", "transfer-encoding"))  # no credentials


class Visitors:
    """Held answers are found by a hash of the connection and of all that could be a credential."""

    def __init__(self, authorizers: Authorizers, refusals: Refusals, clock: Callable[[], float]) -> None:
        self._authorizers = authorizers
        self._refusals = refusals
        self._clock = clock
        self._held: OrderedDict[bytes, Admission] = OrderedDict()

    async def identify(self, request: Request) -> Principal:
        """Raises NotAdmitted."""
        key = _key(request)
        held = self._held.get(key)
        if held is None or held.due <= self._clock():
            held = await self._ask(request, key)
        return Principal("authorizer", held.principal, admission=held)

    def check_upgrade(self, request: Request) -> None:
        """Of a WebSocket for an authorizer: as ``Authorizers.check``. Raises NotAdmitted."""
        peer = request.peer
        try:
            self._authorizers.check(Presented(str(uuid.uuid4()), peer.tls, peer.server_name, http_of(request)))
        except NotAdmitted as problem:
            self._refusals.note(Caller("", None, peer.host), "iot:Connect", "client", "", problem.why, str(problem))
            raise

    async def _ask(self, request: Request, key: bytes) -> Admission:
        peer = request.peer
        self._held.pop(key, None)
        try:
            decision = await self._authorizers.decide(
                Presented(str(uuid.uuid4()), peer.tls, peer.server_name, http_of(request))
            )
        except NotAdmitted as problem:
            topic = request.raw_path.removeprefix("/topics/")
            self._refusals.note(Caller("", None, peer.host), "iot:Publish", "topic", topic, problem.why, str(problem))
            raise
        now = self._clock()
        found = admission(decision, now, now)
        if decision.authorizer.cached:
            self._held[key] = found
            if len(self._held) > MOST_HELD:
                self._held.popitem(last=False)
        return found


def http_of(request: Request) -> Http:
    """Of headers that come more than once, all values."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Http(headers, request.query_string)


def _key(request: Request) -> bytes:
    credentials = tuple(pair for pair in request.headers.items() if pair[0] not in _OF_THE_MESSAGE)
    shown = repr((request.peer.host, request.peer.port, credentials, request.query_string))
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).digest()
