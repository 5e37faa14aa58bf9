"""A raw HTTP/1.1 client for tests: bytes out, responses parsed by the standard library's own reader of heads."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from littoral.net.bulk import Answer, Bulk
from littoral.net.listen import HttpListener, Limits, listen_http
from littoral.net.message import Handler, Headers
from littoral.net.receiving import Room, receive

Contexts = tuple[ssl.SSLContext | None, ssl.SSLContext | None]  # a server's, and one of a client that trusts it


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def head(self) -> tuple[int, dict[str, str]]:
        block = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = block[:-4].split("\r\n")
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name not in headers, f"{name} came twice"
            headers[name] = value
        return int(first.split(" ")[1]), headers

    async def reply(self, *, bodiless: bool = False) -> Reply:
        status, headers = await self.head()
        if bodiless or status in (204, 304) or status < 200:
            return Reply(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Reply(status, headers, b"".join([chunk async for chunk in self.chunks()]))
        if "content-length" in headers:
            return Reply(status, headers, await self.reader.readexactly(int(headers["content-length"])))
        return Reply(status, headers, await self.reader.read())

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int((await self.reader.readuntil(b"\r\n"))[:-2], 16):
            yield await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"

    async def ended(self) -> bool:
        """Waits for the server's end of the connection; True when nothing more came before it."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except (ConnectionError, OSError):
            return


@asynccontextmanager
async def wire(port: int, **kwargs: object) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, **kwargs)  # type: ignore[arg-type]
    connection = Wire(reader, writer)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def serving(handler: Handler, limits: Limits | None = None, **kwargs: object) -> AsyncIterator[HttpListener]:
    listener = await listen_http(handler, limits=limits, **kwargs)  # type: ignore[arg-type]
    try:
        yield listener
    finally:
        await listener.close(grace=0)


class Recorder(asyncio.Transport):
    """A transport that keeps what is written: a property of reads needs no socket, and chooses where they end."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def writelines(self, list_of_data: object) -> None:
        for data in list_of_data:  # type: ignore[attr-defined]
            self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        return

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return


class Paused(Recorder):
    """Keeps what is written and honours that reading is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def receive_into(bulk: Bulk, url: str, headers: Headers, room: memoryview, **options: Any) -> tuple[Answer, int]:
    """The answer, and how many bytes of it lie in ``room``."""
    sink = Room(room)
    return await receive(bulk, url, headers, sink, **options), sink.filled
