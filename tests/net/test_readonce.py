"""Files for whoever says that they are read once: a thread reads, looks and sends, and nobody else notices."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from littoral.net import outward, readonce
from littoral.net.bulk import Bulk
from littoral.net.failures import RequestFailed
from littoral.net.listen import Limits
from littoral.net.message import FileSlice, Headers, Proof, Request, Response
from littoral.net.pki import Authority
from littoral.net.readonce import HEADER, _room
from littoral.net.tls import client_context, server_context
from littoral.net.wide import WideSocket
from tests.net.test_outward import body_of, content, none_lent, until, wide
from tests.net.test_wide import connected
from tests.net.wire import Contexts, receive_into, serving

MIB = 1024 * 1024
BLOCK = 256 * 1024
SIZE = 24 * MIB + 17
DATA = content(SIZE)


class Shelf:
    """``/OFFSET/LENGTH`` of a file whose blocks are looked at."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.lookers: set[str] = set()

    def __call__(self, request: Request) -> Response:
        offset, length = map(int, request.target.strip("/").split("/"))
        return Response(206, body=FileSlice(self._file, offset, length, Proof(BLOCK, self._sound)))

    def _sound(self, number: int, block: memoryview) -> bool:
        self.lookers.add(threading.current_thread().name.partition("_")[0])
        return block == DATA[number * BLOCK : (number + 1) * BLOCK]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "file"
    made.write_bytes(DATA)
    return made


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Test")


@pytest.fixture(params=["plain", "wide", "tls"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def contexts(kind: str, authority: Authority) -> Contexts:
    if kind == "plain":
        return None, None
    if kind == "wide":
        return wide(authority)
    pair = authority.issue_server(["localhost"]).pair
    return server_context(pair), client_context(ca=authority.certificate_pem)


@pytest.fixture
async def bulk() -> AsyncIterator[Bulk]:
    made = Bulk(client_context)
    yield made
    made.close()


async def asked(bulk: Bulk, port: int, contexts: Contexts, offset: int, length: int) -> bytes:
    room = memoryview(bytearray(length))
    url = f"{'https' if contexts[0] else 'http'}://localhost:{port}/{offset}/{length}"
    _, size = await receive_into(bulk, url, Headers(), room, tls=contexts[1])
    return bytes(room[:size])


async def test_any_stretch_arrives_and_is_looked_at(file: Path, kind: str, contexts: Contexts, bulk: Bulk) -> None:
    shelf = Shelf(file)
    async with serving(shelf, tls=contexts[0]) as listener:
        for offset, length in (
            (0, SIZE),
            (0, 2 * MIB),
            (16 * MIB, SIZE - 16 * MIB),
            (BLOCK - 1, BLOCK + 2),
            (5 * MIB + 4097, 3 * MIB),
            (SIZE - 3, 3),
        ):
            assert await asked(bulk, listener.port, contexts, offset, length) == DATA[offset : offset + length]
        await until(none_lent)
    assert ("sending" in shelf.lookers) is (kind != "tls")


async def test_a_block_that_is_not_sound_and_a_file_that_shrinks_end_the_response(
    file: Path, contexts: Contexts, bulk: Bulk
) -> None:
    shelf = Shelf(file)
    with file.open("r+b") as spoiled:
        spoiled.seek(9 * MIB)
        spoiled.write(bytes([DATA[9 * MIB] ^ 1]))
    async with serving(shelf, tls=contexts[0]) as listener:
        with pytest.raises(RequestFailed, match="in the middle"):
            await asked(bulk, listener.port, contexts, 0, SIZE)
        assert await asked(bulk, listener.port, contexts, 10 * MIB, MIB) == DATA[10 * MIB : 11 * MIB]
        await until(none_lent)


async def test_who_does_not_say_so_gets_it_from_the_loop(file: Path) -> None:
    shelf = Shelf(file)
    async with serving(shelf) as listener:
        for said, looker in (("", "MainThread"), (f"{HEADER}: yes\r\n", "sending")):
            shelf.lookers.clear()
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
            writer.write(f"GET /0/{SIZE} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{said}\r\n".encode())
            found = await reader.read(-1)
            writer.close()
            assert found.endswith(DATA) and shelf.lookers == {looker}


@pytest.mark.parametrize("way", ["plain", "wide"])
async def test_a_slow_reader_holds_no_thread_and_gets_all(file: Path, authority: Authority, way: str) -> None:
    contexts = wide(authority) if way == "wide" else (None, None)
    shelf = Shelf(file)
    async with serving(shelf, tls=contexts[0]) as listener:
        line = await asyncio.to_thread(asking, listener.port, contexts)
        await until(lambda: bool(shelf.lookers))
        await until(none_lent)
        assert await asyncio.to_thread(body_of, line, SIZE) == DATA
        line.close()


@pytest.mark.parametrize("way", ["plain", "wide"])
async def test_who_never_reads_is_given_up(file: Path, authority: Authority, way: str) -> None:
    contexts = wide(authority) if way == "wide" else (None, None)
    async with serving(Shelf(file), Limits(send_timeout=0.3), tls=contexts[0]) as listener:
        line = await asyncio.to_thread(asking, listener.port, contexts)
        await until(lambda: listener.service.refusals["slow-read"] == 1 and none_lent())
        line.close()


async def test_where_all_threads_are_at_work_it_goes_on_when_one_has_come_back(
    file: Path, authority: Authority, bulk: Bulk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody asks again and again meanwhile."""
    monkeypatch.setattr(readonce, "BUSY", 3600)
    others = [outward._lent.let(object) for _ in range(outward.MOST)]  # type: ignore[arg-type]
    try:
        async with asyncio.timeout(20), serving(Shelf(file)) as listener:
            asking = [asyncio.create_task(asked(bulk, listener.port, (None, None), 0, SIZE)) for _ in range(2)]
            await until(lambda: len(outward._lent._waiting) == 2)
            outward._lent.back(others.pop())  # type: ignore[arg-type]
            assert await asyncio.gather(*asking) == [DATA, DATA]
    finally:
        for one in others:
            outward._lent.back(one)  # type: ignore[arg-type]


def asking(port: int, contexts: Contexts) -> socket.socket | WideSocket:
    plain = ("127.0.0.1", port)
    line = connected(port, contexts[1]) if contexts[1] else socket.create_connection(plain, timeout=20)
    line.sendall(f"GET /0/{SIZE} HTTP/1.1\r\nHost: a\r\n{HEADER}: yes\r\n\r\n".encode())
    return line


async def test_who_is_gone_when_its_thread_comes_back_is_gone() -> None:
    with socket.socket() as closed:
        pass

    class Gone:
        def socket(self) -> socket.socket:
            return closed

    with pytest.raises(ConnectionError):
        await _room(cast(Any, Gone()))
