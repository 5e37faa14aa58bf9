"""The listeners of a place: the API, the edge, MQTT, and the device port.

The device port (TLS, client certificates), which may be there twice, carries two protocols; the first byte says which.
HTTP there is the same gateway, with the certificate as the principal. Who has none may come in while an authorizer is
active (``visitors``).
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence

from littoral.aws.gateway import Gateway
from littoral.net.firstbyte import Factory, FirstByte, is_http
from littoral.net.listen import HttpService, Listener, http_service, listen_http, listen_stream
from littoral.net.tls import Pair, load_pair, server_context
from littoral.site.certificates import Certificates, Contexts
from littoral.site.foundation import Foundation
from littoral.site.visitors import WEBSOCKET, websocket_mqtt, without_certificate
from littoral.things.access import OpenAccess
from littoral.things.broker import PROFILES
from littoral.things.facade import Things

log = logging.getLogger("littoral.site")

ALPN = ("x-amzn-mqtt-ca", "mqtt", "http/1.1")


async def listen_api(base: Foundation, gateway: Gateway) -> None:
    """Every AWS API on one address."""
    settings = base.place.settings
    if settings.port is None:
        return
    listener = await listen_http(gateway.handle, host=settings.host, port=settings.port)
    base.place.listening("api", "http", settings.host, listener)
    base.function_env["AWS_ENDPOINT_URL"] = base.place.url("api")


async def listen_mqtt(
    base: Foundation, things: Things, gateway: Gateway, device_cas: Sequence[bytes], names: Sequence[str]
) -> Callable[[Pair], None]:
    """Cleartext for this machine alone, and the device port, whose certificate is for ``names``: what is returned gives
    it another one, from the next handshake on."""
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
    contexts: list[ssl.SSLContext] = []
    if settings.mqtt_tls_port is not None or settings.mqtt_alpn_port is not None:
        own = base.authority.issue_server(names).pair
        certificates = Certificates(base.authority, [], settings.mqtt_certificates)
        mqtt = things.broker.protocol_factory("mqtt-tls", None, PROFILES[settings.mqtt_tls_profile])
        for name, port in (("mqtt-tls", settings.mqtt_tls_port), ("mqtt-alpn", settings.mqtt_alpn_port)):
            if port is not None:
                tls = device_context(
                    own, certificates, things, device_cas, signers=name == "mqtt-alpn" and gateway.verifies
                )
                contexts.append(tls)
                devices = await _listen_devices(mqtt, gateway, tls, settings.host, port)
                base.place.listening(name, "mqtts", settings.host, devices)

    def show(pair: Pair) -> None:
        for context in contexts:
            load_pair(context, pair)

    return show


async def _listen_devices(mqtt: Factory, gateway: Gateway, tls: ssl.SSLContext, host: str, port: int) -> DevicePort:
    http = http_service(gateway.handle_device)

    def choose(byte: int) -> Factory:
        return http.connection if is_http(byte) else mqtt

    return DevicePort(await listen_stream(lambda: FirstByte(choose), host=host, port=port, tls=tls), http)


def device_context(
    own: Pair, certificates: Certificates, things: Things, device_cas: Sequence[bytes], *, signers: bool = False
) -> ssl.SSLContext:
    """Of the device port: ``own`` for the place's names, one of ``certificates`` for each domain configuration's.
    ``signers`` need no certificate."""
    cas = b"".join(device_cas).decode()
    domains = Contexts(certificates, things.domains.serves, lambda _: cas + things.anchors, ALPN)
    refuses = things.domains.refuses
    tls = server_context(own, names=domains, client_cas=device_cas, clients="required", alpn=ALPN, refuses=refuses)
    things.trust(tls, signers=signers)
    return tls


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
