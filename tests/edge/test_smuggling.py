"""The table of ``tests/net/smuggling`` sent through an edge: what it sends to its origin is never ambiguous.

The origin is raw: it takes each byte of a request for what the strictest reader would, so that a request it sees
complete is one that was meant, with its body, and nothing lies between two of them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from littoral.edge.plan import compile_plan
from tests.edge.place import ALL_VIEWER, DISABLED, HOST, Edge, behaving, listed
from tests.edge.relays import long_way
from tests.net.smuggling import CASES, NEXT, Case

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "DELETE"]
LINE = re.compile(rb"[A-Z]+ /[!-~]* HTTP/1\.1\Z")
FIELD = re.compile(rb"[a-z0-9!#$%&'*+.^_`|~-]+: [^\x00-\x08\x0a-\x1f\x7f]*\Z")
BODY_LIMIT = 100_000


class RawOrigin:
    """Records each request as ``METHOD target host body``; raises what is ambiguous into ``faults``."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.faults: list[str] = []
        self.open = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await self._one(reader):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionResetError):
            pass  # an upload that was cut: no request
        except ValueError as fault:
            self.faults.append(str(fault))
        finally:
            self.open -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
        first, *lines = head.split(b"\r\n")
        if not LINE.match(first) or not all(FIELD.match(line) for line in lines):
            raise ValueError(f"a line that is none: {head!r}")
        fields = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
        named = dict(fields)
        for name in (b"host", b"content-length", b"transfer-encoding"):
            if sum(1 for field in fields if field[0].replace(b"_", b"-") == name) > (1 if name in named else 0):
                raise ValueError(f"{name!r} more than once, or in disguise: {head!r}")
        if b"host" not in named or {b"upgrade", b"te", b"expect", b"proxy-connection"} & named.keys():
            raise ValueError(f"no Host, or what is between two parties only: {head!r}")
        body = await self._body(reader, named, head)
        method, target, _ = first.decode().split(" ")
        self.requests.append(f"{method} {target} {named[b'host'].decode()} {body.decode('latin-1')}")
        return True

    async def _body(self, reader: asyncio.StreamReader, named: dict[bytes, bytes], head: bytes) -> bytes:
        length, coding = named.get(b"content-length"), named.get(b"transfer-encoding")
        if length is not None:
            if coding is not None or not length.isdigit() or str(int(length)).encode() != length:
                raise ValueError(f"two framings, or a length that is none: {head!r}")
            return await reader.readexactly(int(length))
        if coding is None:
            return b""
        if coding != b"chunked":
            raise ValueError(f"a coding that is none: {head!r}")
        body = b""
        while True:
            size = (await reader.readuntil(b"\r\n"))[:-2]
            if not re.fullmatch(rb"0|[1-9a-f][0-9a-f]*", size):
                raise ValueError(f"a chunk size that is none: {size!r}")
            if size == b"0":
                while line := (await reader.readuntil(b"\r\n"))[:-2]:
                    if not re.fullmatch(rb"[a-z0-9-]+: [ -~]*", line) or line.startswith((b"x-forwarded", b"content-")):
                        raise ValueError(f"a trailer that must not be: {line!r}")
                return body
            data = await reader.readexactly(int(size, 16) + 2)
            if data[-2:] != b"\r\n":
                raise ValueError(f"a chunk that does not end: {data!r}")
            body += data[:-2]


@asynccontextmanager
async def before(place: Edge) -> AsyncIterator[RawOrigin]:
    """The edge passes every method and header on to a raw origin, and caches nothing."""
    origin = RawOrigin()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
    custom = {"HTTPPort": server.sockets[0].getsockname()[1], "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
    config = place.config(
        behaving(methods=METHODS, CachePolicyId=DISABLED, OriginRequestPolicyId=ALL_VIEWER),
        origin={"CustomOriginConfig": custom},
        Aliases=listed(["next", "[", "A"]),
    )
    place.pipeline.use({"E1": compile_plan("E1", "a", config, place.policies)})
    try:
        yield origin
    finally:
        server.close()


async def sent_on(place: Edge, origin: RawOrigin, data: bytes) -> list[str]:
    """The requests that reached the origin whole."""
    origin.requests.clear()
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    try:
        writer.write(data)
        writer.write_eof()
        await reader.read()
    except ConnectionResetError:
        pass
    finally:
        writer.close()
    return list(origin.requests)


@pytest.mark.parametrize("way", ["relayed where it can be", "the long way"])
async def test_what_goes_to_the_origin_is_at_most_what_was_meant(place: Edge, relayed: list[str], way: str) -> None:
    if way == "the long way":
        long_way(place)
    wrong: list[str] = []
    reached = 0
    async with before(place) as origin:
        for case in CASES:
            requests = await sent_on(place, origin, case.data + NEXT)
            reached += len(requests)
            if requests != passed_on(case):
                wrong.append(f"{case.name}: {requests} instead of {passed_on(case)}")
    assert not origin.faults, "\n".join(origin.faults)
    assert not wrong, "\n".join(wrong)
    assert reached > 60
    assert len(relayed) > 40 if way != "the long way" else not relayed


def passed_on(case: Case) -> list[str]:
    """What an edge asks its origin for: no distribution, no path, a body of a GET, half a handshake."""
    if case.name == "connection upgrade to a WebSocket not served":
        return []
    meant = [one for one in case.outcome.seen if not one.endswith("!")]
    split = [(one, one.split(" ", 3)) for one in meant]
    return [
        one for one, (method, target, host, body) in split if host and target != "*" and not (method == "GET" and body)
    ]


async def test_a_get_with_a_body_is_refused_cached_or_not(place: Edge) -> None:
    """ "If a viewer GET request includes a body, CloudFront returns an HTTP status code 403 (Forbidden)."""
    place.configure()
    head = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n".encode()
    for _ in range(3):
        assert (await place.raw(head + b"\r\n")).status == 200
        assert (await place.raw(head + b"Content-Length: 0\r\n\r\n")).status == 200
        assert (await place.raw(head + b"Content-Length: 3\r\n\r\nabc")).status == 403
        assert (await place.raw(head + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")).status == 403
    assert place.origin.targets == ["/"]
