"""An edge location's data plane before a real origin, both on loopback, with a clock that tests turn."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

from littoral.aws.invoke import Invocation, InvokeResult
from littoral.aws.service import ServiceError
from littoral.edge.pipeline import Pipeline
from littoral.edge.plan import compile_plan
from littoral.edge.policies import MANAGED_CACHE, MANAGED_ORIGIN_REQUEST, MANAGED_RESPONSE_HEADERS
from littoral.edge.upstream import Upstream
from littoral.net.client import HttpClient
from littoral.net.listen import HttpListener, listen_http
from littoral.net.message import Headers, Request, Response
from tests.net.wire import Reply, Wire
from tests.support.clock import Clock

HOST = "d111111abcdef8.cloudfront.net"
OPTIMIZED = "658327ea-f89d-4fab-a63d-7e88639e58f6"
DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER = "216adef6-5c7f-47e4-b989-5492eafa07d3"

Respond = Callable[[Request], Any]


@dataclass
class Asked:
    method: str
    target: str
    headers: Headers
    body: bytes


@dataclass
class Origin:
    """What it was asked, and what it answers: ``respond`` may be exchanged while it runs."""

    clock: Clock
    respond: Respond = lambda request: answer(b"hello")
    asked: list[Asked] = field(default_factory=list)
    listener: HttpListener | None = None

    async def handle(self, request: Request) -> Response:
        body = await request.body.read()
        self.asked.append(Asked(request.method, request.target, request.headers, body))
        made = self.respond(request)
        made = made if isinstance(made, Response) else await made
        if "date" not in made.headers:
            made.headers.set("date", formatdate(self.clock(), usegmt=True))  # the tests' clock, not the machine's
        return made

    async def start(self, port: int = 0) -> None:
        self.listener = await listen_http(self.handle, port=port)

    async def stop(self) -> None:
        if self.listener is not None:
            await self.listener.close(0)
            self.listener = None

    @property
    def targets(self) -> list[str]:
        return [each.target for each in self.asked]


def answer(body: bytes = b"", status: int = 200, **headers: str) -> Response:
    """``cache_control`` stands for Cache-Control."""
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return Response(status, Headers.of(pairs), body)


class Scripted:
    """An invoker whose functions are Python callables of the event, by ARN."""

    def __init__(self) -> None:
        self.functions: dict[str, Callable[[dict[str, Any]], Any]] = {}
        self.events: list[dict[str, Any]] = []

    async def invoke(self, invocation: Invocation) -> InvokeResult:
        self.events.append(json.loads(invocation.payload))
        made = self.functions[invocation.function](json.loads(invocation.payload))
        if isinstance(made, (ServiceError, Exception)):
            raise made
        if isinstance(made, InvokeResult):
            return made
        return InvokeResult(json.dumps(made).encode())

    async def invoke_async(self, invocation: Invocation) -> str:
        raise AssertionError("the edge waits for its triggers")

    @property
    def kinds(self) -> list[str]:
        return [event["Records"][0]["cf"]["config"]["eventType"] for event in self.events]


@dataclass
class Edge:
    pipeline: Pipeline
    origin: Origin
    clock: Clock
    invoker: Scripted
    port: int
    origin_port: int

    def configure(self, **changes: Any) -> None:
        """Serve a distribution that is the plain one with other behaviours, error pages and so on."""
        self.pipeline.use({"E1": compile_plan("E1", HOST, self.config(**changes), self.policies)})

    policies: dict[str, Any] = field(
        default_factory=lambda: MANAGED_CACHE | MANAGED_ORIGIN_REQUEST | MANAGED_RESPONSE_HEADERS
    )

    def config(self, behaviour: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
        custom = {"HTTPPort": self.origin_port, "HTTPSPort": 443, "OriginProtocolPolicy": "http-only"}
        origin = {"Id": "o", "DomainName": "127.0.0.1", "ConnectionAttempts": 1, "CustomOriginConfig": custom}
        return {
            "Enabled": True,
            "Origins": listed([origin | changes.pop("origin", {})]),
            "DefaultCacheBehavior": behaving(**(behaviour or {})),
            **changes,
        }

    def trigger(self, kind: str, function: Callable[[dict[str, Any]], Any], **more: Any) -> dict[str, Any]:
        """A function association; the function gets ``Records[0].cf``."""
        arn = f"arn:aws:lambda:us-east-1:000000000000:function:{kind}:1"
        self.invoker.functions[arn] = lambda event: function(event["Records"][0]["cf"])
        return {"EventType": kind, "LambdaFunctionARN": arn, **more}

    kept: Wire | None = None  # one connection for all requests, where ``keeps``
    keeps: bool = False

    async def raw(self, data: bytes) -> Reply:
        if self.keeps:
            return await self._by_one_connection(data)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            wire = Wire(reader, writer)
            wire.send(data)
            return await wire.reply(bodiless=data.startswith(b"HEAD"))
        finally:
            writer.close()

    async def _by_one_connection(self, data: bytes) -> Reply:
        if self.kept is None:
            self.kept = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        self.kept.send(data)
        reply = await self.kept.reply(bodiless=data.startswith(b"HEAD"))
        if reply.headers.get("connection") == "close":
            self.kept.writer.close()
            self.kept = None
        return reply

    async def get(self, target: str = "/", method: str = "GET", body: bytes = b"", **headers: str) -> Reply:
        """``if_none_match`` stands for If-None-Match."""
        lines = [f"{method} {target} HTTP/1.1", f"Host: {headers.pop('host', HOST)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return await self.raw("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def listed(members: list[Any]) -> dict[str, Any]:
    return {"Quantity": len(members), "Items": members}


def behaving(**changes: Any) -> dict[str, Any]:
    """A cache behaviour; ``triggers`` are function associations, ``methods`` the allowed ones."""
    made: dict[str, Any] = {"TargetOriginId": "o", "ViewerProtocolPolicy": "allow-all", "CachePolicyId": OPTIMIZED}
    if "triggers" in changes:
        made["LambdaFunctionAssociations"] = listed(changes.pop("triggers"))
    if "methods" in changes:
        made["AllowedMethods"] = listed(changes.pop("methods")) | {"CachedMethods": listed(["GET", "HEAD"])}
    return made | changes


def cache_policy(
    minimum: float = 0, default: float = 86400, maximum: float = 31536000, **parameters: Any
) -> dict[str, Any]:
    none = {
        "HeadersConfig": {"HeaderBehavior": "none"},
        "CookiesConfig": {"CookieBehavior": "none"},
        "QueryStringsConfig": {"QueryStringBehavior": "none"},
    }
    return {
        "MinTTL": minimum,
        "DefaultTTL": default,
        "MaxTTL": maximum,
        "ParametersInCacheKeyAndForwardedToOrigin": none | parameters,
    }


@asynccontextmanager
async def edge(folder: Path, **options: Any) -> AsyncIterator[Edge]:
    clock, invoker, client = Clock(), Scripted(), HttpClient()
    origin = Origin(clock)
    await origin.start()
    assert origin.listener is not None
    upstream = Upstream(client, "TST1")
    pipeline = Pipeline(pop="TST1", folder=folder, upstream=upstream, invoker=invoker, clock=clock, **options)
    listener = await listen_http(pipeline.handle)
    made = Edge(pipeline, origin, clock, invoker, listener.port, origin.listener.port)
    made.configure()
    try:
        yield made
    finally:
        if made.kept is not None:
            made.kept.writer.close()
        await listener.close(0)
        await pipeline.close()
        await client.close()
        await origin.stop()
