"""Before the front, with the real one behind: who comes through, whole and as himself, and who does not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import pytest_asyncio

from littoral.edge.guard import Guard
from littoral.protocols.shield import ClientLimits, Shield
from littoral.protocols.shield.turnstile import ENTRY, FREE
from littoral.site.front.crossing import Crossing
from littoral.site.front.viewer import proxied
from littoral.site.settings import Settings
from tests.edge.place import DISABLED, HOST

from .fronted import Fronted, fronted, http2


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Fronted]:
    async with fronted(tmp_path) as made:
        yield made


def hello() -> bytes:
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def descriptors(place: Fronted) -> int:
    """Of the front."""
    return len(list(Path(f"/proc/{place.front.pid}/fd").iterdir()))


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        await asyncio.sleep(0.01)


async def dial(place: Fronted, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", place.port, local_addr=(source, 0))


async def ask(place: Fronted, source: str, path: str = "/", method: str = "GET", body: bytes = b"") -> bytes:
    """On a connection of its own, HTTP/1.1; the whole answer."""
    context = ssl.create_default_context(cafile=str(place.ca))
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", place.port, ssl=context, server_hostname=HOST, local_addr=(source, 0)
    )
    head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    try:
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


async def test_the_viewer_s_own_address_reaches_the_origin(place: Fronted) -> None:
    await place.serve(place.edge.config(behaviour={"CachePolicyId": DISABLED, "OriginRequestPolicyId": ALL}))
    for source in ("127.4.5.6", "127.0.0.1"):
        assert (await ask(place, source)).startswith(b"HTTP/1.1 200")
        assert place.edge.origin.asked[-1].headers.get("x-forwarded-for") == source


EVERY = ["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "DELETE"]
ALL = "216adef6-5c7f-47e4-b989-5492eafa07d3"  # Managed-AllViewer


async def test_a_hello_is_nothing_to_the_front_before_it_is_whole(place: Fronted) -> None:
    crossing = place.front.crossing
    before = descriptors(place)
    held = [await dial(place) for _ in range(50)]
    said = hello()
    for _, writer in held:
        writer.write(said[:-1])
    await until(lambda: len(crossing) == 50)
    assert (await ask(place, "127.4.5.6")).startswith(b"HTTP/1.1 200")
    assert descriptors(place) < before + 20
    for _, writer in held:
        writer.write(said[-1:])
    for reader, writer in held:
        assert (await asyncio.wait_for(reader.readexactly(1), 20)) == b"\x16"
        writer.close()
    await until(lambda: len(crossing) == 0)


async def test_a_hello_that_trickles_is_refused_by_name(tmp_path: Path) -> None:
    async with fronted(tmp_path, edge_head_timeout=0.2) as place:
        reader, writer = await dial(place)
        writer.write(hello()[:20])
        assert await asyncio.wait_for(drained(reader), 20) == b""
        assert place.front.crossing.crowd.refusals["slow-hello"] == 1
        writer.close()


async def test_a_hello_of_more_than_anybody_has_is_refused(place: Fronted) -> None:
    reader, writer = await dial(place)
    part = b"\x01\x00\x7f\xf0" + bytes(16_000)
    for _ in range(3):
        writer.write(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part)
    assert await asyncio.wait_for(drained(reader), 20) == b""
    assert place.front.crossing.crowd.refusals["large-hello"] == 1
    writer.close()


async def drained(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_what_is_no_tls_is_the_front_s_to_refuse(place: Fronted) -> None:
    reader, writer = await dial(place)
    writer.write(f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    assert b"HTTP/1.0 400" in await asyncio.wait_for(reader.read(), 20)
    writer.close()


async def test_uploads_from_several_addresses_come_through_in_turns(place: Fronted) -> None:
    """None is alone, so each byte of a body waits for its turn."""
    await place.serve(place.edge.config(behaviour={"CachePolicyId": DISABLED, "methods": EVERY}))
    body = os.urandom(1_500_000)
    answers = await asyncio.gather(*(ask(place, f"127.4.5.{number}", "/up", "PUT", body) for number in range(1, 4)))
    assert all(each.endswith(b"hello") for each in answers)
    assert [each.body == body for each in place.edge.origin.asked] == [True] * 3


async def test_an_answer_to_an_upload_that_goes_on_reaches_its_viewer_whole(tmp_path: Path) -> None:
    """The front answers early and lets go, while what the viewer sends lies unread on every socket of the way."""
    answer = os.urandom(4_000_000)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1000)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(answer)
        await writer.drain()
        writer.close()

    def upload(port: int) -> bytes:
        with socket.create_connection(("127.0.0.1", port)) as viewer, ThreadPoolExecutor() as other:
            sending = other.submit(viewer.sendall, bytes(20_000_000))
            got = bytearray()
            while part := viewer.recv(1_000_000):
                got += part
            sending.result()  # no reset met it
        return bytes(got)

    inside, listening = tmp_path / "inside", socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    guard, limits = Guard(Shield(ClientLimits()), "POP1"), Settings().listener_limits()
    async with await asyncio.start_unix_server(refuse, inside):
        crossing = Crossing(listening, inside, tmp_path / "probe", guard, limits, lambda: None)
        try:
            assert await asyncio.to_thread(upload, listening.getsockname()[1]) == answer
        finally:
            crossing.refuse()
            await crossing.close(0.0)


async def test_who_owes_too_much_is_refused_by_name_and_others_are_not(place: Fronted) -> None:
    stile, loop = place.front.crossing.turnstile, asyncio.get_running_loop()
    assert (await ask(place, "127.4.5.6")).startswith(b"HTTP/1.1 200")
    assert not stile.passes("127.6.6.6", FREE + 1, loop.time())
    stile.next(["127.6.6.6"], loop.time() + 60)
    stile.begin("127.6.6.6", loop.time())
    stile.takes("127.6.6.6", ENTRY)
    stile.passes("127.4.5.6", 1, loop.time())
    assert stile.forfeits("127.6.6.6", 1.0, 1.0, loop.time())
    with contextlib.suppress(ConnectionError):  # now, or as it is read
        reader, writer = await dial(place, "127.6.6.6")
        assert await asyncio.wait_for(drained(reader), 20) == b""
        writer.close()
    assert place.front.crossing._guard.shield.refused["client-cost"] >= 1
    assert (await ask(place, "127.4.5.6")).startswith(b"HTTP/1.1 200")


async def test_connections_end_with_the_front_and_new_ones_wait_for_it(place: Fronted) -> None:
    async with http2(place) as viewer:
        assert (await viewer.ask("/")).status == 200
        assert place.front.pid is not None
        os.kill(place.front.pid, 9)
        with pytest.raises(ConnectionError):
            while True:
                await asyncio.wait_for(viewer.ask("/"), 20)
    assert (await ask(place, "127.4.5.6")).startswith(b"HTTP/1.1 200")


def test_the_proxy_protocol() -> None:
    assert proxied(("1.2.3.4", 5), ("6.7.8.9", 443)) == b"PROXY TCP4 1.2.3.4 6.7.8.9 5 443\r\n"
    six = proxied(("fe80::1%eth0", 5, 0, 2), ("fe80::2%eth0", 443, 0, 2))
    assert six == b"PROXY TCP6 fe80::1 fe80::2 5 443\r\n"
