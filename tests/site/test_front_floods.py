"""Frames that HTTP/2 servers have died of, against the front: it keeps its memory, and others are served."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.http2_floods import OPENING, continuation_flood, crumbs, rapid_reset

from tests.edge.place import HOST
from tests.site.fronted import Fronted, fronted, http2

MOST = 64 * 1024  # KiB that the front may grow by in an attack: Go's collector lets garbage double


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
        writer.write(OPENING)
        for place_ in range(0, len(data), 65_536):
            writer.write(data[place_ : place_ + 65_536])
            async with asyncio.timeout(2.0):
                await writer.drain()
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("frames", [rapid_reset, continuation_flood, crumbs])
async def test_a_flood_of_frames_costs_bounded_memory_and_others_are_served(
    frames: Callable[[str], bytes], tmp_path: Path
) -> None:
    async with fronted(tmp_path / "place") as place, http2(place) as good:
        assert (await good.ask("/page")).status == 200
        assert place.front.pid is not None
        before = resident(place.front.pid)
        data = frames(HOST)
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
