"""A whole place: a topic rule invokes a function only where the function's resource policy lets it."""

from __future__ import annotations

import json
from typing import Any

from tests.site.conftest import ROLE, Running
from tests.site.test_sources import archive

RULE = "arn:aws:iot:us-east-1:000000000000:rule/"


def test_a_rule_needs_the_permission_of_its_function(place: Running) -> None:
    functions, iot, s3 = place.client("lambda"), place.client("iot"), place.client("s3")
    s3.create_bucket(Bucket="seen")
    code = "import json\ndef handler(event, context): print('got', json.dumps(event))"
    made = functions.create_function(
        FunctionName="alarm", Role=ROLE, Runtime="python3.11", Handler="app.handler", Code={"ZipFile": archive(code)}
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="alarm")
    kept = {"s3": {"roleArn": ROLE, "bucketName": "seen", "key": "${topic()}"}}
    for name in ("ward", "shop"):
        iot.create_topic_rule(
            ruleName=name,
            topicRulePayload={
                "sql": f"SELECT * FROM '{name}'",
                "actions": [{"lambda": {"functionArn": made["FunctionArn"]}}],
                "errorAction": kept,
            },
        )
    functions.add_permission(
        FunctionName="alarm",
        StatementId="rule",
        Action="lambda:InvokeFunction",
        Principal="iot.amazonaws.com",
        SourceArn=RULE + "ward",
    )
    data = place.client("iot-data")
    data.publish(topic="shop", qos=1, payload=b'{"bed": 1}')
    data.publish(topic="ward", qos=1, payload=b'{"bed": 2}')
    failure = polled(s3, "shop")["failures"][0]
    assert failure["failedAction"] == "LambdaAction"
    assert "resource policy" in failure["errorMessage"]
    logs = place.client("logs")
    said: list[str] = []
    while not said:
        try:
            events = logs.filter_log_events(logGroupName="/aws/lambda/alarm", filterPattern="got")["events"]
        except logs.exceptions.ResourceNotFoundException:  # it has not begun
            continue
        said = [event["message"].strip() for event in events]
    assert said == ['got {"bed": 2}']

    functions.remove_permission(FunctionName="alarm", StatementId="rule")
    data.publish(topic="ward", qos=1, payload=b'{"bed": 3}')
    assert "resource policy" in polled(s3, "ward")["failures"][0]["errorMessage"]


def polled(s3: Any, key: str) -> dict[str, Any]:
    while True:
        try:
            report: dict[str, Any] = json.loads(s3.get_object(Bucket="seen", Key=key)["Body"].read())
            return report
        except s3.exceptions.NoSuchKey:
            continue
