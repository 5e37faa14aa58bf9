"""A hit that is answered from memory of earlier ones is the same answer, and never another object's."""

from __future__ import annotations

from typing import Any

import pytest

from littoral.edge.plan import compile_plan
from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from tests.edge.place import HOST, Edge, answer, cache_policy, listed


@pytest.fixture(params=["a connection each", "one connection"])
def place(place: Edge, request: pytest.FixtureRequest) -> Edge:
    """On one connection, what comes again byte by byte is answered without the handler."""
    place.keeps = request.param == "one connection"
    return place


async def test_the_first_and_the_later_hits_are_alike(place: Edge) -> None:
    place.origin.respond = lambda _: answer(
        b"page", content_type="text/html", etag='"1"', cache_control="max-age=60", x_own="a"
    )
    await place.get("/a")
    replies = [await place.get("/a") for _ in range(4)]
    identifiers = {reply.headers.pop("x-amz-cf-id") for reply in replies}
    assert len(identifiers) == 4
    shown = {frozenset((n, v) for n, v in reply.headers.items() if n not in {"date", "age"}) for reply in replies}
    assert len(shown) == 1
    assert dict(next(iter(shown))) == {
        "content-type": "text/html",
        "etag": '"1"',
        "cache-control": "max-age=60",
        "x-own": "a",
        "x-cache": "Hit from cloudfront",
        "via": "1.1 TST1.cloudfront.net (CloudFront)",
        "x-amz-cf-pop": "TST1",
        "content-length": "4",
    }
    assert {reply.body for reply in replies} == {b"page"}


async def test_age_goes_on_and_freshness_ends(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"page", cache_control="max-age=60")
    await place.get("/a")
    for ahead in (0, 0, 10, 10, 50):
        place.clock.ahead = ahead
        assert ahead <= int((await place.get("/a")).headers["age"]) <= ahead + 2
    place.clock.ahead = 61
    assert (await place.get("/a")).headers["x-cache"] == "Miss from cloudfront"
    assert int((await place.get("/a")).headers["age"]) <= 2
    place.clock.ahead = -1000  # the clock was set back
    assert int((await place.get("/a")).headers["age"]) == 0


async def test_a_refreshed_object_shows_its_new_headers(place: Edge) -> None:
    def respond(request: Request) -> Response:
        again = "if-none-match" in request.headers
        return answer(
            b"" if again else b"page", 304 if again else 200, etag='"1"', cache_control="max-age=60", x_v=str(again)
        )

    place.origin.respond = respond
    for _ in range(3):
        assert (await place.get("/a")).headers["x-v"] == "False"
    place.clock.ahead = 61
    for _ in range(3):
        reply = await place.get("/a")
        assert (reply.headers["x-v"], reply.body) == ("True", b"page")


async def test_ranges_conditions_and_head_of_a_known_request(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"0123456789", etag='"1"', cache_control="max-age=60")
    for _ in range(3):
        await place.get("/a")
    assert (await place.get("/a", range="bytes=1-2")).body == b"12"
    assert (await place.get("/a", if_none_match='"1"')).status == 304
    head = await place.get("/a", method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "10")


async def test_headers_sent_twice_make_no_other_key(place: Edge) -> None:
    place.policies["zip"] = cache_policy(EnableAcceptEncodingGzip=True)
    place.configure(behaviour={"CachePolicyId": "zip"})
    place.origin.respond = lambda request: answer((request.headers.get("accept-encoding") or "plain").encode())
    twice = f"GET /a HTTP/1.1\r\nHost: {HOST}\r\nAccept-Encoding: gzip\r\nAccept-Encoding: identity\r\n\r\n".encode()
    for _ in range(3):
        assert (await place.raw(twice)).body == b"gzip"
        assert (await place.get("/a", accept_encoding="identity")).body == b"plain"
        assert (await place.get("/a", accept_encoding="gzip, br")).body == b"gzip"


async def test_another_configuration_is_used_at_once(place: Edge) -> None:
    for _ in range(3):
        await place.get("/a")
    place.configure(behaviour={"ViewerProtocolPolicy": "https-only"})
    assert (await place.get("/a")).status == 403
    place.configure(behaviour={"triggers": [place.trigger("viewer-request", lambda _: {"status": "401"})]})
    assert (await place.get("/a")).status == 401
    place.pipeline.use({})
    assert (await place.get("/a")).status == 403


async def test_an_invalidated_object_is_gone(place: Edge) -> None:
    for _ in range(3):
        await place.get("/a")
    await place.pipeline.cache.invalidate("E1", ["/a"])
    assert (await place.get("/a")).headers["x-cache"] == "Miss from cloudfront"


async def test_two_distributions_never_share(place: Edge) -> None:
    plans = {
        "E1": compile_plan("E1", HOST, place.config(), place.policies),
        "E2": compile_plan("E2", "other.cloudfront.net", place.config(origin={"OriginPath": "/o"}), place.policies),
    }
    place.pipeline.use(plans)
    place.origin.respond = lambda request: answer(request.target.encode())
    for _ in range(3):
        assert (await place.get("/a")).body == b"/a"
        assert (await place.get("/a", host="other.cloudfront.net")).body == b"/o/a"


async def test_authorization_that_is_forwarded_and_not_in_the_key_is_never_shared(place: Edge) -> None:
    own = {
        "HeadersConfig": {"HeaderBehavior": "whitelist", **{"Headers": listed(["Authorization"])}},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
    }
    place.policies["auth"] = own
    place.configure(behaviour={"OriginRequestPolicyId": "auth"})
    place.origin.respond = lambda request: answer((request.headers.get("authorization") or "nobody").encode())
    for who in ("nobody", "ann", "bob", "nobody"):
        headers: dict[str, Any] = {} if who == "nobody" else {"authorization": who}
        assert (await place.get("/a", **headers)).body == who.encode()


@pytest.mark.parametrize("word", ["public, max-age=60", "max-age=60, must-revalidate", "s-maxage=60"])
async def test_unless_its_origin_says_that_it_may_be(place: Edge, word: str) -> None:
    headers = {"HeaderBehavior": "whitelist", "Headers": listed(["Authorization"])}
    none = {"CookiesConfig": {"CookieBehavior": "none"}, "QueryStringsConfig": {"QueryStringBehavior": "none"}}
    place.policies["auth"] = {"HeadersConfig": headers, **none}
    place.configure(behaviour={"OriginRequestPolicyId": "auth"})
    place.origin.respond = lambda request: answer(
        (request.headers.get("authorization") or "nobody").encode(), cache_control=word
    )
    assert (await place.get("/a", authorization="ann")).body == b"ann"
    assert (await place.get("/a")).body == b"ann"  # RFC 9111 s. 3.5
    assert (await place.get("/a", authorization="bob")).body == b"bob"  # who signs is always asked about


async def test_what_is_for_tls_only_is_not_given_without(place: Edge) -> None:
    place.configure(behaviour={"ViewerProtocolPolicy": "https-only"})

    async def ask(*, tls: bool) -> Response:
        headers = Headers.of([("host", HOST)])
        request = Request("GET", "/a", headers, BytesBody(), Peer("127.0.0.1", 1, tls=tls))
        found = place.pipeline.handle(request)
        made = found if isinstance(found, Response) else await found  # type: ignore[misc]
        assert isinstance(made, Response)
        if not isinstance(made.body, bytes):
            made.body = b"".join([chunk async for chunk in made.body])  # type: ignore[union-attr]
        return made

    for _ in range(4):
        assert (await ask(tls=True)).body == b"hello"
        assert (await ask(tls=False)).status == 403


async def test_what_is_watched_goes_the_long_way(place: Edge) -> None:
    for _ in range(4):
        assert (await place.get("/a")).status == 200
    watcher = Watcher()
    place.pipeline.access = watcher  # type: ignore[assignment]
    for _ in range(3):
        assert (await place.get("/a")).status == 200
    assert watcher.seen == 3
    place.pipeline.access, place.pipeline.firewall = None, watcher  # type: ignore[assignment]
    for active in (True, False, True):
        watcher.active, watcher.guards = active, object()
        for _ in range(3):
            assert (await place.get("/a")).status == (403 if active else 200)


class Watcher:
    """An access log and a firewall that stops everything, as far as the pipeline knows them."""

    active = False
    guards: object = None
    seen = 0

    def of(self, request: Request, made: Any) -> Any:
        self.seen += 1
        made.again = None
        return made

    def admit(self, request: Request, *_: Any) -> Response:
        return Response(403)


async def test_hits_are_counted_whichever_way_they_go(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"page", cache_control="max-age=60")
    for _ in range(6):
        await place.get("/a")
    traffic = place.pipeline.traffic["E1"]
    assert place.pipeline.results["Hit"] == 5
    assert traffic.requests["Hit"] == 5
    assert traffic.bytes == 6 * 4
