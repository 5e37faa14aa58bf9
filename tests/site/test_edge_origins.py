"""Origins at the region itself: a function URL that only the edge may ask, and a bucket's website."""

from __future__ import annotations

import hashlib
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request

import pytest

from tests.edge.place import ALL_VIEWER, DISABLED, behaving, listed
from tests.edge.test_control import config, refused

from .conftest import Running
from .test_edge_logs import publish

CODE = """
import json
def handler(event, context):
    who = event["requestContext"].get("authorizer", {})
    said = {"method": event["requestContext"]["http"]["method"], "path": event["rawPath"], "body": event.get("body")}
    return {"statusCode": 200, "body": json.dumps({**said, "signed": "iam" in who})}
"""
ALL = listed(["GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"])
EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"  # Managed-AllViewerExceptHostHeader


def ask(port: int, host: str, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers={"Host": host, **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("suffix", ["localhost", "on.aws"])
def test_only_the_edge_may_ask_the_function(place: Running, suffix: str) -> None:
    functions, cf = place.client("lambda"), place.client("cloudfront")
    name = f"behind-{suffix.replace('.', '-')}"
    publish(functions, name, CODE)
    url = functions.create_function_url_config(FunctionName=name, AuthType="AWS_IAM")["FunctionUrl"]
    named = urllib.parse.urlsplit(url)
    assert ask(named.port or 0, named.netloc, "GET", "/")[0] == 403  # nobody signs

    domain = (named.hostname or "").replace("localhost", suffix)
    wanted = {
        "Name": name,
        "OriginAccessControlOriginType": "lambda",
        "SigningBehavior": "always",
        "SigningProtocol": "sigv4",
    }
    control = cf.create_origin_access_control(OriginAccessControlConfig=wanted)["OriginAccessControl"]["Id"]
    custom = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "https-only"}
    origin = {"Id": "o", "DomainName": domain, "OriginAccessControlId": control, "CustomOriginConfig": custom}
    methods = ALL | {"CachedMethods": listed(["GET", "HEAD"])}
    behaviour = behaving(CachePolicyId=DISABLED, OriginRequestPolicyId=EXCEPT_HOST, AllowedMethods=methods)
    asked = config(reference=name, Origins=listed([origin]), DefaultCacheBehavior=behaviour)
    elsewhere = asked | {"Origins": listed([origin | {"DomainName": "example.org"}])}
    refused("InvalidOriginAccessControl", cf.create_distribution, DistributionConfig=elsewhere)
    made = cf.create_distribution(DistributionConfig=asked)["Distribution"]
    cf.get_waiter("distribution_deployed").wait(Id=made["Id"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
    host, edge = made["DomainName"], place.port("edge")
    assert ask(edge, host, "GET", "/a%20b?x=1") == (
        200,
        '{"method": "GET", "path": "/a%20b", "body": null, "signed": true}',
    )
    digest = {"x-amz-content-sha256": hashlib.sha256(b"tide").hexdigest(), "content-type": "text/plain"}
    status, said = ask(edge, host, "POST", "/form", b"tide", **digest)
    assert (status, '"body": "tide"' in said, '"signed": true' in said) == (200, True, True)
    assert ask(edge, host, "POST", "/form", b"tide")[0] == 403  # who posts says what he posts


def test_a_bucket_s_website_is_this_place_s(place: Running) -> None:
    """A custom origin, as with AWS: it has index documents, redirects and pages for errors, and nobody signs for it."""
    s3, cf = place.client("s3"), place.client("cloudfront")
    s3.create_bucket(Bucket="tides")
    s3.delete_public_access_block(Bucket="tides")
    s3.put_bucket_website(Bucket="tides", WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    s3.put_object(Bucket="tides", Key="ward/index.html", Body=b"ward", ContentType="text/html")
    parts = {"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::tides", "arn:aws:s3:::tides/*"]}
    everyone = {"Effect": "Allow", "Principal": "*"} | parts
    s3.put_bucket_policy(Bucket="tides", Policy=json.dumps({"Version": "2012-10-17", "Statement": [everyone]}))
    custom = {"HTTPPort": 80, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
    domain = "tides.s3-website-us-east-1.amazonaws.com"
    for number, policies in enumerate(({}, {"OriginRequestPolicyId": ALL_VIEWER})):
        origin = {"Id": "o", "DomainName": domain, "CustomOriginConfig": custom}
        asked = config(
            reference=f"tides{number}",
            Origins=listed([origin]),
            DefaultCacheBehavior=behaving(CachePolicyId=DISABLED, **policies),
        )
        made = cf.create_distribution(DistributionConfig=asked)["Distribution"]
        cf.get_waiter("distribution_deployed").wait(Id=made["Id"], WaiterConfig={"Delay": 0.05, "MaxAttempts": 600})
        assert ask(place.port("edge"), made["DomainName"], "GET", "/ward/") == (200, "ward")
        assert ask(place.port("edge"), made["DomainName"], "GET", "/ward")[0] == 302
