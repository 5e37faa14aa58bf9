"""Thing types."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import exists, invalid, not_found
from littoral.things.control.tagging import TagList
from littoral.things.names import THING_NAME
from littoral.things.registry import ThingType
from littoral.things.registry.facts import CONNECTION_CLIENT, CONNECTION_THING, Propagating

MAX_PROPAGATING: Final = 20  # of a type


class ThingTypes(Noun):
    @operation()
    async def create_thing_type(
        self,
        call: Call,
        *,
        thing_type_name: str,
        thing_type_properties: dict[str, Any] | None = None,
        tags: TagList = (),
    ) -> Output:
        if not THING_NAME.fullmatch(thing_type_name):
            raise invalid(f"Invalid thing type name: {thing_type_name!r}")
        properties = thing_type_properties or {}
        propagating = _propagating(properties)
        async with self.registry.changing:
            arn = self.names.arn("thingtype", thing_type_name)
            if thing_type_name in self.registry.types:
                raise exists(f"Thing type {thing_type_name} already exists", arn, thing_type_name)
            kind = ThingType(
                thing_type_name,
                str(uuid.uuid4()),
                properties.get("thingTypeDescription", ""),
                tuple(properties.get("searchableAttributes", ())),
                call.now,
                propagating=propagating or (),
            )
            await self.tag_new(arn, call.now, tags)
            await self.registry.types.put(thing_type_name, kind)
        return {"thingTypeName": kind.name, "thingTypeArn": arn, "thingTypeId": kind.id}

    def _type(self, name: str) -> ThingType:
        found = self.registry.types.get(name)
        if found is None:
            raise not_found(f"Thing type {name} cannot be found.")
        return found

    def _shown(self, kind: ThingType) -> Output:
        metadata: Output = {"deprecated": kind.deprecated is not None, "creationDate": kind.created}
        if kind.deprecated is not None:
            metadata["deprecationDate"] = kind.deprecated
        properties: Output = {"searchableAttributes": list(kind.searchable)}
        if kind.description:
            properties["thingTypeDescription"] = kind.description
        if kind.propagating:
            attributes = [_shown_attribute(one) for one in kind.propagating]
            properties["mqtt5Configuration"] = {"propagatingAttributes": attributes}
        return {
            "thingTypeName": kind.name,
            "thingTypeArn": self.names.arn("thingtype", kind.name),
            "thingTypeProperties": properties,
            "thingTypeMetadata": metadata,
        }

    @operation()
    async def describe_thing_type(self, call: Call, *, thing_type_name: str) -> Output:
        kind = self._type(thing_type_name)
        return {**self._shown(kind), "thingTypeId": kind.id}

    @operation()
    async def list_thing_types(
        self,
        call: Call,
        *,
        next_token: str | None = None,
        max_results: int | None = None,
        thing_type_name: str | None = None,
    ) -> Output:
        rows = (
            (key, kind)
            for key, kind in self.registry.types.items(pages.after(next_token))
            if thing_type_name in (None, key)
        )
        kinds, token = pages.page(rows, pages.size(max_results))
        return pages.with_token({"thingTypes": [self._shown(kind) for kind in kinds]}, "nextToken", token)

    @operation()
    async def update_thing_type(
        self, call: Call, *, thing_type_name: str, thing_type_properties: dict[str, Any] | None = None
    ) -> Output:
        """What is not given stays as it is."""
        properties = thing_type_properties or {}
        propagating = _propagating(properties)
        async with self.registry.changing:
            kind = self._type(thing_type_name)
            changed = replace(
                kind,
                description=properties.get("thingTypeDescription", kind.description),
                searchable=tuple(properties.get("searchableAttributes", kind.searchable)),
                propagating=kind.propagating if propagating is None else propagating,
            )
            await self.registry.types.put(thing_type_name, changed)
        things = [thing.name for thing in self.registry.things.values() if thing.type_name == thing_type_name]
        self.registry.changed(one for name in things for one in self.registry.principals.of_name(name))
        return {}

    @operation()
    async def deprecate_thing_type(self, call: Call, *, thing_type_name: str, undo_deprecate: bool = False) -> Output:
        async with self.registry.changing:
            kind = self._type(thing_type_name)
            changed = replace(kind, deprecated=None if undo_deprecate else call.now)
            await self.registry.types.put(thing_type_name, changed)
        return {}

    @operation()
    async def delete_thing_type(self, call: Call, *, thing_type_name: str) -> Output:
        """AWS wants a type deprecated for five minutes first; here deprecated is enough, as nothing caches types."""
        async with self.registry.changing:
            kind = self._type(thing_type_name)
            if kind.deprecated is None:
                raise invalid(f"Cannot delete thing type {thing_type_name}: deprecate it first")
            if any(thing.type_name == thing_type_name for thing in self.registry.things.values()):
                raise invalid(f"Cannot delete thing type {thing_type_name}: things have it")
            await self.registry.types.delete(thing_type_name)
        return {}


def _propagating(properties: Mapping[str, Any]) -> tuple[Propagating, ...] | None:
    """None where they say nothing of it. Raises InvalidRequestException."""
    if "mqtt5Configuration" not in properties:
        return None
    given = properties["mqtt5Configuration"].get("propagatingAttributes", ())
    if len(given) > MAX_PROPAGATING:
        raise invalid(f"A thing type has at most {MAX_PROPAGATING} propagating attributes")
    found = tuple(
        Propagating(one.get("userPropertyKey", ""), one.get("thingAttribute"), one.get("connectionAttribute"))
        for one in given
    )
    for one in found:
        if not one.key or (one.attribute is None) == (one.connection is None):
            raise invalid(
                "A propagating attribute has a userPropertyKey and either thingAttribute or connectionAttribute"
            )
        if one.connection not in (None, CONNECTION_CLIENT, CONNECTION_THING):
            raise invalid(f"connectionAttribute must be {CONNECTION_CLIENT} or {CONNECTION_THING}")
    if len({one.key for one in found}) < len(found):
        raise invalid("Each propagating attribute has a userPropertyKey of its own")
    return found


def _shown_attribute(one: Propagating) -> Output:
    what = {"thingAttribute": one.attribute, "connectionAttribute": one.connection}
    return {"userPropertyKey": one.key, **{name: value for name, value in what.items() if value is not None}}
