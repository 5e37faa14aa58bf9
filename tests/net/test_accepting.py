"""A gate in front of the listener: who is refused is reset before anything is made for it."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from littoral.net.listen import PortInUse, listen_http
from littoral.net.message import Response
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
