"""Jobs and bulk registration on a whole place: presigned objects, and a rollout that a kill -9 interrupts."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

from tests.site.conftest import Running
from tests.things.test_bulk import ROLE, TEMPLATE, csr, ended
from tests.things.test_jobs import executions, until

ARN = "arn:aws:iot:us-east-1:000000000000:"


def test_what_was_acknowledged_outlives_a_kill_and_a_device_gets_its_object(start: Callable[..., Running]) -> None:
    place = start()
    s3, iot, device = place.client("s3"), place.client("iot"), place.client("iot-jobs-data")
    s3.create_bucket(Bucket="firmware")
    s3.put_object(Bucket="firmware", Key="a b/v1.bin", Body=b"new firmware")
    placeholder = "${aws:iot:s3-presigned-url:https://s3.us-east-1.amazonaws.com/firmware/a%20b/v1.bin}"
    s3.put_object(Bucket="firmware", Key="job.json", Body=json.dumps({"get": placeholder}).encode())
    names = [f"t{number}" for number in range(20)]
    for name in names:
        iot.create_thing(thingName=name)
    iot.create_job(
        jobId="update",
        targets=[ARN + "thing/" + name for name in names],
        documentSource="https://s3.us-east-1.amazonaws.com/firmware/job.json",
        timeoutConfig={"inProgressTimeoutInMinutes": 60},
    )
    begun: dict[str, Any] = until(lambda: device.start_next_pending_job_execution(thingName="t0").get("execution"))
    device.update_job_execution(thingName="t0", jobId="update", status="SUCCEEDED", statusDetails={"v": "1"})
    device_begun = until(lambda: device.start_next_pending_job_execution(thingName="t1").get("execution"))
    iot.cancel_job(jobId="update", reasonCode="kill")
    place.process._process.kill()  # in the middle of cancelling, or just before or after
    place.process._process.wait(30)

    place = start()
    iot, device = place.client("iot"), place.client("iot-jobs-data")
    wanted = {"t0": "SUCCEEDED", "t1": "IN_PROGRESS"}
    until(lambda: {**dict.fromkeys(executions(iot, "update"), "CANCELED"), **wanted} == executions(iot, "update"))
    assert begun["versionNumber"] == device_begun["versionNumber"] == 2
    shown = iot.describe_job_execution(jobId="update", thingName="t1")["execution"]
    assert 0 < shown["approximateSecondsBeforeTimedOut"] <= 3600
    describe = device.describe_job_execution(thingName="t1", jobId="update")["execution"]
    url = json.loads(describe["jobDocument"])["get"]
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.read() == b"new firmware"


def test_things_are_registered_from_an_object_and_the_report_is_fetched(start: Callable[..., Running]) -> None:
    place = start()
    s3, iot = place.client("s3"), place.client("iot")
    s3.create_bucket(Bucket="fleet")
    lines = [json.dumps({"Name": f"bulk{number}", "CSR": csr()}) for number in range(3)]
    s3.put_object(Bucket="fleet", Key="beds.json", Body="\n".join(lines).encode())
    given = {"templateBody": TEMPLATE, "inputFileBucket": "fleet", "inputFileKey": "beds.json", "roleArn": ROLE}
    task = iot.start_thing_registration_task(**given)["taskId"]
    assert ended(iot, task)["successCount"] == 3
    (link,) = iot.list_thing_registration_task_reports(taskId=task, reportType="RESULTS")["resourceLinks"]
    with urllib.request.urlopen(link, timeout=10) as answer:
        arns = [json.loads(line)["response"]["ResourceArns"]["thing"] for line in answer]
    assert arns == [ARN + f"thing/bulk{number}" for number in range(3)]
