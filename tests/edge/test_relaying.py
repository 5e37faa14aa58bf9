"""A relayed request and its answer are those of the long way, but for identifier, date and sizes of chunks."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from littoral.edge.accesslog.delivery import AccessLogs
from littoral.net.message import Handler, Headers, Request
from tests.edge.place import ALL_VIEWER, DISABLED, HOST, OPTIMIZED, Edge, answer, edge
from tests.edge.relays import long_way
from tests.net.wire import Wire, wire

DATE = b"Date: Sat, 28 Nov 2026 10:00:00 GMT\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + DATE
BIG = b"0123456789abcdef" * 65536
LENGTH = b"Content-Length: %d\r\n\r\n"

ANSWERS: dict[str, list[bytes]] = {  # each part is written by itself; b"" ends the connection
    "/plain": [OK + b"Content-Type: text/html\r\nETag: \"1\"\r\nCache-Control: no-store\r\n" + LENGTH % 4 + b"body"],
    "/undated": [b"HTTP/1.1 200 OK\r\n" + LENGTH % 4 + b"body"],
    "/empty": [OK + LENGTH % 0],
    "/no-content": [b"HTTP/1.1 204 No Content\r\n" + DATE + b"\r\n"],
    "/unchanged": [b"HTTP/1.1 304 Not Modified\r\n" + DATE + b"ETag: \"1\"\r\n" + LENGTH % 10],
    "/missing": [b"HTTP/1.1 404 Not Found\r\n" + DATE + LENGTH % 2 + b"no"],
    "/broken": [b"HTTP/1.1 503 Service Unavailable\r\n" + DATE + b"Retry-After: 3\r\n" + LENGTH % 2 + b"no"],
    "/moved": [b"HTTP/1.1 302 Found\r\n" + DATE + b"Location: /plain\r\n" + LENGTH % 0],
    "/odd-status": [b"HTTP/1.1 299 Quite\r\n" + DATE + LENGTH % 2 + b"ok"],
    "/cookies": [OK + b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n" + LENGTH % 2 + b"ok"],
    "/latin": [OK + b"X-Name: caf\xe9\r\n" + LENGTH % 2 + b"ok"],
    "/hops": [
        OK + b"Connection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTrailer: x\r\nTE: x\r\n"
        b"Proxy-Authenticate: Basic\r\n" + LENGTH % 2 + b"ok"
    ],
    "/told": [
        OK + b"Via: 1.1 cache\r\nX-Cache: Hit\r\nX-Amz-Cf-Id: x\r\nX-Amz-Cf-Pop: y\r\nAge: 7\r\n" + LENGTH % 2 + b"ok"
    ],
    "/closes": [OK + b"Connection: close\r\n" + LENGTH % 2 + b"ok", b""],
    "/until-close": [OK + b"\r\nsome", b"more", b""],
    "/old": [b"HTTP/1.0 200 OK\r\n" + DATE + b"\r\nold", b""],
    "/chunked": [OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n"],
    "/slow-head": [b"HTTP/1.1 20", b"0 OK\r\n" + DATE[:10], DATE[10:] + b"Content-Length: 2\r\n", b"\r\no", b"k"],
    "/slow-body": [OK + LENGTH % 6, b"abc", b"def"],
    "/big": [OK + LENGTH % len(BIG) + BIG],
    "/hints": [
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + LENGTH % 2 + b"ok"
    ],
    "/not-http": [b"SSH-2.0-x\r\n\r\n"],
    "/twice": [OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok"],
    "/both": [OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    "/coded": [OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    "/switches": [b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"],
    "/large-head": [OK + b"X-A: " + b"a" * 70_000 + b"\r\n" + LENGTH % 2 + b"ok"],
    "/cut-head": [OK, b""],
    "/cut-body": [OK + LENGTH % 10 + b"abc", b""],
    "/cut-chunks": [OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b""],
    "/bad-chunks": [OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", b"x\r\n"],
}  # fmt: skip

HEADERS = [
    b"",
    b"User-Agent: a\r\nAccept: */*\r\nAccept-Encoding: gzip\r\nCookie: a=1; b=2\r\nReferer: http://x/\r\n",
    b"X-Forwarded-For: 10.0.0.1\r\nX-Own: 1\r\nX-Own: 2\r\nAuthorization: x\r\nX-Amz-Cf-Id: mine\r\n",
    b"If-None-Match: \"1\"\r\nRange: bytes=0-1\r\nIf-Modified-Since: Sat, 28 Nov 2026 10:00:00 GMT\r\n",
    b"Connection: x-own\r\nX-Own: 1\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\n",
    b"Content_Length: 9\r\nCloudFront-Viewer-Country: XX\r\n",
]  # fmt: skip


@dataclass
class Origin:
    """Answers by the table; records heads."""

    heads: list[bytes] = field(default_factory=list)
    open: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        path = head.split(b" ")[1].decode().partition("?")[0]
        if path == "/silent":
            await reader.read()
            return False
        if path == "/waits":
            await self.go.wait()
        for part in ANSWERS.get(path, ANSWERS["/plain"]):
            if not part:
                return False
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        return True


@asynccontextmanager
async def before(place: Edge, behaviour: dict[str, Any] | None = None, **changes: Any) -> AsyncIterator[Origin]:
    """The edge passes all on to an origin by hand."""
    origin = Origin()
    server = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
    place.origin_port = server.sockets[0].getsockname()[1]
    place.configure(
        behaviour={"CachePolicyId": DISABLED, "OriginRequestPolicyId": ALL_VIEWER, **(behaviour or {})}, **changes
    )
    try:
        yield origin
    finally:
        server.close()


def ask(target: str, headers: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"GET %b HTTP/%b\r\nHost: %b\r\n%b\r\n" % (target.encode(), version, HOST.encode(), headers)


async def warmed(place: Edge, origin: Origin, port: int | None = None) -> None:
    """A connection to the origin waits."""
    async with wire(port or place.port) as viewer:
        viewer.send(ask("/plain"))
        assert (await viewer.reply()).status == 200
    origin.heads.clear()


async def outcome(port: int, data: bytes) -> tuple[Any, ...]:
    """All that a viewer gets to see, but for what differs each time, and whether its connection is kept."""
    async with wire(port) as viewer:
        viewer.send(data)
        try:
            heads, body = await answered(viewer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return (b"cut",)
        viewer.send(ask("/plain"))
        try:
            after = (await viewer.reply()).body
        except (asyncio.IncompleteReadError, ConnectionError):
            after = b"closed"
    return heads, body, after


async def answered(viewer: Wire) -> tuple[list[bytes], bytes]:
    heads: list[bytes] = []
    while not heads or heads[-1].startswith(b"HTTP/1.1 1"):
        heads.append(alike(await viewer.reader.readuntil(b"\r\n\r\n")))
    length = re.search(rb"\r\ncontent-length: (\d+)", heads[-1])
    if heads[-1][9:12] in (b"204", b"304"):
        body = b""
    elif b"transfer-encoding: chunked" in heads[-1]:
        body = b"".join([chunk async for chunk in viewer.chunks()])
    else:
        body = await (viewer.reader.readexactly(int(length[1])) if length else viewer.reader.read())
    return heads, re.sub(rb"Request ID: [^<]*", b"", body)


def alike(head: bytes) -> bytes:
    """A Date of today is the edge's own."""
    head = re.sub(rb"x-amz-cf-id: [^\r]*", b"x-amz-cf-id: I", head)
    return re.sub(rb"date: (?!Sat, 28 Nov 2026 10:00:00)[^\r]*", b"date: D", head)


@pytest.mark.parametrize("path", sorted(ANSWERS))
async def test_both_ways_give_the_same(place: Edge, tmp_path: Path, relayed: list[str], path: str) -> None:
    async with before(place) as origin, edge(tmp_path / "other") as other:
        other.origin_port = place.origin_port
        other.configure(behaviour={"CachePolicyId": DISABLED, "OriginRequestPolicyId": ALL_VIEWER})
        long_way(other)
        seen = []
        for one in (other, place):
            found = []
            for _ in range(3):  # the second and third time a head is known
                await warmed(one, origin)
                found.append((await outcome(one.port, ask(path)), [alike(head) for head in origin.heads[:1]]))
            seen.append(found)
    assert seen[1] == seen[0]
    assert path in relayed


@pytest.mark.parametrize("policy", ["none", "all"])
@pytest.mark.parametrize("headers", HEADERS)
async def test_the_origin_is_asked_the_same(
    place: Edge, tmp_path: Path, relayed: list[str], headers: bytes, policy: str
) -> None:
    behaviour = {"OriginRequestPolicyId": ALL_VIEWER} if policy == "all" else {"OriginRequestPolicyId": None}
    custom = {"CustomHeaders": {"Items": [{"HeaderName": "X-Own", "HeaderValue": "edge"}]}, "OriginPath": "/o"}
    async with before(place, behaviour, origin=custom | origin_at(place)) as origin, edge(tmp_path / "other") as other:
        custom |= origin_at(place)
        place.configure(behaviour={"CachePolicyId": DISABLED, **behaviour}, origin=custom, DefaultRootObject="index")
        other.configure(behaviour={"CachePolicyId": DISABLED, **behaviour}, origin=custom, DefaultRootObject="index")
        long_way(other)
        seen = []
        for one in (other, place):
            await warmed(one, origin)
            for target in ("/plain", "/plain?a=1&b=%20", "/", "/plain/%c3%a9//x"):
                await outcome(one.port, ask(target, headers))
            seen.append([alike(head) for head in origin.heads])
    assert seen[1] == seen[0]
    assert len(relayed) >= 8


def origin_at(place: Edge) -> dict[str, Any]:
    return {
        "CustomOriginConfig": {"HTTPPort": place.origin_port, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
    }


async def test_answers_keep_the_order_of_pipelined_requests(place: Edge, relayed: list[str]) -> None:
    async with before(place) as origin:
        await warmed(place, origin)
        async with wire(place.port) as viewer:
            paths = ["/chunked", "/plain", "/slow-body", "/missing", "/empty", "/plain"]
            viewer.send(b"".join(ask(path) for path in paths))
            replies = [await viewer.reply() for _ in paths]
    assert [reply.body for reply in replies] == [b"abcde", b"body", b"abcdef", b"no", b"", b"body"]
    assert relayed == paths


async def test_what_an_origin_sends_beyond_its_answer_is_not_the_next_one(place: Edge, relayed: list[str]) -> None:
    evil = OK + LENGTH % 4 + b"evil"
    for extra in (ANSWERS["/plain"][0] + evil, OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + evil):
        ANSWERS["/extra"] = [extra]
        async with before(place) as origin:
            for _ in range(3):
                await warmed(place, origin)
                async with wire(place.port) as viewer:
                    viewer.send(ask("/extra") + ask("/plain"))
                    assert (await viewer.reply()).status == 200
                    assert (await viewer.reply()).body == b"body"
    del ANSWERS["/extra"]
    assert "/extra" in relayed


async def test_a_connection_that_the_origin_has_closed_costs_no_viewer_an_error(
    place: Edge, relayed: list[str]
) -> None:
    async with before(place) as origin:
        for _ in range(20):
            await warmed(place, origin)
            for connection in list(place.pipeline.fetching.upstream.client._connections):
                connection._transport.get_extra_info("socket").shutdown(2)  # as if its FIN came just now
            async with wire(place.port) as viewer:
                viewer.send(ask("/plain"))
                assert (await viewer.reply()).body == b"body"


async def test_a_viewer_that_leaves_ends_what_it_had_asked_for(place: Edge, relayed: list[str]) -> None:
    ANSWERS["/endless"] = [
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        *[b"10000\r\n" + b"\0" * 65536 + b"\r\n"] * 10_000,
    ]
    async with before(place) as origin:
        await warmed(place, origin)
        for path in ("/endless", "/silent"):
            async with wire(place.port) as viewer:
                viewer.send(ask(path))
                await until(lambda path=path: path in relayed)
                if path == "/endless":
                    await viewer.reader.readexactly(200_000)
                reset(viewer)
            await until(lambda: not any(c._passage for c in place.pipeline.fetching.upstream.client._connections))
            await warmed(place, origin)
        await until(lambda: origin.open <= 1)
    del ANSWERS["/endless"]


async def test_a_viewer_that_does_not_read_holds_the_origin_back(place: Edge, relayed: list[str]) -> None:
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while b"/pour" not in await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWERS["/plain"][0])
        size = 100 * 1024 * 1024
        writer.write(OK + LENGTH % size)
        while sent < size:
            writer.write(b"\0" * 65536)
            await writer.drain()
            sent += 65536

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    place.origin_port = server.sockets[0].getsockname()[1]
    place.configure(behaviour={"CachePolicyId": DISABLED})
    async with wire(place.port) as viewer:
        viewer.send(ask("/plain"))
        await viewer.reply()
        viewer.send(ask("/pour"))
        await viewer.head()
        last = -1
        while sent != last:
            last = sent
            await asyncio.sleep(0.3)
        assert sent < 64 * 1024 * 1024
        left = 100 * 1024 * 1024
        while left:
            left -= len(await viewer.reader.read(1024 * 1024))
    server.close()
    assert relayed == ["/pour"]


async def test_no_answer_in_time_is_504_as_often_as_the_origin_may_be_tried(place: Edge, relayed: list[str]) -> None:
    custom = {"HTTPSPort": 443, "OriginProtocolPolicy": "http-only", "OriginReadTimeout": 0.2}
    for attempts in (1, 3):
        async with before(place) as origin:
            change = {"CustomOriginConfig": custom | {"HTTPPort": place.origin_port}, "ConnectionAttempts": attempts}
            await warmed(place, origin)
            place.configure(behaviour={"CachePolicyId": DISABLED}, origin=change)
            assert (await place.get("/silent")).status == 504
            await until(lambda origin=origin, attempts=attempts: len(origin.heads) == attempts)
    assert relayed == ["/silent", "/silent"]


async def test_custom_error_pages(place: Edge, relayed: list[str]) -> None:
    pages = [
        {"ErrorCode": 404, "ResponsePagePath": "/page", "ResponseCode": "200"},
        {"ErrorCode": 503, "ErrorCachingMinTTL": 1},
    ]
    ANSWERS["/page"] = [OK + LENGTH % 5 + b"sorry"]
    async with before(place, CustomErrorResponses={"Items": pages}) as origin:
        await warmed(place, origin)
        for _ in range(2):
            reply = await place.get("/missing")
            assert (reply.status, reply.body, reply.headers["x-cache"]) == (200, b"sorry", "Error from cloudfront")
            await warmed(place, origin)
        assert (await place.get("/broken")).body == b"no"
    del ANSWERS["/page"]
    assert relayed.count("/missing") == 2


async def test_each_answer_has_an_identifier_of_its_own_which_the_origin_was_told(
    place: Edge, relayed: list[str]
) -> None:
    async with before(place) as origin:
        await warmed(place, origin)
        async with wire(place.port) as viewer:
            told = []
            for _ in range(5):
                viewer.send(ask("/plain"))
                told.append((await viewer.reply()).headers["x-amz-cf-id"])
        asked = [re.findall(rb"x-amz-cf-id: ([^\r]*)", head)[0].decode() for head in origin.heads]
    assert asked == told
    assert len(set(told)) == len(relayed) == 5


async def test_old_viewers_and_other_methods_go_the_long_way(place: Edge, relayed: list[str]) -> None:
    async with before(place) as origin:
        await warmed(place, origin)
        for data in (
            ask("/plain", version=b"1.0"),
            ask("/plain").replace(b"GET", b"HEAD"),
            ask("/plain", b"TE: trailers\r\n"),
            ask("/plain", b"Content-Length: 0\r\n"),
            ask("/plain", b"Via: 1.1 x (CloudFront)\r\n"),
        ):
            assert (await place.raw(data)).status == 200
    assert relayed == []


async def test_what_is_counted_and_noted(place: Edge, tmp_path: Path, relayed: list[str]) -> None:
    class Nowhere:
        async def put(self, bucket: str, key: str, data: bytes) -> None:
            raise AssertionError("nothing is due")

    place.pipeline.access = AccessLogs(tmp_path / "logs", "TST1", Nowhere(), 3600.0)
    logging = {"Enabled": True, "Bucket": "logs.s3.amazonaws.com", "Prefix": "", "IncludeCookies": False}
    async with before(place, Logging=logging) as origin:
        await warmed(place, origin)
        notes = place.pipeline.access._notes.all
        for path in ("/plain", "/plain", "/chunked", "/missing"):
            await place.get(path)
        traffic = place.pipeline.traffic["E1"]
        assert (traffic.results, traffic.failures) == ({"Miss": 4, "Error": 1}, {404: 1})
        assert (place.pipeline.results["Miss"], place.pipeline.fetching.origin_requests) == (4, 5)
        assert traffic.origin_requests == 5
        noted = [(note[2].target, note[3], note[5], note[6]) for note in notes]
        assert noted == [
            ("/plain", 200, 4, True),
            ("/plain", 200, 4, True),
            ("/plain", 200, 4, True),
            ("/chunked", 200, 5, True),
            ("/missing", 404, 2, True),
        ]
        assert all(b"x-cache: " in note[4] if isinstance(note[4], bytes) else Headers(note[4]) for note in notes)
    assert relayed == ["/plain", "/plain", "/chunked", "/missing"]


def reset(viewer: Wire) -> None:
    """A FIN alone could be of a viewer that waits for its answer."""
    kernel: socket.socket = viewer.writer.get_extra_info("socket")
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    viewer.writer.transport.abort()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_kept_head_is_no_other_behaviours(place: Edge, relayed: list[str]) -> None:
    policy = {"CustomHeadersConfig": {"Items": [{"Header": "X-Policy", "Value": "1", "Override": True}]}}
    place.policies["own"] = policy
    other = {"PathPattern": "/plain/*", "TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all"}
    other |= {"CachePolicyId": DISABLED, "ResponseHeadersPolicyId": "own"}
    async with before(place, CacheBehaviors={"Items": [other]}) as origin:
        ANSWERS["/plain/x"] = ANSWERS["/plain"]
        await warmed(place, origin)
        async with wire(place.port) as viewer:
            for path in ("/plain", "/plain/x") * 3:
                viewer.send(ask(path))
                assert ("x-policy" in (await viewer.reply()).headers) == (path == "/plain/x")
    assert len(relayed) == 6


async def test_other_distributions_are_served_at_once(place: Edge, relayed: list[str]) -> None:
    async with before(place) as origin:
        await warmed(place, origin)
        async with wire(place.port) as viewer:
            for _ in range(3):
                viewer.send(ask("/plain"))
                assert (await viewer.reply()).status == 200
            place.configure(behaviour={"CachePolicyId": DISABLED, "ViewerProtocolPolicy": "https-only"})
            viewer.send(ask("/plain"))
            assert (await viewer.reply()).status == 403


async def test_the_head_of_an_error_page_that_is_missing_itself_is_not_every_missing_ones(
    place: Edge, relayed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = [{"ErrorCode": 404, "ResponsePagePath": "/page", "ResponseCode": "404"}]
    monkeypatch.setitem(ANSWERS, "/page", ANSWERS["/missing"])
    async with before(place, CustomErrorResponses={"Items": pages}) as origin:
        for path in ("/page", "/page", "/missing"):
            await warmed(place, origin)
            origin.heads.clear()
            assert (await place.get(path)).status == 404
            assert len(origin.heads) == (2 if path == "/missing" else 1)
    assert [target for target in relayed if target != "/plain"] == ["/page", "/page", "/missing"]


@pytest.mark.parametrize("policy", [DISABLED, OPTIMIZED])
async def test_a_firewall_that_hands_on_sees_the_same_request_each_time(place: Edge, policy: str) -> None:
    class Watching:
        active, guards, seen = True, object(), 0

        def admit(self, request: Request, onward: Handler, refuse: object) -> Any:
            self.seen += 1
            return onward(request)

    place.configure(behaviour={"CachePolicyId": policy})
    place.origin.respond = lambda _: answer(b"body", cache_control="max-age=60")
    firewall = Watching()
    place.pipeline.firewall = firewall  # type: ignore[assignment]
    async with wire(place.port) as viewer:
        for _ in range(6):
            viewer.send(ask("/a"))
            assert (await viewer.reply()).body == b"body"
    assert firewall.seen == 6
