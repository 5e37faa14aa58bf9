"""Bulk registration through boto3: lines of an object become things, reports say what came of each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from littoral.store.embedded import EmbeddedStore
from littoral.things.provisioning.bulk import BulkRegistration, Task
from tests.things.conftest import Clock
from tests.things.place import ARN, Place, running
from tests.things.test_control_boto3 import refused
from tests.things.test_jobs import until

POLICY = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "iot:Connect", "Resource": "*"}}'
TEMPLATE = json.dumps(
    {
        "Parameters": {"Name": {"Type": "String"}, "CSR": {"Type": "String"}},
        "Resources": {
            "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "Name"}}},
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {"CertificateSigningRequest": {"Ref": "CSR"}, "Status": "ACTIVE"},
            },
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": POLICY}},
        },
    }
)
ROLE = "arn:aws:iam::000000000000:role/bulk"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture(scope="module")
def iot(place: Place) -> Any:
    return place.client("iot")


def csr() -> str:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bed")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject)
    signed = request.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


def start(iot: Any, key: str, bucket: str = "fleet") -> str:
    given = {"templateBody": TEMPLATE, "inputFileBucket": bucket, "inputFileKey": key, "roleArn": ROLE}
    return str(iot.start_thing_registration_task(**given)["taskId"])


def ended(iot: Any, task: str) -> dict[str, Any]:
    def over() -> dict[str, Any] | None:
        found: dict[str, Any] = iot.describe_thing_registration_task(taskId=task)
        return None if found["status"] in ("InProgress", "Cancelling") else found

    return until(over)


def report(place: Place, task: str, kind: str) -> list[dict[str, Any]]:
    links = place.client("iot").list_thing_registration_task_reports(taskId=task, reportType=kind)["resourceLinks"]
    if not links:
        return []
    (link,) = links
    key = link.removeprefix("https://objects.example/fleet/").partition("?")[0]
    return [json.loads(line) for line in place.sink.objects[key].splitlines()]


def test_each_line_becomes_a_thing_or_an_error(place: Place, iot: Any) -> None:
    lines = [{"Name": "bulk1", "CSR": csr()}, {"Name": "bad name", "CSR": csr()}, {"Name": "bulk2", "CSR": csr()}]
    place.sink.objects["beds.json"] = b"\n".join(json.dumps(line).encode() for line in lines) + b"\n\nno JSON\n[1]\n"
    task = start(iot, "beds.json")
    done = ended(iot, task)
    assert (done["status"], done["successCount"], done["failureCount"]) == ("Completed", 2, 3)
    assert (done["percentageProgress"], done["inputFileKey"], done["roleArn"]) == (100, "beds.json", ROLE)
    results = report(place, task, "RESULTS")
    assert [one["lineNumber"] for one in results] == [1, 3]
    assert results[0]["offset"] == 0 and results[1]["offset"] > 100
    assert results[0]["response"]["ResourceArns"]["thing"] == ARN + "thing/bulk1"
    assert results[0]["response"]["CertificatePem"].startswith("-----BEGIN CERTIFICATE")
    (principal,) = iot.list_thing_principals(thingName="bulk2")["principals"]
    assert principal == results[1]["response"]["ResourceArns"]["certificate"]
    errors = report(place, task, "ERRORS")
    assert [one["error"]["code"] for one in errors] == [
        *("ResourceRegistrationFailureException", "InvalidRequestException", "InvalidRequestException")
    ]
    assert task in iot.list_thing_registration_tasks()["taskIds"]
    assert task not in iot.list_thing_registration_tasks(status="Failed")["taskIds"]
    refused("InvalidRequestException", iot.stop_thing_registration_task, taskId=task)


def test_a_task_whose_input_is_not_there_fails_and_says_why(place: Place, iot: Any) -> None:
    done = ended(iot, start(iot, "x", bucket="missing"))
    assert (done["status"], done["message"]) == ("Failed", "NoSuchBucket: The specified bucket does not exist")
    refused("ResourceNotFoundException", iot.describe_thing_registration_task, taskId="none")
    refused("InvalidRequestException", iot.list_thing_registration_task_reports, taskId="none", reportType="ERRORS")
    bad = {"templateBody": "{}", "inputFileBucket": "fleet", "inputFileKey": "x", "roleArn": ROLE}
    refused("InvalidRequestException", iot.start_thing_registration_task, **bad)


class Fleet:
    """A bucket, and a registration that waits to be let go on."""

    def __init__(self, lines: int) -> None:
        self.objects = {"in": b"".join(b'{"n": "%d"}\n' % n for n in range(lines))}
        self.registered: list[str] = []
        self.gate = asyncio.Semaphore(0)

    async def read(self, bucket: str, key: str, most: int | None = None) -> bytes:
        return self.objects[key]

    def presign(self, bucket: str, key: str, seconds: int) -> str:
        return f"{bucket}/{key}"

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> None:
        self.objects[key] = data

    async def register(self, body: str, parameters: Any, now: float) -> dict[str, Any]:
        await self.gate.acquire()
        self.registered.append(parameters["n"])
        return {"certificatePem": "pem", "resourceArns": {}}


async def becomes(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not wanted():
            await asyncio.sleep(0.01)


def opened(store: EmbeddedStore, clock: Clock, fleet: Fleet) -> BulkRegistration:
    bulk = BulkRegistration(store.records("things"), clock, fleet)
    bulk.register = fleet.register
    return bulk


async def test_a_place_that_stops_goes_on_behind_what_it_knows(store: EmbeddedStore, clock: Clock) -> None:
    fleet = Fleet(lines=5)
    bulk = opened(store, clock, fleet)
    await bulk.open()
    await bulk.put(Task("t", "{}", "b", "in", ROLE, clock(), clock()))
    bulk.start()
    for _ in range(3):
        fleet.gate.release()
    await becomes(lambda: len(fleet.registered) == 3 and fleet.gate.locked())
    await bulk.close()
    again = opened(store, clock, fleet)
    await again.open()
    again.start()
    for _ in range(3):
        fleet.gate.release()
    await becomes(lambda: next(again.tasks.values()).over)
    await again.close()
    done = next(again.tasks.values())
    assert (done.status, done.succeeded, done.failed) == ("Completed", 5, 0)
    assert sorted(set(fleet.registered)) == ["0", "1", "2", "3", "4"] and len(fleet.registered) <= 6
    assert len(fleet.objects["in.t.results"].splitlines()) == 5


async def test_a_task_is_stopped_between_two_lines(store: EmbeddedStore, clock: Clock) -> None:
    fleet = Fleet(lines=5)
    bulk = opened(store, clock, fleet)
    await bulk.open()
    await bulk.put(Task("t", "{}", "b", "in", ROLE, clock(), clock()))
    bulk.start()
    fleet.gate.release()
    await becomes(lambda: fleet.registered == ["0"])
    async with bulk.changing:
        found = bulk.tasks.get("t")
        assert found is not None
        await bulk.put(Task.from_json({**found.to_json(), "status": "Cancelling"}))
    fleet.gate.release()
    await becomes(lambda: next(bulk.tasks.values()).over)
    await bulk.close()
    done = next(bulk.tasks.values())
    assert done.status == "Cancelled" and 1 <= done.succeeded <= 2
    assert bulk.links(done, "RESULTS") == ["b/in.t.results"] and bulk.links(done, "ERRORS") == []
