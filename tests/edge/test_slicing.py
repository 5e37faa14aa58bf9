"""Ranges of what is not stored: only what is needed comes from the origin, pieces are kept and never mixed."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.edge.ranges import BLOCK, first_asked, spans_of
from littoral.net.message import Request, Response
from tests.edge.place import Edge, answer, edge
from tests.net.wire import Reply

BODY = random.Random(5).randbytes(5 * BLOCK + 1000)


def label(reply: Reply) -> str:
    return reply.headers["x-cache"].partition(" ")[0]


@dataclass
class Ranged:
    """An origin that does ranges and conditions, as S3 does."""

    body: bytes = BODY
    etag: str = '"v1"'
    more: dict[str, str] = field(default_factory=lambda: {"cache_control": "max-age=60"})
    asked: list[str | None] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        text = request.headers.get("range")
        self.asked.append(text)
        headers = {**self.more, **({"etag": self.etag} if self.etag else {})}
        if self.etag and request.headers.get("if-none-match") == self.etag:
            return answer(b"", 304, **headers)
        spans = spans_of(text, len(self.body)) if text else None
        if spans is None:
            return answer(self.body, **headers)
        if not spans:
            return answer(b"", 416, content_range=f"bytes */{len(self.body)}", **headers)
        first, last = spans[0]
        span = f"bytes {first}-{last}/{len(self.body)}"
        return answer(self.body[first : last + 1], 206, content_range=span, **headers)


def block(number: int) -> str:
    return f"bytes={number * BLOCK}-{(number + 1) * BLOCK - 1}"


@pytest.mark.parametrize(
    ("asked", "span", "blocks"),
    [
        ("bytes=10-19", (10, 19), [0]),
        (f"bytes={2 * BLOCK + 5}-{2 * BLOCK + 9}", (2 * BLOCK + 5, 2 * BLOCK + 9), [2]),
        (f"bytes={BLOCK - 3}-{2 * BLOCK}", (BLOCK - 3, 2 * BLOCK), [0, 1, 2]),
        (f"bytes={4 * BLOCK}-", (4 * BLOCK, len(BODY) - 1), [4, 5]),
        ("bytes=-500", (len(BODY) - 500, len(BODY) - 1), [0, 5]),
    ],
)
async def test_a_range_fetches_the_blocks_it_needs(
    place: Edge, asked: str, span: tuple[int, int], blocks: list[int]
) -> None:
    origin = place.origin.respond = Ranged()
    first, last = span
    for expected in ("Miss", "Hit"):
        reply = await place.get("/film", range=asked)
        assert (reply.status, label(reply)) == (206, expected)
        assert reply.headers["content-range"] == f"bytes {first}-{last}/{len(BODY)}"
        assert reply.body == BODY[first : last + 1]
        assert (reply.headers["etag"], "age" in reply.headers) == ('"v1"', True)
    assert origin.asked == [block(number) for number in blocks]


async def test_a_small_object_is_whole_after_its_first_range(place: Edge) -> None:
    origin = place.origin.respond = Ranged(b"0123456789")
    assert (await place.get("/a", range="bytes=2-4")).body == b"234"
    reply = await place.get("/a")
    assert (reply.status, label(reply), reply.body) == (200, "Hit", b"0123456789")
    assert "content-range" not in reply.headers
    assert len(origin.asked) == 1


async def test_several_ranges(place: Edge) -> None:
    origin = place.origin.respond = Ranged()
    spans = [(5, 9), (BLOCK, BLOCK + 4), (len(BODY) - 3, len(BODY) - 1)]
    reply = await place.get("/film", range="bytes=5-9, 1048576-1048580, -3")
    kind, _, boundary = reply.headers["content-type"].partition("; boundary=")
    assert (reply.status, kind) == (206, "multipart/byteranges")
    parts = reply.body.split(b"--" + boundary.encode())
    shown = [part.partition(b"\r\n\r\n")[2][:-2] for part in parts[1:-1]]
    assert shown == [BODY[first : last + 1] for first, last in spans]
    assert parts[-1] == b"--\r\n"
    assert origin.asked == [block(0), block(1), block(5)]


async def test_overlapping_ranges_are_answered_whole(place: Edge) -> None:
    place.origin.respond = Ranged()
    reply = await place.get("/film", range="bytes=5-9,7-12")
    assert (reply.status, reply.body == BODY) == (200, True)


async def test_beyond_the_end(place: Edge) -> None:
    place.origin.respond = Ranged()
    for _ in range(2):
        reply = await place.get("/film", range=f"bytes={len(BODY)}-")
        assert (reply.status, reply.headers["content-range"]) == (416, f"bytes */{len(BODY)}")


async def test_the_whole_is_put_together_from_what_is_there(place: Edge) -> None:
    origin = place.origin.respond = Ranged()
    await place.get("/film", range="bytes=0-10")
    await place.get("/film", range=f"bytes={3 * BLOCK}-{3 * BLOCK}")
    reply = await place.get("/film")
    assert (reply.status, reply.body == BODY, reply.headers["content-length"]) == (200, True, str(len(BODY)))
    assert sorted(str(each) for each in origin.asked) == [block(number) for number in range(6)]


async def test_if_range(place: Edge) -> None:
    place.origin.respond = Ranged()
    assert (await place.get("/film", range="bytes=0-1", if_range='"v1"')).status == 206
    reply = await place.get("/film", range="bytes=0-1", if_range='"v0"')
    assert (reply.status, reply.body == BODY) == (200, True)
    assert (await place.get("/film", range="bytes=0-1", if_none_match='"v1"')).status == 304


async def test_blocks_are_revalidated(place: Edge) -> None:
    origin = place.origin.respond = Ranged()
    await place.get("/film", range="bytes=0-10")
    place.clock.ahead = 61
    reply = await place.get("/film", range="bytes=0-10")
    assert (reply.status, label(reply), reply.body) == (206, "RefreshHit", BODY[:11])
    assert origin.asked == [block(0), block(0)]


async def test_versions_are_never_mixed(place: Edge) -> None:
    place.origin.respond = Ranged()
    await place.get("/film", range=f"bytes={BLOCK}-{BLOCK + 9}")  # block 1 of the first version is kept
    other = bytes(reversed(BODY))
    place.origin.respond = Ranged(other, '"v2"')
    reply = await place.get("/film", range=f"bytes=0-{2 * BLOCK}")
    assert reply.body == other[: 2 * BLOCK + 1]
    place.origin.respond = Ranged(BODY, '"v3"')
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):  # its beginning had been sent
        await place.get("/film", range=f"bytes={2 * BLOCK}-{4 * BLOCK}")
    reply = await place.get("/film", range=f"bytes={2 * BLOCK}-{4 * BLOCK}")
    assert reply.body == BODY[2 * BLOCK : 4 * BLOCK + 1]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
async def test_what_cannot_be_put_together_is_fetched_whole(place: Edge, etag: str) -> None:
    origin = place.origin.respond = Ranged(etag=etag)
    reply = await place.get("/film", range=f"bytes={2 * BLOCK}-{4 * BLOCK}")
    assert (reply.status, reply.body) == (206, BODY[2 * BLOCK : 4 * BLOCK + 1])
    assert (await place.get("/film")).body == BODY
    assert origin.asked == [block(2), None]


async def test_what_may_not_be_stored_is_asked_for_as_it_was(place: Edge) -> None:
    place.configure(behaviour={"CachePolicyId": "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"})
    origin = place.origin.respond = Ranged(more={"cache_control": "no-store"})
    assert (await place.get("/film", range="bytes=7-9")).body == BODY[7:10]
    assert origin.asked == ["bytes=7-9"]


async def test_an_origin_without_ranges_is_asked_once(place: Edge) -> None:
    gate = asyncio.Event()

    async def slow(_: Request) -> Response:
        await gate.wait()
        return answer(BODY, cache_control="max-age=60")

    place.origin.respond = slow
    viewers = [asyncio.create_task(place.get("/film", range=f"bytes={n}-{n + 2 * BLOCK}")) for n in range(20)]
    while not place.origin.asked:
        await asyncio.sleep(0)
    gate.set()
    for number, reply in enumerate(await asyncio.gather(*viewers)):
        assert (reply.status, reply.body == BODY[number : number + 2 * BLOCK + 1]) == (206, True)
    assert (await place.get("/film")).body == BODY
    assert len(place.origin.asked) == 1


async def test_fifty_viewers_of_one_range_are_one_request(place: Edge) -> None:
    origin = place.origin.respond = Ranged()
    replies = await asyncio.gather(*(place.get("/film", range=f"bytes=0-{2 * BLOCK}") for _ in range(50)))
    assert all(reply.body == BODY[: 2 * BLOCK + 1] for reply in replies)
    assert sorted(str(each) for each in origin.asked) == [block(0), block(1), block(2)]


@pytest.mark.parametrize("status", [404, 500, 403])
async def test_errors_are_the_objects(place: Edge, status: int) -> None:
    place.origin.respond = lambda _: answer(b"no", status)
    for _ in range(2):
        reply = await place.get("/film", range="bytes=0-9")
        assert (reply.status, reply.body) == (status, b"no")


async def test_an_invalidation_takes_the_blocks(place: Edge) -> None:
    origin = place.origin.respond = Ranged()
    await place.get("/film", range="bytes=0-9")
    await place.pipeline.cache.invalidate("E1", ["/film"])
    assert label(await place.get("/film", range="bytes=0-9")) == "Miss"
    assert len(origin.asked) == 2


async def test_blocks_survive_a_restart(tmp_path: Path) -> None:
    async with edge(tmp_path) as first:
        first.origin.respond = Ranged()
        await first.get("/film", range=f"bytes=0-{2 * BLOCK}")
    async with edge(tmp_path) as second:
        reply = await second.get("/film", range=f"bytes=9-{BLOCK}")
        assert (label(reply), reply.body) == ("Hit", BODY[9 : BLOCK + 1])
        assert second.origin.asked == []


@given(st.text("bytes=0123456789-, ", max_size=30), st.integers(0, 40))
def test_spans_are_ascending_and_within(text: str, size: int) -> None:
    spans = spans_of(text, size)
    if spans is not None:
        assert all(0 <= first <= last < size for first, last in spans)
        assert spans == sorted(spans)
        assert first_asked(text) is not None or spans == []


async def test_a_player_that_seeks(place: Edge) -> None:
    """Seeks over a film as a player does: the origin sends about what was watched, not the film each time."""
    origin: Any = Ranged()
    place.origin.respond = origin
    for at in (0, 4 * BLOCK, 2 * BLOCK + 77, 4 * BLOCK + 5):
        reply = await place.get("/film", range=f"bytes={at}-{at + 100_000}")
        assert reply.body == BODY[at : at + 100_001]
    assert origin.asked == [block(0), block(4), block(2)]
