"""AWSIotLogsV2: what devices did, as entries of the group, as much as somebody asked for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from littoral.aws.service import ServiceError
from tests.things.place import Device, Place, allow, running
from tests.things.test_control_boto3 import refused
from tests.things.test_jobs import until

ROLE = "arn:aws:iam::000000000000:role/logging"
ALL = ["iot:Connect", "iot:Publish", "iot:Receive"]


class Groups:
    """Log groups, one of which is made when it is needed."""

    def __init__(self) -> None:
        self.entries: dict[str, list[dict[str, Any]]] = {}

    async def ensure(self, group: str) -> None:
        self.entries.setdefault(group, [])

    async def put(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        if group not in self.entries:
            raise ServiceError("ResourceNotFoundException", "no such group", status=400)
        for at, message in events:
            assert abs(at / 1000 - time.time()) < 60 and stream.startswith("20")
            self.entries[group].append(json.loads(message))


@pytest.fixture(scope="module")
def groups() -> Groups:
    return Groups()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, groups: Groups) -> Iterator[Place]:
    with running(tmp_path_factory.mktemp("place"), logs=groups) as made:
        yield made


@pytest.fixture(scope="module")
def iot(place: Place) -> Any:
    return place.client("iot")


@pytest.fixture(scope="module")
def bed(place: Place) -> Device:
    return place.device("bed1", allow(ALL), allow("iot:Subscribe", "topicfilter/ward/*"))


def seen(groups: Groups, event: str, **about: Any) -> dict[str, Any]:
    """The first such entry, once it is there."""

    def found() -> dict[str, Any] | None:
        entries = list(groups.entries.get("AWSIotLogsV2", ()))
        wanted = {"eventType": event, **about}
        return next((one for one in entries if wanted.items() <= one.items()), None)

    return until(found)


def test_nothing_is_set_at_first(iot: Any) -> None:
    refused("NotConfiguredException", iot.get_v2_logging_options)
    refused("NotConfiguredException", iot.list_v2_logging_levels)
    target = {"targetType": "CLIENT_ID", "targetName": "x"}
    refused("NotConfiguredException", iot.set_v2_logging_level, logTarget=target, logLevel="INFO")
    refused("InvalidRequestException", iot.set_v2_logging_options, defaultLogLevel="INFO")


def test_what_a_device_does_is_told(iot: Any, place: Place, bed: Device, groups: Groups) -> None:
    iot.set_v2_logging_options(roleArn=ROLE, defaultLogLevel="INFO")
    shown = iot.get_v2_logging_options()
    assert (shown["roleArn"], shown["defaultLogLevel"], shown["disableAllLogs"]) == (ROLE, "INFO", False)
    rule = {"sql": "SELECT * FROM 'ward/7'", "actions": [{"republish": {"roleArn": ROLE, "topic": "heard"}}]}
    iot.create_topic_rule(ruleName="told", topicRulePayload=rule)
    with bed.connect() as client:
        client.subscribe("ward/+")
        client.publish("ward/7", {"rate": 80})
        client.publish("$aws/things/bed1/shadow/update", {"state": {"reported": {"rate": 80}}})
        client.publish("$aws/things/bed1/shadow/name/x/get", b"")
        client.publish("$aws/rules/none/x", {})
    connect = seen(groups, "Connect", clientId="bed1")
    assert connect["status"] == "Success" and connect["logLevel"] == "INFO" and connect["protocol"] == "MQTT"
    assert connect["principalId"] == bed.certificate_id and connect["sourceIp"] == "127.0.0.1"
    assert connect["accountId"] == "000000000000" and connect["traceId"] and connect["sourcePort"] > 0
    assert seen(groups, "Subscribe")["topicName"] == "ward/+"
    assert seen(groups, "Publish-In", topicName="ward/7")["clientId"] == "bed1"
    match = seen(groups, "RuleMatch", ruleName="told")
    done = seen(groups, "RuleExecution", ruleName="told")
    assert match["traceId"] == done["traceId"]
    assert (done["ruleAction"], done["resources"]) == ("RepublishAction", {"RepublishTopic": "heard"})
    assert seen(groups, "UpdateThingShadow")["deviceShadowName"] == "bed1"
    missing = seen(groups, "GetThingShadow", status="Failure")
    assert (missing["deviceShadowName"], missing["reason"], missing["logLevel"]) == ("x", "404", "ERROR")
    assert seen(groups, "RuleNotFound")["ruleName"] == "none"
    assert seen(groups, "Disconnect")["disconnectReason"] == "CLIENT_INITIATED_DISCONNECT"


def test_a_refusal_is_an_error_and_a_failed_action_too(iot: Any, bed: Device, groups: Groups) -> None:
    iot.set_v2_logging_options(roleArn=ROLE, defaultLogLevel="ERROR")
    payload = {"s3": {"roleArn": ROLE, "bucketName": "missing", "key": "k"}}
    iot.create_topic_rule(ruleName="fails", topicRulePayload={"sql": "SELECT * FROM 'fail'", "actions": [payload]})
    with bed.connect() as client:
        assert client.subscribe("other/+") != [1]
        client.publish("fail", {})
    denied = seen(groups, "Subscribe", status="Failure")
    assert (denied["topicName"], denied["reason"]) == ("other/+", "AUTHORIZATION_FAILURE")
    assert denied["details"] == "Authorization Failure: IMPLICIT_DENY"
    failed = seen(groups, "RuleExecution", ruleName="fails")
    assert failed["status"] == "Failure" and "NoSuchBucket" in failed["reason"]
    assert not [
        one for one in groups.entries["AWSIotLogsV2"] if one.get("topicName") == "fail" and one["logLevel"] == "INFO"
    ]


def test_what_a_statement_asks_of_the_place_is_told(iot: Any, bed: Device, groups: Groups) -> None:
    iot.set_v2_logging_options(roleArn=ROLE, defaultLogLevel="DEBUG")
    action = {"republish": {"roleArn": ROLE, "topic": "heard"}}
    for name, call in (("shadow", "get_thing_shadow('bed1'"), ("secret", "get_secret('no', 'SecretString'")):
        sql = f"SELECT {call}, '{ROLE}') AS it FROM 'ask/{name}'"
        iot.create_topic_rule(ruleName=f"asks_{name}", topicRulePayload={"sql": sql, "actions": [action]})
    with bed.connect() as client:
        client.publish("ask/shadow", {})
        client.publish("ask/secret", {})
    well = seen(groups, "FunctionExecution", ruleName="asks_shadow")
    assert (well["ruleAction"], well["status"], well["logLevel"]) == ("GetThingShadow", "Success", "DEBUG")
    ill = seen(groups, "FunctionExecution", ruleName="asks_secret")
    assert (ill["ruleAction"], ill["status"], ill["logLevel"]) == ("GetSecret", "Failure", "ERROR")
    assert "this place has no secrets" in ill["reason"]


def test_levels_of_targets_take_the_place_of_the_default(iot: Any, place: Place, bed: Device, groups: Groups) -> None:
    iot.create_thing_group(thingGroupName="hospital")
    iot.create_thing_group(thingGroupName="ward7", parentGroupName="hospital")
    other = place.device("bed2", allow(ALL))
    iot.add_thing_to_thing_group(thingGroupName="ward7", thingName="bed2")
    iot.set_v2_logging_options(roleArn=ROLE, defaultLogLevel="DISABLED")
    group = {"targetType": "THING_GROUP", "targetName": "hospital"}
    iot.set_v2_logging_level(logTarget=group, logLevel="INFO")
    iot.set_v2_logging_level(logTarget={"targetType": "CLIENT_ID", "targetName": "bed1"}, logLevel="WARN")
    listed = iot.list_v2_logging_levels()["logTargetConfigurations"]
    assert [(one["logTarget"]["targetType"], one["logLevel"]) for one in listed] == [
        *(("DEFAULT", "DISABLED"), ("CLIENT_ID", "WARN"), ("THING_GROUP", "INFO"))
    ]
    with bed.connect() as unheard, other.connect() as client:
        unheard.publish("quiet", {})
        client.publish("loud", {})
    seen(groups, "Publish-In", topicName="loud")
    assert not [one for one in groups.entries["AWSIotLogsV2"] if one.get("topicName") == "quiet"]
    iot.delete_v2_logging_level(targetType="THING_GROUP", targetName="hospital")
    kinds = iot.list_v2_logging_levels(targetType="THING_GROUP")["logTargetConfigurations"]
    assert kinds == []
    bad = {"targetType": "THING_GROUP", "targetName": "none"}
    refused("InvalidRequestException", iot.set_v2_logging_level, logTarget=bad, logLevel="INFO")


def test_all_logs_are_turned_off(iot: Any, place: Place, bed: Device, groups: Groups) -> None:
    iot.delete_v2_logging_level(targetType="CLIENT_ID", targetName="bed1")
    iot.set_v2_logging_options(defaultLogLevel="DEBUG", disableAllLogs=True)
    with bed.connect() as client:
        client.publish("off", {})
    iot.set_v2_logging_options(disableAllLogs=False)
    with bed.connect() as client:
        client.publish("on", {})
    seen(groups, "Publish-In", topicName="on")
    assert not [one for one in groups.entries["AWSIotLogsV2"] if one.get("topicName") == "off"]
