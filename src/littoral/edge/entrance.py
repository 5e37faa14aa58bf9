"""What a viewer's TLS connection must be before its request is looked at. The same for our own listener and a front.

=========================================================  =====================================================
check                                                      answer
=========================================================  =====================================================
SNI and Host name the same distribution                    421 Misdirected Request
the viewer speaks what the distribution's HttpVersion has  421, and it connects anew
it has shown a certificate where one is required           403 (in truth the handshake has failed before)
=========================================================  =====================================================

Sources: CloudFront developer guide, "Requirements for using alternate domain names" (a Host other than the one that
TLS was set up for gets 421); RFC 9110 s. 15.5.20; DistributionConfig.HttpVersion. A connection whose SNI is no
distribution's name, or that has none, is taken: it was shown this place's own certificate, and its Host decides.
"""

from __future__ import annotations

from collections.abc import Awaitable

from littoral.edge import answer
from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import Plan
from littoral.net.message import Answer, Peer, Request, Response

MAX_KNOWN = 4096


class Entrance:
    """``handle`` is the listener's handler."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._known: dict[tuple[str | None, str, str | None], str] = {}  # why not, "" for nothing, by what decides it
        pipeline.on_use.append(self._known.clear)

    def handle(self, request: Request) -> Answer | Awaitable[Answer]:
        peer = request.peer
        key = peer.server_name, request.host, peer.http_version
        reason = self._known.get(key)
        if reason is None:
            reason = self._why_not(peer, request.host)
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[key] = reason
        if reason:
            return self._refused(reason)
        if peer.certificate is None and self._needs_certificate(request.host):
            self._pipeline.results["Error"] += 1
            reason = "This distribution is for viewers with a certificate."
            return answer.page(403, "Forbidden", reason, self._pipeline.pop)
        return self._pipeline.handle(request)

    def _needs_certificate(self, host: str) -> bool:
        plan = self._pipeline.plan_of(host)
        return plan is not None and plan.clients is not None and plan.clients.required

    def _why_not(self, peer: Peer, host: str) -> str:
        plan = self._pipeline.plan_of(host)
        shown = self._pipeline.plan_of(peer.server_name) if peer.server_name else None
        if shown is not None and shown is not plan:
            return "This connection was set up for another distribution than the one that the request names."
        if plan is not None and not speaks(plan, peer.http_version or "1.1"):
            return f"This distribution is not served over HTTP/{peer.http_version}."
        return ""

    def _refused(self, reason: str) -> Response:
        self._pipeline.results["Error"] += 1
        return answer.page(421, "Misdirected Request", reason, self._pipeline.pop)


def speaks(plan: Plan, version: str) -> bool:
    """HTTP/1.0 and 1.1 are always spoken."""
    return version[0] in plan.http or version[0] == "1"
