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
from littoral.things.registry.facts import Certificate, PolicyRecord, Thing, ThingType
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
        self.policies: Table[PolicyRecord] = Table(
            Documents(records, "policy/"), PolicyRecord.to_json, PolicyRecord.from_json
        )
        self.principals = Pairs(Documents(records, "principal/"))  # certificate and thing
        self.grants = Pairs(Documents(records, "grant/"))  # certificate and policy
        self.changing = asyncio.Lock()
        self._listeners: list[Listener] = []

    async def load(self) -> None:
        for table in (self.things, self.types, self.certificates, self.policies):
            await table.load()
        for pairs in (self.principals, self.grants):
            await pairs.load()

    def on_change(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def changed(self, certificates: Iterable[str]) -> None:
        """To be called after a change is durable."""
        concerned = frozenset(certificates)
        for listener in self._listeners:
            listener(concerned)

    def export(self) -> Json:
        """Everything a place below needs to admit the same devices. Holds no private key."""
        parts: Json = {
            "things": [thing.to_json() for thing in self.things.values()],
            "types": [kind.to_json() for kind in self.types.values()],
            "certificates": [certificate.to_json() for certificate in self.certificates.values()],
            "policies": [policy.to_json() for policy in self.policies.values()],
            "principals": self.principals.all(),
            "grants": self.grants.all(),
        }
        return {"revision": hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest(), **parts}
