"""The CloudFront API through boto3, with a real edge location that follows the region's feed over loopback."""

from __future__ import annotations

import http.client
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from littoral.aws.service import Principal
from littoral.edge.cloudfront import CloudFront
from littoral.edge.control import Control
from littoral.edge.feed import Feed
from littoral.edge.keyvalue import KeyValueStoreData
from littoral.edge.location import EdgeLocation, Region
from littoral.edge.pipeline import Pipeline
from littoral.edge.tier import Tier
from littoral.edge.upstream import Upstream
from littoral.functions import Functions
from littoral.net.client import HttpClient
from littoral.net.listen import listen_http
from littoral.net.message import BytesBody, Headers, Peer, Request
from littoral.store.embedded import EmbeddedStore
from tests.edge.place import OPTIMIZED, Origin, Scripted, answer, behaving, cache_policy, listed
from tests.support.clock import Clock
from tests.support.served import Served, served

ARN = "arn:aws:lambda:us-east-1:000000000000:function:f:1"


@dataclass
class Place:
    place: Served
    control: Control
    cloudfront: Any


More = Callable[[EmbeddedStore], Awaitable[tuple[dict[str, Any], dict[str, Any], list[Any]]]]


@contextmanager
def region(more: More | None = None) -> Iterator[Place]:
    """``more`` adds services, routes and what to close; triggers are looked up in a "lookup", imports in "objects"."""
    found: dict[str, Any] = {}

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        control = found["control"] = await Control.open(store.records("edge-control"))

        async def authenticate(request: Request) -> Principal:
            principal: Principal = await found["place"].gateway.authenticate(request)
            return principal

        routes = Feed(control, authenticate).routes()
        services, others, closers = await more(store) if more is not None else ({}, {}, [])
        lookup = services.pop("lookup", None)
        objects = services.pop("objects", None)
        streams = services.pop("streams", None)
        cloudfront = services["cloudfront"] = CloudFront(control, account="000000000000", functions=lookup)
        cloudfront.objects = objects
        cloudfront.streams = streams
        services["cloudfront-keyvaluestore"] = KeyValueStoreData(control)
        return {**services, "routes": {**routes, **others}, "close": [control.close, *closers]}

    with served(factory) as place:
        found["place"] = place
        yield Place(place, found["control"], boto3.client("cloudfront", **place.client_kwargs))


@pytest.fixture
def there() -> Iterator[Place]:
    with region() as made:
        yield made


@dataclass(frozen=True)
class Key:
    id: str
    secret: str


class NoFunctions:
    def installed(self, name: str, version: str) -> str | None:
        return None

    async def install(self, name: str, version: str, config: Any, archive: bytes) -> None:
        raise AssertionError("no function is named here")

    async def uninstall(self, name: str, version: str) -> bool:
        raise AssertionError("no function was ever here")


@dataclass
class Location:
    """An edge location in the region's loop, with its own folder and store."""

    place: Served
    folder: Path
    name: str = "pop1"
    port: int = 0
    with_functions: bool = False

    def start(self, url: str | None = None) -> Location:
        self.place.run(self._start(url or self.place.url))
        return self

    async def _start(self, url: str) -> None:
        self.store = await EmbeddedStore.open(self.folder / "store")
        self.client = HttpClient()
        self.functions = await Functions.open(self.store, self.folder / "functions") if self.with_functions else None
        if self.functions is not None:
            await self.functions.start()
        key = Key(self.place.access_key, self.place.secret_key)
        upstream = Upstream(self.client, "POP1", url, key)
        self.pipeline = Pipeline(
            pop=self.name.upper(),
            folder=self.folder,
            upstream=upstream,
            invoker=self.functions or Scripted(),
            tier=Tier(self.name, self.client),
        )
        above = Region(url, key, self.client)
        records = self.store.records("edge-location")
        self.location = EdgeLocation(self.name, above, self.pipeline, records, self.functions or NoFunctions())
        self.listener = await listen_http(self.pipeline.handle)
        self.port = self.listener.port
        await self.location.start()
        await self.location.reachable(f"http://127.0.0.1:{self.port}")

    def stop(self) -> None:
        self.place.run(self._stop())

    async def _stop(self) -> None:
        await self.listener.close(0)
        await self.location.close()
        await self.pipeline.close()
        if self.functions is not None:
            await self.functions.close()
        await self.client.close()
        await self.store.close()

    def get(self, host: str, path: str = "/") -> tuple[int, bytes, str]:
        """Status, body and result type."""
        status, body, headers = self.ask(host, path)
        return status, body, headers["x-cache"].partition(" ")[0]

    def ask(self, host: str, path: str, **headers: str) -> tuple[int, bytes, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers={"Host": host, **headers})
            response = connection.getresponse()
            return response.status, response.read(), response.headers
        finally:
            connection.close()


def config(port: int = 80, reference: str = "1", **changes: Any) -> dict[str, Any]:
    custom = {"HTTPPort": port, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
    origin = {"Id": "o", "DomainName": "127.0.0.1", "CustomOriginConfig": custom}
    return {
        "CallerReference": reference,
        "Comment": "",
        "Enabled": True,
        "Origins": listed([origin]),
        "DefaultCacheBehavior": behaving(),
    } | changes


def refused(code: str, call: Callable[..., Any], **arguments: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


@contextmanager
def origin_of(place: Served) -> Iterator[tuple[Origin, int]]:
    origin = Origin(Clock())
    place.run(origin.start())
    try:
        assert origin.listener is not None
        yield origin, origin.listener.port
    finally:
        place.run(origin.stop())


# ------------------------------------------------------------------------------------------- distributions


def test_the_life_of_a_distribution(there: Place) -> None:
    cf = there.cloudfront
    made = cf.create_distribution(DistributionConfig=config())
    distribution, identifier = made["Distribution"], made["Distribution"]["Id"]
    assert distribution["DomainName"].endswith(".cloudfront.net")
    assert distribution["Status"] == "InProgress"
    assert made["Location"].endswith(identifier)
    again = cf.create_distribution(DistributionConfig=config())
    assert (again["Distribution"]["Id"], again["ETag"]) == (identifier, made["ETag"])
    refused("DistributionAlreadyExists", cf.create_distribution, DistributionConfig=config(Comment="other"))

    found = cf.get_distribution_config(Id=identifier)
    changed = found["DistributionConfig"] | {"Comment": "changed", "Enabled": False}
    refused("InvalidIfMatchVersion", cf.update_distribution, Id=identifier, DistributionConfig=changed)
    stale = refused(
        "PreconditionFailed", cf.update_distribution, Id=identifier, DistributionConfig=changed, IfMatch="E0"
    )
    assert stale.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    refused("DistributionNotDisabled", cf.delete_distribution, Id=identifier, IfMatch=found["ETag"])
    updated = cf.update_distribution(Id=identifier, DistributionConfig=changed, IfMatch=found["ETag"])
    assert updated["ETag"] != found["ETag"]
    assert updated["Distribution"]["DistributionConfig"]["Comment"] == "changed"
    listing = cf.list_distributions()["DistributionList"]
    assert [each["Id"] for each in listing["Items"]] == [identifier]
    cf.delete_distribution(Id=identifier, IfMatch=updated["ETag"])
    missing = refused("NoSuchDistribution", cf.get_distribution, Id=identifier)
    assert missing.response["ResponseMetadata"]["HTTPStatusCode"] == 404


def test_listing_in_pages(there: Place) -> None:
    made = {
        there.cloudfront.create_distribution(DistributionConfig=config(reference=str(number)))["Distribution"]["Id"]
        for number in range(5)
    }
    pages = list(there.cloudfront.get_paginator("list_distributions").paginate(PaginationConfig={"PageSize": 2}))
    assert len(pages) == 3
    assert {each["Id"] for page in pages for each in page["DistributionList"]["Items"]} == made


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"DefaultCacheBehavior": behaving(TargetOriginId="none")}, "NoSuchOrigin"),
        ({"DefaultCacheBehavior": behaving(CachePolicyId="none")}, "NoSuchCachePolicy"),
        ({"DefaultCacheBehavior": behaving(OriginRequestPolicyId="none")}, "NoSuchOriginRequestPolicy"),
        ({"DefaultCacheBehavior": behaving(CachePolicyId="")}, "InvalidArgument"),
        ({"WebACLId": "arn:aws:wafv2:us-east-1:000000000000:global/webacl/a/b"}, "InvalidWebACLId"),
        ({"Logging": {"Enabled": True, "IncludeCookies": False, "Bucket": "b", "Prefix": ""}}, "InvalidArgument"),
        (
            {"Restrictions": {"GeoRestriction": {"RestrictionType": "whitelist", **listed(["XX"])}}},
            "InvalidLocationCode",
        ),
        (
            {
                "ViewerCertificate": {
                    "ACMCertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/a",
                    "SSLSupportMethod": "sni-only",
                }
            },
            "InvalidViewerCertificate",
        ),
        ({"Aliases": {"Quantity": 2, "Items": ["a.example.test"]}}, "InconsistentQuantities"),
        (
            {"CacheBehaviors": listed([behaving(PathPattern=f"/{number}") for number in range(76)])},
            "TooManyCacheBehaviors",
        ),
        ({"CacheBehaviors": listed([behaving(PathPattern="/a")] * 2)}, "InvalidArgument"),
        (
            {"CustomErrorResponses": listed([{"ErrorCode": 404, "ResponsePagePath": "/e", "ResponseCode": "x"}])},
            "InvalidResponseCode",
        ),
        ({"DefaultCacheBehavior": behaving(TrustedSigners={"Enabled": True, **listed(["x"])})}, "NotImplemented"),
        ({"DefaultCacheBehavior": behaving(ResponseHeadersPolicyId="x")}, "NoSuchResponseHeadersPolicy"),
        (
            {
                "DefaultCacheBehavior": behaving(
                    triggers=[{"EventType": "viewer-request", "LambdaFunctionARN": ARN[:-2]}]
                )
            },
            "InvalidLambdaFunctionAssociation",
        ),
        (
            {
                "DefaultCacheBehavior": behaving(
                    triggers=[{"EventType": "viewer-request", "LambdaFunctionARN": ARN}] * 2
                )
            },
            "InvalidLambdaFunctionAssociation",
        ),
        (
            {
                "DefaultCacheBehavior": behaving(
                    triggers=[{"EventType": "origin-response", "LambdaFunctionARN": ARN, "IncludeBody": True}]
                )
            },
            "InvalidLambdaFunctionAssociation",
        ),
    ],
)
def test_what_is_refused_leaves_nothing(there: Place, change: dict[str, Any], code: str) -> None:
    refused(code, there.cloudfront.create_distribution, DistributionConfig=config(**change))
    assert there.cloudfront.list_distributions()["DistributionList"]["Quantity"] == 0


def test_an_alias_belongs_to_one_distribution(there: Place) -> None:
    there.cloudfront.create_distribution(DistributionConfig=config(Aliases=listed(["a.example.test"])))
    second = config(reference="2", Aliases=listed(["A.example.test"]))
    refused("CNAMEAlreadyExists", there.cloudfront.create_distribution, DistributionConfig=second)


def test_tags(there: Place) -> None:
    tags = {"Items": [{"Key": "ward", "Value": "7"}]}
    with_tags = {"DistributionConfig": config(), "Tags": tags}
    arn = there.cloudfront.create_distribution_with_tags(DistributionConfigWithTags=with_tags)["Distribution"]["ARN"]
    there.cloudfront.tag_resource(Resource=arn, Tags={"Items": [{"Key": "a", "Value": "b"}]})
    found = there.cloudfront.list_tags_for_resource(Resource=arn)["Tags"]["Items"]
    assert {each["Key"]: each["Value"] for each in found} == {"ward": "7", "a": "b"}


# ------------------------------------------------------------------------------------ policies and controls


def test_cache_policies(there: Place) -> None:
    cf = there.cloudfront
    kept = {"EnableAcceptEncodingGzip": True}
    own = cache_policy(1, 2, 3, **kept) | {"Name": "own"}
    made = cf.create_cache_policy(CachePolicyConfig=own)
    identifier = made["CachePolicy"]["Id"]
    refused("CachePolicyAlreadyExists", cf.create_cache_policy, CachePolicyConfig=own)
    assert cf.get_cache_policy_config(Id=identifier)["CachePolicyConfig"]["DefaultTTL"] == 2
    updated = cf.update_cache_policy(Id=identifier, CachePolicyConfig=own | {"MaxTTL": 9}, IfMatch=made["ETag"])
    assert cf.get_cache_policy(Id=identifier)["CachePolicy"]["CachePolicyConfig"]["MaxTTL"] == 9
    cf.create_distribution(DistributionConfig=config(DefaultCacheBehavior=behaving(CachePolicyId=identifier)))
    refused("CachePolicyInUse", cf.delete_cache_policy, Id=identifier, IfMatch=updated["ETag"])
    managed = cf.list_cache_policies(Type="managed")["CachePolicyList"]["Items"]
    optimized = next(each["CachePolicy"] for each in managed if each["CachePolicy"]["Id"] == OPTIMIZED)
    ttl = optimized["CachePolicyConfig"]
    assert (ttl["MinTTL"], ttl["DefaultTTL"], ttl["MaxTTL"]) == (1, 86400, 31536000)
    etag = cf.get_cache_policy(Id=OPTIMIZED)["ETag"]
    refused("IllegalUpdate", cf.update_cache_policy, Id=OPTIMIZED, CachePolicyConfig=own, IfMatch=etag)
    refused("NoSuchCachePolicy", cf.get_cache_policy, Id="none")


def test_headers_that_nobody_makes_are_refused(there: Place) -> None:
    create = there.cloudfront.create_cache_policy
    for name, code in (
        ("CloudFront-Viewer-JA3-Fingerprint", "InvalidArgument"),
        ("CloudFront-Viewer-Address", "InvalidArgument"),  # for origin requests only
        ("CloudFront-Nobody", "InvalidArgument"),
        ("Cookie", "InvalidArgument"),
    ):
        headers = {"HeaderBehavior": "whitelist", "Headers": listed([name])}
        own = cache_policy(HeadersConfig=headers, EnableAcceptEncodingGzip=False) | {"Name": "own"}
        refused(code, create, CachePolicyConfig=own)
    ja3 = {
        "Name": "own",
        "HeadersConfig": {"HeaderBehavior": "whitelist", "Headers": listed(["CloudFront-Viewer-JA3-Fingerprint"])},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
    }
    made = there.cloudfront.create_origin_request_policy(OriginRequestPolicyConfig=ja3)  # for origins only
    there.cloudfront.delete_origin_request_policy(Id=made["OriginRequestPolicy"]["Id"], IfMatch=made["ETag"])
    assert there.cloudfront.list_cache_policies(Type="custom")["CachePolicyList"]["Quantity"] == 0


def test_origin_request_policies_and_access_controls(there: Place) -> None:
    cf = there.cloudfront
    parts = {
        "Name": "all",
        "HeadersConfig": {"HeaderBehavior": "allViewer"},
        "CookiesConfig": {"CookieBehavior": "all"},
        "QueryStringsConfig": {"QueryStringBehavior": "all"},
    }
    made = cf.create_origin_request_policy(OriginRequestPolicyConfig=parts)
    cf.delete_origin_request_policy(Id=made["OriginRequestPolicy"]["Id"], IfMatch=made["ETag"])
    refused("NoSuchOriginRequestPolicy", cf.get_origin_request_policy, Id=made["OriginRequestPolicy"]["Id"])
    own = {
        "Name": "oac",
        "SigningProtocol": "sigv4",
        "SigningBehavior": "always",
        "OriginAccessControlOriginType": "s3",
    }
    control = cf.create_origin_access_control(OriginAccessControlConfig=own)
    identifier = control["OriginAccessControl"]["Id"]
    listing = cf.list_origin_access_controls()["OriginAccessControlList"]
    assert [each["Id"] for each in listing["Items"]] == [identifier]
    cf.delete_origin_access_control(Id=identifier, IfMatch=control["ETag"])
    refused("NoSuchOriginAccessControl", cf.get_origin_access_control, Id=identifier)


# -------------------------------------------------------------------------------------- feed and locations


def test_deployed_when_the_location_serves_it(there: Place, tmp_path: Path) -> None:
    cf = there.cloudfront
    with origin_of(there.place) as (origin, port):
        origin.respond = lambda _: answer(b"page", cache_control="max-age=600")
        location = Location(there.place, tmp_path).start()
        try:
            made = cf.create_distribution(DistributionConfig=config(port))["Distribution"]
            cf.get_waiter("distribution_deployed").wait(Id=made["Id"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
            host = made["DomainName"]
            assert [location.get(host, "/a")[2] for _ in range(2)] == ["Miss", "Hit"]

            batch = {"CallerReference": "1", "Paths": listed(["/a"])}
            started = cf.create_invalidation(DistributionId=made["Id"], InvalidationBatch=batch)["Invalidation"]
            waiter = cf.get_waiter("invalidation_completed")
            waiter.wait(DistributionId=made["Id"], Id=started["Id"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
            assert location.get(host, "/a")[2] == "Miss"
            listing = cf.list_invalidations(DistributionId=made["Id"])["InvalidationList"]
            assert [(each["Id"], each["Status"]) for each in listing["Items"]] == [(started["Id"], "Completed")]
        finally:
            location.stop()


def test_what_was_invalidated_while_a_location_was_down_is_not_served(there: Place, tmp_path: Path) -> None:
    cf = there.cloudfront
    with origin_of(there.place) as (origin, port):
        origin.respond = lambda request: answer(request.target.encode(), cache_control="max-age=600")
        location = Location(there.place, tmp_path).start()
        try:
            made = cf.create_distribution(DistributionConfig=config(port))["Distribution"]
            cf.get_waiter("distribution_deployed").wait(Id=made["Id"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})
            host = made["DomainName"]
            for path in ("/a", "/b"):
                location.get(host, path)
            location.stop()
            batch = {"CallerReference": "1", "Paths": listed(["/a"])}
            started = cf.create_invalidation(DistributionId=made["Id"], InvalidationBatch=batch)["Invalidation"]
            assert started["Status"] == "InProgress"
            location.start()
            assert [location.get(host, path)[2] for path in ("/a", "/b")] == ["Miss", "Hit"]
        finally:
            location.stop()


def test_many_changes_in_a_row_all_arrive(there: Place, tmp_path: Path) -> None:
    """A location that polls while a change is being written must not believe that it has it."""
    location = Location(there.place, tmp_path).start()
    try:
        made = [
            there.cloudfront.create_distribution(DistributionConfig=config(reference=str(number)))["Distribution"]
            for number in range(40)
        ]
        get = there.cloudfront.get_distribution
        until(lambda: get(Id=made[-1]["Id"])["Distribution"]["Status"] == "Deployed")
        assert all(location.pipeline.serves(each["DomainName"]) for each in made)
    finally:
        location.stop()


@pytest.mark.parametrize(
    ("paths", "code"),
    [
        (["a"], "InvalidArgument"),
        (["/a*b"], "InvalidArgument"),
        (["/*/b"], "InvalidArgument"),
        (["#"], "InvalidArgument"),
        (["#a*"], "InvalidArgument"),
        (["#a b"], "InvalidArgument"),
        (["#" + "a" * 257], "InvalidArgument"),
    ],
)
def test_invalidation_paths(there: Place, paths: list[str], code: str) -> None:
    made = there.cloudfront.create_distribution(DistributionConfig=config())["Distribution"]
    batch = {"CallerReference": "1", "Paths": listed(paths)}
    create = there.cloudfront.create_invalidation
    refused(code, create, DistributionId=made["Id"], InvalidationBatch=batch)
    refused("NoSuchDistribution", create, DistributionId="E0", InvalidationBatch=batch)
    refused("NoSuchInvalidation", there.cloudfront.get_invalidation, DistributionId=made["Id"], Id="I0")


def test_invalidations_in_progress_are_limited(there: Place) -> None:
    made = there.cloudfront.create_distribution(DistributionConfig=config())["Distribution"]
    create = there.cloudfront.create_invalidation
    for number in range(15):  # no location is there to complete them
        batch = {"CallerReference": str(number), "Paths": listed([f"/{number}*"])}
        assert create(DistributionId=made["Id"], InvalidationBatch=batch)["Invalidation"]["Status"] == "InProgress"
    batch = {"CallerReference": "15", "Paths": listed(["/*"])}
    refused("TooManyInvalidationsInProgress", create, DistributionId=made["Id"], InvalidationBatch=batch)
    batch = {"CallerReference": "16", "Paths": listed([f"/{number}" for number in range(3000)])}
    refused("TooManyInvalidationsInProgress", create, DistributionId=made["Id"], InvalidationBatch=batch)


@pytest.mark.parametrize("most", ["0", "x", "-1"])
def test_pages_of_nothing(there: Place, most: str) -> None:
    refused("InvalidArgument", there.cloudfront.list_distributions, MaxItems=most)


def test_the_same_invalidation_twice_is_one(there: Place) -> None:
    made = there.cloudfront.create_distribution(DistributionConfig=config())["Distribution"]
    create = there.cloudfront.create_invalidation
    batch = {"CallerReference": "1", "Paths": listed(["/a"])}
    first = create(DistributionId=made["Id"], InvalidationBatch=batch)["Invalidation"]["Id"]
    assert create(DistributionId=made["Id"], InvalidationBatch=batch)["Invalidation"]["Id"] == first
    other = batch | {"Paths": listed(["/b"])}
    refused("InvalidArgument", create, DistributionId=made["Id"], InvalidationBatch=other)


def test_a_restart_with_the_region_away_serves_from_disk(there: Place, tmp_path: Path) -> None:
    """Configuration survives; cached bodies do not yet."""
    with origin_of(there.place) as (_, port):
        location = Location(there.place, tmp_path).start()
        made = there.cloudfront.create_distribution(DistributionConfig=config(port))["Distribution"]
        until(lambda: location.get(made["DomainName"])[0] == 200)
        until(lambda: location.location.revision == there.control.revision)
        location.stop()
        location.start("http://127.0.0.1:9")
        try:
            assert location.get(made["DomainName"])[:2] == (200, b"hello")
            assert not location.location.connected
        finally:
            location.stop()


def test_a_location_that_was_away_applies_what_it_missed(there: Place, tmp_path: Path) -> None:
    location = Location(there.place, tmp_path).start()
    made = there.cloudfront.create_distribution(DistributionConfig=config())["Distribution"]
    until(lambda: location.pipeline.serves(made["DomainName"]))
    location.stop()
    second = there.cloudfront.create_distribution(DistributionConfig=config(reference="2"))["Distribution"]
    assert there.cloudfront.get_distribution(Id=second["Id"])["Distribution"]["Status"] == "InProgress"
    location.start()
    try:
        get = there.cloudfront.get_distribution
        until(lambda: get(Id=second["Id"])["Distribution"]["Status"] == "Deployed")
        assert location.pipeline.serves(second["DomainName"])
    finally:
        location.stop()


def test_the_feed_is_for_those_with_a_key(there: Place, tmp_path: Path) -> None:
    connection = http.client.HTTPConnection(there.place.url.removeprefix("http://"), timeout=10)
    connection.request("GET", "/_littoral/edge/desired?location=x&after=-1&wait=0")
    assert connection.getresponse().status == 403
    connection.close()
    assert there.control.locations == {}


async def test_the_feed_is_not_for_devices(tmp_path: Path) -> None:
    """Who has the state has the secret by which locations know each other."""
    store = await EmbeddedStore.open(tmp_path)
    control = await Control.open(store.records("edge-control"))

    async def device(_: Request) -> Principal:
        return Principal("certificate", "ab" * 32, "arn:aws:sts::000000000000:assumed-role/ward/bed7")

    asked = "/_littoral/edge/desired?location=x&after=-1&wait=0"
    request = Request("GET", asked, Headers([]), BytesBody(), Peer("127.0.0.1", 1))
    assert (await Feed(control, device).handle(request)).status == 403
    assert control.locations == {}
    await store.close()


async def test_a_control_plane_keeps_its_state(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path)
    control = await Control.open(store.records("edge-control"))
    await control.put("distribution", "E1", {"id": "E1"})
    await control.put("distribution", "E2", {"id": "E2"})
    await control.delete("distribution", "E2")
    await control.acknowledge("pop1", 3)
    await store.close()
    store = await EmbeddedStore.open(tmp_path)
    again = await Control.open(store.records("edge-control"))
    assert again.all("distribution") == {"E1": {"id": "E1", "revision": 1}}
    assert again.revision == 3
    assert again.locations["pop1"].revision == 3
    assert again.deployed(1)
    await store.close()
