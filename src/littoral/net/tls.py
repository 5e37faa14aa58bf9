"""TLS contexts: which certificate a server shows for which name, and whose client certificates it takes.

Owns: what TLS must be here (1.2 or later, the library's own ciphers) and what a finished handshake tells of the
peer. Knows no addresses.
"""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from littoral.net.hello import Fingerprints
from littoral.net.message import Peer

Pair = tuple[bytes, bytes]  # certificate chain and private key, PEM


def server_context(
    default: Pair,
    *,
    names: Mapping[str, ssl.SSLContext] | None = None,
    client_cas: Sequence[bytes] = (),
    clients: Literal["no", "optional", "required"] = "no",
    alpn: Sequence[str] = (),
    refuses: Callable[[str], bool] = lambda name: False,
) -> ssl.SSLContext:
    """A server's context, TLS 1.2 or newer.

    ``names`` maps a server name (exact, or ``*.example.org``) to the context of its certificate; it is read at each
    handshake, so a caller may change it while connections live; who comes by a name that the caller ``refuses`` is told
    that it is none. ``clients`` says whether a client certificate signed
    by ``client_cas`` is asked for.
    """
    context = plain_server_context(default)
    if clients != "no":
        context.verify_mode = ssl.CERT_REQUIRED if clients == "required" else ssl.CERT_OPTIONAL
        for authority in client_cas:
            context.load_verify_locations(cadata=authority.decode())
    if alpn:
        context.set_alpn_protocols(list(alpn))
    table = names if names is not None else {}

    def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
        connection.littoral_server_name = name  # type: ignore[attr-defined]
        if name is None or not table:
            return None
        lower = name.lower()
        if refuses(lower):
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        found = table.get(lower) or table.get("*." + lower.partition(".")[2])
        if found is not None:
            connection.context = found
        return None

    context.sni_callback = choose
    return context


def plain_server_context(pair: Pair) -> ssl.SSLContext:
    """A context with one certificate, for the SNI table."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a client could make a server do it without end (TLS 1.2)
    load_pair(context, pair)
    return context


def client_context(
    *, ca: bytes | None = None, pair: Pair | None = None, alpn: Sequence[str] = (), verify: bool = True
) -> ssl.SSLContext:
    """Verify servers against ``ca`` (the system's CAs without one), and show ``pair`` when asked. ``verify=False``
    believes any server: for an origin that its operator configured so, never by default."""
    context = ssl.create_default_context(cadata=ca.decode() if ca is not None else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if pair is not None:
        load_pair(context, pair)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def peer_of(transport: asyncio.Transport) -> Peer:
    """Who is on the other side of an accepted connection."""
    address = transport.get_extra_info("peername")
    host, port = (str(address[0]), int(address[1])) if isinstance(address, tuple) else ("", 0)
    connection: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if connection is None:
        return Peer(host, port)
    name: str | None = getattr(connection, "littoral_server_name", None)
    cipher = connection.cipher()
    resumed = "sessionResumed" if connection.session_reused else "fullHandshake"
    handshake = f"{connection.version()}:{cipher[0] if cipher else ''}:{resumed}"
    peer = Peer(host, port, True, name, connection.getpeercert(binary_form=True), handshake)
    fingerprints: Fingerprints | None = transport.get_extra_info("fingerprints")
    if fingerprints is not None:
        peer.ja3, peer.ja4 = fingerprints.ja3, fingerprints.ja4
    return peer


def load_pair(context: ssl.SSLContext, pair: Pair) -> None:
    """What a context shows from its next handshake on. The ssl module reads certificates from files only; the file is
    ours alone and gone at once."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pair.pem"
        file.touch(mode=0o600)
        file.write_bytes(pair[0] + b"\n" + pair[1])
        context.load_cert_chain(file)
