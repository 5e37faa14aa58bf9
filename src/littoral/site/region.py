"""A region: every API, the control plane of the edge, the broker of things, and what cores are deployed from."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

from littoral.aws.gateway import Gateway
from littoral.aws.identity import Identity
from littoral.aws.service import Call
from littoral.aws.sessions import Credentials
from littoral.box.region import BoxJobs
from littoral.certificates import CertificateStore
from littoral.core.greengrass import Greengrass
from littoral.core.source import BLOCKS
from littoral.edge.cloudfront import CloudFront
from littoral.edge.control import Control
from littoral.edge.ddos.api import Shield
from littoral.edge.ddos.attacks import Attacks
from littoral.edge.feed import Feed, replicated
from littoral.edge.keyvalue import KeyValueStoreData
from littoral.edge.waf.api import Wafv2
from littoral.edge.waf.crs.groups import Groups
from littoral.edge.waf.crs.ruleset import NoRuleSet, Source
from littoral.edge.waf.reports import ReportFeed, Reports
from littoral.site import edge
from littoral.site.artifactblocks import blocks_handler
from littoral.site.boxcarrying import Carriers
from littoral.site.boxjobs import PATH as BOX_JOBS
from littoral.site.boxjobs import BoxBuckets, steps_handler
from littoral.site.capabilities.certificates import Distributions, ShownCertificates, secret_of_root
from littoral.site.capabilities.edge import EdgeFunctions, ImportedObjects
from littoral.site.capabilities.greengrass import (
    ComponentFunctions,
    ComponentObjects,
    DeploymentShadows,
    GroupDeployments,
)
from littoral.site.clientdevices import discovery
from littoral.site.firewalllogs import FirewallLogs
from littoral.site.foundation import Foundation, lay
from littoral.site.keys import PATH as KEYS
from littoral.site.keys import keys_handler
from littoral.site.listening import listen_api, listen_mqtt
from littoral.site.local import Local, open_local, open_secrets
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


async def _certificates(base: Foundation, control: Control) -> CertificateStore:
    settings = base.place.settings
    certificates = await CertificateStore.open(
        base.store.records("certificates"),
        base.store.seal(base.folder / "certificates.key"),
        base.authority,
        Distributions(control, settings.account),
        region=settings.region,
        account=settings.account,
    )
    certificates.start()
    base.place.part(certificates.close)
    return certificates


def _cloudfront(control: Control, local: Local, certificates: CertificateStore, account: str) -> CloudFront:
    cloudfront = CloudFront(control, account=account, functions=EdgeFunctions(local.functions))
    cloudfront.certificates = ShownCertificates(certificates)
    cloudfront.objects = ImportedObjects(local.objects)
    cloudfront.streams = local.streams
    return cloudfront


async def _boxes(base: Foundation, local: Local) -> BoxJobs:
    return await BoxJobs.open(
        base.store.records("box"),
        base.folder / "box.key",
        base.authority,
        BoxBuckets(local.objects, base.identity.root),
        base.identity.root.secret.encode(),
        region=base.place.settings.region,
        account=base.place.settings.account,
    )


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
    secrets = await open_secrets(base)
    local = await open_local(base, tables, secrets)
    boxes = await _boxes(base, local)
    models = await open_models(base, local.objects)
    functions, things = local.functions, local.things
    training = await open_training(base, local)
    control = await Control.open(base.store.records("edge-control"))
    place.quiet(control.close)
    functions.replicas(partial(replicated, control))
    greengrass = _greengrass(base, local)
    certificates = await _certificates(base, control)
    cloudfront = _cloudfront(control, local, certificates, account)
    destinations = FirewallLogs(local.objects, functions, local.streams, account)
    attacks = Attacks(control, account)
    reports = Reports(destinations, attacks=attacks)
    groups = managed_groups(place.settings.waf_rules)
    source = groups.source if groups is not None else None
    services: dict[str, object] = {
        **local.services(),
        "dynamodb": tables.api,
        "dynamodbstreams": tables.streams_api,
        "acm": certificates.api,
        "cloudfront": cloudfront,
        "cloudfront-keyvaluestore": KeyValueStoreData(control),
        "greengrassv2": greengrass,
        "secretsmanager": secrets.api,
        "sagemaker-runtime": models.runtime,  # before the next, which signs alike and is told by its target
        "sagemaker": (models.api, training.api),
        "snowball": boxes.api,
        "shield": Shield(control, attacks, account=account),
        "wafv2": Wafv2(
            control, account=account, region=region, reports=reports, destinations=destinations, groups=groups
        ),
    }
    observer = gateway_observer(base.metrics)
    gateway = Gateway(services, base.identity, region=region, account=account, routes=base.routes(), observe=observer)
    routes = functions.routes() | functions.signed_routes(gateway.authenticate)
    feed = Feed(
        control,
        gateway.authenticate,
        source.digest if source is not None else None,
        ShownCertificates(certificates),
        partial(secret_of_root, base.identity),
    )
    carriers = Carriers(boxes.steps, base.folder, region)
    routes |= {
        KEYS: keys_handler(base.identity, base.store.records("identity"), gateway.authenticate),
        TIER: tier_handler(local.objects.tier, gateway.authenticate),
        SCRUB: scrub_handler(local.objects.scrub, gateway.authenticate),
        BOX_JOBS: steps_handler(boxes.steps, carriers, gateway.authenticate),
        MACHINES: machines_handler(training.offers, gateway.authenticate),
    }
    routes |= boxes.links.routes()
    routes |= ReportFeed(reports, gateway.authenticate, source).routes()
    for prefix, handler in (routes | feed.routes()).items():
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


def managed_groups(folder: Path | None) -> Groups | None:
    """Of the Core Rule Set; None where it is not installed. Raises NoRuleSet for a named folder that holds none."""
    try:
        return Groups(Source.open(folder))
    except NoRuleSet:
        if folder is not None:
            raise
        return None


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
