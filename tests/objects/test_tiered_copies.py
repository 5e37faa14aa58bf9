"""Copies of what lies above only: of whole objects and as parts, with the link down, and where the version above that
has the bytes is overwritten or removed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.objects.pairs import Pair, completed, eventually, versioned
from tests.objects.test_tiering import MIB, gone, is_above, make_room, refusal, source

__all__ = ["source"]  # the fixture
Copying = Callable[[Pair, str, str, str, str], None]


def risen(pair: Pair, bucket: str, key: str, body: bytes, **told: Any) -> str:
    """Put, and above only. Its version."""
    version: str = pair.near.put_object(Bucket=bucket, Key=key, Body=body, **told)["VersionId"]
    completed(pair.near, bucket, key)
    make_room(pair)
    gone(pair, bucket, key)
    return version


def read(pair: Pair, bucket: str, key: str) -> bytes:
    return pair.near.get_object(Bucket=bucket, Key=key)["Body"].read()  # type: ignore[no-any-return]


def plain(pair: Pair, bucket: str, key: str, to: str, name: str, **asked: Any) -> None:
    pair.near.copy_object(Bucket=to, Key=name, CopySource={"Bucket": bucket, "Key": key}, **asked)


def sealing(pair: Pair, bucket: str, key: str, to: str, name: str) -> None:
    plain(pair, bucket, key, to, name, ServerSideEncryption="AES256")


def summing(pair: Pair, bucket: str, key: str, to: str, name: str) -> None:
    plain(pair, bucket, key, to, name, ChecksumAlgorithm="SHA256")


def in_parts(pair: Pair, bucket: str, key: str, to: str, name: str) -> None:
    upload = pair.near.create_multipart_upload(Bucket=to, Key=name)["UploadId"]
    asked = {"Bucket": to, "Key": name, "UploadId": upload}
    made = pair.near.upload_part_copy(**asked, PartNumber=1, CopySource={"Bucket": bucket, "Key": key})
    parts = [{"PartNumber": 1, "ETag": made["CopyPartResult"]["ETag"]}]
    pair.near.complete_multipart_upload(**asked, MultipartUpload={"Parts": parts})


COPIES = pytest.mark.parametrize("copying", [plain, sealing, summing, in_parts])
READING = pytest.mark.parametrize("copying", [sealing, summing, in_parts])  # all the bytes, while they copy


@COPIES
@pytest.mark.parametrize("sealed", [False, True])
def test_a_copy_has_the_bytes_that_its_source_had_whoever_overwrites_it_above(
    pair: Pair, source: str, copying: Copying, sealed: bool
) -> None:
    key, body = f"{source}/up", os.urandom(400_000)
    told = {"ServerSideEncryption": "AES256"} if sealed else {}
    risen(pair, source, key, body, **told)
    pair.far.put_object(Bucket="elsewhere", Key=key, Body=os.urandom(400_000))
    copying(pair, source, key, source, f"{source}/copy")
    assert read(pair, source, f"{source}/copy") == body
    completed(pair.near, source, f"{source}/copy")
    assert pair.far.get_object(Bucket="elsewhere", Key=f"{source}/copy")["Body"].read() == body


def test_a_copy_has_the_bytes_of_the_version_that_was_named(pair: Pair, source: str) -> None:
    key, bodies = f"{source}/up", [os.urandom(300_000), os.urandom(300_000)]
    versions = [risen(pair, source, key, body) for body in bodies]
    make_room(pair)
    for version, body in zip(versions, bodies, strict=True):
        named = {"Bucket": source, "Key": key, "VersionId": version}
        pair.near.copy_object(Bucket=source, Key=f"{source}/{version}", CopySource=named)
        assert read(pair, source, f"{source}/{version}") == body


@READING
def test_with_the_link_down_no_copy_is_made_of_bytes_that_are_not_here(
    pair: Pair, source: str, copying: Copying
) -> None:
    key, body = f"{source}/up", os.urandom(400_000)
    risen(pair, source, key, body)
    pair.link.cut()
    with pytest.raises(ClientError) as refused:
        copying(pair, source, key, source, f"{source}/copy")
    assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert refusal(pair.near, source, f"{source}/copy") == ("NoSuchKey", 404)
    plain(pair, source, key, source, f"{source}/shared")  # a row more, as a rename: it shares what its source has
    assert refusal(pair.near, source, f"{source}/shared") == ("ServiceUnavailable", 503)
    pair.link.restore()
    copying(pair, source, key, source, f"{source}/copy")
    assert read(pair, source, f"{source}/copy") == body
    assert read(pair, source, f"{source}/shared") == body


def test_a_copy_outlives_the_version_above_that_its_source_was(pair: Pair, source: str) -> None:
    """It has a version of its own there; and the source, whose version is gone, has the copy's."""
    key, copy, body = f"{source}/up", f"{source}/copy", os.urandom(2 * MIB)
    version = risen(pair, source, key, body)
    plain(pair, source, key, source, copy)
    completed(pair.near, source, copy)
    make_room(pair)
    assert is_above(pair, source, copy)
    pair.far.delete_object(Bucket="elsewhere", Key=key, VersionId=version)
    assert read(pair, source, copy) == body
    assert pair.near.get_object(Bucket=source, Key=key, Range="bytes=5-9")["Body"].read() == body[5:10]
    pair.objects.tier.keep = 64 * MIB
    assert read(pair, source, key) == body
    eventually(lambda: not is_above(pair, source, copy))
    pair.link.cut()
    assert read(pair, source, key) == read(pair, source, copy) == body


@pytest.mark.parametrize("customer", [False, True])
def test_what_is_copied_to_where_nothing_goes_up_comes_back(pair: Pair, source: str, customer: bool) -> None:
    """Only the source's version above has its bytes, and whoever removes that does not know of the copy."""
    key, other, body = f"{source}/up", versioned(pair.near), os.urandom(400_000)
    version = risen(pair, source, key, body, ServerSideEncryption="AES256")
    opening = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32} if customer else {}
    plain(pair, source, key, other, "copy", **opening or {"ServerSideEncryption": "AES256"})
    make_room(pair)
    assert not is_above(pair, other, "copy")
    pair.far.delete_object(Bucket="elsewhere", Key=key, VersionId=version)
    pair.near.delete_object(Bucket=source, Key=key, VersionId=version)
    assert pair.near.get_object(Bucket=other, Key="copy", **opening)["Body"].read() == body


@READING
def test_what_is_gone_above_is_told_by_name(pair: Pair, source: str, copying: Copying) -> None:
    key, other = f"{source}/up", versioned(pair.near)
    version = risen(pair, source, key, os.urandom(400_000))
    plain(pair, source, key, other, "shared")
    pair.far.delete_object(Bucket="elsewhere", Key=key, VersionId=version)
    with pytest.raises(ClientError, match="bytes are not where the index says"):
        copying(pair, source, key, source, f"{source}/copy")
    make_room(pair)  # one that is lost holds up nobody
    body = os.urandom(100_000)
    risen(pair, source, f"{source}/next", body)
    assert read(pair, source, f"{source}/next") == body
