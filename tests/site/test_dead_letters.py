"""A whole place: what a function failed to do goes to an MQTT topic, whose rule puts it into a bucket."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from tests.site.conftest import ROLE, Running
from tests.site.test_sources import archive

TOPIC = "arn:aws:iot:us-east-1:000000000000:topic/"


def test_a_dead_letter_reaches_the_rules_of_its_topic(place: Running) -> None:
    functions, s3 = place.client("lambda"), place.client("s3")
    s3.create_bucket(Bucket="dead")
    place.client("iot").create_topic_rule(
        ruleName="dead",
        topicRulePayload={
            "sql": "SELECT * FROM 'failed/#'",
            "actions": [{"s3": {"roleArn": ROLE, "bucketName": "dead", "key": "last"}}],
        },
    )
    made = functions.create_function(
        FunctionName="fails",
        Role=ROLE,
        Runtime="python3.11",
        Handler="app.handler",
        Code={"ZipFile": archive("def handler(event, context): raise ValueError(event)")},
        DeadLetterConfig={"TargetArn": TOPIC + "failed/f"},
    )
    assert made["DeadLetterConfig"]["TargetArn"] == TOPIC + "failed/f"
    functions.get_waiter("function_active_v2").wait(FunctionName="fails")
    functions.put_function_event_invoke_config(FunctionName="fails", MaximumRetryAttempts=0)
    functions.invoke(FunctionName="fails", InvocationType="Event", Payload=b'{"bed": 7}')
    while True:
        try:
            record = json.loads(s3.get_object(Bucket="dead", Key="last")["Body"].read())
            break
        except s3.exceptions.NoSuchKey:
            continue
    assert record["requestPayload"] == {"bed": 7}
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["responsePayload"]["errorType"] == "ValueError"


@pytest.mark.parametrize("target", ["failed/+", "$aws/things/x", "", "x" * 257])
def test_a_topic_that_nobody_may_publish_to_is_refused(place: Running, target: str) -> None:
    with pytest.raises(ClientError) as caught:
        place.client("lambda").create_function(
            FunctionName="never",
            Role=ROLE,
            Runtime="python3.11",
            Handler="app.handler",
            Code={"ZipFile": archive("def handler(event, context): return 1")},
            DeadLetterConfig={"TargetArn": TOPIC + target},
        )
    assert caught.value.response["Error"]["Code"] == "InvalidParameterValueException"
