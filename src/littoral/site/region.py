"""A region: every API, the control plane of the edge, the broker of things, and what cores are deployed from."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

from littoral.aws.gateway import Gateway
from littoral.aws.identity import Identity
from littoral.aws.service import Call
from littoral.aws.sessions import Credentials
from littoral.aws.vault import Vault
from littoral.box.region import BoxJobs
from littoral.core.greengrass import Greengrass
from littoral.core.source import BLOCKS
from littoral.net.message import Handler
from littoral.site import edge
from littoral.site.artifactblocks import blocks_handler
from littoral.site.boxcarrying import Carriers
from littoral.site.boxjobs import PATH as BOX_JOBS
from littoral.site.boxjobs import BoxBuckets, steps_handler
from littoral.site.capabilities.greengrass import (
    ComponentFunctions,
    ComponentObjects,
    DeploymentShadows,
    GroupDeployments,
)
from littoral.site.clientdevices import discovery
from littoral.site.edgecontrol import EdgeControl
from littoral.site.foundation import Foundation, lay
from littoral.site.keys import PATH as KEYS
from littoral.site.keys import keys_handler
from littoral.site.listening import listen_api, listen_mqtt
from littoral.site.local import Local, open_keys, open_local, open_secrets
from littoral.site.models import open_models, route_inference
from littoral.site.place import Place
from littoral.site.readings import gateway_observer
from littoral.site.registry import CORE_DEVICES, REGISTRY, may, registry_handler, thing_groups_handler
from littoral.site.ruleweb import CONFIRM, confirmation_page
from littoral.site.scrubbing import PATH as SCRUB
from littoral.site.scrubbing import scrub_handler
from littoral.site.tiering import PATH as TIER
from littoral.site.tiering import tier_handler
from littoral.site.training import open_training
from littoral.site.traininghosts import MACHINES, machines_handler, offers_handler
from littoral.tables import TableStore
from littoral.things.credentials import PREFIX as ROLE_ALIASES
from littoral.things.facade import Things
from littoral.training import Training
from littoral.training.elsewhere.line import PATH as TRAINING_HOSTS


async def compose(place: Place) -> None:
    """A region without an edge location of its own."""
    await _region(place, with_edge=False)


async def compose_with_edge(place: Place) -> None:
    """``littoral up``: a region and an edge location in one process. The location uses the same feed as any other."""
    await _region(place, with_edge=True)


def _greengrass(base: Foundation, local: Local) -> Greengrass:
    """With its ears: what cores write into their shadows, and what they tell of their components."""
    functions, things = local.functions, local.things
    greengrass = Greengrass(
        base.store.records("greengrass"),
        DeploymentShadows(things),
        ComponentFunctions(functions),
        ComponentObjects(local.objects, base.identity.root),
        GroupDeployments(things),
        allows(things),
    )
    things.shadows.on_shadow_changed(greengrass.shadow_changed)
    things.on_fleet_status(greengrass.fleet_status)
    return greengrass


async def _boxes(base: Foundation, local: Local, vault: Vault) -> BoxJobs:
    return await BoxJobs.open(
        base.store.records("box"),
        base.folder / "box.key",
        base.authority,
        BoxBuckets(local.objects, base.identity.root),
        base.identity.root.secret.encode(),
        vault,
        region=base.place.settings.region,
        account=base.place.settings.account,
    )


def _operator_routes(base: Foundation, gateway: Gateway, local: Local, training: Training) -> dict[str, Handler]:
    """What ``littoral`` asks a region, beside AWS's APIs."""
    return {
        KEYS: keys_handler(base.identity, base.store.records("identity"), gateway.authenticate),
        TIER: tier_handler(local.objects.tier, gateway.authenticate),
        SCRUB: scrub_handler(local.objects.scrub, gateway.authenticate),
        MACHINES: machines_handler(training.offers, gateway.authenticate),
    }


def _device_routes(
    base: Foundation, gateway: Gateway, local: Local, greengrass: Greengrass, training: Training
) -> None:
    """What devices, cores and machines that train ask by their certificates."""
    functions, things = local.functions, local.things
    region, account = base.place.settings.region, base.place.settings.account
    gateway.device_route(REGISTRY, registry_handler(things))
    for prefix, handler in discovery(things, greengrass, region, account).items():
        gateway.device_route(prefix, handler)
    gateway.device_route(CORE_DEVICES, thing_groups_handler(things, f"arn:aws:greengrass:{region}:{account}"))
    gateway.device_route(TRAINING_HOSTS, offers_handler(things, training.offers))
    gateway.device_route(BLOCKS, blocks_handler(things, greengrass))
    gateway.device_route(ROLE_ALIASES, things.credentials(partial(assume, base.identity)).handle)
    for prefix, handler in functions.routes().items():
        gateway.device_route(prefix, handler)


async def _region(place: Place, *, with_edge: bool) -> None:
    base = await lay(place)
    region, account = place.settings.region, place.settings.account
    tables = await TableStore.open(base.folder / "tables", region=region, account=account)
    place.part(tables.close)
    keys = await open_keys(base)
    secrets = await open_secrets(base, keys)
    local = await open_local(base, tables, secrets)
    local.objects.keep_keys_with(keys)
    boxes = await _boxes(base, local, keys)
    models = await open_models(base, local.objects)
    functions, things = local.functions, local.things
    training = await open_training(base, local)
    edge_control = await EdgeControl.open(base, local)
    greengrass = _greengrass(base, local)
    services: dict[str, object] = {
        **local.services(),
        **edge_control.services(),
        "dynamodb": tables.api,
        "dynamodbstreams": tables.streams_api,
        "greengrassv2": greengrass,
        "kms": keys.api,
        "secretsmanager": secrets.api,
        "sagemaker-runtime": models.runtime,  # before the next, which signs alike and is told by its target
        "sagemaker": (models.api, training.api),
        "snowball": boxes.api,
    }
    observer = gateway_observer(base.metrics)
    gateway = Gateway(services, base.identity, region=region, account=account, routes=base.routes(), observe=observer)
    carriers = Carriers(boxes.steps, base.folder, region)
    routes = functions.routes() | functions.signed_routes(gateway.authenticate) | boxes.links.routes()
    routes |= edge_control.routes(gateway) | {BOX_JOBS: steps_handler(boxes.steps, carriers, gateway.authenticate)}
    for prefix, handler in (routes | _operator_routes(base, gateway, local, training)).items():
        gateway.route(prefix, handler)
    gateway.host_route(functions.by_host(partial(gateway.authenticate, scopes=frozenset(("lambda",)))))
    route_inference(gateway, models, base.identity)
    gateway.unsigned_route(CONFIRM, confirmation_page(things))
    _device_routes(base, gateway, local, greengrass, training)
    await things.start()
    await greengrass.start()
    place.part(greengrass.close)
    await listen_api(base, gateway)
    await functions.start()
    await local.objects.start()
    await local.schedules.start()
    tables.start()
    await training.begin()
    await listen_mqtt(base, things, gateway, [base.authority.certificate_pem], base.names())
    carriers.start(place)
    place.ready = True
    if with_edge:
        await edge.attach(base, functions, place.url("api"), base.identity.root)


def allows(things: Things) -> Any:
    """Whether the policies of a calling certificate allow an action (for Greengrass' data plane)."""

    def decide(call: Call, action: str, resource: str) -> bool:
        if call.principal.kind in ("key", "anonymous"):
            return True
        return may(things, call.principal.name, action, resource, call.request.peer.host)

    return decide


def assume(identity: Identity, role: str, session: str, seconds: int) -> Credentials:
    """Temporary credentials for a device, in the name of a role."""
    name = role.partition(":role/")[2].rpartition("/")[2]
    return identity.sessions.issue(
        f"arn:aws:sts::{identity.account}:assumed-role/{name}/{session}", seconds, time.time()
    )
