"""Web ACLs made with boto3, enforced by an edge location before its cache, seen by an HTTP client."""

from __future__ import annotations

import json
import time
from typing import Any

from tests.edge.place import answer
from tests.edge.test_control import refused, until
from tests.edge.waf.place import Walls, rule, text, transformations, visible


def test_a_cached_object_is_blocked_all_the_same(place: Walls) -> None:
    assert place.status("/secret.html") == 200
    assert place.ask("/secret.html")[2]["x-cache"] == "Hit from cloudfront"
    place.protect(rule("no-secrets", text("secret")))
    status, body, headers = place.ask("/secret.html")
    assert (status, headers["x-cache"]) == (403, "Error from cloudfront")
    assert b"web ACL" in body
    assert place.ask("/other.html")[0] == 200
    assert place.ask("/other.html")[2]["x-cache"] == "Hit from cloudfront"
    assert place.origin.targets == ["/secret.html", "/other.html"]


def test_priority_decides_and_a_change_counts_at_once(place: Walls) -> None:
    allow, block = rule("inner", text("/a/b"), "Allow"), rule("outer", text("/a"))
    place.protect(allow, block)
    assert [place.status(path) for path in ("/a/b", "/a/c", "/x")] == [200, 403, 200]
    place.protect(block, allow)
    assert [place.status(path) for path in ("/a/b", "/x")] == [403, 200]
    place.protect(default="Block")
    assert place.status("/x") == 403


def test_addresses_and_logic(place: Walls) -> None:
    made = place.waf.create_ip_set(
        Name="us", Scope="CLOUDFRONT", IPAddressVersion="IPV4", Addresses=["127.0.0.0/8", "192.0.2.44/32"]
    )["Summary"]
    here = {"IPSetReferenceStatement": {"ARN": made["ARN"]}}
    forwarded = {"HeaderName": "X-Forwarded-For", "FallbackBehavior": "NO_MATCH", "Position": "ANY"}
    there = {"IPSetReferenceStatement": {"ARN": made["ARN"], "IPSetForwardedIPConfig": forwarded}}
    place.protect(
        rule("both", {"AndStatement": {"Statements": [here, text("/admin")]}}),
        rule("neither", {"AndStatement": {"Statements": [{"NotStatement": {"Statement": here}}, text("/x")]}}),
        rule("either", {"OrStatement": {"Statements": [text("/one"), text("/two")]}}),
        rule("behind", there),
    )
    assert [place.status(path) for path in ("/admin", "/x", "/one", "/two", "/three")] == [403, 200, 403, 403, 200]
    assert place.status("/y", x_forwarded_for="198.51.100.1, 192.0.2.44") == 403
    assert place.status("/y", x_forwarded_for="198.51.100.1") == 200
    refused(
        "WAFAssociatedItemException",
        place.waf.delete_ip_set,
        Name="us",
        Scope="CLOUDFRONT",
        Id=made["Id"],
        LockToken=made["LockToken"],
    )
    place.waf.update_ip_set(
        Name="us", Scope="CLOUDFRONT", Id=made["Id"], Addresses=["192.0.2.44/32"], LockToken=made["LockToken"]
    )
    place.settled()
    assert place.status("/admin") == 200


def test_fields_expressions_and_sizes(place: Walls) -> None:
    patterns = place.waf.create_regex_pattern_set(
        Name="bots",
        Scope="CLOUDFRONT",
        RegularExpressionList=[{"RegexString": r"(?i)evil-?bot/\d+"}, {"RegexString": "^$"}],
    )["Summary"]["ARN"]
    agent = {"SingleHeader": {"Name": "User-Agent"}}
    place.protect(
        rule(
            "agents",
            {
                "RegexPatternSetReferenceStatement": {
                    "ARN": patterns,
                    "FieldToMatch": agent,
                    "TextTransformations": transformations(),
                }
            },
        ),
        rule(
            "long",
            {
                "SizeConstraintStatement": {
                    "FieldToMatch": {"QueryString": {}},
                    "ComparisonOperator": "GT",
                    "Size": 20,
                    "TextTransformations": transformations(),
                }
            },
        ),
        rule(
            "argument",
            {
                "RegexMatchStatement": {
                    "RegexString": "^drop table",
                    "FieldToMatch": {"SingleQueryArgument": {"Name": "q"}},
                    "TextTransformations": transformations("URL_DECODE", "LOWERCASE"),
                }
            },
        ),
        rule("cookie", text("stolen", {"Cookies": _every("VALUE")})),
        rule(
            "json", text("admin", {"JsonBody": {"MatchPattern": {"IncludedPaths": ["/user"]}, "MatchScope": "VALUE"}})
        ),
    )
    assert place.status("/", user_agent="EvilBot/1") == 403
    assert place.status("/", user_agent="") == 403
    assert place.status("/", user_agent="curl/8") == 200
    assert place.status("/?" + "a" * 21) == 403
    assert place.status("/?q=DROP%20TABLE") == 403
    assert place.status("/?p=DROP%20TABLE") == 200
    assert place.status("/", cookie="a=1; session=stolen") == 403
    assert place.status("/", "POST", json.dumps({"user": {"name": "admin"}}).encode()) == 403
    assert place.status("/", "POST", json.dumps({"name": "admin"}).encode()) == 200


def _every(scope: str) -> dict[str, Any]:
    return {"MatchPattern": {"All": {}}, "MatchScope": scope, "OversizeHandling": "CONTINUE"}


def test_a_body_is_inspected_and_handed_on_whole(place: Walls) -> None:
    place.protect(
        rule("bodies", text("attack", {"Body": {"OversizeHandling": "CONTINUE"}})),
        rule("huge", text("never", {"Body": {"OversizeHandling": "MATCH"}}), "Count", RuleLabels=[{"Name": "huge"}]),
    )
    assert place.status("/", "POST", b"an attack") == 403
    body = b"x" * 100_000 + b"attack"  # beyond the 16 KB that are inspected
    assert place.status("/", "POST", body) == 200
    assert place.origin.asked[-1].body == body
    place.protect(
        rule("bodies", text("attack", {"Body": {"OversizeHandling": "MATCH"}})),
        AssociationConfig={"RequestBody": {"CLOUDFRONT": {"DefaultSizeInspectionLimit": "KB_64"}}},
    )
    assert place.status("/", "POST", b"x" * 60_000) == 200
    assert place.status("/", "POST", b"x" * 70_000) == 403


def test_custom_responses_and_inserted_headers(place: Walls) -> None:
    custom = {
        "ResponseCode": 418,
        "CustomResponseBodyKey": "sorry",
        "ResponseHeaders": [{"Name": "x-why", "Value": "tea"}],
    }
    insert = {"CustomRequestHandling": {"InsertHeaders": [{"Name": "Bot", "Value": "maybe"}]}}
    place.protect(
        rule("tea", text("/tea"), {"Block": {"CustomResponse": custom}}),
        rule("mark", text("/marked"), {"Count": insert}),
        CustomResponseBodies={"sorry": {"ContentType": "APPLICATION_JSON", "Content": '{"sorry": true}'}},
    )
    status, body, headers = place.ask("/tea")
    assert (status, body, headers["content-type"]) == (418, b'{"sorry": true}', "application/json")
    assert headers["x-why"] == "tea"
    assert place.status("/marked", x_amzn_waf_bot="forged") == 200
    assert place.origin.asked[-1].headers.get_all("x-amzn-waf-bot") == []  # the cache policy forwards no headers


def test_a_rate_is_limited_and_its_keys_are_told(place: Walls) -> None:
    limited = {"Limit": 10, "EvaluationWindowSec": 60, "AggregateKeyType": "IP", "ScopeDownStatement": text("/login")}
    acl = place.protect(rule("slow", {"RateBasedStatement": limited}))
    statuses = [place.status("/login") for _ in range(15)]
    assert statuses[:8] == [200] * 8
    assert statuses[-4:] == [403] * 4
    assert place.status("/") == 200

    def keys() -> list[str]:
        found = place.waf.get_rate_based_statement_managed_keys(
            Scope="CLOUDFRONT", WebACLName="shop", WebACLId=acl["Id"], RuleName="slow"
        )
        return list(found["ManagedKeysIPV4"]["Addresses"])

    place.served.run(place.edge.location._uplink._tell())
    place.edge.location._uplink._turn = 0
    place.served.run(place.edge.location._uplink._tell())
    assert keys() == ["127.0.0.1/32"]


def test_labels_pass_from_rule_to_rule_and_group_to_acl(place: Walls) -> None:
    group = place.waf.create_rule_group(
        Name="marks",
        Scope="CLOUDFRONT",
        Capacity=50,
        VisibilityConfig=visible(),
        Rules=[
            rule("old", text("/old"), "Count", RuleLabels=[{"Name": "age:old"}]),
            {**rule("never", text("/never")), "Priority": 1},
        ],
    )["Summary"]["ARN"]
    place.protect(
        {
            "Name": "group",
            "Statement": {
                "RuleGroupReferenceStatement": {
                    "ARN": group,
                    "RuleActionOverrides": [{"Name": "never", "ActionToUse": {"Count": {}}}],
                }
            },
            "OverrideAction": {"None": {}},
            "VisibilityConfig": visible("group"),
        },
        rule("own", text("/own"), "Count", RuleLabels=[{"Name": "own"}]),
        rule(
            "labelled",
            {
                "OrStatement": {
                    "Statements": [
                        {"LabelMatchStatement": {"Scope": "LABEL", "Key": "own"}},
                        {
                            "LabelMatchStatement": {
                                "Scope": "NAMESPACE",
                                "Key": "awswaf:000000000000:rulegroup:marks:age:",
                            }
                        },
                    ]
                }
            },
        ),
    )
    assert [place.status(path) for path in ("/old", "/own", "/never", "/new")] == [403, 403, 200, 200]


def test_samples_and_logs(place: Walls) -> None:
    acl = place.protect(rule("no", text("/no")), rule("seen", text("/seen"), "Count", RuleLabels=[{"Name": "seen"}]))
    destination = "arn:aws:logs:us-east-1:000000000000:log-group:aws-waf-logs-here"
    configuration = {
        "ResourceArn": acl["ARN"],
        "LogDestinationConfigs": [destination],
        "RedactedFields": [{"SingleHeader": {"Name": "authorization"}}],
        "LoggingFilter": {
            "DefaultBehavior": "DROP",
            "Filters": [
                {
                    "Behavior": "KEEP",
                    "Requirement": "MEETS_ANY",
                    "Conditions": [
                        {"ActionCondition": {"Action": "BLOCK"}},
                        {"LabelNameCondition": {"LabelName": "awswaf:000000000000:webacl:shop:seen"}},
                    ],
                }
            ],
        },
    }
    wrong = {**configuration, "LogDestinationConfigs": [destination.replace("aws-waf-logs-here", "other")]}
    refused("WAFInvalidParameterException", place.waf.put_logging_configuration, LoggingConfiguration=wrong)
    place.waf.put_logging_configuration(LoggingConfiguration=configuration)
    place.settled()
    assert place.status("/no?a=1", authorization="secret") == 403
    assert place.status("/seen") == 200
    assert place.status("/plain") == 200
    until(lambda: len(place.logs.records) >= 2)
    blocked, seen = place.logs.records
    assert (blocked["action"], blocked["terminatingRuleId"], blocked["responseCodeSent"]) == ("BLOCK", "no", 403)
    assert blocked["httpRequest"]["args"] == "a=1"
    assert {"name": "authorization", "value": "REDACTED"} in blocked["httpRequest"]["headers"]
    assert seen["terminatingRuleId"] == "Default_Action"
    assert [each["ruleId"] for each in seen["nonTerminatingMatchingRules"]] == ["seen"]
    now = time.time()

    def sampled(metric: str) -> dict[str, Any]:
        window = {"StartTime": now - 600, "EndTime": now + 60}
        return dict(
            place.waf.get_sampled_requests(
                WebAclArn=acl["ARN"], RuleMetricName=metric, Scope="CLOUDFRONT", TimeWindow=window, MaxItems=100
            )
        )

    until(lambda: sampled("no")["PopulationSize"] == 1)
    (sample,) = sampled("no")["SampledRequests"]
    assert (sample["Action"], sample["Request"]["URI"], sample["ResponseCodeSent"]) == ("BLOCK", "/no?a=1", 403)
    assert sampled("seen")["SampledRequests"][0]["Action"] == "COUNT"
    assert sampled("shop")["PopulationSize"] == 2


def test_a_location_enforces_from_disk_while_the_region_is_away(place: Walls) -> None:
    place.protect(rule("no", text("/no")))
    place.edge.stop()
    place.edge.start("http://127.0.0.1:9")
    assert [place.status(path) for path in ("/no", "/yes")] == [403, 200]


def test_origin_sees_inserted_headers(place: Walls) -> None:
    """Where the behaviour forwards all of the viewer's headers."""
    found = place.cloudfront.get_distribution_config(Id=place.distribution["Id"])
    changed = found["DistributionConfig"]
    changed["DefaultCacheBehavior"]["OriginRequestPolicyId"] = "216adef6-5c7f-47e4-b989-5492eafa07d3"
    place.cloudfront.update_distribution(Id=place.distribution["Id"], DistributionConfig=changed, IfMatch=found["ETag"])
    insert = {"CustomRequestHandling": {"InsertHeaders": [{"Name": "Bot", "Value": "maybe"}]}}
    place.origin.respond = lambda request: answer(b"", cache_control="no-store")
    place.protect(rule("mark", text("/marked"), {"Count": insert}))
    assert place.status("/marked", x_amzn_waf_bot="forged") == 200
    assert place.origin.asked[-1].headers.get_all("x-amzn-waf-bot") == ["maybe"]
