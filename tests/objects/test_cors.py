"""Pages of other origins: a bucket's rules by table, and what a browser would see, through curl's kind of requests."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from littoral.objects.cors import checked, loaded, rule_for
from tests.objects.conftest import S3Place

RULES = {
    "CORSRules": [
        {
            "AllowedOrigins": ["https://*.ward.example"],
            "AllowedMethods": ["GET", "PUT"],
            "AllowedHeaders": ["x-amz-*", "Content-Type"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 600,
        },
        {"AllowedOrigins": ["*"], "AllowedMethods": ["HEAD"]},
    ]
}


@pytest.mark.parametrize(
    ("origin", "method", "headers", "rule"),
    [
        ("https://a.ward.example", "GET", [], 0),
        ("https://a.ward.example", "PUT", ["x-amz-meta-bed", "content-type"], 0),
        ("https://a.ward.example", "PUT", ["authorization"], None),
        ("https://ward.example", "GET", [], None),
        ("https://a.ward.example.evil", "GET", [], None),
        ("https://elsewhere", "HEAD", [], 1),
        ("https://elsewhere", "DELETE", [], None),
    ],
)
def test_the_first_rule_that_fits(origin: str, method: str, headers: list[str], rule: int | None) -> None:
    rules = loaded(checked(RULES))
    assert rule_for(rules, origin, method, headers) == (None if rule is None else rules[rule])


def ask(url: str, method: str, **headers: str) -> tuple[int, dict[str, str]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as problem:
        with problem:
            return problem.code, {name.lower(): value for name, value in problem.headers.items()}


def test_a_page_of_another_origin_puts_by_a_signed_url(s3: Any, place: S3Place, bucket: str) -> None:
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    question = {"Origin": "https://a.ward.example", "Access_Control_Request_Method": "PUT"}
    assert ask(url, "OPTIONS", **question)[0] == 403
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration=RULES)
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == RULES["CORSRules"]
    status, allowed = ask(url, "OPTIONS", **question, Access_Control_Request_Headers="Content-Type")
    assert (status, allowed["access-control-allow-origin"]) == (200, "https://a.ward.example")
    assert (allowed["access-control-max-age"], allowed["access-control-allow-headers"]) == ("600", "content-type")
    status, seen = ask(url, "GET", Origin="https://a.ward.example")
    assert (status, seen["access-control-expose-headers"], seen["vary"][:6]) == (404, "ETag", "Origin")
    assert "access-control-allow-origin" not in ask(url, "GET", Origin="https://elsewhere")[1]
    assert "access-control-allow-origin" not in ask(url, "GET")[1]
    assert ask(url, "OPTIONS")[0] == 400
    s3.delete_bucket_cors(Bucket=bucket)
    assert ask(url, "OPTIONS", **question)[0] == 403


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"AllowedMethods": ["PATCH"]}, "InvalidRequest"),
        ({"AllowedOrigins": ["*a*"]}, "InvalidRequest"),
        ({"AllowedOrigins": []}, "MalformedXML"),
    ],
)
def test_rules_that_are_none(
    s3: Any, bucket: str, change: dict[str, Any], code: str, refusal: Callable[..., tuple[str, int]]
) -> None:
    rule = {"AllowedOrigins": ["*"], "AllowedMethods": ["GET"]} | change
    refused = refusal(s3.put_bucket_cors, Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})
    assert refused == (code, 400)
    assert refusal(s3.get_bucket_cors, Bucket=bucket) == ("NoSuchCORSConfiguration", 404)
