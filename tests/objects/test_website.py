"""Buckets as websites: what a visitor gets, through a browser's kind of requests."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.objects.conftest import S3Place

OPEN = {"BlockPublicAcls": False, "IgnorePublicAcls": False, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
Refusal = Callable[..., tuple[str, int]]


@pytest.fixture
def site(s3: Any, bucket: str) -> str:
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    for key in ("index.html", "ward/index.html", "404.html"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), ContentType="text/html")
    return bucket


def visit(place: S3Place, bucket: str, path: str, method: str = "GET", **headers: str) -> tuple[int, Any, bytes]:
    address = urlsplit(place.served.url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
    host = {"Host": f"{bucket}.s3-website-us-east-1.amazonaws.com"}
    connection.request(method, path, headers=host | {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_index_documents_and_the_page_for_errors(s3: Any, place: S3Place, site: str, refusal: Refusal) -> None:
    assert visit(place, site, "/")[0] == 404
    assert refusal(s3.get_bucket_website, Bucket=site) == ("NoSuchWebsiteConfiguration", 404)
    configuration = {"IndexDocument": {"Suffix": "index.html"}, "ErrorDocument": {"Key": "404.html"}}
    s3.put_bucket_website(Bucket=site, WebsiteConfiguration=configuration)
    assert s3.get_bucket_website(Bucket=site)["ErrorDocument"] == {"Key": "404.html"}
    status, headers, body = visit(place, site, "/")
    assert (status, headers["content-type"], body) == (200, "text/html", b"index.html")
    assert visit(place, site, "/ward/")[2] == b"ward/index.html"
    assert visit(place, site, "/", "HEAD")[:1] == (200,)
    status, moved, _ = visit(place, site, "/ward")
    assert (status, moved["location"]) == (302, "/ward/")
    assert visit(place, site, "/nothing")[::2] == (404, b"404.html")
    assert visit(place, site, "/", If_None_Match=headers["etag"])[::2] == (304, b"")
    assert visit(place, site, "/", "POST")[0] == 405
    s3.delete_object(Bucket=site, Key="404.html")
    status, headers, body = visit(place, site, "/nothing")
    assert (status, b"<li>Code: NoSuchKey</li>" in body) == (404, True)
    assert headers["content-type"].startswith("text/html")
    s3.delete_bucket_website(Bucket=site)
    assert visit(place, site, "/")[0] == 404


def test_redirects_of_objects_rules_and_whole_sites(s3: Any, place: S3Place, site: str) -> None:
    rules = [
        {
            "Condition": {"KeyPrefixEquals": "docs/"},
            "Redirect": {"ReplaceKeyPrefixWith": "documents/", "HttpRedirectCode": "302"},
        },
        {
            "Condition": {"HttpErrorCodeReturnedEquals": "404"},
            "Redirect": {"HostName": "old.example", "Protocol": "https"},
        },
    ]
    configuration: dict[str, Any] = {"IndexDocument": {"Suffix": "index.html"}, "RoutingRules": rules}
    s3.put_bucket_website(Bucket=site, WebsiteConfiguration=configuration)
    host = f"http://{site}.s3-website-us-east-1.amazonaws.com"
    status, moved, _ = visit(place, site, "/docs/a%20b")
    assert (status, moved["location"]) == (302, f"{host}/documents/a%20b")
    status, moved, _ = visit(place, site, "/nothing")
    assert (status, moved["location"]) == (301, "https://old.example/nothing")
    s3.put_object(Bucket=site, Key="away", Body=b"", WebsiteRedirectLocation="https://ward.example/")
    status, moved, _ = visit(place, site, "/away")
    assert (status, moved["location"]) == (301, "https://ward.example/")
    everything = {"RedirectAllRequestsTo": {"HostName": "new.example"}}
    s3.put_bucket_website(Bucket=site, WebsiteConfiguration=everything)
    status, moved, _ = visit(place, site, "/ward/")
    assert (status, moved["location"]) == (301, "http://new.example/ward/")


def test_a_site_is_as_public_as_its_bucket(s3: Any, place: S3Place, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="index.html", Body=b"mine")
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    status, _, body = visit(place, bucket, "/")
    assert (status, b"AccessDenied" in body, b"mine" in body) == (403, True, False)


def test_who_may_read_and_not_list_is_shown_the_way_to_a_folder(s3: Any, place: S3Place, site: str) -> None:
    """As most sites' policies have it."""
    s3.put_bucket_website(Bucket=site, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    reading = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{site}/*"}
    hiding = {**reading, "Effect": "Deny", "Resource": f"arn:aws:s3:::{site}/hidden/*"}
    s3.put_bucket_policy(Bucket=site, Policy=json.dumps({"Version": "2012-10-17", "Statement": [reading, hiding]}))
    s3.put_object(Bucket=site, Key="hidden/index.html", Body=b"hidden")
    status, moved, _ = visit(place, site, "/ward")
    assert (status, moved["location"]) == (302, "/ward/")
    assert [visit(place, site, path)[0] for path in ("/hidden", "/nothing")] == [403, 403]


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        ({"IndexDocument": {"Suffix": "a/b"}}, "InvalidArgument"),
        ({"ErrorDocument": {"Key": "e"}}, "InvalidArgument"),
        ({"IndexDocument": {"Suffix": "i"}, "RedirectAllRequestsTo": {"HostName": "h"}}, "InvalidRequest"),
        (
            {"IndexDocument": {"Suffix": "i"}, "RoutingRules": [{"Redirect": {"HttpRedirectCode": "300"}}]},
            "InvalidRequest",
        ),
    ],
)
def test_what_is_no_website(s3: Any, bucket: str, configuration: Any, code: str, refusal: Refusal) -> None:
    assert refusal(s3.put_bucket_website, Bucket=bucket, WebsiteConfiguration=configuration) == (code, 400)
