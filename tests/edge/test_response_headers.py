"""Response headers policies: by the API, and on hits, misses, errors and pages that functions make."""

from __future__ import annotations

from typing import Any

import pytest

from littoral.edge.policies import MANAGED_CACHE, MANAGED_ORIGIN_REQUEST, MANAGED_RESPONSE_HEADERS
from littoral.edge.responseheaders import compile_headers
from littoral.net.message import Headers
from tests.edge.place import Edge, answer, listed
from tests.edge.test_control import Place, config, refused, there  # noqa: F401 - a fixture

SECURITY = "67f7725c-6f97-4210-82d7-5512b31e9d03"
SIMPLE_CORS = "60669652-455b-4ae9-85a4-c4c02393f86c"
PREFLIGHT = "5cc3b908-e619-4b99-88e5-2cf7f45965bd"


def custom(**headers: str) -> dict[str, Any]:
    listing = [{"Header": k.replace("_", "-"), "Value": v, "Override": k == "X_Over"} for k, v in headers.items()]
    return {"Name": "own", "CustomHeadersConfig": listed(listing)}


def cors(*origins: str, override: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "Name": "cors",
        "CorsConfig": {
            "AccessControlAllowOrigins": listed(list(origins)),
            "AccessControlAllowHeaders": listed(["X-Own"]),
            "AccessControlAllowMethods": listed(["GET", "PUT"]),
            "AccessControlAllowCredentials": False,
            "AccessControlMaxAgeSec": 600,
            "OriginOverride": override,
        }
        | more,
    }


def use(place: Edge, policy: dict[str, Any], **behaviour: Any) -> None:
    place.policies["rhp"] = policy
    place.configure(behaviour={"ResponseHeadersPolicyId": "rhp", **behaviour})


# ------------------------------------------------------------------------------------------- in the pipeline


async def test_the_security_headers_of_the_managed_policy(place: Edge) -> None:
    place.configure(behaviour={"ResponseHeadersPolicyId": SECURITY})
    place.origin.respond = lambda _: answer(
        b"x", cache_control="max-age=60", x_frame_options="DENY", x_content_type_options="other"
    )
    for _ in range(4):  # a miss, the first hit, hits from the prepared head
        headers = (await place.get("/a")).headers
        assert headers["x-frame-options"] == "DENY"  # the origin's stands
        assert headers["x-content-type-options"] == "nosniff"  # this one overrides
        assert headers["strict-transport-security"] == "max-age=31536000"
        assert headers["referrer-policy"] == "strict-origin-when-cross-origin"
        assert headers["x-xss-protection"] == "1; mode=block"


async def test_custom_and_removed_headers(place: Edge) -> None:
    removed = listed([{"Header": "X-Powered-By"}, {"Header": "Server"}, {"Header": "X-Both"}])
    use(place, custom(X_Own="a", X_Over="b", X_Both="c", X_Empty="") | {"RemoveHeadersConfig": removed})
    place.origin.respond = lambda _: answer(
        b"x", cache_control="max-age=60", x_own="o", x_over="o", x_powered_by="php", server="apache", x_both="o"
    )
    for _ in range(4):
        headers = (await place.get("/a")).headers
        expected = {"x-own": "o", "x-over": "b", "server": "CloudFront", "x-both": "c", "x-empty": ""}
        assert {name: headers.get(name) for name in expected} == expected
        assert "x-powered-by" not in headers
    place.configure()  # without the policy the stored object is as it came
    for _ in range(3):
        assert (await place.get("/a")).headers["x-powered-by"] == "php"


async def test_two_behaviours_dress_one_object_differently(place: Edge) -> None:
    place.policies["one"], place.policies["two"] = custom(X_Which="1"), custom(X_Which="2")
    rewrite = place.trigger("viewer-request", lambda cf: cf["request"] | {"uri": "/a"})
    plain = place.config()["DefaultCacheBehavior"]
    other = plain | {
        "PathPattern": "/b",
        "ResponseHeadersPolicyId": "two",
        "LambdaFunctionAssociations": listed([rewrite]),
    }
    place.configure(behaviour={"ResponseHeadersPolicyId": "one"}, CacheBehaviors=listed([other]))
    for _ in range(3):
        assert (await place.get("/a")).headers["x-which"] == "1"
        assert (await place.get("/b")).headers["x-which"] == "2"
    assert len(place.origin.asked) == 1


async def test_cors_is_for_requests_with_an_allowed_origin(place: Edge) -> None:
    use(place, cors("https://*.example.org", "shop.test"))
    place.origin.respond = lambda _: answer(b"x", cache_control="max-age=60", access_control_allow_origin="none")
    for _ in range(3):
        plain = (await place.get("/a")).headers
        assert (plain["access-control-allow-origin"], plain["vary"]) == ("none", "Origin")
        for origin in ("https://a.example.org", "http://shop.test"):
            reply = (await place.get("/a", origin=origin)).headers
            assert reply["access-control-allow-origin"] == origin
            assert "access-control-allow-methods" not in reply
        for origin in ("https://example.org.evil.test", "http://a.example.org", "https://shop.test.evil"):
            assert (await place.get("/a", origin=origin)).headers["access-control-allow-origin"] == "none"


async def test_a_preflight_is_answered_with_what_is_allowed(place: Edge) -> None:
    everything = ["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"]
    use(place, cors("*"), methods=everything)
    reply = await place.get("/a", "OPTIONS", origin="https://a.test", access_control_request_method="PUT")
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["access-control-allow-methods"] == "GET, PUT"
    assert reply.headers["access-control-allow-headers"] == "X-Own"
    assert reply.headers["access-control-max-age"] == "600"


async def test_what_the_origin_says_of_cors_stands_without_override(place: Edge) -> None:
    use(place, cors("*", override=False))
    place.origin.respond = lambda _: answer(b"x", access_control_allow_origin="https://b.test")
    said = (await place.get("/a", origin="https://a.test")).headers
    assert said["access-control-allow-origin"] == "https://b.test"
    place.origin.respond = lambda _: answer(b"x")
    assert (await place.get("/b", origin="https://a.test")).headers["access-control-allow-origin"] == "*"


async def test_server_timing(place: Edge) -> None:
    use(place, {"Name": "t", "ServerTimingHeadersConfig": {"Enabled": True, "SamplingRate": 100.0}})
    place.origin.respond = lambda _: answer(b"x", cache_control="max-age=60", server_timing="db;dur=3")
    missed = (await place.get("/a")).headers["server-timing"]
    assert missed.startswith('cdn-upstream-layer;desc="EDGE",cdn-upstream-fbl;dur=')
    assert ',cdn-cache-miss,cdn-pop;desc="TST1",cdn-rid;desc="' in missed
    assert missed.endswith(",db;dur=3")
    reply = await place.get("/a")
    found = reply.headers["server-timing"]
    assert found.startswith('cdn-cache-hit,cdn-pop;desc="TST1",cdn-rid;desc="')
    assert 'cdn-hit-layer;desc="EDGE"' in found and "db;dur" not in found


async def test_server_timing_of_no_sample_comes_when_asked_for(place: Edge) -> None:
    use(place, {"Name": "t", "ServerTimingHeadersConfig": {"Enabled": True, "SamplingRate": 0}})
    for _ in range(3):
        assert "server-timing" not in (await place.get("/a")).headers
        assert "cdn-pop" in (await place.get("/a", pragma="server-timing")).headers["server-timing"]


async def test_errors_and_generated_pages_are_dressed_too(place: Edge) -> None:
    use(place, custom(X_Own="a"))
    place.origin.respond = lambda _: answer(b"no", 404)
    assert (await place.get("/a")).headers["x-own"] == "a"
    use(place, custom(X_Own="a"), triggers=[place.trigger("viewer-request", lambda _: {"status": "200", "body": "x"})])
    assert (await place.get("/a")).headers["x-own"] == "a"


async def test_a_viewer_response_function_sees_the_policy_headers(place: Edge) -> None:
    def function(cf: dict[str, Any]) -> Any:
        seen = cf["response"]["headers"]["x-own"][0]["value"]
        cf["response"]["headers"]["x-own"] = [{"key": "X-Own", "value": seen + "!"}]
        return cf["response"]

    use(place, custom(X_Own="a"), triggers=[place.trigger("viewer-response", function)])
    assert (await place.get("/a")).headers["x-own"] == "a!"


def test_values() -> None:
    config = {
        "SecurityHeadersConfig": {
            "StrictTransportSecurity": {
                "Override": True,
                "AccessControlMaxAgeSec": 5,
                "Preload": True,
                "IncludeSubdomains": True,
            },
            "XSSProtection": {"Override": True, "Protection": True, "ReportUri": "https://r.test"},
            "ContentSecurityPolicy": {"Override": True, "ContentSecurityPolicy": "default-src 'self'"},
        }
    }
    made = dict(compile_headers(config).apply([], "GET", Headers()))
    assert made[b"strict-transport-security"] == b"max-age=5; includeSubDomains; preload"
    assert made[b"x-xss-protection"] == b"1; report=https://r.test"
    assert made[b"content-security-policy"] == b"default-src 'self'"


# ---------------------------------------------------------------------------------------------- by the API


def test_the_life_of_a_response_headers_policy(there: Place) -> None:  # noqa: F811
    cf = there.cloudfront
    made = cf.create_response_headers_policy(ResponseHeadersPolicyConfig=custom(X_A="1"))
    identifier = made["ResponseHeadersPolicy"]["Id"]
    assert made["Location"].endswith(identifier)
    refused(
        "ResponseHeadersPolicyAlreadyExists", cf.create_response_headers_policy, ResponseHeadersPolicyConfig=custom()
    )
    behaviour = config()["DefaultCacheBehavior"] | {"ResponseHeadersPolicyId": identifier}
    cf.create_distribution(DistributionConfig=config(DefaultCacheBehavior=behaviour))
    refused("ResponseHeadersPolicyInUse", cf.delete_response_headers_policy, Id=identifier, IfMatch=made["ETag"])
    changed = custom(X_B="2") | {"Name": "renamed"}
    updated = cf.update_response_headers_policy(
        Id=identifier, ResponseHeadersPolicyConfig=changed, IfMatch=made["ETag"]
    )
    kept = cf.get_response_headers_policy_config(Id=identifier)
    assert kept["ResponseHeadersPolicyConfig"]["CustomHeadersConfig"]["Items"][0]["Header"] == "X-B"
    assert kept["ETag"] == updated["ETag"]
    refused("IllegalDelete", cf.delete_response_headers_policy, Id=SECURITY, IfMatch="E1")
    listing = cf.list_response_headers_policies(Type="custom")["ResponseHeadersPolicyList"]
    assert [each["ResponseHeadersPolicy"]["Id"] for each in listing["Items"]] == [identifier]


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"CustomHeadersConfig": listed([{"Header": "Via", "Value": "x", "Override": True}])}, "InvalidArgument"),
        ({"CustomHeadersConfig": listed([{"Header": "a b", "Value": "x", "Override": True}])}, "InvalidArgument"),
        ({"CustomHeadersConfig": listed([{"Header": "A", "Value": "x\ny", "Override": True}])}, "InvalidArgument"),
        (custom(**{f"X_{n}": "1" for n in range(11)}), "TooManyCustomHeadersInResponseHeadersPolicy"),
        (
            {"RemoveHeadersConfig": listed([{"Header": f"X-{n}"} for n in range(11)])},
            "TooManyRemoveHeadersInResponseHeadersPolicy",
        ),
        ({"RemoveHeadersConfig": listed([{"Header": "X-Amz-Cf-Id"}])}, "InvalidArgument"),
        ({"RemoveHeadersConfig": {"Quantity": 2, "Items": [{"Header": "X"}]}}, "InconsistentQuantities"),
        (cors("https://a.*.org"), "InvalidArgument"),
        (cors("*", AccessControlAllowCredentials=True), "InvalidArgument"),
        (
            {
                "SecurityHeadersConfig": {
                    "ContentSecurityPolicy": {"Override": True, "ContentSecurityPolicy": "x" * 1784}
                }
            },
            "TooLongCSPInResponseHeadersPolicy",
        ),
        ({"ServerTimingHeadersConfig": {"Enabled": True, "SamplingRate": 101}}, "InvalidArgument"),
        ({"Name": "a b"}, "InvalidArgument"),
    ],
)
def test_what_a_policy_may_not_say(there: Place, policy: dict[str, Any], code: str) -> None:  # noqa: F811
    made = {"Name": "own"} | policy
    refused(code, there.cloudfront.create_response_headers_policy, ResponseHeadersPolicyConfig=made)
    assert there.cloudfront.list_response_headers_policies(Type="custom")["ResponseHeadersPolicyList"]["Quantity"] == 0


def test_policies_are_limited(there: Place) -> None:  # noqa: F811
    create = there.cloudfront.create_response_headers_policy
    for number in range(20):
        create(ResponseHeadersPolicyConfig={"Name": f"p{number}"})
    refused("TooManyResponseHeadersPolicies", create, ResponseHeadersPolicyConfig={"Name": "one-more"})


def test_the_managed_policies_are_there_by_their_ids(there: Place) -> None:  # noqa: F811
    cf = there.cloudfront
    assert (len(MANAGED_CACHE), len(MANAGED_ORIGIN_REQUEST), len(MANAGED_RESPONSE_HEADERS)) == (7, 8, 5)
    cached = cf.get_cache_policy(Id="83da9c7e-98b4-4e11-a168-04f0df8e2c65")["CachePolicy"]["CachePolicyConfig"]
    assert (cached["Name"], cached["DefaultTTL"]) == ("Managed-UseOriginCacheControlHeaders", 0)
    forwarded = cf.get_origin_request_policy(Id="33f36d7e-f396-46d9-90e0-52428a34d9dc")["OriginRequestPolicy"]
    assert forwarded["OriginRequestPolicyConfig"]["HeadersConfig"]["Headers"]["Quantity"] == 21
    for identifier in (*MANAGED_CACHE, *MANAGED_ORIGIN_REQUEST, *MANAGED_RESPONSE_HEADERS):
        assert len(identifier) == 36
    dressed = {"ResponseHeadersPolicyId": PREFLIGHT, "CachePolicyId": "4cc15a8a-d715-48a4-82b8-cc0b614638fe"}
    behaviour = config()["DefaultCacheBehavior"] | dressed
    assert cf.create_distribution(DistributionConfig=config(DefaultCacheBehavior=behaviour))["ETag"]
