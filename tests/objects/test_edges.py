"""Unusual requests as bytes on the wire, which no SDK makes or lets pass, and what S3 answers to them."""

from __future__ import annotations

import http.client
import zlib
from base64 import b64encode
from datetime import UTC
from email.utils import format_datetime
from hashlib import sha1
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from littoral.objects.facts import Facts
from tests.objects.conftest import S3Place

UNSIGNED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
HELLO = b"hello"
CRC = b64encode(zlib.crc32(HELLO).to_bytes(4, "big")).decode()
SHA1 = b64encode(sha1(HELLO, usedforsecurity=False).digest()).decode()
LONG = "9" * 5000  # digits, of which Python reads no number


class Signer(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """What it says of the payload may be told it."""

    told: str | None = None

    def payload(self, request: Any) -> str:
        return self.told or str(super().payload(request))


class Answer:
    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def refusal(self) -> tuple[int, str]:
        return self.status, self.of_error("Code")

    def of_error(self, name: str) -> str:
        return ElementTree.fromstring(self.body).findtext(name) or ""


def ask(place: S3Place, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
    """Signed in its header."""
    request = AWSRequest(method, f"{place.served.url}{target}", headers=headers or {}, data=body)
    signer = Signer(Credentials(place.served.access_key, place.served.secret_key), "s3", "us-east-1")
    signer.told = (headers or {}).get("x-amz-content-sha256")
    signer.add_auth(request)
    connection = http.client.HTTPConnection(place.served.url.removeprefix("http://"), timeout=30)
    try:
        sent = {name: value.encode("latin-1") for name, value in request.headers.items()}
        connection.request(method, target, body, sent)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def chunks(*trailers: str) -> bytes:
    lines = "".join(f"{each}\r\n" for each in trailers)
    return b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(HELLO), HELLO, lines.encode())


def put_chunked(place: S3Place, bucket: str, body: bytes, announced: str = "") -> Answer:
    headers = {"x-amz-trailer": announced} if announced else {}
    headers |= {"x-amz-content-sha256": UNSIGNED, "x-amz-decoded-content-length": str(len(HELLO))}
    return ask(place, "PUT", f"/{bucket}/k", body, headers | {"content-encoding": "aws-chunked"})


@pytest.mark.parametrize(
    ("announced", "trailers", "refusal"),
    [
        ("x-amz-checksum-crc32", [], "MalformedTrailerError"),
        ("x-amz-checksum-crc32", [f"x-amz-checksum-sha1:{SHA1}"], "MalformedTrailerError"),
        ("x-amz-checksum-crc32", [f"x-amz-checksum-crc32:{CRC}", "x-amz-more:1"], "MalformedTrailerError"),
        ("x-amz-checksum-crc32", ["nothing"], "MalformedTrailerError"),
        ("", [f"x-amz-checksum-crc32:{CRC}"], "MalformedTrailerError"),
        ("x-amz-meta-a", ["x-amz-meta-a:b"], "InvalidRequest"),
        ("x-amz-checksum-crc99", [f"x-amz-checksum-crc99:{CRC}"], "InvalidRequest"),
        ("x-amz-checksum-crc32", ["x-amz-checksum-crc32:short"], "InvalidRequest"),
        ("x-amz-checksum-crc32", ["x-amz-checksum-crc32:AAAAAA=="], "BadDigest"),
    ],
)
def test_what_comes_behind_a_body_is_what_was_announced(
    place: S3Place, s3: Any, bucket: str, announced: str, trailers: list[str], refusal: str
) -> None:
    assert put_chunked(place, bucket, chunks(*trailers), announced).refusal == (400, refusal)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_body_in_chunks_that_ends_too_early_is_incomplete(place: S3Place, bucket: str) -> None:
    for body in (b"", b"5\r\nhel", b"5\r\nhello\r\n", b"5\r\nhello\r\n0\r\n"):
        assert put_chunked(place, bucket, body).refusal == (400, "IncompleteBody")


def test_so_it_is_with_a_document(place: S3Place, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=HELLO)
    document = b"<Delete><Object><Key>k</Key></Object></Delete>"
    crc = b64encode(zlib.crc32(document).to_bytes(4, "big")).decode()

    def delete(*trailers: str) -> Answer:
        lines = "".join(f"{each}\r\n" for each in trailers)
        body = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(document), document, lines.encode())
        said = {"x-amz-content-sha256": UNSIGNED, "x-amz-decoded-content-length": str(len(document))}
        return ask(place, "POST", f"/{bucket}?delete", body, said | {"x-amz-trailer": "x-amz-checksum-crc32"})

    assert delete().refusal == (400, "MalformedTrailerError")
    assert delete("x-amz-checksum-crc32:AAAAAA==").refusal == (400, "BadDigest")
    answer = ask(place, "POST", f"/{bucket}?delete", document, {"x-amz-checksum-crc99": crc})
    assert answer.refusal == (400, "InvalidRequest")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == HELLO
    assert b"<Key>k</Key>" in delete(f"x-amz-checksum-crc32:{crc}").body


def test_a_line_end_behind_the_chunks_counts_for_nothing(place: S3Place, s3: Any, bucket: str) -> None:
    """AWS's own example has a line end too many."""
    body = chunks(f"x-amz-checksum-crc32 : {CRC} \n") + b"\r\n"
    assert put_chunked(place, bucket, body, "x-amz-checksum-crc32").status == 200
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got["Body"].read(), got["ChecksumCRC32"]) == (HELLO, CRC)


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({"x-amz-checksum-crc99": CRC}, "The algorithm type you specified in x-amz-checksum- header is invalid."),
        ({"x-amz-sdk-checksum-algorithm": "CRC99"}, "Value for x-amz-sdk-checksum-algorithm header is invalid."),
        (
            {"x-amz-checksum-crc32": CRC, "x-amz-checksum-sha1": SHA1},
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        ),
    ],
)
def test_a_checksum_that_nobody_would_compare_is_refused(
    place: S3Place, bucket: str, headers: dict[str, str], message: str
) -> None:
    answer = ask(place, "PUT", f"/{bucket}/k", HELLO, headers)
    assert (*answer.refusal, answer.of_error("Message")) == (400, "InvalidRequest", message)


def test_an_algorithm_may_be_written_small_and_a_mode_is_enabled_or_wrong(place: S3Place, bucket: str) -> None:
    stated = {"x-amz-sdk-checksum-algorithm": "crc32", "x-amz-checksum-crc32": CRC}
    assert ask(place, "PUT", f"/{bucket}/k", HELLO, stated).status == 200
    assert (
        ask(place, "GET", f"/{bucket}/k", headers={"x-amz-checksum-mode": "enabled"}).headers["x-amz-checksum-crc32"]
        == CRC
    )
    assert ask(place, "GET", f"/{bucket}/k", headers={"x-amz-checksum-mode": "ON"}).refusal == (400, "InvalidRequest")


def test_numbers_of_any_length_are_numbers(place: S3Place, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=HELLO)
    for asked, told in ((f"bytes=1-{LONG}", b"ello"), (f"bytes=-{LONG}", HELLO), (f"bytes={'0' * 5000}3-", b"lo")):
        answer = ask(place, "GET", f"/{bucket}/k", headers={"range": asked})
        assert (answer.status, answer.body) == (206, told)
    assert ask(place, "GET", f"/{bucket}/k", headers={"range": f"bytes={LONG}-"}).refusal == (416, "InvalidRange")
    answer = ask(place, "PUT", f"/{bucket}/k", headers={"x-amz-decoded-content-length": LONG})
    assert answer.refusal == (400, "InvalidArgument")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="c")["UploadId"]
    copying = {"x-amz-copy-source": f"{bucket}/k", "x-amz-copy-source-range": f"bytes=0-{LONG}"}
    answer = ask(place, "PUT", f"/{bucket}/c?partNumber=1&uploadId={upload}", headers=copying)
    assert answer.refusal == (400, "InvalidArgument")


def test_names_that_are_no_utf8_or_too_long_name_nothing(place: S3Place, s3: Any, bucket: str) -> None:
    """Decoded with replacements all of the first would be one key."""
    for method in ("PUT", "GET", "DELETE"):
        assert ask(place, method, f"/{bucket}/a%FFb").refusal == (400, "InvalidURI")
        assert ask(place, method, f"/{bucket}/{'%C3%BC' * 512}k").refusal == (400, "KeyTooLongError")
    copying = {"x-amz-copy-source": f"{bucket}/a%FFb"}
    assert ask(place, "PUT", f"/{bucket}/k", headers=copying).refusal == (400, "InvalidArgument")
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k" * 1025}, {"Key": "k"}]})
    assert [each["Code"] for each in gone["Errors"]] == ["KeyTooLongError"]
    assert [each["Key"] for each in gone["Deleted"]] == ["k"]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize(
    ("method", "target", "refusal"),
    [
        ("DELETE", "/k?acl", (405, "MethodNotAllowed")),
        ("DELETE", "/k?retention", (405, "MethodNotAllowed")),
        ("DELETE", "/k?partNumber=1", (400, "InvalidArgument")),
        ("PUT", "/k?partNumber=1", (400, "InvalidArgument")),
        ("PUT", "/k?uploadId=1", (400, "InvalidArgument")),
        ("PUT", "/k?versionId=null", (400, "InvalidArgument")),
        ("PUT", "/k?website", (405, "MethodNotAllowed")),
        ("PUT", "/k?renameObject", (501, "NotImplemented")),
        ("PUT", "/k?acl&tagging", (400, "InvalidArgument")),
        ("GET", "/k?uploads", (400, "InvalidRequest")),
        ("GET", "/k?acl&tagging", (400, "InvalidArgument")),
    ],
)
def test_what_is_asked_of_a_part_of_an_object_is_not_done_to_the_whole(
    place: S3Place, s3: Any, bucket: str, method: str, target: str, refusal: tuple[int, str]
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=HELLO)
    assert ask(place, method, f"/{bucket}{target}", b"other" if method == "PUT" else b"").refusal == refusal
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == HELLO


@pytest.mark.parametrize("name", ["acl", "versioning", "notification", "logging", "uploads", "versions", "object-lock"])
def test_nor_of_a_bucket(place: S3Place, s3: Any, bucket: str, name: str) -> None:
    answer = ask(place, "DELETE", f"/{bucket}?{name}")
    assert (*answer.refusal, answer.of_error("ResourceType")) == (405, "MethodNotAllowed", name.upper())
    s3.head_bucket(Bucket=bucket)


def test_a_piece_is_not_taken_for_the_whole(place: S3Place, s3: Any, bucket: str) -> None:
    for said in ("bytes 0-4/5", "bytes 0-4/10", "bytes 5-9/10", "bytes 0-4/*", "bytes */5"):
        answer = ask(place, "PUT", f"/{bucket}/k", HELLO, {"content-range": said})
        assert answer.status == (200 if said == "bytes 0-4/5" else 501)
    assert answer.refusal == (501, "NotImplemented")


def test_a_pages_own_query_has_any_names(place: S3Place, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="page", Body=HELLO)
    for query in ("session=7", "x=1&y=", "metadataTable=", "partNumber=1&x="):
        assert ask(place, "GET", f"/{bucket}/page?{query}").body == HELLO


def test_what_has_not_changed_is_said_to_be_as_fresh_as_the_object(place: S3Place, s3: Any, bucket: str) -> None:
    """RFC 9110, 15.4.5: who keeps it goes by that from now on."""
    said = {"CacheControl": "max-age=60", "Expires": "Thu, 01 Jan 2030 00:00:00 GMT"}
    etag = s3.put_object(Bucket=bucket, Key="k", Body=HELLO, **said)["ETag"]
    whole = ask(place, "GET", f"/{bucket}/k").headers
    for method in ("GET", "HEAD"):
        answer = ask(place, method, f"/{bucket}/k", headers={"if-none-match": etag})
        assert (answer.status, answer.body) == (304, b"")
        for name in ("etag", "last-modified", "cache-control", "expires"):
            assert answer.headers[name] == whole[name]


def test_a_delete_marker_says_when_it_was_made(place: S3Place, s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    (listed,) = s3.list_object_versions(Bucket=bucket)["DeleteMarkers"]
    for method in ("GET", "HEAD"):
        answer = ask(place, method, f"/{bucket}/k?versionId={marker}")
        assert (answer.status, answer.headers["allow"]) == (405, "DELETE")
        assert answer.headers["last-modified"] == format_datetime(listed["LastModified"].astimezone(UTC), usegmt=True)


def test_markers_that_nobody_was_given_are_refused(place: S3Place, s3: Any, bucket: str) -> None:
    answer = ask(place, "GET", f"/{bucket}?continuation-token=&list-type=2")
    assert (*answer.refusal, answer.of_error("ArgumentName")) == (400, "InvalidArgument", "continuation-token")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    answer = ask(place, "GET", f"/{bucket}/k?part-number-marker=-1&uploadId={upload}")
    assert (*answer.refusal, answer.of_error("ArgumentName")) == (400, "InvalidArgument", "part-number-marker")


@pytest.mark.parametrize("said", ["0", "-1", "never", "Thu, 01 Jan 2030 00:00:00 GMT", "2030-01-01T00:00:00Z"])
def test_when_an_object_expires_is_told_as_it_was_said(place: S3Place, s3: Any, bucket: str, said: str) -> None:
    """Browsers take what is no time for a time in the past; S3 takes it for nothing."""
    assert ask(place, "PUT", f"/{bucket}/k", HELLO, {"expires": said}).status == 200
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    for target in ("k", "copy", f"k?response-expires={quote(said)}"):
        assert ask(place, "GET", f"/{bucket}/{target}").headers["expires"] == said


@pytest.mark.parametrize("said", ["0", "", "soon", "Thu, 99 Jan 2030 00:00:00 GMT", "Thu, 01 Jan 2030"])
def test_a_condition_that_is_no_date_is_none(place: S3Place, s3: Any, bucket: str, said: str) -> None:
    """RFC 9110 sections 13.1.3 and 13.1.4."""
    s3.put_object(Bucket=bucket, Key="k", Body=HELLO)
    for condition in ("if-modified-since", "if-unmodified-since"):
        for method, body in (("GET", HELLO), ("HEAD", b"")):
            answer = ask(place, method, f"/{bucket}/k", headers={condition: said})
            assert (answer.status, answer.body) == (200, body)


def test_when_it_expires_was_kept_as_a_number_once() -> None:
    kept = Facts.load(Facts({"Expires": 1_893_456_000.0}).dump())
    assert kept.headers == {"Expires": "Tue, 01 Jan 2030 00:00:00 GMT"}


def test_an_answers_header_is_overridden_by_what_a_header_can_say(place: S3Place, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=HELLO)
    for text in ("%E6%96%87.txt", "a%0D%0Ab"):
        answer = ask(place, "GET", f"/{bucket}/k?response-content-disposition={text}")
        told = (*answer.refusal, answer.of_error("ArgumentName"))
        assert told == (400, "InvalidArgument", "response-content-disposition")
    answer = ask(place, "GET", f"/{bucket}/k?response-content-disposition=%C3%A9.txt")
    assert answer.headers["content-disposition"] == "é.txt"
