"""What is made of several reads is of one moment, wherever a commit falls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from littoral.objects.events import Origin
from littoral.objects.facts import Bucket, Content, Facts, Piece
from littoral.objects.index import Index
from littoral.objects.versions import Removal
from tests.objects.conftest import S3Place
from tests.support.commits import held

ORIGIN = Origin("me", "127.0.0.1", "ID", 1e9)


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[Index]:
    made = await Index.open(tmp_path / "objects.db", "us-east-1", "0" * 12)
    await made.create_bucket("b", Bucket(0.0))
    await made.set_bucket("b", "versioning", "Enabled")
    yield made
    await made.close()


async def written(index: Index, blob: str) -> str:
    content = Content(1, "etag", None, (Piece(blob, 1),))
    version = await index.put("b", "k", content, Facts({}, {}), (), ORIGIN, "ObjectCreated:Put")
    assert version is not None
    return version


@pytest.mark.parametrize("by", ["blob", "id"])
async def test_a_version_that_becomes_the_current_one_is_seen_on_the_way(index: Index, by: str) -> None:
    first, second = await written(index, "one"), await written(index, "two")
    number = index.get("b", "k", first).id
    with held(index._database) as commit:
        removing = asyncio.create_task(index.delete("b", [Removal("k", second)], ORIGIN))
        await asyncio.sleep(0)
        await asyncio.to_thread(commit.until_due)
        commit.after("FROM objects")
        found = index.owners("one") if by == "blob" else index.by_id(number)
        assert commit.happened
        await removing
    assert [each.version for each in found] == [first]


def begun(s3: Any, bucket: str) -> dict[str, Any]:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    whole = {"Bucket": bucket, "Key": "k", "UploadId": upload}
    part = s3.upload_part(**whole, PartNumber=1, Body=b"x")
    return {**whole, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}}


def test_an_upload_that_ends_is_listed_with_its_parts_or_not_at_all(place: S3Place, s3: Any, bucket: str) -> None:
    whole = begun(s3, bucket)
    with ThreadPoolExecutor(1) as other, held(place.objects._index._database) as commit:
        completing = other.submit(place.client().complete_multipart_upload, **whole)
        commit.until_due()
        commit.after("FROM uploads")
        listed = s3.list_parts(**{name: whole[name] for name in ("Bucket", "Key", "UploadId")})
        assert commit.happened
        completing.result()
    assert [part["PartNumber"] for part in listed["Parts"]] == [1]


@pytest.mark.parametrize("mark", ["FROM completed", "FROM parts"])
def test_who_completes_once_more_meanwhile_gets_the_answer(place: S3Place, s3: Any, bucket: str, mark: str) -> None:
    whole = begun(s3, bucket)
    with ThreadPoolExecutor(1) as other, held(place.objects._index._database) as commit:
        completing = other.submit(place.client().complete_multipart_upload, **whole)
        commit.until_due()
        commit.after(mark)
        again = s3.complete_multipart_upload(**whole)
        assert commit.happened
        assert again["ETag"] == completing.result()["ETag"]


def test_a_page_is_of_one_moment_though_its_keys_are_rolled_up(place: S3Place, s3: Any, bucket: str) -> None:
    keys = ["a/1", "a/2", "a/3", "z"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    with ThreadPoolExecutor(1) as other, held(place.objects._index._database) as commit:
        wanted = {"Objects": [{"Key": key} for key in keys]}
        deleting = other.submit(place.client().delete_objects, Bucket=bucket, Delete=wanted)
        commit.until_due()
        commit.after("FROM objects")
        page = s3.list_objects_v2(Bucket=bucket, Delimiter="/", MaxKeys=2)
        assert commit.happened
        deleting.result()
    assert [each["Prefix"] for each in page["CommonPrefixes"]] == ["a/"]
    assert [each["Key"] for each in page["Contents"]] == ["z"]
