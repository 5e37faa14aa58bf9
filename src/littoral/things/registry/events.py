"""What the registry tells of its changes, whoever made them: an operation, a template, a query of a dynamic group.

===================================================================  ==========================================
``thing/T/{created,updated,deleted}``                                 THING
``thingType/Y/{created,updated,deleted}``                             THING_TYPE; deprecated is updated
``thingTypeAssociation/thing/T/thingType/Y/{added,removed}``          THING_TYPE_ASSOCIATION
``thingGroup/G/{created,updated,deleted}``                            THING_GROUP
``thingGroupHierarchy/thingGroup/P/childThingGroup/G/{added,removed}``  THING_GROUP_HIERARCHY
``thingGroupMembership/thingGroup/G/thing/T/{added,removed}``         THING_GROUP_MEMBERSHIP
===================================================================  ==========================================

Source: https://docs.aws.amazon.com/iot/latest/developerguide/registry-events.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from littoral.things.events import ASSOCIATION, GROUP, HIERARCHY, MEMBERSHIP, THING, TYPE, Events
from littoral.things.names import Names
from littoral.things.registry.facts import Thing, ThingGroup, ThingType
from littoral.things.registry.registry import Registry

Json = dict[str, Any]


class RegistryEvents:
    """Listens as long as the registry lives."""

    def __init__(self, registry: Registry, names: Names, events: Events, clock: Callable[[], float]) -> None:
        self._registry = registry
        self._names = names
        self._events = events
        self._clock = clock
        registry.things.on_change(self._thing)
        registry.types.on_change(self._type)
        registry.groups.on_change(self._group)
        registry.members.on_change(self._member)

    def _tell(self, kind: str, topic: str, operation: str, event: Mapping[str, Any]) -> None:
        whole = {
            "eventType": f"{kind}_EVENT",
            "eventId": str(uuid.uuid4()),
            "timestamp": int(self._clock() * 1000),
            "operation": operation.upper(),
            "accountId": self._names.account,
            **event,
        }
        self._events.tell_soon(f"{topic}/{operation}", whole)

    def _thing(self, before: Thing | None, after: Thing | None) -> None:
        thing = after or before
        assert thing is not None
        if self._events.on(THING):
            event = {
                "thingId": thing.id,
                "thingName": thing.name,
                "versionNumber": thing.version,
                "thingTypeName": thing.type_name,
                "attributes": thing.attributes,
            }
            self._tell(THING, f"thing/{thing.name}", _operation(before, after), event)
        had, has = (fact.type_name if fact is not None else None for fact in (before, after))
        if had != has and self._events.on(ASSOCIATION):
            for type_name, operation in ((had, "removed"), (has, "added")):
                if type_name is not None:
                    self._associated(thing, type_name, operation)

    def _associated(self, thing: Thing, type_name: str, operation: str) -> None:
        event = {"thingId": thing.id, "thingName": thing.name, "thingTypeName": type_name}
        topic = f"thingTypeAssociation/thing/{thing.name}/thingType/{type_name}"
        self._tell(ASSOCIATION, topic, operation, event)

    def _type(self, before: ThingType | None, after: ThingType | None) -> None:
        kind = after or before
        if kind is None or not self._events.on(TYPE):
            return
        event = {
            "thingTypeId": kind.id,
            "thingTypeName": kind.name,
            "isDeprecated": kind.deprecated is not None,
            "deprecationDate": None if kind.deprecated is None else int(kind.deprecated * 1000),
            "searchableAttributes": list(kind.searchable),
            "description": kind.description,
        }
        self._tell(TYPE, f"thingType/{kind.name}", _operation(before, after), event)

    def _group(self, before: ThingGroup | None, after: ThingGroup | None) -> None:
        group = after or before
        assert group is not None
        parent = self._registry.groups.get(group.parent) if group.parent is not None else None
        if self._events.on(GROUP):
            names = [] if parent is None else [parent.name, *self._registry.ancestors(parent.name)]
            above = [self._registry.groups.get(name) for name in reversed(names)]
            event = {
                "thingGroupId": group.id,
                "thingGroupName": group.name,
                "versionNumber": group.version,
                "parentGroupName": group.parent,
                "parentGroupId": parent and parent.id,
                "description": group.description,
                "rootToParentThingGroups": [
                    {"groupArn": self._arn(one), "groupId": one.id} for one in above if one is not None
                ],
                "attributes": group.attributes,
                "dynamicGroupMappingId": None,
            }
            self._tell(GROUP, f"thingGroup/{group.name}", _operation(before, after), event)
        if parent is not None and (before is None or after is None) and self._events.on(HIERARCHY):
            event = {
                "thingGroupId": parent.id,
                "thingGroupName": parent.name,
                "childGroupId": group.id,
                "childGroupName": group.name,
            }
            topic = f"thingGroupHierarchy/thingGroup/{parent.name}/childThingGroup/{group.name}"
            self._tell(HIERARCHY, topic, "added" if before is None else "removed", event)

    def _arn(self, group: ThingGroup) -> str:
        return self._names.arn("thinggroup", group.name)

    def _member(self, thing_name: str, group_name: str, added: bool) -> None:
        thing, group = self._registry.things.get(thing_name), self._registry.groups.get(group_name)
        if thing is None or group is None or not self._events.on(MEMBERSHIP):
            return
        event = {
            "groupArn": self._arn(group),
            "groupId": group.id,
            "thingArn": self._names.arn("thing", thing_name),
            "thingId": thing.id,
            "membershipId": str(uuid.uuid5(uuid.UUID(group.id), thing.id)),
        }
        topic = f"thingGroupMembership/thingGroup/{group_name}/thing/{thing_name}"
        self._tell(MEMBERSHIP, topic, "added" if added else "removed", event)


def _operation(before: object | None, after: object | None) -> str:
    if before is None:
        return "created"
    return "deleted" if after is None else "updated"
