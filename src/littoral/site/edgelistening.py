"""The listeners of an edge location, behind one guard."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Final

from littoral.edge.ddos.watch import Watch
from littoral.edge.entrance import Entrance
from littoral.edge.guard import Guard
from littoral.edge.pipeline import Pipeline
from littoral.edge.viewercertificates import ViewerCertificates
from littoral.net.listen import listen_http
from littoral.net.tls import Pair, server_context
from littoral.protocols.shield import Shield
from littoral.site.certificates import Certificates, Contexts
from littoral.site.foundation import Foundation
from littoral.site.front import find_caddy, listen_front
from littoral.site.place import Listening
from littoral.site.readings import crossing_readings, listener_readings, shield_readings

CLOUDFRONT: Final = "*.cloudfront.net"  # shown for distributions that are disabled or not there, as by AWS


async def listen_edge(base: Foundation, pipeline: Pipeline, watch: Watch, viewers: ViewerCertificates) -> None:
    """The edge over HTTP and TLS; certificates of served names are those that their distributions name, else made by
    the place's CA when first asked for. TLS is the front's where there is one, else our own listener's, which speaks
    HTTP/1.1. One guard stands before them all."""
    settings = base.place.settings
    guard = Guard(Shield(settings.client_limits()), pipeline.pop, pipeline.is_location, watch.refused)
    base.place.part(guard.close)
    base.metrics.add(lambda: shield_readings(guard.shield))
    if settings.edge_port is not None:
        limits = settings.listener_limits()
        enter = guard.before(pipeline.handle)
        listener = await listen_http(enter, host=settings.host, port=settings.edge_port, limits=limits, gate=guard)
        base.metrics.add(lambda: listener_readings("edge", listener.service))
        base.place.listening("edge", "http", settings.host, listener)
    if settings.edge_tls_port is not None:
        names = [*base.names(), CLOUDFRONT]
        certificates = Certificates(base.authority, names, settings.edge_certificates, _named(pipeline, viewers))
        secure = await _listen_tls(base, pipeline, guard, certificates)
        pipeline.secured(secure.port)
        base.place.listening("edge-tls", "https", settings.host, secure)


async def _listen_tls(base: Foundation, pipeline: Pipeline, guard: Guard, certificates: Certificates) -> Listening:
    settings = base.place.settings
    assert settings.edge_tls_port is not None
    program = find_caddy(settings)
    if program is not None:
        front = await listen_front(pipeline, guard, program, certificates, settings, settings.edge_tls_port)
        base.metrics.add(lambda: crossing_readings(front.crossing))
        return front
    names = Contexts(certificates, pipeline.serves, _authorities(pipeline))
    tls = server_context(certificates.own(), names=names, alpn=["http/1.1"])
    pipeline.on_use.append(lambda: _ask_for_certificates(tls, pipeline))
    listener = await listen_http(
        guard.before(Entrance(pipeline).handle),
        host=settings.host,
        port=settings.edge_tls_port,
        tls=tls,
        limits=settings.listener_limits(),
        gate=guard,
        looks=pipeline.asks_for_fingerprints,
    )
    base.metrics.add(lambda: listener_readings("edge-tls", listener.service))
    return listener


def _named(pipeline: Pipeline, viewers: ViewerCertificates) -> Callable[[str], Pair | None]:
    """What a distribution has for its aliases; its domain name is shown CloudFront's own, which is the place's here."""

    def of(name: str) -> Pair | None:
        plan = pipeline.plan_of(name)
        return viewers.of(plan.certificate) if plan is not None and name != plan.domain.lower() else None

    return of


def _authorities(pipeline: Pipeline) -> Callable[[str], str | None]:
    def of(name: str) -> str | None:
        plan = pipeline.plan_of(name)
        return plan.clients.authorities if plan is not None and plan.clients is not None else None

    return of


def _ask_for_certificates(tls: ssl.SSLContext, pipeline: Pipeline) -> None:
    """While any distribution wants them: OpenSSL decides before the name is known. Who may go without is told later."""
    wanted = any(plan.clients is not None for plan in pipeline.plans())
    tls.verify_mode = ssl.CERT_OPTIONAL if wanted else ssl.CERT_NONE
