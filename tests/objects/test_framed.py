"""A large body in frames becomes a blob as it came: over real sockets, from our client to our listener and a store."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from littoral.net import lending, wide
from littoral.net.bulk import Bulk
from littoral.net.failures import Disconnected
from littoral.net.message import Headers, Request, Response
from littoral.net.pki import Authority
from littoral.net.tls import client_context, server_context
from littoral.net.wide import PROTOCOLS, WideSocket
from littoral.objects import pouring
from littoral.objects.checksums import ALGORITHMS, Digests
from littoral.objects.pouring import pour
from littoral.protocols.frames import SEALED, sealed_size
from littoral.protocols.http1 import request_head
from littoral.store.embedded import sealedfile
from littoral.store.embedded.blobs import EmbeddedBlobs
from littoral.store.embedded.sealing import HEAD
from littoral.store.embedded.store import EmbeddedStore
from littoral.store.frames import Sealer
from littoral.store.key import StoreKey
from tests.net.relaying import parted, tapped
from tests.net.test_wide import connected
from tests.net.wire import serving

MIB = 1024 * 1024
DATA = memoryview(os.urandom(5 * MIB + 17))


class Place:
    """Stores each body under its path."""

    def __init__(self, folder: Path, blobs: EmbeddedBlobs) -> None:
        self.folder, self.blobs = folder, blobs
        self.problems: list[BaseException] = []
        self.begun = asyncio.Event()

    async def handle(self, request: Request) -> Response:
        key, digests = request.target[1:], Digests(ALGORITHMS["CRC64NVME"], by_checksum=True)
        writer = await self.blobs.create(key)
        self.begun.set()
        try:
            await pour(request.body, digests, writer, None)
            await writer.commit()
        except BaseException as problem:
            self.problems.append(problem)
            await writer.abort()
            raise
        return Response(200, Headers(), (digests.checksum or "").encode())

    def files(self) -> list[Path]:
        return sorted(self.folder.glob("blobs/b/*"))


@pytest.fixture(params=["sealed", "open"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    store = await EmbeddedStore.open(tmp_path, key=StoreKey(bytes(32)) if request.param == "sealed" else None)
    blobs = store.blobs("b")
    assert isinstance(blobs, EmbeddedBlobs)
    yield Place(tmp_path, blobs)
    await store.close()


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    monkeypatch.setattr(wide, "QUICK", 1000)
    authority = Authority.create("Test")
    server = server_context(authority.issue_server(["localhost"]).pair, alpn=PROTOCOLS)
    return server, client_context(ca=authority.certificate_pem, alpn=PROTOCOLS)


@pytest.fixture
def sealings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Frames of content that the place seals for its disk."""
    seen: list[int] = []
    sealed = Sealer.seal_into

    def counted(self: Sealer, frame: memoryview, room: memoryview) -> None:
        seen.append(len(frame))
        sealed(self, frame, room)

    monkeypatch.setattr(Sealer, "seal_into", counted)
    return seen


async def put(bulk: Bulk, port: int, key: str, context: ssl.SSLContext) -> bytes:
    answer = await bulk.request("PUT", f"https://localhost:{port}/{key}", Headers(), DATA, tls=context)
    assert answer.status == 200
    return answer.body


async def test_what_lies_on_the_disk_is_what_was_on_the_wire(
    place: Place, contexts: tuple[ssl.SSLContext, ssl.SSLContext], sealings: list[int]
) -> None:
    bulk = Bulk(lambda: contexts[1])
    async with serving(place.handle, tls=contexts[0]) as listener, tapped(listener.port) as tap:
        first = await put(bulk, tap.port, "first", contexts[1])
        sealings.clear()
        assert await put(bulk, tap.port, "second", contexts[1]) == first
        assert await put(bulk, tap.port, "third", contexts[1]) == first
        _, records = parted(bytes(tap.out[0]), sealed_size(len(DATA)))
    bulk.close()
    assert not sealings
    for key in ("first", "second", "third"):
        assert await place.blobs.get(key) == DATA
        assert await place.blobs.get(key, offset=3 * MIB - 7, length=100) == DATA[3 * MIB - 7 :][:100]
    bodies = [each for each in records if len(each) == sealed_size(len(DATA))]
    assert len(bodies) == 2
    if place.blobs.seal is not None:
        lying = [file.read_bytes()[HEAD:] for file in place.files()]
        assert [lying.count(body) for body in bodies] == [1, 1]


@pytest.mark.parametrize("at", [5, SEALED + 5, 16 * SEALED - 40, -1])
async def test_a_frame_that_somebody_between_changes_is_refused_and_nothing_of_it_stays(
    place: Place, contexts: tuple[ssl.SSLContext, ssl.SSLContext], at: int
) -> None:
    def flips(records: list[bytes]) -> list[bytes]:
        for number, body in enumerate(records):
            if number > 1 and records[number - 2][0] == 3:
                place_of = at % sealed_size(len(DATA))
                if len(body) > place_of:
                    changed = bytes([body[place_of] ^ 1])
                    records[number] = body[:place_of] + changed + body[place_of + 1 :]
        return records

    bulk = Bulk(lambda: contexts[1])
    async with (
        serving(place.handle, tls=contexts[0]) as listener,
        tapped(listener.port, flips, framed=sealed_size(len(DATA))) as tap,
    ):
        first = await put(bulk, tap.port, "first", contexts[1])
        held = place.files()
        spoiled = asyncio.create_task(put(bulk, tap.port, "second", contexts[1]))
        assert await spoiled == first  # by another connection, which nobody spoils
        assert len(tap.out) == 2
        assert await place.blobs.get("second") == DATA
        async with asyncio.timeout(20):
            while len(place.files()) > len(held) + 1 or not place.problems:
                await asyncio.sleep(0.01)
    bulk.close()
    assert lending.free() == lending.MOST


CUTS = [1, SEALED - 1, SEALED, MIB - HEAD, MIB + 100, 2 * SEALED + 7, 40 * SEALED, sealed_size(len(DATA)) - 1]


@pytest.mark.parametrize("cut", CUTS)
async def test_a_client_that_stops_for_a_while_anywhere_is_waited_for_on_the_loop(
    place: Place, contexts: tuple[ssl.SSLContext, ssl.SSLContext], cut: int, sealings: list[int]
) -> None:
    async with serving(place.handle, tls=contexts[0]) as listener:
        line = await asyncio.to_thread(connected, listener.port, contexts[1])
        try:
            records, frames = await asyncio.to_thread(made, line)
            await asyncio.to_thread(sent, line, records + frames[:cut])
            async with asyncio.timeout(20):
                await place.begun.wait()
                await asyncio.sleep(0.02)  # it is lent by then, or never is
                while lending.free() < lending.MOST:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(sent, line, frames[cut:])
            assert (await asyncio.to_thread(answered, line)).startswith(b"HTTP/1.1 200")
            line.sendall(b"PUT /next HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab")
            assert (await asyncio.to_thread(answered, line)).startswith(b"HTTP/1.1 200")
        finally:
            line.close()
    assert await place.blobs.get("slow") == DATA
    assert await place.blobs.get("next") == b"ab"


def answered(line: WideSocket) -> bytes:
    """Up to the "=" at which its body ends."""
    found = b""
    while not found.endswith(b"="):
        found += line.recv(10_000)
    return found


def made(line: WideSocket) -> tuple[bytes, bytes]:
    """A request with a body in frames, not sent."""
    head = request_head("PUT", "/slow", [(b"host", b"localhost")], len(DATA))
    records, body = line._sealer.body(head, len(DATA))
    room = memoryview(bytearray(sealed_size(len(DATA))))
    assert body.seal_into(DATA, room) == len(room)
    return records, bytes(room)


def sent(line: WideSocket, data: bytes) -> None:
    line._unsent = memoryview(data)
    line._flush()


async def test_a_disk_that_fails_in_the_midst_is_told_of_and_leaves_nothing(
    place: Place, contexts: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk = Bulk(lambda: contexts[1])
    async with serving(place.handle, tls=contexts[0]) as listener:
        await put(bulk, listener.port, "first", contexts[1])
        held = place.files()

        def fails(self: object, data: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(sealedfile.NewFile, "write", fails)
        url = f"https://localhost:{listener.port}/second"
        try:
            answer = await bulk.request("PUT", url, Headers(), DATA, tls=contexts[1])
        except Disconnected:
            answer = None
        assert answer is None or answer.status == 500
        async with asyncio.timeout(20):
            while place.files() != held or lending.free() < lending.MOST:
                await asyncio.sleep(0.01)
        monkeypatch.undo()
        assert await put(bulk, listener.port, "third", contexts[1])
    bulk.close()
    assert place.problems


async def test_what_is_to_be_sealed_otherwise_or_hashed_beside_comes_opened(
    place: Place, contexts: tuple[ssl.SSLContext, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[object] = []
    monkeypatch.setattr(pouring.Pouring, "receive_frames", lambda *given: taken.append(given))
    digests = Digests(ALGORITHMS["CRC64NVME"])

    async def handle(request: Request) -> Response:
        writer = await place.blobs.create("x")
        await pour(request.body, digests, writer, None)
        await writer.commit()
        return Response(200, Headers(), digests.md5.hex().encode())

    bulk = Bulk(lambda: contexts[1])
    async with serving(handle, tls=contexts[0]) as listener:
        for _ in range(2):
            digests = Digests(ALGORITHMS["CRC64NVME"])
            await put(bulk, listener.port, "x", contexts[1])
            assert await place.blobs.get("x") == DATA
    bulk.close()
    assert not taken
