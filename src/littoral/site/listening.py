"""The listeners of a place: the API, the edge, MQTT, and the device port.

The device port (TLS, client certificates) carries two protocols; the first byte says which. HTTP there is the same
gateway, with the certificate as the principal. Who has none may come in while an authorizer is active (``visitors``).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence

from littoral.aws.gateway import Gateway
from littoral.edge.entrance import Entrance
from littoral.edge.guard import Guard
from littoral.edge.pipeline import Pipeline
from littoral.net.firstbyte import FirstByte, is_http
from littoral.net.listen import HttpService, Listener, http_service, listen_http, listen_stream
from littoral.net.pki import Issued
from littoral.net.tls import Pair, server_context
from littoral.protocols.shield import Shield
from littoral.site.certificates import Certificates, Contexts
from littoral.site.foundation import Foundation
from littoral.site.front import find_caddy, listen_front
from littoral.site.place import Listening
from littoral.site.readings import listener_readings, shield_readings
from littoral.site.visitors import WEBSOCKET, websocket_mqtt, without_certificate
from littoral.things.access import OpenAccess
from littoral.things.broker import PROFILES
from littoral.things.facade import Things

log = logging.getLogger("littoral.site")

MQTT_ALPN = "x-amzn-mqtt-ca"


async def listen_api(base: Foundation, gateway: Gateway) -> None:
    """Every AWS API on one address."""
    settings = base.place.settings
    if settings.port is None:
        return
    listener = await listen_http(gateway.handle, host=settings.host, port=settings.port)
    base.place.listening("api", "http", settings.host, listener)
    base.function_env["AWS_ENDPOINT_URL"] = base.place.url("api")


async def listen_mqtt(base: Foundation, things: Things, gateway: Gateway, device_cas: Sequence[bytes]) -> None:
    """Cleartext for this machine alone, and the device port."""
    settings = base.place.settings
    websocket = websocket_mqtt(gateway, things, PROFILES[settings.mqtt_tls_profile])
    gateway.route(WEBSOCKET, websocket)
    gateway.device_route(WEBSOCKET, websocket)
    for prefix, handler in things.signed_routes(gateway.authenticate).items():
        gateway.route(prefix, handler)
    gateway.visitors(without_certificate(gateway, things, websocket))
    if settings.mqtt_port is not None:
        factory = things.broker.protocol_factory("mqtt", OpenAccess(), PROFILES[settings.mqtt_profile])
        listener = await listen_stream(factory, host="127.0.0.1", port=settings.mqtt_port)
        base.place.listening("mqtt", "mqtt", "127.0.0.1", listener)
    if settings.mqtt_tls_port is not None:
        tls = server_context(
            _pair(base.authority.issue_server(base.names())),
            client_cas=device_cas,
            clients="required",
            alpn=[MQTT_ALPN, "mqtt", "http/1.1"],
        )
        things.trust(tls)
        http = http_service(gateway.handle_device)
        mqtt = things.broker.protocol_factory("mqtt-tls", None, PROFILES[settings.mqtt_tls_profile])
        listener = await listen_stream(
            lambda: FirstByte(lambda byte: http.connection if is_http(byte) else mqtt),
            host=settings.host,
            port=settings.mqtt_tls_port,
            tls=tls,
        )
        base.place.listening("mqtt-tls", "mqtts", settings.host, DevicePort(listener, http))


class DevicePort:
    """One socket, two services."""

    def __init__(self, listener: Listener, http: HttpService) -> None:
        self._listener = listener
        self._http = http

    @property
    def port(self) -> int:
        return self._listener.port

    async def close(self, grace: float) -> None:
        await self._listener.close(0.0)
        await self._http.close(grace)


async def listen_edge(base: Foundation, pipeline: Pipeline) -> None:
    """The edge over HTTP and TLS; certificates of served names are made by the place's CA when first asked for. TLS is
    the front's where there is one, else our own listener's, which speaks HTTP/1.1. One guard stands before them all."""
    settings = base.place.settings
    guard = Guard(Shield(settings.client_limits()), pipeline.pop, pipeline.is_location)
    base.place.part(guard.close)
    base.metrics.add(lambda: shield_readings(guard.shield))
    if settings.edge_port is not None:
        limits = settings.listener_limits()
        enter = guard.before(pipeline.handle)
        listener = await listen_http(enter, host=settings.host, port=settings.edge_port, limits=limits, gate=guard)
        base.metrics.add(lambda: listener_readings("edge", listener.service))
        base.place.listening("edge", "http", settings.host, listener)
    if settings.edge_tls_port is not None:
        certificates = Certificates(base.authority, base.names(), settings.edge_certificates)
        secure = await _listen_tls(base, pipeline, guard, certificates)
        base.place.listening("edge-tls", "https", settings.host, secure)


async def _listen_tls(base: Foundation, pipeline: Pipeline, guard: Guard, certificates: Certificates) -> Listening:
    settings = base.place.settings
    assert settings.edge_tls_port is not None
    program = find_caddy(settings)
    if program is not None:
        return await listen_front(pipeline, guard, program, certificates, settings, settings.edge_tls_port)
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


def _authorities(pipeline: Pipeline) -> Callable[[str], str | None]:
    def of(name: str) -> str | None:
        plan = pipeline.plan_of(name)
        return plan.clients.authorities if plan is not None and plan.clients is not None else None

    return of


def _ask_for_certificates(tls: ssl.SSLContext, pipeline: Pipeline) -> None:
    """While any distribution wants them: OpenSSL decides before the name is known. Who may go without is told later."""
    wanted = any(plan.clients is not None for plan in pipeline.plans())
    tls.verify_mode = ssl.CERT_OPTIONAL if wanted else ssl.CERT_NONE


def _pair(issued: Issued) -> Pair:
    return issued.certificate, issued.private_key
