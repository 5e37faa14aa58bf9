"""Small objects of a bucket as a source: many in one answer where the place knows of that, and as ever where not."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from littoral.box.manifest import KeyRange
from littoral.box.transfer.batches import Content, pack
from littoral.box.transfer.items import About, CannotMove, Changed, Item
from littoral.box.transfer.moving import LinkLost
from littoral.box.transfer.objects import Objects
from littoral.net.client import HttpClient
from littoral.objects import Objects as Place
from littoral.objects.api import S3Api
from littoral.store.embedded import EmbeddedStore
from tests.box.conftest import Depot, Done
from tests.box.test_transfer import Cutter, Gate
from tests.support.served import served

TOGETHER = "LittoralGetObjects"


@pytest.fixture
def bucket(depot: Depot) -> str:
    name = f"many-{uuid.uuid4().hex[:12]}"
    depot.s3.create_bucket(Bucket=name)
    depot.s3.create_bucket(Bucket=f"{name}-b")
    return name


SYSTEM = {"content-type": "text/plain", "cache-control": "no-store", "expires": "0"}


def filled(depot: Depot, bucket: str, count: int = 120, size: int | None = None) -> dict[str, bytes]:
    """By one archive; every third has nothing but bytes and metadata."""
    made = {f"ward/ä {n:04}": os.urandom(n * 7 % 900 if size is None else size) for n in range(count)}
    contents = [
        Content(
            Item(key, len(data), ""),
            data,
            About(SYSTEM if number % 3 else {}, {"n": str(number)}),
        )
        for number, (key, data) in enumerate(made.items())
    ]
    depot.s3.put_object(
        Bucket=bucket, Key="batch", Body=pack(contents).archive, Metadata={"snowball-auto-extract": "true"}
    )
    return made


@contextmanager
def counted(depot: Depot) -> Iterator[Counter[str]]:
    """The operations of a place by name, and what they were refused with."""
    gateway, seen = depot.served.gateway, Counter[str]()

    def observe(_service: str, operation: str, status: int, _took: float) -> None:
        seen[f"{operation} {status}"] += 1

    before, gateway._observe = gateway._observe, observe
    try:
        yield seen
    finally:
        gateway._observe = before


def out_of(source: Depot, target: Depot, bucket: str, url: str = "", **options: Any) -> Callable[[HttpClient], Any]:
    return lambda client: (
        Objects(source.bucket(client, bucket, url, **options), KeyRange(bucket)),
        target.bucket(client, f"{bucket}-b"),
    )


@pytest.fixture(scope="module")
def stranger() -> Iterator[Depot]:
    """An S3 that does not know of it."""

    class Without(S3Api):
        littoral_get_objects = None  # type: ignore[assignment]

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        objects = await Place.open(store, store.folder.parent / "objects")
        objects.api.__class__ = Without
        await objects.start()
        return {"s3": objects.api, "close": objects.close}

    with served(factory) as running:
        yield Depot(running)


def test_small_objects_come_together_with_all_that_goes_with_them(
    depot: Depot, bucket: str, move: Callable[..., Done]
) -> None:
    made = filled(depot, bucket)
    with counted(depot) as seen:
        done = move(out_of(depot, depot, bucket))
    assert done.failed == {}
    assert done.progress.sent == len(made)
    assert seen["GetObject 200"] == 0
    assert 2 <= seen[f"{TOGETHER} 200"] <= 10
    assert 2 <= seen["PutObject 200"] <= 10
    assert depot.held(f"{bucket}-b") == made
    for number, key in list(enumerate(made))[::7]:
        told = depot.s3.head_object(Bucket=f"{bucket}-b", Key=key)
        assert told["Metadata"] == {"n": str(number)}
        assert (told["ContentType"], told.get("CacheControl"), told.get("ExpiresString")) == (
            ("text/plain", "no-store", "0") if number % 3 else ("binary/octet-stream", None, None)
        )


def test_a_destination_that_keeps_less_than_an_archive_tells_gets_each_by_itself(
    depot: Depot, bucket: str, move: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = filled(depot, bucket)
    files = {f"file {n:03}": os.urandom(50) for n in range(60)}
    said = {"file-mtime": "1700000000000000000ns", "file-permissions": "0640"}
    for key, data in files.items():
        depot.s3.put_object(Bucket=bucket, Key=key, Body=data, Metadata=said)
    monkeypatch.setattr("littoral.objects.archives._about", lambda _text: None)  # as anybody else extracts
    with counted(depot) as seen:
        done = move(out_of(depot, depot, bucket))
    assert (done.failed, done.batching, done.mover._tells) == ({}, True, False)
    assert len(made) <= seen["PutObject 200"] < len(made) + len(files)
    assert depot.held(f"{bucket}-b") == made | files
    for number, key in list(enumerate(made))[::7]:
        assert depot.s3.head_object(Bucket=f"{bucket}-b", Key=key)["Metadata"] == {"n": str(number)}


def test_another_s3_is_asked_once_and_gives_each_by_itself(
    stranger: Depot, depot: Depot, bucket: str, move: Callable[..., Done]
) -> None:
    stranger.s3.create_bucket(Bucket=bucket)
    made = filled(stranger, bucket)
    with counted(stranger) as seen:
        done = move(out_of(stranger, depot, bucket))
    assert (seen[f"{TOGETHER} 501"], seen["GetObject 200"]) == (1, len(made))
    assert done.failed == {}
    assert depot.held(f"{bucket}-b") == made


def test_what_cannot_be_read_is_told_of_by_name_and_holds_up_nothing(
    depot: Depot, bucket: str, move: Callable[..., Done]
) -> None:
    made = filled(depot, bucket)
    customer = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": os.urandom(32)}
    depot.s3.put_object(Bucket=bucket, Key="ward/a customer's", Body=b"x", **customer)
    depot.s3.put_object(Bucket=bucket, Key="ward/cold", Body=b"x", StorageClass="GLACIER")
    done = move(out_of(depot, depot, bucket))
    assert done.failed.keys() == {"ward/a customer's", "ward/cold"}
    assert done.failed["ward/cold"].startswith("InvalidObjectState: ")
    assert done.failed["ward/a customer's"].startswith("InvalidRequest: ")
    assert depot.held(f"{bucket}-b") == made


async def test_each_is_what_was_listed_or_has_changed(depot: Depot, bucket: str) -> None:
    etag = depot.s3.put_object(Bucket=bucket, Key="a", Body=b"a")["ETag"].strip('"')
    depot.s3.put_object(Bucket=bucket, Key="b", Body=b"b")
    client = HttpClient()
    try:
        source = Objects(depot.bucket(client, bucket), KeyRange(bucket))
        items = [Item("a", 1, etag), Item("b", 1, etag), Item("c", 1, etag)]
        first, second, third = await source.small(items)
        assert first[0] == b"a"  # type: ignore[index]
        assert isinstance(second, Changed)
        assert isinstance(third, Changed)
        absent = Objects(depot.bucket(client, "absent-bucket"), KeyRange(bucket))
        assert [type(one) for one in await absent.small(items)] == [Changed] * 3
        wrong = Objects(depot.bucket(client, bucket), KeyRange(bucket))
        wrong._bucket._asking._keys = type(depot.keys)(depot.keys.access, "wrong")
        assert [type(one) for one in await wrong.small(items)] == [CannotMove] * 3
    finally:
        await client.close()


def test_more_than_one_answer_holds_is_asked_for_again(
    depot: Depot, bucket: str, move: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("littoral.objects.api.gathering.LARGEST", 4000)
    made = filled(depot, bucket)
    with counted(depot) as seen:
        assert move(out_of(depot, depot, bucket)).failed == {}
    assert seen["GetObject 200"] > 0
    assert depot.held(f"{bucket}-b") == made


def test_an_answer_that_is_cut_is_asked_for_again(depot: Depot, bucket: str, move: Callable[..., Done]) -> None:
    made = filled(depot, bucket)
    cutter = Cutter(int(depot.served.url.rpartition(":")[2]), [60_000, 40_000, 25_000, 30_000], back=True)
    try:
        done = move(out_of(depot, depot, bucket, cutter.url), parallel=2)
    finally:
        cutter.close()
    assert not cutter._cuts
    assert done.progress.retries > 0
    assert done.failed == {}
    assert depot.held(f"{bucket}-b") == made


def test_a_source_that_stays_away_ends_it_and_what_arrived_is_kept(
    depot: Depot, bucket: str, move: Callable[..., Done]
) -> None:
    made = filled(depot, bucket, 240)
    gate = Gate(int(depot.served.url.rpartition(":")[2]), 200_000)
    with pytest.raises(LinkLost):
        move(out_of(depot, depot, bucket, gate.url, patience=1), give_up=0.5, parallel=1)
    gate.close()
    arrived = len(depot.held(f"{bucket}-b"))
    assert 0 < arrived < len(made)
    again = move(out_of(depot, depot, bucket))
    assert again.failed == {}
    assert again.progress.sent == len(made) - arrived
    assert depot.held(f"{bucket}-b") == made


def listed(depot: Depot, bucket: str) -> dict[str, str]:
    pages = depot.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {one["Key"]: one["ETag"] for page in pages for one in page.get("Contents", [])}


def test_a_transfer_that_is_killed_goes_on_and_reads_only_what_had_not_arrived(
    depot: Depot, bucket: str, tmp_path: Path
) -> None:
    made = filled(depot, bucket, 240, size=4096)
    gate, whole = Gate(int(depot.served.url.rpartition(":")[2]), 600_000), 1 << 40
    ends = ["--endpoint", depot.served.url, "--from-endpoint", gate.url]
    command = [sys.executable, "-m", "littoral", "box", "transfer", f"s3://{bucket}", f"s3://{bucket}-b", *ends]
    env = {**os.environ, **depot.served.env, "XDG_STATE_HOME": str(tmp_path)}
    first = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: gate._allowed <= 0 and bool(listed(depot, f"{bucket}-b")))
    finally:
        first.kill()
        first.wait()
    arrived = listed(depot, f"{bucket}-b")
    assert 0 < len(arrived) < len(made)
    gate._allowed = whole
    try:
        subprocess.run(command, env=env, check=True, capture_output=True, timeout=60)
    finally:
        gate.close()
    assert listed(depot, f"{bucket}-b") == listed(depot, bucket)
    assert whole - gate._allowed < sum(map(len, made.values()))


def until(true: Callable[[], bool]) -> None:
    for _ in range(600):
        if true():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come to that")
