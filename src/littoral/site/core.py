"""A core: local broker, functions and objects, and the link to the place above. Offline is a normal state."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.x509.oid import NameOID

from littoral.aws.gateway import Gateway
from littoral.aws.wire.plan import plan_of
from littoral.core.clientdevices.detector import addresses
from littoral.core.link import Upstream
from littoral.core.nucleus.rooms import Bare
from littoral.core.operator import SOCKET, TOKEN, Operator
from littoral.core.runtime import Core, CoreSettings
from littoral.net.pki import write_private
from littoral.net.tls import client_context
from littoral.site.capabilities import CoreBroker, CoreFunctions
from littoral.site.clientdevices import CoreClients
from littoral.site.confining import ControlGroups
from littoral.site.console.core import PATH as PAGE
from littoral.site.console.core import CorePage
from littoral.site.fencing import fence_of
from littoral.site.foundation import lay
from littoral.site.listening import listen_api, listen_mqtt
from littoral.site.local import open_local
from littoral.site.logs import JsonForm
from littoral.site.metrics import Reading
from littoral.site.place import Misconfigured, Place
from littoral.site.readings import gateway_observer
from littoral.site.registry import RegistryCopy
from littoral.site.ruleweb import CONFIRM, confirmation_page
from littoral.site.sockets import listen_linked, shown_folder, socket_folder

log = logging.getLogger("littoral.site")


async def compose(place: Place) -> None:
    settings = place.settings
    above = upstream_of(place)
    base = await lay(place)
    sockets = socket_folder(settings.data_dir, "components")
    shown = shown_folder(sockets)
    local = await open_local(base, sockets=shown)
    functions, things = local.functions, local.things
    observer = gateway_observer(base.metrics)
    gateway = Gateway(
        local.services(),
        base.identity,
        region=settings.region,
        account=settings.account,
        routes=base.routes(),
        observe=observer,
        lazy=True,
    )
    for prefix, handler in (functions.routes() | functions.signed_routes(gateway.authenticate)).items():
        gateway.route(prefix, handler)
    gateway.host_route(functions.by_host(partial(gateway.authenticate, scopes=frozenset(("lambda",)))))
    gateway.unsigned_route(CONFIRM, confirmation_page(things))
    await things.start()
    await listen_api(base, gateway)
    await functions.start()
    await local.objects.start()
    await local.schedules.start()
    clients = CoreClients(things, base.authority, [*base.names(), *addresses()])
    core = await Core.open(
        CoreSettings(
            settings.name,
            above,
            settings.data_dir / "components",
            sockets / "ipc.socket",
            shown,
            settings.region,
            settings.role_alias,
            Bare if settings.insecure_no_sandbox else fence_of(settings),
            confine=ControlGroups().confine,
            restart=place.restart,
            log_form=JsonForm(),
        ),
        base.store.records("core"),
        base.store.streams,
        CoreFunctions(functions, prepare_publish),
        CoreBroker(things.broker),
        things.shadows,
        clients,
    )
    base.metrics.add(core_readings(core))
    device_cas = [base.authority.certificate_pem]
    if settings.ca is not None:
        device_cas.append(settings.ca.read_bytes())
    await listen_mqtt(base, things, gateway, device_cas, clients.names)
    if settings.mqtt_tls_port is not None:
        clients.port = urlsplit(place.url("mqtt-tls")).port or clients.port
    registry = RegistryCopy(above, things, core.clients.verified)
    core.link.on_connected(registry.refresh)
    gateway.route(PAGE, CorePage(core.operator).handle)
    await core.start()
    place.part(core.close)
    await listen_operator(place, core.operator, sockets)
    registry.start()
    place.part(registry.close)


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


def upstream_of(place: Place) -> Upstream:
    """Where the place above is, and the certificate that this core shows it. Raises Misconfigured."""
    settings = place.settings
    if settings.upstream is None or settings.certificate is None or settings.private_key is None:
        raise Misconfigured("a core needs --upstream, --certificate and --private-key")
    parts = urlsplit(settings.upstream)
    try:
        pair = settings.certificate.read_bytes(), settings.private_key.read_bytes()
        ca = settings.ca.read_bytes() if settings.ca is not None else None
        tls = client_context(ca=ca, pair=pair)
    except (OSError, ssl.SSLError, ValueError) as problem:
        raise Misconfigured(f"the core's certificate, key or CA cannot be used: {problem}") from problem
    _check_pem(settings.certificate)
    return Upstream(parts.hostname or "", parts.port or 8883, tls, parts.hostname)


def _check_pem(file: Path) -> None:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except ValueError as problem:
        raise Misconfigured(f"{file} is not a certificate: {problem}") from problem
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    log.info("this core's certificate: %s", names[0].value if names else "without a common name")
