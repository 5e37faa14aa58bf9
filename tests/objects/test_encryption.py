"""Server-side encryption: frames that only their key opens at their place, and SSE-S3, SSE-KMS and SSE-C by boto3."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.store.frames import FRAME, SEALED, CannotOpen, Opener, Sealer, opened, sealed_size, sealed_span
from tests.objects.conftest import S3Place

Refusal = Callable[..., tuple[str, int]]
KEY, OTHER = os.urandom(32), os.urandom(32)
NAME = "ab" * 16
LENGTHS = st.sampled_from([0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 3 * FRAME + 7])
CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": KEY}
WORDS = b"the pulse of bed seven is 131 "


def framed(content: bytes, step: int) -> bytes:
    sealer = Sealer(KEY, NAME)
    made = b"".join(sealer.update(content[at : at + step]) for at in range(0, len(content), step))
    return made + sealer.finish()


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 200_000), st.data())
def test_any_stretch_is_read_from_its_own_frames(size: int, step: int, data: st.DataObject) -> None:
    content = os.urandom(size)
    made = framed(content, step)
    assert len(made) == sealed_size(size)
    assert opened(KEY, NAME, size, made) == content
    if size:
        offset = data.draw(st.integers(0, size - 1))
        length = data.draw(st.integers(1, size - offset))
        at, much = sealed_span(size, offset, length)
        opener = Opener(KEY, NAME, size, offset, length)
        part = made[at : at + much]
        found = b"".join(opener.update(part[i : i + step]) for i in range(0, len(part), step)) + opener.finish()
        assert found == content[offset : offset + length]


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda made: made[:-1],
        lambda made: made[:SEALED],
        lambda made: made[SEALED : 2 * SEALED] + made[:SEALED] + made[2 * SEALED :],
        lambda made: made[:SEALED] * 2 + made[2 * SEALED :],
        lambda made: made[:5] + bytes([made[5] ^ 1]) + made[6:],
        lambda made: b"",
    ],
    ids=["short", "cut off", "exchanged", "repeated", "changed", "empty"],
)
def test_what_is_not_as_it_was_written_is_not_opened(spoilt: Callable[[bytes], bytes]) -> None:
    content = os.urandom(2 * FRAME + 5)
    made = framed(content, 1000)
    with pytest.raises(CannotOpen):
        opened(KEY, NAME, len(content), spoilt(made))
    for key, name in ((OTHER, NAME), (KEY, "cd" * 16)):
        with pytest.raises(CannotOpen):
            opened(key, name, len(content), made)


@pytest.mark.parametrize("size", [0, 100, 300_000])
@pytest.mark.parametrize(
    "asked", [{"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "aws:kms"}, CUSTOMER], ids=["s3", "kms", "c"]
)
def test_encrypted_objects_come_back_and_their_words_are_nowhere(
    place: S3Place, s3: Any, bucket: str, size: int, asked: dict[str, Any]
) -> None:
    body = (WORDS * (size // len(WORDS) + 1))[:size]
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, **asked)
    shown = asked if asked is CUSTOMER else {}
    got = s3.get_object(Bucket=bucket, Key="k", **shown)
    assert got["Body"].read() == body
    assert got["ETag"] == put["ETag"]
    for answer in (put, got, s3.head_object(Bucket=bucket, Key="k", **shown)):
        if asked is CUSTOMER:
            assert answer["SSECustomerAlgorithm"] == "AES256"
        else:
            assert answer["ServerSideEncryption"] == asked["ServerSideEncryption"]
    if size:
        part = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={size // 2}-{size // 2 + 20}", **shown)
        assert part["Body"].read() == body[size // 2 : size // 2 + 21]
        for file in place.served.folder.rglob("*"):
            assert not file.is_file() or WORDS[:size] not in file.read_bytes(), file
    s3.delete_object(Bucket=bucket, Key="k")


def test_a_customers_key_is_asked_for(s3: Any, bucket: str, refusal: Refusal) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **CUSTOMER)
    s3.put_object(Bucket=bucket, Key="open", Body=b"x")
    named = {"Bucket": bucket, "Key": "k"}
    assert refusal(s3.get_object, **named) == ("InvalidRequest", 400)
    other = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": OTHER}
    assert refusal(s3.get_object, **named, **other) == ("AccessDenied", 403)
    assert refusal(s3.get_object, Bucket=bucket, Key="open", **CUSTOMER) == ("InvalidRequest", 400)
    assert refusal(s3.put_object, **named, **{**CUSTOMER, "SSECustomerAlgorithm": "DES"}) == (
        "InvalidEncryptionAlgorithmError",
        400,
    )
    assert refusal(s3.put_object, **named, **{**CUSTOMER, "SSECustomerKey": b"short"}) == ("InvalidArgument", 400)
    plain = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": base64.b64encode(KEY).decode()}
    assert refusal(s3.put_object, **named, **plain, SSECustomerKeyMD5="AAAA") == ("InvalidArgument", 400)
    assert refusal(s3.put_object, **named, ServerSideEncryption="aws:kms", SSEKMSKeyId="mine") == (
        "KMS.NotFoundException",
        400,
    )
    assert refusal(s3.put_object, **named, ServerSideEncryption="rot13") == ("InvalidArgument", 400)


def test_copies_are_sealed_anew_or_share_the_bytes(place: S3Place, s3: Any, bucket: str, refusal: Refusal) -> None:
    body = WORDS * 4000
    s3.put_object(Bucket=bucket, Key="open", Body=body)
    s3.put_object(Bucket=bucket, Key="customer", Body=body, **CUSTOMER)
    source = {"Bucket": bucket, "Key": "customer"}
    opens = {f"CopySource{name}": value for name, value in CUSTOMER.items()}
    assert refusal(s3.copy_object, Bucket=bucket, Key="to", CopySource=source) == ("InvalidRequest", 400)
    s3.copy_object(Bucket=bucket, Key="sealed", CopySource={"Bucket": bucket, "Key": "open"}, **CUSTOMER)
    assert s3.get_object(Bucket=bucket, Key="sealed", **CUSTOMER)["Body"].read() == body
    before = place.blobs()
    s3.copy_object(Bucket=bucket, Key="ours", CopySource=source, ServerSideEncryption="AES256", **opens)
    assert place.blobs() - before == set()
    assert s3.get_object(Bucket=bucket, Key="ours")["Body"].read() == body
    s3.copy_object(Bucket=bucket, Key="freed", CopySource=source, **opens)
    assert s3.get_object(Bucket=bucket, Key="freed")["Body"].read() == body


def _as_sent(key: bytes) -> dict[str, str]:
    """The three headers, which boto3 does not make for ListParts."""
    md5 = hashlib.md5(key, usedforsecurity=False).digest()
    return {
        "SSECustomerAlgorithm": "AES256",
        "SSECustomerKey": base64.b64encode(key).decode(),
        "SSECustomerKeyMD5": base64.b64encode(md5).decode(),
    }


def test_parts_are_sealed_by_the_key_of_their_upload(s3: Any, bucket: str, refusal: Refusal) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="m", **CUSTOMER)
    assert upload["SSECustomerAlgorithm"] == "AES256"
    named = {"Bucket": bucket, "Key": "m", "UploadId": upload["UploadId"]}
    assert refusal(s3.upload_part, **named, PartNumber=1, Body=b"x") == ("InvalidRequest", 400)
    bodies = [os.urandom(5 * 1024 * 1024), b"the rest"]
    other = {**CUSTOMER, "SSECustomerKey": OTHER}
    assert refusal(s3.upload_part, **named, PartNumber=1, Body=b"x", **other) == ("InvalidArgument", 400)
    parts = [
        {"PartNumber": number, "ETag": s3.upload_part(**named, PartNumber=number, Body=body, **CUSTOMER)["ETag"]}
        for number, body in enumerate(bodies, 1)
    ]
    assert len(s3.list_parts(**named, **_as_sent(KEY))["Parts"]) == 2
    assert refusal(s3.list_parts, **named, **_as_sent(OTHER)) == ("InvalidRequest", 400)
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=bucket, Key="m", **CUSTOMER)["Body"].read() == b"".join(bodies)
    across = s3.get_object(Bucket=bucket, Key="m", Range="bytes=5242870-5242885", **CUSTOMER)
    assert across["Body"].read() == b"".join(bodies)[5242870:5242886]


def test_a_bucket_has_a_default(s3: Any, bucket: str, refusal: Refusal) -> None:
    missing = ("ServerSideEncryptionConfigurationNotFoundError", 404)
    assert refusal(s3.get_bucket_encryption, Bucket=bucket) == missing
    rule = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [rule]})
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"] == {"Rules": [rule]}
    assert s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ServerSideEncryption"] == "AES256"
    assert s3.create_multipart_upload(Bucket=bucket, Key="m")["ServerSideEncryption"] == "AES256"
    s3.delete_bucket_encryption(Bucket=bucket)
    assert "ServerSideEncryption" not in s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    unknown = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "mine"}}
    wanted = {"Bucket": bucket, "ServerSideEncryptionConfiguration": {"Rules": [unknown]}}
    assert refusal(s3.put_bucket_encryption, **wanted) == ("KMS.NotFoundException", 400)


def test_a_copy_in_another_encryption_keeps_its_checksum(s3: Any, bucket: str) -> None:
    made = s3.create_multipart_upload(Bucket=bucket, Key="parts", ChecksumAlgorithm="CRC32")
    upload = {"Bucket": bucket, "Key": "parts", "UploadId": made["UploadId"]}
    part = s3.upload_part(**upload, PartNumber=1, Body=b"wave" * 5000)
    listed = [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})
    source = {"Bucket": bucket, "Key": "parts"}
    for kind in ("AES256", "aws:kms"):
        copied = s3.copy_object(Bucket=bucket, Key=kind, CopySource=source, ServerSideEncryption=kind)
        assert copied["CopyObjectResult"]["ChecksumCRC32"] == part["ChecksumCRC32"]  # of the whole, not of parts
        assert copied["CopyObjectResult"]["ChecksumType"] == "FULL_OBJECT"
        assert s3.get_object(Bucket=bucket, Key=kind)["Body"].read() == b"wave" * 5000


def test_a_copys_etag_is_that_of_its_own_encryption(s3: Any, bucket: str) -> None:
    """Under SSE-S3 it is the MD5, by which clients compare; under SSE-KMS it says nothing of the content."""
    body = b"content" * 5000
    kinds: dict[str, dict[str, str]] = {
        "plain": {},
        "s3": {"ServerSideEncryption": "AES256"},
        "kms": {"ServerSideEncryption": "aws:kms"},
    }
    for kind, asked in kinds.items():
        s3.put_object(Bucket=bucket, Key=kind, Body=body, **asked)
    for source in kinds:
        for kind, asked in kinds.items():
            made = s3.copy_object(Bucket=bucket, Key=f"{source}-{kind}", CopySource=f"{bucket}/{source}", **asked)
            etag = made["CopyObjectResult"]["ETag"].strip('"')
            assert (etag == hashlib.md5(body).hexdigest()) is (kind != "kms"), (source, kind)
            got = s3.get_object(Bucket=bucket, Key=f"{source}-{kind}")
            assert (got["ETag"].strip('"'), got["Body"].read()) == (etag, body)


def test_a_bucket_blocks_customer_keys(s3: Any, bucket: str) -> None:
    """And what was written under them before is still read."""
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    s3.put_object(Bucket=bucket, Key="before", Body=b"x", **key)
    blocked = {"BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": [blocked]})
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule == blocked | {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
        "BucketKeyEnabled": False,
    }
    for call in (s3.put_object, s3.create_multipart_upload):
        with pytest.raises(ClientError, match="AccessDenied"):
            call(Bucket=bucket, Key="after", **key)
    with pytest.raises(ClientError, match="AccessDenied"):
        opened = {f"CopySource{name}": value for name, value in key.items()}
        s3.copy_object(Bucket=bucket, Key="after", CopySource=f"{bucket}/before", **key, **opened)
    assert s3.get_object(Bucket=bucket, Key="before", **key)["Body"].read() == b"x"
    assert s3.put_object(Bucket=bucket, Key="after")["ServerSideEncryption"] == "AES256"
