"""What regions and cores have in common, and an edge location's functions: opened and wired to one another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from littoral.functions import EventSource, Functions, FunctionSettings
from littoral.objects import Objects
from littoral.schedules import Schedules
from littoral.site.capabilities.functions import ObjectCode, StreamSink, TopicSink
from littoral.site.capabilities.objects import ObjectPosts
from littoral.site.capabilities.schedules import ScheduleTargets
from littoral.site.capabilities.sources import StreamSource, TableSource
from littoral.site.capabilities.things import JobObjects, RuleLogs, RuleObjects, RuleStreams, RuleTables
from littoral.site.eventbus import CoreTelemetry, ObjectEvents
from littoral.site.foundation import Foundation
from littoral.site.objectstorage import object_blobs, replicate
from littoral.site.readings import function_readings, things_readings, version_readings
from littoral.site.ruleweb import RuleWeb
from littoral.site.scrubbing import scrub_readings
from littoral.streams import StreamStore
from littoral.things.control.tunneling import SecureTunneling
from littoral.things.facade import Things
from littoral.things.outside import Outside

if TYPE_CHECKING:  # a core has neither, and loads none
    from littoral.aws.vault import Vault
    from littoral.kms import KeyStore
    from littoral.secrets import SecretStore
    from littoral.tables import TableStore


@dataclass(frozen=True, slots=True)
class Local:
    """What regions and cores have in common, opened and wired to one another, not yet started."""

    objects: Objects
    functions: Functions
    things: Things
    streams: StreamStore
    schedules: Schedules

    def services(self) -> dict[str, object]:
        """By botocore's service name."""
        return {
            "s3": self.objects.api,
            "events": self.schedules.events,
            "kinesis": self.streams.api,
            "lambda": self.functions.api,
            "logs": self.functions.logs_api,
            "scheduler": self.schedules.scheduler,
            "iot": self.things.iot,
            "iot-data": self.things.iot_data,
            "iot-jobs-data": self.things.iot_jobs_data,
            "iotsecuretunneling": SecureTunneling(),
        }


async def open_local(
    base: Foundation,
    tables: TableStore | None = None,
    secrets: SecretStore | None = None,
    sockets: Path | None = None,
) -> Local:
    """Objects notify functions, rules reach both; tables and secrets are a region's, ``sockets`` a core's."""
    place = base.place
    region, account = place.settings.region, place.settings.account
    closed = place.settings.bucket_defaults == "closed"
    blobs = await object_blobs(base)
    objects = await Objects.open(
        base.store, base.folder / "objects", region=region, account=account, closed=closed, blobs=blobs
    )
    objects.gate.enforces = base.identity.verify
    objects.gate.accounts = base.identity.accounts
    objects.scrub.interval = place.settings.scrub_interval
    objects.scrub.pace = place.settings.scrub_pace * 1024 * 1024
    base.metrics.add(lambda: scrub_readings(objects.scrub))
    place.part(objects.close)
    replicate(base, objects)
    streams = await StreamStore.open(base.store, region=region, account=account)
    functions = await open_functions(base, ObjectCode(objects), streams, tables, sockets)
    place.part(functions.close)
    objects.invoker = functions
    objects.permits = lambda function, bucket: s3_may_invoke(functions, function, bucket)
    schedules = await Schedules.open(base.store, ScheduleTargets(functions, streams), region=region, account=account)
    place.part(schedules.close)
    objects.send_to(ObjectEvents(schedules).take)
    web = RuleWeb(base.identity.root, lambda: place.url("api"))
    place.part(web.close)
    things = await Things.open(
        base.store,
        region=region,
        account=account,
        authority=base.authority,
        endpoint=lambda: place.url("mqtt-tls").removeprefix("mqtts://"),
        outside=Outside(
            invoker=functions,
            objects=RuleObjects(objects),
            job_objects=JobObjects(objects, base.identity.root, lambda: place.url("api"), region),
            data_streams=RuleStreams(streams, region, account),
            logs=RuleLogs(functions),
            web=web,
            tables=RuleTables(tables) if tables is not None else None,
            secrets=secrets,
            telemetry=CoreTelemetry(schedules).take,
            permits=lambda function, arn: functions.may_invoke(function, service="iot.amazonaws.com", source_arn=arn),
        ),
    )
    place.part(things.close)
    topics = TopicSink(things, region, account)
    functions.add_sink(topics)
    objects.post_to(ObjectPosts(streams, topics, region, account))
    base.metrics.add(lambda: function_readings(functions.stats()))
    base.metrics.add(lambda: version_readings(functions.tallies(), functions.running()))
    base.metrics.add(lambda: things_readings(things))
    return Local(objects, functions, things, streams, schedules)


async def open_keys(base: Foundation) -> KeyStore:
    """A region's, and a box's."""
    from littoral.kms import KeyStore

    settings = base.place.settings
    seal = base.store.seal(base.folder / "kms.key")
    return await KeyStore.open(base.store.records("kms"), seal, region=settings.region, account=settings.account)


async def open_secrets(base: Foundation, vault: Vault) -> SecretStore:
    """A region's, and a box's."""
    from littoral.secrets import SecretStore

    settings = base.place.settings
    seal = base.store.seal(base.folder / "secrets.key")
    names = {"region": settings.region, "account": settings.account}
    return await SecretStore.open(base.store.records("secrets"), seal, **names, vault=vault)


async def open_functions(
    base: Foundation,
    code: ObjectCode | None = None,
    streams: StreamStore | None = None,
    tables: TableStore | None = None,
    sockets: Path | None = None,
) -> Functions:
    settings = base.place.settings
    options: dict[str, Any] = {}
    sources: dict[str, EventSource] = {}
    if streams is not None:
        sources["arn:aws:kinesis:"] = StreamSource(streams)
    if tables is not None:
        sources["arn:aws:dynamodb:"] = TableSource(tables)
    if settings.functions_concurrency is not None:
        options["concurrency"] = settings.functions_concurrency
    if settings.kind == "core":  # a small machine, where few functions begin at once, and often there are none
        options |= {"prepared_cells": 1, "from_start": False}
    if settings.functions_memory is not None:
        options["memory"] = settings.functions_memory * 1024 * 1024
    return await Functions.open(
        base.store,
        base.runtime / "functions",
        region=settings.region,
        account=settings.account,
        settings=FunctionSettings(
            isolated=not settings.insecure_no_sandbox,
            idle_seconds=settings.functions_idle,
            node=settings.node,
            node_modules=settings.node_modules,
            java_runtime=settings.java_runtime,
            sockets=sockets,
            function_env=base.function_env,
            **options,
        ),
        code_source=code,
        sink=StreamSink(streams) if streams is not None else None,
        sources=sources,
    )


async def s3_may_invoke(functions: Functions, function: str, bucket: str) -> bool:
    """The function's resource policy decides whether a bucket may notify it."""
    return functions.may_invoke(function, service="s3.amazonaws.com", source_arn=bucket)
