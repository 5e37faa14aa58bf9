"""What a core does itself of AWS's public components: made here, played as deployments say (``public.Played``)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from littoral.core import secretmanager, tes
from littoral.core.clientdevices import detector, groups
from littoral.core.clientdevices.auth import ClientDeviceAuth
from littoral.core.clientdevices.certificates import BrokerCertificates
from littoral.core.clientdevices.ports import ClientPlace
from littoral.core.clientdevices.telling import Telling
from littoral.core.exchange import TokenExchange
from littoral.core.fleetstatus.service import FleetStatusService
from littoral.core.ipc.calls import Handler
from littoral.core.ipc.ports import LocalShadows
from littoral.core.lambdamanager import subscriptions
from littoral.core.lambdamanager.router import SubscriptionRouter
from littoral.core.link import Link
from littoral.core.logmanager import configuration as logmanager
from littoral.core.logmanager.speakers import Speakers
from littoral.core.logmanager.uploads import LogManager
from littoral.core.modelserver import settings as modelserver
from littoral.core.modelserver.component import ModelServer
from littoral.core.modelserver.ports import ModelPlace
from littoral.core.mqttsettings import NAME as NUCLEUS
from littoral.core.mqttsettings import MqttNucleus
from littoral.core.nucleus.nucleus import Nucleus
from littoral.core.nucleusparts import NucleusParts
from littoral.core.packages import PACKED
from littoral.core.ports import Broker, Functions
from littoral.core.public import Played
from littoral.core.routes import Routes
from littoral.core.settings import CoreSettings
from littoral.core.shadowmanager import settings as shadowmanager
from littoral.core.shadowmanager.above import ShadowsAbove
from littoral.core.shadowmanager.component import ShadowManager
from littoral.core.shadowmanager.pace import Pace
from littoral.core.spool import Spool
from littoral.core.streammanager import component as streammanager
from littoral.core.streammanager.exports import Destination, Exports
from littoral.core.streammanager.http import HttpServers
from littoral.core.streammanager.kinesis import Kinesis
from littoral.core.streammanager.s3 import S3Tasks
from littoral.core.streammanager.streams import MessageStreams
from littoral.core.telemetry.agent import TelemetryAgent
from littoral.core.upward import Upward
from littoral.net.client import HttpClient
from littoral.store.contract import Records, Streams
from littoral.store.documents import Documents


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What they need of their core."""

    settings: CoreSettings
    records: Records
    streams: Streams
    functions: Functions
    broker: Broker
    shadows: LocalShadows
    clients: ClientPlace
    models: Callable[[], ModelPlace]
    client: HttpClient
    link: Link
    spool: Spool
    nucleus: Nucleus
    routes: Routes
    fleet: FleetStatusService
    pace: Pace  # of components' requests of shadows


@dataclass(slots=True)
class Players:
    """By the component's name; and what components may ask of them over the IPC."""

    played: Mapping[str, Played]
    operations: Mapping[str, Handler]
    auth: ClientDeviceAuth
    secrets: secretmanager.SecretManager
    router: SubscriptionRouter
    upward: Upward
    models: ModelServer

    @classmethod
    def of(cls, core: Surroundings) -> Players:
        settings, nucleus = core.settings, core.nucleus
        exchange = TokenExchange(core.client, settings.upstream, settings.thing, settings.role_alias)
        upward = Upward(core.client, settings.upstream, exchange, settings.region)
        secrets = secretmanager.SecretManager(
            core.records, settings.folder / "secrets.key", upward, nucleus, lambda: core.link.stats.connected
        )
        core.link.on_connected(secrets.refresh)
        speakers = Speakers(core.nucleus.functions, core.functions)
        logs = LogManager(
            core.records, upward, settings.folder / "logs", settings.thing, settings.region, settings.log_form, speakers
        )
        core.link.on_connected(logs.connected)

        def states() -> list[str]:
            return [each.state for each in core.fleet.components()]

        telemetry = TelemetryAgent(settings.thing, nucleus, exchange, upward.publish, states)
        telling = Telling(settings.thing, core.client, settings.upstream)
        documents = Documents(core.records, "clientdevices/")
        certificates = BrokerCertificates(documents, core.clients, telling, core.link)
        auth = ClientDeviceAuth(core.clients, nucleus, telling, certificates, core.link, time.monotonic)
        router = SubscriptionRouter(nucleus.functions, core.routes, core.spool)
        models = ModelServer(settings.folder / PACKED, core.broker, core.models)
        return cls(
            {
                subscriptions.NAME: router,
                logmanager.NAME: logs,
                secretmanager.NAME: secrets,
                NUCLEUS: NucleusParts(MqttNucleus(core.spool, core.link), telemetry, core.fleet),
                groups.NAME: auth,
                detector.NAME: detector.IpDetector(telling, core.link, core.clients),
                streammanager.NAME: _stream_manager(core, upward),
                shadowmanager.NAME: ShadowManager(
                    settings.thing,
                    core.records,
                    core.shadows,
                    ShadowsAbove(core.client, settings.upstream),
                    core.link,
                    core.pace,
                ),
                modelserver.NAME: models,
                tes.NAME: tes.TokenExchangeService(
                    exchange, core.client, settings.upstream, nucleus.of_token, nucleus.environment
                ),
            },
            {**secrets.operations(), **telemetry.operations(), **auth.operations()},
            auth,
            secrets,
            router,
            upward,
            models,
        )


def _stream_manager(core: Surroundings, upward: Upward) -> Played:
    settings = core.settings
    streams = MessageStreams(core.records, core.streams)
    destinations: dict[str, Destination] = {
        "kinesis": Kinesis(upward, settings.thing),
        "http": HttpServers(core.client),
        "s3TaskExecutor": S3Tasks(upward, streams, settings.folder / "work", core.records),
    }
    exports = Exports(streams, destinations, settings.backoff)
    core.link.on_connected(exports.retry)
    return streammanager.StreamManager(streams, exports, core.nucleus.of_token)
