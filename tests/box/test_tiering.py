"""A box that keeps little, and a region above it: killed in the middle, cut off, never without a copy of anything."""

from __future__ import annotations

import configparser
import json
import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from littoral.cli.asking import Failed, signed
from littoral.cli.tiering import PATH
from littoral.tour.link import Link
from littoral.tour.places import PlaceProcess
from tests.box.boxes import PORTS, Box
from tests.objects.pairs import completed, eventually, replicate, rule, versioned

pytestmark = pytest.mark.timeout(300)  # a region, and a box that starts three times


@dataclass
class Tiers:
    region: PlaceProcess
    above: Any  # the region's S3
    link: Link
    box: Box
    env: dict[str, str]
    bodies: dict[str, bytes] = field(default_factory=dict)

    def start(self, keep: int) -> Any:
        """The box's S3."""
        files = ("--webdav-port", "0") if shutil.which("rclone") and shutil.which("curl") else ()
        self.box.start(*PORTS, *files, "--replicas", "deep=above", "--tier-keep", str(keep), env=self.env)
        self.box.unlock()
        return self.box.client("s3")

    def kill(self) -> None:
        assert self.box.process is not None
        self.box.process.kill()

    def tier(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.box.asks("tier", "--json", *words, check=False))
        return found


@pytest.fixture
def tiers(tmp_path: Path) -> Iterator[Tiers]:
    region = PlaceProcess("above", "region", tmp_path / "region", PORTS, {})
    box = Box.prepared(tmp_path)
    try:
        region.wait_ready()
        kept = configparser.ConfigParser()
        kept.read(tmp_path / "region" / "credentials")
        keys = {name: kept["default"][name] for name in ("aws_access_key_id", "aws_secret_access_key")}
        s3 = boto3.client("s3", endpoint_url=region.urls["api"], region_name="us-east-1", **keys)
        s3.create_bucket(Bucket="deep")
        s3.put_bucket_versioning(Bucket="deep", VersioningConfiguration={"Status": "Enabled"})
        with Link("127.0.0.1", region.port("api")) as link:
            profile = configparser.ConfigParser()
            profile["profile above"] = {**keys, "endpoint_url": f"http://127.0.0.1:{link.port}", "region": "us-east-1"}
            with (tmp_path / "aws.config").open("w") as file:
                profile.write(file)
            env = {"AWS_CONFIG_FILE": str(tmp_path / "aws.config"), "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
            yield Tiers(region, s3, link, box, env)
    finally:
        box.stop()
        region.stop()


def test_nothing_is_lost_whenever_it_is_killed(tiers: Tiers) -> None:
    s3 = tiers.start(0)
    bucket = versioned(s3)
    replicate(s3, bucket, rule("deep"))
    chance = random.Random(7)
    for number in range(16):
        key, body = f"scan/{number}", os.urandom(chance.randrange(20_000, 400_000))
        s3.put_object(Bucket=bucket, Key=key, Body=body)
        tiers.bodies[key] = body
    s3.create_bucket(Bucket="alone")
    s3.put_object(Bucket="alone", Key="only", Body=b"only copy" * 10_000)
    for key in tiers.bodies:
        completed(s3, bucket, key)
    busy = [
        threading.Thread(target=_make_room, args=(tiers,), daemon=True),
        threading.Thread(target=_read, args=(s3, bucket, chance.sample(sorted(tiers.bodies), 8)), daemon=True),
    ]
    for each in busy:
        each.start()
    busy[0].join(chance.uniform(0.05, 0.5))  # each step is hit in tests/objects/test_tier_kills.py
    tiers.kill()
    for each in busy:
        each.join()
    s3 = tiers.start(0)
    _all_above(tiers, s3)
    for key, body in tiers.bodies.items():
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    assert s3.get_object(Bucket="alone", Key="only")["Body"].read() == b"only copy" * 10_000
    _cut(tiers, s3, bucket)
    _not_without_it(tiers)


def _all_above(tiers: Tiers, s3: Any) -> None:
    """All that may go has gone; what is nowhere else is here."""
    told = tiers.tier("--now")
    assert (told["aboveBlobs"], told["aboveBytes"]) == (16, sum(map(len, tiers.bodies.values())))
    assert told["hereBytes"] == 90_000
    assert told["waiting"] == ""


def _cut(tiers: Tiers, s3: Any, bucket: str) -> None:
    tiers.link.cut()
    assert tiers.tier()["waiting"] and tiers.tier("--now")["waiting"]  # though there is nothing to ask it
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="scan/1")
    assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert s3.get_object(Bucket="alone", Key="only")["Body"].read() == b"only copy" * 10_000
    s3.put_object(Bucket=bucket, Key="scan/late", Body=bytes(50_000))
    _ends_short(tiers, f"{bucket}/scan/1")
    written = {"here": s3.put_object(Bucket=bucket, Key="scan/2", Body=b"here" * 10_000)["VersionId"]}
    written["above"] = tiers.above.put_object(Bucket="deep", Key="scan/2", Body=b"above" * 10_000)["VersionId"]
    tiers.link.restore()
    completed(s3, bucket, "scan/late")
    completed(s3, bucket, "scan/2")
    assert tiers.above.get_object(Bucket="deep", Key="scan/2")["VersionId"] == written["here"]
    for where, version in written.items():
        kept = tiers.above.get_object(Bucket="deep", Key="scan/2", VersionId=version)["Body"].read()
        assert kept == where.encode() * 10_000
    assert s3.get_object(Bucket=bucket, Key="scan/1")["Body"].read() == tiers.bodies["scan/1"]
    assert tiers.tier()["waiting"] == ""
    eventually(lambda: tiers.tier("--now")["aboveBlobs"] == 18)


def _ends_short(tiers: Tiers, file: str) -> None:
    """By WebDAV, and before whoever reads gives up."""
    if "webdav" not in tiers.box.urls:
        return
    held = tiers.box.issued.manifest
    words = ["curl", "-sS", "--http1.1", "--max-time", "60", "--cacert", str(tiers.box.authority())]
    words += ["-u", f"{held.access_key}:{held.secret_key}", f"{tiers.box.urls['webdav']}/{file}"]
    done = subprocess.run(words, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (18, b""), done.stderr  # 28 would be the time


def _make_room(tiers: Tiers) -> None:
    held = tiers.box.issued.manifest
    with suppress(Failed):  # the box is gone
        keys = held.access_key, held.secret_key, held.region
        signed(tiers.box.urls["inside"], PATH, keys, service="littoral", method="POST")


def _read(s3: Any, bucket: str, keys: list[str]) -> None:
    """What it can, until the box is killed."""
    for key in keys:
        try:
            s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except Exception:
            return


def _not_without_it(tiers: Tiers) -> None:
    """A box whose bytes lie above is not served without a word of where."""
    assert "in 18 files" in tiers.box.asks("tier")
    tiers.box.stop()
    tiers.box.start(*PORTS)
    told = tiers.box.asks("unlock", "--manifest", str(tiers.box.manifest), check=False)
    assert "bytes of objects lie in deep, which replicas must name" in told
