"""Components, bridges and deployment documents, as facts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from littoral.core.bridge import BRIDGE, TopicMapping, mappings
from littoral.core.document import Deployment, desired, parse_desired
from littoral.core.recipe import BadComponent, EventSource, component_of, function_of, is_aws, lambda_recipe
from littoral.core.recipetext import read

ARN = "arn:aws:lambda:us-east-1:000000000000:function:vitals:3"
FUNCTION = {
    "FunctionName": "vitals",
    "Version": "3",
    "Runtime": "python3.11",
    "Handler": "index.handler",
    "MemorySize": 256,
    "Timeout": 30,
    "CodeSha256": "c2hh",
    "Environment": {"Variables": {"A": "function", "B": "function"}},
    "Role": "arn:aws:iam::000000000000:role/x",
}


def recipe(**parameters: Any) -> dict[str, Any]:
    return lambda_recipe("ward.vitals", "1.0.0", ARN, FUNCTION, parameters)


def test_a_recipe_says_all_that_a_core_needs() -> None:
    made = recipe(
        eventSources=[{"topic": "ward/+/wave", "type": "PUB_SUB"}, {"topic": "orders", "type": "IOT_CORE"}],
        timeoutInSeconds=10,
        maxInstancesCount=1,
        maxQueueSize=5,
        environmentVariables={"B": "component"},
    )
    found = component_of(json.loads(json.dumps(made)))
    assert (found.name, found.version, found.function, found.function_version) == (
        "ward.vitals",
        "1.0.0",
        "vitals",
        "3",
    )
    assert found.sources == (EventSource("ward/+/wave", "PUB_SUB"), EventSource("orders", "IOT_CORE"))
    assert (found.instances, found.queue, found.pinned, found.code_sha256) == (1, 5, True, "c2hh")
    assert found.config["Environment"] == {"Variables": {"A": "function", "B": "component"}}
    assert (found.config["Timeout"], found.config["MemorySize"], found.config["Handler"]) == (10, 256, "index.handler")
    assert "Role" not in json.dumps(made)


def test_a_deployment_merges_into_the_configuration() -> None:
    merge = {
        "timeoutInSeconds": 60,
        "lambdaExecutionParameters": {"EnvironmentVariables": {"C": "deployment"}},
        "pubsubTopics": {"1": {"topic": "more", "type": "PUB_SUB"}},
    }
    made = recipe(eventSources=[{"topic": "first", "type": "PUB_SUB"}], environmentVariables={"B": "component"})
    found = component_of(made, json.dumps(merge))
    assert found.config["Timeout"] == 60
    assert found.config["Environment"]["Variables"] == {"A": "function", "B": "component", "C": "deployment"}
    assert [source.topic for source in found.sources] == ["first", "more"]


@pytest.mark.parametrize(
    "merge",
    [
        "nonsense",
        "[]",
        '{"timeoutInSeconds": "10"}',
        '{"timeoutInSeconds": true}',
        '{"maxInstancesCount": 0}',
        '{"inputPayloadEncodingType": "xml"}',
        '{"containerMode": "Docker"}',
        '{"pubsubTopics": {"0": {"topic": "", "type": "PUB_SUB"}}}',
        '{"pubsubTopics": {"0": {"topic": "x", "type": "SMTP"}}}',
        '{"lambdaExecutionParameters": {"EnvironmentVariables": {"A": 1}}}',
    ],
)
def test_what_a_core_would_not_do_is_refused(merge: str) -> None:
    with pytest.raises(BadComponent):
        component_of(recipe(), merge)


@pytest.mark.parametrize("arn", ["vitals", ARN.removesuffix(":3"), ARN.replace(":3", ":$LATEST"), "arn:aws:s3:::x"])
def test_only_a_published_version_of_a_function_is_a_component(arn: str) -> None:
    with pytest.raises(BadComponent):
        function_of(arn)


@pytest.mark.parametrize("broken", [{}, {"ComponentType": "aws.greengrass.lambda"}, {"ComponentType": "generic"}])
def test_a_recipe_that_is_none_is_refused(broken: dict[str, Any]) -> None:
    with pytest.raises(BadComponent):
        component_of(broken)


def test_bridge_mappings() -> None:
    table = {
        "up": {"topic": "a/+", "source": "LocalMqtt", "target": "IotCore"},
        "too": {"topic": "b", "source": "Pubsub", "target": "IotCore", "targetTopicPrefix": "ward7/"},
        "down": {"topic": "c/#", "source": "IotCore", "target": "LocalMqtt"},
        "one": {"topic": "d", "source": "LocalMqtt", "target": "Pubsub"},
    }
    assert mappings({"mqttTopicMapping": table}) == (
        TopicMapping("up", "a/+", up=True),
        TopicMapping("too", "b", up=True, prefix="ward7/"),
        TopicMapping("down", "c/#", up=False),
    )
    assert mappings({}) == ()


@pytest.mark.parametrize(
    "entry",
    [
        "text",
        {"topic": "a", "source": "LocalMqtt"},
        {"topic": "a", "source": "LocalMqtt", "target": "LocalMqtt"},
        {"topic": "a", "source": "LocalMqtt", "target": "Kafka"},
        {"topic": "a/#/b", "source": "LocalMqtt", "target": "IotCore"},
        {"topic": "", "source": "LocalMqtt", "target": "IotCore"},
        {"topic": 1, "source": "LocalMqtt", "target": "IotCore"},
        {"topic": "a", "source": "LocalMqtt", "target": "IotCore", "targetTopicPrefix": "x/#"},
        {"topic": "a", "source": "LocalMqtt", "target": "Pubsub", "targetTopicPrefix": "x/"},
        {"topic": "a", "source": "LocalMqtt", "target": "IotCore", "qos": 2},
    ],
)
def test_a_mapping_that_cannot_be_kept_is_refused(entry: Any) -> None:
    with pytest.raises(BadComponent, match=BRIDGE.replace(".", r"\.")):
        mappings({"mqttTopicMapping": {"name": entry}})


@pytest.mark.parametrize(
    "options",
    [
        "text",
        {"other": {"noLocal": True}},
        {"up": {"noLocal": "yes"}},
        {"up": {"qos": 1}},
        {"down": {"retainAsPublished": True}},
        {"down": {"noLocal": True}},
    ],
)
def test_route_options_that_cannot_be_kept_are_refused(options: Any) -> None:
    up = {"topic": "a", "source": "LocalMqtt", "target": "IotCore"}
    table = {"up": up, "down": {"topic": "a", "source": "IotCore", "target": "LocalMqtt"}}
    good = {"up": {"noLocal": True, "retainAsPublished": True}, "down": {"noLocal": False}}
    made = mappings({"mqttTopicMapping": table, "mqtt5RouteOptions": good})
    assert [(each.no_local, each.retain) for each in made] == [(True, True), (False, False)]
    with pytest.raises(BadComponent, match=BRIDGE.replace(".", r"\.")):
        mappings({"mqttTopicMapping": table, "mqtt5RouteOptions": options})


def test_a_deployment_goes_through_the_shadow_unchanged() -> None:
    components: dict[str, dict[str, Any]] = {
        "x": {"version": "1.0.0", "merge": '{"a": 1}'},
        "y": {"version": "2.0.0", "merge": None, "reset": ["/a"], "runWith": {"posixUser": "ward"}},
    }
    made = Deployment("arn:1", "id", components)
    assert parse_desired(desired(made)) == made
    assert parse_desired({**desired(made), "desiredStatus": "CANCELED"}) == Deployment("arn:1", "id", components, True)
    assert parse_desired({}) is None
    for text in ("{", "[]", '{"components": {"x": {}}}', '{"configurationArn": "a", "components": []}'):
        with pytest.raises(BadComponent):
            parse_desired({"fleetConfig": text})


def test_yaml_is_read_as_aws_reads_it() -> None:
    text = b"""
RecipeFormatVersion: 2020-01-25
a: {from: 12:30, switch: off, well: true, nothing: ~, many: 0x10, old: 010, number: -7, share: 0.5, big: 1_000}
"""
    found = read(text)
    assert found["RecipeFormatVersion"] == "2020-01-25"
    assert found["a"] == {
        "from": "12:30",
        "switch": "off",
        "well": True,
        "nothing": None,
        "many": "0x10",
        "old": "010",
        "number": -7,
        "share": 0.5,
        "big": "1_000",
    }
    assert read(b'{"a": [1, 2.5, "x", null, false]}') == {"a": [1, 2.5, "x", None, False]}
    for broken in (b"a: b: c", b"\xff\xfe\xff", b"!!python/object:os.system {}"):
        with pytest.raises(ValueError, match=r"."):
            read(broken)


def test_whose_name_it_is() -> None:
    names = ("aws.greengrass.Nucleus", "aws.greengrass.labs.nodered", "com.example.One")
    assert [is_aws(each) for each in names] == [True, False, False]
