"""The listeners of a place: the API, the edge, MQTT, and the device port.

The device port (TLS, client certificates) carries two protocols; the first byte says which. HTTP there is the same
gateway, with the certificate as the principal.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence

from littoral.aws.gateway import Gateway
from littoral.aws.service import ServiceError
from littoral.edge.pipeline import Pipeline
from littoral.net.firstbyte import FirstByte, is_http
from littoral.net.listen import HttpService, Listener, http_service, listen_http, listen_stream
from littoral.net.message import Answer, Handler, Headers, Request, Response, WebSocketUpgrade
from littoral.net.pki import Authority, Issued
from littoral.net.tls import Pair, plain_server_context, server_context
from littoral.site.foundation import Foundation
from littoral.things.access import OpenAccess
from littoral.things.facade import Things

log = logging.getLogger("littoral.site")

MQTT_ALPN = "x-amzn-mqtt-ca"
MQTT_SCOPES = frozenset(("iotdevicegateway", "iotdata"))  # what AWS's SDKs sign a WebSocket for


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
    if settings.mqtt_port is not None:
        factory = things.broker.protocol_factory("mqtt", OpenAccess())
        listener = await listen_stream(factory, host="127.0.0.1", port=settings.mqtt_port)
        base.place.listening("mqtt", "mqtt", "127.0.0.1", listener)
    if settings.mqtt_tls_port is not None:
        tls = server_context(
            _pair(base.authority.issue_server(base.names())),
            client_cas=device_cas,
            clients="required",
            alpn=[MQTT_ALPN, "mqtt", "http/1.1"],
        )
        http = http_service(gateway.handle_device)
        mqtt = things.broker.protocol_factory("mqtt-tls")
        listener = await listen_stream(
            lambda: FirstByte(lambda byte: http.connection if is_http(byte) else mqtt),
            host=settings.host,
            port=settings.mqtt_tls_port,
            tls=tls,
        )
        base.place.listening("mqtt-tls", "mqtts", settings.host, DevicePort(listener, http))
    gateway.route("/mqtt", websocket_mqtt(gateway, things))


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


def websocket_mqtt(gateway: Gateway, things: Things) -> Handler:
    """MQTT over WebSocket at ``/mqtt``, as AWS has it: signed with SigV4 in the query or the headers."""
    factory = things.broker.protocol_factory("mqtt-wss", OpenAccess())

    async def handle(request: Request) -> Answer:
        try:
            principal = await gateway.authenticate(request, scopes=MQTT_SCOPES)
        except ServiceError as error:
            return Response(403, Headers.of([("content-type", "text/plain")]), f"{error.message}\n".encode())
        if principal.kind == "anonymous" and gateway.verifies:
            return Response(403, Headers.of([("content-type", "text/plain")]), b"the request is not signed\n")
        return WebSocketUpgrade(factory, "mqtt")

    return handle


async def listen_edge(base: Foundation, pipeline: Pipeline) -> None:
    """The edge over HTTP and TLS; certificates of served names are made by the place's CA when first asked for."""
    settings = base.place.settings
    if settings.edge_port is not None:
        listener = await listen_http(pipeline.handle, host=settings.host, port=settings.edge_port)
        base.place.listening("edge", "http", settings.host, listener)
    if settings.edge_tls_port is not None:
        own = _pair(base.authority.issue_server(base.names()))
        tls = server_context(own, names=EdgeCertificates(base.authority, pipeline.serves))
        listener = await listen_http(pipeline.handle, host=settings.host, port=settings.edge_tls_port, tls=tls)
        base.place.listening("edge-tls", "https", settings.host, listener)


class EdgeCertificates(Mapping[str, ssl.SSLContext]):
    """The SNI table: a context for every name that a distribution has, made at its first handshake."""

    def __init__(self, authority: Authority, serves: Callable[[str], bool]) -> None:
        self._authority = authority
        self._serves = serves
        self._made: dict[str, ssl.SSLContext] = {}

    def __getitem__(self, name: str) -> ssl.SSLContext:
        if not self._serves(name):
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = plain_server_context(_pair(self._authority.issue_server([name])))
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return max(1, len(self._made))  # never "no table"


def _pair(issued: Issued) -> Pair:
    return issued.certificate, issued.private_key
