"""Bodies that go out as they lie on the disk: beneath wide records, and only there."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from littoral.net import outward
from littoral.net.bulk import Answer, Bulk
from littoral.net.failures import RequestFailed
from littoral.net.listen import Limits
from littoral.net.message import Headers, Request, Response
from littoral.net.pki import Authority
from littoral.net.tls import client_context
from littoral.net.unopened import ASKED, HEADER, Unopened
from tests.net.relaying import tapped
from tests.net.test_outward import Drawing, content, none_lent, until, wide
from tests.net.test_wide import connected
from tests.net.wire import receive_into, serving

MIB = 1024 * 1024
SIZE = 24 * MIB + 17
DATA = content(SIZE)
SEALED = bytes(byte ^ 0x55 for byte in DATA[:MIB]) * 24 + b"the last of it..."


class Chest(Drawing):
    """Content whose sealed form lies in a file; what opens it is "the key"."""

    def __init__(self, file: Path, length: int = SIZE) -> None:
        super().__init__(DATA)
        self._open = file.open("rb")
        self._length = length

    async def unopened(self) -> Sequence[Unopened]:
        return [Unopened(self._open.fileno(), 3, self._length, "the key")]

    async def aclose(self) -> None:
        self.closed = True
        self._open.close()


class Cut(Chest):
    """Whose sealed form lies in three pieces."""

    async def unopened(self) -> Sequence[Unopened]:
        cuts = ((0, 5 * MIB), (5 * MIB, 7), (5 * MIB + 7, SIZE - 5 * MIB - 7))
        return [Unopened(self._open.fileno(), 3 + at, size, f"key {at}") for at, size in cuts]


class Opening:
    """Gives what came, as it came."""

    most = 100_000

    def __init__(self, told: str, came: int) -> None:
        assert told == "the key"
        self.size = self._left = came

    @property
    def next(self) -> int:
        return min(self.most, self._left)

    def open_into(self, sealed: memoryview, room: memoryview) -> int:
        room[: len(sealed)] = sealed
        self._left -= len(sealed)
        return len(sealed)


class OfPieces(Opening):
    def __init__(self, told: str, came: int) -> None:
        assert told == f"key 0,key {5 * MIB},key {5 * MIB + 7}"
        super().__init__("the key", came)


class Shelf:
    def __init__(self, made: Callable[[], Drawing]) -> None:
        self._made = made
        self.bodies: list[Drawing] = []

    def __call__(self, request: Request) -> Response:
        if request.target == "/after":
            return Response(200, body=b"here")
        self.bodies.append(self._made())
        return Response(200, Headers.of([("Content-Length", str(SIZE))]), self.bodies[-1])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "sealed"
    made.write_bytes(b"abc" + SEALED + b"behind")
    return made


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Test")


@pytest.fixture
async def bulk() -> AsyncIterator[Bulk]:
    made = Bulk(client_context)
    yield made
    made.close()


async def asked(
    bulk: Bulk, port: int, trusting: ssl.SSLContext | None, path: str = "/", *, opens: bool = True
) -> tuple[Answer, bytes]:
    room = memoryview(bytearray(SIZE))
    url = f"{'https' if trusting else 'http'}://localhost:{port}{path}"
    answer, size = await receive_into(bulk, url, Headers(), room, tls=trusting, opens=Opening if opens else None)
    return answer, bytes(room[:size])


async def test_it_goes_beneath_the_records_of_one_connection(file: Path, authority: Authority, bulk: Bulk) -> None:
    served, trusting = wide(authority)
    shelf = Shelf(lambda: Chest(file))
    async with serving(shelf, tls=served) as listener, tapped(listener.port) as tap:
        for _ in range(2):
            assert (await asked(bulk, tap.port, trusting))[1] == SEALED
            assert (await asked(bulk, tap.port, trusting, "/after"))[1] == b"here"
        answer, plain = await asked(bulk, tap.port, trusting, opens=False)
        assert plain == DATA and HEADER not in answer.headers
        await until(none_lent)
    assert len(tap.back) == 1
    assert SEALED in bytes(tap.back[0]) and b"the key" not in bytes(tap.back[0])
    assert [body.at for body in shelf.bodies] == [0, 0, SIZE]
    assert all(body.closed for body in shelf.bodies)


async def test_nobody_gets_it_so_without_wide_records(file: Path, authority: Authority, bulk: Bulk) -> None:
    served, _ = wide(authority)
    shelf = Shelf(lambda: Chest(file))
    async with serving(shelf, tls=served) as secure, serving(shelf) as plain:
        for port, trusting in ((secure.port, client_context(ca=authority.certificate_pem)), (plain.port, None)):
            answer, found = await asked(bulk, port, trusting)
            assert found == DATA and HEADER not in answer.headers
        room = memoryview(bytearray(SIZE))
        told = Headers.of([(HEADER, ASKED)])
        answer, _ = await receive_into(bulk, f"http://localhost:{plain.port}/", told, room)
        assert room == DATA and HEADER not in answer.headers


async def test_several_pieces_go_one_after_another(file: Path, authority: Authority, bulk: Bulk) -> None:
    served, trusting = wide(authority)
    shelf = Shelf(lambda: Cut(file))
    async with serving(shelf, tls=served) as listener:
        room = memoryview(bytearray(SIZE))
        url = f"https://localhost:{listener.port}/"
        await receive_into(bulk, url, Headers(), room, tls=trusting, opens=OfPieces)
        assert room == SEALED
        assert (await asked(bulk, listener.port, trusting, "/after"))[1] == b"here"
    assert [body.at for body in shelf.bodies] == [0]


async def test_what_does_not_lie_so_comes_as_ever(authority: Authority, bulk: Bulk) -> None:
    served, trusting = wide(authority)
    async with serving(Shelf(lambda: Drawing(DATA)), tls=served) as listener:
        assert (await asked(bulk, listener.port, trusting))[1] == DATA


async def test_there_may_be_more_readers_than_threads(file: Path, authority: Authority, bulk: Bulk) -> None:
    served, trusting = wide(authority)
    count = outward.MOST + 4
    async with serving(Shelf(lambda: Chest(file)), tls=served) as listener:
        found = await asyncio.gather(*(asked(bulk, listener.port, trusting) for _ in range(count)))
    assert [each[1] for each in found] == [SEALED] * count


async def test_who_does_not_read_holds_no_thread_and_gets_all_when_he_does(file: Path, authority: Authority) -> None:
    served, trusting = wide(authority)
    shelf = Shelf(lambda: Chest(file))
    async with serving(shelf, tls=served) as listener:
        line = await asyncio.to_thread(connected, listener.port, trusting)
        line.sendall(f"GET / HTTP/1.1\r\nHost: a\r\n{HEADER}: {ASKED}\r\n\r\n".encode())
        await until(lambda: bool(shelf.bodies))
        await until(lambda: not none_lent())
        await until(none_lent)
        assert not shelf.bodies[0].closed

        def rest() -> bytes:
            head, found = line.recv_record(), bytearray(SIZE)
            assert b"the key" in head and head.endswith(b"\r\n\r\n")
            at = 0
            while at < SIZE:
                size = line.recv_beneath(memoryview(found)[at : at + 300_000])
                assert size
                at += size
            return bytes(found)

        assert await asyncio.to_thread(rest) == SEALED
        line.sendall(b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await asyncio.to_thread(line.recv, 1000)).endswith(b"here")
        line.close()


async def test_who_never_reads_is_given_up(file: Path, authority: Authority) -> None:
    served, trusting = wide(authority)
    shelf = Shelf(lambda: Chest(file))
    async with serving(shelf, Limits(send_timeout=0.3), tls=served) as listener:
        line = await asyncio.to_thread(connected, listener.port, trusting)
        line.sendall(f"GET / HTTP/1.1\r\nHost: a\r\n{HEADER}: {ASKED}\r\n\r\n".encode())
        await until(lambda: bool(shelf.bodies) and shelf.bodies[0].closed and none_lent())
        line.close()


async def test_a_file_that_is_too_short_and_a_client_that_cannot_open_it_end_the_connection(
    file: Path, authority: Authority, bulk: Bulk
) -> None:
    served, trusting = wide(authority)
    shelf = Shelf(lambda: Chest(file))
    os.truncate(file, 9 * MIB)
    async with serving(shelf, tls=served) as listener:
        with pytest.raises(RequestFailed, match="in the middle"):
            await asked(bulk, listener.port, trusting)
        await until(lambda: shelf.bodies[0].closed and none_lent())
        room = memoryview(bytearray(MIB))
        with pytest.raises(RequestFailed, match="more comes"):
            await receive_into(
                bulk, f"https://localhost:{listener.port}/", Headers(), room, tls=trusting, opens=Opening
            )
        await until(lambda: shelf.bodies[1].closed and none_lent())
