"""A box: locked, it has a control socket and nothing else; unlocked, a place of sealed stores composed as any other."""

from __future__ import annotations

import asyncio
import dataclasses
import fcntl
import logging
import os
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from littoral.aws.gateway import Gateway
from littoral.aws.identity import AccessKey, Identity
from littoral.box import memory, volume
from littoral.box.control import SOCKET, Control, Opened, Opening
from littoral.box.manifest import Manifest
from littoral.core.clientdevices.detector import addresses
from littoral.net.listen import listen_http
from littoral.net.pki import Authority
from littoral.net.tls import plain_server_context
from littoral.net.wide import PROTOCOLS
from littoral.objects.scrub import Scrub
from littoral.site.foundation import Foundation, function_environment, raise_open_files
from littoral.site.lifecycle import write_listeners
from littoral.site.listening import listen_mqtt
from littoral.site.local import open_keys, open_local, open_secrets
from littoral.site.metrics import Metrics
from littoral.site.models import open_models, route_inference
from littoral.site.place import Misconfigured, Place
from littoral.site.readings import gateway_observer
from littoral.site.scrubbing import asked
from littoral.site.sockets import leave_sockets, listen_linked, socket_folder
from littoral.site.tiering import PATH as TIER
from littoral.site.tiering import tier_handler
from littoral.site.webdav import WebDav
from littoral.store.embedded import EmbeddedStore
from littoral.store.key import StoreKey

log = logging.getLogger("littoral.site")


async def compose(place: Place) -> None:
    """Locked. What it held when it was unlocked went with the process that it was then."""
    settings = place.settings
    try:
        found = volume.load(settings.data_dir)
    except volume.NotOpened as problem:
        raise Misconfigured(str(problem)) from problem
    raise_open_files()
    place.part(_alone(found.folder))
    locked = memory.confine()
    control = Control(found, Opening(partial(unlock, place), place.restart), memory_locked=locked)
    sockets = socket_folder(settings.data_dir, "control")
    place.part(partial(leave_sockets, settings.data_dir, sockets))
    listener = await listen_linked(control.handle, sockets / SOCKET, settings.data_dir / SOCKET)
    place.part(partial(listener.close, 1.0))
    log.info("the box of %s is locked", found.job)


def _alone(folder: Path) -> Callable[[], Awaitable[None]]:
    """No second process runs this box, from now until what is returned is called: it would take the first one's socket
    and what that has in memory. Raises Misconfigured, OSError."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    async def let_go() -> None:
        os.close(held)

    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise Misconfigured(f"{folder} is in use by another littoral process") from None
    return let_go


async def unlock(place: Place, manifest: Manifest, key: StoreKey) -> Opened:
    """Start what the box serves. Raises NotOpened, StoreError, OSError; nothing is left then."""
    settings = dataclasses.replace(place.settings, region=manifest.region, account=manifest.account)
    scrubs: list[Scrub] = []
    within = Place(settings, partial(serve, manifest=manifest, key=key, scrubs=scrubs))
    try:
        await within.start()
    except Misconfigured as problem:
        raise volume.NotOpened(str(problem)) from problem
    place.part(within.stop)
    place.quiet(partial(within.drain, settings.grace))
    listeners = dict(within.listeners())
    await asyncio.to_thread(write_listeners, listeners, settings.data_dir)
    log.info("the box of %s is unlocked", manifest.job)
    return Opened(listeners, partial(asked, scrubs[0]))


async def serve(place: Place, *, manifest: Manifest, key: StoreKey, scrubs: list[Scrub]) -> None:
    """The composition of an unlocked box; its scrub is added to ``scrubs``."""
    base = await lay_sealed(place, manifest, key)
    region, account = place.settings.region, place.settings.account
    keys = await open_keys(base)
    secrets = await open_secrets(base, keys)
    local = await open_local(base, secrets=secrets)
    local.objects.keep_keys_with(keys)
    models = await open_models(base, local.objects)
    functions, things = local.functions, local.things
    scrubs.append(local.objects.scrub)
    gateway = Gateway(
        {
            **local.services(),
            "kms": keys.api,
            "secretsmanager": secrets.api,
            "sagemaker-runtime": models.runtime,
            "sagemaker": models.api,
        },
        base.identity,
        region=region,
        account=account,
        routes=base.routes(),
        observe=gateway_observer(base.metrics),
    )
    gateway.route(TIER, tier_handler(local.objects.tier, gateway.authenticate))
    for prefix, handler in (functions.routes() | functions.signed_routes(gateway.authenticate)).items():
        gateway.route(prefix, handler)
    gateway.host_route(functions.by_host(partial(gateway.authenticate, scopes=frozenset(("lambda",)))))
    route_inference(gateway, models, base.identity)
    await things.start()
    names = [*base.names(), *addresses()]
    await listen_sealed(base, gateway, names)
    await functions.start()
    await local.objects.start()
    await local.schedules.start()
    await listen_mqtt(base, things, gateway, [base.authority.certificate_pem], names)


async def lay_sealed(place: Place, manifest: Manifest, key: StoreKey) -> Foundation:
    """As ``foundation.lay``, but that nothing lies in the clear: what must is in memory."""
    folder = place.settings.data_dir
    held = await asyncio.to_thread(memory.Runtime, folder)
    place.part(partial(asyncio.to_thread, held.remove))
    runtime = held.folder
    _temporary_files_in(runtime)
    store = await EmbeddedStore.open(folder / "store", key=key)
    place.part(store.close)
    root = AccessKey(manifest.access_key, manifest.secret_key)
    identity = await Identity.open(
        store.records("identity"), account=place.settings.account, verify=place.settings.auth, root=root
    )
    authority = Authority.of(manifest.authority_certificate.encode(), manifest.authority_key.encode())
    env = function_environment(identity, place.settings.region)
    return Foundation(place, folder, runtime, store, identity, authority, Metrics(), env)


def _temporary_files_in(runtime: Path) -> None:
    """Of the whole process, which is a box and nothing else: TLS keys pass through a file, for a moment."""
    folder = runtime / "tmp"
    folder.mkdir(mode=0o700)
    tempfile.tempdir = str(folder)


async def listen_sealed(base: Foundation, gateway: Gateway, names: list[str]) -> None:
    """Every AWS API over TLS, under a certificate of the job's authority; in the clear for what this machine runs."""
    settings, pair = base.place.settings, base.authority.issue_server(names).pair
    if settings.port is not None:
        tls = plain_server_context(pair)
        tls.set_alpn_protocols(PROTOCOLS)
        listener = await listen_http(gateway.handle, host=settings.host, port=settings.port, tls=tls)
        base.place.listening("api", "https", settings.host, listener)
    inside = await listen_http(gateway.handle, host="127.0.0.1", port=0)
    base.place.listening("inside", "http", "127.0.0.1", inside)
    base.function_env["AWS_ENDPOINT_URL"] = base.place.url("inside")
    if settings.webdav_port is not None:
        files = WebDav(
            settings.host,
            settings.webdav_port,
            pair,
            base.identity.root,
            base.place.url("inside"),
            settings.region,
            base.runtime / "webdav",
        )
        await files.start()
        base.place.listening("webdav", "https", settings.host, files)
