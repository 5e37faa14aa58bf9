"""An edge location: the data plane and functions, fed by the region above."""

from __future__ import annotations

import time
from pathlib import Path

from littoral.aws.gateway import Gateway
from littoral.aws.identity import AccessKey
from littoral.edge.accesslog.bucket import RegionBuckets
from littoral.edge.accesslog.delivery import AccessLogs
from littoral.edge.cffunctions.functions import CloudFrontFunctions
from littoral.edge.compressing import zstd
from littoral.edge.ddos.watch import Watch
from littoral.edge.geo import Database, Locator, NoDatabase
from littoral.edge.location import EdgeLocation, Region
from littoral.edge.pipeline import Pipeline
from littoral.edge.realtime.delivery import RealtimeLogs
from littoral.edge.realtime.streams import RegionStreams
from littoral.edge.tier import Tier
from littoral.edge.upstream import Credentials, Upstream
from littoral.functions import Functions
from littoral.net.client import HttpClient
from littoral.site.edgelistening import listen_edge
from littoral.site.foundation import Foundation, lay
from littoral.site.listening import listen_api
from littoral.site.local import open_functions
from littoral.site.place import Misconfigured, Place
from littoral.site.readings import edge_readings, function_readings, realtime_readings, version_readings

MIB = 1024 * 1024


async def compose(place: Place) -> None:
    """A location by itself; everything it serves comes from ``upstream``."""
    settings = place.settings
    if settings.upstream is None:
        raise Misconfigured("an edge location needs --upstream, the address of its region's API")
    base = await lay(place)
    functions = await open_functions(base)
    place.part(functions.close)
    services: dict[str, object] = {"logs": functions.logs_api}  # what triggers printed here is read here
    gateway = Gateway(services, base.identity, region=settings.region, account=settings.account, routes=base.routes())
    for prefix, handler in functions.signed_routes(gateway.authenticate).items():
        gateway.route(prefix, handler)
    base.metrics.add(lambda: function_readings(functions.stats()))
    base.metrics.add(lambda: version_readings(functions.tallies(), functions.running()))
    await listen_api(base, gateway)
    await functions.start()
    key = AccessKey(settings.upstream_access_key, settings.upstream_secret_key)
    await attach(base, functions, settings.upstream, key)


async def attach(base: Foundation, functions: Functions, region_url: str, key: Credentials) -> None:
    """Open the edge's listeners and follow the region's feed."""
    settings = base.place.settings
    client = HttpClient()
    base.place.part(client.close)
    name = settings.name
    pipeline = Pipeline(
        pop=name.upper(),
        folder=base.folder / "edge",
        upstream=Upstream(client, name.upper(), region_url, key, settings.region),
        invoker=functions,
        cache_bytes=settings.edge_cache_memory * MIB,
        disk_bytes=settings.edge_cache_disk * MIB,
        tier=Tier(name, client, region="" if settings.kind == "edge" else settings.region),
        functions=CloudFrontFunctions(name.upper(), functions.logs.append),
        locator=open_geo(settings.geo_database),
        execution_error=int(settings.edge_execution_error),
        zstd=offers_zstd(offered=settings.edge_zstd),
    )
    base.place.part(pipeline.close)
    buckets = RegionBuckets(client, region_url, key, settings.region)
    pipeline.access = AccessLogs(
        base.folder / "edge" / "access-logs", name.upper(), buckets, settings.edge_log_interval
    )
    streams = RegionStreams(client, region_url, key, settings.region)
    server = "" if settings.host in {"0.0.0.0", "::"} else settings.host
    realtime = RealtimeLogs(name.upper(), streams, server=server, locator=pipeline.locator)
    pipeline.access.readers.append(realtime)
    region = Region(region_url, key, client, settings.region)
    watch = Watch(time.time, pipeline.distribution_of)
    seal = base.store.seal(base.folder / "edge-certificates.key")
    location = EdgeLocation(
        name, region, pipeline, base.store.records("edge-location"), functions, watch=watch, seal=seal
    )
    base.metrics.add(lambda: edge_readings(pipeline))
    base.metrics.add(lambda: realtime_readings(realtime))
    await location.start()  # invalidations that came meanwhile are applied before anybody is served
    await pipeline.access.start()
    realtime.start()
    base.place.quiet(realtime.close)
    base.place.quiet(pipeline.access.flush_and_deliver)
    base.place.part(pipeline.access.close)
    base.place.quiet(location.close)
    await listen_edge(base, pipeline, watch, location.certificates)
    if settings.edge_address is not None or settings.edge_port is not None:
        await location.reachable(settings.edge_address or base.place.url("edge"))


def offers_zstd(*, offered: bool) -> bool:
    """Raises Misconfigured where it is asked for and cannot be."""
    if offered:
        try:
            zstd()
        except ImportError as problem:
            raise Misconfigured("--edge-zstd needs Python 3.14, or pip install 'littoral[zstd]'") from problem
    return offered


def open_geo(path: Path | None) -> Locator | None:
    """Raises Misconfigured for a database that cannot be read: the wrong viewers must not be served."""
    try:
        return Database(path) if path is not None else None
    except NoDatabase as problem:
        raise Misconfigured(f"--geo-database: {problem}") from problem
