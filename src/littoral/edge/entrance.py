"""What a viewer's TLS connection must be before its request is looked at. The same for our own listener and a front.

=========================================================  =====================================================
check                                                      answer
=========================================================  =====================================================
SNI and Host name the same distribution                    421 Misdirected Request
the viewer speaks what the distribution's HttpVersion has  421, and it connects anew
it has shown a certificate where one is required           403 (in truth the handshake has failed before)
its TLS is as new as the distribution's least              403
=========================================================  =====================================================

Sources: CloudFront developer guide, "Requirements for using alternate domain names" (a Host other than the one that
TLS was set up for gets 421); RFC 9110 s. 15.5.20; DistributionConfig.HttpVersion, ViewerCertificate's
MinimumProtocolVersion. A connection whose SNI is no distribution's name, or that has none, is taken: it was shown this
place's own certificate, and its Host decides.
"""

from __future__ import annotations

from collections.abc import Awaitable

from littoral.edge import answer
from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import Plan
from littoral.net.message import Answer, Request, Response

MAX_KNOWN = 4096
Refusal = tuple[int, str, str]  # status, title, reason


class Entrance:
    """``handle`` is the listener's handler. A verdict is kept for all that decides it, until other distributions are
    served: one look into a dictionary a request."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._known: dict[tuple[str | None, str, str | None, bool, bool], Refusal | None] = {}
        pipeline.on_use.append(self._known.clear)

    def handle(self, request: Request) -> Answer | Awaitable[Answer]:
        peer = request.peer
        old = peer.handshake.startswith("TLSv1.2")
        key = peer.server_name, request.host, peer.http_version, peer.certificate is not None, old
        try:
            refusal = self._known[key]
        except KeyError:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            refusal = self._known[key] = self._why_not(*key)
        return self._pipeline.handle(request) if refusal is None else self._refused(refusal)

    def _why_not(
        self, server_name: str | None, host: str, version: str | None, certified: bool, old: bool
    ) -> Refusal | None:
        plan = self._pipeline.plan_of(host)
        shown = self._pipeline.plan_of(server_name) if server_name else None
        if shown is not None and shown is not plan:
            reason = "This connection was set up for another distribution than the one that the request names."
            return 421, "Misdirected Request", reason
        if plan is not None and not speaks(plan, version or "1.1"):
            return 421, "Misdirected Request", f"This distribution is not served over HTTP/{version}."
        if plan is not None and plan.clients is not None and plan.clients.required and not certified:
            return 403, "Forbidden", "This distribution is for viewers with a certificate."
        if plan is not None and plan.newest_tls and old:
            return 403, "Forbidden", "This distribution is for viewers that speak TLS 1.3."
        return None

    def _refused(self, refusal: Refusal) -> Response:
        self._pipeline.results["Error"] += 1
        return answer.page(*refusal, self._pipeline.pop)


def speaks(plan: Plan, version: str) -> bool:
    """HTTP/1.0 and 1.1 are always spoken."""
    return version[0] in plan.http or version[0] == "1"
