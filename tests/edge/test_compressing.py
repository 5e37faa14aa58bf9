"""Compression at the edge, as "Serve compressed files" has it."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import brotli
import pytest

from littoral.edge.compressing import zstd
from littoral.net.message import Headers, Request, Response
from tests.edge.place import OPTIMIZED, Edge, answer, cache_policy, edge, listed
from tests.net.wire import Reply

TEXT = b"".join(b"%d bottles of beer on the wall, " % number for number in range(3000))
UNCOMPRESSED = "b2884449-e4de-46a7-ac36-70bc7f1ddd6d"
BOTH = {"EnableAcceptEncodingGzip": True, "EnableAcceptEncodingBrotli": True}


def shown(reply: Reply) -> bytes:
    kind = reply.headers.get("content-encoding")
    decoders = {"br": brotli.decompress, "gzip": gzip.decompress, "zstd": zstd().decompress, None: bytes}
    found: bytes = decoders[kind](reply.body)
    return found


def text(body: bytes = TEXT, **more: str) -> Response:
    return answer(body, **{"content_type": "text/html; charset=utf-8", "cache_control": "max-age=60", **more})


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br", "br"),
        ("gzip", "gzip"),
        ("br", "br"),
        ("br;q=0, gzip", "gzip"),
        ("br;q=0.000 , gzip;q=0.5", "gzip"),
        ("identity", None),
        ("zstd", None),
    ],
)
async def test_what_the_viewer_accepts(place: Edge, accepted: str, encoding: str | None) -> None:
    place.configure(behaviour={"Compress": True})
    place.origin.respond = lambda _: text(etag='"1"')
    for label in ("Miss", "Hit", "Hit"):
        reply = await place.get("/a", accept_encoding=accepted)
        assert reply.headers["x-cache"] == f"{label} from cloudfront"
        assert (reply.headers.get("content-encoding"), shown(reply) == TEXT) == (encoding, True)
        assert reply.headers["etag"] == ('W/"1"' if encoding else '"1"')
        assert ("accept-encoding" in reply.headers.get("vary", "").lower()) == (encoding is not None)
    assert len(reply.body) < len(TEXT) / 5 or encoding is None
    assert len(place.origin.asked) == 1


@pytest.mark.parametrize(
    ("status", "size", "headers", "compressed"),
    [
        (200, 1000, {}, True),
        (200, 999, {}, False),
        (404, 2000, {}, True),
        (403, 2000, {}, True),
        (500, 2000, {}, False),
        (200, 2000, {"content_type": "image/png"}, False),
        (200, 2000, {"content_type": "application/vnd.apple.mpegurl"}, True),
        (200, 2000, {"content_encoding": "zstd"}, False),
        (200, 2000, {"cache_control": "max-age=60, no-transform"}, False),
        (200, 2000, {"etag": 'W/"1"'}, True),
        (200, 10_000_001, {}, False),
    ],
)
async def test_what_is_compressed(
    place: Edge, status: int, size: int, headers: dict[str, str], compressed: bool
) -> None:
    place.configure(behaviour={"Compress": True})
    body = (TEXT * (size // len(TEXT) + 1))[:size]
    place.origin.respond = lambda _: text(body, **headers) if status == 200 else _status(text(body, **headers), status)
    reply = await place.get("/a", accept_encoding="gzip")
    assert (reply.status, reply.headers.get("content-encoding") == "gzip") == (status, compressed)
    assert not compressed or gzip.decompress(reply.body) == body


def _status(response: Response, status: int) -> Response:
    response.status = status
    return response


@pytest.mark.parametrize("behaviour", [{}, {"Compress": True, "CachePolicyId": "none"}])
async def test_only_where_behaviour_and_policy_say_so(place: Edge, behaviour: dict[str, Any]) -> None:
    place.policies["none"] = cache_policy()
    place.configure(behaviour=behaviour)
    place.origin.respond = lambda _: text()
    assert "content-encoding" not in (await place.get("/a", accept_encoding="br, gzip")).headers


async def test_gzip_alone_and_legacy_settings(place: Edge) -> None:
    place.policies["gzip"] = cache_policy(EnableAcceptEncodingGzip=True)
    values = {"QueryString": False, "Cookies": {"Forward": "none"}}
    legacy = {"CachePolicyId": "", "ForwardedValues": values, "MinTTL": 0, "DefaultTTL": 60, "MaxTTL": 600}
    place.origin.respond = lambda _: text()
    for number, behaviour in enumerate(({"CachePolicyId": "gzip"}, legacy)):
        place.configure(behaviour={"Compress": True, **behaviour})
        reply = await place.get(f"/{number}", accept_encoding="br, gzip")
        assert reply.headers["content-encoding"] == "gzip"


async def test_without_a_length_or_over_http_1_0_it_stays_as_it_is(place: Edge) -> None:
    place.configure(behaviour={"Compress": True})

    async def pieces() -> AsyncIterator[bytes]:
        yield TEXT

    place.origin.respond = lambda _: Response(200, Headers.of([("content-type", "text/html")]), pieces())
    assert "content-encoding" not in (await place.get("/a", accept_encoding="gzip")).headers
    place.origin.respond = lambda _: text()
    old = f"GET /b HTTP/1.0\r\nHost: {place.pipeline.plans()[0].domain}\r\nAccept-Encoding: gzip\r\n\r\n".encode()
    assert "content-encoding" not in (await place.raw(old)).headers


async def test_a_compressed_object_is_revalidated_with_the_origins_own_tag(place: Edge) -> None:
    place.configure(behaviour={"Compress": True})

    def respond(request: Request) -> Response:
        if request.headers.get("if-none-match") == '"1"':
            return answer(b"", 304, etag='"1"', cache_control="max-age=60")
        return text(etag='"1"')

    place.origin.respond = respond
    await place.get("/a", accept_encoding="gzip")
    place.clock.ahead = 61
    reply = await place.get("/a", accept_encoding="gzip")
    assert (reply.headers["x-cache"], reply.headers["etag"]) == ("RefreshHit from cloudfront", 'W/"1"')
    assert shown(reply) == TEXT
    assert (await place.get("/a", accept_encoding="gzip", if_none_match='W/"1"')).status == 304
    assert (await place.get("/a", accept_encoding="gzip", range="bytes=0-1", if_range='W/"1"')).status == 200


async def test_two_hundred_viewers_one_compression(place: Edge) -> None:
    place.configure(behaviour={"Compress": True})
    body = random.Random(2).randbytes(1_000_000) + TEXT * 20
    gate = asyncio.Event()

    async def slow(_: Request) -> Response:
        await gate.wait()
        return text(body)

    place.origin.respond = slow
    viewers = [asyncio.create_task(place.get("/a", accept_encoding="br")) for _ in range(200)]
    while not place.origin.asked:
        await asyncio.sleep(0)
    gate.set()
    assert {reply.body for reply in await asyncio.gather(*viewers)} == {
        (await place.get("/a", accept_encoding="br")).body
    }
    assert brotli.decompress((await place.get("/a", accept_encoding="br")).body) == body
    assert len(place.origin.asked) == 1


async def test_head_shows_what_a_get_would(place: Edge) -> None:
    place.configure(behaviour={"Compress": True, "CachePolicyId": OPTIMIZED})
    place.origin.respond = lambda _: text()
    head = await place.get("/a", "HEAD", accept_encoding="gzip")
    body = await place.get("/a", accept_encoding="gzip")
    assert (head.headers["content-encoding"], shown(body)) == ("gzip", TEXT)
    assert len(place.origin.asked) == 1


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("gzip, br, zstd", "zstd"), ("zstd;q=0, br", "br"), ("gzip", "gzip")]
)
async def test_a_place_may_offer_zstandard(tmp_path: Path, accepted: str, encoding: str) -> None:
    async with edge(tmp_path, zstd=True) as place:
        place.configure(behaviour={"Compress": True})
        place.origin.respond = lambda _: text()
        for label in ("Miss", "Hit"):
            reply = await place.get("/a", accept_encoding=accepted)
            assert reply.headers["x-cache"] == f"{label} from cloudfront"
            assert (reply.headers.get("content-encoding"), shown(reply) == TEXT) == (encoding, True)
        assert place.origin.asked[0].headers.get("accept-encoding") == accepted.replace("zstd;q=0, ", "").replace(
            "gzip, br, zstd", "zstd,br,gzip"
        )
        place.configure(behaviour={"Compress": True, "CachePolicyId": UNCOMPRESSED})
        assert "content-encoding" not in (await place.get("/b", accept_encoding=accepted)).headers


async def test_an_origins_zstandard_is_stored_where_the_policy_keys_it(place: Edge) -> None:
    """As with CloudFront: a policy that has Accept-Encoding among its headers, and compresses nothing itself."""
    place.policies = place.policies | {
        "own": cache_policy(HeadersConfig={"HeaderBehavior": "whitelist", "Headers": listed(["Accept-Encoding"])})
    }
    place.configure(behaviour={"CachePolicyId": "own"})
    packed = zstd().compress(TEXT)
    place.origin.respond = lambda request: (
        text(packed, content_encoding="zstd") if "zstd" in (request.headers.get("accept-encoding") or "") else text()
    )
    for label in ("Miss", "Hit"):
        for accepted, encoding in (("zstd", "zstd"), ("gzip", None)):
            reply = await place.get("/a", accept_encoding=accepted)
            assert reply.headers["x-cache"] == f"{label} from cloudfront"
            assert (reply.headers.get("content-encoding"), shown(reply) == TEXT) == (encoding, True)
