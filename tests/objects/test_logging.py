"""Server access logs: what a log object says of boto3's, curl's and refused requests."""

from __future__ import annotations

import re
import urllib.request
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from littoral.objects.access.acl import canonical_id
from littoral.objects.serverlogs.line import operation
from tests.objects.conftest import S3Place

FIELD = re.compile(r'"[^"]*"|\[[^\]]*\]|\S+')


@pytest.fixture
def logged(s3: Any, bucket: str) -> str:
    """A bucket whose log goes to ``LOGGED-logs`` under ``in/``."""
    s3.create_bucket(Bucket=f"{bucket}-logs")
    enabled = {"TargetBucket": f"{bucket}-logs", "TargetPrefix": "in/"}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})
    return bucket


def delivered(place: S3Place, s3: Any, bucket: str) -> tuple[list[str], list[list[str]]]:
    """Keys of the log objects, and their lines' fields."""
    place.served.run(place.objects.logs.deliver())
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=f"{bucket}-logs").get("Contents", [])]
    text = "".join(s3.get_object(Bucket=f"{bucket}-logs", Key=key)["Body"].read().decode() for key in keys)
    return keys, [FIELD.findall(line) for line in text.splitlines()]


def test_a_line_for_each_request_in_the_form_of_aws(place: S3Place, s3: Any, logged: str) -> None:
    put = s3.put_object(Bucket=logged, Key="a ü/b", Body=b"12345")
    s3.get_object(Bucket=logged, Key="a ü/b", Range="bytes=1-2")["Body"].read()
    s3.list_objects_v2(Bucket=logged)
    with pytest.raises(ClientError):
        s3.get_object(Bucket=logged, Key="none")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": logged, "Key": "a ü/b"})
    asked = urllib.request.Request(url, headers={"Referer": 'http://x/"y"', "User-Agent": "me/1"})
    urllib.request.urlopen(asked, timeout=10).read()
    keys, lines = delivered(place, s3, logged)
    assert re.fullmatch(r"in/\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-F]{16}", keys[0])
    said = [(fields[6], fields[7], fields[9], fields[10], fields[11], fields[12]) for fields in lines]
    assert said[0][0] == "REST.PUT.LOGGING"
    assert said[1:4] == [
        ("REST.PUT.OBJECT", "a%20%C3%BC/b", "200", "-", "-", "5"),
        ("REST.GET.OBJECT", "a%20%C3%BC/b", "206", "-", "2", "5"),
        ("REST.GET.BUCKET", "-", "200", "-", lines[3][11], "-"),
    ]
    assert said[4][2:4] == ("404", "NoSuchKey")
    first, last = lines[1], lines[-1]
    assert first[0] == canonical_id("000000000000")
    assert first[1] == logged
    assert first[4].startswith("arn:aws:iam::000000000000:")
    assert first[5] == put["ResponseMetadata"]["RequestId"]
    assert (first[19], first[21]) == ("SigV4", "AuthHeader")
    assert last[15:17] == ['"http://x/%22y%22"', '"me/1"']
    assert last[21] == "QueryString"
    assert {len(fields) for fields in lines} == {26}


def test_the_line_of_a_delete_has_the_size_of_what_went(place: S3Place, s3: Any, logged: str) -> None:
    s3.put_object(Bucket=logged, Key="k", Body=b"12345")
    s3.delete_object(Bucket=logged, Key="k")
    s3.delete_object(Bucket=logged, Key="k")  # nothing is there any more
    s3.put_bucket_versioning(Bucket=logged, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=logged, Key="k", Body=b"123")["VersionId"]
    marker = s3.delete_object(Bucket=logged, Key="k")["VersionId"]  # nothing goes
    s3.delete_object(Bucket=logged, Key="k", VersionId=marker)
    s3.delete_object(Bucket=logged, Key="k", VersionId=version)
    _, lines = delivered(place, s3, logged)
    removed = [fields for fields in lines if fields[6] == "REST.DELETE.OBJECT"]
    assert [(fields[9], fields[12]) for fields in removed] == [
        ("204", "5"),
        ("204", "-"),
        ("204", "-"),
        ("204", "-"),
        ("204", "3"),
    ]


def test_each_object_that_is_removed_with_others_has_a_line(place: S3Place, s3: Any, logged: str) -> None:
    """In the form of the lines of AWS that others test their parsers with."""
    s3.put_bucket_versioning(Bucket=logged, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=logged, Key="a b", Body=b"12345")["VersionId"]
    wanted = [{"Key": "a b"}, {"Key": "a b", "VersionId": version}, {"Key": "none", "ETag": '"0"'}]
    answer = s3.delete_objects(Bucket=logged, Delete={"Objects": wanted})
    assert (len(answer["Deleted"]), len(answer["Errors"])) == (2, 1)
    _, lines = delivered(place, s3, logged)
    batch = [fields for fields in lines if fields[6].startswith("BATCH")]
    marker = answer["Deleted"][0]["DeleteMarkerVersionId"]
    assert [(fields[7], fields[9], fields[10], fields[12], fields[17]) for fields in batch] == [
        ("a%20b", "204", "-", "-", marker),
        ("a%20b", "204", "-", "5", version),
        ("none", "404", "NoSuchKey", "-", "-"),
    ]
    whole = next(fields for fields in lines if fields[6] == "REST.POST.MULTI_OBJECT_DELETE")
    for fields in batch:
        assert fields[6] == "BATCH.DELETE.OBJECT"
        assert fields[:6] == whole[:6]
        assert fields[8] == "-"
        assert (fields[11], fields[13:17]) == ("-", ["-"] * 4)
        assert fields[18:] == whole[18:]


def test_partitioned_keys_and_what_is_refused(place: S3Place, s3: Any, bucket: str) -> None:
    target = f"{bucket}-logs"
    missing = {"LoggingEnabled": {"TargetBucket": f"none-{uuid.uuid4().hex[:8]}", "TargetPrefix": ""}}
    with pytest.raises(ClientError, match="InvalidTargetBucketForLogging"):
        s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus=missing)
    s3.create_bucket(Bucket=target)
    form = {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}
    enabled = {"TargetBucket": target, "TargetPrefix": "p/", "TargetObjectKeyFormat": form}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == enabled
    s3.head_bucket(Bucket=bucket)
    keys, _ = delivered(place, s3, bucket)
    form_of_key = r"p/0{12}/us-east-1/[^/]+/(\d{4})/(\d\d)/(\d\d)/\1-\2-\3-00-00-00-[0-9A-F]{16}"
    assert re.fullmatch(form_of_key, keys[0])
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    place.served.run(place.objects.logs.deliver())
    before = len(s3.list_objects_v2(Bucket=target)["Contents"])
    s3.head_bucket(Bucket=bucket)
    place.served.run(place.objects.logs.deliver())
    assert len(s3.list_objects_v2(Bucket=target)["Contents"]) == before


@pytest.mark.parametrize(
    ("method", "key", "query", "copies", "name"),
    [
        ("PUT", "k", "", True, "REST.COPY.OBJECT"),
        ("PUT", "k", "partNumber=1&uploadId=x", False, "REST.PUT.PART"),
        ("POST", "k", "uploads", False, "REST.POST.UPLOADS"),
        ("POST", "k", "uploadId=x", False, "REST.POST.UPLOAD"),
        ("POST", "", "delete", False, "REST.POST.MULTI_OBJECT_DELETE"),
        ("GET", "", "versions", False, "REST.GET.BUCKETVERSIONS"),
        ("GET", "k", "acl", False, "REST.GET.ACL"),
        ("GET", "", "policy", False, "REST.GET.BUCKETPOLICY"),
        ("GET", "k", "versionId=3", False, "REST.GET.OBJECT"),
    ],
)
def test_operations_are_named_as_aws_names_them(method: str, key: str, query: str, copies: bool, name: str) -> None:
    assert operation(method, key, query, copies) == name
