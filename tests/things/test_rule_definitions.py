"""What an author may write of a rule, and what is refused when it is made: nothing that would fail later for ever."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from littoral.things.rules.definition import BadRule, RuleRecord
from littoral.things.rules.endpoint import check_url, covers
from tests.things.place import ARN, Place, running

ROLE = "arn:aws:iam::000000000000:role/r"
QUEUE = "https://sqs.us-east-1.amazonaws.com/000000000000/q"
METRIC = {"roleArn": ROLE, "metricNamespace": "n", "metricName": "m", "metricUnit": "None", "metricValue": "1"}
DYNAMO = {"roleArn": ROLE, "tableName": "t", "hashKeyField": "k", "hashKeyValue": "${topic()}"}
URL = "https://hooks.example.test"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place")) as made:
        yield made


def made(action: dict[str, Any], sql: str = "SELECT * FROM 'a'") -> RuleRecord:
    return RuleRecord.of_payload("r", {"sql": sql, "actions": [action]}, 0.0)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ({"sqs": {"roleArn": ROLE, "queueUrl": QUEUE + ".fifo"}}, "queueUrl"),
        ({"sqs": {"roleArn": ROLE, "queueUrl": "q"}}, "queueUrl"),
        ({"sqs": {"queueUrl": QUEUE}}, "roleArn is missing"),
        ({"sns": {"roleArn": ROLE, "targetArn": "arn:aws:sns:us-east-1:000000000000:t.fifo"}}, "targetArn"),
        ({"firehose": {"roleArn": ROLE, "deliveryStreamName": "f", "separator": ";"}}, "separator"),
        ({"kinesis": {"roleArn": ROLE, "streamName": "${"}}, "substitution template"),
        ({"kinesis": {"roleArn": ROLE, "streamName": "${@nowhere}"}}, "@nowhere is not set"),
        ({"kinesis": {"roleArn": ROLE, "streamName": f"${{get_thing_shadow('t', '{ROLE}')}}"}}, "External functions"),
        ({"cloudwatchMetric": {**METRIC, "metricValue": "${nosuch()}"}}, "nosuch"),
        ({"cloudwatchLogs": {"roleArn": ROLE, "logGroupName": "g", "more": 1}}, "more is not honoured"),
        ({"http": {"url": URL + "/${x}"}}, "confirmationUrl is needed"),
        ({"http": {"url": URL, "confirmationUrl": "https://other.example.test"}}, "must begin with"),
        ({"http": {"url": URL + ".evil.test", "confirmationUrl": URL}}, "must begin with"),
        ({"http": {"url": "ftp://a.example/"}}, "not the URL"),
        ({"http": {"url": "https://user@a.example/"}}, "may not"),
        ({"http": {"url": URL, "enableBatching": True}}, "enableBatching is not honoured"),
        ({"http": {"url": URL, "headers": [{"key": "Host", "value": "x"}]}}, "set by the place"),
        ({"http": {"url": URL, "auth": {"sigv4": {"signingRegion": "us-east-1"}}}}, "is missing"),
        ({"dynamoDBv2": {"roleArn": ROLE, "putItem": {}}}, "tableName is missing"),
        ({"dynamoDB": {**DYNAMO, "operation": "UPSERT"}}, "'UPSERT' is none of INSERT, UPDATE, DELETE"),
        ({"dynamoDB": {**DYNAMO, "rangeKeyField": "s"}}, "rangeKeyValue is missing"),
        ({"timestream": {"roleArn": ROLE}}, "no Timestream tables"),
        ({"iotAnalytics": {"channelName": "c"}}, "no IoT Analytics channels"),
        ({"kafka": {"topic": "t"}}, "no Kafka destinations"),
    ],
)
def test_an_action_that_could_never_work_is_refused(action: dict[str, Any], message: str) -> None:
    with pytest.raises(BadRule, match=message):
        made(action)


def test_every_action_of_the_model_is_there_or_refused_by_name() -> None:
    shape = boto3.client("iot", "us-east-1").meta.service_model.shape_for("Action")
    there = {
        "cloudwatchLogs",
        "cloudwatchMetric",
        "dynamoDB",
        "dynamoDBv2",
        "firehose",
        "http",
        "kinesis",
        "lambda",
        "republish",
        "s3",
        "sns",
        "sqs",
    }
    for name in set(shape.members) - there:
        with pytest.raises(BadRule, match=f"Action '{name}' is not available: this place has no [A-Z]"):
            made({name: {}})
    for name in there:
        with pytest.raises(BadRule, match="is missing"):
            made({name: {}})


@pytest.mark.parametrize(
    ("confirmed", "url", "covered"),
    [
        (URL, URL, True),
        (URL, URL + "/a", True),
        (URL, URL + "?a=1", True),
        (URL + "/", URL + "/a", True),
        (URL + "/a", URL + "/ab", False),
        (URL, URL + ":8443/", False),
        (URL, URL + "@evil.test/", False),
        (URL, "http" + URL[5:], False),
    ],
)
def test_a_destination_covers_what_is_below_it(confirmed: str, url: str, covered: bool) -> None:
    assert covers(confirmed, url) is covered


@pytest.mark.parametrize(
    "url", ["", "https://", "https://[::1", "https://a b/", "https://a/#x", "https://a:0/", "https://ä/"]
)
def test_what_is_no_url_of_an_endpoint_is_said_to_be_none(url: str) -> None:
    assert check_url(url) is not None


def test_tags_of_a_rule(place: Place) -> None:
    iot = place.client("iot")
    payload = {"sql": "SELECT * FROM 'tagged'", "actions": []}
    iot.create_topic_rule(ruleName="tagged", topicRulePayload=payload, tags="ward=7&kind=alarm%20bell")
    arn = ARN + "rule/tagged"

    def tags() -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in iot.list_tags_for_resource(resourceArn=arn)["tags"]}

    assert tags() == {"ward": "7", "kind": "alarm bell"}
    iot.replace_topic_rule(ruleName="tagged", topicRulePayload={**payload, "description": "new"})
    iot.tag_resource(resourceArn=arn, tags=[{"Key": "ward", "Value": "8"}, {"Key": "more", "Value": ""}])
    iot.untag_resource(resourceArn=arn, tagKeys=["kind", "never"])
    assert tags() == {"ward": "8", "more": ""}
    assert iot.get_topic_rule(ruleName="tagged")["rule"]["description"] == "new"
    many = [{"Key": str(number), "Value": "v"} for number in range(50)]
    for refused, arguments in (
        ("LimitExceeded", {"resourceArn": arn, "tags": many}),
        ("InvalidRequest", {"resourceArn": arn, "tags": [{"Key": "aws:x", "Value": "v"}]}),
        ("ResourceNotFound", {"resourceArn": ARN + "rule/nowhere", "tags": []}),
        ("InvalidRequest", {"resourceArn": ARN + "thing/t", "tags": []}),
    ):
        with pytest.raises(ClientError, match=refused):
            iot.tag_resource(**arguments)
    for tagging in ("a", "a=1&a=2"):
        with pytest.raises(ClientError, match="InvalidRequest"):
            iot.create_topic_rule(ruleName="never", topicRulePayload=payload, tags=tagging)
    assert tags() == {"ward": "8", "more": ""}
