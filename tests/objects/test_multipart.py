"""Multipart uploads, through boto3."""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from littoral.objects.etags import ASKED, of_parts, stand_in
from tests.objects.conftest import S3Place

MIB = 1024 * 1024
FIRST, SECOND, LAST = os.urandom(5 * MIB), os.urandom(5 * MIB + 1), b"the end"
Refusal = Callable[..., tuple[str, int]]


def begin(s3: Any, bucket: str, **more: Any) -> dict[str, str]:
    made = s3.create_multipart_upload(Bucket=bucket, Key="k", **more)
    return {"Bucket": bucket, "Key": "k", "UploadId": made["UploadId"]}


def send(s3: Any, upload: dict[str, str], number: int, body: bytes, **more: Any) -> dict[str, Any]:
    sent = s3.upload_part(**upload, PartNumber=number, Body=body, **more)
    checksums = {name: value for name, value in sent.items() if name.startswith("Checksum")}
    return {"PartNumber": number, "ETag": sent["ETag"], **checksums}


def bare(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With no checksums."""
    return [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]


def test_an_object_of_three_parts(s3: Any, bucket: str, refusal: Refusal) -> None:
    upload = begin(s3, bucket, Metadata={"a": "1"}, ContentType="text/x", Tagging="t=1")
    parts = [send(s3, upload, number, body) for number, body in ((7, SECOND), (2, FIRST), (9, LAST))]
    send(s3, upload, 8, b"never used")
    parts.sort(key=lambda part: part["PartNumber"])
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": bare(parts)})
    md5s = b"".join(hashlib.md5(body).digest() for body in (FIRST, SECOND, LAST))
    assert done["ETag"] == f'"{hashlib.md5(md5s).hexdigest()}-3"'
    whole = FIRST + SECOND + LAST
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == whole
    assert (got["ETag"], got["Metadata"], got["ContentType"]) == (done["ETag"], {"a": "1"}, "text/x")
    across = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={5 * MIB - 3}-{10 * MIB + 5}")
    assert across["Body"].read() == whole[5 * MIB - 3 : 10 * MIB + 6]
    part = s3.get_object(Bucket=bucket, Key="k", PartNumber=2)
    assert (part["Body"].read(), part["PartsCount"]) == (SECOND, 3)
    assert part["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert refusal(s3.get_object, Bucket=bucket, Key="k", PartNumber=4) == ("InvalidPartNumber", 416)
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts", "ObjectSize"])
    assert (attributes["ObjectParts"]["TotalPartsCount"], attributes["ObjectSize"]) == (3, len(whole))
    assert refusal(s3.list_parts, **upload) == ("NoSuchUpload", 404)
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    assert copied["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(whole).hexdigest()}"'
    s3.delete_object(Bucket=bucket, Key="k")
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == whole


def test_the_lists_that_complete_refuses(s3: Any, bucket: str, refusal: Refusal) -> None:
    upload = begin(s3, bucket)
    small, large = bare([send(s3, upload, 1, b"too small"), send(s3, upload, 2, FIRST)])

    def complete(*parts: dict[str, Any]) -> tuple[str, int]:
        return refusal(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": list(parts)})

    assert complete(small, large) == ("EntityTooSmall", 400)
    assert complete(large, small) == ("InvalidPartOrder", 400)
    assert complete(large, large) == ("InvalidPartOrder", 400)
    assert complete(large | {"PartNumber": 3}) == ("InvalidPart", 400)
    assert complete(large | {"ETag": '"no"'}) == ("InvalidPart", 400)
    assert complete()[0] == "MalformedXML"
    assert refusal(s3.upload_part, **upload, PartNumber=10_001, Body=b"") == ("InvalidArgument", 400)
    assert refusal(s3.head_object, Bucket=bucket, Key="k") == ("404", 404)
    listed = s3.list_parts(**upload)["Parts"]
    assert [(part["PartNumber"], part["Size"]) for part in listed] == [(1, 9), (2, len(FIRST))]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [small]})
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"too small"


def test_abort_and_replaced_parts_leave_no_blob(place: S3Place, s3: Any, bucket: str, refusal: Refusal) -> None:
    upload = begin(s3, bucket)
    send(s3, upload, 1, FIRST)
    kept = send(s3, upload, 1, SECOND)
    assert [part["ETag"] for part in s3.list_parts(**upload)["Parts"]] == [kept["ETag"]]
    uploads = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [each["UploadId"] for each in uploads] == [upload["UploadId"]]
    s3.abort_multipart_upload(**upload)
    assert refusal(s3.abort_multipart_upload, **upload) == ("NoSuchUpload", 404)
    assert refusal(s3.upload_part, **upload, PartNumber=1, Body=b"x") == ("NoSuchUpload", 404)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("CRC32", "COMPOSITE"),
        ("CRC32", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA256", "COMPOSITE"),
        ("XXHASH3", "COMPOSITE"),
    ],
)
def test_checksums_of_parts_become_the_objects(
    s3: Any, bucket: str, algorithm: str, kind: str, refusal: Refusal
) -> None:
    from littoral.objects.checksums import ALGORITHMS

    def of(data: bytes) -> bytes:
        digest = ALGORITHMS[algorithm].new()
        digest.update(data)
        return digest.digest()

    upload = begin(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType=kind)
    member = f"Checksum{algorithm}"
    parts = []
    for number, body in ((1, FIRST), (2, LAST)):
        stated = {member: base64.b64encode(of(body)).decode()}
        sent = s3.upload_part(**upload, PartNumber=number, Body=body, **stated)
        assert sent[member] == base64.b64encode(of(body)).decode()
        parts.append({"PartNumber": number, "ETag": sent["ETag"], member: sent[member]})
    expected = base64.b64encode(of(FIRST + LAST) if kind == "FULL_OBJECT" else of(of(FIRST) + of(LAST))).decode()
    if kind == "COMPOSITE":
        without = {"MultipartUpload": {"Parts": bare(parts)}}
        assert refusal(s3.complete_multipart_upload, **upload, **without) == ("InvalidRequest", 400)
        expected += "-2"
    else:
        wrong = base64.b64encode(bytes(len(of(b"")))).decode()
        refused = refusal(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts}, **{member: wrong})
        assert refused == ("BadDigest", 400)
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert (done[member], done["ChecksumType"]) == (expected, kind)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got[member]) == (FIRST + LAST, expected)


def test_a_part_states_the_checksum_of_its_upload_and_no_other(s3: Any, bucket: str, refusal: Refusal) -> None:
    crc, sha1 = (base64.b64encode(raw).decode() for raw in (zlib.crc32(LAST).to_bytes(4, "big"), sha1_of(LAST)))
    upload = begin(s3, bucket, ChecksumAlgorithm="SHA1")
    with pytest.raises(s3.exceptions.ClientError) as mismatch:
        s3.upload_part(**upload, PartNumber=1, Body=LAST, ChecksumCRC32=crc)
    told = mismatch.value.response["Error"]
    assert told["Code"] == "InvalidRequest"
    assert told["Message"].endswith("expected checksum Type: sha1, actual checksum Type: crc32")
    part = send(s3, upload, 1, LAST, ChecksumSHA1=sha1)
    other = base64.b64encode(sha1_of(FIRST)).decode()
    for stated, code in (
        ({"ChecksumCRC32": crc}, "InvalidPart"),
        ({"ChecksumSHA1": other}, "InvalidPart"),
        ({"ChecksumSHA1": sha1, "ChecksumCRC32": crc}, "InvalidArgument"),
        ({"ChecksumSHA1": crc}, "InvalidArgument"),
        ({}, "InvalidRequest"),
    ):
        parts = {"Parts": [{**bare([part])[0], **stated}]}
        assert refusal(s3.complete_multipart_upload, **upload, MultipartUpload=parts) == (code, 400)
    assert s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})["ChecksumType"] == "COMPOSITE"


def test_an_upload_without_an_algorithm_has_no_checksum_that_its_list_could_state(
    place: S3Place, bucket: str, refusal: Refusal
) -> None:
    s3 = place.client(request_checksum_calculation="when_required")
    upload = begin(s3, bucket)
    part = send(s3, upload, 1, LAST)
    stated = {"Parts": [{**part, "ChecksumSHA1": base64.b64encode(sha1_of(LAST)).decode()}]}
    assert refusal(s3.complete_multipart_upload, **upload, MultipartUpload=stated) == ("InvalidPart", 400)
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [part]})


def sha1_of(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


SEALED = {"c": {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}}


@pytest.fixture(params=["", "c", "kms"])
def sealed(request: pytest.FixtureRequest, s3: Any, bucket: str) -> dict[str, Any]:
    """What goes with each request about an object; of "kms" the bucket says it."""
    if request.param == "kms":
        rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    return SEALED.get(request.param, {})


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_part_that_states_no_checksum_gets_that_of_its_upload(
    place: S3Place, bucket: str, algorithm: str, sealed: dict[str, Any], refusal: Refusal
) -> None:
    from littoral.objects.checksums import ALGORITHMS

    def of(data: bytes) -> bytes:
        digest = ALGORITHMS[algorithm].new()
        digest.update(data)
        return digest.digest()

    s3, member = place.client(request_checksum_calculation="when_required"), f"Checksum{algorithm}"
    sums = [base64.b64encode(of(body)).decode() for body in (FIRST, LAST)]
    whole = algorithm == "CRC64NVME"
    expected = base64.b64encode(of(FIRST + LAST) if whole else of(of(FIRST) + of(LAST))).decode()

    def sent() -> tuple[dict[str, str], list[dict[str, Any]]]:
        upload = begin(s3, bucket, ChecksumAlgorithm=algorithm, **sealed)
        return upload, [send(s3, upload, n, body, **sealed) for n, body in enumerate((FIRST, LAST), 1)]

    def complete(upload: dict[str, str], parts: list[dict[str, Any]]) -> Any:
        done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
        got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", **sealed)
        assert got["Body"].read() == FIRST + LAST
        assert done[member] == got[member] == (expected if whole else f"{expected}-2")
        assert done["ChecksumType"] == ("FULL_OBJECT" if whole else "COMPOSITE")

    upload, parts = sent()
    assert [{name for name in part if name.startswith("Checksum")} for part in parts] == [{member}] * 2
    assert [part[member] for part in parts] == sums
    assert [part[member] for part in s3.list_parts(**upload)["Parts"]] == sums
    other = [parts[0], {**parts[1], member: sums[0]}]
    for asked, code in ((other, "InvalidPart"), *(() if whole else ((bare(parts), "InvalidRequest"),))):
        refused = refusal(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": asked})
        assert refused == (code, 400)
    complete(upload, parts)
    if whole:  # S3 wants those of the parts of a COMPOSITE one alone
        again, parts = sent()
        complete(again, bare(parts))


def test_an_md5_is_held_against_a_part_that_states_no_checksum(place: S3Place, bucket: str, refusal: Refusal) -> None:
    s3 = place.client(request_checksum_calculation="when_required")
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC64NVME")
    right, wrong = (base64.b64encode(hashlib.md5(data).digest()).decode() for data in (FIRST, LAST))
    assert refusal(s3.upload_part, **upload, PartNumber=1, Body=FIRST, ContentMD5=wrong) == ("BadDigest", 400)
    assert s3.list_parts(**upload).get("Parts") is None
    assert send(s3, upload, 1, FIRST, ContentMD5=right).keys() == {"PartNumber", "ETag", "ChecksumCRC64NVME"}


def test_parts_copied_from_objects(s3: Any, bucket: str, refusal: Refusal) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=FIRST + SECOND)
    source = {"Bucket": bucket, "Key": "source"}
    upload = begin(s3, bucket)
    ranges = [f"bytes=0-{len(FIRST) - 1}", f"bytes=3-{len(SECOND)}"]
    parts = []
    for number, span in enumerate(ranges, 1):
        sent = s3.upload_part_copy(**upload, PartNumber=number, CopySource=source, CopySourceRange=span)[
            "CopyPartResult"
        ]
        checksums = {name: value for name, value in sent.items() if name.startswith("Checksum")}
        parts.append({"PartNumber": number, "ETag": sent["ETag"], **checksums})
    beyond = {"CopySourceRange": f"bytes=0-{len(FIRST + SECOND)}", "CopySource": source}
    assert refusal(s3.upload_part_copy, **upload, PartNumber=3, **beyond) == ("InvalidArgument", 400)
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    body = s3.get_object(Bucket=bucket, Key="k")["Body"].read()
    assert body == FIRST + (FIRST + SECOND)[3 : len(SECOND) + 1]


def test_conditional_completion(s3: Any, bucket: str, refusal: Refusal) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    upload = begin(s3, bucket)
    complete = {**upload, "MultipartUpload": {"Parts": bare([send(s3, upload, 1, LAST)])}}
    assert refusal(s3.complete_multipart_upload, **complete, IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert refusal(s3.complete_multipart_upload, **complete, IfMatch='"no"') == ("PreconditionFailed", 412)
    s3.complete_multipart_upload(**complete, IfMatch=f'"{hashlib.md5(b"there").hexdigest()}"')
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == LAST


def test_the_transfer_manager(s3: Any, bucket: str, tmp_path: Any) -> None:
    (tmp_path / "source").write_bytes(FIRST + SECOND + LAST)
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=3)
    s3.upload_file(str(tmp_path / "source"), bucket, "k", Config=config)
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-3"')
    s3.download_file(bucket, "k", str(tmp_path / "target"), Config=config)
    assert (tmp_path / "target").read_bytes() == FIRST + SECOND + LAST
    assert zlib.crc32((tmp_path / "target").read_bytes()) == zlib.crc32(FIRST + SECOND + LAST)


def test_who_never_heard_that_an_upload_was_completed_asks_again(s3: Any, bucket: str, refusal: Refusal) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC32")
    asked = {"MultipartUpload": {"Parts": [send(s3, upload, 1, LAST)]}, "IfNoneMatch": "*"}
    told = ("ETag", "VersionId", "ChecksumCRC32", "ChecksumType")
    done = s3.complete_multipart_upload(**upload, **asked)
    again = s3.complete_multipart_upload(**upload, **asked)
    assert {name: again[name] for name in told} == {name: done[name] for name in told}
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1
    other = {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "0" * 32}]}}
    assert refusal(s3.complete_multipart_upload, **upload, **other) == ("NoSuchUpload", 404)
    s3.put_object(Bucket=bucket, Key="k", Body=b"newer")
    late = s3.complete_multipart_upload(**upload, **asked)
    assert (late["ETag"], late["VersionId"]) == (done["ETag"], done["VersionId"])
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"newer"


def test_a_part_comes_with_its_checksum(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC32")
    parts = [send(s3, upload, 1, FIRST), send(s3, upload, 2, LAST)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    got = s3.get_object(Bucket=bucket, Key="k", PartNumber=2, ChecksumMode="ENABLED")
    assert got["Body"].read() == LAST
    assert (got["ChecksumCRC32"], got["ChecksumType"]) == (parts[1]["ChecksumCRC32"], "COMPOSITE")


def test_an_etag_is_of_the_checksum_where_the_writer_asks_and_states_one(place: S3Place, bucket: str) -> None:
    s3 = place.client()
    s3.meta.events.register("before-sign.s3.UploadPart", asks_for_no_md5)
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC64NVME")
    bodies = (FIRST, LAST)
    parts = [send(s3, upload, n, body, ChecksumAlgorithm="CRC64NVME") for n, body in enumerate(bodies, 1)]
    assert [part["ETag"] for part in parts] != [f'"{hashlib.md5(body).hexdigest()}"' for body in bodies]
    expected = [stand_in(part["ChecksumCRC64NVME"], len(body)) for part, body in zip(parts, bodies, strict=True)]
    assert [part["ETag"] for part in parts] == [f'"{tag.hex()}"' for tag in expected]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert done["ETag"] == f'"{of_parts(expected)}"'
    assert s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["Body"].read() == FIRST + LAST

    other = begin(s3, bucket)
    md5 = {"ContentMD5": base64.b64encode(hashlib.md5(LAST).digest()).decode()}
    for stated in ({"ChecksumAlgorithm": "CRC32"}, {"ChecksumAlgorithm": "CRC64NVME", **md5}):
        sent = s3.upload_part(**other, PartNumber=1, Body=LAST, **stated)
        assert sent["ETag"] == f'"{hashlib.md5(LAST).hexdigest()}"'


def test_an_etag_is_of_the_checksum_that_is_left_to_the_place(place: S3Place, bucket: str) -> None:
    s3 = place.client(request_checksum_calculation="when_required")
    s3.meta.events.register("before-sign.s3.UploadPart", asks_for_no_md5)
    part = send(s3, begin(s3, bucket, ChecksumAlgorithm="CRC64NVME"), 1, FIRST)
    assert part["ETag"] == f'"{stand_in(part["ChecksumCRC64NVME"], len(FIRST)).hex()}"'
    for more in ({"ChecksumAlgorithm": "CRC32"}, {}):
        assert send(s3, begin(s3, bucket, **more), 1, FIRST)["ETag"] == f'"{hashlib.md5(FIRST).hexdigest()}"'


def test_a_stated_checksum_is_verified_without_an_md5_too(place: S3Place, bucket: str, refusal: Refusal) -> None:
    s3 = place.client()
    s3.meta.events.register("before-sign.s3.UploadPart", asks_for_no_md5)
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC64NVME")
    wrong = base64.b64encode(bytes(8)).decode()
    refused = refusal(s3.upload_part, **upload, PartNumber=1, Body=FIRST, ChecksumCRC64NVME=wrong)
    assert refused == ("BadDigest", 400)
    assert s3.list_parts(**upload).get("Parts") is None


def asks_for_no_md5(request: Any, **_: Any) -> None:
    for name, value in ASKED.items():
        request.headers[name] = value
