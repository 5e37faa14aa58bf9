"""Answers over TLS of servers that end the connection behind them, to readers that are not there yet."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager

import pytest

from littoral.net.client import ClientResponse, ConnectFailed, HttpClient, Timeout
from littoral.net.message import BodyError
from littoral.net.pki import Authority
from littoral.net.tls import client_context, server_context

DATA = hashlib.shake_128(b"answered").digest(1_000_000)  # more than the client holds, less than the kernel does
PIECE = 10_000
FRAMED = {
    "until the end": DATA,
    "by length": DATA,
    "in chunks": b"".join(b"%x\r\n%b\r\n" % (PIECE, DATA[at : at + PIECE]) for at in range(0, len(DATA), PIECE))
    + b"0\r\n\r\n",
}
HEADS = {
    "until the end": b"",
    "by length": b"Content-Length: %d\r\n" % len(DATA),
    "in chunks": b"Transfer-Encoding: chunked\r\n",
}


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("Test")


@contextmanager
def answering(authority: Authority, answer: Callable[[ssl.SSLSocket], None]) -> Iterator[tuple[int, threading.Thread]]:
    """One connection. Who asks is answered in one go."""
    context = server_context(authority.issue_server(["localhost"]).pair)

    def serve() -> None:
        with contextlib.suppress(OSError):
            sock, _ = listening.accept()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_000_000)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else a reset may overtake what it held back
            with context.wrap_socket(sock, server_side=True) as client:
                answer(client)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1], thread
    thread.join(20)


def said(framing: str, goodbye: bool) -> Callable[[ssl.SSLSocket], None]:
    def answer(client: ssl.SSLSocket) -> None:
        client.recv(65536)
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + HEADS[framing] + b"\r\n" + FRAMED[framing])
        client.setblocking(False)
        if goodbye:
            client.unwrap()  # is sent; raises as the other one is not there

    return answer


async def asked(client: HttpClient, port: int, authority: Authority) -> ClientResponse:
    tls = client_context(ca=authority.certificate_pem)
    return await client.request("GET", f"https://localhost:{port}/", tls=tls, read_timeout=20)


@pytest.mark.parametrize("goodbye", [True, False])
@pytest.mark.parametrize("framing", FRAMED)
@pytest.mark.parametrize("late", [True, False])
async def test_all_that_came_before_the_end_is_read(
    authority: Authority, framing: str, goodbye: bool, late: bool
) -> None:
    client, found = HttpClient(), bytearray()
    with answering(authority, said(framing, goodbye)) as (port, thread):
        response = await asked(client, port, authority)
        if late:
            await asyncio.to_thread(thread.join, 20)
            assert not thread.is_alive()
        cut = False
        try:
            async for data in response.body:
                found += data
        except BodyError:
            cut = True
    await client.close()
    assert found == DATA
    assert cut is (framing == "until the end" and not goodbye)  # it could have been anybody who ended it


async def test_a_certificate_of_another_s_or_another_name_is_refused(authority: Authority) -> None:
    client = HttpClient()
    for trusted, name in ((Authority.create("Other"), "localhost"), (authority, "127.0.0.1")):
        with answering(authority, said("by length", True)) as (port, _):
            with pytest.raises(ConnectFailed, match="CERTIFICATE_VERIFY_FAILED") as refused:
                tls = client_context(ca=trusted.certificate_pem)
                await client.request("GET", f"https://{name}:{port}/", tls=tls)
            assert isinstance(refused.value.__cause__, ssl.SSLCertVerificationError)
    await client.close()


async def test_a_handshake_that_does_not_come_or_breaks_off_is_a_failure_to_connect(authority: Authority) -> None:
    client = HttpClient()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        with pytest.raises(Timeout):
            tls = client_context(ca=authority.certificate_pem)
            await client.request("GET", f"https://localhost:{mute.getsockname()[1]}/", tls=tls, connect_timeout=0.1)
        accepted, _ = mute.accept()
        asking = asyncio.create_task(asked(client, mute.getsockname()[1], authority))
        accepted.close()
        accepted, _ = await asyncio.to_thread(mute.accept)
        accepted.close()
        with pytest.raises(ConnectFailed):
            await asking
    await client.close()


async def test_an_answer_is_heard_though_its_server_has_hung_up_on_the_rest_of_the_upload(authority: Authority) -> None:
    def refuse(client: ssl.SSLSocket) -> None:
        client.recv(100)
        client.sendall(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large")

    client, tls = HttpClient(), client_context(ca=authority.certificate_pem)
    with answering(authority, refuse) as (port, thread):

        async def too_much() -> AsyncIterator[bytes]:
            yield b"x" * 70_000  # more than waits for the end of the turn
            thread.join(20)  # it has closed with the rest unread, which is a reset, and the loop has heard of nothing
            yield b"x" * 70_000

        async with await client.request("POST", f"https://localhost:{port}/", body=too_much(), tls=tls) as answer:
            assert (answer.status, await answer.body.read()) == (413, b"too large")
    await client.close()
