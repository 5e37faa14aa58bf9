"""Storage classes of archives: kept, not read before they are restored, and for how long."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from littoral.objects.cold import check_readable, told, told_in_lists
from littoral.objects.facts import Facts

Refusal = Callable[..., tuple[str, int]]
RESTORES = {"OptionalObjectAttributes": ["RestoreStatus"]}


@pytest.mark.parametrize("kind", ["GLACIER", "DEEP_ARCHIVE"])
def test_an_archived_object_is_read_after_it_was_restored(s3: Any, bucket: str, kind: str, refusal: Refusal) -> None:
    named = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**named, Body=b"wave", StorageClass=kind)
    s3.put_object(Bucket=bucket, Key="warm", Body=b"wave", StorageClass="GLACIER_IR")
    assert s3.get_object(Bucket=bucket, Key="warm")["StorageClass"] == "GLACIER_IR"
    assert s3.head_object(**named)["StorageClass"] == kind
    assert refusal(s3.get_object, **named) == ("InvalidObjectState", 403)
    copying = {"Bucket": bucket, "Key": "copy", "CopySource": named}
    assert refusal(s3.copy_object, **copying) == ("InvalidObjectState", 403)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", StorageClass=kind)["UploadId"]
    part = {"Bucket": bucket, "Key": "parts", "UploadId": upload, "PartNumber": 1, "CopySource": named}
    assert refusal(s3.upload_part_copy, **part) == ("InvalidObjectState", 403)
    assert s3.list_parts(Bucket=bucket, Key="parts", UploadId=upload)["StorageClass"] == kind
    assert s3.list_multipart_uploads(Bucket=bucket)["Uploads"][0]["StorageClass"] == kind
    asked = {"RestoreRequest": {"Days": 2, "GlacierJobParameters": {"Tier": "Bulk"}}}
    first = s3.restore_object(**named, **asked)["ResponseMetadata"]["HTTPStatusCode"]
    again = s3.restore_object(**named, **asked)["ResponseMetadata"]["HTTPStatusCode"]
    assert (first, again) == (202, 200)
    got = s3.get_object(**named)
    assert (got["Body"].read(), got["StorageClass"]) == (b"wave", kind)
    assert got["Restore"].startswith('ongoing-request="false", expiry-date="')
    for listing in (s3.list_objects, s3.list_objects_v2):
        entries = {each["Key"]: each for each in listing(Bucket=bucket, **RESTORES)["Contents"]}
        status = entries["k"]["RestoreStatus"]
        assert status["IsRestoreInProgress"] is False
        days = status["RestoreExpiryDate"] - datetime.now(UTC)
        assert timedelta(days=2) < days <= timedelta(days=3)
        assert "RestoreStatus" not in entries["warm"]
        assert "RestoreStatus" not in listing(Bucket=bucket)["Contents"][0]
    versions = s3.list_object_versions(Bucket=bucket, Prefix="k", **RESTORES)["Versions"]
    assert versions[0]["RestoreStatus"] == status
    s3.copy_object(**{**copying, "Key": "k"}, StorageClass="STANDARD")  # out of the archive
    assert "Restore" not in s3.head_object(**named)


def test_what_is_not_restored(s3: Any, bucket: str, refusal: Refusal) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1", StorageClass="GLACIER")
    s3.put_object(Bucket=bucket, Key="plain", Body=b"1")
    days = {"Days": 1}
    assert refusal(s3.restore_object, Bucket=bucket, Key="plain", RestoreRequest=days) == ("InvalidObjectState", 403)
    assert refusal(s3.restore_object, Bucket=bucket, Key="none", RestoreRequest=days) == ("NoSuchKey", 404)
    assert refusal(s3.restore_object, Bucket=bucket, Key="k", RestoreRequest={}) == ("MalformedXML", 400)
    assert refusal(s3.restore_object, Bucket=bucket, Key="k", RestoreRequest={"Days": 0}) == ("MalformedXML", 400)
    selecting = {"Type": "SELECT"}
    assert refusal(s3.restore_object, Bucket=bucket, Key="k", RestoreRequest=selecting) == ("NotImplemented", 501)


def test_days_end() -> None:
    facts = Facts({"StorageClass": "GLACIER"}, restored=1000.0)
    assert Facts.load(facts.dump()) == facts
    check_readable(facts, 999.0)
    assert told(facts, 999.0)["Restore"].endswith('expiry-date="Thu, 01 Jan 1970 00:16:40 GMT"')
    with pytest.raises(ServiceError, match="InvalidObjectState"):
        check_readable(facts, 1000.0)
    assert told(facts, 1000.0) == told_in_lists({"restored": 1000.0}, 1000.0) == {}
