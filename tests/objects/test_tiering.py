"""Objects whose bytes lie in the place above, as boto3 sees them: read through, recalled, kept where they are the only
copy, over cuts of the link and restarts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from littoral.cli.main import main
from littoral.objects.tiering.rows import Away
from littoral.store.contract import StorageAway
from tests.objects.pairs import Pair, completed, eventually, replicate, rule, versioned

MIB = 1024 * 1024


@pytest.fixture
def source(pair: Pair) -> Iterator[str]:
    """A bucket whose objects go up; nothing stays here but what is asked for or not above."""
    name = versioned(pair.near)
    replicate(pair.near, name, rule("elsewhere"))
    yield name
    pair.link.restore() if not pair.link.up else None
    pair.objects.tier.keep = None


def make_room(pair: Pair, keep: int = 0) -> None:
    tier = pair.objects.tier
    tier.keep = keep
    pair.place.run(tier.make_room())


def is_above(pair: Pair, bucket: str, key: str) -> bool:
    stored = pair.objects._index.get(bucket, key)
    return all(pair.objects._index.away(piece.blob) is not None for piece in stored.content.pieces)


def gone(pair: Pair, bucket: str, *keys: str) -> None:
    """Until their files are no more."""
    blobs = {p.blob for key in keys for p in pair.objects._index.get(bucket, key).content.pieces}

    def none_left() -> bool:
        return not blobs & {info.key for info in pair.place.run(pair.objects._shelf._blobs.scan())}

    eventually(none_left)


def refusal(s3: Any, bucket: str, key: str, **asked: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key=key, **asked)["Body"].read()
    answer = refused.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_what_is_above_is_read_through_in_all_forms(pair: Pair, source: str) -> None:
    s3 = pair.near
    bodies = {
        f"{source}/plain": os.urandom(700_000),
        f"{source}/sealed": os.urandom(300_001),
        f"{source}/small": b"few bytes lie in the index",
    }
    for key, body in bodies.items():
        sealed = {"ServerSideEncryption": "AES256"} if key.endswith("sealed") else {}
        s3.put_object(Bucket=source, Key=key, Body=body, **sealed)
    parts = [os.urandom(5 * MIB), os.urandom(1_000_000)]
    key = f"{source}/parts"
    upload = s3.create_multipart_upload(Bucket=source, Key=key)["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        made = s3.upload_part(Bucket=source, Key=key, UploadId=upload, PartNumber=number, Body=part)
        done.append({"PartNumber": number, "ETag": made["ETag"]})
    s3.complete_multipart_upload(Bucket=source, Key=key, UploadId=upload, MultipartUpload={"Parts": done})
    bodies[key] = b"".join(parts)
    for key in bodies:
        completed(s3, source, key)
    make_room(pair)
    large = [key for key in bodies if not key.endswith("small")]
    assert all(is_above(pair, source, key) for key in large)
    gone(pair, source, *large)
    for key, body in bodies.items():
        assert s3.head_object(Bucket=source, Key=key)["ContentLength"] == len(body)
        assert s3.get_object(Bucket=source, Key=key)["Body"].read() == body
        if len(body) > 300_000:
            for first, last in ((0, 0), (262_143, 262_144), (len(body) - 5, len(body) - 1), (100, 290_000)):
                got = s3.get_object(Bucket=source, Key=key, Range=f"bytes={first}-{last}")["Body"].read()
                assert got == body[first : last + 1]
    crossing = s3.get_object(Bucket=source, Key=f"{source}/parts", Range=f"bytes={5 * MIB - 10}-{5 * MIB + 9}")
    assert crossing["Body"].read() == bodies[f"{source}/parts"][5 * MIB - 10 : 5 * MIB + 10]
    assert s3.get_object(Bucket=source, Key=f"{source}/parts", PartNumber=2)["Body"].read() == parts[1]
    assert pair.objects.tier.status()["readThrough"]
    s3.copy_object(Bucket=source, Key=f"{source}/copy", CopySource={"Bucket": source, "Key": f"{source}/plain"})
    s3.delete_object(Bucket=source, Key=f"{source}/plain")
    assert s3.get_object(Bucket=source, Key=f"{source}/copy")["Body"].read() == bodies[f"{source}/plain"]


def test_only_what_the_place_above_has_goes(pair: Pair, source: str) -> None:
    s3 = pair.near
    key, alone, late = f"{source}/up", f"{source}/alone", f"{source}/late"
    body = os.urandom(100_000)
    other = versioned(s3)
    s3.put_object(Bucket=source, Key=key, Body=body)
    s3.put_object(Bucket=other, Key=alone, Body=body)
    completed(s3, source, key)
    pair.link.cut()
    s3.put_object(Bucket=source, Key=late, Body=body)
    with pytest.raises(StorageAway):
        make_room(pair)
    assert not any(is_above(pair, source, one) for one in (key, late))
    pair.link.restore()
    completed(s3, source, late)
    s3.copy_object(Bucket=other, Key="copy", CopySource={"Bucket": source, "Key": late})  # the same blob, nowhere else
    version = s3.head_object(Bucket=source, Key=key)["VersionId"]
    pair.far.delete_object(Bucket="elsewhere", Key=key, VersionId=version)
    make_room(pair)
    assert not is_above(pair, source, key)
    assert not is_above(pair, source, late)
    assert not is_above(pair, other, alone)
    for bucket, name in ((source, key), (source, late), (other, alone), (other, "copy")):
        assert s3.get_object(Bucket=bucket, Key=name)["Body"].read() == body


def test_another_content_above_is_no_proof(pair: Pair, source: str) -> None:
    """A bucket of another kind gives ids of its own: there the current object counts, if its checksum is the same."""
    key = f"{source}/forged"
    pair.near.put_object(Bucket=source, Key=key, Body=os.urandom(50_000))
    completed(pair.near, source, key)
    version = pair.near.head_object(Bucket=source, Key=key)["VersionId"]
    pair.far.delete_object(Bucket="elsewhere", Key=key, VersionId=version)
    pair.far.put_object(Bucket="elsewhere", Key=key, Body=os.urandom(50_000))
    make_room(pair)
    assert not is_above(pair, source, key)


@pytest.mark.parametrize("archived", [False, True])
def test_what_the_next_write_above_would_overwrite_or_nobody_may_read_is_no_proof(
    pair: Pair, source: str, archived: bool
) -> None:
    """Versions are suspended above, so what is there is "null"; or an archive has it."""
    key, body = f"{source}/fleeting", os.urandom(50_000)
    pair.near.put_object(Bucket=source, Key=key, Body=body)
    completed(pair.near, source, key)
    version = pair.near.head_object(Bucket=source, Key=key)["VersionId"]
    pair.far.delete_object(Bucket="elsewhere", Key=key, VersionId=version)
    state = "Enabled" if archived else "Suspended"
    pair.far.put_bucket_versioning(Bucket="elsewhere", VersioningConfiguration={"Status": state})
    kind = "GLACIER" if archived else "STANDARD"
    pair.far.put_object(Bucket="elsewhere", Key=key, Body=body, StorageClass=kind)
    make_room(pair)
    assert not is_above(pair, source, key)
    pair.far.put_object(Bucket="elsewhere", Key=key, Body=b"another")
    pair.far.put_bucket_versioning(Bucket="elsewhere", VersioningConfiguration={"Status": "Enabled"})
    assert pair.near.get_object(Bucket=source, Key=key)["Body"].read() == body


def test_whether_the_place_above_answers_is_asked_and_forgotten(pair: Pair, source: str) -> None:
    tier = pair.objects.tier
    pair.link.cut()
    with pytest.raises(StorageAway):
        make_room(pair, 64 * MIB)  # where there is nothing to let go
    assert tier.status()["waiting"]
    pair.link.restore()
    pair.place.run(tier.reach())
    assert tier.status()["waiting"] == ""


@contextmanager
def portal(port: int, status: int) -> Iterator[None]:
    """Answers on that port whatever is asked, as a hotel's page does before somebody has paid."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("location", "http://hotel.example/")
            self.send_header("content-length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            """Not on the tests' output."""

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("status", [200, 302])
def test_who_answers_in_place_of_the_place_above_does_not_make_bytes_lost(pair: Pair, source: str, status: int) -> None:
    key, body = f"{source}/up", os.urandom(400_000)
    pair.near.put_object(Bucket=source, Key=key, Body=body)
    completed(pair.near, source, key)
    make_room(pair)
    gone(pair, source, key)
    pair.link.cut()
    with portal(pair.link.port, status):
        assert refusal(pair.near, source, key) == ("ServiceUnavailable", 503)
    pair.link.restore()
    assert pair.near.get_object(Bucket=source, Key=key)["Body"].read() == body


def test_with_the_link_down_it_is_a_503_and_all_else_is_served(pair: Pair, source: str) -> None:
    s3, key, near = pair.near, f"{source}/up", f"{source}/near"
    body = os.urandom(400_000)
    s3.put_object(Bucket=source, Key=key, Body=body)
    completed(s3, source, key)
    make_room(pair)
    gone(pair, source, key)
    pair.link.cut()
    assert refusal(s3, source, key) == ("ServiceUnavailable", 503)
    assert refusal(s3, source, key, Range="bytes=5-9") == ("ServiceUnavailable", 503)
    assert s3.head_object(Bucket=source, Key=key)["ContentLength"] == len(body)
    s3.put_object(Bucket=source, Key=near, Body=body)
    assert s3.get_object(Bucket=source, Key=near)["Body"].read() == body
    pair.link.restore()
    assert s3.get_object(Bucket=source, Key=key)["Body"].read() == body


def test_what_is_read_comes_back_and_the_longest_unused_goes(pair: Pair, source: str) -> None:
    s3 = pair.near
    keys = [f"{source}/{number}" for number in range(4)]
    bodies = {key: os.urandom(MIB) for key in keys}
    for key, body in bodies.items():
        sealed = {"ServerSideEncryption": "AES256"} if key.endswith("1") else {}
        s3.put_object(Bucket=source, Key=key, Body=body, **sealed)
        completed(s3, source, key)
    make_room(pair)
    gone(pair, source, *keys)
    pair.objects.tier.keep = 64 * MIB
    assert s3.get_object(Bucket=source, Key=keys[1])["Body"].read() == bodies[keys[1]]
    assert s3.get_object(Bucket=source, Key=keys[3])["Body"].read() == bodies[keys[3]]
    eventually(lambda: not is_above(pair, source, keys[1]) and not is_above(pair, source, keys[3]))
    pair.link.cut()
    assert s3.get_object(Bucket=source, Key=keys[3])["Body"].read() == bodies[keys[3]]
    assert s3.get_object(Bucket=source, Key=keys[1])["Body"].read() == bodies[keys[1]]
    assert refusal(s3, source, keys[0])[1] == 503
    pair.link.restore()
    here = pair.place.run(pair.objects._index.tier_totals())[0]
    make_room(pair, here - 1)
    assert is_above(pair, source, keys[3])
    assert not is_above(pair, source, keys[1])


def test_what_is_removed_here_is_forgotten(pair: Pair, source: str) -> None:
    s3, key = pair.near, f"{source}/up"
    version = s3.put_object(Bucket=source, Key=key, Body=os.urandom(100_000))["VersionId"]
    completed(s3, source, key)
    make_room(pair)
    (piece,) = pair.objects._index.get(source, key).content.pieces
    s3.delete_object(Bucket=source, Key=key, VersionId=version)
    eventually(lambda: pair.objects._index.away(piece.blob) is None)
    assert pair.far.head_object(Bucket="elsewhere", Key=key)["ContentLength"] == 100_000


def test_a_backup_names_what_lies_above_only(
    pair: Pair, source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = f"{source}/up"
    pair.near.put_object(Bucket=source, Key=key, Body=os.urandom(123_456))
    completed(pair.near, source, key)
    make_room(pair)
    _, blobs, size = pair.place.run(pair.objects._index.tier_totals())
    assert main(["backup", str(tmp_path / "copy"), "--data-dir", str(pair.place.folder)]) == 0
    assert f"{blobs:,} blobs of {size:,} bytes lie in elsewhere only" in capsys.readouterr().err
    assert size >= 123_456


def test_bytes_that_are_not_those_that_went_up_reach_nobody(pair: Pair, source: str) -> None:
    s3, key = pair.near, f"{source}/up"
    s3.put_object(Bucket=source, Key=key, Body=os.urandom(400_000))
    completed(s3, source, key)
    make_room(pair)
    gone(pair, source, key)
    (piece,) = pair.objects._index.get(source, key).content.pieces
    away = pair.objects._index.away(piece.blob)
    assert away is not None

    async def other_sums() -> None:
        await pair.objects._index.came_back([piece.blob])
        owners = {pair.objects._index.get(source, key).id}
        spoiled = Away(*(*(getattr(away, name) for name in Away.__slots__[:-1]), bytes(len(away.sums))))
        assert await pair.objects._index.let_go(spoiled, owners)

    pair.place.run(other_sums())
    assert refusal(s3, source, key) == ("ServiceUnavailable", 503)
    pair.place.run(pair.objects.scrub.scrub())
    assert pair.objects.scrub.known == frozenset()
