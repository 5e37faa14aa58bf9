"""URLs that are signed ahead: what boto3 leaves in their query, by version 2 and 4, counts as the header it is."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from base64 import b64encode
from typing import Any

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.objects.conftest import S3Place

Answer = tuple[int, bytes]


def ask(url: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    # without a type urllib would say that the body is a form
    asked = urllib.request.Request(url, body, {"Content-Type": "", **(headers or {})}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


def signed(place: S3Place, method: str, path: str, query: dict[str, str]) -> str:
    """A URL of version 4 with header fields in its query, as those of AWS's SDKs for JavaScript and Go have them."""
    encoded = urllib.parse.urlencode(query, quote_via=urllib.parse.quote)
    request = AWSRequest(method, f"{place.served.url}{path}?{encoded}")
    keys = Credentials(place.served.access_key, place.served.secret_key)
    S3SigV4QueryAuth(keys, "s3", "us-east-1", expires=60).add_auth(request)
    return str(request.url)


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_buckets_are_asked_too(place: S3Place, s3: Any, bucket: str, version: str) -> None:
    s3.put_object(Bucket=bucket, Key="a b", Body=b"x")
    signing = place.client(signature_version=version)
    for operation, told in (
        ("list_objects_v2", b"<Key>a+b</Key>"),
        ("list_object_versions", b"<Key>a+b</Key>"),
        ("list_multipart_uploads", b"ListMultipartUploadsResult"),
        ("get_bucket_versioning", b"VersioningConfiguration"),
        ("get_bucket_location", b"LocationConstraint"),
    ):
        status, body = ask(signing.generate_presigned_url(operation, Params={"Bucket": bucket}))
        assert (status, told in body) == (200, True), (operation, body)


def test_what_version_2_leaves_in_the_query_is_of_the_object(place: S3Place, s3: Any, bucket: str) -> None:
    signing = place.client(signature_version="s3")
    said = {"Metadata": {"who": "a  b"}, "ContentType": "text/x", "StorageClass": "STANDARD_IA", "Tagging": "a=b"}
    url = signing.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k", **said})
    assert ask(url, "PUT", b"x")[0] == 200
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["Metadata"], head["ContentType"], head["StorageClass"]) == ({"who": "a  b"}, "text/x", "STANDARD_IA")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert ask(url, "PUT", b"x", {"x-amz-meta-other": "1"})[0] == 403
    asked = {"Bucket": bucket, "Key": "k", "ObjectAttributes": ["ETag"]}
    assert b"<ETag>" in ask(signing.generate_presigned_url("get_object_attributes", Params=asked))[1]
    copying = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/k"}
    assert b"<CopyObjectResult" in ask(signing.generate_presigned_url("copy_object", Params=copying), "PUT")[1]
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"x"


def test_so_it_is_with_version_4_as_other_sdks_sign(place: S3Place, s3: Any, bucket: str) -> None:
    query = {"x-amz-meta-who": "me", "X-Amz-Storage-Class": "STANDARD_IA", "x-amz-server-side-encryption": "AES256"}
    assert ask(signed(place, "PUT", f"/{bucket}/k", query), "PUT", b"x")[0] == 200
    head = s3.head_object(Bucket=bucket, Key="k")
    told = head["Metadata"], head["StorageClass"], head["ServerSideEncryption"]
    assert told == ({"who": "me"}, "STANDARD_IA", "AES256")
    copying = signed(place, "PUT", f"/{bucket}/copy", {"x-amz-copy-source": f"{bucket}/k"})
    assert b"<CopyObjectResult" in ask(copying, "PUT")[1]


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_checksum_in_the_query_is_not_that_of_the_body(place: S3Place, s3: Any, bucket: str, version: str) -> None:
    """AWS's SDK for JavaScript has that of no bytes there, and its users send some."""
    crc = {"x-amz-checksum-crc32": b64encode(bytes(4)).decode(), "x-amz-sdk-checksum-algorithm": "CRC32"}
    url = signed(place, "PUT", f"/{bucket}/k", crc)
    if version == "s3":
        stated = {"ChecksumCRC32": crc["x-amz-checksum-crc32"]}
        second = place.client(signature_version="s3")
        url = second.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k", **stated})
        assert "x-amz-checksum-crc32" in url
    assert ask(url, "PUT", b"x") == (200, b"")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    assert (
        b"<Code>BadDigest</Code>"
        in ask(signed(place, "PUT", f"/{bucket}/k", {}), "PUT", b"y", {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})[1]
    )


@pytest.mark.parametrize("size", [10, 300_000])
def test_who_goes_on_with_a_download_gets_the_rest_of_what_it_was(
    place: S3Place, s3: Any, bucket: str, size: int
) -> None:
    """If-Range, as browsers send it."""
    body = bytes(range(10)) * (size // 10)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    head = s3.head_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPHeaders"]
    url = signed(place, "GET", f"/{bucket}/k", {})
    for condition in (head["etag"], head["last-modified"]):
        assert ask(url, headers={"Range": "bytes=4-", "If-Range": condition}) == (206, body[4:])
    for other in ('"another"', f"W/{head['etag']}", "Mon, 01 Jan 2001 00:00:00 GMT", "nonsense"):
        assert ask(url, headers={"Range": "bytes=4-", "If-Range": other}) == (200, body)
        assert ask(url, headers={"Range": f"bytes={size}-", "If-Range": other}) == (200, body)


def test_what_curl_calls_a_form_is_of_its_bucket_all_the_same(place: S3Place, s3: Any, bucket: str) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    second = place.client(signature_version="s3")
    said = {"Bucket": bucket, "Key": "k", "ContentType": form["Content-Type"]}
    assert ask(second.generate_presigned_url("put_object", Params=said), "PUT", b"x", form) == (200, b"")
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == form["Content-Type"]
    other = second.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    assert b"<Code>SignatureDoesNotMatch</Code>" in ask(other, "PUT", b"x", form)[1]
    for method, target in (("PUT", f"/{bucket}/k"), ("POST", f"/{bucket}/k?uploads")):
        assert b"<Code>AccessDenied</Code>" in ask(place.served.url + target, method, b"x=y", form)[1]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("AWSAccessKeyId=A&Expires=9999999999", "Query-string authentication requires the Signature, Expires"),
        ("AWSAccessKeyId=A&Signature=B", "Query-string authentication requires the Signature, Expires"),
        ("AWSAccessKeyId=A&Signature=B&Expires=soon", "Invalid date (should be seconds since epoch): soon"),
        (f"AWSAccessKeyId=A&Signature=B&Expires={'9' * 5000}", "Invalid date (should be seconds since epoch): 99"),
    ],
)
def test_a_claim_of_version_2_that_cannot_be_read_is_not_taken_for_nobody(
    place: S3Place, s3: Any, bucket: str, query: str, message: str
) -> None:
    status, body = ask(f"{place.served.url}/{bucket}?{query}")
    assert (status, message in body.decode()) == (403, True)


def test_what_is_no_header_is_refused(place: S3Place, s3: Any, bucket: str) -> None:
    for query in ({"x-amz-meta-a": "b\r\nset-cookie: c"}, {"x-amz-meta-a b": "c"}, {"x-amz-meta-ü": "c"}):
        status, body = ask(signed(place, "PUT", f"/{bucket}/k", query), "PUT", b"x")
        assert (status, b"<Code>InvalidArgument</Code>" in body) == (400, True)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_nobody_replaces_or_adds_what_the_url_says(place: S3Place, s3: Any, bucket: str) -> None:
    url = signed(place, "PUT", f"/{bucket}/k", {"x-amz-meta-who": "me"})
    assert ask(url, "PUT", b"x", {"x-amz-meta-who": "somebody"})[0] == 200
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"who": "me"}
    assert b"<HeadersNotSigned>" in ask(url, "PUT", b"x", {"x-amz-meta-more": "1"})[1]
    assert b"<Code>SignatureDoesNotMatch</Code>" in ask(f"{url}&x-amz-acl=public-read", "PUT", b"x")[1]


def test_policies_see_it_and_the_version(place: S3Place, s3: Any, bucket: str) -> None:
    """The root of the account is held by a deny, too."""

    def deny(condition: dict[str, dict[str, str]]) -> None:
        refused = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        document = {"Version": "2012-10-17", "Statement": [{**refused, "Condition": condition}]}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))

    infrequent = {"x-amz-storage-class": "STANDARD_IA"}
    deny({"StringEquals": {"s3:x-amz-storage-class": "STANDARD_IA"}})
    assert ask(signed(place, "PUT", f"/{bucket}/k", infrequent), "PUT", b"x")[0] == 403
    assert ask(signed(place, "PUT", f"/{bucket}/k", {}), "PUT", b"x")[0] == 200
    deny({"StringNotEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}})
    assert ask(signed(place, "PUT", f"/{bucket}/k", infrequent), "PUT", b"x")[0] == 200
    second = place.client(signature_version="s3")
    url = second.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "k"})
    assert ask(url, "PUT", b"x")[0] == 403
