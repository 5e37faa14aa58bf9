"""Things as one capability: opened on a store, given what it may call, asked for its APIs and its broker.

::

    things = await Things.open(store, region=…, account=…, authority=…, endpoint=lambda: f"127.0.0.1:{port}")
    await things.start()
    Gateway({"iot": things.iot, "iot-data": things.iot_data}, …)
    listen_stream(things.broker.protocol_factory("tls", things.access), …)
    …
    await things.close()

``open`` reads facts and rules; ``start`` brings sessions back and lets rules run; ``close`` ends connections, then
rules.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from littoral.aws.invoke import Invoker
from littoral.net.pki import Authority
from littoral.store.contract import Records, Streams
from littoral.store.documents import Documents
from littoral.things.answers import Answers
from littoral.things.broker import BrokerLimits, LocalSubscriber, NotStored
from littoral.things.broker.limits import ProfileName
from littoral.things.control import Iot
from littoral.things.credentials import CredentialsProvider, Issue
from littoral.things.data import IotData, Retained
from littoral.things.duplicates import Duplicates, OnceBroker
from littoral.things.fleet import Fleet
from littoral.things.gatekeeper import Gatekeeper
from littoral.things.indexing.index import PRESENCE
from littoral.things.intake import Intake
from littoral.things.jobs import IotJobsData, JobObjects
from littoral.things.message import Publication
from littoral.things.names import Names
from littoral.things.permissions import Permissions
from littoral.things.presence import Presence
from littoral.things.refusals import Refusals
from littoral.things.registry import Registry
from littoral.things.registry.snapshot import import_snapshot
from littoral.things.reserved import Reserved, dispatcher
from littoral.things.rules import (
    Destinations,
    LogSink,
    MetricData,
    Metrics,
    ObjectSink,
    Permits,
    RecordSink,
    RuleEngine,
    Sinks,
    Web,
)
from littoral.things.shadows import Shadows

log = logging.getLogger(__name__)

BUCKET = "things"


class Stores(Protocol):
    """What of a store this capability uses."""

    def records(self, bucket: str) -> Records: ...

    @property
    def streams(self) -> Streams: ...


class Things:
    """Use ``Things.open``."""

    iot: Iot
    iot_data: IotData
    iot_jobs_data: IotJobsData
    broker: OnceBroker
    access: Gatekeeper
    permissions: Permissions
    refusals: Refusals
    shadows: Shadows
    rules: RuleEngine
    destinations: Destinations
    metric_data: MetricData
    _intake: Intake
    _fleet: Fleet

    def __init__(self, registry: Registry, applied: Documents, duplicates: Duplicates) -> None:
        self._registry = registry
        self._applied = applied
        self._duplicates = duplicates
        self._trusted: list[tuple[ssl.SSLContext, set[str]]] = []

    @classmethod
    async def open(
        cls,
        store: Stores,
        folder: Path | None = None,
        *,
        region: str,
        account: str,
        authority: Authority,
        endpoint: Callable[[], str],
        invoker: Invoker | None = None,
        objects: ObjectSink | None = None,
        job_objects: JobObjects | None = None,
        permits: Permits | None = None,
        data_streams: RecordSink | None = None,
        logs: LogSink | None = None,
        web: Web | None = None,
        clock: Callable[[], float] = time.time,
        profile: ProfileName = "aws",
        limits: BrokerLimits | None = None,
    ) -> Things:
        """``authority`` signs devices' certificates; ``endpoint`` gives "host:port" of the device port.

        Without an invoker, objects, data streams, logs or a web, rules that want them fail to their error action; so
        they do where ``permits``, asked with a function and the rule's ARN, says no. ``folder`` is not used: all state
        is in the store. Raises StoreError.
        """
        records, streams, names = store.records(BUCKET), store.streams, Names(region, account)
        registry = Registry(records)
        await registry.load()
        self = cls(registry, Documents(records, "applied/"), Duplicates(streams))
        self.permissions = permissions = Permissions(registry, names)
        self.refusals = Refusals(permissions, clock)
        self.access = Gatekeeper(permissions, self.refusals)
        self.broker = OnceBroker(
            access=self.access, streams=streams, records=records, clock=clock, limits=limits, profile=profile
        )
        self.broker.duplicates = self._duplicates

        async def tell(topic: str, payload: bytes) -> None:
            await reply("", topic, payload)

        async def reply(client_id: str, topic: str, payload: bytes) -> None:
            """To that client alone, where there is one."""
            try:
                await self.broker.publish(Publication(topic, payload, 1), only=client_id)
            except NotStored as problem:  # the state itself is durable; who misses this finds it by a get
                log.warning("%s: not told to everybody: %s", topic, problem)

        async def act(publication: Publication) -> None:
            await dispatch(publication)

        self.shadows = Shadows(Documents(records, "shadow/"), tell, clock, self.broker.router.heard)
        self._fleet = fleet = Fleet(
            records,
            registry,
            names,
            tell,
            self.shadows,
            self._follow_presence,
            clock,
            objects=job_objects,
            invoker=invoker,
            permits=permits,
        )
        self.access.on_stranger = lambda client: fleet.stranger(client, self.broker.spawn)
        asked = permits and (lambda function, rule: permits(function, names.arn("rule", rule)))
        self.destinations = Destinations(
            Documents(records, "destination/"), web, lambda name: names.arn("ruledestination", name), clock
        )
        self.metric_data = MetricData()
        answers: dict[str, Callable[..., Awaitable[Any]]] = {}  # filled below: what answers is made of the engine
        sinks = Sinks(act, invoker, objects, asked, data_streams, logs, self.destinations, self.metric_data, answers)
        self.rules = RuleEngine(Documents(records, "rule/"), streams, sinks, account=account)
        self._intake = Intake(self.broker, self.rules, account)
        reserved = Reserved(self.shadows, self._intake, fleet.job_requests, fleet.provisioning_requests, reply)
        dispatch = dispatcher(reserved, self.broker.publish)
        self.broker.reserved = reserved.of_client
        self.iot = Iot(
            registry,
            self.rules,
            self.destinations,
            names,
            authority=authority,
            endpoint=endpoint,
            fleet=fleet,
            permissions=permissions,
        )
        answers.update(Answers(self.iot, self.shadows, names, clock).table())
        self.iot_data = IotData(BrokerMessages(self.broker, dispatch), self.shadows, permissions, self.refusals)
        self.iot_jobs_data = IotJobsData(fleet.jobs, self.iot_data.authorise)
        registry.on_change(self._registry_changed)
        Presence(self.broker, clock).open()
        await self._duplicates.open()
        await self.destinations.open()
        await self.rules.open()
        await fleet.open()
        self._intake.open()
        return self

    async def start(self) -> None:
        """Bring sessions back and let rules run. To be awaited before the first connection. Raises StoreError."""
        await self.broker.start()
        self.rules.start()
        self._fleet.start()

    async def close(self, grace: float = 0.0) -> None:
        """What is durable goes on at the next start."""
        await self._fleet.close()
        await self.broker.close(grace)
        await self.rules.close()
        await self.destinations.close()

    def _follow_presence(self, take: Callable[[Publication], None]) -> tuple[LocalSubscriber, list[str]]:
        return self.broker.subscribe(PRESENCE, take), [client.client_id for client in self.broker.clients()]

    # ------------------------------------------------------------------------------------------- registry

    def _registry_changed(self, certificates: Iterable[str]) -> None:
        """Live connections: those that may no longer connect are cut off, the others are asked anew per packet."""
        self._load_anchors()
        self.broker.refresh()
        concerned = set(certificates)
        lost = {
            client.principal
            for client in self.broker.clients()
            if client.principal in concerned and self.access.connect(client) is not None
        }
        for principal in lost:
            self.broker.disconnect(principal=principal)

    def trust(self, tls: ssl.SSLContext) -> None:
        """Let this context of a device port take the certificates of registered authorities too, and those that were
        registered alone; also of those to come. What is deleted is refused when it connects."""
        tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # a device's own certificate may be what is trusted
        self._trusted.append((tls, set()))
        self._load_anchors()

    def _load_anchors(self) -> None:
        for identifier, pem in self._registry.anchors().items():
            for tls, loaded in self._trusted:
                if identifier not in loaded:
                    tls.load_verify_locations(cadata=pem)
                    loaded.add(identifier)

    async def export_registry(self) -> dict[str, Any]:
        """Everything a core needs to admit the same devices, as JSON; named by ``revision``. No private keys."""
        return self._registry.export()

    async def import_registry(self, snapshot: Mapping[str, Any]) -> bool:
        """Make the registry equal to the snapshot; False when it already is. Raises BadSnapshot, StoreError."""
        return await import_snapshot(self._registry, snapshot, self._applied)

    def credentials(self, issue: Issue) -> CredentialsProvider:
        """For the device port, under ``credentials.PREFIX``."""
        return CredentialsProvider(self._registry, self.permissions, self.refusals, issue)

    # ---------------------------------------------------------------------------------------------- facts

    def metrics(self) -> dict[str, Metrics]:
        """By rule, since this process started."""
        return self.rules.metrics()

    @property
    def rules_not_found(self) -> int:
        """Basic Ingest for rules that were not there."""
        return self._intake.not_found


class BrokerMessages:
    """The broker as the ``iot-data`` API sees it."""

    def __init__(self, broker: OnceBroker, dispatch: Callable[[Publication], Awaitable[None]]) -> None:
        self._broker = broker
        self._dispatch = dispatch

    async def publish(self, publication: Publication) -> None:
        await self._dispatch(publication)

    async def retained(self, topic: str) -> Retained | None:
        found = self._broker.retained(topic)
        return None if found is None else Retained(found, found.received_at)

    async def list_retained(self, after: str, limit: int) -> Sequence[Retained]:
        found = sorted(self._broker.list_retained(), key=lambda publication: publication.topic)
        return [Retained(one, one.received_at) for one in found if one.topic > after][:limit]
