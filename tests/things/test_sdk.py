"""AWS's IoT device SDK (awsiotsdk) as a device of a running place."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.things.place import ARN, Device, Place, allow, running
from tests.things.test_jobs import executions, until
from tests.things.test_provisioning import BODY, ROLE

pytest.importorskip("awsiot", reason="awsiotsdk is not installed: make setup")
SCRIPT = Path(__file__).with_name("sdk_device.py")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


def sdk(kind: str, device: Device, *rest: str) -> dict[str, Any]:
    """What the SDK saw, in a process of its own."""
    place = device.place
    command = [SCRIPT, kind, "localhost", place.port, place.ca, device.certificate, device.key, *rest]
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_its_jobs_client_does_a_job(place: Place) -> None:
    own = "${iot:Connection.Thing.ThingName}"
    device = place.device(
        "sdk",
        allow("iot:Connect", f"client/{own}"),
        allow(["iot:Publish", "iot:Receive"], f"topic/$aws/things/{own}/jobs/*"),
        allow("iot:Subscribe", f"topicfilter/$aws/things/{own}/jobs/*"),
    )
    document = json.dumps({"operation": "reboot"})
    for job in ("first", "second"):
        place.client("iot").create_job(jobId=job, targets=[ARN + "thing/sdk"], document=document)
        until(lambda job=job: executions(place.client("iot"), job))
    assert sdk("jobs", device, "sdk") == {
        "queued": ["first", "second"],
        "job": "first",
        "document": {"operation": "reboot"},
        "started": True,
        "refused": "VersionMismatch",
        "next": "second",
    }


def test_its_identity_client_provisions_a_device(place: Place) -> None:
    iot = place.client("iot")
    iot.create_thing_group(thingGroupName="beds")
    iot.create_provisioning_template(
        templateName="sdk", templateBody=BODY, provisioningRoleArn=ROLE, enabled=True, type="FLEET_PROVISIONING"
    )
    claim = place.device("claim", allow("iot:*"))
    assert sdk("provision", claim, "sdk-1", "sdk") == {
        "thing": "bed-sdk-1",
        "configuration": {"url": "https://example.org/none"},
        "refused": "InvalidCertificateOwnershipToken",
        "key": "-----BEGIN RSA PRIVATE KEY-----",
    }


def test_its_shadow_client_keeps_a_named_shadow(place: Place) -> None:
    device = place.device("twin", allow("iot:*"))
    assert sdk("shadow", device, "twin", "config") == {
        "version": 1,
        "delta": {"rate": 5},
        "refused": 409,
        "desired": {"rate": 5},
        "timed": True,
        "deleted": 1,
    }
