"""The fleet index: a document for every thing and thing group, held against a query.

Theory: the registry is in memory already, so the index copies nothing of it: a document is put together when it is
looked at. What is not in memory is added as the configuration says: shadows, read once and then followed, and who is
connected, as presence events tell it (since it was asked for, or the restart). A search looks at every thing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from littoral.protocols.fleetquery import Query
from littoral.things.message import Publication
from littoral.things.registry import Registry, Thing, ThingGroup
from littoral.things.shadows import Shadows

Json = dict[str, Any]

THINGS: Final = "AWS_Things"
GROUPS: Final = "AWS_ThingGroups"
PRESENCE: Final = "$aws/events/presence/+/+"
SETTING: Final = "indexing"
SLICE: Final = 100  # documents looked at in one turn of the loop: about a millisecond
OFF: Final[Json] = {
    "thingIndexingConfiguration": {"thingIndexingMode": "OFF"},
    "thingGroupIndexingConfiguration": {"thingGroupIndexingMode": "OFF"},
}


class Closable(Protocol):
    def close(self) -> None: ...


Follow = Callable[[Callable[[Publication], None]], tuple[Closable, Iterable[str]]]


class Index:
    """``configuration`` is AWS's: thingIndexingConfiguration and thingGroupIndexingConfiguration. ``on_change`` is told
    of a thing whose shadow or connection changed; the registry tells of the rest itself. ``follow`` has presence events
    come from now on, until what it gave is closed, and says who is connected now."""

    def __init__(self, registry: Registry, shadows: Shadows, follow: Follow) -> None:
        self._follow = follow
        self._following: Closable | None = None
        self.configuration: Json = OFF
        self.on_change: Callable[[str], None] = lambda thing: None
        self._registry = registry
        self._shadows = shadows
        self._documents: dict[str, dict[str, Json]] = {}  # of shadows, by thing and name
        self._connections: dict[str, Json] = {}

    async def open(self) -> None:
        self._shadows.on_shadow_changed(self._shadow_changed)
        kept = await self._registry.settings.get(SETTING)
        await self.configure(OFF if kept is None else kept)

    async def configure(self, configuration: Json) -> None:
        """From now on; what is indexed anew is there on return."""
        before, self.configuration = self._wants_shadows(), configuration
        self._follow_connections()
        if self._wants_shadows() == before:
            return
        self._documents.clear()
        if self._wants_shadows():
            async for thing, name, document in self._shadows.every():
                self._documents.setdefault(thing, {}).setdefault(name, document)

    def _follow_connections(self) -> None:
        """Only while they are indexed: events that nobody hears are not made."""
        if self.connectivity and self._following is None:
            self._following, connected = self._follow(self.presence)
            self._connections = {client: {"connected": True} for client in connected}
        elif not self.connectivity and self._following is not None:
            self._following.close()
            self._following, self._connections = None, {}

    # -------------------------------------------------------------------------------------------- what is on

    @property
    def of_things(self) -> Json:
        found: Json = self.configuration["thingIndexingConfiguration"]
        return found

    def ready(self, index: str) -> bool:
        groups = self.configuration.get("thingGroupIndexingConfiguration", {})
        if index == GROUPS:
            return bool(groups.get("thingGroupIndexingMode") == "ON")
        return bool(self.of_things["thingIndexingMode"] != "OFF")

    def type_of(self, index: str, field: str) -> str | None:
        """Number, String or Boolean, where the field is a custom one."""
        groups = self.configuration.get("thingGroupIndexingConfiguration", {})
        custom = (groups if index == GROUPS else self.of_things).get("customFields", ())
        return next((one.get("type") for one in custom if one.get("name") == field), None)

    def _wants_shadows(self) -> bool:
        return self.of_things["thingIndexingMode"] == "REGISTRY_AND_SHADOW" or bool(self._named())

    def _named(self) -> frozenset[str]:
        if self.of_things.get("namedShadowIndexingMode") != "ON":
            return frozenset()
        return frozenset(self.of_things.get("filter", {}).get("namedShadowNames", ()))

    @property
    def connectivity(self) -> bool:
        return bool(self.of_things.get("thingConnectivityIndexingMode") == "STATUS")

    @property
    def schema(self) -> str:
        """As DescribeIndex names it."""
        if self._named():
            return "MULTI_INDEXING_MODE"
        mode = str(self.of_things["thingIndexingMode"])
        return f"{mode}_AND_CONNECTIVITY_STATUS" if self.connectivity else mode

    # -------------------------------------------------------------------------------------------- what is told

    def _shadow_changed(self, thing: str, name: str, document: Mapping[str, Any] | None) -> None:
        if self._wants_shadows():
            if document is None:
                self._documents.get(thing, {}).pop(name, None)
            else:
                self._documents.setdefault(thing, {})[name] = dict(document)
            self.on_change(thing)

    def presence(self, event: Publication) -> None:
        """A presence event; a thing's client id is its name."""
        told = json.loads(event.payload)
        connected = told["eventType"] == "connected"
        found: Json = {"connected": connected, "timestamp": told["timestamp"]}
        if not connected:
            found["disconnectReason"] = told.get("disconnectReason", "")
        self._connections[told["clientId"]] = found
        self.on_change(told["clientId"])

    # ----------------------------------------------------------------------------------------------- documents

    async def search(self, index: str, query: Query, after: str = "", limit: int | None = None) -> list[Json]:
        """The first ``limit`` documents of an index that match, in order of names greater than ``after``. Others have
        their turn in between."""
        found: list[Json] = []
        for turn, document in enumerate(self._documents_of(index, after), 1):
            if query.match(document):
                found.append(document)
                if len(found) == limit:
                    break
            if turn % SLICE == 0:
                await asyncio.sleep(0)
        return found

    def _documents_of(self, index: str, after: str) -> Iterator[Json]:
        if index == GROUPS:
            return (self._group(group) for _, group in self._registry.groups.items(after))
        return (self.document(thing) for _, thing in self._registry.things.items(after))

    def document(self, thing: Thing, *, static: bool = False) -> Json:
        """``static``: as if it were in no dynamic group, since that is what is to be found out."""
        groups = self._registry.members.of_holder(thing.name)
        if static:
            groups = [name for name in groups if (fact := self._registry.groups.get(name)) and fact.query is None]
        document: Json = {
            "thingName": thing.name,
            "thingId": thing.id,
            "thingGroupNames": groups,
            "attributes": thing.attributes,
            "registry": {"version": thing.version, "thingGroupNames": groups},
        }
        if thing.type_name:
            document["thingTypeName"] = document["registry"]["thingTypeName"] = thing.type_name
        shadow = self._shadow(thing.name)
        if shadow:
            document["shadow"] = shadow
        if self.connectivity:
            document["connectivity"] = self._connections.get(thing.name, {"connected": False})
        return document

    def _shadow(self, thing: str) -> Json:
        found = self._documents.get(thing, {})
        shadow: Json = {}
        if self.of_things["thingIndexingMode"] == "REGISTRY_AND_SHADOW" and "" in found:
            shadow = _indexed(found[""])
        names = {name: _indexed(document) for name, document in found.items() if name in self._named()}
        return {**shadow, "name": names} if names else shadow

    def _group(self, group: ThingGroup) -> Json:
        document: Json = {
            "thingGroupName": group.name,
            "thingGroupId": group.id,
            "attributes": group.attributes,
            "parentGroupNames": self._registry.ancestors(group.name),
        }
        return {**document, "thingGroupDescription": group.description} if group.description else document


def _indexed(document: Mapping[str, Any]) -> Json:
    state = document.get("state", {})
    parts = {name: state[name] for name in ("desired", "reported", "delta") if name in state}
    return {
        **parts,
        "metadata": document.get("metadata", {}),
        "hasDelta": bool(state.get("delta")),
        "version": document.get("version", 0),
    }
