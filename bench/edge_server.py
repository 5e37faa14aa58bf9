"""An edge location of ours, and an origin, each as a process for the benchmarks: pipeline and listener as in a place.

    python bench/edge_server.py origin | edge FOLDER ORIGIN [--logs] [--tls] …

Prints the port (with ``--shield`` a second one, which tells what was refused).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from littoral.edge import answer
from littoral.edge.accesslog.delivery import AccessLogs
from littoral.edge.cffunctions.functions import Script
from littoral.edge.entrance import Entrance
from littoral.edge.guard import Guard
from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import compile_plan
from littoral.edge.policies import MANAGED_CACHE
from littoral.edge.upstream import Upstream
from littoral.edge.waf import guard as waf
from littoral.edge.waf.crs.groups import Groups
from littoral.edge.waf.crs.ruleset import Source
from littoral.edge.waf.webacl import compile_acl
from littoral.functions import Functions, FunctionSettings
from littoral.net.client import HttpClient
from littoral.net.listen import listen_http
from littoral.net.message import Handler, Headers, Request, Response
from littoral.net.pki import Authority
from littoral.net.tls import server_context
from littoral.protocols.shield import Shield
from littoral.site.certificates import Certificates, Contexts
from littoral.site.front import find_caddy, listen_front
from littoral.site.lifecycle import settle
from littoral.site.settings import Settings
from littoral.store.embedded import EmbeddedStore
from servers import HOST, ports, started

PROGRAM = [sys.executable, str(Path(__file__).resolve())]
PATH = "/ward/page.html"
CACHED, NOT_CACHED = "658327ea-f89d-4fab-a63d-7e88639e58f6", "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # managed policies
LOGGED = 2.0  # seconds a file of the log: as long as it takes 100,000 hits, so that no run is without its zipping
VERSION = "arn:aws:lambda:us-east-1:000000000000:function:f:1"


@contextmanager
def origin(core: int | None = 1) -> Iterator[int]:
    """Port of an origin: 1 KiB for each path, 1 MiB for /large, and for /count how often it was asked."""
    with started([*PROGRAM, "origin"], core) as process:
        yield ports(process)[0]


@contextmanager
def edge(folder: Path | str, origin: int, *options: str, core: int | None = 0) -> Iterator[tuple[int, int]]:
    """Port and process of an edge location before that origin."""
    with started([*PROGRAM, "edge", str(folder), str(origin), *options], core) as process:
        yield ports(process)[0], process.pid


def configuration(origin: int, *, logs: bool = False, **behaviour: object) -> dict[str, Any]:
    """A distribution that caches all but ``/live/*``."""
    common = {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all"}
    custom = {"HTTPPort": origin, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
    return {
        "Enabled": True,
        "Origins": {"Items": [{"Id": "o", "DomainName": "127.0.0.1", "CustomOriginConfig": custom}]},
        "DefaultCacheBehavior": {**common, "CachePolicyId": CACHED, **behaviour},
        "CacheBehaviors": {"Items": [{**common, "PathPattern": "/live/*", "CachePolicyId": NOT_CACHED}]},
        "Logging": {"Enabled": logs, "Bucket": "logs.s3.amazonaws.com", "Prefix": "", "IncludeCookies": False},
    }


class Nowhere:
    """Where logs go: they are made and zipped, by a process beside, and thrown away."""

    async def put(self, bucket: str, key: str, data: bytes) -> None:
        del bucket, key, data


class Unlimited(Guard):
    """All load comes from one client, which a shield would hold back."""

    def before(self, enter: Handler) -> Handler:
        return enter


async def serve_origin() -> None:
    headers = [(b"content-type", b"text/html"), (b"cache-control", b"max-age=3600"), (b"etag", b'"1"')]
    asked = 0

    def handle(request: Request) -> Response:
        nonlocal asked
        if request.target == "/count":
            return Response(200, Headers([]), b"%d" % asked)
        asked += 1
        return Response(200, Headers(list(headers)), b"x" * (1 << 20 if request.target == "/large" else 1024))

    print((await listen_http(handle)).port, flush=True)
    await asyncio.Event().wait()


async def serve_edge(options: argparse.Namespace) -> None:
    functions, behaviour = await at_viewer_request(options)
    upstream = Upstream(HttpClient(), "BENCH1")
    pipeline = Pipeline(pop="BENCH1", folder=options.folder, upstream=upstream, invoker=functions)
    pipeline.access = AccessLogs(options.folder / "logs", "BENCH1", Nowhere(), LOGGED)
    await pipeline.access.start()
    if options.script is not None:
        pipeline.functions.use({"f": Script("f", options.script.read_text(), "cloudfront-js-2.0")}, {})
    configured = configuration(options.origin, logs=options.logs, **behaviour)
    pipeline.use({"E1": compile_plan("E1", HOST, configured, MANAGED_CACHE)})
    if options.acl is not None:
        guarded(pipeline, json.loads(options.acl.read_text()))
    listening = await listen(pipeline, options)
    settle()  # as every place does
    ended = asyncio.Event()
    if options.logs:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(*listening, flush=True)
    await ended.wait()
    await pipeline.access.flush_and_deliver()  # nobody is left in the folder, which goes with the benchmark


async def at_viewer_request(options: argparse.Namespace) -> tuple[Functions | None, dict[str, object]]:
    """The functions of this location, and what a behaviour says to have one called for each request."""
    if options.script is not None:
        return None, {"FunctionAssociations": {"Items": [{"EventType": "viewer-request", "FunctionARN": "f"}]}}
    if options.function is None:
        return None, {}
    store = await EmbeddedStore.open(options.folder / "store")
    functions = await Functions.open(store, options.folder / "functions", settings=FunctionSettings())
    await functions.start()
    handler = {"Runtime": "nodejs20.x", "Handler": "index.handler"}
    await functions.install("f", "1", handler, options.function.read_bytes())
    associated = [{"EventType": "viewer-request", "LambdaFunctionARN": VERSION}]
    return functions, {"LambdaFunctionAssociations": {"Items": associated}}


def guarded(pipeline: Pipeline, bundle: dict[str, Any]) -> None:
    """That web ACL before the distribution; its samples and metrics are made each second."""
    managed = Groups(Source.open()).step if "ManagedRuleGroupStatement" in json.dumps(bundle) else None
    firewall = pipeline.firewall = waf.Firewall(time.time, answer.request_id)
    firewall.use({HOST: waf.Guard(compile_acl(bundle, managed=managed), "E1")})

    def report() -> None:
        firewall.report(with_keys=True)
        asyncio.get_running_loop().call_later(1.0, report)

    report()


async def listen(pipeline: Pipeline, options: argparse.Namespace) -> list[int]:
    if options.front is not None:
        return await listen_behind(pipeline, options)
    if options.shield is not None:
        return await listen_telling(pipeline, shielded=options.shield == "on")
    tls = None
    if options.tls:
        issued = Authority.load_or_create(options.folder / "pki", "bench").issue_server([HOST])
        tls = server_context((issued.certificate, issued.private_key), alpn=["http/1.1"])
    return [(await listen_http(pipeline.handle, tls=tls)).port]


async def listen_behind(pipeline: Pipeline, options: argparse.Namespace) -> list[int]:
    """Behind Caddy where there is one, unless it is ``off``. With the shield it has a second port, too."""
    settings = Settings(data_dir=options.folder, edge_front=options.front)
    own = Certificates(Authority.load_or_create(options.folder / "pki", "bench"), ["localhost"])
    program = find_caddy(settings)
    if program is None:
        tls = server_context(own.own(), names=Contexts(own, pipeline.serves), alpn=["http/1.1"])
        return [(await listen_http(Entrance(pipeline).handle, tls=tls)).port]
    shielded = options.shield == "on"
    guard = Guard(Shield(settings.client_limits()), pipeline.pop) if shielded else Unlimited(Shield(), pipeline.pop)
    front = await listen_front(pipeline, guard, program, own, settings, 0)
    return [front.port, *([await listen_to_tell(pipeline, guard, {})] if shielded else [])]


async def listen_telling(pipeline: Pipeline, *, shielded: bool) -> list[int]:
    settings = Settings()
    guard = Guard(Shield(settings.client_limits()), pipeline.pop)
    if shielded:
        handler = guard.before(pipeline.handle)
        listener = await listen_http(handler, limits=settings.listener_limits(), gate=guard)
    else:
        listener = await listen_http(pipeline.handle)
    return [listener.port, await listen_to_tell(pipeline, guard, listener.service.refusals)]


async def listen_to_tell(pipeline: Pipeline, guard: Guard, refusals: Mapping[str, int]) -> int:
    """A port that says what was refused and answered, and the shield's price."""

    def told(_: Request) -> Response:
        refused = {**guard.shield.refused, **refusals}
        return Response(200, Headers([]), json.dumps([refused, pipeline.results, guard.shield.price]).encode())

    return (await listen_http(told)).port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("origin")
    location = kinds.add_parser("edge")
    location.add_argument("folder", type=Path)
    location.add_argument("origin", type=int)
    location.add_argument("--logs", action="store_true", help="each request in an access log")
    location.add_argument("--tls", action="store_true")
    location.add_argument("--front", choices=("auto", "off"), help="TLS by Caddy, or by ourselves as a place does it")
    location.add_argument("--shield", choices=("on", "off"), help="limits as a place sets them, and a port that tells")
    location.add_argument("--script", type=Path, help="a CloudFront function at viewer-request")
    location.add_argument("--function", type=Path, help="a zip: Node.js at viewer-request")
    location.add_argument("--acl", type=Path, help="JSON: a web ACL and its address sets")
    options = parser.parse_args()
    uvloop.run(serve_origin() if options.kind == "origin" else serve_edge(options))


if __name__ == "__main__":
    main()
