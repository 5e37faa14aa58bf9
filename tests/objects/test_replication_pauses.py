"""How long replication waits for a destination that is away: less where nobody answers than where somebody refuses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from littoral.net.client import HttpClient
from littoral.objects import Objects
from littoral.objects.replication.rows import MARKER, queue
from littoral.objects.replication.sending import Replicator
from littoral.objects.replication.targets import FarTarget
from littoral.store.embedded import EmbeddedStore
from littoral.store.remote.far import Credentials
from tests.objects.pairs import Endpoint


class Hands:
    """A clock that stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def objects(tmp_path: Path) -> AsyncIterator[Objects]:
    store = await EmbeddedStore.open(tmp_path / "store")
    opened = await Objects.open(store, tmp_path / "objects")
    await opened._index._write(lambda rows: queue(rows, ["elsewhere"], "b", "k", "v", MARKER, 0.0))
    yield opened
    await opened.close()
    await store.close()


async def pauses(objects: Objects, port: int) -> list[float]:
    """The seconds after each of a dozen tries, all of which fail."""
    hands, found = Hands(), []
    replicator = Replicator(objects._index, lambda: 1.0, hands)
    place = Endpoint(f"http://127.0.0.1:{port}", "us-east-1", Credentials("k", "s"))
    client = HttpClient()
    replicator.far = {"elsewhere": FarTarget(client, place, "elsewhere", objects._shelf, objects._keys)}
    for _ in range(12):
        assert not await replicator._round("elsewhere")
        until = replicator._away["elsewhere"][0]
        found.append(until - hands.now)
        hands.now = until
    await client.close()
    return found


async def test_who_does_not_answer_at_all_is_asked_again_within_half_a_minute(objects: Objects) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        waited = await pauses(objects, nobody.getsockname()[1])
    assert waited == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]


async def test_who_answers_that_it_is_in_trouble_is_left_alone_for_longer(objects: Objects) -> None:
    async def in_trouble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(in_trouble, "127.0.0.1", 0) as server:
        waited = await pauses(objects, server.sockets[0].getsockname()[1])
    assert waited == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
