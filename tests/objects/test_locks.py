"""Object Lock through boto3, and its rules against time."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from littoral.aws.service import ServiceError
from littoral.objects.locks import COMPLIANCE, GOVERNANCE, Lock, locked_at_write

Refusal = Callable[..., tuple[str, int]]
LATER = datetime(2099, 1, 1, tzinfo=UTC)
DENIED = ("AccessDenied", 403)


@pytest.fixture
def locked(s3: Any) -> str:
    name = f"locked-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def test_governance_gives_way_to_who_says_so(s3: Any, locked: str, refusal: Refusal) -> None:
    lock = {"ObjectLockMode": GOVERNANCE, "ObjectLockRetainUntilDate": LATER}
    version = s3.put_object(Bucket=locked, Key="k", Body=b"x", **lock)["VersionId"]
    named = {"Bucket": locked, "Key": "k", "VersionId": version}
    shown = s3.head_object(**named)
    assert (shown["ObjectLockMode"], shown["ObjectLockRetainUntilDate"]) == (GOVERNANCE, LATER)
    assert refusal(s3.delete_object, **named) == DENIED
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": [{"Key": "k", "VersionId": version}]})
    assert answer["Errors"][0]["Code"] == "AccessDenied"
    sooner = {"Mode": GOVERNANCE, "RetainUntilDate": LATER - timedelta(days=1)}
    assert refusal(s3.put_object_retention, **named, Retention=sooner) == DENIED
    s3.put_object_retention(**named, Retention=sooner, BypassGovernanceRetention=True)
    assert s3.get_object_retention(**named)["Retention"] == sooner
    marker = s3.delete_object(Bucket=locked, Key="k")
    assert marker["DeleteMarker"] is True
    assert s3.get_object(**named)["Body"].read() == b"x"
    s3.delete_object(**named, BypassGovernanceRetention=True)
    assert refusal(s3.get_object, **named) == ("NoSuchVersion", 404)


def test_compliance_gives_way_to_nobody_and_a_hold_to_its_end(s3: Any, locked: str, refusal: Refusal) -> None:
    lock = {"ObjectLockMode": COMPLIANCE, "ObjectLockRetainUntilDate": LATER}
    version = s3.put_object(Bucket=locked, Key="k", Body=b"x", **lock)["VersionId"]
    named = {"Bucket": locked, "Key": "k", "VersionId": version}
    assert refusal(s3.delete_object, **named, BypassGovernanceRetention=True) == DENIED
    other = {"Mode": GOVERNANCE, "RetainUntilDate": LATER}
    assert refusal(s3.put_object_retention, **named, Retention=other, BypassGovernanceRetention=True) == DENIED
    assert refusal(s3.put_object_retention, **named, Retention={}, BypassGovernanceRetention=True) == DENIED
    s3.put_object_retention(**named, Retention={"Mode": COMPLIANCE, "RetainUntilDate": LATER + timedelta(days=1)})
    held = s3.put_object(Bucket=locked, Key="h", Body=b"x", ObjectLockLegalHoldStatus="ON")["VersionId"]
    assert s3.get_object_legal_hold(Bucket=locked, Key="h")["LegalHold"] == {"Status": "ON"}
    assert refusal(s3.delete_object, Bucket=locked, Key="h", VersionId=held, BypassGovernanceRetention=True) == DENIED
    s3.put_object_legal_hold(Bucket=locked, Key="h", LegalHold={"Status": "OFF"})
    s3.delete_object(Bucket=locked, Key="h", VersionId=held)


def test_a_bucket_has_a_default_and_keeps_its_versions(s3: Any, bucket: str, locked: str, refusal: Refusal) -> None:
    rule = {"DefaultRetention": {"Mode": GOVERNANCE, "Days": 2}}
    configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    wanted = {"Bucket": bucket, "ObjectLockConfiguration": configuration}
    assert refusal(s3.put_object_lock_configuration, **wanted) == ("InvalidBucketState", 409)
    missing = ("ObjectLockConfigurationNotFoundError", 404)
    assert refusal(s3.get_object_lock_configuration, Bucket=bucket) == missing
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(**wanted)
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == configuration
    suspended = {"Status": "Suspended"}
    refused = refusal(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=suspended)
    assert refused == ("InvalidBucketState", 409)
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    until = s3.get_object_retention(Bucket=bucket, Key="k")["Retention"]["RetainUntilDate"]
    assert abs(until - datetime.now(UTC) - timedelta(days=2)) < timedelta(minutes=1)
    assert refusal(s3.get_object_legal_hold, Bucket=bucket, Key="k") == ("NoSuchObjectLockConfiguration", 404)
    upload = s3.create_multipart_upload(Bucket=locked, Key="m", ObjectLockLegalHoldStatus="ON")["UploadId"]
    part = s3.upload_part(Bucket=locked, Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=locked, Key="m", UploadId=upload, MultipartUpload=parts)
    assert s3.head_object(Bucket=locked, Key="m")["ObjectLockLegalHoldStatus"] == "ON"


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        ({"ObjectLockEnabled": "Disabled"}, "MalformedXML"),
        ({"Mode": "SOME", "Days": 1}, "MalformedXML"),
        ({"Mode": GOVERNANCE, "Days": 1, "Years": 1}, "MalformedXML"),
        ({"Mode": GOVERNANCE, "Days": 0}, "InvalidRetentionPeriod"),
        ({"Mode": COMPLIANCE, "Years": -1}, "InvalidRetentionPeriod"),
    ],
)
def test_bad_configurations(s3: Any, locked: str, refusal: Refusal, configuration: Any, code: str) -> None:
    if "Mode" in configuration:
        configuration = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": configuration}}
    given = {"Bucket": locked, "ObjectLockConfiguration": configuration}
    assert refusal(s3.put_object_lock_configuration, **given) == (code, 400)


def test_holds_until_an_event_are_refused_and_leave_what_there_is(s3: Any, locked: str, refusal: Refusal) -> None:
    default = {"Mode": GOVERNANCE, "Days": 1}
    wanted = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": default | {"DefaultEventHold": {"Days": 9}}}}
    refused = refusal(s3.put_object_lock_configuration, Bucket=locked, ObjectLockConfiguration=wanted)
    assert refused == ("NotImplemented", 501)
    assert "Rule" not in s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    retained = {"Mode": GOVERNANCE, "RetainUntilDate": LATER}
    s3.put_object(Bucket=locked, Key="k", ObjectLockMode=GOVERNANCE, ObjectLockRetainUntilDate=LATER)
    named = {"Bucket": locked, "Key": "k"}
    for more in ({"EventHold": "ON"}, {"EventHoldDuration": {"Days": 9}}):
        for asked in (more, retained | more):
            refused = refusal(s3.put_object_retention, **named, Retention=asked, BypassGovernanceRetention=True)
            assert refused == ("NotImplemented", 501)
    assert s3.get_object_retention(**named)["Retention"] == retained


def test_bad_locks(s3: Any, bucket: str, locked: str, refusal: Refusal) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    until = {"ObjectLockMode": GOVERNANCE, "ObjectLockRetainUntilDate": LATER}
    assert refusal(s3.put_object, Bucket=bucket, Key="k", **until) == ("InvalidRequest", 400)
    assert refusal(s3.create_multipart_upload, Bucket=bucket, Key="k", **until) == ("InvalidRequest", 400)
    assert refusal(s3.get_object_retention, Bucket=bucket, Key="k") == ("InvalidRequest", 400)
    assert refusal(s3.put_object, Bucket=locked, Key="k", ObjectLockMode=GOVERNANCE) == ("InvalidArgument", 400)
    past = until | {"ObjectLockRetainUntilDate": datetime(2001, 1, 1, tzinfo=UTC)}
    assert refusal(s3.put_object, Bucket=locked, Key="k", **past) == ("InvalidArgument", 400)
    s3.put_object(Bucket=locked, Key="k")
    refused = refusal(s3.put_object_legal_hold, Bucket=locked, Key="k", LegalHold={"Status": "maybe"})
    assert refused == ("MalformedXML", 400)


@given(st.sampled_from([GOVERNANCE, COMPLIANCE]), st.floats(1, 100), st.floats(1, 100), st.booleans())
def test_time_sets_free_and_nothing_else_but_bypass(mode: str, until: float, now: float, bypass: bool) -> None:
    lock = Lock(mode, until)
    free = now >= until or (bypass and mode == GOVERNANCE)
    for attempt in (
        lambda: lock.check_removal(now, bypass=bypass),
        lambda: lock.retained(None, None, now, bypass=bypass),
        lambda: lock.retained(mode, until - 0.5, now, bypass=bypass),
    ):
        try:
            attempt()
            assert free
        except ServiceError as refused:
            assert refused.code == "AccessDenied"
            assert not free
    assert lock.retained(mode, until + 1, now, bypass=False).until == until + 1


def test_a_year_from_the_29th_of_february() -> None:
    configuration = '{"Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 1}}}'
    made = locked_at_write(None, configuration, datetime(2028, 2, 29, tzinfo=UTC).timestamp())
    assert made is not None
    assert made.until == datetime(2029, 2, 28, tzinfo=UTC).timestamp()
