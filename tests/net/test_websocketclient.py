"""WebSockets that we open over TLS, to a server written on the wire."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

import pytest

from littoral.net.pki import Authority
from littoral.net.tls import client_context, server_context
from littoral.net.websocketclient import Asking, HandshakeFailed, open_websocket
from littoral.protocols.websocket import BINARY, NORMAL, accept_key, close_frame, frame

PIECE = 50_000
DATA = hashlib.shake_128(b"framed").digest(4 * PIECE)  # no more than uvloop's TLS holds back


class Late(asyncio.Protocol):
    """Reads nothing after the first bytes until it is told to."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.lost: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        if not self.received:
            self.transport.pause_reading()
        self.received += data

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


def answering(context: ssl.SSLContext, listening: socket.socket, answer: Callable[[bytes], bytes]) -> None:
    """One connection: what it asks is answered in one go, and behind that it ends."""
    sock, _ = listening.accept()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_000_000)
    with context.wrap_socket(sock, server_side=True) as client:
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += client.recv(65536)
        client.sendall(answer(asked))
        client.setblocking(False)
        with pytest.raises(ssl.SSLWantReadError):
            client.unwrap()  # is said


async def test_all_that_came_before_the_end_is_read_by_who_reads_late() -> None:
    authority = Authority.create("Test")
    context = server_context(authority.issue_server(["localhost"]).pair)
    tls, reader = client_context(ca=authority.certificate_pem), Late()

    def answer(asked: bytes) -> bytes:
        key = asked.partition(b"sec-websocket-key: ")[2].partition(b"\r\n")[0]
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        frames = b"".join(frame(BINARY, DATA[at : at + PIECE]) for at in range(0, len(DATA), PIECE))
        return head + b"Sec-WebSocket-Accept: " + accept_key(key) + b"\r\n\r\n" + frames + close_frame(NORMAL)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = asyncio.create_task(asyncio.to_thread(answering, context, listening, answer))
        await open_websocket(Asking("localhost", listening.getsockname()[1], "/", "mqtt"), tls, lambda: reader)
        await asyncio.wait_for(server, 20)
        assert len(reader.received) < len(DATA)
        reader.transport.resume_reading()
        await asyncio.wait_for(reader.lost, 20)
    assert reader.received == DATA


async def test_who_answers_with_no_websocket_is_refused_by_its_words() -> None:
    authority = Authority.create("Test")
    context = server_context(authority.issue_server(["localhost"]).pair)
    tls = client_context(ca=authority.certificate_pem)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        said = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nnot you"
        server = asyncio.create_task(asyncio.to_thread(answering, context, listening, lambda _: said))
        with pytest.raises(HandshakeFailed, match="not you") as refused:
            asking = Asking("localhost", listening.getsockname()[1], "/", "mqtt")
            await open_websocket(asking, tls, asyncio.Protocol)
        assert refused.value.status == 403
        await server
