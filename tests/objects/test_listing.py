"""Listing: the pure core against a plain model, and the API through boto3's own paginators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from littoral.objects.listing import Row, list_many, list_page

KEYS = st.text(alphabet="ab/é\U0010ffff", min_size=1, max_size=6)
TEXTS = st.text(alphabet="ab/é", max_size=3)


def entries(keys: Sequence[str], prefix: str, delimiter: str) -> list[tuple[str, bool]]:
    """The model: every key or rolled-up prefix once, in the order of bytes."""
    found = set()
    for key in keys:
        if key.startswith(prefix):
            at = key.find(delimiter, len(prefix)) if delimiter else -1
            found.add((key, False) if at < 0 else (key[: at + len(delimiter)], True))
    return sorted(found, key=lambda entry: entry[0].encode())


def fetching(keys: Sequence[str]) -> Callable[[str, str | bytes, int], list[Row]]:
    ordered = sorted(keys, key=str.encode)

    def fetch(start: str, end: str | bytes, limit: int) -> list[Row]:
        return [(k, 0) for k in ordered if k >= start and (isinstance(end, bytes) or k < end)][:limit]

    return fetch


@settings(max_examples=400, deadline=None)
@given(st.sets(KEYS, max_size=25), TEXTS, st.sampled_from(["", "/", "a", "/a", "é"]), st.integers(1, 7))
def test_pages_together_are_the_model(keys: set[str], prefix: str, delimiter: str, limit: int) -> None:
    expected = entries(sorted(keys), prefix, delimiter)
    found: list[tuple[str, bool]] = []
    after = ""
    while True:
        page = list_page(fetching(sorted(keys)), prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        both = [(row[0], False) for row in page.rows] + [(text, True) for text in page.prefixes]
        found += sorted(both, key=lambda entry: entry[0].encode())
        assert page.count <= limit
        if not page.truncated:
            break
        assert page.count == limit
        after = page.last
    assert found == expected


@settings(max_examples=300, deadline=None)
@given(st.sets(KEYS, max_size=25), TEXTS, st.sampled_from(["", "/", "a"]), KEYS)
def test_start_after_any_text(keys: set[str], prefix: str, delimiter: str, after: str) -> None:
    page = list_page(fetching(sorted(keys)), prefix=prefix, delimiter=delimiter, after=after)
    expected = [e for e in entries(sorted(keys), prefix, delimiter) if e[0].encode() > after.encode()]
    assert [row[0] for row in page.rows] == [text for text, rolled in expected if not rolled]
    assert page.prefixes == [text for text, rolled in expected if rolled]


@settings(max_examples=200, deadline=None)
@given(st.lists(KEYS, max_size=12), TEXTS, st.sampled_from(["", "/"]), st.integers(1, 4))
def test_rows_of_one_key_page_by_their_ids(keys: list[str], prefix: str, delimiter: str, limit: int) -> None:
    rows = sorted(((key, f"{n:03d}") for n, key in enumerate(keys)), key=lambda row: (row[0].encode(), row[1]))

    def fetch(start: str, last: str | None, end: str | bytes, most: int) -> list[Row]:
        within = [row for row in rows if row[0] >= start and (isinstance(end, bytes) or row[0] < end)]
        return [row for row in within if last is None or row[0] > start or row[1] > last][:most]

    found: list[Any] = []
    prefixes: list[str] = []
    marker: tuple[str, str | None] = ("", None)
    while True:
        page = list_many(fetch, prefix=prefix, delimiter=delimiter, after=marker, limit=limit)
        found += page.rows
        prefixes += page.prefixes
        if not page.truncated:
            break
        marker = (page.last, page.last_id)
    model = entries([row[0] for row in rows], prefix, delimiter)
    assert prefixes == [text for text, rolled in model if rolled]
    assert found == [row for row in rows if (row[0], False) in model]


def test_paginators_of_both_versions_see_everything(s3: Any, bucket: str) -> None:
    keys = ["a", "b/1", "b/2", "b/c/3", "d +%&é/x", "d +%&é/y", "e\U0001f600", "z"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for version in ("list_objects", "list_objects_v2"):
        pages = s3.get_paginator(version)
        found = [
            entry["Key"]
            for page in pages.paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
            for entry in page.get("Contents", [])
        ]
        assert found == sorted(keys, key=str.encode), version
        rolled = pages.paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2})
        assert [e["Prefix"] for p in rolled for e in p.get("CommonPrefixes", [])] == ["b/", "d +%&é/"], version
    first = s3.list_objects_v2(Bucket=bucket, MaxKeys=2, Prefix="b/", FetchOwner=True)
    assert (first["KeyCount"], first["IsTruncated"], first["MaxKeys"]) == (2, True, 2)
    assert first["Contents"][0]["Size"] == 3
    assert "Owner" in first["Contents"][0]
    after = s3.list_objects_v2(Bucket=bucket, StartAfter="b/c/3")
    assert [entry["Key"] for entry in after["Contents"]] == keys[4:]
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["IsTruncated"] is False


def test_bad_listings(s3: Any, bucket: str, refusal: Callable[..., tuple[str, int]]) -> None:
    assert refusal(s3.list_objects_v2, Bucket=bucket, MaxKeys=-1) == ("InvalidArgument", 400)
    assert refusal(s3.list_objects_v2, Bucket=bucket, ContinuationToken="~") == ("InvalidArgument", 400)
    assert refusal(s3.list_objects_v2, Bucket=bucket, EncodingType="gzip") == ("InvalidArgument", 400)
    assert refusal(s3.list_objects, Bucket="no-such-bucket-here") == ("NoSuchBucket", 404)
