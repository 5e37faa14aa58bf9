"""Uploads by browsers' forms, through boto3's presigned posts and curl; policies by table."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from littoral.objects.forms import Policy
from tests.objects.conftest import S3Place

LATER = "2099-01-01T00:00:00Z"


def policy(conditions: list[Any], **more: Any) -> Policy:
    document = {"expiration": LATER, "conditions": conditions, **more}
    return Policy.parse(base64.b64encode(json.dumps(document).encode()).decode())


@pytest.mark.parametrize(
    ("conditions", "fields", "why"),
    [
        ([{"bucket": "b"}, {"key": "k"}], {"key": "k", "policy": "", "x-amz-signature": ""}, None),
        ([{"bucket": "b"}, ["starts-with", "$key", "in/"]], {"key": "in/1"}, None),
        ([{"bucket": "b"}, ["starts-with", "$Key", ""]], {"key": "x", "x-ignore-me": "1"}, None),
        ([{"bucket": "other"}, {"key": "k"}], {"key": "k"}, "Policy Condition failed"),
        ([{"bucket": "b"}, {"key": "k"}], {"key": "l"}, "Policy Condition failed"),
        ([{"bucket": "b"}, {"key": "k"}, {"acl": "private"}], {"key": "k"}, "Policy Condition failed"),
        ([{"bucket": "b"}, {"key": "k"}], {"key": "k", "acl": "public-read"}, "Extra input fields: acl"),
    ],
)
def test_every_field_is_allowed_by_a_condition(conditions: list[Any], fields: dict[str, str], why: str | None) -> None:
    made = policy(conditions)
    if why is None:
        made.check(fields, "b", 0.0)
        return
    with pytest.raises(ServiceError, match=why):
        made.check(fields, "b", 0.0)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        '{"expiration": "2099-01-01T00:00:00Z"}',
        '{"conditions": []}',
        '{"expiration": "tomorrow", "conditions": []}',
        '{"expiration": "2099-01-01T00:00:00Z", "conditions": [["eq", "key", "k"]]}',
        '{"expiration": "2099-01-01T00:00:00Z", "conditions": [["content-length-range", -1, 5]]}',
        '{"expiration": "2099-01-01T00:00:00Z", "conditions": [["content-length-range", 5]]}',
        '{"expiration": "2099-01-01T00:00:00Z", "conditions": [{"key": 1}]}',
    ],
)
def test_what_is_no_policy(document: str) -> None:
    with pytest.raises(ServiceError) as refused:
        Policy.parse(base64.b64encode(document.encode()).decode())
    assert refused.value.code == "InvalidPolicyDocument"


def send(post: dict[str, Any], file: Path, **more: str) -> tuple[int, str]:
    """Status, and head and body of the answer."""
    words = [word for name, value in (post["fields"] | more).items() for word in ("--form-string", f"{name}={value}")]
    argv = ["curl", "-sS", "-i", *words, "-F", f"file=@{file};filename=C:\\pictures\\1.jpg", post["url"]]
    printed = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=30).stdout
    head = printed.rpartition("100 Continue\r\n\r\n")[2] or printed
    return int(head.split()[1]), head


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_presigned_post(place: S3Place, s3: Any, bucket: str, tmp_path: Path, version: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    signing = place.client(signature_version=version)
    (tmp_path / "small").write_bytes(b"p" * 100)
    (tmp_path / "large").write_bytes(b"p" * 300_000)
    tags = "<Tagging><TagSet><Tag><Key>ward</Key><Value>7 &#43; 8</Value></Tag></TagSet></Tagging>"
    conditions = [["content-length-range", 10, 200_000], ["starts-with", "$x-amz-meta-bed", ""]]
    conditions += [["starts-with", "$tagging", ""], ["starts-with", "$key", "in/1"]]
    fields = {"success_action_status": "201", "Content-Type": "image/jpeg"}
    allowed = [*conditions, {"success_action_status": "201"}, {"Content-Type": "image/jpeg"}]
    post = signing.generate_presigned_post(bucket, "in/${filename}", Fields=fields, Conditions=allowed)
    status, answer = send(post, tmp_path / "small", **{"x-amz-meta-bed": "7"}, tagging=tags)
    assert (status, "<Key>in/1.jpg</Key>" in answer) == (201, True)
    stored = s3.get_object(Bucket=bucket, Key="in/1.jpg")
    assert (stored["Body"].read(), stored["ContentType"], stored["Metadata"]) == (
        b"p" * 100,
        "image/jpeg",
        {"bed": "7"},
    )
    assert s3.get_object_tagging(Bucket=bucket, Key="in/1.jpg")["TagSet"] == [{"Key": "ward", "Value": "7 + 8"}]
    for wrong in (tags.replace("<Value>", "<Key>b</Key><Value>"), tags.replace("Tag>", "Label>"), "<Tagging/>"):
        status, answer = send(post, tmp_path / "small", **{"x-amz-meta-bed": "7"}, tagging=wrong)
        assert (status, "<Code>MalformedXML</Code>" in answer) == (400, True)
    assert "EntityTooLarge" in send(post, tmp_path / "large")[1]
    (tmp_path / "tiny").write_bytes(b"p")
    assert "EntityTooSmall" in send(post, tmp_path / "tiny")[1]
    assert s3.get_object(Bucket=bucket, Key="in/1.jpg")["ContentLength"] == 100
    assert "Extra input fields: acl" in send(post, tmp_path / "small", acl="public-read")[1]
    forged = {**post, "fields": post["fields"] | {"policy": base64.b64encode(b"{}").decode()}}
    assert "SignatureDoesNotMatch" in send(forged, tmp_path / "small")[1]
    unsigned = {**post, "fields": {"key": "in/2.jpg"}}
    assert send(unsigned, tmp_path / "small")[0] == 403
    redirected = signing.generate_presigned_post(
        bucket,
        "page",
        Fields={"success_action_redirect": "https://ward.example/done?a=b"},
        Conditions=[{"success_action_redirect": "https://ward.example/done?a=b"}],
    )
    status, answer = send(redirected, tmp_path / "large")
    assert (status, f"https://ward.example/done?a=b&bucket={bucket}&key=page&etag=" in answer) == (303, True)
    assert s3.head_object(Bucket=bucket, Key="page")["ContentLength"] == 300_000
    assert not [key for key in s3.list_objects_v2(Bucket=bucket)["Contents"] if key["Key"] not in ("page", "in/1.jpg")]


@pytest.mark.parametrize(("version", "named"), [("s3v4", "AWS4-HMAC-SHA256"), ("s3", "AWS")])
def test_policies_see_that_it_is_a_form(
    place: S3Place, s3: Any, bucket: str, tmp_path: Path, version: str, named: str
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    (tmp_path / "small").write_bytes(b"p")

    def deny(key: str, *values: str) -> None:
        refused = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        statement = {**refused, "Condition": {"StringEquals": {key: values}}}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    post = place.client(signature_version=version).generate_presigned_post(bucket, "k")
    deny("s3:authType", "REST-HEADER", "REST-QUERY-STRING")
    assert send(post, tmp_path / "small")[0] == 204
    deny("s3:authType", "POST")
    assert send(post, tmp_path / "small")[0] == 403
    deny("s3:signatureversion", *({"AWS4-HMAC-SHA256", "AWS"} - {named}))
    assert send(post, tmp_path / "small")[0] == 204
    deny("s3:signatureversion", named)
    assert send(post, tmp_path / "small")[0] == 403


def test_a_form_locks_its_object_and_states_its_md5(place: S3Place, s3: Any, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    s3.create_bucket(Bucket="forms-that-lock", ObjectLockEnabledForBucket=True)
    (tmp_path / "small").write_bytes(b"p")

    def post(**fields: str) -> str:
        made = s3.generate_presigned_post(
            "forms-that-lock", "k", fields, [{name: each} for name, each in fields.items()]
        )
        return send(made, tmp_path / "small")[1]

    md5 = base64.b64encode(hashlib.md5(b"p").digest()).decode()
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    locked = {
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": until.isoformat(),
        "x-amz-object-lock-legal-hold": "ON",
    }
    assert " 204 " in post(**locked, **{"content-md5": md5, "x-amz-server-side-encryption-bucket-key-enabled": "true"})
    assert s3.get_object_retention(Bucket="forms-that-lock", Key="k")["Retention"] == {
        "Mode": "GOVERNANCE",
        "RetainUntilDate": until,
    }
    assert s3.get_object_legal_hold(Bucket="forms-that-lock", Key="k")["LegalHold"]["Status"] == "ON"
    s3.put_object_legal_hold(Bucket="forms-that-lock", Key="k", LegalHold={"Status": "OFF"})
    for refused, code in (
        ({"x-amz-object-lock-mode": "GOVERNANCE", "content-md5": md5}, "InvalidArgument"),
        ({**locked, "x-amz-object-lock-retain-until-date": "tomorrow", "content-md5": md5}, "InvalidArgument"),
        (locked, "InvalidRequest"),  # without a digest
        ({"content-md5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"x-amz-grant-read": "id=somebody"}, "NotImplemented"),
    ):
        assert f"<Code>{code}</Code>" in post(**refused)
    (version,) = s3.list_object_versions(Bucket="forms-that-lock")["Versions"]
    s3.delete_object(Bucket="forms-that-lock", Key="k", VersionId=version["VersionId"], BypassGovernanceRetention=True)
    s3.delete_bucket(Bucket="forms-that-lock")
