"""JA3 and JA4 of real clients: told to origins by policy, looked at by web ACLs, taken only where somebody asks."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from littoral.edge.waf.guard import Firewall, Guard
from littoral.edge.waf.webacl import compile_acl
from littoral.net import hello
from littoral.net.listen import HttpListener, listen_http
from littoral.net.message import Headers, Request, Response
from littoral.net.pki import Authority
from littoral.net.tls import client_context, server_context
from littoral.protocols.clienthello import ClientHello, ja3, ja4, read
from tests.edge.place import DISABLED, HOST, Edge, edge, listed
from tests.edge.waf.place import rule, transformations, visible
from tests.net.wire import Wire, wire

BOTH = ["CloudFront-Viewer-JA3-Fingerprint", "CloudFront-Viewer-JA4-Fingerprint"]
GET = f"GET /a HTTP/1.1\r\nHost: {HOST}\r\nCloudFront-Viewer-JA4-Fingerprint: forged\r\n\r\n".encode()


def sent(context: ssl.SSLContext) -> bytes:
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST).do_handshake()
    return outgoing.read()


def fingerprints(context: ssl.SSLContext) -> tuple[str, str]:
    found = read(sent(context))
    assert isinstance(found, ClientHello)
    return ja3(found), ja4(found)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    issued = Authority.load_or_create(tmp_path_factory.mktemp("ca"), "Test CA").issue_server([HOST])
    return server_context((issued.certificate, issued.private_key))


@asynccontextmanager
async def secured(place: Edge, tls: ssl.SSLContext) -> AsyncIterator[HttpListener]:
    pipeline = place.pipeline
    listener = await listen_http(pipeline.handle, tls=tls, looks=pipeline.asks_for_fingerprints)
    try:
        yield listener
    finally:
        await listener.close(0)


async def ask(listener: HttpListener, context: ssl.SSLContext) -> int:
    async with wire(listener.port, ssl=context, server_hostname=HOST) as client:
        client.send(GET)
        return (await client.reply()).status


def policy(*names: str) -> dict[str, Any]:
    return {
        "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": listed(list(names))},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
    }


async def test_an_origin_is_told_where_its_policy_asks(tmp_path: Path, tls: ssl.SSLContext) -> None:
    one, other = client_context(verify=False, alpn=["http/1.1"]), client_context(verify=False)
    other.maximum_version = ssl.TLSVersion.TLSv1_2
    async with edge(tmp_path) as place, secured(place, tls) as listener:
        place.configure(behaviour={"CachePolicyId": DISABLED})
        assert not place.pipeline.asks_for_fingerprints()
        assert await ask(listener, one) == 200
        place.policies["own"] = policy(*BOTH)
        place.configure(behaviour={"CachePolicyId": DISABLED, "OriginRequestPolicyId": "own"})
        assert place.pipeline.asks_for_fingerprints()
        for context in (one, other):
            assert await ask(listener, context) == 200
        assert (await place.get("/a")).status == 200  # without TLS
        seen = [tuple(asked.headers.get(name) for name in BOTH) for asked in place.origin.asked]
        assert seen == [(None, None), fingerprints(one), fingerprints(other), (None, None)]


@pytest.mark.parametrize("kind", ["JA3Fingerprint", "JA4Fingerprint"])
async def test_a_web_acl_knows_a_client_by_it(tmp_path: Path, tls: ssl.SSLContext, kind: str) -> None:
    bad, good = client_context(verify=False), client_context(verify=False, alpn=["http/1.1"])
    wanted = fingerprints(bad)[kind == "JA4Fingerprint"]
    matching = {
        "ByteMatchStatement": {
            "SearchString": b64encode(wanted.encode()).decode(),  # as bundles carry it
            "FieldToMatch": {kind: {"FallbackBehavior": "NO_MATCH"}},
            "PositionalConstraint": "EXACTLY",
            "TextTransformations": transformations("NONE"),
        }
    }
    async with edge(tmp_path) as place, secured(place, tls) as listener:
        place.configure()
        guarded(place, {**rule("bad", matching), "Priority": 0})
        for _ in range(2):  # and when it is remembered
            assert [await ask(listener, context) for context in (bad, good)] == [403, 200]
        assert (await place.get("/a")).status == 200


@pytest.mark.parametrize(("fallback", "plain"), [("MATCH", 403), ("NO_MATCH", 200)])
async def test_rates_are_counted_by_it(tmp_path: Path, tls: ssl.SSLContext, fallback: str, plain: int) -> None:
    keys = [{"JA4Fingerprint": {"FallbackBehavior": fallback}}]
    rates = {"RateBasedStatement": {"Limit": 10, "AggregateKeyType": "CUSTOM_KEYS", "CustomKeys": keys}}
    one, other = client_context(verify=False), client_context(verify=False, alpn=["http/1.1"])
    async with edge(tmp_path) as place, secured(place, tls) as listener:
        place.configure()
        guarded(place, {**rule("many", rates), "Priority": 0})
        assert place.pipeline.asks_for_fingerprints()
        assert [await ask(listener, one) for _ in range(12)] == [200] * 10 + [403] * 2
        assert await ask(listener, other) == 200
        assert (await place.get("/a")).status == plain


def guarded(place: Edge, *rules: dict[str, Any]) -> None:
    document = {"ARN": "arn:a", "Name": "a", "DefaultAction": {"Allow": {}}, "Rules": rules}
    firewall = Firewall(place.clock, lambda: "id")
    acl = compile_acl({"acl": document | {"VisibilityConfig": visible("a")}})
    firewall.use({HOST: Guard(acl, "E1")})
    place.pipeline.firewall = firewall


async def shown(tls: ssl.SSLContext, pieces: int) -> tuple[str, str]:
    """What a listener finds when the ClientHello comes in pieces; the handshake goes on by itself afterwards."""
    seen: list[tuple[str, str]] = []

    def handle(request: Request) -> Response:
        seen.append((request.peer.ja3, request.peer.ja4))
        return Response(200, Headers(), b"ok")

    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(verify=False).wrap_bio(incoming, outgoing, server_hostname=HOST)
    listener = await listen_http(handle, tls=tls, looks=lambda: True)
    try:
        async with wire(listener.port) as plain, asyncio.timeout(20):
            await handshaken(client, incoming, outgoing, plain, pieces)
            client.write(GET)
            plain.send(outgoing.read())
            while not seen:
                await asyncio.sleep(0.002)
    finally:
        await listener.close(0)
    return seen[0]


async def handshaken(
    client: ssl.SSLObject, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, plain: Wire, pieces: int
) -> None:
    first = True
    while True:
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            data = outgoing.read()
            step = len(data) // pieces + 1 if first else max(1, len(data))
            first = False
            for at in range(0, len(data), step):
                plain.send(data[at : at + step])
                await asyncio.sleep(0.003)
            incoming.write(await plain.reader.read(20_000))
        else:
            plain.send(outgoing.read())
            return


async def test_a_hello_in_pieces_is_waited_for_and_one_in_crumbs_is_not(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = await shown(tls, 1)
    assert whole == fingerprints(client_context(verify=False))
    assert await shown(tls, 5) == whole
    monkeypatch.setattr(hello, "LOOKS", 1)
    monkeypatch.setattr("littoral.net.secure.LOOKS", 1)
    assert await shown(tls, 5) == ("", "")


async def test_who_breaks_off_or_speaks_something_else_is_gone(tls: ssl.SSLContext) -> None:
    listener = await listen_http(lambda request: Response(200), tls=tls, looks=lambda: True)
    try:
        for begin in (sent(client_context(verify=False))[:50], b"GET / HTTP/1.1\r\n\r\n", b""):
            async with wire(listener.port) as client, asyncio.timeout(20):
                client.send(begin)
                client.writer.write_eof()
                await client.ended()
    finally:
        await listener.close(0)
