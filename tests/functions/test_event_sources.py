"""Event source mappings on a real stream: order, retries, filters, destinations, and what a killed place keeps."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from littoral.aws.service import ServiceError
from littoral.functions import Functions, FunctionSettings
from littoral.site.capabilities.functions import StreamSink
from littoral.site.capabilities.sources import StreamSource
from littoral.store.embedded import EmbeddedStore
from littoral.streams import StreamStore
from tests.functions.deploy import ROLE, Place, call
from tests.functions.meeting import Meeting

ACCOUNT = "000000000000"
ARN = f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/"
IN, OUT, LOST = ARN + "in", ARN + "out", ARN + "lost"
SHARD = "shardId-000000000000"

# Every handler tells what it saw over a connection, one after another: hearing it is how a test waits.
SAW = """
import base64, json, os, socket

def datas(event):
    return [base64.b64decode(r['kinesis']['data']).decode() for r in event['Records']]

def tell(what):
    with socket.create_connection(('127.0.0.1', int(os.environ['TOLD']))) as line:
        line.sendall((json.dumps(what) + '\\n').encode())
        line.recv(1)
"""
TELL = SAW + "\ndef handler(event, context):\n    tell(datas(event))\n"


class Told:
    """What handlers told, one after another."""

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting
        self.port = meeting.port

    async def next(self) -> Any:
        met = await self._meeting.next()
        met.let_go()
        return json.loads(met.said)


@dataclass
class Site(Place):
    streams: StreamStore
    told: Told

    async def function(self, source: str, name: str = "f", **more: Any) -> None:
        await self.python(source, name, environment={"Variables": {"TOLD": str(self.told.port)}}, **more)

    async def stream(self, name: str, shards: int = 1) -> None:
        call_ = call()
        await self.streams.api.create_stream(call_, stream_name=name, shard_count=shards)

    async def put(self, *datas: Any, key: str = "k", stream: str = IN) -> None:
        for data in datas:
            await self.streams.put(stream, data if isinstance(data, bytes) else str(data).encode(), key)

    async def map(self, **given: Any) -> str:
        given = {"function_name": "f", "event_source_arn": IN, "starting_position": "TRIM_HORIZON", **given}
        made = await self.api.create_event_source_mapping(call(), **given)
        assert made["State"] == "Creating"
        return str(made["UUID"])

    async def state(self, uuid: str) -> str:
        return str((await self.api.get_event_source_mapping(call(), uuid=uuid))["State"])

    async def settled(self, uuid: str) -> None:
        """Until what an Update or Delete began is done."""
        task = self.functions._parts.mappings._changing.get(uuid)
        if task is not None:
            await task

    async def first_of(self, stream: str) -> dict[str, Any]:
        """The first record of a stream of one shard, when it has come."""
        while not (found := await self.streams.read(stream, SHARD, 0, 1, 1000)):
            await self.streams.arrived(stream, SHARD, 0, 60)
        return dict(json.loads(found[0].data))


@asynccontextmanager
async def site_in(
    folder: Path, told: Told, clock: Callable[[], float] = time.time, **settings: Any
) -> AsyncIterator[Site]:
    settings = {"source_delays": (0.01, 0.05), **settings}
    store = await EmbeddedStore.open(folder / "store", clock=clock)
    try:
        streams = await StreamStore.open(store, region="us-east-1", account=ACCOUNT, clock=clock)
        functions = await Functions.open(
            store,
            folder / "functions",
            settings=FunctionSettings(**settings),
            sink=StreamSink(streams),
            sources={"arn:aws:kinesis:": StreamSource(streams)},
            clock=clock,
        )
        try:
            await functions.start()
            yield Site(functions, store, streams, told)
        finally:
            await functions.close()
    finally:
        await store.close()


@pytest_asyncio.fixture
async def told() -> AsyncIterator[Told]:
    async with Meeting() as meeting:
        yield Told(meeting)


@pytest.fixture
async def site(tmp_path: Path, told: Told) -> AsyncIterator[Site]:
    async with site_in(tmp_path, told) as opened:
        await opened.stream("in")
        yield opened


async def test_the_event_is_kinesis_own(site: Site) -> None:
    await site.function(SAW + "\ndef handler(event, context):\n    tell(event)\n")
    await site.put(b"\xff{}", key="bed-7")
    uuid = await site.map()
    (record,) = (await site.told.next())["Records"]
    kinesis = record.pop("kinesis")
    number = kinesis.pop("sequenceNumber")
    assert isinstance(kinesis.pop("approximateArrivalTimestamp"), float)
    data = base64.b64encode(b"\xff{}").decode()
    assert kinesis == {"kinesisSchemaVersion": "1.0", "partitionKey": "bed-7", "data": data}
    assert record == {
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{SHARD}:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": ROLE,
        "awsRegion": "us-east-1",
        "eventSourceARN": IN,
    }
    assert await site.state(uuid) == "Enabled"


async def test_batches_hold_what_waits_in_order_and_at_most_the_batch_size(site: Site) -> None:
    await site.function(TELL)
    await site.put(*range(5))
    await site.map(batch_size=2)
    assert [await site.told.next() for _ in range(3)] == [["0", "1"], ["2", "3"], ["4"]]
    await site.put("later")
    assert await site.told.next() == ["later"]


async def test_a_batch_is_an_event_of_at_most_six_megabytes(site: Site) -> None:
    await site.function(SAW + "\ndef handler(e, c):\n    tell([len(each) for each in datas(e)])\n", memory_size=512)
    size = 1024 * 1024 - 1024
    await site.put(*[b"x" * size] * 6)
    await site.map(batch_size=100)
    assert [await site.told.next() for _ in range(2)] == [[size] * 4, [size] * 2]


async def test_the_size_of_a_record_is_not_less_than_its_event(site: Site) -> None:
    source = StreamSource(site.streams)
    for data, key in ((b"", "k"), (b"\xff" * 1000, "\U0001f600" * 128), (b"abcd", '"\n' * 128)):
        await site.put(data, key=key)
    for record in await source.read(IN, SHARD, 0, 10, 1_000_000):
        assert len(json.dumps(source.event(IN, SHARD, record, ""))) <= record.size


async def test_a_window_gathers_until_the_batch_is_full(site: Site) -> None:
    await site.function(TELL)
    await site.map(batch_size=3, maximum_batching_window_in_seconds=300)
    await site.put("a")
    await site.put("b")
    await site.put("c")
    assert await site.told.next() == ["a", "b", "c"]


async def test_a_window_ends(site: Site) -> None:
    await site.function(TELL)
    await site.put("a", "b")
    await site.map(batch_size=100, maximum_batching_window_in_seconds=1)
    assert await site.told.next() == ["a", "b"]


async def test_latest_begins_with_what_comes_after_the_mapping(site: Site) -> None:
    await site.function(TELL)
    await site.put("before")
    await site.map(starting_position="LATEST")
    await site.put("after")
    assert await site.told.next() == ["after"]


async def test_a_function_that_fails_gets_the_same_batch_again_and_order_is_kept(site: Site) -> None:
    source = "seen = []\ndef handler(e, c):\n    seen.append(1)\n    tell(datas(e))\n"
    await site.function(SAW + source + "    if len(seen) < 3: raise ValueError\n")
    await site.put("a")
    await site.map()
    assert [await site.told.next() for _ in range(3)] == [["a"]] * 3
    await site.put("b")
    assert await site.told.next() == ["b"]


FAILS_ON_BAD = SAW + "\ndef handler(e, c):\n    tell(datas(e))\n    assert 'bad' not in datas(e)\n"


async def test_a_poisoned_batch_is_bisected_and_the_record_given_up_reaches_the_destination(site: Site) -> None:
    await site.stream("lost")
    await site.function(FAILS_ON_BAD)
    await site.put("a", "b", "bad", "c")
    destination = {"OnFailure": {"Destination": LOST}}
    given = {"bisect_batch_on_function_error": True, "maximum_retry_attempts": 1, "destination_config": destination}
    uuid = await site.map(batch_size=4, **given)
    calls = [await site.told.next() for _ in range(6)]
    assert calls == [["a", "b", "bad", "c"], ["a", "b"], ["bad", "c"], ["bad"], ["bad"], ["c"]]
    record = await site.first_of(LOST)
    context, batch = record["requestContext"], record["KinesisBatchInfo"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetryAttemptsExhausted", 2)
    assert context["functionArn"].endswith(":function:f:$LATEST")
    assert record["responseContext"] == {
        "statusCode": 200,
        "executedVersion": "$LATEST",
        "functionError": "Unhandled",
    }
    assert (batch["shardId"], batch["batchSize"], batch["streamArn"]) == (SHARD, 1, IN)
    assert batch["startSequenceNumber"] == batch["endSequenceNumber"]
    await site.put("d")
    assert await site.told.next() == ["d"]
    shown = await site.api.get_event_source_mapping(call(), uuid=uuid)
    assert shown["DestinationConfig"] == {"OnFailure": {"Destination": LOST}}


async def test_a_function_may_be_the_on_failure_destination(site: Site) -> None:
    await site.function(FAILS_ON_BAD)
    await site.function(SAW + "\ndef handler(e, c):\n    tell(e['KinesisBatchInfo']['batchSize'])\n", "lost")
    await site.put("bad", "x")
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:lost"
    await site.map(maximum_retry_attempts=0, destination_config={"OnFailure": {"Destination": arn}})
    assert [await site.told.next() for _ in range(2)] == [["bad", "x"], 2]


REPORTS = """
seen = []
def handler(e, c):
    tell(datas(e))
    seen.append(1)
    if len(seen) > 1: return {'batchItemFailures': []}
    return {'batchItemFailures': [{'itemIdentifier': r['kinesis']['sequenceNumber']} for r in e['Records'][2:]][::-1]}
"""


async def test_reported_failures_are_retried_from_the_first_of_them(site: Site) -> None:
    await site.function(SAW + REPORTS)
    await site.put("a", "b", "c", "d")
    await site.map(function_response_types=["ReportBatchItemFailures"])
    assert [await site.told.next() for _ in range(2)] == [["a", "b", "c", "d"], ["c", "d"]]
    await site.put("e")
    assert await site.told.next() == ["e"]


@pytest.mark.parametrize("answer", ["{'batchItemFailures': [{'itemIdentifier': ''}]}", "7", "{'batchItemFailures': 7}"])
async def test_a_report_that_names_nothing_fails_the_whole_batch(site: Site, answer: str) -> None:
    await site.function(
        SAW + f"n = []\ndef handler(e, c):\n    tell(datas(e))\n    n.append(1)\n    if len(n) < 2: return {answer}\n"
    )
    await site.put("a", "b")
    await site.map(function_response_types=["ReportBatchItemFailures"])
    assert [await site.told.next() for _ in range(2)] == [["a", "b"]] * 2


async def test_filters_let_through_what_matches_and_go_past_the_rest(site: Site) -> None:
    await site.function(TELL)
    patterns = [{"data": {"pulse": [{"numeric": [">", 120]}]}}, {"partitionKey": ["alarm"]}]
    criteria = {"Filters": [{"Pattern": json.dumps(each)} for each in patterns]}
    uuid = await site.map(filter_criteria=criteria, batch_size=2)
    await site.put('{"pulse": 70}', "no json", b"\xff", '{"pulse": 121}')
    await site.put("anything", key="alarm")
    seen: list[str] = []
    while len(seen) < 2:
        seen += await site.told.next()
    assert seen == ['{"pulse": 121}', "anything"]
    await site.api.update_event_source_mapping(call(), uuid=uuid, filter_criteria={"Filters": []})
    await site.settled(uuid)
    await site.put("x")
    assert await site.told.next() == ["x"]


async def test_records_that_are_too_old_are_given_up(tmp_path: Path, told: Told) -> None:
    ahead = 0.0

    def clock() -> float:
        import time

        return time.time() + ahead

    store = await EmbeddedStore.open(tmp_path / "store")
    streams = await StreamStore.open(store, region="us-east-1", account=ACCOUNT)
    functions = await Functions.open(
        store,
        tmp_path / "functions",
        clock=clock,
        sink=StreamSink(streams),
        sources={"arn:aws:kinesis:": StreamSource(streams)},
    )
    site = Site(functions, store, streams, told)
    try:
        await functions.start()
        for name in ("in", "lost"):
            await site.stream(name)
        await site.function(TELL)
        await site.put("old", "older")
        ahead = 3600.0
        destination = {"OnFailure": {"Destination": LOST}}
        await site.map(maximum_record_age_in_seconds=60, destination_config=destination)
        record = await site.first_of(LOST)
        assert record["requestContext"]["condition"] == "RecordAgeExceeded"
        assert record["KinesisBatchInfo"]["batchSize"] == 2
        ahead = 0.0
        await site.put("new")
        assert await told.next() == ["new"]
    finally:
        await functions.close()
        await store.close()


async def test_lanes_work_at_once_and_keep_the_order_of_each_key(site: Site) -> None:
    await site.function(TELL)
    for each in range(10):
        for key in "abcd":
            await site.put(f"{key}{each}", key=key)
    uuid = await site.map(batch_size=3, parallelization_factor=3)
    seen: list[str] = []
    while len(seen) < 40:
        seen += await site.told.next()
    for key in "abcd":
        assert [each for each in seen if each.startswith(key)] == [f"{key}{each}" for each in range(10)]
    await site.api.update_event_source_mapping(call(), uuid=uuid, parallelization_factor=1)
    await site.settled(uuid)
    await site.put("end")
    again: list[str] = []
    while "end" not in again:  # what a faster lane had done may come again, nothing is left out
        again += await site.told.next()
    assert set(again) <= {*seen, "end"}


async def test_disabled_and_enabled_again_it_goes_on_where_it_was(site: Site) -> None:
    await site.function(TELL)
    await site.put("a")
    uuid = await site.map()
    assert await site.told.next() == ["a"]
    updated = await site.api.update_event_source_mapping(call(), uuid=uuid, enabled=False)
    assert updated["State"] == "Updating"
    await site.settled(uuid)
    assert await site.state(uuid) == "Disabled"
    await site.put("b")
    await site.api.update_event_source_mapping(call(), uuid=uuid, enabled=True)
    await site.settled(uuid)
    assert await site.told.next() == ["b"]
    deleted = await site.api.delete_event_source_mapping(call(), uuid=uuid)
    assert deleted["State"] == "Deleting"
    await site.settled(uuid)
    with pytest.raises(ServiceError) as error:
        await site.state(uuid)
    assert error.value.code == "ResourceNotFoundException"
    records = site.store.records("functions")
    assert not await records.scan("source/") and not await records.scan("checkpoint/")


async def test_how_it_went_last_is_known_and_kept(tmp_path: Path, told: Told) -> None:
    uuid = ""

    async def after(site: Site, data: str) -> str:
        """What is said of the mapping once a record was worked off and the mapping switched off."""
        await site.api.update_event_source_mapping(call(), uuid=uuid, enabled=True)
        await site.settled(uuid)
        await site.put(data)
        assert await told.next() == [data]
        await site.api.update_event_source_mapping(call(), uuid=uuid, enabled=False)
        await site.settled(uuid)
        return await said(site)

    async def said(site: Site) -> str:
        return str((await site.api.get_event_source_mapping(call(), uuid=uuid))["LastProcessingResult"])

    async with site_in(tmp_path, told) as site:
        await site.stream("in")
        await site.function(FAILS_ON_BAD)
        uuid = await site.map(maximum_retry_attempts=0, enabled=False)
        assert await said(site) == "No records processed"
        assert await after(site, "good") == "OK"
        assert await after(site, "bad") == "PROBLEM: Function call failed"
    async with site_in(tmp_path, told) as site:
        assert await said(site) == "PROBLEM: Function call failed"
        assert await after(site, "good") == "OK"


async def test_mappings_are_listed_and_one_pair_has_one(site: Site) -> None:
    await site.function(TELL)
    await site.function(TELL, "g")
    one, other = await site.map(enabled=False), await site.map(function_name="g", enabled=False)
    with pytest.raises(ServiceError) as error:
        await site.map()
    assert error.value.code == "ResourceConflictException" and one in error.value.message
    listed = (await site.api.list_event_source_mappings(call(), event_source_arn=IN))["EventSourceMappings"]
    assert {each["UUID"]: each["State"] for each in listed} == {one: "Disabled", other: "Disabled"}
    first = await site.api.list_event_source_mappings(call(), max_items=1)
    second = await site.api.list_event_source_mappings(call(), max_items=1, marker=first["NextMarker"])
    assert {each["EventSourceMappings"][0]["UUID"] for each in (first, second)} == {one, other}
    only = await site.api.list_event_source_mappings(call(), function_name="g")
    assert [each["UUID"] for each in only["EventSourceMappings"]] == [other]


async def test_a_mapping_has_tags_by_its_arn_also_after_a_restart(tmp_path: Path, told: Told) -> None:
    async with site_in(tmp_path, told) as site:
        await site.stream("in")
        await site.function(TELL)
        uuid = await site.map(tags={"ward": "7", "bed": "1"})
        arn = (await site.api.get_event_source_mapping(call(), uuid=uuid))["EventSourceMappingArn"]
        assert arn == f"arn:aws:lambda:us-east-1:000000000000:event-source-mapping:{uuid}"
        await site.api.tag_resource(call(), resource=arn, tags={"bed": "2"})
        await site.api.untag_resource(call(), resource=arn, tag_keys=["ward"])
        with pytest.raises(ServiceError, match="aws:"):
            await site.api.tag_resource(call(), resource=arn, tags={"aws:x": "1"})
    async with site_in(tmp_path, told) as site:
        assert await site.api.list_tags(call(), resource=arn) == {"Tags": {"bed": "2"}}
        await site.api.update_event_source_mapping(call(), uuid=uuid, batch_size=7)
        assert await site.api.list_tags(call(), resource=arn) == {"Tags": {"bed": "2"}}
        with pytest.raises(ServiceError) as error:
            await site.api.list_tags(call(), resource=arn[:-1] + "x")
        assert error.value.code == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"tags": {"aws:x": "1"}}, "InvalidParameterValueException"),
        ({"function_name": "none"}, "InvalidParameterValueException"),
        ({"event_source_arn": ARN + "none"}, "ResourceNotFoundException"),
        ({"event_source_arn": None}, "InvalidParameterValueException"),
        ({"event_source_arn": "arn:aws:sqs:us-east-1:000000000000:q"}, "InvalidParameterValueException"),
        ({"starting_position": None}, "InvalidParameterValueException"),
        ({"starting_position": "AT_TIMESTAMP"}, "InvalidParameterValueException"),
        ({"batch_size": 10_001}, "InvalidParameterValueException"),
        ({"maximum_record_age_in_seconds": 59}, "InvalidParameterValueException"),
        ({"parallelization_factor": 11}, "InvalidParameterValueException"),
        ({"tumbling_window_in_seconds": 901}, "InvalidParameterValueException"),
        ({"tumbling_window_in_seconds": 30, "parallelization_factor": 2}, "InvalidParameterValueException"),
        ({"filter_criteria": {"Filters": [{"Pattern": '{"data": 7}'}]}}, "InvalidParameterValueException"),
        ({"filter_criteria": {"Filters": [{"Pattern": "{"}]}}, "InvalidParameterValueException"),
        ({"destination_config": {"OnFailure": {"Destination": LOST}}}, "InvalidParameterValueException"),
        ({"destination_config": {"OnSuccess": {"Destination": IN}}}, "InvalidParameterValueException"),
    ],
)
async def test_what_cannot_be_is_refused_and_leaves_nothing(site: Site, given: dict[str, Any], code: str) -> None:
    await site.function(TELL)
    with pytest.raises(ServiceError) as error:
        await site.map(**given)
    assert error.value.code == code
    assert error.value.status == (404 if code == "ResourceNotFoundException" else 400)
    assert not await site.store.records("functions").scan("source/")


async def test_a_mapping_waits_for_a_function_that_is_switched_off(site: Site) -> None:
    await site.function(TELL)
    await site.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=0)
    await site.put("a")
    await site.map(maximum_retry_attempts=0)
    await site.api.put_function_concurrency(call(), function_name="f", reserved_concurrent_executions=1)
    assert await site.told.next() == ["a"]


async def test_a_stream_made_anew_under_the_same_name_is_not_taken_for_the_old_one(site: Site) -> None:
    """Its positions would pass over records that nobody has seen."""
    await site.function(TELL)
    await site.put("a", "b")
    uuid = await site.map()
    assert await site.told.next() == ["a", "b"]
    await site.streams.api.delete_stream(call(), stream_name="in")
    await site.stream("in")
    await site.put("c")
    following = site.functions._parts.mappings._following[uuid]
    lane = following._lanes[0]  # type: ignore[attr-defined]
    with pytest.raises(ServiceError) as error:
        await lane._gather()
    assert error.value.code == "ResourceNotFoundException"
    await site.api.delete_event_source_mapping(call(), uuid=uuid)
    await site.settled(uuid)
    await site.map()
    assert await site.told.next() == ["c"]


async def test_a_destination_that_is_a_stream_takes_the_records_of_asynchronous_events(site: Site) -> None:
    await site.stream("out")
    await site.function("def handler(e, c): return e['n'] + 1")
    await site.api.put_function_event_invoke_config(
        call(), function_name="f", destination_config={"OnSuccess": {"Destination": OUT}}
    )
    await site.api.invoke(call(), function_name="f", invocation_type="Event", payload=b'{"n": 1}')
    record = await site.first_of(OUT)
    assert (record["requestContext"]["condition"], record["responsePayload"]) == ("Success", 2)


KILLED = """
import asyncio, sys
from pathlib import Path
from littoral.functions import Functions, FunctionSettings
from littoral.site.capabilities.sources import StreamSource
from littoral.store.embedded import EmbeddedStore
from littoral.streams import StreamStore

async def main():
    folder = Path(sys.argv[1])
    store = await EmbeddedStore.open(folder / "store")
    streams = await StreamStore.open(store, region="us-east-1", account="000000000000")
    functions = await Functions.open(
        store, folder / "functions", sources={"arn:aws:kinesis:": StreamSource(streams)}
    )
    await functions.start()
    for number in range(200):
        await streams.put(sys.argv[2], str(number).encode(), str(number))
        print(number, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_no_record_is_lost_when_the_place_is_killed_while_a_mapping_works(tmp_path: Path, told: Told) -> None:
    async with site_in(tmp_path, told) as site:
        await site.stream("in", 2)
        await site.function(TELL)
        await site.map(batch_size=3)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(tmp_path), IN, stdout=asyncio.subprocess.PIPE
    )
    seen: list[str] = []
    while len(seen) < 30:
        seen += await told.next()
    process.kill()
    assert process.stdout is not None
    acknowledged = (await process.stdout.read()).split()
    assert await process.wait() == -signal.SIGKILL
    kept = {line.decode() for line in acknowledged}
    assert len(kept) >= 20
    async with site_in(tmp_path, told):
        while not kept <= set(seen):
            seen += await told.next()


# ------------------------------------------------------------------------------------------ tumbling windows

SUM = (
    SAW
    + """
def handler(event, context):
    state = {key: value if isinstance(value, int) else len(value) for key, value in event["state"].items()}
    tell([datas(event), event["window"]["start"][14:], state,
          event["isFinalInvokeForWindow"], event["isWindowTerminatedEarly"]])
    if datas(event) == ["no state"]:
        return {}
    large = {"large": "x" * 1048576} if datas(event) == ["large"] else {}
    return {"state": {"sum": event["state"].get("sum", 0) + len(datas(event)), **large}}
"""
)


async def test_a_window_carries_its_state_over_batches_and_restarts(tmp_path: Path, told: Told) -> None:
    now = [3600.0 * 1000]

    async with site_in(tmp_path, told, clock=lambda: now[0]) as site:
        await site.stream("in")
        await site.function(SUM)
        await site.map(tumbling_window_in_seconds=60)
        await site.put("a")
        assert await told.next() == [["a"], "00:00Z", {}, False, False]
        await site.put("b")
        assert await told.next() == [["b"], "00:00Z", {"sum": 1}, False, False]
        while True:  # the state is on disk with the position
            (record,) = await site.store.records("functions").scan("checkpoint/")
            if json.loads(record.value)["window"]["state"] == {"sum": 2}:
                break
            await asyncio.sleep(0.01)
    async with site_in(tmp_path, told, clock=lambda: now[0]) as site:
        await site.put("c")
        assert await told.next() == [["c"], "00:00Z", {"sum": 2}, False, False]
        now[0] += 130
        await site.put("d")  # of the next but one
        assert await told.next() == [[], "00:00Z", {"sum": 3}, True, False]
        assert await told.next() == [["d"], "02:00Z", {}, False, False]


async def test_a_window_ends_without_a_further_record(site: Site) -> None:
    await site.function(SUM)
    await site.put("a")
    await site.map(tumbling_window_in_seconds=1)
    batch, start, _, final, _ = await site.told.next()
    assert (batch, final) == (["a"], False)
    assert await site.told.next() == [[], start, {"sum": 1}, True, False]


async def test_a_state_that_is_missing_is_a_failure_and_one_too_large_is_handed_back(
    tmp_path: Path, told: Told
) -> None:
    async with site_in(tmp_path, told, clock=lambda: 3600.0 * 1000) as site:
        await site.stream("in")
        await site.function(SUM, memory_size=512)
        uuid = await site.map(tumbling_window_in_seconds=60, maximum_retry_attempts=1)
        await site.put("no state")
        for _ in range(2):
            assert (await told.next())[:1] == [["no state"]]
        await site.put("large")
        assert await told.next() == [["large"], "00:00Z", {}, False, False]
        assert await told.next() == [[], "00:00Z", {"sum": 1, "large": 1048576}, False, True]
        await site.put("after")
        assert await told.next() == [["after"], "00:00Z", {}, False, False]
        shown = await site.api.get_event_source_mapping(call(), uuid=uuid)
        assert shown["TumblingWindowInSeconds"] == 60
        await site.api.update_event_source_mapping(call(), uuid=uuid, tumbling_window_in_seconds=0)
        await site.settled(uuid)
        shown = await site.api.get_event_source_mapping(call(), uuid=uuid)
        assert shown["TumblingWindowInSeconds"] == 0
