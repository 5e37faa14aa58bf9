"""The registry: facts, attachments, and who hears of a change.

Owns: durability and the indexes. Knows no API error: the rules of each operation are in ``control/``, which changes
facts only while holding ``changing``, so that what it checked still holds when it writes.

A listener is told which certificates a change concerns, after the change is durable.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from littoral.store.contract import Records
from littoral.store.documents import Documents
from littoral.things.registry.attachments import Pairs
from littoral.things.registry.claims import Claim
from littoral.things.registry.facts import (
    BillingGroup,
    CaCertificate,
    Certificate,
    PolicyRecord,
    RoleAlias,
    Thing,
    ThingGroup,
    ThingType,
)
from littoral.things.table import Table

Json = dict[str, Any]
Listener = Callable[[frozenset[str]], None]


class Registry:
    def __init__(self, records: Records) -> None:
        self.things: Table[Thing] = Table(Documents(records, "thing/"), Thing.to_json, Thing.from_json)
        self.types: Table[ThingType] = Table(Documents(records, "type/"), ThingType.to_json, ThingType.from_json)
        self.certificates: Table[Certificate] = Table(
            Documents(records, "certificate/"), Certificate.to_json, Certificate.from_json
        )
        self.authorities: Table[CaCertificate] = Table(
            Documents(records, "authority/"), CaCertificate.to_json, CaCertificate.from_json
        )
        self.role_aliases: Table[RoleAlias] = Table(
            Documents(records, "rolealias/"), RoleAlias.to_json, RoleAlias.from_json
        )
        self.policies: Table[PolicyRecord] = Table(
            Documents(records, "policy/"), PolicyRecord.to_json, PolicyRecord.from_json
        )
        self.groups: Table[ThingGroup] = Table(Documents(records, "group/"), ThingGroup.to_json, ThingGroup.from_json)
        self.billing_groups: Table[BillingGroup] = Table(
            Documents(records, "billinggroup/"), BillingGroup.to_json, BillingGroup.from_json
        )
        self.claims: Table[Claim] = Table(Documents(records, "claim/"), Claim.to_json, Claim.from_json)
        self.principals = Pairs(Documents(records, "principal/"))  # certificate and thing
        self.exclusive = Pairs(Documents(records, "exclusive/"))  # of these pairs: no other thing of the certificate
        self.grants = Pairs(Documents(records, "grant/"))  # certificate and policy
        self.members = Pairs(Documents(records, "member/"))  # thing and group
        self.group_grants = Pairs(Documents(records, "groupgrant/"))  # group and policy
        self.billed = Pairs(Documents(records, "billed/"))  # thing and billing group
        self.settings = Documents(records, "registrysetting/")
        self.tags = Documents(records, "tag/")  # by ARN
        self.changing = asyncio.Lock()
        self._listeners: list[Listener] = []
        self._fleet_listeners: list[Callable[[str], None]] = []

    async def load(self) -> None:
        tables: tuple[Table[Any], ...] = (
            self.things,
            self.types,
            self.certificates,
            self.authorities,
            self.role_aliases,
            self.policies,
            self.groups,
            self.billing_groups,
            self.claims,
        )
        for table in tables:
            await table.load()
        for pairs in (self.principals, self.exclusive, self.grants, self.members, self.group_grants, self.billed):
            await pairs.load()

    def on_change(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def changed(self, certificates: Iterable[str]) -> None:
        """To be called after a change is durable."""
        concerned = frozenset(certificates)
        for listener in self._listeners:
            listener(concerned)

    def on_fleet_change(self, listener: Callable[[str], None]) -> None:
        """``listener(thing)``: a thing, or what groups it is in, has changed; "" is more than one of them."""
        self._fleet_listeners.append(listener)

    def fleet_changed(self, thing: str) -> None:
        """To be called after a change is durable."""
        for listener in self._fleet_listeners:
            listener(thing)

    def anchors(self) -> dict[str, str]:
        """By id, the PEM of every certificate that TLS is to trust beside the place's own authority: registered
        authorities, and certificates that were registered without theirs."""
        found = {authority.id: authority.pem for authority in self.authorities.values()}
        alone = {fact.id: fact.pem for fact in self.certificates.values() if fact.ca_id is None}
        return found | alone

    # ------------------------------------------------------------------------------------------- groups

    def ancestors(self, group: str) -> list[str]:
        """From its parent up to the root."""
        found: list[str] = []
        fact = self.groups.get(group)
        while fact is not None and fact.parent is not None and fact.parent not in found:
            found.append(fact.parent)
            fact = self.groups.get(fact.parent)
        return found

    def groups_of(self, thing: str) -> list[str]:
        """The groups that a thing is in, and all of theirs above."""
        found: dict[str, None] = {}
        for group in self.members.of_holder(thing):
            found.update(dict.fromkeys((group, *self.ancestors(group))))
        return list(found)

    def within(self, group: str) -> list[str]:
        """A group and all below it."""
        return [group, *(fact.name for fact in self.groups.values() if group in self.ancestors(fact.name))]

    def things_in(self, group: str, *, recursive: bool = True) -> list[str]:
        """In order of names."""
        found = {
            thing for each in (self.within(group) if recursive else [group]) for thing in self.members.of_name(each)
        }
        return sorted(found)

    def policies_of(self, certificate: str) -> list[str]:
        """Names of the policies of a certificate: its own, and those of the groups of the things it is attached to."""
        found = dict.fromkeys(self.grants.of_holder(certificate))
        for thing in self.principals.of_holder(certificate):
            for group in self.groups_of(thing):
                found.update(dict.fromkeys(self.group_grants.of_holder(group)))
        return list(found)

    def certificates_in(self, group: str) -> set[str]:
        """Whom a policy of this group concerns."""
        return {certificate for thing in self.things_in(group) for certificate in self.principals.of_name(thing)}

    def holders_of(self, policy: str) -> set[str]:
        """Certificates that have this policy, through a group or themselves."""
        found = set(self.grants.of_name(policy))
        for group in self.group_grants.of_name(policy):
            found |= self.certificates_in(group)
        return found

    def export(self) -> Json:
        """Everything a place below needs to admit the same devices. Holds no private key."""
        parts: Json = {
            "things": [thing.to_json() for thing in self.things.values()],
            "types": [kind.to_json() for kind in self.types.values()],
            "certificates": [certificate.to_json() for certificate in self.certificates.values()],
            "policies": [policy.to_json() for policy in self.policies.values()],
            "principals": self.principals.all(),
            "grants": self.grants.all(),
            "authorities": [authority.to_json() for authority in self.authorities.values()],
            "groups": [group.to_json() for group in self.groups.values()],
            "members": self.members.all(),
            "group_grants": self.group_grants.all(),
            "exclusive": self.exclusive.all(),
        }
        return {"revision": hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest(), **parts}
