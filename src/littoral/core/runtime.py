"""A core, whole: spool, link, deployments and what they connect."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from littoral.core.applying import Applying
from littoral.core.clientdevices.auth import ClientDeviceAuth
from littoral.core.clientdevices.ports import ClientPlace
from littoral.core.consulting import Consulting
from littoral.core.deployments import CoreDeployments
from littoral.core.fleetstatus.service import FleetStatusService
from littoral.core.ipc.calls import Handler
from littoral.core.ipc.configuring import Configuring
from littoral.core.ipc.deploying import Deploying
from littoral.core.ipc.messaging import Messaging
from littoral.core.ipc.ports import LocalShadows
from littoral.core.ipc.server import SHOWN, IpcServer
from littoral.core.ipc.shadowing import Shadowing
from littoral.core.ipc.states import States
from littoral.core.ipc.updating import Updating
from littoral.core.lambdamanager.server import LambdaManager
from littoral.core.link import Link
from littoral.core.modelserver.component import ModelServer
from littoral.core.modelserver.ports import ModelPlace
from littoral.core.nucleus.nucleus import LAMBDA_SOCKET_NAME, Nucleus
from littoral.core.operator import Operator
from littoral.core.packages import Packages
from littoral.core.planning import PLATFORM
from littoral.core.playing import Players, Surroundings
from littoral.core.ports import Broker, Functions, Subscription
from littoral.core.routes import Routes
from littoral.core.settings import CoreSettings
from littoral.core.shadowmanager.pace import Pace
from littoral.core.source import Source
from littoral.core.spool import Extras, Spool
from littoral.net.client import HttpClient
from littoral.net.listen import HttpListener, listen_unix
from littoral.protocols.mqtt.packets import Publish
from littoral.store.contract import Records, Streams
from littoral.store.documents import Documents

DEPLOYMENT = "deployment/"  # documents of what is deployed, and of what the fleet was told of it


class Core:
    """Open with ``Core.open``; ``start`` when the broker and the functions have started, ``close`` before they do."""

    def __init__(
        self,
        spool: Spool,
        link: Link,
        source: Source,
        routes: Routes,
        deployments: CoreDeployments,
        ipc: IpcServer,
        operator: Operator,
        clients: ClientDeviceAuth,
        lambdas: LambdaManager,
        models: ModelServer,
        shown: Path | None,
    ) -> None:
        self.operator = operator
        self.models = models
        self._lambdas = lambdas
        self._shown = shown
        self._listener: HttpListener | None = None
        self._trying: asyncio.Task[None] | None = None
        self.spool = spool
        self.link = link
        self.deployments = deployments
        self.ipc = ipc
        self.clients = clients
        self._source = source
        self._routes = routes

    @classmethod
    async def open(
        cls,
        settings: CoreSettings,
        records: Records,
        streams: Streams,
        functions: Functions,
        broker: Broker,
        shadows: LocalShadows,
        clients: ClientPlace,
        models: Callable[[], ModelPlace],
    ) -> Core:
        """``records`` is a bucket of the core's own; ``models`` is called with the first model. Raises StoreError."""
        spool = await Spool.open(streams, records, settings.thing, settings.spool)
        link = Link(
            settings.upstream,
            settings.thing,
            spool,
            window=settings.window,
            timing=settings.timing,
            backoff=settings.backoff,
        )
        core = Surroundings(
            settings,
            records,
            streams,
            functions,
            broker,
            shadows,
            clients,
            models,
            client=HttpClient(),
            link=link,
            spool=spool,
            nucleus=_nucleus(settings, records),
            routes=Routes(broker, link, spool, functions, streams),
            fleet=FleetStatusService(settings.thing, Documents(records, DEPLOYMENT), link, PLATFORM),
            pace=Pace(time.time),
        )
        return cls._of(core, Players.of(core))

    @classmethod
    def _of(cls, core: Surroundings, players: Players) -> Core:
        """With what looks after it: deployments, what components may ask, the operator."""
        settings, nucleus, functions = core.settings, core.nucleus, core.functions
        above, consulting = settings.upstream, Consulting()
        source = Source(above.by_certificate, above.tls, core.client, players.upward if above.apart else None)
        deployments = _deployments(core, players, source, consulting)
        operations = {**_operations(core, deployments, consulting), **players.operations}
        lambdas = LambdaManager(nucleus, functions, core.routes, players.router, players.secrets, operations)
        functions.surround(nucleus.surroundings)
        ipc = IpcServer(settings.socket, nucleus, operations, settings.shown)
        last_words = partial(_last_words, nucleus, functions)
        operator = Operator(settings.thing, settings.folder, core.link, core.spool, deployments, last_words)
        parts = operator, players.auth, lambdas, players.models
        return cls(core.spool, core.link, source, core.routes, deployments, ipc, *parts, settings.shown)

    async def start(self) -> None:
        """What is deployed runs when this returns, link or no link."""
        await self.ipc.start()
        if self._shown is not None:
            self._listener = await listen_unix(self._lambdas.handle, self._shown / LAMBDA_SOCKET_NAME, mode=SHOWN)
        await self.deployments.start()
        await self.link.start()
        self._trying = asyncio.create_task(self.operator.retrying.keep_trying())

    async def close(self) -> None:
        if self._trying is not None:
            self._trying.cancel()
            await asyncio.gather(self._trying, return_exceptions=True)
        await self.deployments.close()
        if self._listener is not None:
            await self._listener.close(0.0)
        await self.ipc.close()
        await self.link.close()
        await self._source.close()

    async def stats(self) -> dict[str, Any]:
        await self.spool.look()
        return {
            "link": {
                **self.link.stats.told(time.monotonic()),
                "sent": self.link.draining.sent,
                "expired": self.link.draining.expired,
            },
            "spool": {
                "pending": await self.spool.pending(),
                "dropped": self.spool.dropped,
                "rejected": self.spool.rejected,
            },
            "deployment": self.deployments.status,
            "components": {feed.component.name: asdict(feed.stats) for feed in self._routes.feeds},
        }


def _nucleus(settings: CoreSettings, records: Records) -> Nucleus:
    return Nucleus(
        settings.folder,
        records,
        settings.thing,
        settings.region,
        settings.socket,
        settings.fence,
        settings.confine,
    )


def _deployments(core: Surroundings, players: Players, source: Source, consulting: Consulting) -> CoreDeployments:
    settings, documents = core.settings, Documents(core.records, DEPLOYMENT)
    applying = Applying(
        settings.thing,
        documents,
        source,
        core.functions,
        core.routes,
        core.nucleus,
        Packages(settings.folder),
        players.played,
        consulting,
    )
    return CoreDeployments(
        settings.thing,
        settings.folder / "local",
        documents,
        core.link,
        applying,
        core.nucleus,
        core.fleet,
        settings.restart,
    )


def _operations(core: Surroundings, deployments: CoreDeployments, consulting: Consulting) -> dict[str, Handler]:
    """What components may ask of the core itself over the IPC."""
    nucleus = core.nucleus
    served = (
        Messaging(nucleus, core.broker, _Above(core.link, core.spool)),
        Configuring(nucleus),
        States(nucleus, deployments),
        Shadowing(nucleus, core.shadows, core.pace.admits),
        Updating(consulting),
        Deploying(nucleus, deployments.local, nucleus.copy),
    )
    return {name: handler for each in served for name, handler in each.operations().items()}


async def _last_words(nucleus: Nucleus, functions: Functions, name: str, lines: int) -> Sequence[str] | None:
    function = nucleus.functions.component(name)
    return None if function is None else await functions.last_words(function, lines)


class _Above:
    """For components: what they publish goes by the spool, as everything upward does."""

    def __init__(self, link: Link, spool: Spool) -> None:
        self._spool = spool
        self._link = link

    def hear(self, filter: str, taker: Callable[[Publish], None]) -> Subscription:
        return self._link.hear(filter, taker)

    def follow(self, told: Callable[[bool], None]) -> Subscription:
        return self._link.followers.add(told)

    async def put(self, topic: str, payload: bytes, qos: int, extras: Extras) -> None:
        await self._spool.put(topic, payload, qos, extras)
