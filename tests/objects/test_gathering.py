"""Many small objects in one answer, of a real place with what boto3 has put there."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from littoral.aws.identity import AccessKey
from littoral.aws.sign import sign
from littoral.net.message import Headers
from littoral.objects.access.acl import canonical_id
from littoral.protocols.manyobjects import EACH, LARGEST, QUERY, TYPE, Asked, Frame, ask, frames
from tests.objects.conftest import OTHER, S3Place
from tests.objects.test_access import OPEN, allow, policy
from tests.objects.test_logging import delivered, logged

__all__ = ["logged"]

OF_THE_ANSWER = {"date", "connection", "content-length", "x-amz-request-id", "x-amz-id-2", "server"}


class Reader:
    """Who asks with a key, or with none."""

    def __init__(self, place: S3Place, key: AccessKey | None, **headers: str) -> None:
        self._place, self._key, self._headers = place, key, headers

    def raw(self, method: str, path: str, body: bytes = b"", **more: str) -> tuple[int, dict[str, str], bytes]:
        url = f"{self._place.served.url}{path}"
        headers = Headers.of([(name.replace("_", "-"), value) for name, value in (self._headers | more).items()])
        if self._key is not None:
            named = {"access_key": self._key.id, "secret": self._key.secret}
            sign(method, url, headers, payload=body, service="s3", region="us-east-1", now=time.time(), **named)
        request = urllib.request.Request(url, body or None, dict(headers.items()), method=method)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, {name.lower(): value for name, value in refused.headers.items()}, refused.read()

    def many(self, bucket: str, wanted: Sequence[tuple[str, str]]) -> list[Frame]:
        body = ask(Asked(*one) for one in wanted)
        status, headers, data = self.raw("POST", f"/{bucket}?{QUERY}", body, content_type="application/json")
        assert (status, headers["content-type"]) == (200, TYPE)
        return list(frames(data))

    def one(self, bucket: str, key: str, etag: str) -> tuple[int, dict[str, str], bytes]:
        conditions = {"if_match": etag, "x_amz_checksum_mode": "ENABLED"}
        return self.raw("GET", f"/{bucket}/{quote(key)}", **conditions)


@pytest.fixture
def root(place: S3Place, keys: dict[str, AccessKey]) -> Reader:
    return Reader(place, keys["root"])


def code(one: Frame) -> str:
    text = one.body.decode()
    return text.partition("<Code>")[2].partition("</Code>")[0]


def told(headers: Any) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in OF_THE_ANSWER}


CUSTOMER = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
MADE: dict[str, tuple[bytes, dict[str, Any]]] = {
    "plain": (b"plain", {}),
    "empty": (b"", {}),
    "ward/ä ö+%2F.txt": (b"x" * 2048, {"ContentType": "text/plain", "Metadata": {"Ward": "7", "x": "a  b"}}),
    "system": (b"s", {"CacheControl": "no-store", "ContentDisposition": "inline", "ContentLanguage": "no",
                      "ContentEncoding": "gzip", "Expires": 1_700_000_000}),
    "crc32": (os.urandom(3000), {"ChecksumAlgorithm": "CRC32"}),
    "sha256": (os.urandom(3000), {"ChecksumAlgorithm": "SHA256"}),
    "crc64": (os.urandom(20_000), {"ChecksumAlgorithm": "CRC64NVME"}),
    "tagged": (b"t", {"Tagging": "a=b&c=d"}),
    "class": (b"c", {"StorageClass": "STANDARD_IA"}),
    "sealed": (os.urandom(5000), {"ServerSideEncryption": "AES256"}),
    "sealed blob": (os.urandom(50_000), {"ServerSideEncryption": "AES256"}),
    "kms": (os.urandom(5000), {"ServerSideEncryption": "aws:kms"}),
    "blob": (os.urandom(40_000), {}),
    "file": (os.urandom(200_000), {"Metadata": {"n": "1"}}),
    "largest": (os.urandom(EACH), {}),
}  # fmt: skip


@pytest.fixture
def made(s3: Any, bucket: str) -> dict[str, str]:
    """Keys with their ETags."""
    return {
        key: s3.put_object(Bucket=bucket, Key=key, Body=data, **more)["ETag"].strip('"')
        for key, (data, more) in MADE.items()
    }


def test_each_comes_as_its_get_object_would(root: Reader, bucket: str, made: dict[str, str]) -> None:
    found = root.many(bucket, list(made.items()))
    assert [one.number for one in found] == list(range(len(made)))
    for one, (key, etag) in zip(found, made.items(), strict=True):
        status, headers, body = root.one(bucket, key, etag)
        assert (one.status, one.body) == (status, body) == (200, MADE[key][0])
        assert told(one.headers) == told(headers)
    assert found[2].headers["x-amz-meta-ward"] == "7"
    assert "x-amz-checksum-crc64nvme" in found[6].headers


def test_a_version_comes_as_the_current_one(s3: Any, root: Reader, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"old")["ETag"]
    new = s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    s3.put_object(Bucket=bucket, Key="gone", Body=b"old")
    s3.delete_object(Bucket=bucket, Key="gone")
    first, second, third = root.many(bucket, [("k", old), ("k", new["ETag"]), ("gone", old)])
    assert (first.status, code(first)) == (412, "PreconditionFailed")
    assert (second.body, second.headers["x-amz-version-id"]) == (b"new", new["VersionId"])
    assert (third.status, code(third), third.headers["x-amz-delete-marker"]) == (404, "NoSuchKey", "true")


def test_what_cannot_be_given_is_named_and_the_rest_goes_on(s3: Any, root: Reader, bucket: str) -> None:
    etags = {key: s3.put_object(Bucket=bucket, Key=key, Body=b"x")["ETag"] for key in ("a", "changed", "z")}
    etags["customer"] = s3.put_object(Bucket=bucket, Key="customer", Body=b"c", **CUSTOMER)["ETag"]
    etags["large"] = s3.put_object(Bucket=bucket, Key="large", Body=bytes(EACH + 1))["ETag"]
    etags["cold"] = s3.put_object(Bucket=bucket, Key="cold", Body=b"c", StorageClass="GLACIER")["ETag"]
    s3.put_object(Bucket=bucket, Key="changed", Body=b"other")
    asked = ["a", "changed", "none", "customer", "large", "cold", "a", "z"]
    found = root.many(bucket, [(key, etags.get(key, "0" * 32)) for key in asked])
    assert [(one.status, code(one) or one.body) for one in found] == [
        (200, b"x"),
        (412, "PreconditionFailed"),
        (404, "NoSuchKey"),
        (400, "InvalidRequest"),
        (400, "EntityTooLarge"),
        (403, "InvalidObjectState"),
        (200, b"x"),
        (200, b"x"),
    ]
    for one, key in list(zip(found, asked, strict=True))[1:4]:
        status, _, body = root.one(bucket, key, etags.get(key, "0" * 32))
        assert (one.status, code(one)) == (status, code(Frame(0, status, {}, body)))


def test_an_answer_is_bounded(s3: Any, root: Reader, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=os.urandom(EACH))["ETag"]
    wanted = [("k", etag)] * 100
    found = root.many(bucket, wanted)
    assert LARGEST <= sum(len(one.body) for one in found) < 1.6 * LARGEST
    assert len(found) < len(wanted)


def test_each_is_authorised_for_itself(
    s3: Any, root: Reader, place: S3Place, keys: dict[str, AccessKey], bucket: str
) -> None:
    camera, other = Reader(place, keys["camera"]), Reader(place, keys["other"])
    who = {"AWS": ["arn:aws:iam::000000000000:user/camera"]}
    everything = f"arn:aws:s3:::{bucket}/*"
    etags = [
        (key, s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), **more)["ETag"])
        for key, more in {
            "mine/1": {},
            "tagged": {"Tagging": "ward=7"},
            "mine/shut": {},
            "theirs": {"Tagging": "ward=8"},
            "mine/2": {},
        }.items()
    ]
    assert {code(one) for one in camera.many(bucket, etags)} == {"AccessDenied"}
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=policy(
            allow(who, "s3:GetObject", f"arn:aws:s3:::{bucket}/mine/*"),
            allow(who, "s3:GetObject", everything, Condition={"StringEquals": {"s3:ExistingObjectTag/ward": "7"}}),
            allow("*", "s3:GetObject", f"arn:aws:s3:::{bucket}/mine/shut", "Deny"),
        ),
    )
    found = camera.many(bucket, [*etags, ("mine/none", "0" * 32)])
    assert [one.status for one in found] == [200, 200, 403, 403, 200, 403]
    assert [one.body for one in found if one.status == 200] == [b"mine/1", b"tagged", b"mine/2"]
    assert [one.status for one in root.many(bucket, etags)] == [200, 200, 403, 200, 200]
    assert {one.status for one in other.many(bucket, etags)} == {403}


def test_lists_grant_and_nobody_gets_what_is_public_alone(
    s3: Any, place: S3Place, keys: dict[str, AccessKey], bucket: str
) -> None:
    other, nobody = Reader(place, keys["other"]), Reader(place, None)
    owned = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=owned)
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=OPEN)
    lists = {"a": {}, "b": {"GrantRead": f"id={canonical_id(OTHER)}"}, "c": {"ACL": "public-read"}}
    etags = [(key, s3.put_object(Bucket=bucket, Key=key, Body=b"x", **acl)["ETag"]) for key, acl in lists.items()]
    assert [one.status for one in other.many(bucket, etags)] == [403, 200, 200]
    assert [one.status for one in nobody.many(bucket, etags)] == [403, 403, 200]
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert {one.status for one in other.many(bucket, etags)} == {403}
    paying = Reader(place, keys["other"], x_amz_request_payer="requester")
    assert [one.status for one in paying.many(bucket, etags)] == [403, 200, 200]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"Objects": []}', b'{"Objects": [{"Key": "k"}]}', b"[" * 100_000, b"\xff" * 100]
)
def test_a_request_that_is_not_understood_is_refused(root: Reader, bucket: str, body: bytes) -> None:
    status, _, answer = root.raw("POST", f"/{bucket}?{QUERY}", body)
    assert (status, code(Frame(0, status, {}, answer))) == (400, "InvalidRequest")


def test_the_bucket_and_its_owner_are_looked_at_and_so_is_the_signature(
    root: Reader, place: S3Place, bucket: str, keys: dict[str, AccessKey]
) -> None:
    body = ask([Asked("k", "e")])

    def refused(reader: Reader, name: str, **headers: str) -> str:
        status, _, answer = reader.raw("POST", f"/{name}?{QUERY}", body, **headers)
        return code(Frame(0, status, {}, answer))

    assert refused(root, "no-such-bucket") == "NoSuchBucket"
    assert refused(root, bucket, x_amz_expected_bucket_owner=OTHER) == "AccessDenied"
    wrong = AccessKey(**{**vars_of(keys["root"]), "secret": "no"})
    assert refused(Reader(place, wrong), bucket) == "SignatureDoesNotMatch"


def vars_of(key: AccessKey) -> dict[str, Any]:
    return {name: getattr(key, name) for name in key.__dataclass_fields__}


def test_what_is_damaged_is_named_and_the_rest_goes_on(s3: Any, root: Reader, place: S3Place, bucket: str) -> None:
    before = place.blobs()
    wanted = [("whole", s3.put_object(Bucket=bucket, Key="whole", Body=os.urandom(30_000))["ETag"])]
    known = place.blobs()
    for key, size in (("short", 30_000), ("long", 200_000)):
        wanted.append((key, s3.put_object(Bucket=bucket, Key=key, Body=os.urandom(size))["ETag"]))
    folder = place.served.folder / "store" / "blobs" / "objects"
    for name in place.blobs() - known:
        spoil(folder / name)
    assert len(known - before) == 1
    found = root.many(bucket, [*wanted, wanted[0]])
    assert [(one.status, code(one)) for one in found[1:3]] == [(500, "InternalError")] * 2
    assert [one.status for one in found] == [200, 500, 500, 200]


def spoil(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-7] ^= 4
    file.write_bytes(data)


def test_the_log_of_the_bucket_has_the_request_and_each_object(
    s3: Any, root: Reader, place: S3Place, logged: str
) -> None:
    etag = s3.put_object(Bucket=logged, Key="ä b", Body=b"12345")["ETag"]
    root.many(logged, [("ä b", etag), ("none", etag)])
    _, lines = delivered(place, s3, logged)
    said = [
        (line[6], line[7], line[9], line[10], line[11]) for line in lines if "BATCH" in line[6] or "LITT" in line[6]
    ]
    request = next(line for line in lines if line[6] == "REST.POST.LITTORAL_OBJECTS")
    assert said == [
        ("BATCH.GET.OBJECT", "%C3%A4%20b", "200", "-", "5"),
        ("BATCH.GET.OBJECT", "none", "404", "NoSuchKey", said[1][4]),
        ("REST.POST.LITTORAL_OBJECTS", "-", "200", "-", request[11]),
    ]
    assert {line[5] for line in lines if "BATCH" in line[6]} == {request[5]}
    assert {len(line) for line in lines} == {26}


def test_botocores_own_view_of_the_service_is_as_it_was(s3: Any) -> None:
    assert not hasattr(s3, "littoral_get_objects")
    assert not any(name.startswith("Littoral") for name in s3.meta.service_model.operation_names)
