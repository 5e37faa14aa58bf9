"""Frames that HTTP/2 servers have died of, against the front: it keeps its memory, and others are served."""

from __future__ import annotations

import asyncio
import ssl
import struct
from pathlib import Path

import pytest
from hpack import Encoder

from tests.edge.place import HOST
from tests.site.fronted import Fronted, fronted, http2

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADERS, RESET, SETTINGS, CONTINUATION = 1, 3, 4, 9
END_STREAM, END_HEADERS = 1, 4
MOST = 64 * 1024  # KiB that the front may grow by in an attack: Go's collector lets garbage double


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def head(encoder: Encoder, *more: tuple[str, str]) -> bytes:
    block = [(":method", "GET"), (":scheme", "https"), (":authority", HOST), (":path", "/page"), *more]
    encoded: bytes = encoder.encode(block)
    return encoded


def rapid_reset() -> bytes:
    """CVE-2023-44487: streams opened and reset at once, for ever."""
    encoder = Encoder()
    streams = range(1, 20_001, 2)
    return b"".join(
        frame(HEADERS, END_STREAM | END_HEADERS, stream, head(encoder)) + frame(RESET, 0, stream, struct.pack(">I", 8))
        for stream in streams
    )


def continuation_flood() -> bytes:
    """CVE-2024-27316 and others: a head that never ends."""
    first = frame(HEADERS, END_STREAM, 1, head(Encoder()))
    piece = b"\x00\x01x\x7f\x81\x1f" + b"y" * 158
    return first + frame(CONTINUATION, 0, 1, piece * 90) * 600


def crumbs() -> bytes:
    """CVE-2026-47774: a few bytes on the wire, an indexed field each, thousands of cookies in memory."""
    encoder = Encoder()
    again = bytes([0x80 | 62]) * 16_000  # the newest entry of the dynamic table: the cookie of the first head
    blocks = [head(encoder, ("cookie", "a=b")), *(head(encoder) + again for _ in range(100))]
    return b"".join(
        frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, block) for number, block in enumerate(blocks)
    )


def resident(pid: int) -> int:
    """KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


async def attack(place: Fronted, data: bytes) -> None:
    """Send it all, or as much as is taken."""
    context = ssl.create_default_context(cafile=str(place.ca))
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("127.0.0.1", place.port, ssl=context, server_hostname=HOST)
    try:
        writer.write(PREFACE + frame(SETTINGS, 0, 0))
        for place_ in range(0, len(data), 65_536):
            writer.write(data[place_ : place_ + 65_536])
            async with asyncio.timeout(2.0):
                await writer.drain()
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("frames", [rapid_reset, continuation_flood, crumbs])
async def test_a_flood_of_frames_costs_bounded_memory_and_others_are_served(frames: object, tmp_path: Path) -> None:
    async with fronted(tmp_path / "place") as place, http2(place) as good:
        assert (await good.ask("/page")).status == 200
        assert place.front.pid is not None
        before = resident(place.front.pid)
        data = frames()  # type: ignore[operator]
        flood = asyncio.gather(*(attack(place, data) for _ in range(3)))
        async with asyncio.timeout(60):
            while not flood.done():
                assert (await good.ask("/page")).status == 200
        await flood
        assert (await good.ask("/page")).status == 200
        grown = resident(place.front.pid) - before
        assert grown < MOST, grown


async def test_more_header_lines_than_one_may_send_do_not_reach_the_origin(tmp_path: Path) -> None:
    async with fronted(tmp_path / "place") as place, http2(place) as client:
        many = {f"x-{number}": "y" for number in range(150)}
        assert (await client.ask("/many", **many)).status == 431
        assert "/many" not in place.edge.origin.targets
