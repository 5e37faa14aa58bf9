"""WebSockets through the listener, with a client written on the wire and with a real browser where there is one."""

from __future__ import annotations

import asyncio
import base64
import shutil
from pathlib import Path
from typing import Any

import pytest

from littoral.net.message import Answer, Request, Response, WebSocketUpgrade
from littoral.protocols.websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Close,
    Data,
    Decoder,
    Pong,
    accept_key,
    frame,
)
from tests.net.wire import Wire, serving, wire

KEY = base64.b64encode(bytes(range(16)))
MASK = b"\x01\x02\x03\x04"


class Echo(asyncio.Protocol):
    """Writes back what it gets, and remembers how it was treated."""

    def __init__(self) -> None:
        self.received = b""
        self.lost: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.transport.write(data)
        if self.received.endswith(b"bye"):
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set_result(error)


class Side:
    """The handler and the protocols it made."""

    def __init__(self, subprotocol: str | None = "mqtt") -> None:
        self.subprotocol = subprotocol
        self.made: list[Echo] = []

    def handle(self, request: Request) -> Answer:
        if request.target == "/plain":
            return Response(200, body=b"plain")

        def make() -> Echo:
            self.made.append(Echo())
            return self.made[-1]

        return WebSocketUpgrade(make, self.subprotocol)

    async def later(self, request: Request) -> Answer:
        await asyncio.sleep(0)
        return self.handle(request)


def opening(*lines: str, path: str = "/ws", key: bytes = KEY, offer: str = "mqtt, other") -> bytes:
    fields = [
        f"GET {path} HTTP/1.1",
        "Host: a",
        "Connection: keep-alive, Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {key.decode()}",
        f"Sec-WebSocket-Protocol: {offer}",
        *lines,
    ]
    return "\r\n".join([*fields, "", ""]).encode()


async def events(client: Wire, decoder: Decoder, count: int) -> list[Any]:
    found: list[Any] = []
    while len(found) < count:
        data = await client.reader.read(65536)
        assert data, f"the connection ended after {found}"
        found += decoder.feed(data)
    return found


@pytest.mark.parametrize("later", [False, True], ids=["at once", "awaited"])
async def test_echo_fragments_pings_and_the_servers_close(later: bool) -> None:
    side = Side()
    async with serving(side.later if later else side.handle) as listener, wire(listener.port) as client:
        # The first frame travels with the handshake: it must not be lost while the handler decides.
        client.send(opening() + frame(BINARY, b"early", key=MASK))
        status, headers = await client.head()
        assert (status, headers["sec-websocket-protocol"]) == (101, "mqtt")
        assert headers["sec-websocket-accept"] == accept_key(KEY).decode()
        assert headers["upgrade"] == "websocket"
        decoder = Decoder(server=False)
        assert await events(client, decoder, 1) == [Data(BINARY, b"early", True)]
        client.send(frame(BINARY, b"one ", final=False, key=MASK) + frame(PING, b"?", key=MASK))
        client.send(frame(CONTINUATION, b"two", key=MASK))
        got = await events(client, decoder, 2)
        assert Pong(b"?") in got
        while sum(len(event.payload) for event in got if isinstance(event, Data)) < 7:
            got += await events(client, decoder, 1)
        assert b"".join(event.payload for event in got if isinstance(event, Data)) == b"one two"
        client.send(frame(BINARY, b"bye", key=MASK))
        assert await events(client, decoder, 2) == [Data(BINARY, b"bye", True), Close(1000)]
        client.send(frame(CLOSE, b"\x03\xe8", key=MASK))
        assert await client.ended()
        assert await side.made[0].lost is None
        assert side.made[0].transport.get_extra_info("peername")[0] == "127.0.0.1"
        assert len(side.made) == 1


async def test_the_clients_close_is_answered_with_its_code() -> None:
    side = Side()
    async with serving(side.handle) as listener, wire(listener.port) as client:
        client.send(opening())
        await client.head()
        client.send(frame(CLOSE, (3001).to_bytes(2, "big") + b"done", key=MASK))
        assert await events(client, Decoder(server=False), 1) == [Close(3001)]
        assert await client.ended()
        assert await side.made[0].lost is None


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(BINARY, b"unmasked"), 1002),
        (frame(TEXT, b"text", key=MASK), 1003),
        (frame(CONTINUATION, b"of nothing", key=MASK), 1002),
        (frame(BINARY, b"a", final=False, key=MASK) + frame(BINARY, b"b", key=MASK), 1002),
        (frame(0x3, b"", key=MASK), 1002),
        (frame(0xB, b"", key=MASK), 1002),
        (bytes((0xC2, 0x80)) + MASK, 1002),  # a reserved bit
        (frame(PING, b"x", final=False, key=MASK), 1002),
        (frame(CLOSE, b"x", key=MASK), 1002),
        (frame(CLOSE, (1005).to_bytes(2, "big"), key=MASK), 1002),
        (frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff", key=MASK), 1007),
        (bytes((0x82, 0xFE, 0, 5)) + MASK + b"abcde", 1002),  # a length in a longer form than it needs
        (bytes((0x82, 0xFF)) + (1 << 40).to_bytes(8, "big") + MASK, 1009),
    ],
)
async def test_bad_frames_end_the_connection_with_the_code(bad: bytes, code: int) -> None:
    side = Side()
    async with serving(side.handle) as listener, wire(listener.port) as client:
        client.send(opening())
        await client.head()
        client.send(bad + frame(BINARY, b"after", key=MASK))
        last = Decoder(server=False)
        found = await events(client, last, 1)
        while not isinstance(found[-1], Close):
            found += await events(client, last, 1)
        assert found[-1].code == code
        assert await client.ended()
        await side.made[0].lost
        assert b"after" not in side.made[0].received


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (opening().replace(b"GET /ws", b"POST /ws"), 426),
        (opening().replace(b"Version: 13", b"Version: 8"), 426),
        (opening(key=b"c2hvcnQ="), 400),
        (opening(key=b"not base64 at all"), 400),
        (opening("Sec-WebSocket-Key: " + KEY.decode()), 400),
        (opening(offer="other"), 400),
        (b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n", 426),
        (opening().replace(b"keep-alive, Upgrade", b"keep-alive"), 400),
        (opening("Content-Length: 3") + b"abc", 400),
    ],
)
async def test_bad_handshakes_are_refused(request_bytes: bytes, status: int) -> None:
    side = Side()
    async with serving(side.handle) as listener, wire(listener.port) as client:
        client.send(request_bytes + b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")
        reply = await client.reply()
        assert (reply.status, reply.headers["connection"]) == (status, "close")
        assert await client.ended()
    assert side.made == []


async def test_an_upgrade_that_is_not_taken_ends_the_connection() -> None:
    """What follows such a request might be either protocol: it is not parsed (request smuggling by upgrade)."""
    side = Side()
    async with serving(side.handle) as listener, wire(listener.port) as client:
        client.send(opening(path="/plain") + b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")
        reply = await client.reply()
        assert (reply.body, reply.headers["connection"]) == (b"plain", "close")
        assert await client.ended()


async def test_closing_the_listener_says_going_away() -> None:
    side = Side()
    async with serving(side.handle) as listener, wire(listener.port) as client:
        client.send(opening())
        await client.head()
        closing = asyncio.ensure_future(listener.close(grace=30))
        assert await events(client, Decoder(server=False), 1) == [Close(1001)]
        client.send(frame(CLOSE, b"\x03\xe9", key=MASK))
        assert await client.ended()
        await closing


PAGE = b"""<!doctype html><title>waiting</title><script>
const socket = new WebSocket(`ws://${location.host}/ws`, ["mqtt"]);
socket.binaryType = "arraybuffer";
const size = 300000;
let left = size;
socket.onopen = () => socket.send(new Uint8Array(size).fill(7));
socket.onmessage = event => {
  left -= event.data.byteLength;
  if (left === 0) fetch("/done?" + new Uint8Array(event.data)[0] + "-" + socket.protocol);
};
socket.onerror = () => fetch("/done?error");
</script>"""


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
async def test_a_browser_speaks_with_it(tmp_path: Path) -> None:
    side = Side()
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def handle(request: Request) -> Answer:
        if request.target == "/page":
            return Response(200, body=PAGE)
        if request.target.startswith("/done"):
            done.set_result(request.query_string)
            return Response(204)
        if request.target != "/ws":
            return Response(404)
        return side.handle(request)

    async with serving(handle) as listener:
        browser = await asyncio.create_subprocess_exec(
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path}",
            f"http://127.0.0.1:{listener.port}/page",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(60):
                assert await done == "7-mqtt"
        finally:
            browser.terminate()
            await browser.wait()
