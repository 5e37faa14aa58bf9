"""The address that GetFunction gives for the code of a function or layer: unguessable, good for ten minutes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qs

from littoral.functions.code import CodeStore
from littoral.net.message import Headers, Request, Response

PREFIX = "/_littoral/functions/code/"
VALID = 600  # seconds


class HasCode(Protocol):
    """A version of a function or of a layer."""

    @property
    def code_key(self) -> str: ...


class CodeUrls:
    def __init__(self, secret: bytes, code: CodeStore, clock: Callable[[], float]) -> None:
        self._secret = secret
        self._code = code
        self._clock = clock

    def sign(self, version: HasCode, now: float) -> str:
        """Path and query."""
        expires = int(now) + VALID
        return f"{PREFIX}{version.code_key}?Expires={expires}&Signature={self._token(version.code_key, expires)}"

    async def handle(self, request: Request) -> Response:
        """The zip; 403 for a wrong, changed or old address, as S3 answers."""
        if request.method not in ("GET", "HEAD"):
            return _text(405, "Only GET and HEAD are allowed here")
        key = request.raw_path.removeprefix(PREFIX)
        refusal = self._refusal(key, parse_qs(request.query_string))
        if refusal:
            return _text(403, f"AccessDenied: {refusal}")
        archive = await self._code.archive(key)
        if archive is None:
            return _text(404, "NoSuchKey: this code is gone")
        headers = Headers.of([("content-type", "application/zip"), ("content-length", str(len(archive)))])
        return Response(200, headers, archive if request.method == "GET" else b"")

    def _refusal(self, key: str, query: dict[str, list[str]]) -> str:
        """Why the address is not good; empty when it is."""
        expires, given = query.get("Expires", [""])[0], query.get("Signature", [""])[0]
        if not (expires.isascii() and expires.isdigit() and len(expires) < 15):
            return "no valid signature"
        if not hmac.compare_digest(given.encode(), self._token(key, int(expires)).encode()):
            return "no valid signature"
        return "Request has expired" if self._clock() > int(expires) else ""

    def _token(self, key: str, expires: int) -> str:
        return hmac.new(self._secret, f"{key}\n{expires}".encode(), hashlib.sha256).hexdigest()


def _text(status: int, message: str) -> Response:
    return Response(status, Headers.of([("content-type", "text/plain; charset=utf-8")]), (message + "\n").encode())
