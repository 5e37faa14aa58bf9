"""EventBridge rules through boto3 and the AWS CLI: real functions and streams as targets, a clock that is set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.functions.deploy import PYTHON, ROLE, zip_of
from tests.schedules.conftest import ACCOUNT, Site


@pytest.fixture
def events(site: Site) -> Any:
    return site.client("events")


@pytest.fixture
def name() -> str:
    return f"r-{uuid.uuid4().hex[:8]}"


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_rate_fires_again_and_again_with_awss_event(site: Site, events: Any, name: str) -> None:
    stream = site.stream()
    arn = events.put_rule(Name=name, ScheduleExpression="rate(5 minutes)")["RuleArn"]
    assert arn == f"arn:aws:events:us-east-1:{ACCOUNT}:rule/{name}"
    assert events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": stream}])["FailedEntryCount"] == 0
    site.go_on(301)
    first = site.record(stream)
    identity, time = first.pop("id"), first.pop("time")
    assert uuid.UUID(identity) and len(time) == len("2026-11-23T10:00:00Z")
    assert first == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT,
        "region": "us-east-1",
        "resources": [arn],
        "detail": {},
    }
    site.go_on(300)
    assert site.record(stream, 1)["id"] != identity


def test_a_rule_invokes_only_what_the_functions_policy_permits(site: Site, events: Any, name: str) -> None:
    functions, stream = site.client("lambda"), site.stream()
    archive = zip_of(app__py="def handler(e, c): return e")
    arn = functions.create_function(
        FunctionName=name, Role=ROLE, Runtime=PYTHON, Handler="app.handler", Code={"ZipFile": archive}
    )["FunctionArn"]
    functions.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": stream}}
    )
    rule = events.put_rule(Name=name, EventPattern='{"source": ["ward"]}')["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn, "InputPath": "$.detail"}])

    def put(detail: str) -> None:
        entry = {"Source": "ward", "DetailType": "pulse", "Detail": detail}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    put('{"permitted": false}')
    marker = site.stream()
    events.put_rule(Name=f"{name}-marker", EventPattern='{"source": ["marker"]}')
    events.put_targets(Rule=f"{name}-marker", Targets=[{"Id": "1", "Arn": marker}])
    events.put_events(Entries=[{"Source": "marker", "DetailType": "x", "Detail": "{}"}])
    site.record(marker)  # deliveries begin in order: the refused one has been tried
    functions.add_permission(
        FunctionName=name,
        StatementId="events",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=rule,
    )
    put('{"permitted": true}')
    assert site.record(stream)["responsePayload"] == {"permitted": True}


def test_put_events_reaches_the_rules_that_match_and_their_inputs(site: Site, events: Any, name: str) -> None:
    whole, part, other = site.stream(), site.stream(), site.stream()
    events.put_rule(Name=name, EventPattern=json.dumps({"source": [name], "detail": {"n": [{"numeric": [">", 5]}]}}))
    transformer = {"InputPathsMap": {"n": "$.detail.n"}, "InputTemplate": '{"said": "n is <n>"}'}
    targets = [{"Id": "w", "Arn": whole}, {"Id": "p", "Arn": part, "InputTransformer": transformer}]
    events.put_targets(Rule=name, Targets=targets)
    events.put_rule(Name=f"{name}-o", EventPattern=json.dumps({"detail-type": [f"{name}-o"]}))
    events.put_targets(Rule=f"{name}-o", Targets=[{"Id": "1", "Arn": other, "Input": '"constant"'}])
    entries: list[dict[str, Any]] = [
        {"Source": name, "DetailType": "t", "Detail": '{"n": 5}'},
        {"Source": name, "DetailType": "t", "Detail": '{"n": 6}', "Resources": ["arn:x"]},
        {"Source": "else", "DetailType": f"{name}-o", "Detail": "{}"},
        {"Source": name, "DetailType": "t", "Detail": "no json"},
        {"Source": "aws.ec2", "DetailType": "t", "Detail": "{}"},
        {"DetailType": "t", "Detail": "{}"},
    ]
    answer = events.put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 3
    assert [entry.get("ErrorCode") for entry in answer["Entries"]] == [
        *(None, None, None),
        *("MalformedDetail", "NotAuthorizedForSource", "InvalidArgument"),
    ]
    event = site.record(whole)
    assert event["id"] == answer["Entries"][1]["EventId"]
    assert (event["detail"], event["resources"], event["source"]) == ({"n": 6}, ["arn:x"], name)
    assert site.record(part) == {"said": "n is 6"}
    assert site.record(other) == "constant"


def test_a_disabled_rule_rests_and_the_control_operations_agree(site: Site, events: Any, name: str) -> None:
    stream = site.stream()
    arn = events.put_rule(
        Name=name, ScheduleExpression="cron(0/5 * * * ? *)", State="DISABLED", Tags=[{"Key": "a", "Value": "1"}]
    )["RuleArn"]
    events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": stream, "Input": '"tick"'}])
    assert events.describe_rule(Name=name)["State"] == "DISABLED"
    site.go_on(600)
    events.enable_rule(Name=name)
    site.go_on(300)
    assert site.record(stream) == "tick"
    assert [rule["Arn"] for rule in events.list_rules(NamePrefix=name)["Rules"]] == [arn]
    assert events.list_rule_names_by_target(TargetArn=stream)["RuleNames"] == [name]
    assert events.list_targets_by_rule(Rule=name)["Targets"] == [{"Id": "1", "Arn": stream, "Input": '"tick"'}]
    events.tag_resource(ResourceARN=arn, Tags=[{"Key": "b", "Value": "2"}])
    events.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    with pytest.raises(ClientError) as error:
        events.delete_rule(Name=name)
    assert code(error) == "ValidationException"
    removed = events.remove_targets(Rule=name, Ids=["1", "none"])
    assert [entry["TargetId"] for entry in removed["FailedEntries"]] == ["none"]
    events.delete_rule(Name=name)
    with pytest.raises(ClientError) as error:
        events.describe_rule(Name=name)
    assert code(error) == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("call", "given", "expected"),
    [
        ("put_rule", {"Name": "x"}, "ValidationException"),
        ("put_rule", {"Name": "x", "ScheduleExpression": "rate(5 minute)"}, "ValidationException"),
        ("put_rule", {"Name": "x", "ScheduleExpression": "at(2099-01-01T00:00:00)"}, "ValidationException"),
        ("put_rule", {"Name": "x", "EventPattern": '{"a": 1}'}, "InvalidEventPatternException"),
        (
            "put_rule",
            {"Name": "x", "ScheduleExpression": "rate(1 day)", "EventBusName": "other"},
            "ResourceNotFoundException",
        ),
        ("put_targets", {"Rule": "none", "Targets": [{"Id": "1", "Arn": "LAMBDA"}]}, "ResourceNotFoundException"),
        ("put_targets", {"Rule": "none", "Targets": [{"Id": "1", "Arn": "arn:aws:sqs:x:0:q"}]}, "ValidationException"),
        (
            "put_targets",
            {
                "Rule": "none",
                "Targets": [{"Id": "1", "Arn": "LAMBDA", "DeadLetterConfig": {"Arn": "arn:aws:sqs:x:0:q"}}],
            },
            "ValidationException",
        ),
        *(
            ("put_targets", {"Rule": "none", "Targets": [{"Id": "1", "Arn": "LAMBDA", **more}]}, "ValidationException")
            for more in (
                {"AppSyncParameters": {"GraphQLOperation": "query"}},
                {"EcsParameters": {"TaskDefinitionArn": "arn:aws:ecs:x:0:t"}},
                {"HttpParameters": {"PathParameterValues": ["a"]}},
                {"SqsParameters": {"MessageGroupId": "g"}},
            )
        ),
        (
            "put_targets",
            {"Rule": "none", "Targets": [{"Id": "1", "Arn": "LAMBDA", "Input": "{"}]},
            "ValidationException",
        ),
        ("enable_rule", {"Name": "none"}, "ResourceNotFoundException"),
        ("create_event_bus", {"Name": "other"}, "NotImplemented"),
    ],
)
def test_what_cannot_be_has_the_modelled_error(events: Any, call: str, given: dict[str, Any], expected: str) -> None:
    function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
    given = json.loads(json.dumps(given).replace("LAMBDA", function))
    with pytest.raises(ClientError) as error:
        getattr(events, call)(**given)
    assert code(error) == expected


def test_test_event_pattern(events: Any) -> None:
    event = json.dumps({"source": "ward", "id": "1"})
    assert events.test_event_pattern(EventPattern='{"source": ["ward"]}', Event=event)["Result"] is True
    assert events.test_event_pattern(EventPattern='{"source": ["bed"]}', Event=event)["Result"] is False


def test_the_aws_cli_makes_a_rule(site: Site, name: str) -> None:
    cli = Path(sys.executable).with_name("aws")
    done = subprocess.run(
        [cli, "events", "put-rule", "--name", name, "--schedule-expression", "rate(1 hour)", "--output", "json"],
        env={**os.environ, **site.served.env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["RuleArn"].endswith(f":rule/{name}")
