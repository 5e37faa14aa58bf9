"""A plan carried out: the thing, its certificate, its policies, and what ties them together.

Everything that the plan needs is looked at before anything is made, and the certificate becomes ACTIVE last: a place
that stops half way leaves a device that cannot connect and may be provisioned again, which comes to the same end.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from dataclasses import replace

from littoral.protocols.iotpolicy import Policy, PolicyError
from littoral.protocols.provisioning import CertificatePlan, Plan, PolicyPlan, ThingPlan
from littoral.things.names import POLICY_NAME, THING_NAME, Names
from littoral.things.registry import Certificate, PolicyRecord, Registry, Thing

MAX_ATTRIBUTES = 50


class NotProvisioned(Exception):
    """``code`` is as devices are told it: "InvalidParameters", "ResourceConflict", …"""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


async def carry_out(
    registry: Registry, names: Names, plan: Plan, certificate: Certificate, now: float
) -> dict[str, str]:
    """The ARNs of what there is now, by the template's logical names. Raises NotProvisioned, StoreError."""
    arns = {plan.certificate.logical: names.arn("cert", certificate.id)}
    async with registry.changing:
        status = _status(plan.certificate, registry.certificates.get(certificate.id) or certificate)
        policies = [(policy, _policy_of(registry, policy)) for policy in plan.policies]
        thing = None if plan.thing is None else _thing_of(registry, plan.thing)
        if plan.thing is not None and thing is not None:
            _check_exclusive(registry, certificate.id, thing.name)
            await _put_thing(registry, plan.thing, thing)
            await registry.principals.add(certificate.id, thing.name)
            arns[plan.thing.logical] = names.arn("thing", thing.name)
        for policy, name in policies:
            if name not in registry.policies:
                await registry.policies.put(name, PolicyRecord.made(name, policy.document or "", now))
            await registry.grants.add(certificate.id, name)
            arns[policy.logical] = names.arn("policy", name)
        changed = replace(certificate, status=status, modified=now, version=certificate.version + 1)
        await registry.certificates.put(certificate.id, changed)
    registry.changed([certificate.id])
    registry.fleet_changed(thing.name if thing is not None else "")
    return arns


def _check_exclusive(registry: Registry, certificate: str, thing: str) -> None:
    for other in registry.exclusive.of_holder(certificate):
        if other != thing:
            raise NotProvisioned("ResourceConflict", f"The certificate belongs to the thing {other} exclusively", 409)


def _status(plan: CertificatePlan, found: Certificate) -> str:
    """What is pending always becomes what the template says."""
    override = plan.overrides.get("Status", "REPLACE")
    if found.status == "PENDING_ACTIVATION" or override == "REPLACE" or found.status == plan.status:
        return plan.status
    if override == "FAIL":
        raise NotProvisioned("ResourceConflict", f"The certificate is {found.status}", 409)
    return found.status


def _policy_of(registry: Registry, plan: PolicyPlan) -> str:
    """Its name; a document's is its hash, so that the next device shares it."""
    if plan.name is not None:
        if plan.name not in registry.policies or not POLICY_NAME.fullmatch(plan.name):
            raise NotProvisioned("ResourceNotFound", f"There is no policy {plan.name}", 404)
        return plan.name
    document = plan.document or ""
    try:
        Policy.parse(document)
    except PolicyError as problem:
        raise NotProvisioned("InvalidParameters", f"The policy {plan.logical} is malformed: {problem}") from None
    return hashlib.sha256(document.encode()).hexdigest()


def _thing_of(registry: Registry, plan: ThingPlan) -> Thing:
    """What the thing becomes."""
    if not THING_NAME.fullmatch(plan.name):
        raise NotProvisioned("InvalidParameters", f"Invalid thing name: {plan.name!r}")
    kind = None if plan.type_name is None else registry.types.get(plan.type_name)
    if plan.type_name is not None and (kind is None or kind.deprecated is not None):
        raise NotProvisioned("ResourceNotFound", f"There is no thing type {plan.type_name} in use", 404)
    for group in plan.groups or ():
        found_group = registry.groups.get(group)
        if found_group is None or found_group.query is not None:
            raise NotProvisioned("ResourceNotFound", f"There is no static thing group {group}", 404)
    if plan.billing_group is not None and plan.billing_group not in registry.billing_groups:
        raise NotProvisioned("ResourceNotFound", f"There is no billing group {plan.billing_group}", 404)
    attributes = dict(plan.attributes or {})
    found = registry.things.get(plan.name)
    if found is None:
        made = Thing(plan.name, str(uuid.uuid4()), plan.type_name, attributes)
    else:
        made = _overridden(plan, found, attributes)
    if len(made.attributes) > MAX_ATTRIBUTES:
        raise NotProvisioned("InvalidParameters", f"A thing has at most {MAX_ATTRIBUTES} attributes")
    return made


def _overridden(plan: ThingPlan, found: Thing, attributes: dict[str, str]) -> Thing:
    """A thing that was there: by the template's override settings; without one it is left as it is."""
    changed = found
    if plan.attributes is not None and attributes != found.attributes:
        how = _how(plan, "AttributePayload", "attributes")
        merged = {"REPLACE": attributes, "MERGE": {**found.attributes, **attributes}}
        changed = replace(changed, attributes=merged.get(how, found.attributes))
    if plan.type_name not in (None, found.type_name) and _how(plan, "ThingTypeName", "type") in ("REPLACE", "MERGE"):
        changed = replace(changed, type_name=plan.type_name)
    return found if changed == found else replace(changed, version=found.version + 1)


def _how(plan: ThingPlan, name: str, what: str) -> str:
    found = plan.overrides.get(name, "DO_NOTHING")
    if found == "FAIL":
        raise NotProvisioned("ResourceConflict", f"The thing {plan.name} is there with other {what}", 409)
    return found


async def _put_thing(registry: Registry, plan: ThingPlan, thing: Thing) -> None:
    new = thing.name not in registry.things
    had = set(registry.members.of_holder(thing.name))
    wanted = set(plan.groups or ())
    how = "MERGE" if new else _how(plan, "ThingGroups", "groups") if plan.groups is not None and wanted != had else ""
    if registry.things.get(thing.name) != thing:
        await registry.things.put(thing.name, thing)
    if how == "REPLACE":
        await _leave(registry, thing.name, had - wanted)
    if how in ("REPLACE", "MERGE"):
        for group in sorted(wanted - had):
            await registry.members.add(thing.name, group)
    if plan.billing_group is not None and new:
        await registry.billed.add(thing.name, plan.billing_group)


async def _leave(registry: Registry, thing: str, groups: Iterable[str]) -> None:
    for group in groups:
        fact = registry.groups.get(group)
        if fact is not None and fact.query is None:
            await registry.members.remove(thing, group)
