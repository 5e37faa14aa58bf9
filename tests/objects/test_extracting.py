"""Archives that are extracted as they arrive (snowball-auto-extract), through boto3 and the AWS CLI."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.objects.conftest import S3Place

EXTRACT = {"snowball-auto-extract": "true"}
FILES = {
    "a.txt": b"a",
    "folder/empty": b"",
    "folder/inline": os.urandom(3000),
    "folder/blob": os.urandom(100_000),
    "folder/large": os.urandom(3_000_000),
    "ward/ä ö.bin": os.urandom(17),
}


def tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:  # type: ignore[call-overload]
        archive.addfile(_entry("folder/", tarfile.DIRTYPE))
        for name, data in files.items():
            entry = _entry(name, tarfile.REGTYPE)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return made.getvalue()


def _entry(name: str, kind: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mtime, entry.mode = kind, 1_700_000_000, 0o640
    return entry


def zipped(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def held(s3: Any, bucket: str) -> dict[str, bytes]:
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {one["Key"]: s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read() for one in listed}


@pytest.mark.parametrize("pack", [tar, lambda files: gzip.compress(tar(files)), zipped], ids=["tar", "tar.gz", "zip"])
def test_an_archive_becomes_its_files(s3: Any, bucket: str, pack: Callable[[dict[str, bytes]], bytes]) -> None:
    archive = pack(FILES)
    answer = s3.put_object(
        Bucket=bucket, Key="some/batch01", Body=archive, Metadata=EXTRACT, ChecksumAlgorithm="SHA256"
    )
    assert answer["ETag"] == f'"{hashlib.md5(archive).hexdigest()}"'
    assert held(s3, bucket) == FILES


def test_what_comes_out_has_its_etag_checksum_time_and_mode(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="batch", Body=tar(FILES), Metadata=EXTRACT, ChecksumAlgorithm="SHA256")
    head = s3.head_object(Bucket=bucket, Key="folder/inline", ChecksumMode="ENABLED")
    assert head["ETag"] == f'"{hashlib.md5(FILES["folder/inline"]).hexdigest()}"'
    assert head["Metadata"] == {"file-mtime": "1700000000000000000ns", "file-permissions": "0640"}
    assert len(head["ChecksumSHA256"]) == 44


def test_a_large_archive_is_read_from_the_disk(s3: Any, place: S3Place, bucket: str) -> None:
    before = place.blobs()
    files = {f"part-{number}": os.urandom(9 * 1024**2) for number in range(4)} | {"x": b"small"}
    s3.put_object(Bucket=bucket, Key="batch", Body=tar(files), Metadata=EXTRACT)
    assert held(s3, bucket) == files
    assert len(place.blobs() - before) <= 5  # the archive itself goes


def test_an_encrypted_bucket_encrypts_each(s3: Any, bucket: str) -> None:
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    s3.put_object(Bucket=bucket, Key="batch", Body=tar(FILES), Metadata=EXTRACT)
    assert held(s3, bucket) == FILES
    assert s3.head_object(Bucket=bucket, Key="folder/large")["ServerSideEncryption"] == "AES256"


def broken() -> Iterator[tuple[str, bytes]]:
    whole = tar(FILES)
    yield "no archive", b"this is no archive" * 100
    yield "cut off", whole[: len(whole) // 2]
    yield "leads out", tar({"fine": b"x", "../out": b"x"})
    yield "a name too long", tar({"fine": b"x", "n" * 1025: b"x"})
    link = io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as archive:
        archive.addfile(_entry("fine", tarfile.REGTYPE))
        entry = _entry("link", tarfile.SYMTYPE)
        entry.linkname = "/etc/passwd"
        archive.addfile(entry)
    yield "a link", link.getvalue()
    damaged = bytearray(zipped({"fine": b"x" * 1000, "other": os.urandom(5000)}))
    damaged[200:300] = bytes(100)
    yield "a damaged zip", bytes(damaged)


@pytest.mark.parametrize("archive", [pytest.param(data, id=name) for name, data in broken()])
def test_a_broken_archive_leaves_nothing(s3: Any, bucket: str, archive: bytes) -> None:
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="batch", Body=archive, Metadata=EXTRACT)
    assert refused.value.response["Error"]["Code"] in ("InvalidRequest", "KeyTooLongError")
    assert held(s3, bucket) == {}


def test_what_comes_out_is_notified_and_versioned(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        s3.put_object(Bucket=bucket, Key="batch", Body=tar({"a": b"1"}), Metadata=EXTRACT)
    versions = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [one["Key"] for one in versions] == ["a", "a"]


@pytest.mark.parametrize("state", [None, "Suspended", "Enabled"])
def test_a_name_that_comes_twice_ends_as_the_later_one(s3: Any, bucket: str, state: str | None) -> None:
    """``tar -r`` appends the newer file."""
    if state is not None:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": state})
    s3.put_object(Bucket=bucket, Key="a", Body=b"0" * 20_000)
    twice = tar({"a": b"1", "b": b"2"})[: 5 * 512] + tar({"a": b"3", "c": b"4"})
    s3.put_object(Bucket=bucket, Key="batch", Body=twice, Metadata=EXTRACT)
    assert held(s3, bucket) == {"a": b"3", "b": b"2", "c": b"4"}
    versions = s3.list_object_versions(Bucket=bucket, Prefix="a")["Versions"]
    assert len(versions) == (3 if state == "Enabled" else 1)


def test_other_metadata_is_metadata(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="batch", Body=tar(FILES), Metadata={"snowball-auto-extract": "false"})
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["batch"]


def test_the_cli_pipes_a_tar_in_parts(place: S3Place, s3: Any, bucket: str, tmp_path: Path) -> None:
    """As the Snowball Edge guide has it; beyond 8 MiB the CLI uploads parts."""
    files = {f"april/{number}.log": os.urandom(3 * 1024**2) for number in range(4)}
    subprocess.run(
        [
            sys.executable,
            "-m",
            "awscli",
            "s3",
            "cp",
            "-",
            f"s3://{bucket}/b.tar",
            "--metadata",
            "snowball-auto-extract=true",
        ],
        input=tar(files),
        env={**os.environ, **place.served.env, "HOME": str(tmp_path)},
        capture_output=True,
        check=True,
    )
    assert held(s3, bucket) == files
    assert s3.list_multipart_uploads(Bucket=bucket).get("Uploads") is None


def test_minio_s_client_would_find_what_it_expects(place: S3Place, s3: Any, bucket: str) -> None:
    """Names in the archive are keys, whatever the archive is called (as AWS and MinIO do)."""
    client = boto3.client("s3", **place.served.client_kwargs)
    client.put_object(Bucket=bucket, Key="deep/in/batch.tar", Body=tar({"./a": b"1", "/b": b"2"}), Metadata=EXTRACT)
    assert held(s3, bucket) == {"a": b"1", "b": b"2"}


def telling(about: str) -> bytes:
    """As the library writes it."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, told in (("fine", ""), ("told", about), ("after", "")):
            entry = _entry(name, tarfile.REGTYPE)
            entry.size, entry.pax_headers = 1, {"LITTORAL.about": told} if told else {}
            archive.addfile(entry, io.BytesIO(b"x"))
    return made.getvalue()


SAID = json.dumps(
    {
        "headers": {"content-type": "text/plain", "cache-control": "no-store", "expires": "0"},
        "metadata": {"n": "1"},
    }
)


@pytest.mark.parametrize("pack", [telling, lambda about: gzip.compress(telling(about))], ids=["tar", "tar.gz"])
def test_what_a_littorals_archive_says_of_an_object_goes_with_it(
    s3: Any, bucket: str, pack: Callable[[str], bytes]
) -> None:
    s3.put_object(Bucket=bucket, Key="batch", Body=pack(SAID), Metadata=EXTRACT)
    told = s3.head_object(Bucket=bucket, Key="told")
    assert (told["ContentType"], told["CacheControl"], told["Metadata"]) == ("text/plain", "no-store", {"n": "1"})
    assert told["ExpiresString"] == "0"
    for key in ("fine", "after"):
        head = s3.head_object(Bucket=bucket, Key=key)
        assert head["ContentType"] == "binary/octet-stream"
        assert head["Metadata"].keys() == {"file-mtime", "file-permissions"}


@pytest.mark.parametrize(
    "about",
    [
        "no JSON",
        "[]",
        "{}",
        '{"headers": {}, "metadata": {}, "tags": {}}',
        '{"headers": [], "metadata": {}}',
        '{"headers": {"content-length": "7"}, "metadata": {}}',
        '{"headers": {"content-type": 7}, "metadata": {}}',
        '{"headers": {"content-type": "a\\r\\nb: c"}, "metadata": {}}',
        '{"headers": {}, "metadata": {"a b": "c"}}',
        '{"headers": {}, "metadata": {"A": "c"}}',
        '{"headers": {}, "metadata": {"a": "\\u00fc"}}',
        '{"headers": {}, "metadata": {"a": "' + "x" * 2100 + '"}}',
        "[" * 5000,
    ],
)
def test_what_cannot_be_said_of_an_object_leaves_nothing(s3: Any, bucket: str, about: str) -> None:
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="batch", Body=telling(about), Metadata=EXTRACT)
    assert refused.value.response["Error"]["Code"] in ("InvalidRequest", "MetadataTooLarge")
    assert held(s3, bucket) == {}
