"""A core: local broker, functions and objects, and the link to the place above. Offline is a normal state."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from littoral.aws.gateway import Gateway
from littoral.aws.signedonly import Authenticate
from littoral.aws.wire.plan import plan_of
from littoral.core.clientdevices.detector import addresses
from littoral.core.link import Upstream
from littoral.core.modelserver.ports import ModelPlace
from littoral.core.nucleus.rooms import Bare
from littoral.core.operator import SOCKET, TOKEN, Operator
from littoral.core.runtime import Core
from littoral.core.settings import CoreSettings
from littoral.net.message import Request, Response
from littoral.net.pki import write_private
from littoral.site.basic import signed_or_basic
from littoral.site.capabilities.core import CoreBroker, CoreFunctions
from littoral.site.clientdevices import CoreClients
from littoral.site.confining import ControlGroups
from littoral.site.console.core import PATH as PAGE
from littoral.site.console.core import CorePage
from littoral.site.fencing import fence_of
from littoral.site.foundation import Foundation, lay
from littoral.site.listening import listen_api, listen_mqtt
from littoral.site.local import Local, open_local
from littoral.site.logs import JsonForm
from littoral.site.metrics import Reading
from littoral.site.place import Place
from littoral.site.readings import gateway_observer
from littoral.site.registry import RegistryCopy
from littoral.site.ruleweb import CONFIRM, confirmation_page
from littoral.site.scrubbing import PATH as SCRUB
from littoral.site.scrubbing import scrub_handler
from littoral.site.settings import Settings
from littoral.site.sockets import leave_sockets, listen_linked, shown_folder, socket_folder
from littoral.site.upstream import upstream_of

log = logging.getLogger("littoral.site")


async def compose(place: Place) -> None:
    settings = place.settings
    above = upstream_of(place)
    base = await lay(place)
    sockets = socket_folder(settings.data_dir, "components")
    place.part(partial(leave_sockets, settings.data_dir, sockets))
    shown = shown_folder(sockets)
    local = await open_local(base, sockets=shown)
    functions, things = local.functions, local.things
    gateway = _gateway(base, local)
    await things.start()
    await listen_api(base, gateway)
    await functions.start()
    await local.objects.start()
    await local.schedules.start()
    clients = CoreClients(things, base.authority, [*base.names(), *addresses()])
    core = await Core.open(
        _settings(place, above, sockets, shown),
        base.store.records("core"),
        base.store.streams,
        CoreFunctions(functions, prepare_publish),
        CoreBroker(things.broker),
        things.shadows,
        clients,
        partial(models_of, settings),
    )
    base.metrics.add(core_readings(core))
    device_cas = [base.authority.certificate_pem]
    if settings.ca is not None:
        device_cas.append(settings.ca.read_bytes())
    clients.shows = await listen_mqtt(base, things, gateway, device_cas, clients.names)
    if settings.mqtt_tls_port is not None:
        clients.port = urlsplit(place.url("mqtt-tls")).port or clients.port
    registry = RegistryCopy(above, things, core.clients.verified)
    if not above.apart:  # AWS hands out no copy of its registry
        core.link.on_connected(registry.refresh)
    ask_models = partial(inference_of, core, signed_or_basic(base.identity, gateway.authenticate))
    gateway.route("/v2/", ask_models)
    gateway.exact_route("/v2", ask_models)
    gateway.route(PAGE, CorePage(core.operator).handle)
    await core.start()
    place.part(core.close)
    await listen_operator(place, core.operator, sockets)
    if not above.apart:
        registry.start()
    place.part(registry.close)


def _gateway(base: Foundation, local: Local) -> Gateway:
    functions, settings = local.functions, base.place.settings
    gateway = Gateway(
        local.services(),
        base.identity,
        region=settings.region,
        account=settings.account,
        routes=base.routes(),
        observe=gateway_observer(base.metrics),
    )
    for prefix, handler in (functions.routes() | functions.signed_routes(gateway.authenticate)).items():
        gateway.route(prefix, handler)
    gateway.host_route(functions.by_host(partial(gateway.authenticate, scopes=frozenset(("lambda",)))))
    gateway.unsigned_route(CONFIRM, confirmation_page(local.things))
    gateway.route(SCRUB, scrub_handler(local.objects.scrub, gateway.authenticate))
    return gateway


def _settings(place: Place, above: Upstream, sockets: Path, shown: Path) -> CoreSettings:
    settings = place.settings
    return CoreSettings(
        settings.name,
        above,
        settings.data_dir / "components",
        sockets / "ipc.socket",
        shown,
        settings.region,
        settings.role_alias,
        Bare if settings.insecure_no_sandbox else fence_of(settings),
        confine=ControlGroups(settings.component_processes).confine,
        restart=place.restart,
        log_form=JsonForm(),
    )


def models_of(settings: Settings) -> ModelPlace:
    from littoral.site.coremodels import CoreModels  # a core without models does not have that in memory
    from littoral.site.modelroom import limits_of

    key, signed = settings.models_key or "", settings.models_signed
    return CoreModels(limits_of(settings), sandbox=not settings.insecure_no_sandbox, key=key, signed=signed)


async def inference_of(core: Core, authenticate: Authenticate, request: Request) -> Response:
    from littoral.site.coreinference import answered  # likewise: with the first that asks

    return await answered(core.models, authenticate, request)


def prepare_publish() -> None:
    """Load the model that a function's first publish needs, while it boots: at the call, on the loop, that held up
    everybody for 160 ms. A core without functions loads none."""
    asyncio.get_running_loop().run_in_executor(None, plan_of, "iot-data", "Publish")


async def listen_operator(place: Place, operator: Operator, sockets: Path) -> None:
    """For whoever runs this core, on its device. Where the socket is, a link in the data folder says."""
    token = place.settings.data_dir / TOKEN
    write_private(token, operator.token.encode())
    listener = await listen_linked(operator.handle, sockets / SOCKET, place.settings.data_dir / SOCKET)

    async def close() -> None:
        token.unlink(missing_ok=True)
        await listener.close(0.0)

    place.part(close)


def core_readings(core: Core) -> Callable[[], list[Reading]]:
    """What the link and the spool count."""

    def readings() -> list[Reading]:
        link = core.link
        return [
            Reading("littoral_link_connected", "Link upward", float(link.stats.connected)),
            Reading("littoral_link_sent_total", "Spooled messages acknowledged above", link.draining.sent),
            Reading("littoral_spool_dropped_total", "Spooled messages never sent", core.spool.dropped),
            Reading("littoral_spool_rejected_total", "Spooled messages set aside, refused above", core.spool.rejected),
            Reading("littoral_spool_set_aside", "Messages that are set aside now", float(len(core.spool.set_aside))),
            Reading("littoral_spool_denied_topics", "Topics denied above", float(len(link.draining.denials.denied))),
        ]

    return readings
