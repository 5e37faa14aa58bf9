"""Put, get, head, copy and delete, through boto3."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from littoral.objects.checksums import ALGORITHMS
from tests.objects.conftest import S3Place

Refusal = Callable[..., tuple[str, int]]
BIG = os.urandom(3 * 1024 * 1024 + 17)


@pytest.mark.parametrize("body", [b"", b"small", BIG], ids=["empty", "inline", "blob"])
def test_what_was_put_comes_back(s3: Any, bucket: str, body: bytes) -> None:
    put = s3.put_object(Bucket=bucket, Key="a b/ü+%&.txt", Body=body)
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="a b/ü+%&.txt", ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    assert (got["ContentLength"], got["ETag"], got["ContentType"]) == (len(body), put["ETag"], "binary/octet-stream")
    assert got["ChecksumCRC32"] == put["ChecksumCRC32"]
    head = s3.head_object(Bucket=bucket, Key="a b/ü+%&.txt")
    assert (head["ContentLength"], head["ETag"]) == (len(body), put["ETag"])
    assert abs(head["LastModified"] - datetime.now(UTC)) < timedelta(minutes=1)


def test_headers_metadata_and_tags_are_kept(s3: Any, bucket: str) -> None:
    expires = datetime(2030, 1, 1, tzinfo=UTC)
    kept = {
        "ContentType": "text/plain; charset=utf-8",
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="x"',
        "ContentEncoding": "identity",
        "ContentLanguage": "de",
        "WebsiteRedirectLocation": "/elsewhere",
    }
    s3.put_object(
        Bucket=bucket,
        Key="k",
        Body=b"x",
        Metadata={"Ward": "7", "note": "a b"},
        Tagging="a=1&b=c+d",
        Expires=expires,
        **kept,
    )
    got = s3.get_object(Bucket=bucket, Key="k")
    assert {name: got[name] for name in kept} == kept
    assert got["Expires"] == expires
    assert got["Metadata"] == {"ward": "7", "note": "a b"}
    assert got["TagCount"] == 2
    tags = s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "c d"}]
    overridden = s3.get_object(Bucket=bucket, Key="k", ResponseContentType="text/html", ResponseCacheControl="no-store")
    assert (overridden["ContentType"], overridden["CacheControl"]) == ("text/html", "no-store")


@pytest.mark.parametrize("body", [b"0123456789", BIG], ids=["inline", "blob"])
def test_ranges(s3: Any, bucket: str, body: bytes, refusal: Refusal) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    size = len(body)
    for asked, first, last in (
        ("2-5", 2, 5),
        ("7-", 7, size - 1),
        ("-3", size - 3, size - 1),
        (f"4-{size * 2}", 4, size - 1),
    ):
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={asked}")
        assert got["Body"].read() == body[first : last + 1]
        assert got["ContentRange"] == f"bytes {first}-{last}/{size}"
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    for ignored in ("bytes=5-2", "bytes=0-1,3-4", "lines=1-2"):
        got = s3.get_object(Bucket=bucket, Key="k", Range=ignored)
        assert (got["ResponseMetadata"]["HTTPStatusCode"], got["Body"].read()) == (200, body)
    assert refusal(s3.get_object, Bucket=bucket, Key="k", Range=f"bytes={size}-") == ("InvalidRange", 416)
    assert refusal(s3.get_object, Bucket=bucket, Key="k", Range="bytes=-0") == ("InvalidRange", 416)
    assert s3.head_object(Bucket=bucket, Key="k", Range="bytes=0-1")["ContentLength"] == 2


def test_conditional_reads(s3: Any, bucket: str, refusal: Refusal) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, after = modified - timedelta(hours=1), modified + timedelta(hours=1)

    def get(**conditions: Any) -> Any:
        return s3.get_object(Bucket=bucket, Key="k", **conditions)

    for holds in (
        {"IfMatch": etag},
        {"IfMatch": "*"},
        {"IfNoneMatch": '"other"'},
        {"IfModifiedSince": before},
        {"IfUnmodifiedSince": after},
        {"IfMatch": etag, "IfUnmodifiedSince": before},
    ):
        assert get(**holds)["Body"].read() == b"x", holds
    for fails in ({"IfMatch": '"other"'}, {"IfUnmodifiedSince": before}):
        assert refusal(get, **fails) == ("PreconditionFailed", 412), fails
    for unchanged in (
        {"IfNoneMatch": etag},
        {"IfModifiedSince": modified},
        {"IfNoneMatch": etag, "IfModifiedSince": before},
    ):
        assert refusal(get, **unchanged) == ("304", 304), unchanged
        assert refusal(s3.head_object, Bucket=bucket, Key="k", **unchanged) == ("304", 304)


def test_conditional_writes(s3: Any, bucket: str, refusal: Refusal) -> None:
    put = {"Bucket": bucket, "Key": "k"}
    assert refusal(s3.put_object, **put, Body=b"0", IfMatch='"x"') == ("NoSuchKey", 404)
    etag = s3.put_object(**put, Body=b"1", IfNoneMatch="*")["ETag"]
    assert refusal(s3.put_object, **put, Body=b"2", IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert refusal(s3.put_object, **put, Body=b"2", IfNoneMatch=etag) == ("NotImplemented", 501)
    assert refusal(s3.put_object, **put, Body=BIG, IfMatch='"other"') == ("PreconditionFailed", 412)
    assert s3.get_object(**put)["Body"].read() == b"1"
    s3.put_object(**put, Body=b"3", IfMatch=etag)
    assert s3.get_object(**put)["Body"].read() == b"3"
    assert refusal(s3.delete_object, **put, IfMatch=etag) == ("PreconditionFailed", 412)
    s3.delete_object(**put, IfMatch="*")
    assert refusal(s3.head_object, **put) == ("404", 404)


@pytest.mark.parametrize("algorithm", list(ALGORITHMS))
def test_checksums_are_verified_and_returned(s3: Any, bucket: str, algorithm: str, refusal: Refusal) -> None:
    digest = ALGORITHMS[algorithm].new()
    digest.update(BIG)
    right = base64.b64encode(digest.digest()).decode()
    wrong = base64.b64encode(bytes(len(digest.digest()))).decode()
    member = f"Checksum{algorithm}"
    assert s3.put_object(Bucket=bucket, Key="k", Body=BIG, **{member: right})[member] == right
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")[member] == right
    assert member not in s3.head_object(Bucket=bucket, Key="k")
    for body in (BIG, b"small"):
        assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=body, **{member: wrong}) == ("BadDigest", 400)
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **{member: "?"}) == ("InvalidRequest", 400)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == BIG
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["Checksum", "ObjectSize", "ETag"])
    assert (attributes["Checksum"][member], attributes["ObjectSize"]) == (right, len(BIG))


def found_by_the_place(s3: Any, bucket: str, **asked: Any) -> str | None:
    told = s3.head_object(Bucket=bucket, Key="k", **asked)
    value: str | None = told["ResponseMetadata"]["HTTPHeaders"].get("x-littoral-crc64nvme")
    return value


@pytest.mark.parametrize("stated", [{}, {"ChecksumAlgorithm": "SHA256"}, {"ChecksumAlgorithm": "CRC32"}])
def test_a_large_object_whose_writer_states_no_crc64nvme_has_one_for_transfers(
    place: S3Place, bucket: str, stated: dict[str, str]
) -> None:
    s3 = place.client(request_checksum_calculation="when_required")
    body = (BIG * 6)[: 16 * 1024 * 1024]
    told = s3.put_object(Bucket=bucket, Key="k", Body=body, **stated)
    digest = ALGORITHMS["CRC64NVME"].new()
    digest.update(body)
    assert found_by_the_place(s3, bucket, ChecksumMode="ENABLED") == base64.b64encode(digest.digest()).decode()
    assert found_by_the_place(s3, bucket) is None
    assert found_by_the_place(s3, bucket, ChecksumMode="ENABLED", Range="bytes=0-9") is None
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    names = {name for name in told if name.startswith("Checksum")}
    assert {name for name in head if name.startswith("Checksum")} == names  # of what S3 says nothing changes
    s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm="CRC64NVME")
    assert found_by_the_place(s3, bucket, ChecksumMode="ENABLED") is None
    s3.put_object(Bucket=bucket, Key="k", Body=body[1:], **stated)
    assert found_by_the_place(s3, bucket, ChecksumMode="ENABLED") is None


def test_content_md5(s3: Any, bucket: str, refusal: Refusal) -> None:
    import base64

    right = base64.b64encode(hashlib.md5(b"x").digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentMD5=right)
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"y", ContentMD5=right) == ("BadDigest", 400)
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=b"y", ContentMD5="eA==") == ("InvalidDigest", 400)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"


def test_an_md5_may_be_named_as_the_checksum(s3: Any, bucket: str, refusal: Refusal) -> None:
    """AWS's SDK for JavaScript sends ChecksumAlgorithm MD5 as Content-MD5."""

    def names_it(request: Any, **_: Any) -> None:
        for name in [each for each in request.headers if each.lower().startswith(("x-amz-checksum-", "x-amz-sdk-"))]:
            del request.headers[name]
        request.headers["x-amz-sdk-checksum-algorithm"] = "MD5"

    s3.meta.events.register("before-sign.s3.PutObject", names_it)
    put = {"Bucket": bucket, "Key": "k", "Body": b"wave"}
    digest = base64.b64encode(hashlib.md5(b"wave").digest()).decode()
    s3.put_object(**put, ContentMD5=digest)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"wave"
    other = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert refusal(s3.put_object, **put, ContentMD5=other) == ("BadDigest", 400)
    assert refusal(s3.put_object, **put) == ("InvalidRequest", 400)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_checksums_of_documents_are_verified(s3: Any, bucket: str, algorithm: str, refusal: Refusal) -> None:
    tags = {"Bucket": bucket, "Tagging": {"TagSet": [{"Key": "a", "Value": "1"}]}}
    header, digest = ALGORITHMS[algorithm].header, ALGORITHMS[algorithm].new
    spoilt = []

    def states(request: Any, **_: Any) -> None:
        for name in [each for each in request.headers if each.lower().startswith(("x-amz-checksum-", "x-amz-sdk-"))]:
            del request.headers[name]
        found = digest()
        found.update(bytes(request.body) + b"".join(spoilt))
        request.headers[header] = base64.b64encode(found.digest()).decode()

    s3.meta.events.register("before-sign.s3.PutBucketTagging", states)
    s3.put_bucket_tagging(**tags)
    spoilt.append(b" ")
    assert refusal(s3.put_bucket_tagging, **tags) == ("BadDigest", 400)
    s3.meta.events.unregister("before-sign.s3.PutBucketTagging", states)
    s3.meta.events.register("before-sign.s3.DeleteObjects", states)
    assert refusal(s3.delete_objects, Bucket=bucket, Delete={"Objects": [{"Key": "k"}]}) == ("BadDigest", 400)
    spoilt.clear()
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})


def test_an_overwritten_object_is_read_to_its_end(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=BIG)
    reading = s3.get_object(Bucket=bucket, Key="k")["Body"]
    first = reading.read(1000)
    s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert first + reading.read() == BIG
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"new"


def test_refused_puts_leave_no_blob(place: S3Place, s3: Any, bucket: str, refusal: Refusal) -> None:
    before = place.blobs()
    zeros = "AAAAAA=="
    assert refusal(s3.put_object, Bucket=bucket, Key="k", Body=BIG, ChecksumCRC32=zeros) == ("BadDigest", 400)
    assert refusal(s3.put_object, Bucket="absent-bucket", Key="k", Body=BIG) == ("NoSuchBucket", 404)
    assert place.blobs() <= before  # what an earlier test overwrote may go meanwhile


def test_the_encoding_is_kept_without_the_framing(s3: Any, bucket: str) -> None:
    for given, kept in (("deflate, gzip", "deflate, gzip"), ("gzip, aws-chunked", "gzip"), ("aws-chunked", None)):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentEncoding=given)
        assert s3.head_object(Bucket=bucket, Key="k").get("ContentEncoding") == kept


def test_a_plus_in_the_source_of_a_copy_is_a_space(s3: Any, bucket: str) -> None:
    """As PHP's and Go's clients escape it, and as S3 has it: aws/aws-cli #614, aws/aws-sdk-php #236."""
    s3.put_object(Bucket=bucket, Key="a b+c", Body=b"x")
    sources = ["a+b%2Bc", "a%20b%2Bc"]

    def escaped_so(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["x-amz-copy-source"] = f"{bucket}/{sources.pop()}"

    s3.meta.events.register("before-call.s3.CopyObject", escaped_so)
    while sources:
        s3.copy_object(Bucket=bucket, Key="to", CopySource="by/the hook")


def test_copy(s3: Any, bucket: str, refusal: Refusal) -> None:
    for body in (b"small", BIG):
        s3.put_object(Bucket=bucket, Key="from ü", Body=body, Metadata={"a": "1"}, ContentType="text/x", Tagging="t=1")
        source = {"Bucket": bucket, "Key": "from ü"}
        result = s3.copy_object(Bucket=bucket, Key="to", CopySource=source)["CopyObjectResult"]
        assert result["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        s3.delete_object(**source)
        got = s3.get_object(Bucket=bucket, Key="to")
        assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (body, {"a": "1"}, "text/x")
        assert s3.get_object_tagging(Bucket=bucket, Key="to")["TagSet"] == [{"Key": "t", "Value": "1"}]
    itself = {"Bucket": bucket, "Key": "to", "CopySource": {"Bucket": bucket, "Key": "to"}}
    assert refusal(s3.copy_object, **itself) == ("InvalidRequest", 400)
    s3.copy_object(
        **itself, MetadataDirective="REPLACE", Metadata={"b": "2"}, TaggingDirective="REPLACE", Tagging="n=2"
    )
    got = s3.get_object(Bucket=bucket, Key="to")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (BIG, {"b": "2"}, "binary/octet-stream")
    other = {"Bucket": bucket, "Key": "x", "CopySource": {"Bucket": bucket, "Key": "to"}}
    assert refusal(s3.copy_object, **other, CopySourceIfNoneMatch=got["ETag"]) == ("PreconditionFailed", 412)
    assert refusal(s3.copy_object, **other, CopySourceIfMatch='"x"') == ("PreconditionFailed", 412)
    checked = s3.copy_object(**other, ChecksumAlgorithm="SHA256")["CopyObjectResult"]
    import base64

    assert checked["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(BIG).digest()).decode()
    other["CopySource"]["Key"] = "gone"
    assert refusal(s3.copy_object, **other) == ("NoSuchKey", 404)


def test_delete(s3: Any, bucket: str, refusal: Refusal) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    s3.delete_object(Bucket=bucket, Key="k")
    assert refusal(s3.get_object, Bucket=bucket, Key="k") == ("NoSuchKey", 404)
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    wanted = [{"Key": "a"}, {"Key": "absent"}, {"Key": "b", "ETag": '"no"'}]
    done = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert {each["Key"] for each in done["Deleted"]} == {"a", "absent"}
    assert [(each["Key"], each["Code"]) for each in done["Errors"]] == [("b", "PreconditionFailed")]
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["b", "c"]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "b"}], "Quiet": True})
    assert "Deleted" not in quiet


def test_buckets(s3: Any, refusal: Refusal) -> None:
    for name in ("UPPER", "a..b", "192.168.1.1", "xn--x", "under_score"):
        with pytest.raises(ClientError, match="InvalidBucketName") as refused:
            raw = s3.meta.events
            raw.unregister("before-parameter-build.s3")
            s3.create_bucket(Bucket=name)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    s3.create_bucket(Bucket="mine.and-1")
    s3.create_bucket(Bucket="mine.and-1")
    assert s3.head_bucket(Bucket="mine.and-1")["BucketRegion"] == "us-east-1"
    assert "mine.and-1" in [each["Name"] for each in s3.list_buckets()["Buckets"]]
    pages = list(s3.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 1}))
    assert "mine.and-1" in [each["Name"] for page in pages for each in page["Buckets"]]
    assert s3.get_bucket_location(Bucket="mine.and-1")["LocationConstraint"] is None
    assert "Status" not in s3.get_bucket_versioning(Bucket="mine.and-1")
    s3.put_object(Bucket="mine.and-1", Key="k", Body=b"")
    assert refusal(s3.delete_bucket, Bucket="mine.and-1") == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket="mine.and-1", Key="k")
    s3.create_multipart_upload(Bucket="mine.and-1", Key="left")
    s3.delete_bucket(Bucket="mine.and-1")
    assert refusal(s3.delete_bucket, Bucket="mine.and-1") == ("NoSuchBucket", 404)
    assert refusal(s3.head_bucket, Bucket="mine.and-1") == ("404", 404)
    there = {"LocationConstraint": "eu-west-1"}
    refused_code, _ = refusal(s3.create_bucket, Bucket="abroad", CreateBucketConfiguration=there)
    assert refused_code == "IllegalLocationConstraintException"


def test_storage_classes_are_kept(s3: Any, bucket: str, refusal: Refusal) -> None:
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    s3.put_object(Bucket=bucket, Key="rare", Body=b"x", StorageClass="STANDARD_IA")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="large", StorageClass="ONEZONE_IA")["UploadId"]
    part = {"Bucket": bucket, "Key": "large", "UploadId": upload}
    etag = s3.upload_part(**part, PartNumber=1, Body=b"x")["ETag"]
    s3.complete_multipart_upload(**part, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    s3.copy_object(Bucket=bucket, Key="copied", CopySource=f"{bucket}/rare")
    s3.copy_object(Bucket=bucket, Key="plain", CopySource=f"{bucket}/plain", StorageClass="INTELLIGENT_TIERING")
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    classes = {"copied": "STANDARD", "large": "ONEZONE_IA", "plain": "INTELLIGENT_TIERING", "rare": "STANDARD_IA"}
    assert {entry["Key"]: entry["StorageClass"] for entry in listed} == classes
    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert {entry["Key"]: entry["StorageClass"] for entry in versions} == classes
    assert s3.head_object(Bucket=bucket, Key="rare")["StorageClass"] == "STANDARD_IA"
    assert "StorageClass" not in s3.get_object(Bucket=bucket, Key="copied")
    asked = s3.get_object_attributes(Bucket=bucket, Key="large", ObjectAttributes=["StorageClass"])
    assert asked["StorageClass"] == "ONEZONE_IA"
    put = {"Bucket": bucket, "Key": "k", "Body": b"x"}
    assert refusal(s3.put_object, **put, StorageClass="LOUD") == ("InvalidStorageClass", 400)


def test_what_is_not_honoured_is_refused(s3: Any, bucket: str, refusal: Refusal) -> None:
    put = {"Bucket": bucket, "Key": "k", "Body": b"x"}
    assert refusal(s3.put_object, **put, ACL="public-read") == ("AccessControlListNotSupported", 400)
    assert refusal(s3.put_object, **put, SSEKMSEncryptionContext="e30=") == ("NotImplemented", 501)
    assert refusal(s3.put_object, **put, StorageClass="OUTPOSTS") == ("InvalidStorageClass", 400)
    assert refusal(s3.put_object, **put, ExpectedBucketOwner="111111111111") == ("AccessDenied", 403)
    assert refusal(s3.put_object, **put, Metadata={"x": "y" * 2048}) == ("MetadataTooLarge", 400)
    assert refusal(s3.put_object, **put, Tagging="&".join(f"k{n}=v" for n in range(11))) == ("BadRequest", 400)
    assert refusal(s3.put_object, **(put | {"Key": "k" * 1025})) == ("KeyTooLongError", 400)
    s3.put_object(**(put | {"Key": "ü" * 512}), ACL="bucket-owner-full-control")
    assert refusal(s3.get_object, Bucket=bucket, Key="ü" * 512, VersionId="v1") == ("InvalidArgument", 400)
    assert refusal(s3.get_object, Bucket="no-such-bucket-here", Key="k") == ("NoSuchBucket", 404)


def test_a_bucket_is_made_with_tags(s3: Any, refusal: Refusal) -> None:
    tags = [{"Key": "team", "Value": "ward"}]
    name = f"tagged-{uuid.uuid4().hex[:10]}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"Tags": tags})
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == tags
    refused = {"Bucket": f"{name}-x", "CreateBucketConfiguration": {"Tags": tags * 2}}
    assert refusal(s3.create_bucket, **refused) == ("InvalidTag", 400)


def test_tagging(s3: Any, bucket: str, refusal: Refusal) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    tags = [{"Key": "a", "Value": "1"}]
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": tags})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == tags
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    twice = {"TagSet": tags * 2}
    assert refusal(s3.put_object_tagging, Bucket=bucket, Key="k", Tagging=twice) == ("InvalidTag", 400)
    assert refusal(s3.get_bucket_tagging, Bucket=bucket) == ("NoSuchTagSet", 404)
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags


@pytest.mark.parametrize(
    ("tags", "of_object", "of_bucket"),
    [
        (
            {str(n): "" for n in range(51)},
            "Object tags cannot be greater than 10",
            "Bucket tag count cannot be greater",
        ),
        ({"aws:a": ""}, "Your TagKey cannot be prefixed with aws:", "System tags cannot be added/updated"),
        ({"a<b": ""}, "The TagKey you have provided is invalid", "The TagKey you have provided is invalid"),
        ({"a": "\t"}, "The TagValue you have provided is invalid", "The TagValue you have provided is invalid"),
    ],
)
def test_tags_are_refused_as_what_they_are_of(
    s3: Any, bucket: str, tags: dict[str, str], of_object: str, of_bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    tagging = {"TagSet": [{"Key": name, "Value": value} for name, value in tags.items()]}
    with pytest.raises(ClientError, match=re.escape(of_object)):
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging=tagging)
    with pytest.raises(ClientError, match=re.escape(of_bucket)):
        s3.put_bucket_tagging(Bucket=bucket, Tagging=tagging)
    with pytest.raises(ClientError, match=re.escape(of_bucket)):
        s3.create_bucket(Bucket=f"{bucket}-2", CreateBucketConfiguration={"Tags": tagging["TagSet"]})


def test_the_signs_and_scripts_that_tags_may_have(s3: Any, bucket: str) -> None:
    tags = [{"Key": "Straße हिन्दी 1+-=._:/@", "Value": "値 é"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags


def test_bytes_for_rules_and_functions(place: S3Place, s3: Any, bucket: str) -> None:
    for data in (b"row", BIG):
        put = place.objects.put_bytes(bucket, "in/process", data, content_type="text/csv", metadata={"by": "rule"})
        assert place.served.run(put) == hashlib.md5(data).hexdigest()
        got = s3.get_object(Bucket=bucket, Key="in/process")
        assert (got["Body"].read(), got["ContentType"], got["Metadata"]) == (data, "text/csv", {"by": "rule"})
        assert place.served.run(place.objects.get_bytes(bucket, "in/process")) == data


def test_streams_of_unknown_kind_are_taken(s3: Any, bucket: str) -> None:
    s3.upload_fileobj(io.BytesIO(BIG), bucket, "k")
    target = io.BytesIO()
    s3.download_fileobj(bucket, "k", target)
    assert target.getvalue() == BIG


@pytest.mark.parametrize(
    "key", ["a//b", "../up", "a/./b", "/lead", "folder/", "~tilde*'()!", "\x01\x7f", "%2F", "?x=1#y", "+ +"]
)
def test_keys_are_taken_as_they_are(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    s3.delete_object(Bucket=bucket, Key=key)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["copy"]


@pytest.mark.parametrize(
    "document",
    [
        {"Objects": []},
        {"Objects": [{"Key": "k", "ETag": ""}] * 1001},
    ],
)
def test_a_document_that_is_none_of_its_schema_is_malformed(s3: Any, bucket: str, document: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as refused:
        s3.delete_objects(Bucket=bucket, Delete=document)
    assert refused.value.response["Error"]["Code"] == "MalformedXML"


def test_an_object_redirects_to_an_address_or_a_key(s3: Any, bucket: str) -> None:
    for where in ("/other", "https://example.com/", "http://example.com/"):
        s3.put_object(Bucket=bucket, Key="k", WebsiteRedirectLocation=where)
        assert s3.head_object(Bucket=bucket, Key="k")["WebsiteRedirectLocation"] == where
    for call, more in (
        (s3.put_object, {}),
        (s3.create_multipart_upload, {}),
        (s3.copy_object, {"CopySource": f"{bucket}/k"}),
    ):
        with pytest.raises(ClientError) as refused:
            call(Bucket=bucket, Key="k", WebsiteRedirectLocation="javascript:alert(1)", **more)
        assert refused.value.response["Error"]["Code"] == "InvalidRedirectLocation"
