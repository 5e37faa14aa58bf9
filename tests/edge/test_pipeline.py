"""One viewer request after another through a real listener to a real origin."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator

import pytest

from littoral.edge.plan.behaviour import pattern_matcher
from littoral.edge.storable import end_to_end
from littoral.net.message import Headers, Request, Response
from littoral.protocols.httpcache.directives import date_text
from tests.edge.place import ALL_VIEWER, DISABLED, HOST, Edge, answer, behaving, cache_policy, listed


def label(reply: object) -> str:
    return str(reply.headers["x-cache"]).partition(" ")[0]  # type: ignore[attr-defined]


# ------------------------------------------------------------------------------------------ hits and misses


async def test_a_miss_and_then_a_hit(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"page", content_type="text/html", cache_control="max-age=60", etag='"1"')
    first, second = await place.get("/a"), await place.get("/a")
    assert (first.status, first.body, first.headers["x-cache"]) == (200, b"page", "Miss from cloudfront")
    assert (second.status, second.body, second.headers["x-cache"]) == (200, b"page", "Hit from cloudfront")
    assert len(place.origin.asked) == 1
    assert second.headers["content-type"] == "text/html"
    assert second.headers["x-amz-cf-pop"] == "TST1"
    assert second.headers["via"].endswith("(CloudFront)")
    assert first.headers["x-amz-cf-id"] != second.headers["x-amz-cf-id"]


async def test_age_counts_from_the_origin_and_includes_its_own(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"page", cache_control="max-age=600", age="100")
    await place.get("/a")
    place.clock.ahead = 50
    assert 150 <= int((await place.get("/a")).headers["age"]) <= 152
    place.clock.ahead = 505
    assert label(await place.get("/a")) == "Miss"  # 100 s of its 600 s were over when it came


async def test_hosts_are_chosen_by_name_and_alias_and_strangers_are_refused(place: Edge) -> None:
    place.configure(Aliases=listed(["ward.Example.test"]))
    assert (await place.get("/", host="WARD.example.test")).status == 200
    assert (await place.get("/", host="ward.example.test:8080")).status == 200
    stranger = await place.get("/", host="other.example.test")
    assert (stranger.status, label(stranger)) == (403, "Error")
    assert len(place.origin.asked) == 1


@pytest.mark.parametrize("host", ["", "a b", "[::1", "a/b", "x" * 300])
async def test_malformed_hosts_get_an_answer_and_no_origin_request(place: Edge, host: str) -> None:
    reply = await place.raw(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert reply.status in {400, 403}
    assert place.origin.asked == []


async def test_a_disabled_distribution_is_not_served(place: Edge) -> None:
    place.configure(Enabled=False)
    assert (await place.get("/")).status == 403


async def test_head_is_answered_from_get(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"12345", cache_control="max-age=60")
    first = await place.get("/a", method="HEAD")
    assert (first.status, first.body, first.headers["content-length"]) == (200, b"", "5")
    assert label(await place.get("/a")) == "Hit"
    assert [each.method for each in place.origin.asked] == ["GET"]


async def test_default_root_object(place: Edge) -> None:
    place.configure(DefaultRootObject="index.html")
    await place.get("/")
    await place.get("/?a=1")
    await place.get("/sub/")
    assert place.origin.targets == ["/index.html", "/sub/"]


async def test_behaviours_match_in_order_case_sensitive(place: Edge) -> None:
    other = [behaving(PathPattern="/img/?.png", CachePolicyId=DISABLED), behaving(PathPattern="*.PNG")]
    place.configure(CacheBehaviors=listed(other))
    for _ in range(2):
        await place.get("/img/a.png")
        await place.get("/img/ab.png")
    assert place.origin.targets == ["/img/a.png", "/img/ab.png", "/img/a.png"]


async def test_methods_outside_the_list_are_refused_and_writing_ones_pass_through(place: Edge) -> None:
    assert (await place.get("/a", method="POST", body=b"x")).status == 403
    place.configure(behaviour={"methods": ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]})
    big = b"y" * 3_000_000
    for method in ("POST", "PUT", "PATCH"):
        assert label(await place.get("/a", method=method, body=big)) == "Miss"
    assert [(each.method, each.body == big) for each in place.origin.asked] == [
        ("POST", True),
        ("PUT", True),
        ("PATCH", True),
    ]


async def test_viewer_protocol_policies(place: Edge) -> None:
    place.configure(behaviour={"ViewerProtocolPolicy": "https-only"})
    assert (await place.get("/a")).status == 403
    everything = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    place.configure(behaviour={"ViewerProtocolPolicy": "redirect-to-https", "methods": everything})
    moved = await place.get("/a?b=1")
    assert (moved.status, moved.headers["location"]) == (301, f"https://{HOST}/a?b=1")
    assert (await place.get("/a", method="POST", body=b"x")).status == 307
    place.pipeline.secured(8443)
    assert (await place.get("/a")).headers["location"] == f"https://{HOST}/a"
    assert (await place.get("/a", host=f"{HOST}:8080")).headers["location"] == f"https://{HOST}:8443/a"
    assert place.origin.asked == []


# ------------------------------------------------------------------------------------ what goes to the origin


async def test_headers_are_rewritten_for_the_origin(place: Edge) -> None:
    await place.get("/a", user_agent="curl", accept="*/*", accept_language="de", referer="x", cookie="a=1", x_own="y")
    seen = place.origin.asked[0].headers
    assert seen.get("user-agent") == "Amazon CloudFront"
    assert seen.get("host") == f"127.0.0.1:{place.origin_port}"
    assert seen.get("x-forwarded-for") == "127.0.0.1"
    for name in ("accept", "accept-language", "referer", "cookie", "x-own"):
        assert name not in seen, name


async def test_all_viewer_forwards_everything_with_the_host(place: Edge) -> None:
    place.configure(behaviour={"CachePolicyId": DISABLED, "OriginRequestPolicyId": ALL_VIEWER})
    await place.get("/a?x=1&y=2", user_agent="curl", cookie="a=1; b=2", x_own="y", x_forwarded_for="9.9.9.9")
    asked = place.origin.asked[0]
    assert asked.target == "/a?x=1&y=2"
    expected = {"user-agent": "curl", "cookie": "a=1; b=2", "x-own": "y", "host": HOST}
    assert {name: asked.headers.get(name) for name in expected} == expected
    assert asked.headers.get("x-forwarded-for") == "9.9.9.9, 127.0.0.1"


async def test_custom_headers_and_origin_path(place: Edge) -> None:
    custom = listed([{"HeaderName": "X-Secret", "HeaderValue": "s"}])
    place.configure(origin={"OriginPath": "/base", "CustomHeaders": custom})
    await place.get("/a", x_secret="forged")
    assert place.origin.targets == ["/base/a"]
    assert place.origin.asked[0].headers.get_all("x-secret") == ["s"]


async def test_the_cache_key_is_what_the_policy_selects(place: Edge) -> None:
    place.policies["own"] = cache_policy(
        HeadersConfig={"HeaderBehavior": "whitelist", "Headers": listed(["X-Ward"])},
        CookiesConfig={"CookieBehavior": "whitelist", "Cookies": listed(["bed"])},
        QueryStringsConfig={"QueryStringBehavior": "whitelist", "QueryStrings": listed(["page"])},
    )
    place.configure(behaviour={"CachePolicyId": "own"})
    await place.get("/a?page=1&noise=2", x_ward="7", cookie="bed=3; other=1")
    assert label(await place.get("/a?noise=9&page=1", x_ward="7", cookie="other=5; bed=3")) == "Hit"
    assert label(await place.get("/a?page=2", x_ward="7", cookie="bed=3")) == "Miss"
    assert label(await place.get("/a?page=1", x_ward="8", cookie="bed=3")) == "Miss"
    assert label(await place.get("/a?page=1", x_ward="7", cookie="bed=4")) == "Miss"
    first = place.origin.asked[0]
    assert (first.target, first.headers.get("x-ward"), first.headers.get("cookie")) == ("/a?page=1", "7", "bed=3")


@pytest.mark.parametrize("legacy", [False, True])
async def test_names_of_cookies_have_wildcards(place: Edge, legacy: bool) -> None:
    """Applications put a hash into them: wordpress_logged_in_…"""
    names = listed(["wordpress_*", "s?d"])
    if legacy:
        values = {"QueryString": False, "Cookies": {"Forward": "whitelist", "WhitelistedNames": names}}
        place.configure(behaviour={"CachePolicyId": "", "ForwardedValues": values})
    else:
        place.policies["own"] = cache_policy(CookiesConfig={"CookieBehavior": "whitelist", "Cookies": names})
        place.configure(behaviour={"CachePolicyId": "own"})
    await place.get("/a", cookie="wordpress_f00=1; noise=2; sid=3; side=4")
    assert place.origin.asked[0].headers.get("cookie") == "wordpress_f00=1; sid=3"
    assert label(await place.get("/a", cookie="wordpress_f00=1; noise=9; sid=3")) == "Hit"
    assert label(await place.get("/a", cookie="wordpress_f01=1; sid=3")) == "Miss"


async def test_the_origin_gets_what_either_policy_names(place: Edge) -> None:
    """What is in the cache key goes to the origin, whatever the origin request policy names beside it."""
    place.policies["key"] = cache_policy(
        CookiesConfig={"CookieBehavior": "whitelist", "Cookies": listed(["bed"])},
        QueryStringsConfig={"QueryStringBehavior": "whitelist", "QueryStrings": listed(["page"])},
    )
    place.policies["origin"] = {
        "HeadersConfig": {"HeaderBehavior": "none"},
        "CookiesConfig": {"CookieBehavior": "whitelist", "Cookies": listed(["who"])},
        "QueryStringsConfig": {"QueryStringBehavior": "whitelist", "QueryStrings": listed(["lang"])},
    }
    place.configure(behaviour={"CachePolicyId": "key", "OriginRequestPolicyId": "origin"})
    await place.get("/a?lang=de&noise=1&page=2", cookie="noise=1; bed=3; who=me")
    asked = place.origin.asked[0]
    assert (asked.target, asked.headers.get("cookie")) == ("/a?lang=de&page=2", "bed=3; who=me")


async def test_all_cookies_but_those_of_a_pattern(place: Edge) -> None:
    names = listed(["_ga*"])
    place.policies["own"] = cache_policy(CookiesConfig={"CookieBehavior": "allExcept", "Cookies": names})
    place.configure(behaviour={"CachePolicyId": "own"})
    await place.get("/a", cookie="_ga=1; _ga_X=2; cart=3")
    assert place.origin.asked[0].headers.get("cookie") == "cart=3"


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*/a/*/a/*.jpg", "/img/" + "/a/" * 2700, False),  # minutes, where each star may take any of the others' part
        ("*/a/*/a/*.jpg", "/img/a/b/a/c.jpg", True),
        ("img/*.jp?g", "/img/x/y.jpeg", True),
        ("img/*.jp?g", "/img/x.jpg", False),
        ("/img/*", "/x/img/a", False),
        ("*.css", "/a.css", True),
    ],
)
def test_path_patterns(pattern: str, path: str, matches: bool) -> None:
    assert pattern_matcher(pattern)(path) is matches


async def test_key_parts_do_not_run_into_each_other(place: Edge) -> None:
    """A value chosen by a viewer must never make the key of another object (cache poisoning)."""
    place.policies["own"] = cache_policy(
        HeadersConfig={"HeaderBehavior": "whitelist", "Headers": listed(["X-A", "X-B"])},
    )
    place.configure(behaviour={"CachePolicyId": "own"})
    await place.get("/a", x_a="1", x_b="2")
    assert label(await place.get("/a", x_a="12")) == "Miss"
    assert label(await place.get("/a", x_a="1")) == "Miss"
    assert label(await place.get("/a", x_a="1", x_b="2")) == "Hit"


async def test_legacy_forwarded_values(place: Edge) -> None:
    values = {"QueryString": True, "Cookies": {"Forward": "none"}, "Headers": listed(["Accept-Language"])}
    legacy = {"CachePolicyId": "", "ForwardedValues": values, "MinTTL": 0, "DefaultTTL": 60, "MaxTTL": 600}
    place.configure(behaviour=legacy)
    await place.get("/a?x=1", accept_language="de", accept="*/*", cookie="a=1")
    assert label(await place.get("/a?x=1", accept_language="de")) == "Hit"
    assert label(await place.get("/a?x=1", accept_language="fr")) == "Miss"
    assert label(await place.get("/a?x=2", accept_language="de")) == "Miss"
    seen = place.origin.asked[0].headers
    assert (seen.get("accept-language"), seen.get("accept"), seen.get("cookie")) == ("de", None, None)


# ------------------------------------------------------------------------------------ freshness and staleness


async def test_a_stale_object_is_revalidated(place: Edge) -> None:
    def respond(request: Request) -> Response:
        if request.headers.get("if-none-match") == '"1"':
            return answer(b"", 304, cache_control="max-age=60", etag='"1"')
        return answer(b"page", cache_control="max-age=60", etag='"1"')

    place.origin.respond = respond
    await place.get("/a")
    place.clock.ahead = 61
    again = await place.get("/a")
    assert (again.status, again.body, label(again)) == (200, b"page", "RefreshHit")
    assert label(await place.get("/a")) == "Hit"
    assert len(place.origin.asked) == 2


@pytest.mark.parametrize("directive", ["no-store", "private"])
async def test_what_may_not_be_stored_is_not(place: Edge, directive: str) -> None:
    place.policies["zero"] = cache_policy(0)
    place.configure(behaviour={"CachePolicyId": "zero"})
    place.origin.respond = lambda _: answer(b"page", cache_control=directive)
    for _ in range(3):
        assert label(await place.get("/a")) == "Miss"
    assert len(place.origin.asked) == 3


async def test_errors_are_kept_ten_seconds(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"none", 404)
    for _ in range(3):
        reply = await place.get("/a")
        assert (reply.status, label(reply), reply.body) == (404, "Error", b"none")
    assert len(place.origin.asked) == 1
    place.clock.ahead = 11
    await place.get("/a")
    assert len(place.origin.asked) == 2


async def test_stale_while_the_origin_is_away(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"page", cache_control="max-age=60")
    await place.get("/a")
    await place.origin.stop()
    place.clock.ahead = 61
    reply = await place.get("/a")
    assert (reply.status, reply.body) == (200, b"page")
    fresh = await place.get("/never-seen")
    assert (fresh.status, label(fresh)) == (502, "Error")


async def test_stale_if_error_zero_forbids_it(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"page", cache_control="max-age=60, stale-if-error=0")
    await place.get("/a")
    await place.origin.stop()
    place.clock.ahead = 61
    assert (await place.get("/a")).status == 502


async def test_a_failing_origin_gives_the_stale_object_and_a_missing_page_the_error(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"page", cache_control="max-age=60")
    await place.get("/a")
    place.clock.ahead = 61
    place.origin.respond = lambda _: answer(b"broken", 500)
    assert (await place.get("/a")).body == b"page"
    place.clock.ahead = 122
    place.origin.respond = lambda _: answer(b"gone", 404)
    assert (await place.get("/a")).status == 404


async def test_stale_while_revalidate_answers_at_once(place: Edge) -> None:
    gate = asyncio.Event()
    place.origin.respond = lambda _: answer(b"old", cache_control="max-age=60, stale-while-revalidate=600")
    await place.get("/a")
    place.clock.ahead = 61

    async def slow(_: Request) -> Response:
        await gate.wait()
        return answer(b"new", cache_control="max-age=60")

    place.origin.respond = slow
    assert (await place.get("/a")).body == b"old"
    gate.set()
    async with asyncio.timeout(10):
        while (await place.get("/a")).body == b"old":
            await asyncio.sleep(0)
    assert len(place.origin.asked) == 2


async def test_an_origin_that_breaks_off_is_not_stored(place: Edge) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise RuntimeError("the origin dies here")

    place.origin.respond = lambda _: Response(
        200, Headers.of([("cache-control", "max-age=60"), ("content-length", "8")]), broken()
    )
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await place.get("/a")
    place.origin.respond = lambda _: answer(b"complete", cache_control="max-age=60")
    reply = await place.get("/a")
    assert (label(reply), reply.body) == ("Miss", b"complete")


# ---------------------------------------------------------------------------------------------- collapsing


@pytest.mark.parametrize("size", [1024, 3_000_000])
async def test_two_hundred_viewers_one_origin_request(place: Edge, size: int) -> None:
    gate = asyncio.Event()
    body = bytes(range(256)) * (size // 256)

    async def slow(_: Request) -> Response:
        await gate.wait()
        return answer(body, cache_control="max-age=60")

    place.origin.respond = slow
    viewers = [asyncio.create_task(place.get("/a")) for _ in range(200 if size < 10_000 else 30)]
    while not place.origin.asked:
        await asyncio.sleep(0)
    gate.set()
    replies = await asyncio.gather(*viewers)
    assert all((reply.status, reply.body) == (200, body) for reply in replies)
    assert len(place.origin.asked) == 1


async def test_an_expired_object_is_fetched_once_for_all(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"old", cache_control="max-age=60")
    await place.get("/a")
    place.clock.ahead = 61
    gate = asyncio.Event()

    async def slow(_: Request) -> Response:
        await gate.wait()
        return answer(b"new", cache_control="max-age=60")

    place.origin.respond = slow
    viewers = [asyncio.create_task(place.get("/a")) for _ in range(50)]
    while len(place.origin.asked) < 2:
        await asyncio.sleep(0)
    gate.set()
    assert {reply.body for reply in await asyncio.gather(*viewers)} == {b"new"}
    assert len(place.origin.asked) == 2


async def test_a_viewer_who_leaves_does_not_spoil_the_fetch(place: Edge) -> None:
    gate = asyncio.Event()

    async def slow(_: Request) -> Response:
        await gate.wait()
        return answer(b"page", cache_control="max-age=60")

    place.origin.respond = slow
    leaving = asyncio.create_task(place.get("/a"))
    while not place.origin.asked:
        await asyncio.sleep(0)
    staying = asyncio.create_task(place.get("/a"))
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    gate.set()
    assert (await staying).body == b"page"
    assert len(place.origin.asked) == 1


# -------------------------------------------------------------------------------- conditions, ranges, curl


async def test_conditional_requests_are_answered_from_the_cache(place: Edge) -> None:
    place.origin.respond = lambda _: answer(
        b"page",
        cache_control="max-age=60",
        etag='"1"',
        last_modified="Mon, 23 Nov 2026 09:00:00 GMT",
        content_type="text/html",
    )
    await place.get("/a")
    same = await place.get("/a", if_none_match='"0", W/"1"')
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", '"1"')
    assert "content-type" not in same.headers
    assert (await place.get("/a", if_none_match='"2"')).status == 200
    assert (await place.get("/a", if_modified_since="Mon, 23 Nov 2026 09:00:00 GMT")).status == 304
    assert (await place.get("/a", if_modified_since="Mon, 23 Nov 2026 08:59:59 GMT")).status == 200
    other = await place.get("/a", if_none_match='"2"', if_modified_since="Mon, 23 Nov 2026 09:00:00 GMT")
    assert other.status == 200  # RFC 9110 s. 13.1.3
    assert len(place.origin.asked) == 1


@pytest.mark.parametrize(
    ("asked", "status", "body", "shown"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=8-100", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
        ("bytes=0-3,2-5", 200, b"0123456789", None),
        ("bytes=6-7,0-1", 200, b"0123456789", None),
        ("items=0-3", 200, b"0123456789", None),
    ],
)
async def test_ranges(place: Edge, asked: str, status: int, body: bytes, shown: str | None) -> None:
    place.origin.respond = lambda _: answer(b"0123456789", cache_control="max-age=60", content_type="text/plain")
    for expected in ("Miss", "Hit"):
        reply = await place.get("/a", range=asked)
        assert (reply.status, reply.body, reply.headers.get("content-range")) == (status, body, shown)
        assert label(reply) == expected
    assert len(place.origin.asked) == 1


async def test_several_ranges_are_multipart(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"0123456789", cache_control="max-age=60", content_type="text/plain")
    await place.get("/a")
    reply = await place.get("/a", range="bytes=0-1,4-5,-1")
    kind, _, boundary = reply.headers["content-type"].partition("; boundary=")
    assert (reply.status, kind) == (206, "multipart/byteranges")
    parts = reply.body.split(b"--" + boundary.encode())
    assert [part.partition(b"\r\n\r\n")[2] for part in parts[1:-1]] == [b"01\r\n", b"45\r\n", b"9\r\n"]
    assert parts[-1] == b"--\r\n"


async def test_if_range(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"0123456789", cache_control="max-age=60", etag='"1"')
    await place.get("/a")
    assert (await place.get("/a", range="bytes=0-1", if_range='"1"')).status == 206
    assert (await place.get("/a", range="bytes=0-1", if_range='"2"')).status == 200


async def test_large_objects_live_on_disk_and_serve_ranges(place: Edge) -> None:
    body = bytes(range(256)) * 20_000
    place.origin.respond = lambda _: answer(body, cache_control="max-age=60")
    assert (await place.get("/big")).body == body
    reply = await place.get("/big")
    assert (label(reply), reply.body == body) == ("Hit", True)
    assert (await place.get("/big", range="bytes=1000000-3000000")).body == body[1_000_000:3_000_001]
    await place.pipeline.cache.disk.settled()
    assert len(list(place.pipeline.cache.disk.files.iterdir())) == 1
    await place.pipeline.cache.invalidate("E1", ["/*"])
    assert label(await place.get("/big")) == "Miss"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_curl_as_a_viewer(place: Edge) -> None:
    place.origin.respond = lambda _: answer(b"0123456789", cache_control="max-age=60")
    command = ["curl", "-sS", "-i", "-H", f"Host: {HOST}", f"http://127.0.0.1:{place.port}/a"]
    first = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
    again = await asyncio.to_thread(subprocess.run, [*command, "-r", "2-4"], capture_output=True, check=True)
    assert b"x-cache: Miss from cloudfront" in first.stdout
    assert again.stdout.startswith(b"HTTP/1.1 206")
    assert again.stdout.endswith(b"\r\n\r\n234")


# -------------------------------------------------------------------------------- invalidation, error pages


@pytest.mark.parametrize(
    ("pattern", "gone"),
    [
        ("/a", {"/a"}),
        ("/a*", {"/a", "/a?x=1", "/ab"}),
        ("/a?x=1", {"/a?x=1"}),
        ("/*", {"/a", "/a?x=1", "/ab", "/A"}),
        ("/A", {"/A"}),
    ],
)
async def test_invalidation(place: Edge, pattern: str, gone: set[str]) -> None:
    place.policies["all"] = cache_policy(QueryStringsConfig={"QueryStringBehavior": "all"})
    place.configure(behaviour={"CachePolicyId": "all"})
    targets = ["/a", "/a?x=1", "/ab", "/A"]
    for target in targets:
        await place.get(target)
    await place.pipeline.cache.invalidate("E1", [pattern])
    missed = {target for target in targets if label(await place.get(target)) == "Miss"}
    assert missed == gone


async def test_an_invalidation_reaches_a_fetch_that_is_under_way(place: Edge) -> None:
    """What was asked for before the invalidation must not be stored after it."""
    gate = asyncio.Event()

    async def slow(_: Request) -> Response:
        await gate.wait()
        return answer(b"old", cache_control="max-age=60")

    place.origin.respond = slow
    viewer = asyncio.create_task(place.get("/a"))
    while not place.origin.asked:
        await asyncio.sleep(0)
    await place.pipeline.cache.invalidate("E1", ["/*"])
    place.origin.respond = lambda _: answer(b"new", cache_control="max-age=60")
    gate.set()
    await viewer
    assert (await place.get("/a")).body == b"new"


async def test_custom_error_pages(place: Edge) -> None:
    def respond(request: Request) -> Response:
        return answer(b"sorry") if request.target == "/sorry.html" else answer(b"none", 404)

    place.origin.respond = respond
    page = {"ErrorCode": 404, "ResponsePagePath": "/sorry.html", "ResponseCode": "200", "ErrorCachingMinTTL": 30}
    place.configure(CustomErrorResponses=listed([page]))
    reply = await place.get("/a")
    assert (reply.status, reply.body) == (200, b"sorry")
    reply = await place.get("/a")
    assert (reply.status, reply.body) == (200, b"sorry")
    assert place.origin.targets == ["/a", "/sorry.html"]
    assert (await place.get("/sorry.html")).status == 200


async def test_a_custom_error_page_that_cannot_be_had_is_the_answer_itself(place: Edge) -> None:
    """With the status of the origin of the page, not with one that says all is well."""
    place.origin.respond = lambda request: answer(b"none", 403 if request.target == "/sorry.html" else 404)
    page = {"ErrorCode": 404, "ResponsePagePath": "/sorry.html", "ResponseCode": "200", "ErrorCachingMinTTL": 30}
    place.configure(CustomErrorResponses=listed([page]))
    assert (await place.get("/a")).status == 403


async def test_what_the_edge_says_itself_is_said_as_cloudfront_does(place: Edge) -> None:
    await place.origin.stop()
    reply = await place.get("/a")
    assert reply.status == 502
    assert b"<h1>502 ERROR</h1>" in reply.body
    assert b"CloudFront wasn't able to connect to the origin." in reply.body
    assert b"Request ID" not in reply.body  # others get the same page, for it is stored
    reply = await place.get("/a", method="PUT")
    assert f"Request ID: {reply.headers['x-amz-cf-id']}".encode() in reply.body


async def test_bounded_in_bytes(place: Edge) -> None:
    place.pipeline.cache.max_bytes = 130_000
    place.pipeline.cache.disk.limit = 60_000
    place.origin.respond = lambda _: answer(b"x" * 9_500, cache_control="max-age=60")
    for number in range(30):
        await place.get(f"/{number}")
    assert place.pipeline.cache.bytes <= 130_000
    await place.pipeline.cache.disk.settled()
    assert 9 <= len(place.pipeline.cache) <= 11
    assert place.pipeline.cache.disk.bytes <= 60_000
    assert label(await place.get("/29")) == "Hit"
    assert label(await place.get("/0")) == "Miss"


# ------------------------------------------------------------------------------------------ RFC 9111


async def test_date_is_the_origins_and_age_goes_through(place: Edge) -> None:
    date = date_text(place.clock() - 3600)
    place.origin.respond = lambda _: answer(b"x", cache_control="max-age=100000", age="30", date=date)
    first = await place.get("/a")
    place.clock.ahead = 20
    second, third = await place.get("/a"), await place.get("/a")
    assert [each.headers["date"] for each in (first, second, third)] == [date] * 3
    assert int(first.headers["age"]) in {3600, 3601} and label(third) == "Hit"


def test_headers_that_connection_names_are_the_hops_alone() -> None:
    pairs = [("connection", "a, B"), ("connection", "d"), ("a", "1"), ("b", "2"), ("c", "3"), ("d", "4"), ("te", "5")]
    assert end_to_end(Headers.of(pairs)).items() == [("c", "3")]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_change_makes_what_is_stored_out_of_date(place: Edge, method: str) -> None:
    place.configure(behaviour={"methods": ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]})
    status = 500
    place.origin.respond = lambda request: answer(
        b"x", 200 if request.method == "GET" else status, cache_control="max-age=60", location="/b"
    )
    for path in ("/a", "/b", "/ab"):
        await place.get(path)
    await place.get("/a", method, b"new")
    assert label(await place.get("/a")) == "Hit"  # it failed
    status = 204
    await place.get("/a", method, b"new")
    assert [label(await place.get(path)) for path in ("/a", "/b", "/ab")] == ["Miss", "Miss", "Hit"]


def varying(request: Request) -> Response:
    return answer(
        (request.headers.get("accept-language") or "none").encode(),
        cache_control="max-age=60",
        vary="X, Accept-Language",
    )


async def test_variants_are_kept_apart_by_what_the_origin_saw(place: Edge) -> None:
    place.configure(behaviour={"OriginRequestPolicyId": ALL_VIEWER})
    place.origin.respond = varying
    for _ in range(2):
        for language in ("de", "en", "de,  fr"):
            assert (await place.get("/a", accept_language=language)).body == language.encode()
        assert (await place.get("/a")).body == b"none"
    assert len(place.origin.asked) == 4
    assert label(await place.get("/a", accept_language="de,fr")) == "Hit"
    assert label(await place.get("/a", accept_language="de", x="other")) == "Miss"


async def test_a_header_that_the_origin_does_not_get_makes_no_variants(place: Edge) -> None:
    place.origin.respond = varying
    assert label(await place.get("/a", accept_language="de")) == "Miss"
    assert label(await place.get("/a", accept_language="en")) == "Hit"


async def test_who_joins_a_fetch_that_turns_out_to_vary_gets_a_variant_of_their_own(place: Edge) -> None:
    place.configure(behaviour={"OriginRequestPolicyId": ALL_VIEWER})
    arrived, go = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        arrived.set()
        await go.wait()
        return varying(request)

    place.origin.respond = slow
    first = asyncio.create_task(place.get("/a", accept_language="de"))
    await arrived.wait()
    others = [asyncio.create_task(place.get("/a", accept_language=each)) for each in ("en", "de", "en")]
    while len(place.pipeline.fetching._under_way) < 1 or place.pipeline.fetching.origin_requests < 1:
        await asyncio.sleep(0)
    go.set()
    assert [(await each).body for each in (first, *others)] == [b"de", b"en", b"de", b"en"]


async def test_an_object_that_stops_varying_is_one_for_all_again(place: Edge) -> None:
    place.configure(behaviour={"OriginRequestPolicyId": ALL_VIEWER})
    place.origin.respond = varying
    await place.get("/a", accept_language="de")
    place.origin.respond = lambda _: answer(b"same", cache_control="max-age=60")
    await place.get("/a", accept_language="en")
    assert label(await place.get("/a", accept_language="fr")) == "Hit"
