"""What Caddy is told, as plain data: https://caddyserver.com/docs/json/.

One server on two inherited sockets (a Unix socket that TCP's connections are brought to, and UDP, so that neither a
reload nor a crash of the front lets go of the port). Which ALPN a name offers is a connection policy by SNI;
certificates are asked for at each handshake, so that a new one needs no new document.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from littoral.edge.plan.clients import ClientCertificates
from littoral.edge.upstream import ORIGIN, ORIGIN_NAME
from littoral.net.crowd import MOMENT
from littoral.site.front.door import CERTIFICATE, REPEATED, VIEWER

Document = dict[str, Any]

ADMIN, DOOR, ORIGINS, VIEWERS, PROBE = "admin.sock", "door.sock", "origins.sock", "viewers.sock", "probe.sock"
HEAD_BYTES = 32 * 1024  # of a viewer's head; the door behind it counts exactly
SAYS = (
    "{http.request.remote.host} {http.request.remote.port} {http.request.proto} {http.request.tls.version} "
    "{http.request.tls.cipher_suite} {http.request.tls.resumed} {http.request.tls.server_name}"
)
ALPN = {False: ["http/1.1"], True: ["h2", "http/1.1"]}


@dataclass(frozen=True, slots=True)
class Acme:
    """Whom to ask for certificates. ``directory`` None is Caddy's own choice (Let's Encrypt, ZeroSSL)."""

    email: str = ""
    directory: str | None = None
    trust: Path | None = None  # CA of the directory's own server


@dataclass(frozen=True, slots=True)
class Sockets:
    """Descriptors that the child inherits, and the port that viewers know."""

    viewers: int  # a Unix socket, to which the crossing brings TCP's
    udp: int
    port: int


@dataclass(frozen=True, slots=True)
class Site:
    """Names that are served alike. One that is there twice counts once: Caddy would refuse the whole document."""

    names: tuple[str, ...]
    http: frozenset[str]  # 1, 2, 3
    clients: ClientCertificates | None = None


def document(
    folder: Path,
    state: Path,
    sockets: Sockets,
    keyring: str,
    sites: Iterable[Site],
    grace: float,
    acme: Acme | None = None,
) -> Document:
    """``folder`` holds the Unix sockets, ``state`` what Caddy keeps (certificates by ACME); ``keyring`` is the URL of
    ``keyring.Keyring``."""
    sites = list(sites)
    return {
        "admin": {"listen": f"unix/{folder / ADMIN}|0600", "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "WARN"}}},
        "storage": {"module": "file_system", "root": str(state)},
        "apps": {
            "tls": _certificates(keyring, acme, sockets.port),
            "http": {
                "grace_period": f"{max(grace, 0.1):g}s",
                "shutdown_delay": f"{min(grace, MOMENT):g}s",  # not at a reload
                "servers": {
                    "edge": _server(folder, sockets, sites),
                    "origins": _origins(folder),
                    "probe": _probe(folder),
                },
            },
        },
    }


def _certificates(keyring: str, acme: Acme | None, port: int) -> Document:
    policy: Document = {"get_certificate": [{"via": "http", "url": keyring}]}
    automation: Document = {"policies": [policy]}
    if acme is not None:
        issuer: Document = {"module": "acme", "challenges": {"http": {"disabled": True}}}
        issuer["challenges"]["tls-alpn"] = {"alternate_port": port}
        if acme.email:
            issuer["email"] = acme.email
        if acme.directory is not None:
            issuer["ca"] = acme.directory
        if acme.trust is not None:
            issuer["trusted_roots_pem_files"] = [str(acme.trust)]
        policy |= {"issuers": [issuer], "on_demand": True}
        automation["on_demand"] = {"permission": {"module": "http", "endpoint": keyring + "/may"}}
    return {"automation": automation, "disable_ocsp_stapling": acme is None}


def _server(folder: Path, sockets: Sockets, sites: Sequence[Site]) -> Document:
    routes: list[Document] = [_no_announcement(sites), _last_answers(), {"handle": [*_own_via(), _to_core(folder)]}]
    return {
        "listen": [f"fd/{sockets.viewers}", f"fdgram/{sockets.udp}"],
        "listener_wrappers": [{"wrapper": "proxy_protocol"}, {"wrapper": "tls"}],
        "listen_protocols": [["h1", "h2"], ["h3"]],
        "automatic_https": {"disable": True},
        "tls_connection_policies": _policies(sites),
        "max_header_bytes": HEAD_BYTES,
        "read_header_timeout": "15s",
        "idle_timeout": "75s",
        "allow_0rtt": False,  # a replayed request would be served twice
        "enable_full_duplex": True,
        "routes": routes,
    }


def _no_announcement(sites: Sequence[Site]) -> Document:
    """Caddy announces HTTP/3 for every name. Named here are those that have it, for most have not: each name more is
    another document, and another document ends the connections that nobody uses at the moment."""
    having = sorted({name for site in sites if "3" in site.http for name in site.names})
    hide = {"handle": [{"handler": "headers", "response": {"deferred": True, "delete": ["Alt-Svc"]}}]}
    return {"match": [{"not": [{"host": having}]}], **hide} if having else hide


def _last_answers() -> Document:
    """In the moment before it stops: who asks again just now is answered, and its connection ends in order."""
    close = {"handler": "headers", "response": {"set": {"Connection": ["close"]}}}
    return {"match": [{"vars": {"{http.shutting_down}": ["true"]}}], "handle": [close]}


def _policies(sites: Sequence[Site]) -> list[Document]:
    """By SNI where a distribution does not speak HTTP/2 or asks for certificates, and the one for all others."""
    asking = [
        {
            "match": {"sni": sorted(set(site.names))},
            "alpn": ALPN["2" in site.http],
            "client_authentication": _clients(site.clients),
        }
        for site in sites
        if site.clients is not None
    ]
    old = sorted({name for site in sites if "2" not in site.http and site.clients is None for name in site.names})
    special = [{"match": {"sni": old}, "alpn": ALPN[False]}] if old else []
    return [*asking, *special, {"alpn": ALPN[True]}]


def _clients(asked: ClientCertificates) -> Document:
    authorities = x509.load_pem_x509_certificates(asked.authorities.encode())
    trusted = [base64.b64encode(each.public_bytes(Encoding.DER)).decode() for each in authorities]
    return {
        "mode": "require_and_verify" if asked.required else "verify_if_given",
        "ca": {"provider": "inline", "trusted_ca_certs": trusted},
    }


def _own_via() -> list[Document]:
    """The core's Via is the edge's; the front between is no station of its own. An interim response has none, nor
    has what the core's listener refuses before anybody at the edge sees it."""
    edge = "X-Amz-Cf-Pop"  # beside every Via of the edge
    final = {"status_code": [101, 2, 3, 4, 5], "headers": {edge: []}}
    own = {"deferred": True, "require": final, "set": {"Via": ["{http.reverse_proxy.header.Via}"]}}
    none = {"deferred": True, "require": {"headers": {edge: None}}, "delete": ["Via"]}
    return [{"handler": "headers", "response": each} for each in (own, none)]


def _to_core(folder: Path) -> Document:
    repeated = {name: ["{http.request.header." + name + "}"] for name in map(bytes.decode, REPEATED)}
    said = {VIEWER: [SAYS], CERTIFICATE: ["{http.request.tls.client.certificate_der_base64}"]}
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{folder / DOOR}"}],
        "flush_interval": -1,
        "stream_close_delay": "1h",  # a WebSocket may outlive the document that it began under
        "transport": {
            "protocol": "http",
            "compression": False,
            "versions": ["1.1"],
            "expect_continue_timeout": "30s",  # a viewer's 100 is the core's to give
            # shorter than the core keeps an idle connection, so that none is used as it ends
            "keep_alive": {"idle_timeout": "60s", "max_idle_conns_per_host": 1024},
        },
        "headers": {"request": {"set": said | repeated}},
    }


def _origins(folder: Path) -> Document:
    """From the core to origins that are to be asked over HTTP/2, which the core does not speak (gRPC)."""
    secure = {"versions": ["2"], "tls": {"server_name": "{http.request.header." + ORIGIN_NAME + "}"}}
    return {
        "listen": [f"unix/{folder / ORIGINS}|0600"],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "max_header_bytes": 2 * HEAD_BYTES,
        "trusted_proxies_unix": True,  # X-Forwarded-For is the core's word
        "enable_full_duplex": True,
        "routes": [
            {
                "match": [{"header": {ORIGIN_NAME: [""]}}],
                "handle": [_to_origin({"versions": ["h2c"]})],
                "terminal": True,
            },
            {"handle": [_to_origin(secure)]},
        ],
    }


def _probe(folder: Path) -> Document:
    """What the front answers by itself, as soon as it comes to it (``probe.Probe``)."""
    return {
        "listen": [f"unix/{folder / PROBE}|0600"],
        "protocols": ["h1"],
        "automatic_https": {"disable": True},
        "routes": [{"handle": [{"handler": "static_response", "status_code": 204}]}],
    }


def _to_origin(transport: Document) -> Document:
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": "{http.request.header." + ORIGIN + "}"}],
        "flush_interval": -1,
        "transport": {"protocol": "http", "compression": False, **transport},
        "headers": {
            "request": {
                "set": {"Te": ["trailers"], "Via": ["{http.request.header.Via}"]},
                "delete": [ORIGIN, ORIGIN_NAME, "X-Forwarded-Proto", "X-Forwarded-Host"],
            }
        },
    }
