"""Replication within a place and to another one, over outages, as boto3 sees it."""

from __future__ import annotations

import os
import uuid
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.objects.pairs import ROLE, Pair, completed, eventually, replicate, rule, status, versioned
from tests.objects.test_multipart import asks_for_no_md5


@pytest.fixture
def source(pair: Pair) -> str:
    return versioned(pair.near)


def versions(s3: Any, bucket: str, prefix: str) -> list[str]:
    listed = s3.list_object_versions(Bucket=bucket, Prefix=prefix)
    return [each["VersionId"] for each in listed.get("DeleteMarkers", []) + listed.get("Versions", [])]


def test_another_place_has_the_same_versions_with_all_that_is_said_of_them(pair: Pair, source: str) -> None:
    replicate(pair.near, source, rule("elsewhere", Filter={"Prefix": f"{source}/"}))
    key, large = f"{source}/a ü+b", f"{source}/large"
    said: dict[str, Any] = {
        "ContentType": "text/plain",
        "CacheControl": "max-age=5",
        "Metadata": {"who": "me"},
        "Tagging": "kind=scan&of=x%20y",
        "ServerSideEncryption": "AES256",
    }
    for body in (b"one", os.urandom(100_000)):
        last = pair.near.put_object(Bucket=source, Key=key, Body=body, **said)
    upload = pair.near.create_multipart_upload(Bucket=source, Key=large)["UploadId"]
    parts = [os.urandom(5 * 1024 * 1024), b"end"]
    done = [
        {
            "PartNumber": n,
            "ETag": pair.near.upload_part(Bucket=source, Key=large, UploadId=upload, PartNumber=n, Body=part)["ETag"],
        }
        for n, part in enumerate(parts, 1)
    ]
    whole = pair.near.complete_multipart_upload(
        Bucket=source, Key=large, UploadId=upload, MultipartUpload={"Parts": done}
    )
    pair.near.delete_object(Bucket=source, Key=key)
    eventually(lambda: versions(pair.far, "elsewhere", source) == versions(pair.near, source, source))
    completed(pair.near, source, large)
    there = {"Bucket": "elsewhere", "Key": key, "VersionId": last["VersionId"]}
    got = pair.far.get_object(**there)
    assert got["Body"].read() == body
    assert got["ReplicationStatus"] == "REPLICA"
    assert (got["ContentType"], got["CacheControl"], got["Metadata"]) == ("text/plain", "max-age=5", {"who": "me"})
    assert {tag["Key"]: tag["Value"] for tag in pair.far.get_object_tagging(**there)["TagSet"]} == {
        "kind": "scan",
        "of": "x y",
    }
    replica = pair.far.get_object(Bucket="elsewhere", Key=large)
    assert (replica["ETag"], replica["VersionId"]) == (whole["ETag"], whole["VersionId"])
    assert replica["Body"].read() == b"".join(parts)


def transferred(pair: Pair, bucket: str, key: str, data: bytes) -> dict[str, Any]:
    """As ``littoral box transfer`` puts a large file: its ETag is of its CRC64NVME."""
    pair.near.meta.events.register("before-sign.s3.UploadPart", asks_for_no_md5)
    named = {"Bucket": bucket, "Key": key}
    named["UploadId"] = pair.near.create_multipart_upload(**named, ChecksumAlgorithm="CRC64NVME")["UploadId"]
    sent = pair.near.upload_part(**named, PartNumber=1, Body=data, ChecksumAlgorithm="CRC64NVME")
    pair.near.meta.events.unregister("before-sign.s3.UploadPart", asks_for_no_md5)
    part = {"PartNumber": 1, "ETag": sent["ETag"], "ChecksumCRC64NVME": sent["ChecksumCRC64NVME"]}
    done: dict[str, Any] = pair.near.complete_multipart_upload(**named, MultipartUpload={"Parts": [part]})
    return done


def test_who_refuses_the_checksum_of_transferred_objects_gets_them_without(pair: Pair, source: str) -> None:
    replicate(pair.near, source, rule("old"))
    for number in range(2):
        key, data = f"{source}-{number}", os.urandom(70_000)
        transferred(pair, source, key, data)
        completed(pair.near, source, key)
        assert pair.far.get_object(Bucket="old", Key=key)["Body"].read() == data
        assert pair.old.digests.pop() == b64encode(md5(data, usedforsecurity=False).digest()).decode()
    assert pair.old.refused == ["POST"]  # once, for both
    assert "Uploads" not in pair.far.list_multipart_uploads(Bucket="old")


def test_an_etag_of_checksums_is_the_same_over_there(pair: Pair, source: str) -> None:
    replicate(pair.near, source, rule("elsewhere"))
    key, data = f"{source}-crc", os.urandom(70_000)
    done = transferred(pair, source, key, data)
    completed(pair.near, source, key)
    there = pair.far.get_object(Bucket="elsewhere", Key=key, ChecksumMode="ENABLED")
    assert there["Body"].read() == data
    assert (there["ETag"], there["ChecksumCRC64NVME"]) == (done["ETag"], done["ChecksumCRC64NVME"])


def test_an_outage_is_waited_for_and_versions_come_in_their_order(pair: Pair, source: str) -> None:
    replicate(pair.near, source, rule("elsewhere"))
    key = f"{source}-outage"
    pair.link.cut()
    for number in range(5):
        pair.near.put_object(Bucket=source, Key=key, Body=b"%d" % number)
    assert status(pair.near, source, key) == "PENDING"
    pair.link.restore()
    completed(pair.near, source, key)
    assert pair.far.get_object(Bucket="elsewhere", Key=key)["Body"].read() == b"4"
    assert versions(pair.far, "elsewhere", key) == versions(pair.near, source, key)


@pytest.mark.parametrize("where", ["there", "here"])
def test_later_changes_of_tags_and_locks_go_along(pair: Pair, where: str) -> None:
    far = pair.far if where == "there" else pair.near
    source = f"test-{uuid.uuid4().hex[:12]}"
    target = "elsewhere" if where == "there" else f"{source}-copy"
    pair.near.create_bucket(Bucket=source, ObjectLockEnabledForBucket=True)
    if where == "here":
        far.create_bucket(Bucket=target, ObjectLockEnabledForBucket=True)
    locks = {"ObjectLockEnabled": "Enabled"}
    far.put_object_lock_configuration(Bucket=target, ObjectLockConfiguration=locks)
    replicate(pair.near, source, rule(target))
    until = datetime(2099, 1, 1, tzinfo=UTC)
    held = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    made = pair.near.put_object(Bucket=source, Key=f"{source}/k", Body=b"1", Tagging="a=1", **held)
    named = {"Key": f"{source}/k", "VersionId": made["VersionId"]}
    pair.near.put_object(Bucket=source, Key=f"{source}/k", Body=b"2")
    completed(pair.near, source, f"{source}/k")
    assert far.get_object_retention(Bucket=target, **named)["Retention"]["Mode"] == "GOVERNANCE"

    tags = [{"Key": "a", "Value": "2 + 3"}, {"Key": "b", "Value": ""}]
    pair.near.put_object_tagging(Bucket=source, **named, Tagging={"TagSet": tags})
    eventually(lambda: far.get_object_tagging(Bucket=target, **named)["TagSet"] == tags)
    pair.near.put_object_legal_hold(Bucket=source, **named, LegalHold={"Status": "ON"})
    earlier = {"Mode": "GOVERNANCE", "RetainUntilDate": until.replace(year=2098)}
    pair.near.put_object_retention(Bucket=source, **named, Retention=earlier, BypassGovernanceRetention=True)
    eventually(lambda: far.get_object_retention(Bucket=target, **named)["Retention"] == earlier)
    assert far.get_object_legal_hold(Bucket=target, **named)["LegalHold"]["Status"] == "ON"
    pair.near.delete_object_tagging(Bucket=source, **named)
    eventually(lambda: not far.get_object_tagging(Bucket=target, **named)["TagSet"])
    eventually(lambda: pair.near.head_object(Bucket=source, **named)["ReplicationStatus"] == "COMPLETED")
    assert far.get_object(Bucket=target, **named)["Body"].read() == b"1"


def opened(s3: Any, bucket: str) -> None:
    """To access control lists, also public ones."""
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.delete_public_access_block(Bucket=bucket)


@pytest.mark.parametrize("where", ["there", "here"])
def test_lists_go_along_where_they_are_taken(pair: Pair, source: str, where: str) -> None:
    far = pair.far if where == "there" else pair.near
    target = "elsewhere" if where == "there" else versioned(far)
    opened(pair.near, source)
    replicate(pair.near, source, rule(target))
    key = f"{source}/k"

    def grants() -> set[tuple[str, str]]:
        told = far.get_object_acl(Bucket=target, Key=key)["Grants"]
        return {(each["Grantee"].get("URI", "owner").rpartition("/")[2], each["Permission"]) for each in told}

    closed = pair.near.put_object(Bucket=source, Key=key, Body=b"1", ACL="public-read")
    completed(pair.near, source, key)
    assert grants() == {("owner", "FULL_CONTROL")}
    opened(far, target)
    assert far.get_object_acl(Bucket=target, Key=key, VersionId=closed["VersionId"])["Grants"][1:] == []
    pair.near.put_object(Bucket=source, Key=key, Body=b"2", ACL="public-read")
    completed(pair.near, source, key)
    assert grants() == {("owner", "FULL_CONTROL"), ("AllUsers", "READ")}
    pair.near.put_object_acl(Bucket=source, Key=key, ACL="authenticated-read")
    eventually(lambda: grants() == {("owner", "FULL_CONTROL"), ("AuthenticatedUsers", "READ")})
    pair.near.put_object_acl(Bucket=source, Key=key, ACL="private")
    eventually(lambda: grants() == {("owner", "FULL_CONTROL")})
    completed(pair.near, source, key)


def test_within_a_place_bytes_are_shared_and_rules_choose(pair: Pair, source: str) -> None:
    s3, scans, all_ = pair.near, versioned(pair.near), versioned(pair.near)
    tagged = {"And": {"Prefix": "in/", "Tags": [{"Key": "kind", "Value": "scan"}]}}
    off = {"DeleteMarkerReplication": {"Status": "Disabled"}}
    replicate(s3, source, rule(scans, Filter=tagged, **off), rule(all_, Priority=2))
    s3.put_object(Bucket=source, Key="in/scan", Body=os.urandom(50_000), Tagging="kind=scan&more=1")
    s3.put_object(Bucket=source, Key="in/other", Body=b"x", Tagging="kind=note")
    s3.put_object(Bucket=source, Key="scan", Body=b"x", Tagging="kind=scan")
    for key in ("in/scan", "in/other", "scan"):
        completed(s3, source, key)
    s3.delete_object(Bucket=source, Key="in/scan")
    eventually(lambda: len(versions(s3, all_, "in/scan")) == 2)
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=scans)["Contents"]] == ["in/scan"]
    assert status(s3, scans, "in/scan") == "REPLICA"
    assert {each["Key"] for each in s3.list_objects_v2(Bucket=all_)["Contents"]} == {"in/other", "scan"}


def test_the_older_form_of_rules_takes_delete_markers_along(pair: Pair, source: str) -> None:
    s3, target = pair.near, versioned(pair.near)
    older = {"Status": "Enabled", "Prefix": "p/", "Destination": {"Bucket": f"arn:aws:s3:::{target}"}}
    replicate(s3, source, older)
    s3.put_object(Bucket=source, Key="p/1", Body=b"1")
    s3.put_object(Bucket=source, Key="q", Body=b"2")
    s3.delete_object(Bucket=source, Key="p/1")
    eventually(lambda: versions(s3, target, "") == versions(s3, source, "p/"))
    assert "ReplicationStatus" not in s3.head_object(Bucket=source, Key="q")
    kept = s3.get_bucket_replication(Bucket=source)["ReplicationConfiguration"]
    assert kept["Role"] == ROLE
    assert kept["Rules"][0]["ID"]
    s3.delete_bucket_replication(Bucket=source)
    with pytest.raises(ClientError, match="ReplicationConfigurationNotFoundError"):
        s3.get_bucket_replication(Bucket=source)


def test_what_the_destination_refuses_is_failed_and_comes_when_it_is_mended(pair: Pair, source: str) -> None:
    s3, target = pair.near, versioned(pair.near)
    replicate(s3, source, rule(target))
    s3.put_bucket_versioning(Bucket=target, VersioningConfiguration={"Status": "Suspended"})
    s3.put_object(Bucket=source, Key="k", Body=b"1")
    eventually(lambda: status(s3, source, "k") == "FAILED")
    s3.put_bucket_versioning(Bucket=target, VersioningConfiguration={"Status": "Enabled"})
    completed(s3, source, "k")


def test_what_cannot_be_configured_says_why(pair: Pair, source: str) -> None:
    s3, plain = pair.near, f"plain-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=plain)
    target = versioned(s3)
    cases: list[tuple[str, str, dict[str, Any]]] = [
        (plain, "InvalidRequest", rule(target)),
        (source, "InvalidRequest", rule(plain)),
        (source, "InvalidRequest", rule(source)),
        (source, "InvalidRequest", rule("nowhere-at-all")),
        (source, "InvalidRequest", rule(target, ExistingObjectReplication={"Status": "Enabled"})),
        (source, "InvalidRequest", rule(target, Filter={"Tag": {"Key": "a", "Value": "b"}})),
        (source, "InvalidArgument", rule(target, Destination={"Bucket": "no-arn"})),
        (
            source,
            "NotImplemented",
            rule(target, Destination={"Bucket": f"arn:aws:s3:::{target}", "StorageClass": "GLACIER"}),
        ),
    ]
    for bucket, code, wrong in cases:
        with pytest.raises(ClientError) as refused:
            replicate(s3, bucket, wrong)
        assert refused.value.response["Error"]["Code"] == code, wrong
    replicate(s3, source, rule(target))
    with pytest.raises(ClientError, match="InvalidBucketState"):
        s3.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Suspended"})


def test_damage_is_mended_from_the_other_place(pair: Pair, source: str) -> None:
    replicate(pair.near, source, rule("elsewhere"))
    key = f"{source}/scan"
    old, new = os.urandom(700_000), os.urandom(900_000)
    first = pair.near.put_object(Bucket=source, Key=key, Body=old)["VersionId"]
    completed(pair.near, source, key)
    pair.near.put_object(Bucket=source, Key=key, Body=new)
    completed(pair.near, source, key)

    async def spoil() -> None:
        for version in (first, None):
            (piece,) = pair.objects._index.get(source, key, version).content.pieces
            info = await pair.objects._shelf._blobs.info(piece.blob)
            assert info is not None
            assert info.path is not None
            with info.path.open("r+b") as file:
                file.seek(100_000)
                file.write(b"not what was written")

    pair.place.run(spoil())
    with pytest.raises(ClientError, match="damaged"):
        pair.near.get_object(Bucket=source, Key=key)
    pair.place.run(pair.objects.scrub.scrub())
    assert pair.near.get_object(Bucket=source, Key=key)["Body"].read() == new
    assert pair.near.get_object(Bucket=source, Key=key, VersionId=first)["Body"].read() == old
    assert pair.objects.scrub.known == frozenset()
