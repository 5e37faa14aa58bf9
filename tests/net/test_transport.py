"""The transports of accepted connections: what asyncio promises of a transport, with TLS and without, on both loops."""

from __future__ import annotations

import asyncio
import fcntl
import os
import random
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import websockets

from littoral.net import secure, turns
from littoral.net import transport as transports
from littoral.net.delivery import held_by_kernel
from littoral.net.listen import Listener, listen_stream
from littoral.net.message import WebSocketUpgrade
from littoral.net.pki import Authority
from littoral.net.tls import client_context, server_context
from tests.net.wire import serving

MIB = 1024 * 1024
both = pytest.mark.parametrize("kind", ["tcp", "tls"])


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    issued = Authority.load_or_create(tmp_path_factory.mktemp("ca"), "Test CA").issue_server(["localhost"])
    return server_context((issued.certificate, issued.private_key), alpn=["http/1.1"])


class Seen(asyncio.Protocol):
    """Notes what it is told and answers with what ``react`` does."""

    def __init__(self, react: Callable[[Seen, bytes], None]) -> None:
        self.react = react
        self.data = bytearray()
        self.told: list[str] = []
        self.half_open = False
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.react(self, data)

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.half_open

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, error: Exception | None) -> None:
        self.told.append("lost")
        self.lost.set_result(error)


class Place:
    def __init__(self, kind: str, listener: Listener, made: list[Seen]) -> None:
        self.port, self.made, self.kind = listener.port, made, kind

    @property
    def client(self) -> dict[str, object]:
        return {"ssl": client_context(verify=False)} if self.kind == "tls" else {}

    def connected(self) -> socket.socket:
        """A blocking client, for a thread. One over TLS tells an end without close_notify by an error."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        if self.kind == "tcp":
            return plain
        return client_context(verify=False).wrap_socket(plain, suppress_ragged_eofs=False)


@asynccontextmanager
async def place(
    kind: str, tls: ssl.SSLContext, react: Callable[[Seen, bytes], None] = lambda seen, data: None
) -> AsyncIterator[Place]:
    made: list[Seen] = []

    def factory() -> Seen:
        made.append(Seen(react))
        return made[-1]

    listener = await listen_stream(factory, tls=tls if kind == "tls" else None)
    try:
        yield Place(kind, listener, made)
    finally:
        await listener.close()
        for seen in made:
            if not seen.lost.done():
                seen.transport.abort()
                await asyncio.wait_for(seen.lost, 20)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.002)


def echo(seen: Seen, data: bytes) -> None:
    seen.transport.write(data)


@both
async def test_bytes_arrive_as_they_were_sent(kind: str, tls: ssl.SSLContext) -> None:
    content = os.urandom(3 * MIB + 7)
    drawn = random.Random(7)
    async with place(kind, tls, echo) as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port, **here.client)  # type: ignore[arg-type]

        async def send() -> None:
            at = 0
            while at < len(content):
                size = drawn.choice([1, 100, 16_383, 16_384, 16_385, 70_000, 500_000])
                writer.write(content[at : at + size])
                await writer.drain()
                at += size

        sending = asyncio.create_task(send())
        async with asyncio.timeout(20):
            assert await reader.readexactly(len(content)) == content
        await sending
        writer.close()
        await asyncio.wait_for(here.made[0].lost, 20)


@both
async def test_parts_of_all_sizes_leave_in_order_and_none_is_lost_at_close(kind: str, tls: ssl.SSLContext) -> None:
    """What is written goes out though the protocol closes at once and the client is slow to take it."""
    drawn = random.Random(3)
    parts = [os.urandom(drawn.choice([1, 50, 16_384, 40_000, 300_000])) for _ in range(60)]

    def answer(seen: Seen, _: bytes) -> None:
        for at in range(0, len(parts), 3):
            seen.transport.write(parts[at])
            seen.transport.writelines(parts[at + 1 : at + 3])
        assert seen.transport.get_write_buffer_size() > 0
        seen.transport.close()
        seen.transport.write(b"nothing after the end")

    def take(here: Place) -> bytes:
        with here.connected() as client:
            client.sendall(b"?")
            time.sleep(0.05)  # its window is full by now
            got = bytearray()
            while data := client.recv(65_536):
                got += data
            return bytes(got)

    async with place(kind, tls, answer) as here:
        assert await asyncio.to_thread(take, here) == b"".join(parts)
        assert await asyncio.wait_for(here.made[0].lost, 20) is None


@both
async def test_a_protocol_is_told_when_it_writes_too_much(kind: str, tls: ssl.SSLContext) -> None:
    def answer(seen: Seen, _: bytes) -> None:
        seen.transport.set_write_buffer_limits(high=100_000)
        for _ in range(100):
            seen.transport.write(b"x" * 100_000)

    async with place(kind, tls, answer) as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port, **here.client)  # type: ignore[arg-type]
        writer.write(b"?")
        await until(lambda: here.made and "pause" in here.made[0].told)
        assert await reader.readexactly(10_000_000) == b"x" * 10_000_000
        await until(lambda: here.made[0].told[-1] == "resume")
        assert here.made[0].transport.get_write_buffer_size() == 0
        writer.close()


@both
async def test_a_protocol_that_pauses_gets_nothing_and_then_everything_in_order(kind: str, tls: ssl.SSLContext) -> None:
    content = os.urandom(400_000)

    def pause(seen: Seen, _: bytes) -> None:
        seen.transport.pause_reading()

    async with place(kind, tls, pause) as here:
        _, writer = await asyncio.open_connection("127.0.0.1", here.port, **here.client)  # type: ignore[arg-type]
        writer.write(content)
        await until(lambda: here.made and here.made[0].data)
        seen = here.made[0]
        while len(seen.data) < len(content):
            had = len(seen.data)
            assert not seen.transport.is_reading()
            await asyncio.sleep(0.001)
            assert len(seen.data) == had
            seen.transport.resume_reading()
            await until(lambda had=had: len(seen.data) > had)  # type: ignore[misc]
        assert seen.data == content
        seen.transport.resume_reading()
        writer.close()
        await asyncio.wait_for(seen.lost, 20)
        assert seen.told == ["eof", "lost"]


@both
async def test_a_reset_is_the_end(kind: str, tls: ssl.SSLContext) -> None:
    def reset(here: Place) -> None:
        with here.connected() as client:
            client.sendall(b"?")
            assert client.recv(1) == b"!"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with place(kind, tls, lambda seen, _: seen.transport.write(b"!")) as here:
        await asyncio.to_thread(reset, here)
        error = await asyncio.wait_for(here.made[0].lost, 20)
        if kind == "tcp":
            assert isinstance(error, ConnectionResetError)
        assert here.made[0].told == (["lost"] if error is not None else ["eof", "lost"])  # OpenSSL may hide the reset


@both
async def test_a_reset_right_behind_the_last_bytes_is_the_end(
    kind: str, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are there when the loop looks: uvloop tells of it once, and what is read then are the bytes."""
    monkeypatch.setattr(turns, "LOOKED", 1.5)  # one look must do: 15 would take too long
    async with place(kind, tls) as here:
        client = await asyncio.to_thread(here.connected)
        await asyncio.to_thread(client.sendall, b"?")
        await until(lambda: here.made and here.made[0].data)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for _ in range(15):  # records, over TLS
            client.sendall(b"last")
        while held_by_kernel(client.fileno()):
            time.sleep(0.001)  # what has not arrived goes with the reset; the loop is to find both
        socket.close(client.detach())
        problem = await asyncio.wait_for(here.made[0].lost, 20)
        assert kind == "tls" or isinstance(problem, ConnectionError)  # Python's TLS takes it for an end
        assert bytes(here.made[0].data) == b"?" + b"last" * 15


@both
async def test_a_client_that_resets_while_much_is_to_be_sent(kind: str, tls: ssl.SSLContext) -> None:
    def reset(here: Place) -> None:
        with here.connected() as client:
            client.sendall(b"?")
            assert client.recv(1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with place(kind, tls, lambda seen, _: seen.transport.write(b"x" * 20 * MIB)) as here:
        await asyncio.to_thread(reset, here)
        await asyncio.wait_for(here.made[0].lost, 20)


async def test_one_half_may_close_first(tls: ssl.SSLContext) -> None:
    async with place("tcp", tls) as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        await until(lambda: here.made)
        seen = here.made[0]
        seen.half_open = True
        writer.write_eof()
        await until(lambda: seen.told == ["eof"])
        seen.transport.write(b"still here")
        seen.transport.write_eof()
        assert await reader.read() == b"still here"
        assert not seen.lost.done()
        seen.transport.close()
        writer.close()


async def test_tls_ends_with_a_goodbye_from_either_side(tls: ssl.SSLContext) -> None:
    def politely(here: Place) -> tuple[bytes, bytes]:
        with here.connected() as client:
            client.sendall(b"?")
            return client.recv(10), client.recv(10)  # an end without close_notify would raise here

    def answer(seen: Seen, _: bytes) -> None:
        seen.transport.write(b"!")
        seen.transport.close()

    async with place("tls", tls, answer) as here:
        assert await asyncio.to_thread(politely, here) == (b"!", b"")
        assert await asyncio.wait_for(here.made[0].lost, 20) is None
    async with place("tls", tls, echo) as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port, **here.client)  # type: ignore[arg-type]
        writer.write(b"?")
        assert await reader.readexactly(1) == b"?"
        writer.close()
        await asyncio.wait_for(writer.wait_closed(), 20)
        assert await asyncio.wait_for(here.made[0].lost, 20) is None
        assert here.made[0].told == ["eof", "lost"]


async def test_a_client_that_does_not_answer_the_goodbye_is_cut(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secure, "GOODBYE", 0.05)
    async with place("tls", tls, lambda seen, _: seen.transport.close()) as here:
        client = await asyncio.to_thread(here.connected)
        await asyncio.to_thread(client.sendall, b"?")
        await asyncio.wait_for(here.made[0].lost, 20)
        client.close()


async def test_nor_without_tls_who_goes_on_and_on(tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transports, "GOODBYE", 0.05)
    async with place("tcp", tls) as here:
        client = await asyncio.to_thread(here.connected)
        await asyncio.to_thread(client.sendall, b"?")
        await until(lambda: here.made and here.made[0].data)
        here.made[0].transport.pause_reading()
        await asyncio.to_thread(client.sendall, b"!")
        await until(lambda: unread(here.made[0].transport))
        here.made[0].transport.close()
        await asyncio.wait_for(here.made[0].lost, 20)
        client.close()


async def test_without_tls_nobody_is_waited_for_who_has_sent_nothing_more(tls: ssl.SSLContext) -> None:
    async with place("tcp", tls, lambda seen, _: seen.transport.close()) as here:
        client = await asyncio.to_thread(here.connected)
        await asyncio.to_thread(client.sendall, b"?")
        await asyncio.wait_for(here.made[0].lost, 4)
        client.close()


async def test_the_other_side_has_time_to_end_whatever_was_written_how(tls: ssl.SSLContext) -> None:
    def answer(seen: Seen, _: bytes) -> None:
        seen.transport.write(b"head")  # waits for the turn
        seen.transport.write(b"x" * 100_000)  # is sent at once
        seen.transport.close()

    async with place("tls", tls, answer) as here:
        client = await asyncio.to_thread(here.connected)
        await asyncio.to_thread(client.sendall, b"?")
        got = 0
        while got < 100_004:
            got += len(await asyncio.to_thread(client.recv, 65_536))
        assert await asyncio.to_thread(client.recv, 1) == b""
        assert not here.made[0].lost.done()
        client.close()
        await asyncio.wait_for(here.made[0].lost, 20)


@both
async def test_who_sends_on_through_the_goodbye_is_not_reset(kind: str, tls: ssl.SSLContext) -> None:
    """OpenSSL calls it a fault when it finds more to read after its close_notify."""
    async with place(kind, tls) as here:
        client = await asyncio.to_thread(here.connected)
        await asyncio.to_thread(client.sendall, b"?")
        await until(lambda: here.made and here.made[0].data)
        transport = here.made[0].transport
        transport.pause_reading()
        await asyncio.to_thread(client.sendall, b"!" * 100_000)
        await until(lambda: unread(transport) > 50_000)
        transport.close()
        assert await asyncio.to_thread(client.recv, 1) == b""
        for _ in range(10):
            await asyncio.to_thread(client.sendall, b"!" * 100_000)
        assert not here.made[0].lost.done()
        client.close()
        await asyncio.wait_for(here.made[0].lost, 20)


def unread(transport: asyncio.Transport) -> int:
    """Bytes that the kernel has for it."""
    waiting = bytearray(4)
    fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.FIONREAD, waiting)
    return int.from_bytes(waiting, sys.byteorder)


async def test_websockets_over_tls(tls: ssl.SSLContext) -> None:
    context = client_context(verify=False)
    async with (
        serving(lambda _: WebSocketUpgrade(lambda: Seen(echo)), tls=tls) as listener,
        websockets.connect(f"wss://127.0.0.1:{listener.port}/", ssl=context) as socket,
    ):
        for content in (b"small", os.urandom(300_000)):
            await socket.send(content)
            got = b""
            while len(got) < len(content):
                got += await socket.recv(decode=False)
            assert got == content


async def test_a_handshake_may_come_byte_by_byte_but_must_come(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(verify=False).wrap_bio(incoming, outgoing)
    async with place("tls", tls, echo) as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        done = False
        while not done:
            try:
                client.do_handshake()
                client.write(b"hello")
                done = True
            except ssl.SSLWantReadError:
                pass
            for byte in outgoing.read():
                writer.write(bytes([byte]))
                await asyncio.sleep(0)
            if not done:
                incoming.write(await reader.read(10_000))
        while True:
            incoming.write(await reader.read(10_000))
            try:
                assert client.read() == b"hello"
                break
            except ssl.SSLWantReadError:
                continue
        writer.close()
        await asyncio.wait_for(here.made[0].lost, 20)
    monkeypatch.setattr(secure, "HANDSHAKE", 0.05)
    for begin in (b"", b"\x16\x03\x01\x02\x00\x01\x00"):
        async with place("tls", tls) as here:
            reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
            writer.write(begin)
            assert await asyncio.wait_for(reader.read(), 20) == b""
            assert not here.made
            writer.close()


async def test_handshakes_under_way_end_with_the_listener(tls: ssl.SSLContext) -> None:
    async with place("tls", tls) as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        writer.write(b"\x16\x03\x01")
        await asyncio.sleep(0.01)
    assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()


@both
async def test_a_protocol_that_fails_ends_alone(kind: str, tls: ssl.SSLContext) -> None:
    problems: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))

    def react(seen: Seen, data: bytes) -> None:
        if data == b"bad":
            raise ValueError("no")
        seen.transport.write(data)

    async with place(kind, tls, react) as here:
        pairs = [
            await asyncio.open_connection("127.0.0.1", here.port, **here.client)  # type: ignore[arg-type]
            for _ in range(5)
        ]
        for number, (_, writer) in enumerate(pairs):
            writer.write(b"bad" if number == 2 else b"fine")
        for number, (reader, writer) in enumerate(pairs):
            if number == 2:
                assert await reader.read() == b""
            else:
                assert await reader.readexactly(4) == b"fine"
            writer.close()
    assert [str(problem["exception"]) for problem in problems] == ["no"]


@both
async def test_what_a_transport_knows(kind: str, tls: ssl.SSLContext) -> None:
    async with place(kind, tls, echo) as here:
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port, **here.client)  # type: ignore[arg-type]
        writer.write(b"?")
        await reader.readexactly(1)
        transport = here.made[0].transport
        assert transport.get_extra_info("peername") == writer.get_extra_info("sockname")
        assert transport.get_extra_info("sockname") == writer.get_extra_info("peername")
        assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert transport.get_extra_info("colour", "none") == "none"
        assert transport.get_protocol() is here.made[0]
        assert transport.can_write_eof() is (kind == "tcp")
        if kind == "tls":
            assert transport.get_extra_info("cipher") == writer.get_extra_info("cipher")
            assert transport.get_extra_info("ssl_object").selected_alpn_protocol() is None
            assert transport.get_extra_info("peercert") is None
        writer.close()


async def test_a_session_is_resumed(tls: ssl.SSLContext) -> None:
    context = client_context(verify=False)

    def ask(port: int, session: ssl.SSLSession | None) -> tuple[bool | None, ssl.SSLSession | None]:
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        with context.wrap_socket(plain, session=session) as client:
            client.sendall(b"?")
            assert client.recv(1) == b"?"
            return client.session_reused, client.session

    async with place("tls", tls, echo) as here:
        first, session = await asyncio.to_thread(ask, here.port, None)
        second, _ = await asyncio.to_thread(ask, here.port, session)
        assert (first, second) == (False, True)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not there (apt: openssl)")
@pytest.mark.parametrize(("version", "command"), [("-tls1_3", b"K\n"), ("-tls1_3", b"k\n"), ("-tls1_2", b"R\n")])
async def test_keys_are_renewed_and_renegotiation_is_refused(tls: ssl.SSLContext, version: str, command: bytes) -> None:
    """s_client: "k" tells of new keys, "K" asks for them in return, "R" negotiates anew."""
    async with place("tls", tls, echo) as here:
        client = await asyncio.create_subprocess_exec(
            *("openssl", "s_client", "-connect", f"127.0.0.1:{here.port}", version, "-quiet", "-no_ign_eof"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert client.stdin is not None and client.stdout is not None
        try:
            async with asyncio.timeout(20):
                client.stdin.write(b"before\n")
                assert await client.stdout.readline() == b"before\n"
                client.stdin.write(command)
                await client.stdin.drain()
                if command == b"R\n":
                    assert await client.stdout.read() == b""
                    return
                await asyncio.sleep(0.05)  # a command is one only at the beginning of what it reads at once
                client.stdin.write(b"after\n")
                assert await client.stdout.readline() == b"after\n"
        finally:
            if client.returncode is None:
                client.kill()
            await client.wait()
