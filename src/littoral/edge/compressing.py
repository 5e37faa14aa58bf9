"""Compression at the edge, once, as an object is stored: Brotli before gzip, as the cache policy and the viewer allow.

CloudFront, "Serve compressed files": what is compressed, and that a strong ETag becomes weak. What the origin has
encoded itself (``zstd`` too) passes as it is. A place that is told to offers Zstandard before the two, which CloudFront
does not: to viewers that accept it, at behaviours whose policy lets one of the others be.
"""

from __future__ import annotations

import asyncio
import importlib
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import brotli

from littoral.edge.plan.behaviour import Behaviour
from littoral.edge.plan.selection import accepted_encoding
from littoral.net.message import Headers, RawHeaders

LEAST, MOST = 1_000, 10_000_000  # bytes of a body that is compressed
STATUSES = frozenset((200, 403, 404))
QUALITY = {"br": 5, "gzip": 6, "zstd": 6}
AT_ONCE = 16 * 1024  # bytes that are compressed without a thread: less than the way to one and back
TYPES = frozenset(
    "application/dash+xml application/eot application/font application/font-sfnt application/javascript "
    "application/json application/opentype application/otf application/pdf application/pkcs7-mime application/protobuf "
    "application/rss+xml application/truetype application/ttf application/vnd.apple.mpegurl "
    "application/vnd.mapbox-vector-tile application/vnd.ms-fontobject application/wasm application/xhtml+xml "
    "application/xml application/x-font-opentype application/x-font-truetype application/x-font-ttf "
    "application/x-httpd-cgi application/x-javascript application/x-mpegurl application/x-opentype application/x-otf "
    "application/x-perl application/x-ttf font/eot font/opentype font/otf font/ttf image/svg+xml text/css text/csv "
    "text/html text/javascript text/js text/plain text/richtext text/tab-separated-values text/xml text/x-component "
    "text/x-java-source text/x-script vnd.apple.mpegurl".split()
)


def encoding_for(
    behaviour: Behaviour, viewer: Headers, http_version: str, status: int, known: Mapping[str, list[str]], ttl: float
) -> str | None:
    """``zstd``, ``br``, ``gzip``, or None where the response stays as it is. ``known`` are its headers by name."""
    if not behaviour.compress or http_version == "1.0" or status not in STATUSES or ttl <= 0:
        return None
    if known.get("content-encoding") or "no-transform" in ",".join(known.get("cache-control", [])):
        return None
    length = known.get("content-length", [""])[0]
    if not length.isdigit() or not LEAST <= int(length) <= MOST:
        return None
    if known.get("content-type", [""])[0].partition(";")[0].strip().lower() not in TYPES:
        return None
    return accepted_encoding(viewer, behaviour.key).partition(",")[0] or None


def weakened(raw: RawHeaders) -> RawHeaders:
    """The bytes are not the origin's any more: a strong ETag would say that they are (RFC 9110 s. 8.8.1)."""
    return [
        (name, b"W/" + value) if name == b"etag" and not value.startswith(b"W/") else (name, value)
        for name, value in raw
    ]


def encoded(raw: RawHeaders, encoding: str) -> RawHeaders:
    """The headers of the compressed response."""
    made = [pair for pair in weakened(raw) if pair[0] not in {b"content-length", b"accept-ranges", b"content-md5"}]
    varies = ",".join(value.decode("latin-1").lower() for name, value in raw if name == b"vary")
    if "accept-encoding" not in varies:
        made.append((b"vary", b"Accept-Encoding"))
    return [*made, (b"content-encoding", encoding.encode())]


class _Encoder(Protocol):
    def feed(self, data: bytes, /) -> bytes: ...

    def end(self) -> bytes: ...


class _Brotli:
    def __init__(self) -> None:
        self._made = brotli.Compressor(quality=QUALITY["br"])

    def feed(self, data: bytes) -> bytes:
        made: bytes = self._made.process(data)
        return made

    def end(self) -> bytes:
        made: bytes = self._made.finish()
        return made


class _Gzip:
    def __init__(self) -> None:
        self._made = zlib.compressobj(QUALITY["gzip"], zlib.DEFLATED, 31)
        self.feed = self._made.compress

    def end(self) -> bytes:
        return self._made.flush()


class _Zstd:
    def __init__(self) -> None:
        self._made = zstd().ZstdCompressor(level=QUALITY["zstd"])
        self.feed = self._made.compress

    def end(self) -> bytes:
        made: bytes = self._made.flush()
        return made


def zstd() -> Any:
    """The standard library's module (Python 3.14), or its backport. Raises ImportError where there is neither."""
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return importlib.import_module("backports.zstd")


ENCODERS: dict[str, Callable[[], _Encoder]] = {"br": _Brotli, "gzip": _Gzip, "zstd": _Zstd}


class Compression:
    """One body on its way. Large pieces are compressed in a thread; both libraries let go of the interpreter."""

    def __init__(self, encoding: str) -> None:
        self._encoder = ENCODERS[encoding]()

    async def feed(self, data: bytes) -> bytes:
        if len(data) <= AT_ONCE:
            return self._encoder.feed(data)
        return await asyncio.to_thread(self._encoder.feed, data)

    async def end(self) -> bytes:
        return await asyncio.to_thread(self._encoder.end)
