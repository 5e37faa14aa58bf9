"""WebSockets through the edge: the handshake goes to the origin like a request, and its 101 joins both connections.

CloudFront developer guide, "Use WebSockets with CloudFront distributions": no setting is needed, an idle connection
ends after ten minutes, the Sec-WebSocket-* headers go along whatever the policies say. The functions of the
viewer-request and origin-request events see the handshake; nothing sees the frames.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from littoral.edge.fetching import OriginTriggers
from littoral.edge.outcome import Outcome
from littoral.edge.storable import end_to_end
from littoral.edge.triggers import EdgeResponse, switched_origin
from littoral.edge.upstream import Upstream
from littoral.net.client import RequestFailed, Timeout
from littoral.net.message import Switching
from littoral.protocols.websocket import HandshakeRefused, accept_handshake, answers

if TYPE_CHECKING:
    from littoral.edge.visit import Visit

log = logging.getLogger("littoral.edge")

IDLE = 600.0  # seconds


class NoTunnel(Exception):
    """The request ends with an error of the edge."""

    def __init__(self, status: int, title: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.title = title


class Tunnels:
    def __init__(self, upstream: Upstream, triggers: OriginTriggers) -> None:
        self._upstream = upstream
        self._triggers = triggers

    async def open(self, visit: Visit) -> Switching | Outcome:
        """The joined connection, or the response of an origin that does not switch. Raises NoTunnel."""
        viewer = visit.viewer
        try:
            accept_handshake(viewer.method, viewer.headers.raw, None)
        except HandshakeRefused as refused:
            raise NoTunnel(400, "Bad Request", refused.reason) from refused
        origin = visit.origin or visit.behaviour.origin
        request = self._upstream.outgoing(origin, visit.behaviour, visit.request, viewer.peer)
        changed = await self._triggers("origin-request", visit, request, None)
        if isinstance(changed, EdgeResponse):
            label = "LambdaGeneratedResponse from cloudfront"
            return Outcome(changed.status, label, headers=changed.headers, content=changed.body or b"")
        if changed is not None:
            request = changed
            if changed.origin_document is not None:
                origin = switched_origin(changed.origin_document, origin)
        handshake = [pair for pair in viewer.headers.items() if pair[0].startswith("sec-websocket-")]
        try:
            response = await self._upstream.ask(origin, request, viewer.peer, handshake, upgrade="websocket")
        except RequestFailed as problem:
            log.warning("origin %s: %s", origin.domain, problem)
            status, title = (504, "Gateway Timeout") if isinstance(problem, Timeout) else (502, "Bad Gateway")
            raise NoTunnel(status, title, "The origin could not be reached.") from problem
        if response.status != 101:
            label = "Miss from cloudfront" if response.status < 400 else "Error from cloudfront"
            return Outcome(response.status, label, headers=end_to_end(response.headers), passing=response)
        if not answers(response.headers.raw, (viewer.headers.get("sec-websocket-key") or "").encode("latin-1")):
            response.release()
            raise NoTunnel(502, "Bad Gateway", "The origin did not answer the WebSocket handshake.")
        return Switching(response, end_to_end(response.headers), idle_timeout=IDLE)
