"""What is read, copied or tagged while others overwrite it: never "not there", never of two writes at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from littoral.store.embedded.blobs import EmbeddedBlobs, EmbeddedBlobWriter
from tests.objects.conftest import S3Place

SIZE = 40_000  # a file of its own: only blobs can go away
ROUNDS = 60


@contextmanager
def overwritten(place: S3Place, bucket: str, key: str) -> Iterator[None]:
    """By two writers without a pause, each time with bytes that are all alike."""
    ended, problems = threading.Event(), []

    def write(letters: bytes) -> None:
        s3 = place.client()
        try:
            while not ended.is_set():
                for letter in letters:
                    s3.put_object(Bucket=bucket, Key=key, Body=bytes([letter]) * SIZE)
        except Exception as problem:
            problems.append(problem)

    writers = [threading.Thread(target=write, args=(letters,)) for letters in (b"abc", b"xyz")]
    place.client().put_object(Bucket=bucket, Key=key, Body=b"-" * SIZE)
    for writer in writers:
        writer.start()
    try:
        yield
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    assert problems == []


def test_a_copy_is_of_one_write_whoever_overwrites_its_source(place: S3Place, s3: Any, bucket: str) -> None:
    with overwritten(place, bucket, "source"):
        for number in range(ROUNDS):
            copied = s3.copy_object(Bucket=bucket, Key=f"copy{number}", CopySource=f"{bucket}/source")
            got = s3.get_object(Bucket=bucket, Key=f"copy{number}")
            body = got["Body"].read()
            assert (got["ETag"], len(body), len(set(body))) == (copied["CopyObjectResult"]["ETag"], SIZE, 1)
    for number in range(ROUNDS):  # they stay when the source's own writes have gone
        body = s3.get_object(Bucket=bucket, Key=f"copy{number}")["Body"].read()
        assert (len(body), len(set(body))) == (SIZE, 1)


def test_a_source_that_is_deleted_while_it_is_copied_leaves_a_whole_copy(place: S3Place, s3: Any, bucket: str) -> None:
    ended = threading.Event()

    def come_and_go() -> None:
        writer = place.client()
        while not ended.is_set():
            writer.put_object(Bucket=bucket, Key="source", Body=b"a" * SIZE)
            writer.delete_object(Bucket=bucket, Key="source")

    writer = threading.Thread(target=come_and_go)
    writer.start()
    made = 0
    try:
        for number in range(ROUNDS):
            try:
                s3.copy_object(Bucket=bucket, Key=f"copy{number}", CopySource=f"{bucket}/source")
            except s3.exceptions.ClientError as refused:
                assert refused.response["Error"]["Code"] == "NoSuchKey"
                continue
            made += 1
            assert s3.get_object(Bucket=bucket, Key=f"copy{number}")["Body"].read() == b"a" * SIZE
    finally:
        ended.set()
        writer.join()
    for each in s3.list_objects_v2(Bucket=bucket, Prefix="copy").get("Contents", []):
        assert s3.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() == b"a" * SIZE
    assert made


@pytest.mark.parametrize("change", ["tags", "no tags"])
def test_tags_may_be_set_while_the_object_is_overwritten(place: S3Place, s3: Any, bucket: str, change: str) -> None:
    with overwritten(place, bucket, "k"):
        for _ in range(ROUNDS):
            if change == "tags":
                s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
            else:
                s3.delete_object_tagging(Bucket=bucket, Key="k")


def test_a_read_is_of_one_write_whoever_overwrites_what_is_read(place: S3Place, s3: Any, bucket: str) -> None:
    with overwritten(place, bucket, "k"):
        for _ in range(20 * ROUNDS):
            got = s3.get_object(Bucket=bucket, Key="k")
            body = got["Body"].read()
            assert (got["ContentLength"], len(body), len(set(body))) == (SIZE, SIZE, 1)


def test_a_part_holds_the_bytes_it_copies_before_the_first_of_them_is_read(
    place: S3Place, s3: Any, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a blob takes a while to begin, as in a bucket elsewhere, the source may be overwritten meanwhile."""
    s3.put_object(Bucket=bucket, Key="source", Body=b"a" * SIZE)
    (piece,) = place.objects._index.get(bucket, "source").content.pieces
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    held, begin = [], EmbeddedBlobs.create

    async def begun(blobs: EmbeddedBlobs, key: str) -> EmbeddedBlobWriter:
        held.append(place.objects._shelf._reading[piece.blob])
        return await begin(blobs, key)

    monkeypatch.setattr(EmbeddedBlobs, "create", begun)
    s3.upload_part_copy(Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, CopySource=f"{bucket}/source")
    assert held == [1]
