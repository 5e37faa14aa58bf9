"""A thousand at once, HEAD from GET, errors that are kept: what the origin sees of it, and what it costs in memory."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from tests.edge.place import HOST, Edge, answer, cache_policy, listed
from tests.net.wire import Reply

MIB = 1024 * 1024


def label(reply: Reply) -> str:
    return reply.headers["x-cache"].partition(" ")[0]


def viewer(target: str = "/a", method: str = "GET") -> Request:
    return Request(method, target, Headers.of([("host", HOST)]), BytesBody(), Peer("127.0.0.1", 1))


async def ask(place: Edge, request: Request) -> tuple[int, int]:
    """Status and bytes of the body, without a socket."""
    made = place.pipeline.handle(request)
    response = made if isinstance(made, Response) else await made  # type: ignore[misc]
    assert isinstance(response, Response)
    if isinstance(response.body, bytes):
        return response.status, len(response.body)
    assert not hasattr(response.body, "path")
    return response.status, sum([len(piece) async for piece in response.body])


async def test_a_thousand_waiters_on_a_slow_miss(place: Edge) -> None:
    gate = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(12):
            await gate.wait()
            yield bytes(MIB // 4)

    headers = [("cache-control", "max-age=60"), ("content-length", str(3 * MIB))]
    place.origin.respond = lambda _: Response(200, Headers.of(headers), pieces())
    tracemalloc.start()
    try:
        waiting = [asyncio.create_task(ask(place, viewer())) for _ in range(1000)]
        while not place.origin.asked:
            await asyncio.sleep(0)
        gate.set()
        assert set(await asyncio.gather(*waiting)) == {(200, 3 * MIB)}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(place.origin.asked) == 1
    assert peak < 200 * MIB  # the same pieces for all, never a body for each (3 GB)


async def test_a_thousand_on_an_expired_object(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"old", cache_control="max-age=60", etag='"1"')
    await place.get("/a")
    place.clock.ahead = 61
    gate = asyncio.Event()

    async def slow(request: Request) -> Response:
        await gate.wait()
        assert request.headers.get("if-none-match") == '"1"'
        return answer(b"", 304, cache_control="max-age=60", etag='"1"')

    place.origin.respond = slow
    waiting = [asyncio.create_task(ask(place, viewer())) for _ in range(1000)]
    while len(place.origin.asked) < 2:
        await asyncio.sleep(0)
    gate.set()
    assert set(await asyncio.gather(*waiting)) == {(200, 3)}
    assert len(place.origin.asked) == 2


async def test_different_keys_are_never_collapsed(place: Edge) -> None:
    gate = asyncio.Event()

    async def slow(request: Request) -> Response:
        await gate.wait()
        return answer(request.target.encode() * 2, cache_control="max-age=60")

    place.origin.respond = slow
    waiting = [asyncio.create_task(ask(place, viewer(f"/{number:03}"))) for number in range(50)]
    gate.set()
    assert set(await asyncio.gather(*waiting)) == {(200, 8)}
    assert len(place.origin.asked) == 50


async def test_head_is_answered_from_get_and_fills_for_it(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"0123456789", cache_control="max-age=60", etag='"1"')
    await place.get("/got")
    head = await place.get("/got", "HEAD")
    assert (head.status, label(head), head.body, head.headers["content-length"]) == (200, "Hit", b"", "10")
    first = await place.get("/headed", "HEAD")
    assert (first.status, label(first), first.headers["content-length"]) == (200, "Miss", "10")
    async with asyncio.timeout(10):
        while label(reply := await place.get("/headed")) != "Hit":
            await asyncio.sleep(0)
    assert reply.body == b"0123456789"
    assert [(each.method, each.target) for each in place.origin.asked] == [("GET", "/got"), ("GET", "/headed")]


@pytest.mark.parametrize("status", [404, 414, 500, 501, 502, 503, 504])
async def test_these_errors_are_kept(place: Edge, status: int) -> None:
    place.origin.respond = lambda _: answer(b"error", status, cache_control="no-store")
    for _ in range(3):
        assert (await place.get("/a")).status == status
    place.clock.ahead = 11
    await place.get("/a")
    assert len(place.origin.asked) == 2


@pytest.mark.parametrize("status", [400, 403, 405, 412, 415])
@pytest.mark.parametrize(("control", "asked"), [(None, 3), ("max-age=100", 1), ("s-maxage=100", 1)])
async def test_and_these_where_the_origin_says_how_long(
    place: Edge, status: int, control: str | None, asked: int
) -> None:
    headers = {} if control is None else {"cache_control": control}
    place.origin.respond = lambda _: answer(b"error", status, **headers)
    for _ in range(3):
        assert (await place.get("/a")).status == status
    assert len(place.origin.asked) == asked


async def test_the_error_minimum_is_the_distributions(place: Edge) -> None:
    place.configure(CustomErrorResponses=listed([{"ErrorCode": 404, "ErrorCachingMinTTL": 100}]))
    place.origin.respond = lambda _: answer(b"none", 404, cache_control="max-age=5")
    await place.get("/a")
    place.clock.ahead = 99
    await place.get("/a")
    assert len(place.origin.asked) == 1
    place.clock.ahead = 101
    await place.get("/a")
    assert len(place.origin.asked) == 2


async def test_with_a_minimum_ttl_nothing_is_forbidden(place: Edge) -> None:
    """CF6: no-cache, no-store and private count only where the minimum is 0."""
    place.policies["min"] = cache_policy(minimum=30)
    place.configure(behaviour={"CachePolicyId": "min"})
    place.origin.respond = lambda _: answer(b"x", cache_control="private, no-store")
    for _ in range(3):
        await place.get("/a")
    place.clock.ahead = 31
    await place.get("/a")
    assert len(place.origin.asked) == 2
