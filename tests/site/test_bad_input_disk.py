"""A full disk under a running place: modelled errors, nothing half-written, and work again once there is space."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from botocore.exceptions import ClientError
from paho.mqtt.enums import CallbackAPIVersion

from .conftest import ROLE, Running, up
from .test_clients import zipped

MODELLED = {"ServiceUnavailable", "InternalError", "InternalFailureException", "ServiceException"}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB; root may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"needs root to mount a small file system: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Take every byte that is left."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size):
                    continue
            except OSError:
                continue
    return filler


def refusal(work: Callable[[], Any]) -> tuple[str, int] | None:
    """How a call was refused; None when it was done."""
    try:
        work()
    except ClientError as error:
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    return None


def acknowledged(place: Running, *, expect: bool) -> bool:
    """Whether a QoS 1 message to a durable session that is away is acknowledged."""
    client: Any = paho.Client(CallbackAPIVersion.VERSION2, client_id="sender")
    client.connect("127.0.0.1", place.port("mqtt"))
    client.loop_start()
    try:
        message = client.publish("full/a", b"x" * 100_000, qos=1)
        try:
            message.wait_for_publish(10 if expect else 2)
        except (RuntimeError, ValueError):
            return False
        return bool(message.is_published())
    finally:
        client.disconnect()
        client.loop_stop()


def sleeper(place: Running) -> None:
    """A session that lasts and is away."""
    client: Any = paho.Client(CallbackAPIVersion.VERSION2, client_id="sleeper", clean_session=False)
    client.on_connect = lambda *_: client.subscribe("full/#", 1)
    client.on_subscribe = lambda *_: client.disconnect()
    client.connect("127.0.0.1", place.port("mqtt"))
    client.loop_forever()


def test_a_full_disk_is_a_modelled_error_and_passes(small: Path) -> None:
    folder = small / "place"
    place = up(folder)
    try:
        s3, functions, data = place.client("s3"), place.client("lambda"), place.client("iot-data")
        s3.create_bucket(Bucket="full")
        s3.put_object(Bucket="full", Key="kept", Body=b"before")
        data.update_thing_shadow(thingName="kept", payload=b'{"state":{"desired":{"a":1}}}')
        sleeper(place)
        code = zipped(m__py="def handler(event, context):\n    return 'here'\n", blob=os.urandom(200_000).hex())
        made = {"Runtime": "python3.11", "Handler": "m.handler", "Role": ROLE, "Code": {"ZipFile": code}}
        shadow = b'{"state":{"desired":{"a":"' + b"x" * 7000 + b'"}}}'
        works: dict[str, Callable[[], Any]] = {
            "put": lambda: s3.put_object(Bucket="full", Key="kept", Body=b"y" * 3_000_000),
            "function": lambda: functions.create_function(FunctionName="f", **made),
            "shadow": lambda: data.update_thing_shadow(thingName="new", payload=shadow),
            "bucket": lambda: s3.create_bucket(Bucket="another"),
        }

        filler = fill(small)
        refusals = {name: refusal(work) for name, work in works.items()}
        published = acknowledged(place, expect=False)
        place.process.check_alive()
        assert not published
        for name, found in refusals.items():
            assert found is not None, (name, "was done on a full disk")
            assert found[1] in {500, 503}, (name, found)
            assert found[0] in MODELLED, (name, found)
        assert s3.get_object(Bucket="full", Key="kept")["Body"].read() == b"before"
        assert not functions.list_functions()["Functions"]
        assert [b["Name"] for b in s3.list_buckets()["Buckets"]] == ["full"]
        assert refusal(lambda: data.get_thing_shadow(thingName="new")) == ("ResourceNotFoundException", 404)
        assert "Traceback" not in place.process.log.read_text()

        filler.unlink()
        for name, work in works.items():
            assert refusal(work) is None, name
        assert s3.get_object(Bucket="full", Key="kept")["ContentLength"] == 3_000_000
        assert functions.invoke(FunctionName="f")["Payload"].read() == b'"here"'
        assert acknowledged(place, expect=True)
        assert place.process.stop() == 0, place.process.log_end()

        place = up(folder)  # what was acknowledged is there, and it opens
        assert place.client("s3").get_object(Bucket="full", Key="kept")["ContentLength"] == 3_000_000
        assert place.client("lambda").invoke(FunctionName="f")["Payload"].read() == b'"here"'
    finally:
        place.process.stop()
