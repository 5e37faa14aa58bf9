"""A gate in front of the listener: who is refused is reset before anything is made for it."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import struct
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from littoral.net import accepting
from littoral.net.listen import PortInUse, listen_http
from littoral.net.message import Request, Response
from littoral.net.pki import Authority
from littoral.net.tls import server_context
from tests.net.wire import serving, wire

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Gate:
    """Takes connections from all addresses but one."""

    def __init__(self, refused: str = "") -> None:
        self.refused = refused
        self.open: Counter[str] = Counter()
        self.out: Counter[str] = Counter()
        self.seen = 0

    def arrives(self, host: str) -> bool:
        self.seen += 1
        if host == self.refused:
            return False
        self.open[host] += 1
        return True

    def leaves(self, host: str) -> None:
        self.open[host] -= 1

    def crowded_out(self, host: str) -> None:
        self.out[host] += 1
        self.leaves(host)

    async def empty(self) -> None:
        async with asyncio.timeout(20):
            while +self.open:
                await asyncio.sleep(0.005)


async def test_who_is_refused_is_reset_and_others_are_served() -> None:
    gate = Gate("127.0.0.9")
    async with serving(lambda request: Response(200, body=request.peer.host.encode()), gate=gate) as listener:
        async with wire(listener.port, local_addr=("127.0.0.8", 0)) as client:
            client.send(GET)
            assert (await client.reply()).body == b"127.0.0.8"
            assert gate.open == {"127.0.0.8": 1}
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            async with wire(listener.port, local_addr=("127.0.0.9", 0)) as client:
                client.send(GET)
                await client.reply()
        await gate.empty()
        assert len(listener.service) == 0


async def test_every_connection_leaves_once_however_it_ends(tmp_path: Path) -> None:
    gate = Gate()
    issued = Authority.load_or_create(tmp_path, "Test").issue_server(["localhost"])
    tls = server_context((issued.certificate, issued.private_key))
    async with serving(lambda request: Response(200), gate=gate, tls=tls) as listener:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        async with wire(listener.port, ssl=trusting) as client:
            client.send(GET)
            assert (await client.reply()).status == 200
        async with wire(listener.port) as client:  # no handshake
            client.send(GET)
            await client.ended()
        with socket.create_connection(("127.0.0.1", listener.port)):
            pass
        async with asyncio.timeout(20):
            while gate.seen < 3:
                await asyncio.sleep(0.005)
        await gate.empty()
    assert gate.open == {"127.0.0.1": 0}


async def test_a_port_that_is_taken_is_named() -> None:
    async with serving(lambda request: Response(200), gate=Gate()) as listener:
        with pytest.raises(PortInUse) as raised:
            await listen_http(lambda request: Response(200), port=listener.port, gate=Gate())
        assert raised.value.port == listener.port


async def test_of_the_equally_idle_the_first_to_come_goes_first() -> None:
    """The clock of the connections is coarse: what was just accepted and not yet read is no older for it."""
    async with serving(lambda request: Response(200)) as listener, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(wire(listener.port)) for _ in range(20)]
        async with asyncio.timeout(20):
            while len(listener.service) < 20:
                await asyncio.sleep(0.005)
            for client in clients[:5]:
                assert listener.service.shed()
                assert await client.ended()
            for client in clients[5:]:
                client.send(GET)
                assert (await client.reply()).status == 200


async def test_without_descriptors_idle_connections_make_room() -> None:
    """The process has none left: what is idle is closed, and whoever waits in the kernel's queue is served then."""
    gate = Gate()
    async with serving(lambda request: Response(200), gate=gate) as listener:
        idle = [socket.create_connection(("127.0.0.1", listener.port)) for _ in range(20)]
        async with asyncio.timeout(20):
            while len(listener.service) < 20:
                await asyncio.sleep(0.005)
        late = socket.socket()
        late.setblocking(False)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (late.fileno() + 1, hard))
        try:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(late, ("127.0.0.1", listener.port))
            await loop.sock_sendall(late, GET)
            async with asyncio.timeout(20):
                assert (await loop.sock_recv(late, 1000)).startswith(b"HTTP/1.1 200")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            for one in (*idle, late):
                one.close()
        assert listener.service.refusals["shed-idle"] >= 1


async def test_a_visitor_does_not_wait_behind_a_flood_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """All have come before the loop looks: the kernel's queue would give them in the order of their coming."""
    monkeypatch.setattr(accepting, "ACCEPTING", 10.0)
    monkeypatch.setattr(accepting, "SERVING", 0.0)  # one a turn
    asked: list[str] = []

    def handle(request: Request) -> Response:
        asked.append(request.peer.host)
        return Response(200)

    async with serving(handle, gate=Gate()) as listener:
        flood = [opened(listener.port, "127.0.0.8") for _ in range(600)]
        visitor = opened(listener.port, "127.0.0.9")
        async with asyncio.timeout(20):
            while len(asked) < 601:
                await asyncio.sleep(0)
        for one in (*flood, visitor):
            one.close()
    assert asked.index("127.0.0.9") < 5


async def test_who_has_gone_before_its_turn_costs_nothing_more() -> None:
    gate = Gate()
    async with serving(lambda request: Response(200), gate=gate) as listener:
        for _ in range(30):
            one = opened(listener.port, "127.0.0.8")
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        with opened(listener.port, "127.0.0.9"):
            async with asyncio.timeout(20):
                while gate.open["127.0.0.9"] == 0:
                    await asyncio.sleep(0)
            assert gate.open["127.0.0.8"] == 0
            assert len(listener.service) == 1


async def test_whoever_has_the_most_waiting_is_crowded_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "ROOM", 64)
    monkeypatch.setattr(accepting, "SERVING", 0.0)  # one a turn
    gate = Gate()
    async with serving(lambda request: Response(200), gate=gate) as listener:
        flood = [opened(listener.port, "127.0.0.8") for _ in range(200)]
        async with wire(listener.port, local_addr=("127.0.0.9", 0)) as visitor:
            visitor.send(GET)
            assert (await visitor.reply()).status == 200
        async with asyncio.timeout(20):
            while gate.open["127.0.0.9"]:
                await asyncio.sleep(0.005)
        assert gate.out["127.0.0.8"] >= 100
        assert set(+gate.out) == {"127.0.0.8"}
        for one in flood:
            one.close()
        await gate.empty()


async def test_without_a_gate_nobody_is_crowded_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "ROOM", 16)
    monkeypatch.setattr(accepting, "SERVING", 0.0)
    asked: list[str] = []

    def handle(request: Request) -> Response:
        asked.append(request.peer.host)
        return Response(200)

    async with serving(handle) as listener:
        many = [opened(listener.port, "127.0.0.8") for _ in range(100)]
        async with asyncio.timeout(20):
            while len(asked) < 100:
                await asyncio.sleep(0.005)
        for one in many:
            one.close()


async def test_who_still_waits_leaves_when_the_listener_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "SERVING", 0.0)
    gate = Gate()
    async with serving(lambda request: Response(200), gate=gate) as listener:
        many = [opened(listener.port, "127.0.0.8") for _ in range(50)]
        async with asyncio.timeout(20):
            while gate.seen < 50:
                await asyncio.sleep(0)
    await gate.empty()
    for one in many:
        one.close()


def opened(port: int, source: str) -> socket.socket:
    """A connection that has asked; nobody has looked at it yet."""
    one = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
    one.send(GET)
    return one
