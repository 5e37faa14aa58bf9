"""EventBridge Scheduler through boto3: schedules of all kinds fire, survive a restart, and say what they are."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from littoral.aws.service import ServiceError
from littoral.functions import Functions
from littoral.schedules import Schedules
from littoral.site.capabilities.schedules import ScheduleTargets
from littoral.store.embedded import EmbeddedStore
from littoral.streams import StreamStore
from tests.functions.deploy import PYTHON, ROLE, call, zip_of
from tests.schedules.conftest import ACCOUNT, HERE, Site
from tests.support.clock import Clock

FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"
OFF = {"Mode": "OFF"}


@pytest.fixture
def scheduler(site: Site) -> Any:
    return site.client("scheduler")


@pytest.fixture
def name() -> str:
    return f"j-{uuid.uuid4().hex[:8]}"


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def target(arn: str, **more: Any) -> dict[str, Any]:
    return {"Arn": arn, "RoleArn": ROLE, "KinesisParameters": {"PartitionKey": "k"}, **more}


def in_minutes(site: Site, minutes: float) -> datetime:
    return datetime.fromtimestamp(site.clock(), UTC) + timedelta(minutes=minutes)


def test_a_one_time_schedule_fires_once_and_is_deleted_if_it_wants(site: Site, scheduler: Any, name: str) -> None:
    stream = site.stream()
    when = in_minutes(site, 10).strftime("%Y-%m-%dT%H:%M:%S")
    arn = scheduler.create_schedule(
        Name=name,
        ScheduleExpression=f"at({when})",
        FlexibleTimeWindow=OFF,
        Target=target(stream),
        ActionAfterCompletion="DELETE",
    )["ScheduleArn"]
    assert arn == f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/default/{name}"
    site.go_on(700)
    event = site.record(stream)
    assert uuid.UUID(event.pop("id"))
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": f"{when}Z",
        "region": "us-east-1",
        "resources": [arn],
        "detail": "{}",
    }
    with pytest.raises(ClientError) as error:
        while True:  # it is gone right after its payload was durable
            scheduler.get_schedule(Name=name)
    assert code(error) == "ResourceNotFoundException"


def test_a_schedule_invokes_a_function_with_its_input_by_its_role(site: Site, scheduler: Any, name: str) -> None:
    functions, stream = site.client("lambda"), site.stream()
    archive = zip_of(app__py="def handler(e, c): return e")
    arn = functions.create_function(
        FunctionName=name, Role=ROLE, Runtime=PYTHON, Handler="app.handler", Code={"ZipFile": archive}
    )["FunctionArn"]
    functions.put_function_event_invoke_config(
        FunctionName=name, DestinationConfig={"OnSuccess": {"Destination": stream}}
    )
    given = '{"by": "<aws.scheduler.schedule-arn>", "bed": 7}'
    made = scheduler.create_schedule(
        Name=name,
        ScheduleExpression="rate(1 hour)",
        FlexibleTimeWindow=OFF,
        Target={"Arn": arn, "RoleArn": ROLE, "Input": given},
    )["ScheduleArn"]
    site.go_on(3601)
    assert site.record(stream)["responsePayload"] == {"by": made, "bed": 7}
    scheduler.delete_schedule(Name=name)


def test_dates_zones_and_windows(site: Site, scheduler: Any, name: str) -> None:
    stream = site.stream()
    scheduler.create_schedule(
        Name=name,
        ScheduleExpression="rate(5 minutes)",
        StartDate=in_minutes(site, 60),
        EndDate=in_minutes(site, 64),
        FlexibleTimeWindow=OFF,
        Target=target(stream, Input='"<aws.scheduler.scheduled-time>"'),
    )
    start = scheduler.get_schedule(Name=name)["StartDate"]
    site.go_on(55 * 60)
    site.go_on(6 * 60)
    assert site.record(stream) == start.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    flexible = site.stream()
    scheduler.create_schedule(
        Name=f"{name}-f",
        ScheduleExpression="cron(0 8 * * ? *)",
        ScheduleExpressionTimezone="Asia/Kathmandu",
        FlexibleTimeWindow={"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15},
        Target=target(flexible, Input='"<aws.scheduler.scheduled-time>"'),
    )
    site.go_on(24 * 3600 + 15 * 60)
    assert site.record(flexible).endswith("T02:15:00Z")
    shown = scheduler.get_schedule(Name=f"{name}-f")
    assert shown["FlexibleTimeWindow"] == {"Mode": "FLEXIBLE", "MaximumWindowInMinutes": 15}
    assert shown["ScheduleExpressionTimezone"] == "Asia/Kathmandu"


def test_groups_lists_and_updates(site: Site, scheduler: Any, name: str) -> None:
    stream = site.stream()
    arn = scheduler.create_schedule_group(Name=name, Tags=[{"Key": "a", "Value": "1"}])["ScheduleGroupArn"]
    with pytest.raises(ClientError) as error:
        scheduler.create_schedule_group(Name=name)
    assert code(error) == "ConflictException"
    for each in ("one", "two"):
        scheduler.create_schedule(
            Name=each,
            GroupName=name,
            ScheduleExpression="rate(1 day)",
            FlexibleTimeWindow=OFF,
            Target=target(stream),
            State="DISABLED",
        )
    page = scheduler.list_schedules(GroupName=name, MaxResults=1)
    rest = scheduler.list_schedules(GroupName=name, NextToken=page["NextToken"])
    assert [each["Name"] for part in (page, rest) for each in part["Schedules"]] == ["one", "two"]
    assert scheduler.list_schedules(GroupName=name, State="ENABLED")["Schedules"] == []
    scheduler.update_schedule(
        Name="one",
        GroupName=name,
        ScheduleExpression="rate(2 days)",
        FlexibleTimeWindow=OFF,
        Target=target(stream),
        Description="changed",
    )
    shown = scheduler.get_schedule(Name="one", GroupName=name)
    assert (shown["ScheduleExpression"], shown["State"], shown["Description"]) == ("rate(2 days)", "ENABLED", "changed")
    scheduler.tag_resource(ResourceArn=arn, Tags=[{"Key": "b", "Value": "2"}])
    scheduler.untag_resource(ResourceArn=arn, TagKeys=["a"])
    assert scheduler.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": "2"}]
    assert name in [group["Name"] for group in scheduler.list_schedule_groups()["ScheduleGroups"]]
    scheduler.delete_schedule_group(Name=name)
    for call_, given in (("get_schedule_group", {"Name": name}), ("get_schedule", {"Name": "one", "GroupName": name})):
        with pytest.raises(ClientError) as error:
            getattr(scheduler, call_)(**given)
        assert code(error) == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ScheduleExpression": "rate(1 days)"}, "ValidationException"),
        ({"ScheduleExpression": "at(2020-01-01T00:00:00)"}, "ValidationException"),
        ({"ScheduleExpressionTimezone": "Europe/Atlantis"}, "ValidationException"),
        ({"GroupName": "none"}, "ResourceNotFoundException"),
        ({"FlexibleTimeWindow": {"Mode": "FLEXIBLE"}}, "ValidationException"),
        ({"FlexibleTimeWindow": {"Mode": "OFF", "MaximumWindowInMinutes": 5}}, "ValidationException"),
        ({"Target": {"Arn": "arn:aws:sqs:us-east-1:000000000000:q", "RoleArn": ROLE}}, "ValidationException"),
        ({"Target": {"Arn": "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "RoleArn": ROLE}}, "ValidationException"),
        *(
            ({"Target": {"Arn": FUNCTION, "RoleArn": ROLE, **more}}, "ValidationException")
            for more in (
                {"DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:000000000000:q"}},
                {"EcsParameters": {"TaskDefinitionArn": "arn:aws:ecs:x:0:t"}},
                {"EventBridgeParameters": {"DetailType": "d", "Source": "s"}},
                {"SqsParameters": {"MessageGroupId": "g"}},
            )
        ),
        ({"EndDate": datetime(2020, 1, 1, tzinfo=UTC)}, "ValidationException"),
        ({"KmsKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k"}, "NotImplemented"),
    ],
)
def test_what_cannot_be_has_the_modelled_error(
    site: Site, scheduler: Any, name: str, changes: dict[str, Any], expected: str
) -> None:
    given = {
        "Name": name,
        "ScheduleExpression": "rate(1 day)",
        "FlexibleTimeWindow": OFF,
        "Target": {"Arn": FUNCTION, "RoleArn": ROLE},
        **changes,
    }
    with pytest.raises(ClientError) as error:
        scheduler.create_schedule(**given)
    assert code(error) == expected
    assert scheduler.list_schedules(NamePrefix=name)["Schedules"] == []


# ------------------------------------------------------------------------------------------------ over a restart


@dataclass
class Opened:
    streams: StreamStore
    functions: Functions
    schedules: Schedules

    async def first(self, arn: str, after: int = 0) -> bytes:
        shard = "shardId-000000000000"
        while not (found := await self.streams.read(arn, shard, after, 1, 1000)):
            await self.streams.arrived(arn, shard, after, 60)
        return found[0].data


@asynccontextmanager
async def opened(folder: Path, clock: Clock) -> AsyncIterator[Opened]:
    store = await EmbeddedStore.open(folder / "store")
    streams = await StreamStore.open(store, **HERE)
    functions = await Functions.open(store, folder / "functions")
    schedules = await Schedules.open(store, ScheduleTargets(functions, streams), **HERE, clock=clock)
    try:
        await schedules.start()
        yield Opened(streams, functions, schedules)
    finally:
        await schedules.close()
        await functions.close()
        await store.close()


async def test_what_was_missed_while_the_place_was_down(tmp_path: Path) -> None:
    """A one-time schedule is made up for, once; a rate goes on without what it missed."""
    clock = Clock()
    once, often = (f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{each}" for each in ("once", "often"))
    async with opened(tmp_path, clock) as place:
        for each in ("once", "often"):
            await place.streams.api.create_stream(call(), stream_name=each, shard_count=1)
        when = datetime.fromtimestamp(clock() + 600, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        for each, arn, expression in (("o", once, f"at({when})"), ("r", often, "rate(10 minutes)")):
            await place.schedules.scheduler.create_schedule(
                call(),
                name=each,
                schedule_expression=expression,
                target=target(arn, Input="<aws.scheduler.scheduled-time>"),
                flexible_time_window=OFF,
            )
    clock.ahead = 3650.0  # six firings of the rate later
    async with opened(tmp_path, clock) as place:
        assert await place.first(once) == f"{when}Z".encode()
        clock.ahead = 4250.0
        place.schedules.look()
        made = await place.schedules.scheduler.get_schedule(call(), name="r")
        seventh = datetime.fromtimestamp(made["CreationDate"] + 4200, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert await place.first(often) == seventh.encode()
    async with opened(tmp_path, clock) as place:
        clock.ahead += 600.0
        place.schedules.look()
        await place.first(often, 1)  # the rate goes on; the one-time schedule does not come again
        assert len(await place.streams.read(once, "shardId-000000000000", 0, 10, 1000)) == 1
        shown = await place.schedules.scheduler.get_schedule(call(), name="o")
        assert shown["State"] == "ENABLED"


async def test_a_one_time_schedule_that_was_missed_for_too_long_is_passed_over(tmp_path: Path) -> None:
    clock = Clock()
    arn = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s"
    async with opened(tmp_path, clock) as place:
        await place.streams.api.create_stream(call(), stream_name="s", shard_count=1)
        for each, age in (("late", 60), ("fine", 86_400)):
            when = datetime.fromtimestamp(clock() + 600, UTC).strftime("%Y-%m-%dT%H:%M:%S")
            policy = {"MaximumEventAgeInSeconds": age, "MaximumRetryAttempts": 0}
            await place.schedules.scheduler.create_schedule(
                call(),
                name=each,
                schedule_expression=f"at({when})",
                target=target(arn, Input=each, RetryPolicy=policy),
                flexible_time_window=OFF,
            )
    clock.ahead = 3600.0
    async with opened(tmp_path, clock) as place:
        assert await place.first(arn) == b"fine"
    async with opened(tmp_path, clock) as place:
        assert [m.data for m in await place.streams.read(arn, "shardId-000000000000", 0, 10, 1000)] == [b"fine"]


async def test_a_target_that_is_throttled_gets_its_payload_later(tmp_path: Path) -> None:
    """The outbox tries again what may pass, over a restart too, and drops what never will."""
    clock = Clock()

    class Busy:
        """Targets that refuse once each: what a place answers when a disk is full."""

        def __init__(self) -> None:
            self.tried: list[str] = []

        def accepts(self, arn: str) -> bool:
            return True

        async def deliver(self, arn: str, payload: bytes, *, key: str, service: str | None, source: str) -> None:
            self.tried.append(arn)
            if arn.endswith("gone"):
                raise ServiceError("ResourceNotFoundException", "gone", status=404)
            raise ServiceError("ServiceException", "the disk is full", status=500)

    busy = Busy()
    store = await EmbeddedStore.open(tmp_path / "store")
    schedules = await Schedules.open(store, busy, **HERE, clock=clock)
    for each in ("gone", "full"):
        arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{each}"
        await schedules.events.put_rule(call(), name=each, event_pattern='{"source": ["x"]}')
        await schedules.events.put_targets(call(), rule=each, targets=[{"Id": "1", "Arn": arn}])
    entry = {"Source": "x", "DetailType": "t", "Detail": "{}"}
    await schedules.events.put_events(call(), entries=[entry])
    consumer = await store.streams.consumer("schedules-deliveries", "workers")
    assert await consumer.pending() == 2
    outbox = schedules._outbox
    for message in await consumer.fetch(10):
        await outbox._deliver(message)
    assert len(busy.tried) == 2
    assert await consumer.pending() == 1  # the one that may pass
    await schedules.close()
    await store.close()
    store = await EmbeddedStore.open(tmp_path / "store")
    consumer = await store.streams.consumer("schedules-deliveries", "workers")
    assert await consumer.pending() == 1
    await store.close()


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from littoral.functions import Functions
from littoral.schedules import Schedules
from littoral.site.capabilities.schedules import ScheduleTargets
from littoral.store.embedded import EmbeddedStore
from littoral.streams import StreamStore
from tests.functions.deploy import call

async def main():
    folder, here = Path(sys.argv[1]), {"region": "us-east-1", "account": "000000000000"}
    store = await EmbeddedStore.open(folder / "store")
    streams = await StreamStore.open(store, **here)
    functions = await Functions.open(store, folder / "functions")
    events = (await Schedules.open(store, ScheduleTargets(functions, streams), **here)).events
    await streams.api.create_stream(call(), stream_name="s", shard_count=1)
    arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s"
    await events.put_rule(call(), name="r", event_pattern='{"source": ["x"]}')
    await events.put_targets(call(), rule="r", targets=[{"Id": "1", "Arn": arn, "InputPath": "$.detail.n"}])
    entries = [{"Source": "x", "DetailType": "t", "Detail": '{"n": %d}' % n} for n in range(5)]
    answer = await events.put_events(call(), entries=entries)
    assert answer["FailedEntryCount"] == 0
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_an_accepted_event_reaches_its_target_although_the_place_was_killed(tmp_path: Path) -> None:
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    arn = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/s"
    async with opened(tmp_path, Clock()) as place:
        assert sorted([int(await place.first(arn, each)) for each in range(5)]) == [0, 1, 2, 3, 4]
