"""The seams between capabilities: small adapters, one for each Protocol that one capability asks of another.

Capabilities do not import each other; what they need of one another is handed in from here.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from littoral.aws.identity import AccessKey
from littoral.aws.invoke import Invocation, InvokeResult
from littoral.aws.service import Call, ServiceError
from littoral.aws.sign import presign
from littoral.core.ports import Heard, JobExecution, Word
from littoral.core.recipe import LambdaComponent
from littoral.functions import Functions, Placement, SourceRecord
from littoral.functions.logs.group import Query, Settings
from littoral.functions.logs.segment import Entry, Key
from littoral.functions.logs.store import NoGroup
from littoral.objects import Objects
from littoral.protocols.mqtt.properties import PublishProperties
from littoral.protocols.shadow import ShadowError
from littoral.store.contract import Message
from littoral.streams import StreamStore
from littoral.things.broker import Broker, LocalSubscriber
from littoral.things.facade import Things
from littoral.things.message import Publication

if TYPE_CHECKING:  # a core has no tables, and loads none
    from littoral.tables import TableStore


class RuleObjects:
    """For topic rules: the s3 action."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def put(self, bucket: str, key: str, data: bytes, content_type: str) -> None:
        await self._objects.put_bytes(bucket, key, data, content_type=content_type)


class JobObjects(RuleObjects):
    """For jobs: documents that lie in a bucket, and URLs by which devices get what a document names; for bulk
    registration: its input and its reports."""

    def __init__(self, objects: Objects, key: AccessKey, api: Callable[[], str], region: str) -> None:
        super().__init__(objects)
        self._key = key
        self._api = api
        self._region = region

    async def read(self, bucket: str, key: str, most: int | None = None) -> bytes:
        if most is None:
            return await self._objects.get_bytes(bucket, key)
        found = b""
        async for chunk in self._objects.chunks(bucket, key):
            found += chunk
            if len(found) > most:
                break
        return found

    def presign(self, bucket: str, key: str, seconds: int) -> str:
        return _presigned(self._api(), bucket, key, seconds, self._key, self._region)


def _presigned(base: str, bucket: str, key: str, seconds: int, by: AccessKey, region: str) -> str:
    url = f"{base}/{bucket}/{quote(key, safe='/~')}"
    return presign(url, access_key=by.id, secret=by.secret, region=region, now=time.time(), seconds=seconds)


class RuleStreams:
    """For topic rules: the actions that end in a data stream."""

    def __init__(self, streams: StreamStore, region: str, account: str) -> None:
        self._streams = streams
        self._prefix = f"arn:aws:kinesis:{region}:{account}:stream/"

    async def put(self, stream: str, data: bytes, key: str) -> None:
        await self._streams.put(self._prefix + stream, data, key)


class RuleLogs:
    """For topic rules: the cloudwatchLogs action."""

    def __init__(self, functions: Functions) -> None:
        self._logs = functions.logs

    async def put(self, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        now = int(time.time() * 1000)
        try:
            await self._logs.put(group, [Entry(at, now, stream, message.encode()) for at, message in events])
        except NoGroup:
            raise ServiceError("ResourceNotFoundException", f"There is no log group {group!r}", status=400) from None

    async def ensure(self, group: str) -> None:
        await self._logs.create(Settings(group, int(time.time() * 1000)))


class ObjectCode:
    """For functions: code that is named by bucket and key."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def fetch(self, bucket: str, key: str, version: str | None) -> bytes:
        if version is not None:
            raise ServiceError(
                "InvalidParameterValueException", "Object versions are not implemented here.", status=400
            )
        return await self._objects.get_bytes(bucket, key)


class ImportedObjects:
    """For CloudFront: what a key-value store is filled from, and whether the bucket of access logs is there."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def read(self, bucket: str, key: str) -> bytes:
        return await self._objects.get_bytes(bucket, key)

    async def has(self, bucket: str) -> bool:
        return self._objects.has_bucket(bucket)


class EdgeFunctions:
    """For CloudFront: what a trigger's version asks for."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    def describe(self, arn: str) -> Mapping[str, Any] | None:
        name, version = arn.rsplit(":", 2)[1:]
        found = self._functions.describe(name, version)
        reserved, provisioned = self._functions.concurrency(name, version)
        return found and {**found, "ReservedConcurrency": reserved, "ProvisionedConcurrency": provisioned}


class DeploymentShadows:
    """For Greengrass: the named shadow that carries a thing's deployment."""

    def __init__(self, things: Things) -> None:
        self._things = things

    async def update(self, thing: str, shadow_name: str, desired: Mapping[str, Any]) -> None:
        try:
            await self._things.shadows.update(thing, shadow_name, {"desired": dict(desired)})
        except ShadowError as problem:
            raise ServiceError("ConflictException", str(problem), status=409) from problem


class GroupDeployments:
    """For Greengrass: deployments to thing groups are jobs."""

    def __init__(self, things: Things) -> None:
        self._jobs = things.place_jobs
        self.cancel = self._jobs.cancel
        self.status = self._jobs.status
        self.arn = self._jobs.arn
        self.groups_of = self._jobs.groups_of
        self.things_in = self._jobs.things_in

    async def create(
        self, job_id: str, namespace: str, group: str, document: str, configuration: Mapping[str, Any], now: float
    ) -> None:
        try:
            await self._jobs.create(job_id, namespace, group, document, configuration, now)
        except ServiceError as problem:
            if problem.code == "InvalidRequestException":
                raise ServiceError("ValidationException", problem.message, status=400) from problem
            raise

    def executions(self, thing: str) -> list[JobExecution]:
        found = self._jobs.executions(thing)
        return [JobExecution(one.job, one.status, one.details, one.queued, one.updated) for one in found]


class ComponentFunctions:
    """For Greengrass: a Lambda component is made of a function of the region."""

    def __init__(self, functions: Functions) -> None:
        self._functions = functions

    async def describe(self, call: Call, lambda_arn: str) -> Mapping[str, Any]:
        found = await self._functions.api.get_function(call, **_named(lambda_arn))
        configuration: Mapping[str, Any] = found["Configuration"]
        return configuration

    async def code_url(self, call: Call, lambda_arn: str) -> str:
        found = await self._functions.api.get_function(call, **_named(lambda_arn))
        return str(found["Code"]["Location"])

    async def layers(self, call: Call, lambda_arn: str) -> list[tuple[str, str]]:
        return self._functions.layers_of(lambda_arn, call.base_url)


class ComponentObjects:
    """For Greengrass: artifacts of recipes lie in the region's buckets."""

    def __init__(self, objects: Objects, key: AccessKey) -> None:
        self._objects = objects
        self._key = key

    async def sha256(self, bucket: str, key: str) -> str:
        digest = hashlib.sha256()
        async for chunk in self._objects.chunks(bucket, key):
            digest.update(chunk)
        return base64.b64encode(digest.digest()).decode()

    async def read(self, bucket: str, key: str) -> AsyncIterator[bytes]:
        async for chunk in self._objects.chunks(bucket, key):
            yield chunk

    def url(self, call: Call, bucket: str, key: str) -> str:
        """On the port that the caller uses, so that a core needs no other one."""
        return _presigned(call.base_url, bucket, key, 3600, self._key, call.region)


def _named(lambda_arn: str) -> dict[str, str]:
    """Function name and qualifier of a version's ARN."""
    head, _, qualifier = lambda_arn.rpartition(":")
    return {"function_name": head, "qualifier": qualifier}


class CoreFunctions:
    """For the core: a pinned component's function runs as one long-lived instance that gets its events in order; one on
    demand has as many instances as it may have, each of which goes when it has been idle.

    ``begins`` is called once, as the first of them is to run."""

    def __init__(self, functions: Functions, begins: Callable[[], object] | None = None) -> None:
        self._functions = functions
        self._begins = begins

    async def install(self, component: LambdaComponent, archive: bytes, *, layers: Sequence[bytes]) -> None:
        name, version, placement = component.function, component.function_version, self._placement(component)
        await self._functions.install(name, version, component.config, archive, layers=layers, placement=placement)

    async def reconfigure(self, component: LambdaComponent) -> bool:
        name, version, placement = component.function, component.function_version, self._placement(component)
        return await self._functions.reconfigure(name, version, component.config, placement=placement)

    def _placement(self, component: LambdaComponent) -> Placement:
        return Placement(
            1 if component.pinned else component.instances,
            component.pinned,
            queue=1000,
            idle=component.idle,
            component=component.name,
            binary=component.binary,
            arguments=component.arguments,
        )

    def installed(self, name: str, version: str) -> str | None:
        return self._functions.installed(name, version)

    def surround(self, surroundings: Callable[[str, str], Mapping[str, str] | None]) -> None:
        self._functions.surround(surroundings)

    def hold(self, components: Iterable[LambdaComponent], tell: Callable[[], None]) -> None:
        held = [(each.function, each.function_version) for each in components]
        if held:
            self._begin()
        self._functions.hold(held, tell)

    async def held(self) -> None:
        await self._functions.held()

    def failure(self, component: LambdaComponent) -> str:
        return self._functions.failure(component.function, component.function_version)

    async def remove(self, name: str, version: str) -> None:
        await self._functions.uninstall(name, version)

    async def words(self, component: LambdaComponent, after: str, limit: int) -> list[Word]:
        query = Query(after=Key.of(after) if after else None, limit=limit)
        try:
            page = await self._functions.logs.select(_words_of(component), query)
        except NoGroup:
            return []
        return [Word(each.key.text(), each.timestamp, each.message) for each in page.events]

    async def last_words(self, component: LambdaComponent, limit: int) -> list[str]:
        return [each.message for each in await self._functions.logs.read(_words_of(component), limit=limit)]

    def invoke(self, invocation: Invocation) -> Awaitable[InvokeResult]:
        self._begin()
        return self._functions.invoke(invocation)

    def _begin(self) -> None:
        if self._begins is not None:
            begins, self._begins = self._begins, None
            begins()


def _words_of(component: LambdaComponent) -> str:
    return f"/aws/lambda/{component.function}"


COMPONENT = "component "  # before its name, as a client id: no thing is called so


class CoreBroker:
    """For the core: its local broker."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def tap(self, filter: str, callback: Any) -> LocalSubscriber:
        return self._broker.tap(
            filter, lambda publication: callback(publication.topic, publication.payload, publication.qos)
        )

    def relay(self, filter: str, callback: Callable[[Publication], Awaitable[None] | None]) -> LocalSubscriber:
        return self._broker.tap(filter, callback)

    async def publish(self, topic: str, payload: bytes, qos: int, properties: PublishProperties | None = None) -> None:
        await self._broker.publish(Publication(topic, payload, qos, properties=properties))

    def listen(self, filter: str, heard: Heard) -> LocalSubscriber:
        """For components: with the content type, and which component said it."""

        def taken(publication: Publication) -> Awaitable[None] | None:
            told = publication.properties
            sender = publication.client_id
            component = sender.removeprefix(COMPONENT) if sender.startswith(COMPONENT) else ""
            content_type = told.content_type if told is not None else None
            return heard(publication.topic, publication.payload, content_type, component)

        return self._broker.tap(filter, taken)

    async def say(self, topic: str, payload: bytes, content_type: str | None, component: str) -> None:
        properties = PublishProperties(content_type=content_type) if content_type is not None else None
        said = Publication(topic, payload, 1, client_id=COMPONENT + component, properties=properties)
        await self._broker.publish(said)


class StreamSink:
    """For functions: destinations and dead-letter targets that are data streams."""

    def __init__(self, streams: StreamStore) -> None:
        self._streams = streams

    def accepts(self, arn: str) -> bool:
        return self._streams.accepts(arn)

    async def deliver(self, arn: str, record: dict[str, Any]) -> None:
        key = str((record.get("requestContext") or {}).get("requestId", "record"))
        await self._streams.put(arn, json.dumps(record).encode(), key)


class TopicSink:
    """For functions: destinations and dead-letter targets that are MQTT topics, ``arn:aws:iot:…:topic/NAME``."""

    def __init__(self, things: Things, region: str, account: str) -> None:
        self._things = things
        self._prefix = f"arn:aws:iot:{region}:{account}:topic/"

    def accepts(self, arn: str) -> bool:
        topic = arn.removeprefix(self._prefix)
        usable = 0 < len(topic.encode()) <= 256 and not topic.startswith("$") and not set("+#\0") & set(topic)
        return arn.startswith(self._prefix) and usable

    async def deliver(self, arn: str, record: dict[str, Any]) -> None:
        topic = arn.removeprefix(self._prefix)
        await self._things.broker.publish(Publication(topic, json.dumps(record).encode(), 1))


class StreamSource:
    """For functions: data streams as an event source. The event is Kinesis' (Lambda developer guide)."""

    batch_info = "KinesisBatchInfo"

    def __init__(self, streams: StreamStore) -> None:
        self._streams = streams

    def identity(self, arn: str) -> str:
        return self._streams.identity(arn)

    def shards(self, arn: str) -> Sequence[str]:
        return self._streams.shards(arn)

    async def position(self, arn: str, shard: str, start: str, moment: float | None) -> int:
        return await self._streams.position(arn, shard, start, moment)

    async def read(self, arn: str, shard: str, after: int, limit: int, max_bytes: int) -> Sequence[SourceRecord]:
        found = await self._streams.read(arn, shard, after, limit, max_bytes)
        return [
            SourceRecord(
                message.sequence,
                message.headers["key"],
                message.published_at,
                self._streams.number(arn, shard, message.sequence),
                # base64 and the key; the rest has its fixed length
                (len(message.data) + 2) // 3 * 4 + len(json.dumps(message.headers["key"])) + 2 * len(arn) + 512,
                message.data,
            )
            for message in found
        ]

    async def arrived(self, arn: str, shard: str, after: int, wait: float) -> None:
        await self._streams.arrived(arn, shard, after, wait)

    def event(self, arn: str, shard: str, record: SourceRecord, role: str) -> dict[str, Any]:
        return {
            "kinesis": {**_facts(record), "data": base64.b64encode(record.body).decode()},
            "eventSource": "aws:kinesis",
            "eventVersion": "1.0",
            "eventID": f"{shard}:{record.sequence}",
            "eventName": "aws:kinesis:record",
            "invokeIdentityArn": role,
            "awsRegion": arn.split(":")[3],
            "eventSourceARN": arn,
        }

    def filterable(self, record: SourceRecord) -> dict[str, Any]:
        """``data`` is the JSON it holds, else its text; data that is neither has no ``data`` to match."""
        try:
            text = record.body.decode()
        except UnicodeDecodeError:
            return _facts(record)
        try:
            return {**_facts(record), "data": json.loads(text)}
        except (ValueError, RecursionError):
            return {**_facts(record), "data": text}


def _facts(record: SourceRecord) -> dict[str, Any]:
    return {
        "kinesisSchemaVersion": "1.0",
        "partitionKey": record.key,
        "sequenceNumber": record.sequence,
        "approximateArrivalTimestamp": int(record.arrived * 1000) / 1000,
    }


class TableSource:
    """For functions: the streams of tables. The event is DynamoDB's (Lambda developer guide)."""

    batch_info = "DDBStreamBatchInfo"

    def __init__(self, tables: TableStore) -> None:
        self._tables = tables

    def identity(self, arn: str) -> str:
        return self._tables.identity(arn)

    def shards(self, arn: str) -> Sequence[str]:
        return self._tables.shards(arn)

    async def position(self, arn: str, shard: str, start: str, moment: float | None) -> int:
        return self._tables.position(arn, start)

    async def read(self, arn: str, shard: str, after: int, limit: int, max_bytes: int) -> Sequence[SourceRecord]:
        return [self._record(message, size) for message, size in self._tables.records(arn, after, limit, max_bytes)]

    def _record(self, message: Message, size: int) -> SourceRecord:
        event = self._tables.event(message)
        key = json.dumps(event["dynamodb"]["Keys"], sort_keys=True)
        number = event["dynamodb"]["SequenceNumber"]
        return SourceRecord(message.sequence, key, message.published_at, number, size, event)

    async def arrived(self, arn: str, shard: str, after: int, wait: float) -> None:
        await self._tables.arrived(arn, after, wait)

    def event(self, arn: str, shard: str, record: SourceRecord, role: str) -> dict[str, Any]:
        return {**record.body, "eventSourceARN": arn}

    def filterable(self, record: SourceRecord) -> dict[str, Any]:
        found: dict[str, Any] = record.body
        return found


class RuleTables:
    """For topic rules: the dynamoDB and dynamoDBv2 actions, and get_dynamodb. Items and keys are in DynamoDB's own
    form, ``{"id": {"S": "a"}}``."""

    def __init__(self, tables: TableStore) -> None:
        self._tables = tables

    async def put(self, table: str, item: dict[str, Any]) -> None:
        """Durable when it returns. Raises ServiceError."""
        await self._tables.put(table, item)

    async def change(self, table: str, key: dict[str, Any], columns: dict[str, Any] | None) -> None:
        """Durable when it returns. Raises ServiceError."""
        await self._tables.change(table, key, columns)

    async def get(self, table: str, key: dict[str, Any]) -> dict[str, Any] | None:
        """Raises ServiceError."""
        return self._tables.get(table, key)


class ScheduleTargets:
    """For rules and schedules: functions, by their durable queue, and data streams."""

    def __init__(self, functions: Functions, streams: StreamStore) -> None:
        self._functions = functions
        self._streams = streams

    def accepts(self, arn: str) -> bool:
        return arn.startswith("arn:aws:lambda:") or self._streams.accepts(arn)

    async def deliver(self, arn: str, payload: bytes, *, key: str, service: str | None, source: str) -> None:
        if not arn.startswith("arn:aws:lambda:"):
            await self._streams.put(arn, payload, key)
            return
        if service is not None and not self._functions.may_invoke(arn, service=service, source_arn=source):
            raise ServiceError("AccessDeniedException", f"{service} may not invoke {arn} for {source}", status=403)
        await self._functions.invoke_async(Invocation(arn, payload))
