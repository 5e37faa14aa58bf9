"""Jobs through real clients: boto3 for operators, paho and boto3 for devices, on a running place."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.things.place import ARN, Device, Mqtt, Place, allow, running
from tests.things.test_control_boto3 import refused

DOCUMENT = json.dumps({"operation": "install", "files": ["a"]})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


@pytest.fixture(scope="module")
def iot(place: Place) -> Any:
    return place.client("iot")


def until(found: Callable[[], Any], seconds: float = 15) -> Any:
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)
    return value


def status(iot: Any, job: str) -> str:
    return str(iot.describe_job(jobId=job)["job"]["status"])


def executions(iot: Any, job: str) -> dict[str, str]:
    found = iot.list_job_executions_for_job(jobId=job)["executionSummaries"]
    return {one["thingArn"].rpartition("/")[2]: one["jobExecutionSummary"]["status"] for one in found}


def ask(client: Mqtt, thing: str, what: str, payload: dict[str, Any]) -> tuple[str, Any]:
    """Outcome and body of a request on the thing's jobs topics."""
    topic = f"$aws/things/{thing}/jobs/{what}"
    client.publish(topic, payload)
    while True:
        found, body = client.next()
        if found.startswith(topic + "/"):
            return found.removeprefix(topic + "/"), body


def things(iot: Any, *names: str) -> list[str]:
    for name in names:
        iot.create_thing(thingName=name)
    return [ARN + "thing/" + name for name in names]


@pytest.fixture(scope="module")
def pump(place: Place) -> Device:
    return place.device("pump", allow("iot:*"))


def test_a_device_is_told_begins_reports_and_the_job_completes(place: Place, iot: Any, pump: Device) -> None:
    with pump.connect() as client:
        for what in ("notify", "notify-next"):
            client.subscribe(f"$aws/things/pump/jobs/{what}")
        iot.create_job(jobId="j1", targets=[pump_arn(pump)], document=DOCUMENT, description="first")
        topic, told = client.next()
        assert topic.endswith("/notify") and [one["jobId"] for one in told["jobs"]["QUEUED"]] == ["j1"]
        topic, told = client.next()
        assert topic.endswith("/notify-next") and told["execution"]["jobDocument"] == json.loads(DOCUMENT)
        outcome, body = ask(client, "pump", "get", {"clientToken": "t1"})
        assert (outcome, body["clientToken"]) == ("accepted", "t1") and len(body["queuedJobs"]) == 1
        outcome, body = ask(client, "pump", "start-next", {"statusDetails": {"step": "one"}, "stepTimeoutInMinutes": 5})
        execution = body["execution"]
        assert (execution["status"], execution["versionNumber"]) == ("IN_PROGRESS", 2)
        assert 0 < execution["approximateSecondsBeforeTimedOut"] <= 300
        outcome, body = ask(client, "pump", "j1/update", {"status": "IN_PROGRESS", "expectedVersion": 1})
        assert (outcome, body["code"]) == ("rejected", "VersionMismatch")
        assert body["executionState"]["versionNumber"] == 2
        asked = {"status": "SUCCEEDED", "expectedVersion": 2, "includeJobExecutionState": True}
        outcome, body = ask(client, "pump", "j1/update", {**asked, "includeJobDocument": True})
        assert body["executionState"] == {"status": "SUCCEEDED", "statusDetails": {"step": "one"}, "versionNumber": 3}
        assert body["jobDocument"]["operation"] == "install"
        outcome, body = ask(client, "pump", "j1/update", {"status": "FAILED"})
        assert (outcome, body["code"]) == ("rejected", "InvalidStateTransition")
        assert ask(client, "pump", "j1/get", {})[1]["code"] == "TerminalStateReached"
        assert ask(client, "pump", "$next/get", {})[1].keys() == {"timestamp"}
    until(lambda: status(iot, "j1") == "COMPLETED")
    job = iot.describe_job(jobId="j1")["job"]
    assert job["jobProcessDetails"]["numberOfSucceededThings"] == 1 and job["completedAt"] >= job["createdAt"]
    shown = iot.describe_job_execution(jobId="j1", thingName="pump")["execution"]
    assert shown["statusDetails"]["detailsMap"] == {"step": "one"} and shown["versionNumber"] == 3


def pump_arn(device: Device) -> str:
    return ARN + "thing/" + device.name


@pytest.mark.parametrize(
    ("what", "payload", "code"),
    [
        ("get", b"{", "InvalidJson"),
        ("get", b"[]", "InvalidJson"),
        ("get", b'{"clientToken": 7}', "InvalidRequest"),
        ("none/update", b'{"status": "FAILED"}', "ResourceNotFound"),
        ("none/update", b"{}", "InvalidRequest"),
        ("none/update", b'{"status": "FAILED", "expectedVersion": true}', "InvalidRequest"),
        ("none/get", b"{}", "ResourceNotFound"),
        ("start-next", b'{"statusDetails": {"a b": "c"}}', "InvalidRequest"),
        ("$next/update", b'{"status": "FAILED"}', "InvalidTopic"),
        ("nonsense", b"{}", "InvalidTopic"),
    ],
)
def test_what_makes_no_sense_is_rejected_with_its_code(pump: Device, what: str, payload: bytes, code: str) -> None:
    with pump.connect("asker") as client:
        client.publish(f"$aws/things/pump/jobs/{what}", payload)
        topic, body = client.next()  # to who asked, who need not have subscribed
        assert topic == f"$aws/things/pump/jobs/{what}/rejected" and body["code"] == code


def test_an_answer_is_for_who_asked_alone(pump: Device) -> None:
    with pump.connect("watcher") as watcher, pump.connect("asker") as client:
        watcher.subscribe("$aws/things/pump/jobs/get/#")
        assert ask(client, "pump", "get", {})[0] == "accepted"
        watcher.publish("x/sync", {})
        watcher.subscribe("x/last")
        client.publish("x/last", {"last": True})
        assert watcher.next()[0] == "x/last"


def test_the_http_device_api_asks_the_policies(place: Place, iot: Any) -> None:
    valve = place.device(
        "valve", allow(["iot:GetPendingJobExecutions", "iot:StartNextPendingJobExecution"], "thing/valve")
    )
    iot.create_job(jobId="http", targets=[pump_arn(valve)], document=DOCUMENT)
    until(lambda: executions(iot, "http"))
    found, body = valve.https("GET", "/things/valve/jobs")
    assert (found, [one["jobId"] for one in body["queuedJobs"]]) == (200, ["http"])
    assert valve.https("GET", "/things/pump/jobs")[0] == 403
    found, body = valve.https("PUT", "/things/valve/jobs/$next", b"{}")
    assert found == 200 and json.loads(body["execution"]["jobDocument"]) == json.loads(DOCUMENT)
    assert valve.https("POST", "/things/valve/jobs/http", b'{"status": "SUCCEEDED"}')[0] == 403
    devices = place.client("iot-jobs-data")  # a user with an access key may do everything
    answer = devices.update_job_execution(
        thingName="valve", jobId="http", status="FAILED", includeJobExecutionState=True
    )
    assert answer["executionState"]["status"] == "FAILED"
    refused("TerminalStateException", devices.describe_job_execution, thingName="valve", jobId="http")
    refused(
        "InvalidStateTransitionException",
        devices.update_job_execution,
        thingName="valve",
        jobId="http",
        status="SUCCEEDED",
    )
    refused("ResourceNotFoundException", devices.describe_job_execution, thingName="valve", jobId="nix")
    assert devices.start_next_pending_job_execution(thingName="valve").get("execution") is None
    assert iot.describe_endpoint(endpointType="iot:Jobs")["endpointAddress"] == f"127.0.0.1:{place.port}"


def test_a_failure_is_tried_again_as_often_as_the_job_says(place: Place, iot: Any) -> None:
    target = things(iot, "flaky")
    retry = {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 1}]}
    iot.create_job(jobId="retry", targets=target, document=DOCUMENT, jobExecutionsRetryConfig=retry)
    devices = place.client("iot-jobs-data")
    for number in (1, 2):
        execution = until(lambda: devices.start_next_pending_job_execution(thingName="flaky").get("execution"))
        assert execution["executionNumber"] == number
        devices.update_job_execution(thingName="flaky", jobId="retry", status="FAILED", executionNumber=number)
    until(lambda: status(iot, "retry") == "COMPLETED")
    summary = iot.list_job_executions_for_thing(thingName="flaky")["executionSummaries"][0]["jobExecutionSummary"]
    assert (summary["status"], summary["retryAttempt"], summary["executionNumber"]) == ("FAILED", 1, 2)


def test_a_continuous_job_follows_its_group(place: Place, iot: Any) -> None:
    iot.create_thing_group(thingGroupName="fleet")
    things(iot, "f1", "f2", "f3")
    iot.add_thing_to_thing_group(thingGroupName="fleet", thingName="f1")
    group = ARN + "thinggroup/fleet"
    iot.create_job(jobId="follow", targets=[group], document=DOCUMENT, targetSelection="CONTINUOUS")
    until(lambda: executions(iot, "follow") == {"f1": "QUEUED"})
    iot.add_thing_to_thing_group(thingGroupName="fleet", thingName="f2")
    until(lambda: executions(iot, "follow") == {"f1": "QUEUED", "f2": "QUEUED"})
    iot.remove_thing_from_thing_group(thingGroupName="fleet", thingName="f1")
    until(lambda: executions(iot, "follow")["f1"] == "REMOVED")
    iot.associate_targets_with_job(jobId="follow", targets=[ARN + "thing/f3"])
    until(lambda: executions(iot, "follow").get("f3") == "QUEUED")
    assert [job["jobId"] for job in iot.list_jobs(thingGroupName="fleet")["jobs"]] == ["follow"]
    refused("InvalidStateTransitionException", iot.delete_job, jobId="follow")
    place.client("iot-jobs-data").start_next_pending_job_execution(thingName="f2")
    iot.cancel_job(jobId="follow", reasonCode="enough")
    until(lambda: executions(iot, "follow") == {"f1": "REMOVED", "f2": "IN_PROGRESS", "f3": "CANCELED"})
    iot.cancel_job(jobId="follow", force=True)
    until(lambda: executions(iot, "follow")["f2"] == "CANCELED")
    iot.delete_job(jobId="follow")
    until(lambda: "follow" not in [job["jobId"] for job in iot.list_jobs()["jobs"]])
    assert iot.list_job_executions_for_thing(thingName="f2")["executionSummaries"] == []


def test_a_job_that_fails_too_often_is_given_up(place: Place, iot: Any) -> None:
    targets = things(iot, *(f"a{number}" for number in range(5)))
    criterion = {"failureType": "ALL", "action": "CANCEL", "thresholdPercentage": 50.0, "minNumberOfExecutedThings": 2}
    iot.create_job(jobId="abort", targets=targets, document=DOCUMENT, abortConfig={"criteriaList": [criterion]})
    until(lambda: len(executions(iot, "abort")) == 5)
    devices = place.client("iot-jobs-data")
    for name, outcome in (("a0", "FAILED"), ("a1", "REJECTED")):
        devices.update_job_execution(thingName=name, jobId="abort", status=outcome)
    until(lambda: status(iot, "abort") == "CANCELED")
    assert iot.describe_job(jobId="abort")["job"]["reasonCode"] == "ABORT_CRITERIA_MET"
    until(lambda: sorted(executions(iot, "abort").values()) == ["CANCELED"] * 3 + ["FAILED", "REJECTED"])


def test_a_rollout_keeps_its_rate(iot: Any) -> None:
    targets = things(iot, *(f"r{number}" for number in range(7)))
    rollout = {
        "maximumPerMinute": 50,
        "exponentialRate": {
            "baseRatePerMinute": 3,
            "incrementFactor": 2,
            "rateIncreaseCriteria": {"numberOfNotifiedThings": 3},
        },
    }
    iot.create_job(jobId="slow", targets=targets, document=DOCUMENT, jobExecutionsRolloutConfig=rollout)
    until(lambda: len(executions(iot, "slow")) == 3)
    job = iot.describe_job(jobId="slow")["job"]
    assert job["jobExecutionsRolloutConfig"] == rollout and job["status"] == "IN_PROGRESS"
    assert len(executions(iot, "slow")) == 3  # the rest in the minutes to come
    iot.cancel_job(jobId="slow", force=True)


def test_one_execution_is_cancelled_and_deleted(place: Place, iot: Any) -> None:
    targets = things(iot, "c1", "c2")
    iot.create_job(jobId="single", targets=targets, document=DOCUMENT)
    until(lambda: len(executions(iot, "single")) == 2)
    refused("VersionConflictException", iot.cancel_job_execution, jobId="single", thingName="c1", expectedVersion=9)
    iot.cancel_job_execution(jobId="single", thingName="c1", expectedVersion=1, statusDetails={"why": "test"})
    place.client("iot-jobs-data").start_next_pending_job_execution(thingName="c2")
    refused("InvalidStateTransitionException", iot.cancel_job_execution, jobId="single", thingName="c2")
    iot.cancel_job_execution(jobId="single", thingName="c2", force=True)
    assert iot.describe_job_execution(jobId="single", thingName="c2")["execution"]["forceCanceled"] is True
    until(lambda: status(iot, "single") == "COMPLETED")
    iot.delete_job_execution(jobId="single", thingName="c1", executionNumber=1)
    assert executions(iot, "single") == {"c2": "CANCELED"}


def test_a_document_lies_in_a_bucket_and_names_objects(place: Place, iot: Any) -> None:
    document = {"get": "${aws:iot:s3-presigned-url:https://s3.us-east-1.amazonaws.com/firmware/v1.bin}"}
    place.sink.objects["doc.json"] = json.dumps(document).encode()
    target = things(iot, "reader")
    iot.create_job(
        jobId="bucket",
        targets=target,
        documentSource="https://s3.amazonaws.com/b/doc.json",
        presignedUrlConfig={"roleArn": "arn:aws:iam::000000000000:role/r", "expiresInSec": 600},
    )
    assert iot.describe_job(jobId="bucket")["documentSource"] == "https://s3.amazonaws.com/b/doc.json"
    assert json.loads(iot.get_job_document(jobId="bucket", beforeSubstitution=True)["document"]) == document
    devices = place.client("iot-jobs-data")
    execution = until(lambda: devices.start_next_pending_job_execution(thingName="reader").get("execution"))
    assert json.loads(execution["jobDocument"])["get"] == "https://objects.example/firmware/v1.bin?for=600"
    missing = "https://s3.amazonaws.com/missing/doc.json"
    refused("InvalidRequestException", iot.create_job, jobId="x", targets=target, documentSource=missing)


def test_templates_make_jobs(iot: Any) -> None:
    target = things(iot, "templated")
    timeout = {"inProgressTimeoutInMinutes": 7}
    made = iot.create_job_template(jobTemplateId="t1", description="nightly", document=DOCUMENT, timeoutConfig=timeout)
    iot.create_job(jobId="of-template", targets=target, jobTemplateArn=made["jobTemplateArn"])
    job = iot.describe_job(jobId="of-template")["job"]
    assert (job["timeoutConfig"], job["description"]) == (timeout, "nightly")
    assert job["jobTemplateArn"] == made["jobTemplateArn"]
    iot.create_job_template(jobTemplateId="t2", description="of a job", jobArn=job["jobArn"])
    assert iot.describe_job_template(jobTemplateId="t2")["document"] == DOCUMENT
    assert [one["jobTemplateId"] for one in iot.list_job_templates()["jobTemplates"]] == ["t1", "t2"]
    refused("ConflictException", iot.create_job_template, jobTemplateId="t1", description="d", document=DOCUMENT)
    iot.delete_job_template(jobTemplateId="t1")
    refused("ResourceNotFoundException", iot.describe_job_template, jobTemplateId="t1")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"document": "{"}, "InvalidRequestException"),
        ({"document": '"' + "a" * 33000 + '"'}, "InvalidRequestException"),
        ({"document": '{"a": "${aws:iot:s3-presigned-url:nix}"}'}, "InvalidRequestException"),
        ({"targets": [ARN + "thing/nobody"]}, "ResourceNotFoundException"),
        ({"targets": ["arn:aws:s3:::b"]}, "InvalidRequestException"),
        ({"timeoutConfig": {"inProgressTimeoutInMinutes": 0}}, "InvalidRequestException"),
        ({"jobExecutionsRolloutConfig": {"maximumPerMinute": 1001}}, "InvalidRequestException"),
        ({"schedulingConfig": {"startTime": "tomorrow"}}, "InvalidRequestException"),
        (
            {"schedulingConfig": {"maintenanceWindows": [{"startTime": "noon", "durationInMinutes": 1}]}},
            "InvalidRequestException",
        ),
        ({"schedulingConfig": {"startTime": "2020-01-01T10:00"}}, "InvalidRequestException"),
        ({"jobTemplateArn": ARN + "jobtemplate/none"}, "ResourceNotFoundException"),
    ],
)
def test_a_job_that_cannot_be_honoured_is_refused(iot: Any, change: dict[str, Any], code: str) -> None:
    arguments: dict[str, Any] = {"jobId": "bad", "targets": things(iot, "templated"), "document": DOCUMENT, **change}
    refused(code, iot.create_job, **arguments)
    refused("ResourceNotFoundException", iot.describe_job, jobId="bad")


def test_a_schedule_waits_for_its_start(iot: Any) -> None:
    target = things(iot, "later")
    schedule = {"startTime": "2099-01-01T00:00", "endTime": "2099-01-02T00:00", "endBehavior": "CANCEL"}
    iot.create_job(jobId="later", targets=target, document=DOCUMENT, schedulingConfig=schedule)
    job = iot.describe_job(jobId="later")["job"]
    assert (job["status"], job["schedulingConfig"]) == ("SCHEDULED", schedule)
    iot.cancel_job(jobId="later")
    assert status(iot, "later") == "CANCELED"


def test_events_of_jobs_are_told_once_they_are_turned_on(place: Place, iot: Any, pump: Device) -> None:
    target = things(iot, "eventful")
    assert iot.describe_event_configurations()["eventConfigurations"]["JOB"] == {"Enabled": False}
    on = {"JOB": {"Enabled": True}, "JOB_EXECUTION": {"Enabled": True}, "THING": {"Enabled": False}}
    iot.update_event_configurations(eventConfigurations=on)
    with pump.connect("listener") as client:
        client.subscribe("$aws/events/job/#")
        client.subscribe("$aws/events/jobExecution/#")
        iot.create_job(jobId="told", targets=target, document=DOCUMENT)
        until(lambda: executions(iot, "told"))
        place.client("iot-jobs-data").update_job_execution(thingName="eventful", jobId="told", status="SUCCEEDED")
        topic, event = client.next()
        assert (topic, event["thingArn"]) == ("$aws/events/jobExecution/told/succeeded", target[0])
        topic, event = client.next()
        assert topic == "$aws/events/job/told/completed"
        assert event["jobProcessDetails"]["numberOfSucceededThings"] == 1
        iot.delete_job(jobId="told")
        told = [client.next()[0] for _ in range(3)]
        assert told[0] == "$aws/events/job/told/deletion_in_progress"
        assert sorted(told[1:]) == ["$aws/events/job/told/deleted", "$aws/events/jobExecution/told/deleted"]
    iot.update_event_configurations(eventConfigurations={kind: {"Enabled": False} for kind in on})


def test_a_job_is_made_of_a_managed_template(place: Place, iot: Any) -> None:
    names = [one["templateName"] for one in iot.list_managed_job_templates()["managedJobTemplates"]]
    assert names == sorted(names) and len(names) == 7 and "AWS-Reboot" in names
    template = iot.describe_managed_job_template(templateName="AWS-Download-File")
    assert template["templateArn"] == "arn:aws:iot:us-east-1::jobtemplate/AWS-Download-File:1.0"
    assert [one["key"] for one in template["documentParameters"] if not one["optional"]] == ["downloadUrl", "filePath"]
    refused("ResourceNotFoundException", iot.describe_managed_job_template, templateName="AWS-Fly")
    other = {"templateName": "AWS-Reboot", "templateVersion": "9.0"}
    refused("ResourceNotFoundException", iot.describe_managed_job_template, **other)
    given = {"jobId": "managed", "targets": things(iot, "managed"), "jobTemplateArn": template["templateArn"]}
    parameters = {"downloadUrl": 'https://example.org/"a"', "filePath": "/tmp/a"}
    for bad in ({"filePath": "/tmp/a"}, {**parameters, "speed": "fast"}):
        refused("InvalidRequestException", iot.create_job, **given, documentParameters=bad)
    own = {"jobId": "managed", "targets": given["targets"], "document": "{}"}
    refused("InvalidRequestException", iot.create_job, **own, documentParameters=parameters)
    iot.create_job(**given, documentParameters=parameters)
    assert iot.describe_job(jobId="managed")["job"]["documentParameters"] == parameters
    device = place.client("iot-jobs-data")
    begun = until(lambda: device.start_next_pending_job_execution(thingName="managed").get("execution"))
    (step,) = json.loads(begun["jobDocument"])["steps"]
    assert step["action"]["input"] == {
        **{"handler": "download-file.sh", "path": ""},
        "args": ['https://example.org/"a"', "/tmp/a"],
    }
    raw = iot.get_job_document(jobId="managed", beforeSubstitution=True)["document"]
    assert "${aws:iot:parameter:downloadUrl}" in raw


def test_a_template_has_maintenance_windows_for_its_jobs(iot: Any) -> None:
    windows = [{"startTime": "cron(0 3 ? * * *)", "durationInMinutes": 60}]
    made = {"jobTemplateId": "nightly", "description": "at night", "document": DOCUMENT}
    bad = [{"startTime": "noon", "durationInMinutes": 1}]
    refused("InvalidRequestException", iot.create_job_template, **made, maintenanceWindows=bad)
    arn = iot.create_job_template(**made, maintenanceWindows=windows)["jobTemplateArn"]
    assert iot.describe_job_template(jobTemplateId="nightly")["maintenanceWindows"] == windows
    iot.create_job(jobId="nightly", targets=things(iot, "sleeper"), jobTemplateArn=arn, targetSelection="CONTINUOUS")
    job = iot.describe_job(jobId="nightly")["job"]
    assert job["schedulingConfig"] == {"maintenanceWindows": windows} and job["scheduledJobRollouts"]
