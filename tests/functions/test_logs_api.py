"""CloudWatch Logs through boto3 and the AWS CLI: what functions print, and what other programs put."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from littoral.functions import Functions
from littoral.functions.logs import Logs
from littoral.functions.logs.segment import Entry
from littoral.store.embedded import EmbeddedStore
from tests.functions.deploy import PYTHON, ROLE, zip_of
from tests.support.clock import Clock
from tests.support.served import Served, served

DAY = 86_400_000
SOURCE = """
import json
def handler(event, context):
    print(json.dumps({"level": event["level"], "bed": event["bed"]}))
    print("two", "words")
"""


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("functions")
    opened: list[Functions] = []

    async def factory(store: EmbeddedStore) -> dict[str, Any]:
        functions = await Functions.open(store, folder, clock=clock)
        opened.append(functions)
        await functions.start()
        return {"lambda": functions.api, "logs": functions.logs_api, "close": functions.close}

    with served(factory) as running:
        running.functions = opened[0]  # type: ignore[attr-defined]
        yield running


def _client(place: Served, service: str) -> Any:
    return boto3.client(service, config=Config(retries={"max_attempts": 0}), **place.client_kwargs)


@pytest.fixture
def logs(place: Served) -> Any:
    return _client(place, "logs")


@pytest.fixture
def group(logs: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"/test/{request.node.name}"
    logs.create_log_group(logGroupName=name, tags={"ward": "7"})
    logs.create_log_stream(logGroupName=name, logStreamName="a")
    yield name
    logs.delete_log_group(logGroupName=name)


@pytest.fixture(scope="module")
def function(place: Served) -> str:
    client = _client(place, "lambda")
    client.create_function(
        FunctionName="ward", Role=ROLE, Runtime=PYTHON, Handler="app.handler", Code={"ZipFile": zip_of(app__py=SOURCE)}
    )
    for bed, level in ((1, "info"), (2, "alarm"), (3, "alarm")):
        client.invoke(FunctionName="ward", Payload=json.dumps({"bed": bed, "level": level}))
    return "/aws/lambda/ward"


def now() -> int:
    return int(time.time() * 1000)


def put(logs: Any, group: str, *messages: str, stream: str = "a", at: int | None = None) -> Any:
    at = now() if at is None else at
    events = [{"timestamp": at + number, "message": message} for number, message in enumerate(messages)]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def refused(code: str, call: Any, **arguments: Any) -> None:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    assert error.value.response["Error"]["Code"] == code, error.value


def test_what_a_function_prints_is_found(logs: Any, function: str) -> None:
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="/aws/lambda/")
    [found] = [each for page in pages for each in page["logGroups"]]
    assert found["logGroupName"] == function and found["storedBytes"] > 0 and found["arn"].endswith("/ward:*")
    [stream] = logs.describe_log_streams(logGroupName=function)["logStreams"]
    assert "[$LATEST]" in stream["logStreamName"] and stream["lastEventTimestamp"] >= stream["firstEventTimestamp"]
    events = logs.get_log_events(logGroupName=function, logStreamName=stream["logStreamName"])["events"]
    assert [each["message"].split(" ")[0] for each in events][-5:] == ["START", '{"level":', "two", "END", "REPORT"]
    assert len(events) == 16
    assert events[0]["message"].startswith("INIT_START Runtime Version: ")
    for pattern, count in (
        ("{ $.level = alarm && $.bed > 2 }", 1),
        ("{ $.bed EXISTS }", 3),
        ('"two words"', 3),
        ("REPORT", 3),
        ("-RequestId -two -INIT_START", 3),
        ("?START ?END", 7),  # INIT_START as well
    ):
        matching = logs.filter_log_events(logGroupName=function, filterPattern=pattern)["events"]
        assert len(matching) == count, pattern
        assert {each["logStreamName"] for each in matching} == {stream["logStreamName"]}


def test_the_cli_filters_and_tails(place: Served, function: str) -> None:
    command = [str(Path(sys.executable).with_name("aws")), "logs", "filter-log-events", "--log-group-name", function]
    done = subprocess.run(
        [*command, "--filter-pattern", '{ $.level = "al*" }', "--query", "events[].message", "--page-size", "1"],
        env={**os.environ, **place.env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(each)["bed"] for each in json.loads(done.stdout)] == [2, 3]


@pytest.fixture(scope="module")
def aws2(place: Served) -> Callable[..., subprocess.Popen[str]]:
    """Version 2 of the AWS CLI, which alone has ``logs tail``; PyPI's is version 1, Debian's package is 2."""
    candidates = map(shutil.which, ("/usr/bin/aws", "/usr/local/bin/aws", "aws"))
    found = [path for path in candidates if path is not None and _is_two(path)]
    if not found:
        pytest.skip("version 2 of the AWS CLI is not here (apt-get install awscli)")

    def start(*words: str) -> subprocess.Popen[str]:
        command = [found[0], "--endpoint-url", place.url, *words]  # versions before 2.13 know no AWS_ENDPOINT_URL
        env = {**os.environ, **place.env, "PYTHONUNBUFFERED": "1"}
        return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return start


def _is_two(path: str) -> bool:
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return done.stdout.startswith("aws-cli/2")


def _timeless(line: str) -> str:
    """A line of the form "short", which begins with its time."""
    time.strptime(line[:20], "%Y-%m-%dT%H:%M:%S ")
    return line[20:]


def test_aws_logs_tail(logs: Any, group: str, aws2: Callable[..., subprocess.Popen[str]]) -> None:
    put(logs, group, "long ago", at=now() - 3_600_000)
    put(logs, group, "bed 7", "bed 8", at=now() - 1000)
    recent = aws2("logs", "tail", group, "--since", "10m", "--format", "short").communicate(timeout=60)[0]
    assert [_timeless(line) for line in recent.splitlines()] == ["bed 7", "bed 8"]
    filtered = aws2("logs", "tail", group, "--since", "2h", "--filter-pattern", "ago").communicate(timeout=60)[0]
    [line] = filtered.splitlines()
    assert line.endswith(" a long ago")  # the form "detailed" names the stream


def test_aws_logs_tail_follow(logs: Any, group: str, aws2: Callable[..., subprocess.Popen[str]]) -> None:
    put(logs, group, "before", at=now() - 1000)
    with aws2("logs", "tail", group, "--follow", "--format", "short") as tail:
        try:
            assert tail.stdout is not None
            assert _timeless(tail.stdout.readline()) == "before\n"
            for text in ("after",):
                put(logs, group, text)
                assert _timeless(tail.stdout.readline()) == f"{text}\n"
        finally:
            tail.kill()


def test_what_tail_follow_asks_for(logs: Any, group: str) -> None:
    """Version 2 of the CLI: page through an interleaved filter, then again from the last time, ids told apart."""
    seen: list[str] = []
    ids: set[str] = set()
    start = now() - 3_600_000
    for turn in range(3):
        put(logs, group, *(f"{turn}/{number}" for number in range(25)), at=start + turn * 20 + 1)
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, interleaved=True, startTime=start, PaginationConfig={"PageSize": 10}
        )
        for page in pages:
            assert len(page["events"]) <= 10
            for event in page["events"]:
                if event["eventId"] not in ids:
                    ids.add(event["eventId"])
                    seen.append(event["message"])
                    start = event["timestamp"]
    assert sorted(seen) == sorted(f"{turn}/{number}" for turn in range(3) for number in range(25))


def test_tokens_lead_forward_and_backward(logs: Any, group: str) -> None:
    at = now() - 100_000
    put(logs, group, *(str(number) for number in range(10)), at=at)
    put(logs, group, "early", at=at - 10)
    ask = {"logGroupName": group, "logStreamName": "a", "limit": 4}

    def read(**more: Any) -> tuple[list[str], Any]:
        answer = logs.get_log_events(**ask, **more)
        return [each["message"] for each in answer["events"]], answer

    latest, answer = read()
    assert latest == ["6", "7", "8", "9"]
    none, end = read(nextToken=answer["nextForwardToken"])
    assert (none, end["nextForwardToken"]) == ([], answer["nextForwardToken"])
    earlier, answer = read(nextToken=answer["nextBackwardToken"])
    assert earlier == ["2", "3", "4", "5"]
    assert read(nextToken=answer["nextForwardToken"])[0] == latest
    head, answer = read(startFromHead=True)
    assert head == ["early", "0", "1", "2"]
    assert read(nextToken=answer["nextForwardToken"], startFromHead=True)[0] == ["3", "4", "5", "6"]
    assert read(startTime=at + 2, endTime=at + 4)[0] == ["2", "3"]
    found = logs.filter_log_events(logGroupName=group, startTime=at + 2, endTime=at + 4)["events"]
    assert [each["message"] for each in found] == ["2", "3", "4"]
    back = logs.filter_log_events(logGroupName=group, startFromHead=False, limit=3)
    assert [each["message"] for each in back["events"]] == ["9", "8", "7"]
    more = logs.filter_log_events(logGroupName=group, nextToken=back["nextToken"], limit=3)
    assert [each["message"] for each in more["events"]] == ["6", "5", "4"]


def test_streams_are_listed_by_name_and_time_and_deleted(logs: Any, group: str) -> None:
    for number, stream in enumerate(("c", "b", "a b%/[é]")):
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        put(logs, group, f"in {stream}\nand on", stream=stream, at=now() - 1000 + number)

    def names(**more: Any) -> list[str]:
        pages = logs.get_paginator("describe_log_streams").paginate(
            logGroupName=group, **more, PaginationConfig={"PageSize": 3}
        )
        return [each["logStreamName"] for page in pages for each in page["logStreams"]]

    assert names() == ["a", "a b%/[é]", "b", "c"]
    assert names(descending=True) == ["c", "b", "a b%/[é]", "a"]
    assert names(orderBy="LastEventTime", descending=True) == ["a b%/[é]", "b", "c", "a"]
    assert names(logStreamNamePrefix="a") == ["a", "a b%/[é]"]
    found = logs.filter_log_events(logGroupName=group, logStreamNamePrefix="a ")["events"]
    assert [each["message"] for each in found] == ["in a b%/[é]\nand on"]
    ids = {each["message"]: each["eventId"] for each in logs.filter_log_events(logGroupName=group)["events"]}
    logs.delete_log_stream(logGroupName=group, logStreamName="b")
    assert names() == ["a", "a b%/[é]", "c"]
    left = logs.filter_log_events(logGroupName=group)["events"]
    assert {each["message"]: each["eventId"] for each in left} == {m: i for m, i in ids.items() if "in b" not in m}
    refused(
        "ResourceNotFoundException", logs.get_log_events, logGroupName=group, logStreamName="b"
    )  # fmt: skip
    refused("InvalidParameterException", names, orderBy="LastEventTime", logStreamNamePrefix="a")


def test_batches_are_checked_as_cloudwatch_does(logs: Any, group: str) -> None:
    answer = put(logs, group, "old", at=now() - 15 * DAY)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    assert put(logs, group, "new", at=now() + 3 * 3_600_000)["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 0}
    logs.put_retention_policy(logGroupName=group, retentionInDays=1)
    two = [{"timestamp": now() - 25 * 3_600_000, "message": "x"}, {"timestamp": now() - 3_600_000, "message": "kept"}]
    answer = logs.put_log_events(logGroupName=group, logStreamName="a", logEvents=two)
    assert answer["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    assert [each["message"] for each in logs.filter_log_events(logGroupName=group)["events"]] == ["kept"]
    batches: list[list[tuple[int, str]]] = [
        [(1, "b"), (0, "a")],
        [(-25 * 3_600_000, "a"), (0, "b")],
        [(0, "x" * 600_000), (0, "y" * 600_000)],
    ]
    for batch in batches:
        events = [{"timestamp": now() + at, "message": message} for at, message in batch]
        arguments = {"logGroupName": group, "logStreamName": "a", "logEvents": events}
        refused("InvalidParameterException", logs.put_log_events, **arguments)
    missing = {"logStreamName": "zz", "logEvents": [{"timestamp": 1, "message": "x"}]}
    refused("ResourceNotFoundException", logs.put_log_events, logGroupName=group, **missing)
    refused("ResourceNotFoundException", logs.put_log_events, logGroupName="/zz", **missing)


def test_groups_are_made_tagged_listed_and_refused(logs: Any, group: str) -> None:
    refused("ResourceAlreadyExistsException", logs.create_log_group, logGroupName=group)
    refused("ResourceAlreadyExistsException", logs.create_log_stream, logGroupName=group, logStreamName="a")
    refused("InvalidParameterException", logs.create_log_group, logGroupName="aws/x")
    refused("InvalidParameterException", logs.put_retention_policy, logGroupName=group, retentionInDays=2)
    refused("NotImplemented", logs.create_log_group, logGroupName="/k", kmsKeyId="arn:aws:kms:x")
    refused("NotImplemented", logs.start_query, logGroupName=group, startTime=0, endTime=1, queryString="fields x")
    for operation in ("delete_log_group", "describe_log_streams", "filter_log_events", "delete_retention_policy"):
        refused("ResourceNotFoundException", getattr(logs, operation), logGroupName="/none")
    for bad in ({"filterPattern": "{ $.a"}, {"filterPattern": "%x%"}, {"nextToken": "x"}, {"nextToken": "f/1"}):
        refused("InvalidParameterException", logs.filter_log_events, logGroupName=group, **bad)
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}"
    logs.tag_resource(resourceArn=arn, tags={"a": "b"})
    logs.untag_resource(resourceArn=arn, tagKeys=["ward"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "b"}
    assert logs.list_tags_log_group(logGroupName=group)["tags"] == {"a": "b"}
    refused("TooManyTagsException", logs.tag_resource, resourceArn=arn, tags={str(n): "" for n in range(50)})
    assert logs.list_tags_log_group(logGroupName=group)["tags"] == {"a": "b"}
    names = {f"{group}/{number:02d}" for number in range(55)}
    for name in names:
        logs.create_log_group(logGroupName=name)
    pages = list(logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"{group}/"))
    assert len(pages) == 2 and {each["logGroupName"] for page in pages for each in page["logGroups"]} == names
    assert len(logs.describe_log_groups(logGroupNamePattern="refused/5")["logGroups"]) == 5
    assert logs.filter_log_events(logGroupIdentifier=arn)["events"] == []
    for name in names:
        logs.delete_log_group(logGroupName=name)
    refused("ResourceNotFoundException", logs.delete_log_group, logGroupName=f"{group}/00")


def test_retention_hides_and_removes(place: Served, logs: Any, group: str, clock: Clock) -> None:
    put(logs, group, "first")
    logs.put_retention_policy(logGroupName=group, retentionInDays=3)
    functions: Functions = place.functions  # type: ignore[attr-defined]

    def stored() -> int:
        [found] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        assert found["retentionInDays"] == 3
        return int(found["storedBytes"])

    try:
        clock.ahead = 2.0 * DAY / 1000  # the signature's time is the gateway's own
        place.run(functions.logs.sweep())
        assert len(logs.filter_log_events(logGroupName=group)["events"]) == 1 and stored() > 0
        clock.ahead = 3.1 * DAY / 1000
        assert logs.filter_log_events(logGroupName=group)["events"] == []
        place.run(functions.logs.sweep())
        assert stored() == 0
    finally:
        clock.ahead = 0.0
    put(logs, group, "second")
    assert [each["message"] for each in logs.filter_log_events(logGroupName=group)["events"]] == ["second"]


def test_what_was_put_is_there_after_a_start(tmp_path: Path) -> None:
    """Names that are paths or too long for a file, settings, numbers of files that go on."""
    names = ["..", "/", "x" * 512, ".deleted"]

    def opened() -> Logs:
        return Logs(tmp_path / "logs", clock=lambda: 1000.0, bytes_per_group=4000)

    async def write() -> list[str]:
        logs = opened()
        for name in names:
            logs.append(name, "s", *(b"%d" % number for number in range(40)))
        await logs.change("..", lambda settings: settings.tags.update(a="b"))
        events = await logs.read("..")
        await logs.close()
        return [each.key.text() for each in events]

    async def again() -> tuple[list[str], list[str], list[str]]:
        logs = opened()
        await logs.put("/", [Entry(1_000_000, 1_000_000, "s", b"more")])
        ids = [each.key.text() for each in await logs.read("..")]
        messages = [each.message for each in await logs.read("/")]
        found = await logs.groups(), ids, messages
        tags = await logs.on("..", lambda group: group.settings.tags)
        await logs.close()
        assert tags == {"a": "b"}
        return found

    ids = asyncio.run(write())
    groups, ids_again, messages = asyncio.run(again())
    assert groups == sorted(names) and ids_again == ids and len(ids) == 40
    assert messages == [*map(str, range(40)), "more"]
    assert list(tmp_path.iterdir()) == [tmp_path / "logs"]
