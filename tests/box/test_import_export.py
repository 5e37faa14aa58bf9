"""A job's life in a real region, by boto3 and ``littoral box``: prepared, filled or read, complete."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import os
import pty
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from littoral.aws.identity import AccessKey
from littoral.box.manifest import Manifest, open_manifest
from littoral.box.transfer.bucket import Bucket
from littoral.box.transfer.items import Item
from littoral.box.transfer.pieces import Laid
from littoral.cli.boxjob import carry
from littoral.cli.transfer import How
from littoral.net.pki import Authority
from littoral.site.settings import load
from tests.box.conftest import Depot
from tests.box.test_snowball_api import ADDRESS
from tests.objects.pairs import eventually
from tests.site.conftest import Running, start

__all__ = ["start"]


@pytest.fixture
def region(start: Callable[..., Running], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))  # of what it carries out itself
    return start("region", kind="region")


@pytest.fixture
def littoral(region: Running, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "littoral", "box", *words],
            env={
                **os.environ,
                "XDG_STATE_HOME": str(tmp_path / "state"),
                "LITTORAL_DATA_DIR": str(tmp_path / "region"),
            },
            cwd=tmp_path,
            capture_output=True,
            check=False,
            text=True,
        )
        assert done.returncode == code, done.stderr
        return done

    return run


def ordered(region: Running, kind: str, buckets: Sequence[str] = ("records",), **bounds: str) -> str:
    for bucket in buckets:
        region.client("s3").create_bucket(Bucket=bucket)
    snowball = region.client("snowball")
    address = snowball.create_address(Address=ADDRESS)["AddressId"]
    more: dict[str, Any] = {"KeyRange": bounds} if bounds else {}
    wanted: Any = [{"BucketArn": f"arn:aws:s3:::{bucket}", **more} for bucket in buckets]
    made = snowball.create_job(
        JobType=kind,
        Resources={"S3Resources": wanted},
        AddressId=address,
        SnowballType="EDGE",
        ShippingOption="STANDARD",
    )
    return str(made["JobId"])


def opened(depot: Depot, job: str, told: str, folder: Path) -> Manifest:
    """The box of the job: a place with S3 that knows the keys in its manifest."""
    name, code = told.split()
    manifest = open_manifest((folder / name).read_bytes(), code)
    depot.served.gateway._identity.add(AccessKey(manifest.access_key, manifest.secret_key, "", ""))
    assert manifest.job == job
    return manifest


def test_an_import_lands_in_the_region_s_buckets(
    region: Running, depot: Depot, littoral: Callable[..., Any], tmp_path: Path
) -> None:
    job = ordered(region, "IMPORT")
    manifest = opened(depot, job, littoral("manifest", job, "--code").stdout, tmp_path)
    assert [one.bucket for one in manifest.ranges] == ["records"]
    early = littoral("import", job, "--from", depot.served.url, code=1).stderr
    assert "refused: 400 InvalidJobStateException: The job is PreparingAppliance" in early
    littoral("manifest", job, "--ready")
    snowball = region.client("snowball")
    snowball.update_job_shipment_state(JobId=job, ShipmentState="RECEIVED")
    with urllib.request.urlopen(snowball.get_job_manifest(JobId=job)["ManifestURI"]) as answer:
        assert open_manifest(answer.read(), snowball.get_job_unlock_code(JobId=job)["UnlockCode"]) == manifest
    depot.s3.create_bucket(Bucket="records")
    put = {f"ward/{n}": os.urandom(50 * n) for n in range(30)}
    for key, data in put.items():
        depot.s3.put_object(Bucket="records", Key=key, Body=data, Metadata={"n": "1"})
    snowball.update_job_shipment_state(JobId=job, ShipmentState="RETURNED")
    assert "is a job of type IMPORT" in littoral("export", job, "--to", depot.served.url, code=1).stderr
    assert snowball.describe_job(JobId=job)["JobMetadata"]["JobState"] == "InTransitToAWS"
    assert opened(depot, job, littoral("manifest", job, "--code").stdout, tmp_path) == manifest  # who unlocks it here
    depot.s3.create_bucket(Bucket="mistyped")
    depot.s3.put_object(Bucket="records", Key="archived", Body=b"x", StorageClass="GLACIER")
    region.client("s3").delete_bucket(Bucket="records")
    assert "the region has no bucket records" in littoral("import", job, "--from", depot.served.url, code=1).stderr
    region.client("s3").create_bucket(Bucket="records")
    not_all = littoral("import", job, "--from", depot.served.url, code=1)
    assert "not moved: archived: InvalidObjectState" in not_all.stderr
    assert re.search(r"objects +30 of 31\n", littoral("progress", job, code=1).stdout)
    depot.s3.delete_object(Bucket="records", Key="archived")
    stays = littoral("import", job, "--from", depot.served.url, "--json").stderr
    named = re.search(r"^littoral: not of this job, so they stay on the box: (.+)$", stays, re.M)
    assert named is not None and "mistyped" in named[1].split(", ") and "records" not in named[1].split(", ")
    s3 = region.client("s3")
    assert {key: s3.get_object(Bucket="records", Key=key)["Body"].read() for key in put} == put
    told = snowball.describe_job(JobId=job)["JobMetadata"]
    assert told["JobState"] == "Complete"
    assert told["DataTransferProgress"]["TotalObjects"] == len(put)
    for name, count in (("JobCompletionReportURI", 32), ("JobSuccessLogURI", 31), ("JobFailureLogURI", 1)):
        with urllib.request.urlopen(told["JobLogInfo"][name]) as log:
            assert len(log.read().splitlines()) == count
    with urllib.request.urlopen(told["JobLogInfo"]["JobCompletionReportURI"]) as log:
        (tmp_path / "report.jsonl").write_bytes(log.read())
    assert "30 objects" in littoral("verify", "report.jsonl", "--signer", str(tmp_path / "region" / "ca.pem")).stdout
    whole = (tmp_path / "report.jsonl").read_text()
    (tmp_path / "report.jsonl").write_text(whole.replace('"size":50', '"size":51', 1))
    assert "not those that were signed" in littoral("verify", "report.jsonl", code=1).stderr
    forged(tmp_path / "report.jsonl", whole)
    assert "as signed" in littoral("verify", "report.jsonl").stdout  # by whom it says; of whom one must know
    ca = str(tmp_path / "region" / "ca.pem")
    assert "it is signed by" in littoral("verify", "report.jsonl", "--signer", ca, code=1).stderr
    (tmp_path / "report.jsonl").write_text("[" * 100_000)
    assert "no report of a transfer" in littoral("verify", "report.jsonl", code=1).stderr
    assert "is no certificate" in littoral("verify", "report.jsonl", "--signer", "report.jsonl", code=1).stderr


def forged(file: Path, whole: str) -> None:
    """The same with another size, and signed anew by somebody else."""
    *lines, _ = whole.replace('"size":50', '"size":51', 1).splitlines(keepends=True)
    digest, stranger = hashlib.sha256("".join(lines).encode()).digest(), Authority.create("Stranger")
    end = {
        "lines": len(lines),
        "sha256": digest.hex(),
        "signature": base64.b64encode(stranger.sign(digest)).decode(),
        "signer": stranger.certificate_pem.decode(),
    }
    file.write_text("".join(lines) + json.dumps(end) + "\n")


@pytest.mark.timeout(300)
def test_an_import_goes_on_in_the_background_over_a_restart(
    start: Callable[..., Running], depot: Depot, littoral: Callable[..., Any], tmp_path: Path, region: Running
) -> None:
    job = ordered(region, "IMPORT", ("later", "last"))
    opened(depot, job, littoral("manifest", job, "--code").stdout, tmp_path)
    littoral("manifest", job, "--ready")
    for state in ("RECEIVED", "RETURNED"):
        region.client("snowball").update_job_shipment_state(JobId=job, ShipmentState=state)
    told_of(region)
    put = {f"ward/{n}": os.urandom(100 * n) for n in range(60)}
    filled(depot, "later", put)
    depot.s3.create_bucket(Bucket="beside-the-job")
    box = depot.served.url
    assert "is a job of type IMPORT" in littoral("export", job, "--to", box, "--background", code=1).stderr
    for more in (("--parallel", "3"), ("--give-up", "5"), ("--no-wide-records",), ("--json",)):
        assert "leave them out" in littoral("import", job, "--from", box, "--background", *more, code=1).stderr
    assert "goes on in the background" in littoral("import", job, "--from", box, "--background").stdout
    found = eventually(lambda: failed_so_far(littoral, job), 60)
    assert (found["state"], found["problem"]) == ("InProgress", "littoral: the box has no bucket last")
    assert found["running"]
    region.process.kill()
    again = start("region", kind="region")
    filled(depot, "last", {"z": b"z"})
    snowball = again.client("snowball")
    eventually(lambda: snowball.describe_job(JobId=job)["JobMetadata"]["JobState"] == "Complete", 100)
    assert snowball.describe_job(JobId=job)["JobMetadata"]["DataTransferProgress"]["ObjectsTransferred"] == 61
    s3 = again.client("s3")
    assert {key: s3.get_object(Bucket="later", Key=key)["Body"].read() for key in put} == put
    assert s3.get_object(Bucket="last", Key="z")["Body"].read() == b"z"
    told = eventually(lambda: background_over(littoral, job), 60)
    assert (told["state"], "beside-the-job" in told["problem"]) == ("Complete", True)
    eventually(lambda: put.keys() <= heard(again))


def filled(depot: Depot, bucket: str, put: dict[str, bytes]) -> None:
    depot.s3.create_bucket(Bucket=bucket)
    for key, data in put.items():
        depot.s3.put_object(Bucket=bucket, Key=key, Body=data)


def failed_so_far(littoral: Callable[..., Any], job: str) -> Any:
    """How it is, once a try of it has ended."""
    found = json.loads(littoral("progress", job, "--json", code=1).stdout)
    return found if found["problem"] else None


def background_over(littoral: Callable[..., Any], job: str) -> Any:
    found = json.loads(littoral("progress", job, "--json").stdout)
    return None if found["running"] else found


def heard(region: Running) -> set[str]:
    """Keys that the stream was told of."""
    kinesis = region.client("kinesis")
    (shard,) = kinesis.list_shards(StreamName="landed")["Shards"]
    where = {"StreamName": "landed", "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"}
    records = kinesis.get_records(ShardIterator=kinesis.get_shard_iterator(**where)["ShardIterator"])["Records"]
    return {json.loads(one["Data"])["detail"]["object"]["key"] for one in records}


def told_of(region: Running) -> None:
    """What lands in the bucket is told by way of EventBridge."""
    region.client("kinesis").create_stream(StreamName="landed", ShardCount=1)
    events = region.client("events")
    events.put_rule(Name="landed", EventPattern=json.dumps({"source": ["aws.s3"]}))
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/landed"
    events.put_targets(Rule="landed", Targets=[{"Id": "landed", "Arn": arn}])
    configuration: dict[str, Any] = {"EventBridgeConfiguration": {}}
    region.client("s3").put_bucket_notification_configuration(Bucket="later", NotificationConfiguration=configuration)


def test_an_export_fills_a_box_from_a_range(
    region: Running, depot: Depot, littoral: Callable[..., Any], tmp_path: Path
) -> None:
    job = ordered(region, "EXPORT", BeginMarker="b", EndMarker="c")
    s3, snowball = region.client("s3"), region.client("snowball")
    opened(depot, job, littoral("manifest", job, "--code").stdout, tmp_path)
    assert "littoral box export" in littoral("manifest", job, "--ready", code=1).stderr
    littoral("import", job, "--from", depot.served.url, code=1)
    for words in (("localhost:8444",), ("https://",), ("https://box:99999",), ("localhost:8444", "--background")):
        assert "is no endpoint" in littoral("export", job, "--to", *words, code=1).stderr
    assert snowball.describe_job(JobId=job)["JobMetadata"]["JobState"] == "PreparingAppliance"
    away = littoral("export", job, "--to", "http://127.0.0.1:1", "--give-up", "1", code=1).stderr
    assert "nothing goes on any more" in away and "Traceback" not in away
    _left_and_stopped(littoral, job, region.api)
    s3.delete_bucket(Bucket="records")
    assert "the region has no bucket records" in littoral("export", job, "--to", depot.served.url, code=1).stderr
    s3.create_bucket(Bucket="records")
    for key in ("a", "b", "ba", "c", "ca"):
        s3.put_object(Bucket="records", Key=key, Body=key.encode(), ContentType="text/x")
    said = littoral("export", job, "--to", depot.served.url).stderr
    assert '{"transfer"' not in said  # of its logs it says nothing
    assert json.loads(littoral("progress", job, "--json").stdout)["problem"] == ""  # that of an earlier try
    held = depot.held("records")
    assert {key: held[key] for key in ("b", "ba", "c")} == {"b": b"b", "ba": b"ba", "c": b"c"}
    assert not {"a", "ca"} & held.keys()
    assert snowball.describe_job(JobId=job)["JobMetadata"]["JobState"] == "InTransitToCustomer"
    snowball.update_job_shipment_state(JobId=job, ShipmentState="RECEIVED")
    snowball.update_job_shipment_state(JobId=job, ShipmentState="RETURNED")
    assert snowball.describe_job(JobId=job)["JobMetadata"]["JobState"] == "Complete"


def _left_and_stopped(littoral: Callable[..., Any], job: str, no_box: str) -> None:
    """In the background towards a box that does not answer; by hand it goes on from there."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert "is a job of type EXPORT" in littoral("import", job, "--from", url, "--background", code=1).stderr
        assert "goes on in the background" in littoral("export", job, "--to", url, "--background").stdout
        silent.settimeout(60)
        asked, _ = silent.accept()  # it is under way
        with asked:
            assert json.loads(littoral("progress", job, "--json", code=1).stdout)["running"]
            told = littoral("progress", job, "--stop", code=1).stdout
            assert re.search(r"background +no\n", told) and re.search(r"state +InProgress\n", told)
            asked.settimeout(60)
            while asked.recv(65536):
                pass  # until whoever asked is gone
    assert not json.loads(littoral("progress", job, "--json", code=1).stdout)["running"]
    littoral("export", job, "--to", no_box, "--background")
    assert "InvalidAccessKeyId" in eventually(lambda: failed_so_far(littoral, job), 60)["problem"]
    assert json.loads(littoral("progress", job, "--stop", "--json", code=1).stdout)["problem"]


def test_an_export_goes_on_in_the_background(
    region: Running, depot: Depot, littoral: Callable[..., Any], tmp_path: Path
) -> None:
    job = ordered(region, "EXPORT", ("outward",))
    s3 = region.client("s3")
    put = {f"k{n}": os.urandom(300 * n) for n in range(20)} | {"large": os.urandom(17 * 1024 * 1024)}
    for key, data in put.items():
        s3.put_object(Bucket="outward", Key=key, Body=data)
    opened(depot, job, littoral("manifest", job, "--code").stdout, tmp_path)
    littoral("export", job, "--to", depot.served.url, "--background")
    snowball = region.client("snowball")
    eventually(lambda: snowball.describe_job(JobId=job)["JobMetadata"]["JobState"] == "InTransitToCustomer", 100)
    assert depot.held("outward") == put
    told = json.loads(littoral("progress", job, "--json").stdout)
    assert (told["state"], told["objects"], told["problem"]) == ("InTransitToCustomer", 21, "")


def test_a_box_for_local_use_moves_nothing_and_is_over_when_it_is_back(
    region: Running, littoral: Callable[..., Any], tmp_path: Path
) -> None:
    job = ordered(region, "LOCAL_USE")
    assert job in littoral("manifest", job).stdout
    littoral("manifest", job, "--ready")
    snowball = region.client("snowball")
    snowball.update_job_shipment_state(JobId=job, ShipmentState="RECEIVED")
    for word, flag in (("import", "--from"), ("export", "--to")):
        assert "LOCAL_USE" in littoral(word, job, flag, "http://127.0.0.1:1", code=1).stderr
    assert snowball.describe_job(JobId=job)["JobMetadata"]["JobState"] == "WithCustomer"
    snowball.update_job_shipment_state(JobId=job, ShipmentState="RETURNED")
    assert snowball.describe_job(JobId=job)["JobMetadata"]["JobState"] == "Complete"


def on_a_terminal(command: Sequence[str], env: dict[str, str]) -> str:
    """What it shows there, to its end."""
    mine, its = pty.openpty()
    with subprocess.Popen(command, env={**env, "TERM": "xterm"}, stdout=its, stderr=its) as running:
        os.close(its)
        seen = b""
        with suppress(OSError):  # EIO, when it has ended
            while more := os.read(mine, 65536):
                seen += more
        os.close(mine)
    assert running.returncode == 0, seen.decode()
    return seen.decode()


def test_a_folder_goes_by_the_command_line(depot: Depot, tmp_path: Path) -> None:
    depot.s3.create_bucket(Bucket="by-cli")
    (tmp_path / "files").mkdir()
    for n in range(20):
        (tmp_path / "files" / f"{n}").write_bytes(os.urandom(n * 100))
    env = {**os.environ, **depot.served.env, "XDG_STATE_HOME": str(tmp_path)}

    def transfer(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "littoral", "box", "transfer", str(tmp_path / "files"), "s3://by-cli/in"]
        return subprocess.run(
            [*command, "--endpoint", depot.served.url, *words], env=env, capture_output=True, check=False, text=True
        )

    done = transfer("--json", "--report", str(tmp_path / "report.jsonl"))
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stderr.splitlines()[-1])
    assert (last["objects"], last["remaining"], last["allListed"]) == (20, 0, True)
    assert depot.held("by-cli").keys() == {f"in/{n}" for n in range(20)}
    lines = [json.loads(line) for line in (tmp_path / "report.jsonl").read_text().splitlines()]
    assert len(lines) == 22
    seen = on_a_terminal(done.args[:-3], env)
    assert "by-cli" in seen and "20 of 20 objects" in seen and "\x1b[" in seen  # a bar that is drawn anew
    (tmp_path / "files" / "bad").symlink_to("1")
    again = transfer()
    assert again.returncode == 1
    assert re.search(
        r"^by-cli: 20 of 20 objects, .* objects/s, .* MB/s, 0 objects \(0.000 GB\) to go$", again.stderr, re.M
    )
    assert "in/bad: it is no regular file" in again.stderr
    assert "no s3://" in subprocess.run(
        [sys.executable, "-m", "littoral", "box", "transfer", ".", "nowhere", "--endpoint", depot.served.url],
        env=env,
        capture_output=True, check=False,
        text=True,
    ).stderr  # fmt: skip


def test_large_objects_of_a_job_go_by_the_region_s_disk(
    region: Running, depot: Depot, littoral: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    went: list[str] = []
    spooled, opened_laid = Bucket.part_spooled, Laid.open

    async def part_spooled(self: Bucket, key: str, *more: Any) -> Any:
        went.append(f"into {key}")
        return await spooled(self, key, *more)

    async def open_laid(folder: Path, item: Item, *more: Any) -> Laid:
        went.append(f"from {item.key}")
        return await opened_laid(folder, item, *more)

    monkeypatch.setattr(Bucket, "part_spooled", part_spooled)
    monkeypatch.setattr(Laid, "open", open_laid)
    put = {"large": os.urandom(33 * 1024 * 1024), "small": b"small"}
    loaded, how = load({"data_dir": str(tmp_path / "region")}, {}, tmp_path), How(quiet=True)
    into = ordered(region, "IMPORT", ("landed",))
    opened(depot, into, littoral("manifest", into, "--code").stdout, tmp_path)
    littoral("manifest", into, "--ready")
    for state in ("RECEIVED", "RETURNED"):
        region.client("snowball").update_job_shipment_state(JobId=into, ShipmentState=state)
    depot.s3.create_bucket(Bucket="landed")
    for key, data in put.items():
        depot.s3.put_object(Bucket="landed", Key=key, Body=data, ChecksumAlgorithm="CRC64NVME")
    with _unchanged_collector():
        assert carry(loaded, into, depot.served.url, how, into_box=False) == 0
    s3 = region.client("s3")
    assert {key: s3.get_object(Bucket="landed", Key=key)["Body"].read() for key in put} == put
    s3.create_bucket(Bucket="leaving")
    for key, data in put.items():
        s3.put_object(Bucket="leaving", Key=key, Body=data)
    out = ordered(region, "EXPORT", ("leaving",))
    opened(depot, out, littoral("manifest", out, "--code").stdout, tmp_path)
    with _unchanged_collector():
        assert carry(loaded, out, depot.served.url, how, into_box=True) == 0
    assert depot.held("leaving") == put
    assert sorted(went) == ["from large", *["into large"] * 3]
    assert list((tmp_path / "region" / "store" / "spool").iterdir()) == []


@contextmanager
def _unchanged_collector() -> Iterator[None]:
    """What a process of its own sets for itself."""
    before = gc.get_threshold()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
