"""The stream manager, spoken to by AWS's own SDK; exports to a real region over a cable that can be cut."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from littoral.core.streammanager import component
from littoral.core.streammanager.log import Found
from littoral.core.streammanager.streams import MessageStreams
from littoral.core.upward import Upward
from littoral.net.listen import listen_http
from littoral.net.message import Request, Response
from littoral.protocols.streammanager.definition import MiB, Persistence, ReadOptions, definition_of
from littoral.protocols.streammanager.wire import Refused, Status
from littoral.store.embedded import EmbeddedStore
from littoral.tour.link import Link as Cable
from tests.core.world import CorePlace, RegionPlace, until

sdk = pytest.importorskip("stream_manager", reason="AWS's SDK: pip install --no-deps stream-manager")

T = TypeVar("T")
NAME = component.NAME
OPEN = {"STREAM_MANAGER_SERVER_PORT": "0", "STREAM_MANAGER_AUTHENTICATE_CLIENT": "false"}


@pytest.fixture
async def core(region: RegionPlace, place: CorePlace) -> AsyncIterator[CorePlace]:
    """A core whose stream manager is deployed, on a free port, for anybody."""
    await region.role_alias()
    await deploy(region, **OPEN)
    yield place


async def deploy(region: RegionPlace, **configuration: str) -> None:
    update = {"merge": json.dumps(configuration)}
    deployed = await region.deploy(**{NAME: {"componentVersion": "2.2.0", "configurationUpdate": update}})
    assert await region.outcome(deployed) == "SUCCEEDED"


async def ask(place: CorePlace, work: Callable[[Any], T]) -> T:
    """What ``work`` does with a client of the SDK, in a thread."""

    port = await until(lambda: port_of(place))

    def run() -> T:
        with sdk.StreamManagerClient(port=port, connect_timeout=30) as client:
            return work(client)

    return await asyncio.to_thread(run)


def port_of(place: CorePlace) -> int:
    found: Any = place.core.deployments._applying._played[NAME]
    return int(found.port)


def definition(name: str = "a", **members: Any) -> Any:
    overwrite = sdk.StrategyOnFull.OverwriteOldestData
    return sdk.MessageStreamDefinition(name=name, **{"strategy_on_full": overwrite, **members})


def to_kinesis(target: str = "readings", identifier: str = "up", **members: Any) -> Any:
    return sdk.KinesisConfig(identifier=identifier, kinesis_stream_name=target, **members)


async def records(region: RegionPlace, stream: str = "readings") -> list[bytes]:
    found = await region.call("kinesis", "list_shards", StreamName=stream)
    data = []
    for shard in found["Shards"]:
        made = await region.call(
            "kinesis",
            "get_shard_iterator",
            StreamName=stream,
            ShardId=shard["ShardId"],
            ShardIteratorType="TRIM_HORIZON",
        )
        iterator = made["ShardIterator"]
        while True:
            page = await region.call("kinesis", "get_records", ShardIterator=iterator)
            data += [each["Data"] for each in page["Records"]]
            iterator = page["NextShardIterator"]
            if not page["Records"]:
                break
    return data


async def test_streams_are_made_changed_told_and_deleted(core: CorePlace) -> None:
    def work(client: Any) -> None:
        client.create_message_stream(definition("a", max_size=4096, time_to_live_millis=60_000))
        with pytest.raises(sdk.InvalidRequestException):
            client.create_message_stream(definition("a"))
        client.create_message_stream(definition("b", persistence=sdk.Persistence.Memory))
        assert client.list_streams() == ["a", "b"]
        assert [client.append_message("a", b"one"), client.append_message("a", b"two")] == [0, 1]
        told = client.describe_message_stream("a")
        assert (told.definition.max_size, told.definition.time_to_live_millis) == (4096, 60_000)
        stored = told.storage_status
        assert (stored.oldest_sequence_number, stored.newest_sequence_number, stored.total_bytes) == (0, 1, 6)
        client.update_message_stream(definition("a", max_size=8192))
        assert client.describe_message_stream("a").definition.max_size == 8192
        with pytest.raises(sdk.UpdateNotAllowedException):
            client.update_message_stream(definition("a", persistence=sdk.Persistence.Memory))
        client.append_message("a", b"x" * 2000)
        with pytest.raises(sdk.UpdateNotAllowedException, match="maxSize"):
            client.update_message_stream(definition("a", max_size=1024))
        with pytest.raises(sdk.UpdateNotAllowedException, match="startSequenceNumber"):
            late = sdk.ExportDefinition(kinesis=[to_kinesis(start_sequence_number=2, disabled=True)])
            client.update_message_stream(definition("a", max_size=8192, export_definition=late))
        assert client.describe_message_stream("a").definition.export_definition is None
        client.delete_message_stream("a")
        for gone in (client.delete_message_stream, client.describe_message_stream):
            with pytest.raises(sdk.ResourceNotFoundException):
                gone("a")
        with pytest.raises(sdk.ResourceNotFoundException):
            client.append_message("a", b"x")
        client.create_message_stream(definition("a"))
        assert client.append_message("a", b"anew") == 0

    await ask(core, work)


async def test_what_no_core_exports_to_is_refused_by_name(core: CorePlace) -> None:
    def work(client: Any) -> list[str]:
        said = []
        for export in (
            sdk.ExportDefinition(iot_analytics=[sdk.IoTAnalyticsConfig(identifier="x", iot_channel="c")]),
            sdk.ExportDefinition(iot_sitewise=[sdk.IoTSiteWiseConfig(identifier="x")]),
        ):
            with pytest.raises(sdk.InvalidRequestException) as refused:
                client.create_message_stream(definition("x", export_definition=export))
            said.append(str(refused.value))
        return said

    analytics, sitewise = await ask(core, work)
    assert "IoT Analytics" in analytics and "SiteWise" in sitewise


async def test_http_servers_take_messages_one_by_one_or_in_batches(core: CorePlace) -> None:
    taken: list[tuple[str, bytes]] = []
    refusals = [503]

    async def handle(request: Request) -> Response:
        body = await request.body.read(1 << 20)
        if request.raw_path == "/one" and len(taken) == 1 and refusals:
            return Response(refusals.pop())
        taken.append((request.raw_path, body))
        return Response(200)

    listener = await listen_http(handle)
    address = f"http://127.0.0.1:{listener.port}"
    formats = {"one": sdk.ExportFormat.RAW_NOT_BATCHED, "all": sdk.ExportFormat.JSON_BATCHED}

    def fill(client: Any) -> None:
        for name, form in formats.items():
            export = sdk.HTTPConfig(identifier=name, uri=f"{address}/{name}", batch_size=2, export_format=form)
            client.create_message_stream(definition(name, export_definition=sdk.ExportDefinition(http=[export])))
            for each in (b"a", b"b"):
                client.append_message(name, each)
            until_exported(client, name)
        with pytest.raises(sdk.InvalidRequestException):
            export = sdk.HTTPConfig(identifier="x", uri="ftp://elsewhere")
            client.create_message_stream(definition("x", export_definition=sdk.ExportDefinition(http=[export])))

    def until_exported(client: Any, name: str) -> None:
        deadline = time.monotonic() + 20
        while statuses(client, name)[0].exported_messages_count < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    try:
        await ask(core, fill)
    finally:
        await listener.close(0)
    assert [body for path, body in taken if path == "/one"] == [b"a", b"b"]
    batches = [json.loads(body) for path, body in taken if path == "/all"]
    found = [(each["sequenceNumber"], base64.b64decode(each["payload"])) for batch in batches for each in batch]
    assert found == [(0, b"a"), (1, b"b")]


async def test_reading(core: CorePlace) -> None:
    def work(client: Any) -> None:
        client.create_message_stream(definition())
        for number in range(5):
            client.append_message("a", b"%d" % number)

        def read(**options: int) -> list[bytes]:
            return [each.payload for each in client.read_messages("a", sdk.ReadMessagesOptions(**options))]

        assert [each.payload for each in client.read_messages("a")] == [b"0"]
        assert read(desired_start_sequence_number=1, max_message_count=3) == [b"1", b"2", b"3"]
        assert read(desired_start_sequence_number=3, max_message_count=100) == [b"3", b"4"]
        with pytest.raises(sdk.NotEnoughMessagesException):
            read(desired_start_sequence_number=3, min_message_count=3, max_message_count=9)
        with pytest.raises(sdk.NotEnoughMessagesException):
            read(desired_start_sequence_number=5, read_timeout_millis=10)
        (first,) = client.read_messages("a")
        assert first.stream_name == "a" and first.sequence_number == 0 and first.ingest_time > 1.7e12

    await ask(core, work)


@pytest.mark.parametrize("persistence", ["File", "Memory"])
async def test_a_reader_waits_for_what_comes(core: CorePlace, persistence: str) -> None:
    await ask(core, lambda client: client.create_message_stream(definition(persistence=sdk.Persistence[persistence])))
    options = sdk.ReadMessagesOptions(min_message_count=2, max_message_count=2, read_timeout_millis=30_000)
    waiting = asyncio.ensure_future(ask(core, lambda client: client.read_messages("a", options)))
    await ask(core, lambda client: [client.append_message("a", each) for each in (b"x", b"y")])
    assert [each.payload for each in await waiting] == [b"x", b"y"]


@pytest.mark.parametrize("persistence", Persistence)
async def test_a_read_that_waits_takes_what_came_while_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, persistence: Persistence
) -> None:
    """It was refused as too large when the last message came between its two questions to the log."""
    monkeypatch.setattr("littoral.core.streammanager.streams.LARGEST_ANSWER", 1000)
    store = await EmbeddedStore.open(tmp_path)
    streams = MessageStreams(store.records("core"), store.streams)
    await streams.create(definition_of({"name": "a", "persistence": int(persistence), "strategyOnFull": 0}))
    for number in range(2):
        await streams.append("a", bytes([number]) * 300)
    stream = streams.named("a")
    read = stream.log.read

    async def read_before_the_last_comes(start: int, count: int, most: int) -> Found:
        found = await read(start, count, most)
        if stream.newest == 1:
            await streams.append("a", b"last")
        return found

    monkeypatch.setattr(stream.log, "read", read_before_the_last_comes)
    found = await streams.read("a", ReadOptions(start=0, least=3, most=3, timeout=30))
    assert [each.payload for each in found] == [b"\0" * 300, b"\1" * 300, b"last"]
    await streams.append("a", b"large" * 100)
    for least in (4, 5):  # the fourth does not fit in, so no fifth needs to come
        with pytest.raises(Refused) as refused:
            await streams.read("a", ReadOptions(start=0, least=least, most=5, timeout=30))
        assert refused.value.status is Status.RESPONSE_PAYLOAD_TOO_LARGE
    await store.close()


@pytest.mark.parametrize("persistence", ["File", "Memory"])
async def test_a_full_stream(core: CorePlace, persistence: str) -> None:
    def work(client: Any) -> None:
        kept = {"max_size": 1024, "persistence": sdk.Persistence[persistence]}
        client.create_message_stream(definition("old", **kept))
        client.create_message_stream(definition("new", strategy_on_full=sdk.StrategyOnFull.RejectNewData, **kept))
        for name in ("old", "new"):
            for _ in range(2):
                client.append_message(name, b"x" * 500)
        assert client.append_message("old", b"y" * 600) == 2
        with pytest.raises(sdk.StreamManagerException, match="full"):
            client.append_message("new", b"y" * 600)
        for name, oldest, newest in (("old", 2, 2), ("new", 0, 1)):
            stored = client.describe_message_stream(name).storage_status
            assert (stored.oldest_sequence_number, stored.newest_sequence_number) == (oldest, newest)
        with pytest.raises(sdk.RequestPayloadTooLargeException):
            client.append_message("new", b"x" * 2000)

    await ask(core, work)


async def test_exports_reach_a_data_stream_with_the_cable_out_meanwhile(
    core: CorePlace, region: RegionPlace, cable: Cable
) -> None:
    await region.call("kinesis", "create_stream", StreamName="readings", ShardCount=2)
    exports = sdk.ExportDefinition(kinesis=[to_kinesis(batch_size=7)])
    wanted = [b"%d" % number for number in range(50)]

    def fill(client: Any) -> None:
        client.create_message_stream(definition(export_definition=exports))
        for each in wanted[:20]:
            client.append_message("a", each)

    def more(client: Any) -> None:
        for each in wanted[20:]:
            client.append_message("a", each)

    await ask(core, fill)
    assert await until(lambda: arrived(region, 20)) == wanted[:20]
    cable.cut()
    await ask(core, more)
    await until(lambda: ask(core, lambda client: statuses(client)[0].error_message))
    cable.restore()
    assert await until(lambda: arrived(region, 50)) == wanted
    (status,) = await until(lambda: ask(core, lambda client: [x for x in statuses(client) if not x.error_message]))
    assert (status.last_exported_sequence_number, status.exported_messages_count) == (49, 50)


async def arrived(region: RegionPlace, count: int) -> list[bytes]:
    found = await records(region)
    return found if len(found) >= count else []


def statuses(client: Any, name: str = "a") -> list[Any]:
    found: list[Any] = client.describe_message_stream(name).export_statuses
    return found


async def test_after_a_restart_an_export_goes_on_where_it_was(core: CorePlace, region: RegionPlace) -> None:
    await region.call("kinesis", "create_stream", StreamName="readings", ShardCount=1)
    exports = sdk.ExportDefinition(kinesis=[to_kinesis()])

    def fill(client: Any) -> None:
        client.create_message_stream(definition(export_definition=exports))
        client.create_message_stream(definition("m", persistence=sdk.Persistence.Memory))
        for each in (b"1", b"2"):
            client.append_message("a", each)
            client.append_message("m", each)

    await ask(core, fill)
    await until(lambda: ask(core, lambda client: statuses(client)[0].exported_messages_count == 2))
    await core.stop()
    await core.start()
    await ask(core, lambda client: client.append_message("a", b"3"))
    assert await until(lambda: arrived(region, 3)) == [b"1", b"2", b"3"]
    assert await ask(core, lambda client: client.append_message("m", b"anew")) == 0


async def test_files_are_uploaded_and_their_status_told(core: CorePlace, region: RegionPlace) -> None:
    await region.call("s3", "create_bucket", Bucket="scans")
    work = core.folder / "components" / "work" / "com.example.Scanner"
    work.mkdir(parents=True)
    (work / "scan 1.raw").write_bytes(b"abc" * 100_000)
    (core.folder / "private").write_bytes(b"the core's own")
    (work / "link").symlink_to(core.folder / "private")
    told = sdk.StatusConfig(status_level=sdk.StatusLevel.INFO, status_stream_name="told")
    executor = sdk.S3ExportTaskExecutorConfig(identifier="files", status_config=told)

    def fill(client: Any) -> None:
        client.create_message_stream(definition("told"))
        exports = sdk.ExportDefinition(s3_task_executor=[executor])
        client.create_message_stream(definition(export_definition=exports))
        for file, bucket in (
            ("scan%201.raw", "scans"),
            ("link", "scans"),
            ("nothing", "scans"),
            ("scan%201.raw", "elsewhere"),
        ):
            task = sdk.S3ExportTaskDefinition(
                input_url=f"file:{work}/{file}",
                bucket=bucket,
                key="!{timestamp:yyyy}/one.raw",
                user_metadata={"bed": "7"},
            )
            client.append_message("a", sdk.util.Util.validate_and_serialize_to_json_bytes(task))
        client.append_message("a", b"no task")

    await ask(core, fill)
    options = sdk.ReadMessagesOptions(min_message_count=9, max_message_count=100, read_timeout_millis=30_000)
    messages = await ask(core, lambda client: client.read_messages("told", options))
    found = [sdk.util.Util.deserialize_json_bytes_to_obj(each.payload, sdk.StatusMessage) for each in messages]
    assert [(each.status_context.sequence_number, each.status.name) for each in found] == [
        *((0, "InProgress"), (0, "Success"), (1, "InProgress"), (1, "Failure"), (2, "InProgress"), (2, "Failure")),
        *((3, "InProgress"), (3, "Failure"), (4, "Failure")),
    ]
    reasons = [each.message for each in found if each.status.name == "Failure"]
    for reason, word in zip(reasons, ("work folder", "No such file", "NoSuchBucket", "S3ExportTask"), strict=True):
        assert word in reason
    (listed,) = (await region.call("s3", "list_objects_v2", Bucket="scans"))["Contents"]
    assert listed["Key"].endswith("/one.raw") and listed["Key"].startswith("20")
    stored = await region.call("s3", "get_object", Bucket="scans", Key=listed["Key"])
    assert stored["ContentLength"] == 300_000 and stored["Metadata"] == {"bed": "7"}


LARGE = b"".join(bytes((number,)) * MiB for number in range(23))  # five parts
BEGUN = ["POST uploads", "PUT partNumber=1", "PUT partNumber=2", "PUT partNumber=3"]


class Uploading:
    """A core whose cable is cut once the third part of a file is taken. ``asked`` has what was asked of S3, and
    whether it was answered."""

    def __init__(self, core: CorePlace, region: RegionPlace, cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
        self.core, self.region, self.cable = core, region, cable
        self.asked: list[str] = []
        self.cuts = True
        self.file = core.folder / "components/work/com.example.Scanner/scan.raw"
        self.file.parent.mkdir(parents=True)
        self.file.write_bytes(LARGE)
        monkeypatch.setattr(Upward, "object", self._spied(Upward.object))

    def _spied(self, request: Any) -> Any:
        async def spied(upward: Upward, method: str, path: str, *more: Any) -> Any:
            answered = await request(upward, method, path, *more)
            self.asked.append(f"{method} {path.partition('?')[2].partition('&')[0].partition('uploadId=')[0]}".strip())
            if self.cuts and self.asked[-1] == BEGUN[-1]:
                self.cable.cut()
            return answered

        return spied

    async def begin(self) -> None:
        await self.region.call("s3", "create_bucket", Bucket="scans")
        task = sdk.S3ExportTaskDefinition(
            input_url=f"file:{self.file}", bucket="scans", key="!{timestamp:ss}.raw", user_metadata={"bed": "7"}
        )
        executor = sdk.ExportDefinition(s3_task_executor=[sdk.S3ExportTaskExecutorConfig(identifier="files")])

        def fill(client: Any) -> None:
            client.create_message_stream(definition(export_definition=executor))
            client.append_message("a", sdk.util.Util.validate_and_serialize_to_json_bytes(task))

        await ask(self.core, fill)
        await until(lambda: ask(self.core, lambda client: statuses(client)[0].error_message))
        assert self.asked == BEGUN

    async def restart(self) -> None:
        await self.core.stop()
        await self.core.start()

    def restore(self) -> None:
        self.cuts = False
        self.cable.restore()

    async def uploaded(self) -> Any:
        """The one object that there is, and no upload is left."""
        await until(lambda: ask(self.core, lambda client: statuses(client)[0].exported_messages_count == 1))
        (listed,) = (await self.region.call("s3", "list_objects_v2", Bucket="scans"))["Contents"]
        assert await self.left() == 0
        return await self.region.call("s3", "get_object", Bucket="scans", Key=listed["Key"])

    async def left(self) -> int:
        return len((await self.region.call("s3", "list_multipart_uploads", Bucket="scans")).get("Uploads", ()))


@pytest.fixture
def uploading(core: CorePlace, region: RegionPlace, cable: Cable, monkeypatch: pytest.MonkeyPatch) -> Uploading:
    return Uploading(core, region, cable, monkeypatch)


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_large_file_goes_in_parts_and_on_from_where_link_or_core_broke(
    uploading: Uploading, restarts: bool
) -> None:
    await uploading.begin()
    if restarts:
        await uploading.restart()
    uploading.restore()
    stored = await uploading.uploaded()
    assert await asyncio.to_thread(stored["Body"].read) == LARGE
    assert stored["Metadata"] == {"bed": "7"}
    assert stored["ETag"].endswith('-5"')
    listed = ["GET part-number-marker=0"] if restarts else []
    assert uploading.asked == [*BEGUN, *listed, "PUT partNumber=4", "PUT partNumber=5", "POST"]


async def test_a_file_that_changed_while_the_core_was_away_is_begun_anew(uploading: Uploading) -> None:
    await uploading.begin()
    await uploading.core.stop()
    uploading.file.write_bytes(LARGE[::-1])
    await uploading.core.start()
    uploading.restore()
    stored = await uploading.uploaded()
    assert await asyncio.to_thread(stored["Body"].read) == LARGE[::-1]
    assert uploading.asked[len(BEGUN) :] == ["DELETE", *BEGUN, "PUT partNumber=4", "PUT partNumber=5", "POST"]


async def test_a_part_that_is_not_there_any_more_is_sent_again(uploading: Uploading) -> None:
    await uploading.begin()
    await uploading.core.stop()
    (made,) = (await uploading.region.call("s3", "list_multipart_uploads", Bucket="scans"))["Uploads"]
    upload = {"Bucket": "scans", "Key": made["Key"], "UploadId": made["UploadId"]}
    await uploading.region.call("s3", "upload_part", **upload, PartNumber=2, Body=b"something else")
    await uploading.core.start()
    uploading.restore()
    stored = await uploading.uploaded()
    assert await asyncio.to_thread(stored["Body"].read) == LARGE
    parts = [f"PUT partNumber={number}" for number in (2, 3, 4, 5)]
    assert uploading.asked[len(BEGUN) :] == ["GET part-number-marker=0", *parts, "POST"]


async def test_an_upload_that_the_place_above_has_not_any_more_is_begun_anew(uploading: Uploading) -> None:
    await uploading.begin()
    await uploading.core.stop()
    (made,) = (await uploading.region.call("s3", "list_multipart_uploads", Bucket="scans"))["Uploads"]
    upload = {"Bucket": "scans", "Key": made["Key"], "UploadId": made["UploadId"]}
    await uploading.region.call("s3", "abort_multipart_upload", **upload)
    await uploading.core.start()
    uploading.restore()
    stored = await uploading.uploaded()
    assert await asyncio.to_thread(stored["Body"].read) == LARGE


async def test_an_upload_of_a_stream_that_is_deleted_is_ended_by_the_next_run(uploading: Uploading) -> None:
    await uploading.begin()
    await ask(uploading.core, lambda client: client.delete_message_stream("a"))
    await uploading.restart()
    uploading.restore()
    assert await uploading.left() == 1
    uploading.file.write_bytes(b"small")
    executor = sdk.ExportDefinition(s3_task_executor=[sdk.S3ExportTaskExecutorConfig(identifier="files")])
    task = sdk.S3ExportTaskDefinition(input_url=f"file:{uploading.file}", bucket="scans", key="small")

    def fill(client: Any) -> None:
        client.create_message_stream(definition(export_definition=executor))
        client.append_message("a", sdk.util.Util.validate_and_serialize_to_json_bytes(task))

    await ask(uploading.core, fill)
    assert (await uploading.uploaded())["ContentLength"] == 5


async def test_who_has_no_token_is_refused(core: CorePlace, region: RegionPlace, monkeypatch: Any) -> None:
    await deploy(region, STREAM_MANAGER_AUTHENTICATE_CLIENT="true")  # the port of the revision before stays
    with pytest.raises(sdk.ConnectFailedException):
        await ask(core, lambda client: client.list_streams())
    core.core.deployments._nucleus._tokens["com.example.A"] = "a-token"
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a-token")
    assert await ask(core, lambda client: client.list_streams()) == []


async def test_what_is_not_served_is_refused_when_it_is_deployed(region: RegionPlace) -> None:
    for name, value in (("JVM_ARGS", "-Xmx1g"), ("STREAM_MANAGER_SERVER_PORT", "x")):
        with pytest.raises(Exception, match=name):
            await region.deploy(
                **{
                    NAME: {
                        "componentVersion": "2.2.0",
                        "configurationUpdate": {"merge": json.dumps({name: value})},
                    }
                }
            )
