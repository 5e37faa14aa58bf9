"""``Functions``: the capability as the site sees it. Opens, starts and closes; is an ``Invoker``.

    functions = await Functions.open(store, folder, region="us-east-1", account="000000000000")
    await functions.start()
    result = await functions.invoke(Invocation("chart", b'{"bed": 7}'))
    await functions.close()

``store`` needs ``records(bucket)``, ``streams`` and ``blobs(bucket)``. Works on asyncio and on uvloop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import statistics
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

from littoral.aws.invoke import Invocation, InvokeResult
from littoral.aws.signedonly import Authenticate
from littoral.functions.api import LambdaApi
from littoral.functions.api.parts import CodeSource, Parts
from littoral.functions.catalog import Catalog, Target
from littoral.functions.code import CodeStore
from littoral.functions.codeurl import PREFIX, CodeUrls
from littoral.functions.delivery import Deliveries
from littoral.functions.follower import Follower
from littoral.functions.gathering import Hands
from littoral.functions.ground import Ground
from littoral.functions.installing import InstalledFunctions
from littoral.functions.keeper import KeeperGone
from littoral.functions.launcher import Launcher
from littoral.functions.layers import Layers
from littoral.functions.logs import Logs
from littoral.functions.logs.api import LogsApi
from littoral.functions.metering import Meter
from littoral.functions.names import Home, Reference, new_request_id
from littoral.functions.payload import MAX_EVENT, MAX_SYNC, check_payload, check_small, context_of
from littoral.functions.permissions import allows
from littoral.functions.provisioning import Provisioner
from littoral.functions.readiness import Readiness
from littoral.functions.runner import Runner
from littoral.functions.runtimes import Runtimes
from littoral.functions.scheduler import Scheduler
from littoral.functions.settings import FunctionSettings
from littoral.functions.sinks import Sink
from littoral.functions.sources import EventSource, Mappings
from littoral.functions.surroundings import Component
from littoral.functions.tally import Tally
from littoral.functions.urls import FunctionUrls
from littoral.functions.usage import PATH as USAGE
from littoral.functions.usage import usage_handler
from littoral.functions.validation import replica_group
from littoral.net.message import Handler
from littoral.store.contract import Blobs, Conflict, Records, Streams

log = logging.getLogger(__name__)

SWEEP_EVERY = 600.0  # seconds between looks for code that nothing refers to


class Store(Protocol):
    """The three stores of a place; ``littoral.store.embedded.EmbeddedStore`` is one."""

    @property
    def streams(self) -> Streams: ...

    def records(self, bucket: str) -> Records: ...

    def blobs(self, bucket: str) -> Blobs: ...


class Functions(InstalledFunctions):
    """Made by ``open``. ``api`` is the class for botocore's service "lambda", ``logs_api`` for "logs"."""

    def __init__(self, parts: Parts, logs: Logs, meter: Meter, urls: CodeUrls, clock: Callable[[], float]) -> None:
        super().__init__(parts, clock)
        self._urls = urls
        self._meter = meter
        self._sweeper: asyncio.Task[None] | None = None
        self._called = parts.catalog.called
        self._runner = parts.runner
        self.logs = logs
        self.api = LambdaApi(parts)
        self.logs_api = LogsApi(logs, parts.home, clock)

    @classmethod
    async def open(
        cls,
        store: Store,
        folder: Path,
        *,
        region: str = "us-east-1",
        account: str = "000000000000",
        settings: FunctionSettings | None = None,
        clock: Callable[[], float] = time.time,
        code_source: CodeSource | None = None,
        sink: Sink | None = None,
        sources: Mapping[str, EventSource] | None = None,
    ) -> Self:
        """Load what is stored; no process is started. ``folder`` holds unpacked code and logs. ``sources`` are what
        event source mappings may follow, by the beginning of the ARNs."""
        settings, folder = settings or FunctionSettings(), folder.absolute()
        home = Home(region, account)
        records = store.records("functions")
        catalog = Catalog(records, home)
        await catalog.load()
        layers = Layers(records, home)
        await layers.load()
        code = CodeStore(store.blobs("functions-code"), folder / "code")
        runtimes = Runtimes(settings, folder / "runtime")
        logs = Logs(folder / "logs", clock=clock, bytes_per_group=settings.log_bytes_per_group)
        ground = Ground(folder, folder / "code", settings.isolated, settings.sockets, settings.prepared_cells)
        launcher = Launcher(code, ground, runtimes, settings, home, clock)
        scheduler = Scheduler(launcher.launch, logs, settings, clock, region)
        for name in catalog.names():
            scheduler.slots.reserve(name, catalog.get(name).reserved)
        runner = Runner(scheduler, logs, settings, clock)
        deliveries = Deliveries(store.streams, records, catalog, runner, settings, clock, sink)
        await deliveries.open()
        hands = Hands(catalog, runner, deliveries, settings, clock)
        mappings = Mappings(
            records, sources or {}, lambda mapping, source, positions: Follower(mapping, source, positions, hands)
        )
        await mappings.load()
        provisioner = Provisioner(catalog, scheduler, launcher)
        urls = CodeUrls(await _secret(records), code, clock)
        parts = Parts(
            home,
            settings,
            catalog,
            layers,
            code,
            runtimes,
            launcher,
            scheduler,
            runner,
            deliveries,
            mappings,
            provisioner,
            Readiness(home, settings.settle_seconds),
            urls.sign,
            code_source,
        )
        meter = Meter(store.records("functions-usage"), scheduler.tallies, clock)
        return cls(parts, logs, meter, urls, clock)

    async def start(self) -> None:
        """Boot the keepers, run what waits. Where functions cannot run, the log says why, and so does each invoke."""
        parts = self._parts
        if not parts.settings.isolated:
            log.warning(
                "--insecure-no-sandbox: functions run as plain processes of this user, kept apart by memory limits and "
                "process groups only; run no code that you do not trust"
            )
        await parts.code.sweep(self._code_keys())
        if parts.settings.from_start:
            try:
                await parts.launcher.prepare_python()
            except KeeperGone as error:
                log.error("no function can run here: %s", error)  # noqa: TRY400 - the reason is in one line
        for name in parts.catalog.names():
            await parts.launcher.prepare(parts.catalog.get(name).latest)
        parts.scheduler.start()
        parts.provisioner.start()
        parts.deliveries.start()
        await parts.mappings.start()
        self._meter.start()
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def close(self) -> None:
        """End every instance; returns when no process is left and the logs are written."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
        await self._parts.readiness.close()
        await self._parts.provisioner.close()
        await self._parts.mappings.close()
        await self._parts.deliveries.close()
        await self._parts.runner.close()
        await self._parts.scheduler.close()
        await self._parts.launcher.close()
        await self.logs.close()
        await self._meter.close()

    # ------------------------------------------------------------------------------------ the invoker

    def invoke(self, invocation: Invocation) -> Awaitable[InvokeResult]:
        """See ``littoral.aws.invoke.Invoker``. The way of most events: no coroutine, one future."""
        target = self._called(invocation.function)
        payload = invocation.payload
        if not (invocation.checked or check_small(payload)):
            return self._check_and_run(target, invocation)
        return self._run(target, invocation, payload)

    async def _check_and_run(self, target: Target, invocation: Invocation) -> InvokeResult:
        return await self._run(target, invocation, await check_payload(invocation.payload, MAX_SYNC, "RequestResponse"))

    def _run(self, target: Target, invocation: Invocation, payload: bytes) -> Awaitable[InvokeResult]:
        context = context_of(invocation.client_context) if invocation.client_context else b""
        group = replica_group(target.version, invocation.replica_of) if invocation.replica_of else ""
        return self._runner.run(target, new_request_id(), payload, context, tail=invocation.tail_log, group=group)

    async def invoke_async(self, invocation: Invocation) -> str:
        """See ``littoral.aws.invoke.Invoker``: durable once it returns."""
        reference = self._parts.home.parse(invocation.function)
        self._parts.catalog.version(reference)
        payload = await check_payload(invocation.payload, MAX_EVENT, "Event")
        context = context_of(invocation.client_context)
        request_id = new_request_id()
        await self._parts.deliveries.accept(reference, request_id, payload, context)
        return request_id

    def may_invoke(
        self, function: str, *, service: str, source_arn: str | None = None, source_account: str | None = None
    ) -> bool:
        """Whether the function's resource policy lets a service ("s3.amazonaws.com") invoke it for that source.
        Raises ResourceNotFoundException. The site asks before it wires an event to a function."""
        reference = self._parts.home.parse(function)
        self._parts.catalog.version(reference)
        statements = self._parts.catalog.get(reference.name).policies.get(reference.qualifier or "", [])
        account = source_account or self._parts.home.account  # a place's sources are all of its account
        return allows(statements, service=service, source_arn=source_arn, source_account=account)

    # ------------------------------------------------------------------------------------ for the site

    def replicas(self, replicated: Callable[[str], bool]) -> None:
        """``replicated`` says whether a function, or a version of it, by its ARN, has replicas at the edge: such a one
        is not deleted."""
        self._parts.replicated = replicated

    def surround(self, component: Component) -> None:
        """Who says what a function that is a component of a core needs to be one."""
        self._parts.launcher.around.component = component

    def hold(self, functions: Iterable[tuple[str, str]], tell: Callable[[], None]) -> None:
        """Names and versions of the pinned functions that run from now on, event or not; no others do. ``tell`` is
        called when one cannot begin, and when it does after all."""
        self._parts.provisioner.hold((Reference(name, version) for name, version in functions), tell)

    async def held(self) -> None:
        """Returns when each of them runs, or has failed to begin."""
        await self._parts.provisioner.filled()

    def failure(self, name: str, version: str) -> str:
        """Why a function that is held does not run; "" where it does."""
        return self._parts.provisioner.failure(Reference(name, version))

    def add_sink(self, sink: Sink) -> None:
        """A further kind of destination for records of asynchronous events."""
        self._parts.deliveries.sink.add(sink)

    def routes(self) -> dict[str, Handler]:
        """Path prefix → handler: the addresses of GetFunction's Code.Location."""
        return {PREFIX: self._urls.handle}

    def by_host(self, authenticate: Authenticate) -> Callable[[str], Handler | None]:
        """Host → handler, None for hosts that are not a function's URL. ``authenticate`` says who signed for Lambda."""
        urls = FunctionUrls(self._parts.catalog, self._parts.runner, self._parts.readiness, self._clock)
        urls.authenticate = authenticate
        return urls.handler

    def signed_routes(self, authenticate: Authenticate) -> dict[str, Handler]:
        """Path prefix → handler, for callers that ``authenticate`` knows: what functions used."""
        return {USAGE: usage_handler(self._meter, self._clock, authenticate)}

    def tallies(self) -> list[Tally]:
        """What each version came to since the start."""
        return list(self._parts.scheduler.tallies)

    def running(self) -> dict[str, int]:
        """Executions under way, by function; those with none are not there."""
        return self._parts.scheduler.slots.running()

    def stats(self) -> dict[str, Any]:
        """Counts since the start; durations of the last thousand in seconds."""
        scheduler = self._parts.scheduler
        tallies, inits, recent = self.tallies(), scheduler.starts.inits, scheduler.tallies.recent
        return {
            "cold": sum(each.cold for each in tallies),
            "warm": sum(each.requests - each.cold for each in tallies),
            "errors": sum(each.errors for each in tallies),
            "timeouts": sum(each.timeouts for each in tallies),
            "throttles": sum(each.throttles for each in tallies),
            "init_p50": statistics.median(inits) if inits else None,
            "duration_p50": statistics.median(recent) if recent else None,
            **scheduler.instances(),
        }

    def _code_keys(self) -> set[str]:
        return self._parts.catalog.code_keys() | self._parts.layers.code_keys()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            try:
                await self._parts.code.sweep(self._code_keys() | self._parts.scheduler.code_in_use())
                await self.logs.sweep()
                await self._meter.sweep()
            except Exception:
                log.exception("unused code or old logs could not be removed; the next sweep tries again")


async def _secret(records: Records) -> bytes:
    """The key of code addresses, made at the first start."""
    record = await records.get("secret/code-urls")
    if record is None:
        with contextlib.suppress(Conflict):
            await records.put("secret/code-urls", secrets.token_bytes(32), expect=0)
        record = await records.get("secret/code-urls")
    assert record is not None
    return record.value
