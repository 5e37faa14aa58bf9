"""Where viewers are and what they are: geo restriction, CloudFront-* headers, chained distributions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mmdb_writer import MMDBWriter  # type: ignore[import-untyped]
from netaddr import IPSet

from littoral.edge.cloudfrontheaders import devices
from littoral.edge.geo import Database, NoDatabase, Restriction
from littoral.edge.pipeline import Pipeline
from littoral.net.message import BytesBody, Headers, Peer, Request, Response
from tests.edge.place import ALL_VIEWER, DISABLED, HOST, Edge, answer, cache_policy, edge, listed

ALL_AND_CLOUDFRONT = "33f36d7e-f396-46d9-90e0-52428a34d9dc"
GERMAN, AMERICAN = "192.0.2.7", "198.51.100.7"
NONE = {"CookiesConfig": {"CookieBehavior": "none"}, "QueryStringsConfig": {"QueryStringBehavior": "none"}}


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A City and an ASN database in one folder."""
    folder = tmp_path_factory.mktemp("geo")
    city = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type="Test-City")
    germany = {"iso_code": "DE", "names": {"en": "Germany"}}
    kiel = {"city": {"names": {"en": "Kiel Gaußstraße"}}, "postal": {"code": "24103"}}
    place = {"latitude": 54.32, "longitude": 10.13, "time_zone": "Europe/Berlin"}
    land = {"subdivisions": [{"iso_code": "SH", "names": {"en": "Schleswig-Holstein"}}]}
    city.insert_network(IPSet(["192.0.2.0/24", "127.0.0.0/8"]), {"country": germany, "location": place, **kiel, **land})
    america = {"country": {"iso_code": "US", "names": {"en": "United States"}}, "location": {"metro_code": 505}}
    city.insert_network(IPSet(["198.51.100.0/24", "2001:db8::/32"]), america)
    city.to_db_file(str(folder / "city.mmdb"))
    asn = MMDBWriter(ip_version=4, database_type="Test-ASN")
    asn.insert_network(IPSet(["192.0.2.0/24"]), {"autonomous_system_number": 64496})
    asn.to_db_file(str(folder / "asn.mmdb"))
    return folder


@pytest_asyncio.fixture
async def located(tmp_path: Path, databases: Path) -> AsyncIterator[Edge]:
    database = Database(databases)
    async with edge(tmp_path, locator=database) as made:
        yield made
    database.close()


async def ask(pipeline: Pipeline, host: str, target: str = "/a", tls: bool = False, **headers: str) -> Response:
    pairs = [("host", HOST), *((name.replace("_", "-"), value) for name, value in headers.items())]
    peer = Peer(host, 4711, tls=tls, handshake="TLSv1.3:TLS_AES_256_GCM_SHA384:fullHandshake" if tls else "")
    found = pipeline.handle(Request("GET", target, Headers.of(pairs), BytesBody(), peer))
    made = found if isinstance(found, Response) else await found  # type: ignore[misc]
    assert isinstance(made, Response)
    if not isinstance(made.body, bytes):
        made.body = b"".join([chunk async for chunk in made.body])  # type: ignore[union-attr]
    return made


# ---------------------------------------------------------------------------------------------- restriction


def restricted(place: Edge, kind: str, *countries: str, **more: Any) -> None:
    place.configure(Restrictions={"GeoRestriction": {"RestrictionType": kind, **listed(list(countries))}}, **more)


async def test_a_whitelist_serves_its_countries_and_the_unknown(located: Edge) -> None:
    restricted(located, "whitelist", "DE")
    for _ in range(4):  # fetched, then hits
        assert (await ask(located.pipeline, GERMAN)).status == 200
        assert (await ask(located.pipeline, "203.0.113.9")).status == 200  # nobody knows where
        assert (await ask(located.pipeline, AMERICAN)).status == 403
    assert len(located.origin.asked) == 1


async def test_a_blacklist_and_a_page_for_those_outside(located: Edge) -> None:
    located.origin.respond = lambda request: answer(request.target.encode())
    pages = listed([{"ErrorCode": 403, "ResponsePagePath": "/sorry", "ResponseCode": "451"}])
    restricted(located, "blacklist", "US", CustomErrorResponses=pages)
    assert (await ask(located.pipeline, GERMAN)).body == b"/a"
    for host in (AMERICAN, "::ffff:198.51.100.9", "2001:db8::1"):
        refused = await ask(located.pipeline, host)
        assert (refused.status, refused.body) == (451, b"/sorry")


async def test_without_a_database_everybody_is_served(place: Edge) -> None:
    restricted(place, "whitelist", "DE")
    for _ in range(3):
        assert (await place.get("/a")).status == 200


def test_restrictions() -> None:
    assert Restriction(frozenset(("DE",)), True).forbids("US")
    assert not Restriction(frozenset(("DE",)), True).forbids("")
    assert Restriction(frozenset(("DE",)), False).forbids("DE")


def test_a_database_that_is_none_says_so(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.mmdb"):
        with pytest.raises(NoDatabase, match=str(tmp_path)):
            Database(path)
    (tmp_path / "bad.mmdb").write_bytes(b"no database")
    with pytest.raises(NoDatabase, match=str(tmp_path)):
        Database(tmp_path)


# ------------------------------------------------------------------------------------------------- headers


async def test_an_origin_gets_the_headers_that_its_policy_asks_for(located: Edge) -> None:
    located.configure(behaviour={"CachePolicyId": DISABLED, "OriginRequestPolicyId": ALL_AND_CLOUDFRONT})
    agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148"
    await ask(located.pipeline, GERMAN, tls=True, user_agent=agent, x_own="y", cloudfront_viewer_city="forged")
    seen = {name: value for name, value in located.origin.asked[0].headers.items() if name.startswith("cloudfront-")}
    assert seen == {
        "cloudfront-forwarded-proto": "https",
        "cloudfront-is-android-viewer": "false",
        "cloudfront-is-desktop-viewer": "false",
        "cloudfront-is-ios-viewer": "true",
        "cloudfront-is-mobile-viewer": "true",
        "cloudfront-is-smarttv-viewer": "false",
        "cloudfront-is-tablet-viewer": "false",
        "cloudfront-viewer-address": f"{GERMAN}:4711",
        "cloudfront-viewer-asn": "64496",
        "cloudfront-viewer-city": "Kiel Gau%C3%9Fstra%C3%9Fe",
        "cloudfront-viewer-country": "DE",
        "cloudfront-viewer-country-name": "Germany",
        "cloudfront-viewer-country-region": "SH",
        "cloudfront-viewer-country-region-name": "Schleswig-Holstein",
        "cloudfront-viewer-http-version": "1.1",
        "cloudfront-viewer-latitude": "54.32000",
        "cloudfront-viewer-longitude": "10.13000",
        "cloudfront-viewer-postal-code": "24103",
        "cloudfront-viewer-time-zone": "Europe/Berlin",
        "cloudfront-viewer-tls": "TLSv1.3:TLS_AES_256_GCM_SHA384:fullHandshake",
    }
    assert located.origin.asked[0].headers.get("x-own") == "y"


async def test_what_a_viewer_says_under_such_names_is_dropped(place: Edge) -> None:
    place.configure(behaviour={"CachePolicyId": DISABLED, "OriginRequestPolicyId": ALL_VIEWER})
    await place.get("/a", cloudfront_viewer_country="XX", x_own="y")
    assert place.origin.asked[0].headers.get("x-own") == "y"
    assert "cloudfront-viewer-country" not in place.origin.asked[0].headers


async def test_the_country_can_be_in_the_key(located: Edge) -> None:
    wanted = {"HeaderBehavior": "whitelist", "Headers": listed(["CloudFront-Viewer-Country"])}
    located.policies["own"] = cache_policy(HeadersConfig=wanted)
    located.configure(behaviour={"CachePolicyId": "own"})
    located.origin.respond = lambda r: answer((r.headers.get("cloudfront-viewer-country") or "?").encode())
    for _ in range(3):
        assert (await ask(located.pipeline, GERMAN, cloudfront_viewer_country="US")).body == b"DE"
        assert (await ask(located.pipeline, AMERICAN)).body == b"US"
        assert (await ask(located.pipeline, "203.0.113.9")).body == b"?"
    assert len(located.origin.asked) == 3


async def test_functions_see_them(located: Edge) -> None:
    seen = []

    def function(cf: dict[str, Any]) -> Any:
        seen.append(cf["request"]["headers"].get("cloudfront-viewer-country"))
        return cf["request"]

    located.policies["orp"] = {
        "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": listed(["CloudFront-Viewer-Country"])},
        **NONE,
    }
    located.configure(
        behaviour={"OriginRequestPolicyId": "orp", "triggers": [located.trigger("origin-request", function)]}
    )
    await ask(located.pipeline, AMERICAN)
    assert seen == [[{"key": "CloudFront-Viewer-Country", "value": "US"}]]


async def test_order_and_count_of_headers(place: Edge) -> None:
    names = ["CloudFront-Viewer-Header-Order", "CloudFront-Viewer-Header-Count"]
    place.policies["orp"] = {"HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": listed(names)}, **NONE}
    place.configure(behaviour={"CachePolicyId": DISABLED, "OriginRequestPolicyId": "orp"})
    await place.get("/a", accept="x", accept_encoding="gzip")
    seen = place.origin.asked[0].headers
    assert seen.get("cloudfront-viewer-header-order") == "Host:Accept:Accept-Encoding"
    assert seen.get("cloudfront-viewer-header-count") == "3"


@pytest.mark.parametrize(
    ("agent", "kinds"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/126 Safari/537.36", "desktop"),
        ("Mozilla/5.0 (Linux; Android 14; Pixel 8) Chrome/126 Mobile Safari/537.36", "android mobile"),
        ("Mozilla/5.0 (Linux; Android 13; SM-X700) Chrome/126 Safari/537.36", "android tablet"),
        ("Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) Mobile/15E148 Safari", "ios mobile tablet"),
        ("Mozilla/5.0 (SMART-TV; Linux; Tizen 7.0) TV Safari", "smarttv"),
        ("Mozilla/5.0 (Linux; Android 9; AFTT) Chrome/100 Mobile", "android smarttv"),
        ("curl/8.5", "desktop"),
        ("", "desktop"),
    ],
)
def test_devices(agent: str, kinds: str) -> None:
    assert devices(agent) == {f"cloudfront-is-{kind}-viewer" for kind in kinds.split()}


# ------------------------------------------------------------------------------------------------- chains


async def test_a_third_distribution_refuses_fetched_or_stored(place: Edge) -> None:
    via = "1.1 a.cloudfront.net (CloudFront)"
    for _ in range(3):
        assert (await place.get("/a", via=via)).status == 200
        assert (await place.get("/a", via=f"1.0 proxy, {via}, 1.1 b.cloudfront.net (CloudFront)")).status == 403
    assert place.origin.asked[0].headers.get("via") == f"{via}, 1.1 TST1.cloudfront.net (CloudFront)"
    assert place.origin.asked[0].headers.get("x-amz-cf-id")


async def test_a_distribution_that_is_its_own_origin_ends(place: Edge) -> None:
    custom = {"HTTPPort": place.port, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
    place.configure(
        origin={"CustomOriginConfig": custom},
        behaviour={"CachePolicyId": DISABLED, "OriginRequestPolicyId": ALL_VIEWER},
    )
    assert (await place.get("/a")).status == 403
