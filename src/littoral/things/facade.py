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
from typing import Any

from littoral.aws.signedonly import Authenticate
from littoral.net.message import Handler
from littoral.net.pki import Authority
from littoral.protocols.mqtt.reasons import Reason
from littoral.store.documents import Documents
from littoral.things.answers import Answers
from littoral.things.asked import AskedFunctions
from littoral.things.authorizers import Authorizers, Renewing, Visitors
from littoral.things.broker import BrokerLimits, LocalSubscriber, NotStored
from littoral.things.broker.limits import ProfileName
from littoral.things.clients import PATH as CLIENTS
from littoral.things.clients import clients_handler
from littoral.things.connections import Connections
from littoral.things.control import Iot
from littoral.things.control.placejobs import PlaceJobs
from littoral.things.credentials import CredentialsProvider, Issue
from littoral.things.data import IotData
from littoral.things.domains import Domains
from littoral.things.duplicates import Duplicates, OnceBroker
from littoral.things.fleet import Fleet
from littoral.things.gatekeeper import Gatekeeper, Judge
from littoral.things.indexing.index import PRESENCE
from littoral.things.intake import Intake
from littoral.things.iotlogs import IotLogs, Levels, Observers
from littoral.things.jobs import IotJobsData
from littoral.things.message import Publication
from littoral.things.messages import BrokerMessages
from littoral.things.names import Names
from littoral.things.outside import Outside, Stores
from littoral.things.permissions import Permissions
from littoral.things.presence import Presence
from littoral.things.refusals import Refusals
from littoral.things.registry import Registry
from littoral.things.registry.snapshot import import_snapshot
from littoral.things.reserved import Reserved, Telemetry, dispatcher
from littoral.things.rules import Destinations, MetricData, Metrics, RuleEngine, Sinks
from littoral.things.shadows import Shadows
from littoral.things.trust import Trust

log = logging.getLogger(__name__)

BUCKET = "things"


class Things:
    """Use ``Things.open``."""

    iot: Iot
    iot_data: IotData
    iot_jobs_data: IotJobsData
    place_jobs: PlaceJobs
    broker: OnceBroker
    access: Gatekeeper
    permissions: Permissions
    refusals: Refusals
    shadows: Shadows
    rules: RuleEngine
    destinations: Destinations
    logs: IotLogs

    def __init__(
        self, store: Stores, registry: Registry, names: Names, outside: Outside, clock: Callable[[], float]
    ) -> None:
        self._records, self._streams = store.records(BUCKET), store.streams
        self._registry = registry
        self._names = names
        self._outside = outside
        self._clock = clock
        self._applied = Documents(self._records, "applied/")
        self._duplicates = Duplicates(self._streams)
        self._functions = AskedFunctions(outside.invoker, outside.permits)
        self.domains = Domains(self._records)
        self.authorizers = Authorizers(self._records, names, self._functions, self.domains)
        self._trust = Trust(registry, self.authorizers)
        self.metric_data = MetricData()

    @classmethod
    async def open(
        cls,
        store: Stores,
        *,
        region: str,
        account: str,
        authority: Authority,
        endpoint: Callable[[], str],
        outside: Outside | None = None,
        clock: Callable[[], float] = time.time,
        profile: ProfileName = "aws",
        limits: BrokerLimits | None = None,
    ) -> Things:
        """``authority`` signs devices' certificates; ``endpoint`` gives "host:port" of the device port. All state is in
        the store. Raises StoreError."""
        registry = Registry(store.records(BUCKET))
        await registry.load()
        self = cls(store, registry, Names(region, account), outside or Outside(), clock)
        self._make_broker(profile, limits)
        self._make_fleet()
        answers = self._make_rules()
        self._make_apis(authority, endpoint)
        told = self._outside
        answers.update(
            Answers(self.iot, self.shadows, self._names, clock, told.secrets, told.job_objects).table(),
        )
        await self._load()
        return self

    # ------------------------------------------------------------------------------------------ composing

    def _make_broker(self, profile: ProfileName, limits: BrokerLimits | None) -> None:
        self.permissions = Permissions(self._registry, self._names)
        self.refusals = Refusals(self.permissions, self._clock)
        self.access = Gatekeeper(self.permissions, self.refusals, self.authorizers, self._clock)
        self.broker = OnceBroker(
            access=self.access,
            streams=self._streams,
            records=self._records,
            clock=self._clock,
            limits=limits,
            profile=profile,
        )
        self.broker.duplicates = self._duplicates
        self.logs = IotLogs(Levels(self._registry), self._names, self._clock, self._outside.logs)
        self._observers = Observers(self.logs, self.broker)
        self.refusals.on_refused = self._observers.note_refusal
        self.presence = Presence(self.broker, self._clock)
        self.presence.on_event = self._observers.note_presence
        self.presence.open()
        self.broker.on_due = Renewing(self.authorizers, self.broker, self.access, self.access.refused).due
        self.authorizers.on_change = self._trust.renew
        self._registry.on_change(self._registry_changed)

    def _make_fleet(self) -> None:
        self.shadows = Shadows(
            Documents(self._records, "shadow/"), self._tell_all, self._clock, self.broker.router.heard
        )
        self.shadows.on_answered(self._observers.note_shadow)
        self._fleet = fleet = Fleet(
            self._records,
            self._registry,
            self._names,
            self._tell,
            self.shadows,
            self._follow_presence,
            self._clock,
            self._functions,
            objects=self._outside.job_objects,
        )
        self.access.on_stranger = lambda client: fleet.stranger(client, self.broker.spawn)

    def _make_rules(self) -> dict[str, Callable[..., Awaitable[Any]]]:
        """The table of what answers external functions, to be filled when the API is there."""
        names, outside, permits = self._names, self._outside, self._outside.permits
        asked = permits and (lambda function, rule: permits(function, names.arn("rule", rule)))
        self.destinations = Destinations(
            Documents(self._records, "destination/"),
            outside.web,
            lambda name: names.arn("ruledestination", name),
            self._clock,
        )
        answers: dict[str, Callable[..., Awaitable[Any]]] = {}
        sinks = Sinks(
            self._act,
            outside.invoker,
            outside.objects,
            asked,
            outside.data_streams,
            outside.logs,
            self.destinations,
            outside.tables,
            self.metric_data,
            answers,
            self._observers.note_rule,
        )
        self.rules = RuleEngine(Documents(self._records, "rule/"), self._streams, sinks, account=names.account)
        self._intake = Intake(self.broker, self.rules, names.account)
        fleet = self._fleet
        reserved = Reserved(
            self.shadows, self._intake, fleet.job_requests, fleet.provisioning_requests, self._reply, outside.telemetry
        )
        self._reserved = reserved
        self._dispatch = dispatcher(reserved, self.broker.publish)
        self.broker.reserved = reserved.of_client
        return answers

    def _make_apis(self, authority: Authority, endpoint: Callable[[], str]) -> None:
        self.iot = Iot(
            self._registry,
            self.rules,
            self.destinations,
            self._names,
            authority=authority,
            endpoint=endpoint,
            fleet=self._fleet,
            permissions=self.permissions,
            levels=self.logs.levels,
            authorizers=self.authorizers,
            domains=self.domains,
        )
        messages = BrokerMessages(self.broker, self._dispatch)
        connections = Connections(self.broker, self.presence, self.permissions)
        self.iot_data = IotData(messages, self.shadows, connections, self.permissions, self.refusals)
        self.place_jobs = PlaceJobs(self._fleet.jobs, self._fleet.progress, self._registry, self._names)
        self.iot_jobs_data = IotJobsData(self._fleet.jobs, self.iot_data.authorise)
        self.visitors = Visitors(self.authorizers, self.refusals, self._clock)

    async def _load(self) -> None:
        await self.domains.open()
        await self.authorizers.open()
        await self._duplicates.open()
        await self.destinations.open()
        await self.rules.open()
        await self._fleet.open()
        await self.logs.levels.open()
        self._intake.open()

    async def _tell(self, topic: str, payload: bytes) -> None:
        await self._reply("", topic, payload)

    def _tell_all(self, messages: Sequence[tuple[str, bytes]]) -> Awaitable[None] | None:
        batch = self.broker.tell(Publication(topic, payload, 1) for topic, payload in messages)
        return None if batch.empty else self._told(batch.settle(), messages[0][0])

    async def _reply(self, client_id: str, topic: str, payload: bytes) -> None:
        """To that client alone, where there is one."""
        await self._told(self.broker.publish(Publication(topic, payload, 1), only=client_id), topic)

    async def _told(self, telling: Awaitable[None], topic: str) -> None:
        try:
            await telling
        except NotStored as problem:  # the state itself is durable; who misses this finds it by a get
            log.warning("%s: not told to everybody: %s", topic, problem)

    async def _act(self, publication: Publication) -> None:
        await self._dispatch(publication)

    # ------------------------------------------------------------------------------------------ lifecycle

    async def start(self) -> None:
        """Bring sessions back and let rules run. To be awaited before the first connection. Raises StoreError."""
        await self.broker.start()
        self.rules.start()
        self._fleet.start()
        self.logs.start()

    async def close(self, grace: float = 0.0) -> None:
        """What is durable goes on at the next start."""
        await self._fleet.close()
        await self.broker.close(grace)
        await self.rules.close()
        await self.destinations.close()
        await self.logs.close()

    def _follow_presence(self, take: Callable[[Publication], None]) -> tuple[LocalSubscriber, list[str]]:
        return self.broker.subscribe(PRESENCE, take), [client.client_id for client in self.broker.clients()]

    # ------------------------------------------------------------------------------------------- registry

    def _registry_changed(self, certificates: Iterable[str]) -> None:
        """Live connections: those that may no longer connect are cut off, the others are asked anew per packet."""
        self._trust.renew()
        self.broker.refresh()
        concerned = set(certificates)
        lost = {
            client.principal
            for client in self.broker.clients()
            if client.principal in concerned and self.access.connect(client) is not None
        }
        for principal in lost:
            self.broker.disconnect(principal=principal, reason=Reason.NOT_AUTHORIZED)

    def judge_by(self, judge: Judge | None) -> None:
        """Let that decide what clients with certificates may do, instead of their IoT policies; None: these again."""
        self.access.judge = judge
        self._registry_changed(client.principal for client in self.broker.clients() if client.principal)

    def certified(self, certificate: str, thing: str) -> Mapping[str, str] | None:
        """The thing's attributes, where that certificate (its id) is active and attached to it."""
        known = self._registry.things.get(thing)
        if known is None or (certificate, thing) not in self._registry.principals:
            return None
        return known.attributes if self.permissions.active(certificate) else None

    def trust(self, tls: ssl.SSLContext, *, signers: bool = False) -> None:
        """Let this context of a device port take what the registry knows, now and later, and ``signers`` without a
        certificate (``Trust``)."""
        self._trust.add(tls, signers=signers)

    @property
    def anchors(self) -> str:
        """PEM of all that a context made for one of ``domains`` is to take beside the place's own authority, now."""
        return self._trust.anchors

    async def export_registry(self) -> dict[str, Any]:
        """Everything a core needs to admit the same devices, as JSON; named by ``revision``. No private keys."""
        return self._registry.export()

    async def import_registry(self, snapshot: Mapping[str, Any]) -> bool:
        """Make the registry equal to the snapshot; False when it already is. Raises BadSnapshot, StoreError."""
        return await import_snapshot(self._registry, snapshot, self._applied)

    def on_fleet_status(self, take: Telemetry) -> None:
        """Who takes what Greengrass cores tell of their components."""
        self._reserved.fleet_status = take

    def credentials(self, issue: Issue) -> CredentialsProvider:
        """For the device port, under ``credentials.PREFIX``."""
        return CredentialsProvider(self._registry, self.permissions, self.refusals, issue)

    def signed_routes(self, authenticate: Authenticate) -> dict[str, Handler]:
        """Path prefix → handler, for callers that ``authenticate`` knows: who is connected."""
        return {CLIENTS: clients_handler(self.broker, authenticate)}

    # ---------------------------------------------------------------------------------------------- facts

    def metrics(self) -> dict[str, Metrics]:
        """By rule, since this process started."""
        return self.rules.metrics()

    @property
    def rules_not_found(self) -> int:
        """Basic Ingest for rules that were not there."""
        return self._intake.not_found
