"""Functions and key-value stores as the control plane keeps them and an edge location fetches them.

The feed names each by the digest of its content (``named``); a location asks for the digests that it does not have
(``contents``), so that a store of megabytes travels only when it has changed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from littoral.edge.cffunctions.functions import Script, Store
from littoral.edge.control import Control
from littoral.edge.plan import items
from littoral.store.documents import Document

FUNCTIONS, STORES = "cloudFrontFunctions", "keyValueStores"  # in the feed: ARN or id → digest


def scripts_of(config: Document) -> Iterator[tuple[str, str]]:
    """ARN and event type of each function that a distribution's behaviours use."""
    for behaviour in [config["DefaultCacheBehavior"], *items(config, "CacheBehaviors")]:
        for each in items(behaviour, "FunctionAssociations"):
            yield each["FunctionARN"], each["EventType"]


def store_of(document: Document) -> Store:
    return Store(document["items"], document["created"], document["data_modified"])


def named(control: Control) -> dict[str, dict[str, str]]:
    """What locations must have: live functions, and the stores that they read."""
    found: dict[str, dict[str, str]] = {FUNCTIONS: {}, STORES: {}}
    for kind, name, content in _all(control):
        found[kind][name] = digest(content)
    return found


def content_of(control: Control, wanted: str) -> bytes | None:
    """The content of that digest; None where it is no longer what anything is."""
    return next((content for _, _, content in _all(control) if digest(content) == wanted), None)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _all(control: Control) -> Iterator[tuple[str, str, bytes]]:
    stores: set[str] = set()
    for document in control.all("function").values():
        live = document["LIVE"]
        if live is not None:
            ids = [each["KeyValueStoreARN"].rpartition("/")[2] for each in items(live["config"], _ASSOCIATIONS)]
            stores |= set(ids)
            code = base64.b64decode(live["code"]).decode()
            yield FUNCTIONS, document["arn"], _json([document["name"], code, live["config"]["Runtime"], ids])
    for identifier in sorted(stores):
        kept = control.get("key-value-store", identifier)
        if kept is not None:
            yield STORES, identifier, _json([kept["items"], kept["created"], kept["data_modified"]])


_ASSOCIATIONS = "KeyValueStoreAssociations"


def _json(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


def script_from(content: bytes) -> Script:
    name, code, runtime, stores = json.loads(content)
    return Script(name, code, runtime, tuple(stores))


def store_from(content: bytes) -> Store:
    kept: Mapping[str, str]
    kept, created, modified = json.loads(content)
    return Store(kept, created, modified)
