"""Certificates for the front: asked by URL at each handshake, because Caddy has no other way to ask.

A listener on loopback whose path holds a secret of this run; the front learns it through its standard input, and only
it. Whoever could read it from the front's memory or its admin socket is this user, who can read the keys anyway.

``GET /SECRET?server_name=…``  certificate chain and key (PEM); 204 where ACME is to have it
``GET /SECRET/may?domain=…``   200 where ACME may be asked for that name, else 403
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from urllib.parse import parse_qs

from littoral.net.listen import HttpListener, listen_http
from littoral.net.message import Headers, Request, Response
from littoral.site.certificates import Certificates


class Keyring:
    """``alias`` says whether a name is a distribution's own name for itself: one that a public CA may certify."""

    def __init__(
        self, certificates: Certificates, serves: Callable[[str], bool], alias: Callable[[str], bool], *, acme: bool
    ) -> None:
        self._certificates = certificates
        self._serves = serves
        self._alias = alias
        self._acme = acme
        self._path = "/" + secrets.token_urlsafe(32)
        self._listener: HttpListener | None = None

    async def open(self) -> str:
        """Listen; the URL."""
        self._listener = await listen_http(self.handle)
        return f"http://127.0.0.1:{self._listener.port}{self._path}"

    async def close(self) -> None:
        if self._listener is not None:
            await self._listener.close(0.0)

    def handle(self, request: Request) -> Response:
        path = request.raw_path
        query = parse_qs(request.query_string)
        if secrets.compare_digest(path, self._path):
            return self._pair(query.get("server_name", [""])[0].lower())
        if secrets.compare_digest(path, self._path + "/may"):
            return Response(200 if self._by_acme(query.get("domain", [""])[0].lower()) else 403)
        return Response(404)

    def _by_acme(self, name: str) -> bool:
        return self._acme and self._alias(name) and self._certificates.brought(name) is None

    def _pair(self, name: str) -> Response:
        if self._by_acme(name):
            return Response(204)
        pair = self._certificates.of(name) if self._serves(name) else self._certificates.own()
        return Response(200, Headers.of([("content-type", "application/x-pem-file")]), b"\n".join(pair))
