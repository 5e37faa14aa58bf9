"""Versions of objects: every sequence of writes, removals and settings against a plain model, and through boto3."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.aws.service import ServiceError
from littoral.objects.events import Origin
from littoral.objects.facts import Bucket, Content, Facts
from littoral.objects.index import Index
from littoral.objects.versions import Removal, Removed
from tests.objects.conftest import S3Place

ENABLED, SUSPENDED = {"Status": "Enabled"}, {"Status": "Suspended"}


@dataclass
class Model:
    """One key's versions, the oldest first: (version, body or None for a marker)."""

    state: str | None = None
    held: list[tuple[str, bytes | None]] = field(default_factory=list)

    def add(self, version: str, body: bytes | None) -> None:
        if self.state != "Enabled":
            self.held = [each for each in self.held if each[0] != "null"]
        if body is not None or self.state is not None:
            self.held.append((version, body))

    def drop(self, version: str) -> None:
        self.held = [each for each in self.held if each[0] != version]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.binary(min_size=1, max_size=3)),
        st.tuples(st.just("remove"), st.just(b"")),
        st.tuples(st.just("remove version"), st.integers(0, 5)),
        st.tuples(st.sampled_from(["Enabled", "Suspended"]), st.just(b"")),
    ),
    max_size=14,
)


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_any_history_is_that_of_the_model(steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_play(Path(folder), steps))


async def _play(folder: Path, steps: list[tuple[str, Any]]) -> None:
    index = await Index.open(folder / "objects.db", "us-east-1", "000000000000")
    await index.create_bucket("b", Bucket(1.0))
    model = Model()
    for number, (step, value) in enumerate(steps):
        origin = Origin("me", "127.0.0.1", "r", float(number))
        if step == "put":
            content = Content(len(value), value.hex(), value)
            version = await index.put("b", "k", content, Facts(), (), origin, "ObjectCreated:Put")
            model.add(version or "null", value)
        elif step == "remove":
            (done,) = await index.delete("b", [Removal("k")], origin)
            assert isinstance(done, Removed)
            assert done.marker == (model.state is not None)
            model.add(done.version or "null", None)
        elif step == "remove version":
            if model.held:
                version, body = model.held[value % len(model.held)]
                (done,) = await index.delete("b", [Removal("k", version)], origin)
                assert isinstance(done, Removed)
                assert done.marker == (body is None)
                model.drop(version)
        else:
            await index.set_bucket("b", "versioning", step)
            model.state = step
        _compare(index, model)
    await index.close()


def _compare(index: Index, model: Model) -> None:
    listed = index.versions("b", "", None, "\U0010ffff", 100)
    assert [(row[2], None if row[7] else row[4]) for row in listed] == [
        (version, None if body is None else body.hex()) for version, body in reversed(model.held)
    ]
    newest = model.held[-1][1] if model.held else None
    found = index.find("b", "k")
    assert (found.content.inline if found is not None else None) == newest
    for version, body in model.held:
        if body is not None:
            assert index.get("b", "k", version).content.inline == body
        else:
            try:
                index.get("b", "k", version)
            except ServiceError as refused:
                assert refused.code == "MethodNotAllowed"
            else:
                raise AssertionError("a delete marker was read")


def test_every_write_stays_and_a_removal_hides(
    place: S3Place, s3: Any, bucket: str, refusal: Callable[..., tuple[str, int]]
) -> None:
    assert refusal(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={}) == (
        "IllegalVersioningConfigurationException",
        400,
    )
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=ENABLED)
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    large = b"x" * 100_000
    one = s3.put_object(Bucket=bucket, Key="k", Body=large)["VersionId"]
    two = s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k", "VersionId": "null"})
    assert two["CopySourceVersionId"] == "null"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"before"
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=one)["Body"].read() == large
    assert s3.head_object(Bucket=bucket, Key="k", VersionId=one)["VersionId"] == one
    removed = s3.delete_object(Bucket=bucket, Key="k")
    assert removed["DeleteMarker"] is True
    assert refusal(s3.get_object, Bucket=bucket, Key="k") == ("NoSuchKey", 404)
    assert refusal(s3.get_object, Bucket=bucket, Key="k", VersionId=removed["VersionId"]) == ("MethodNotAllowed", 405)
    source = {"Bucket": bucket, "Key": "k", "VersionId": removed["VersionId"]}
    upload = {"Bucket": bucket, "Key": "b", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="b")["UploadId"]}
    assert refusal(s3.copy_object, Bucket=bucket, Key="b", CopySource=source) == ("InvalidRequest", 400)
    assert refusal(s3.upload_part_copy, **upload, PartNumber=1, CopySource=source) == ("InvalidRequest", 400)
    s3.abort_multipart_upload(**upload)
    assert refusal(s3.get_object, Bucket=bucket, Key="k", VersionId=one[:-1] + "~") == ("InvalidArgument", 400)
    assert refusal(s3.get_object, Bucket=bucket, Key="k", VersionId="A" * 32) == ("NoSuchVersion", 404)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)
    assert refusal(s3.delete_bucket, Bucket=bucket) == ("BucketNotEmpty", 409)
    gone = s3.delete_object(Bucket=bucket, Key="k", VersionId=removed["VersionId"])
    assert (gone["DeleteMarker"], gone["VersionId"]) == (True, removed["VersionId"])
    assert s3.get_object(Bucket=bucket, Key="k")["VersionId"] == two["VersionId"]
    s3.put_object_tagging(Bucket=bucket, Key="k", VersionId=one, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k", VersionId=one)["TagSet"] == [{"Key": "a", "Value": "b"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    every = [
        {"Key": "k", "VersionId": each["VersionId"]} for each in s3.list_object_versions(Bucket=bucket)["Versions"]
    ]
    assert len(every) == 3
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [*every, {"Key": "k", "VersionId": "never"}]})
    assert [each["VersionId"] for each in answer["Deleted"]] == [each["VersionId"] for each in every]
    assert answer["Errors"][0]["Code"] == "NoSuchVersion"
    s3.delete_bucket(Bucket=bucket)


def test_versions_are_listed_a_page_at_a_time(s3: Any, bucket: str, refusal: Callable[..., tuple[str, int]]) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=ENABLED)
    made = []
    for number in range(3):
        for key in ("a", "d/1", "d/2", "z"):
            made.append((key, s3.put_object(Bucket=bucket, Key=key, Body=bytes([number]))["VersionId"]))
    marker = s3.delete_object(Bucket=bucket, Key="a")["VersionId"]
    expected = sorted([*made, ("a", marker)], key=lambda each: (each[0], -[*made, ("a", marker)].index(each)))
    for size in (1, 2, 3, 5, 100):
        pages = list(
            s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        )
        rows = [row for page in pages for kind in ("DeleteMarkers", "Versions") for row in page.get(kind, [])]
        rows.sort(key=lambda row: expected.index((row["Key"], row["VersionId"])))
        assert [(row["Key"], row["VersionId"]) for row in rows] == expected, size
        latest = [row["VersionId"] for row in rows if row["IsLatest"]]
        assert latest == [marker, *(version for key, version in made[-3:])], size
    rolled = s3.list_object_versions(Bucket=bucket, Delimiter="/", MaxKeys=5)
    assert rolled["CommonPrefixes"] == [{"Prefix": "d/"}]
    assert rolled["NextKeyMarker"] == "d/"
    rest = s3.list_object_versions(Bucket=bucket, Delimiter="/", KeyMarker="d/")
    assert [row["Key"] for row in rest["Versions"]] == ["z"] * 3
    assert refusal(s3.list_object_versions, Bucket=bucket, VersionIdMarker=marker) == ("InvalidArgument", 400)


def test_suspended_buckets_replace_null_only(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=ENABLED)
    kept = s3.put_object(Bucket=bucket, Key="k", Body=b"kept")["VersionId"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=SUSPENDED)
    for body in (b"1", b"2"):
        assert s3.put_object(Bucket=bucket, Key="k", Body=body)["VersionId"] == "null"
    found = s3.list_object_versions(Bucket=bucket)
    assert [each["VersionId"] for each in found["Versions"]] == ["null", kept]
    assert s3.delete_object(Bucket=bucket, Key="k")["VersionId"] == "null"
    found = s3.list_object_versions(Bucket=bucket)
    assert [each["VersionId"] for each in found["DeleteMarkers"]] == ["null"]
    assert [each["VersionId"] for each in found["Versions"]] == [kept]


def test_bytes_of_versions_go_with_them(place: S3Place, s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=ENABLED)
    before = place.blobs()
    one = s3.put_object(Bucket=bucket, Key="k", Body=b"1" * 50_000)["VersionId"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"2" * 50_000)
    assert len(place.blobs() - before) == 2
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k", "VersionId": one})
    s3.delete_object(Bucket=bucket, Key="k", VersionId=one)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"1" * 50_000


async def test_an_index_of_an_earlier_release_is_taken_over(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "objects.db"))
    connection.execute(
        "CREATE TABLE buckets(name TEXT PRIMARY KEY, created REAL, notification TEXT, tags TEXT) WITHOUT ROWID;"
        "CREATE TABLE objects(id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL,"
        " size INTEGER, etag TEXT, modified REAL, facts TEXT, tags TEXT, inline BLOB,"
        " UNIQUE(bucket, key));"
        "INSERT INTO buckets VALUES('b', 1, NULL, NULL);"
        "INSERT INTO objects(bucket, key, size, etag, modified, facts, inline) VALUES('b', 'k', 1, 'e', 1, ?, x'31')",
        (Facts().dump(),),
    )
    connection.close()
    for _ in range(2):
        index = await Index.open(tmp_path / "objects.db", "us-east-1", "000000000000")
        assert index.get("b", "k").content.inline == b"1"
        assert index.get("b", "k").version is None
        await index.close()
