"""The core's side of the Unix socket: who the viewer is, in the words of the front.

Only the front connects here: the socket lies in a folder of the place's user alone. It sets the headers below on every
request whatever a viewer sent under these names, so what they say is what it saw. On any other listener they are
headers like others, which nobody reads.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable

from littoral.net.message import Answer, Handler, Headers, Peer, RawHeaders, Request, Response

VIEWER = "littoral-viewer"  # address, port, HTTP and TLS version, cipher, whether resumed, SNI where there is one
CERTIFICATE = "littoral-viewer-certificate"  # the verified client certificate, DER in base64; empty without one
# What Caddy would write by itself; it is told to repeat the viewer's own, which are empty where there was none.
REPEATED = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"via")

_VIEWER, _CERTIFICATE = VIEWER.encode(), CERTIFICATE.encode()
_TLS = {"tls1.2": "TLSv1.2", "tls1.3": "TLSv1.3"}


class Door:
    """A handler that puts the viewer in the front's place, then asks ``enter``. A head has room for what the front says
    beside what a viewer may say: ``most`` bytes, beyond which ``too_large`` is told."""

    def __init__(self, enter: Handler, most: int, too_large: Callable[[], None]) -> None:
        self._enter = enter
        self._most = most
        self._too_large = too_large

    def handle(self, request: Request) -> Answer | Awaitable[Answer]:
        kept: RawHeaders = []
        said = certificate = b""
        size = len(request.target)
        for pair in request.headers.raw:
            name = pair[0]
            if name == _VIEWER:
                said = pair[1]
            elif name == _CERTIFICATE:
                certificate = pair[1]
            elif pair[1] or name not in REPEATED:
                kept.append(pair)
                size += len(name) + len(pair[1]) + 4
        if size > self._most:
            self._too_large()
            return Response(431, Headers(), b"more than %d bytes of headers\n" % self._most, close=True)
        try:
            request.peer = viewer_of(said.decode("latin-1"), certificate)
        except ValueError:
            return Response(400, Headers(), b"the front did not say who asks\n", close=True)
        request.headers = Headers(kept)
        return self._enter(request)


def viewer_of(said: str, certificate: bytes) -> Peer:
    """Raises ValueError for what is not the front's way to say it."""
    host, port, http, tls, cipher, resumed, *name = said.split(" ", 6)
    try:
        der = base64.b64decode(certificate, validate=True) if certificate else None
    except binascii.Error as problem:
        raise ValueError(str(problem)) from problem
    handshake = f"{_TLS.get(tls, tls)}:{cipher}:{'sessionResumed' if resumed == 'true' else 'fullHandshake'}"
    server_name = (name[0] or None) if name else None
    return Peer(host, int(port), True, server_name, der, handshake, http.removeprefix("HTTP/"))
