"""A region: every API, the control plane of the edge, the broker of things, and what cores are deployed from."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from littoral.aws.gateway import Gateway
from littoral.aws.identity import Identity
from littoral.aws.service import Call
from littoral.aws.sessions import Credentials
from littoral.core.greengrass import Greengrass
from littoral.edge.cloudfront import CloudFront
from littoral.edge.control import Control
from littoral.edge.feed import Feed, replicated
from littoral.edge.keyvalue import KeyValueStoreData
from littoral.edge.waf.api import Wafv2
from littoral.edge.waf.crs.groups import Groups
from littoral.edge.waf.crs.ruleset import NoRuleSet, Source
from littoral.edge.waf.reports import ReportFeed, Reports
from littoral.functions import EventSource, Functions, FunctionSettings
from littoral.net.message import Handler, Headers, Request, Response
from littoral.net.pki import certificate_id
from littoral.objects import Objects
from littoral.protocols.sigv4 import split_query
from littoral.schedules import Schedules
from littoral.secrets import SecretStore
from littoral.site import edge
from littoral.site.capabilities import (
    ComponentFunctions,
    ComponentObjects,
    DeploymentShadows,
    EdgeFunctions,
    ImportedObjects,
    JobObjects,
    ObjectCode,
    RuleLogs,
    RuleObjects,
    RuleStreams,
    RuleTables,
    ScheduleTargets,
    StreamSink,
    StreamSource,
    TableSource,
    TopicSink,
)
from littoral.site.firewalllogs import FirewallLogs
from littoral.site.foundation import Foundation, lay
from littoral.site.listening import listen_api, listen_mqtt
from littoral.site.place import Place
from littoral.site.readings import function_readings, gateway_observer, things_readings, version_readings
from littoral.site.ruleweb import CONFIRM, RuleWeb, confirmation_page
from littoral.streams import StreamStore
from littoral.tables import TableStore
from littoral.things.control.tunneling import SecureTunneling
from littoral.things.credentials import PREFIX as ROLE_ALIASES
from littoral.things.facade import Things
from littoral.things.outside import Outside
from littoral.things.permissions import Caller

REGISTRY = "/_littoral/registry"


async def compose(place: Place) -> None:
    """A region without an edge location of its own."""
    await _region(place, with_edge=False)


async def compose_with_edge(place: Place) -> None:
    """``littoral up``: a region and an edge location in one process. The location uses the same feed as any other."""
    await _region(place, with_edge=True)


async def _region(place: Place, *, with_edge: bool) -> None:
    base = await lay(place)
    region, account = place.settings.region, place.settings.account
    tables = await TableStore.open(base.folder / "tables", region=region, account=account)
    place.part(tables.close)
    local = await open_local(base, tables)
    functions, things = local.functions, local.things
    secrets = await SecretStore.open(
        base.store.records("secrets"), base.folder / "secrets.key", region=region, account=account
    )
    control = await Control.open(base.store.records("edge-control"))
    place.quiet(control.close)
    functions.replicas(partial(replicated, control))
    greengrass = Greengrass(
        base.store.records("greengrass"),
        DeploymentShadows(things),
        ComponentFunctions(functions),
        ComponentObjects(local.objects, base.identity.root),
        allows(things),
    )
    things.shadows.on_shadow_changed(greengrass.shadow_changed)
    cloudfront = CloudFront(control, account=account, functions=EdgeFunctions(functions))
    cloudfront.objects = ImportedObjects(local.objects)
    cloudfront.streams = local.streams
    destinations = FirewallLogs(local.objects, functions, local.streams, account)
    reports = Reports(destinations)
    groups = managed_groups(place.settings.waf_rules)
    source = groups.source if groups is not None else None
    services: dict[str, object] = {
        **local.services(),
        "dynamodb": tables.api,
        "dynamodbstreams": tables.streams_api,
        "cloudfront": cloudfront,
        "cloudfront-keyvaluestore": KeyValueStoreData(control),
        "greengrassv2": greengrass,
        "secretsmanager": secrets.api,
        "wafv2": Wafv2(
            control, account=account, region=region, reports=reports, destinations=destinations, groups=groups
        ),
    }
    observer = gateway_observer(base.metrics)
    gateway = Gateway(services, base.identity, region=region, account=account, routes=base.routes(), observe=observer)
    routes = functions.routes() | functions.signed_routes(gateway.authenticate)
    feed = Feed(control, gateway.authenticate, source.digest if source is not None else None)
    routes |= ReportFeed(reports, gateway.authenticate, source).routes()
    for prefix, handler in (routes | feed.routes()).items():
        gateway.route(prefix, handler)
    gateway.host_route(functions.by_host(partial(gateway.authenticate, scopes=frozenset(("lambda",)))))
    gateway.unsigned_route(CONFIRM, confirmation_page(things))
    gateway.device_route(REGISTRY, registry_handler(things))
    gateway.device_route(ROLE_ALIASES, things.credentials(partial(assume, base.identity)).handle)
    for prefix, handler in functions.routes().items():
        gateway.device_route(prefix, handler)
    await things.start()
    await greengrass.start()
    place.part(greengrass.close)
    await listen_api(base, gateway)
    await functions.start()
    await local.objects.start()
    await local.schedules.start()
    tables.start()
    await listen_mqtt(base, things, gateway, [base.authority.certificate_pem])
    place.ready = True
    if with_edge:
        await edge.attach(base, functions, place.url("api"), base.identity.root)


def managed_groups(folder: Path | None) -> Groups | None:
    """Of the Core Rule Set; None where it is not installed. Raises NoRuleSet for a named folder that holds none."""
    try:
        return Groups(Source.open(folder))
    except NoRuleSet:
        if folder is not None:
            raise
        return None


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


async def open_local(base: Foundation, tables: TableStore | None = None) -> Local:
    """Objects notify functions, rules reach both; tables are a region's."""
    place = base.place
    region, account = place.settings.region, place.settings.account
    objects = await Objects.open(base.store, base.folder / "objects", region=region, account=account)
    place.part(objects.close)
    streams = await StreamStore.open(base.store, region=region, account=account)
    functions = await open_functions(base, ObjectCode(objects), streams, tables)
    place.part(functions.close)
    objects.invoker = functions
    objects.permits = lambda function, bucket: s3_may_invoke(functions, function, bucket)
    schedules = await Schedules.open(base.store, ScheduleTargets(functions, streams), region=region, account=account)
    place.part(schedules.close)
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
            permits=lambda function, arn: functions.may_invoke(function, service="iot.amazonaws.com", source_arn=arn),
        ),
    )
    place.part(things.close)
    functions.add_sink(TopicSink(things, region, account))
    base.metrics.add(lambda: function_readings(functions.stats()))
    base.metrics.add(lambda: version_readings(functions.tallies(), functions.running()))
    base.metrics.add(lambda: things_readings(things))
    return Local(objects, functions, things, streams, schedules)


async def open_functions(
    base: Foundation,
    code: ObjectCode | None = None,
    streams: StreamStore | None = None,
    tables: TableStore | None = None,
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
    if settings.functions_memory is not None:
        options["memory"] = settings.functions_memory * 1024 * 1024
    return await Functions.open(
        base.store,
        base.folder / "functions",
        region=settings.region,
        account=settings.account,
        settings=FunctionSettings(
            isolated=not settings.insecure_no_sandbox,
            idle_seconds=settings.functions_idle,
            node=settings.node,
            node_modules=settings.node_modules,
            java_runtime=settings.java_runtime,
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


def allows(things: Things) -> Any:
    """Whether the policies of a calling certificate allow an action (for Greengrass' data plane)."""

    def decide(call: Call, action: str, resource: str) -> bool:
        if call.principal.kind in ("key", "anonymous"):
            return True
        return may(things, call.principal.name, action, resource, call.request.peer.host)

    return decide


def may(things: Things, certificate: str, action: str, resource: str, host: str) -> bool:
    permissions = things.permissions
    if not permissions.active(certificate):
        return False
    return permissions.allows_arn(Caller(certificate, None, host), action, resource)


def assume(identity: Identity, role: str, session: str, seconds: int) -> Credentials:
    """Temporary credentials for a device, in the name of a role."""
    name = role.partition(":role/")[2].rpartition("/")[2]
    return identity.sessions.issue(
        f"arn:aws:sts::{identity.account}:assumed-role/{name}/{session}", seconds, time.time()
    )


def registry_handler(things: Things) -> Handler:
    """For cores: the things, certificates and policies that they admit client devices by.

    A core needs ``greengrass:VerifyClientDeviceIdentity``, the action by which AWS's cores ask about a device.
    """

    async def handle(request: Request) -> Response:
        certificate = certificate_id(request.peer.certificate or b"")
        if not may(things, certificate, "greengrass:VerifyClientDeviceIdentity", "*", request.peer.host):
            return Response(403, Headers.of([("content-type", "text/plain")]), b"not allowed\n")
        snapshot = await things.export_registry()
        if dict(split_query(request.query_string)).get("revision") == snapshot["revision"]:
            return Response(304)
        body = json.dumps(snapshot).encode()
        return Response(200, Headers.of([("content-type", "application/json")]), body)

    return handle
