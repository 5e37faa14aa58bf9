"""Things and thing types."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import exists, invalid, not_found, version_conflict
from littoral.things.names import THING_NAME
from littoral.things.registry import Thing, ThingType

MAX_ATTRIBUTES = 50
MAX_ATTRIBUTES_WITHOUT_TYPE = 3


class Things(Noun):
    @operation()
    async def create_thing(
        self,
        call: Call,
        *,
        thing_name: str,
        thing_type_name: str | None = None,
        attribute_payload: dict[str, Any] | None = None,
    ) -> Output:
        """Making a thing again with the same configuration succeeds; with another one it already exists."""
        if not THING_NAME.fullmatch(thing_name):
            raise invalid(f"Invalid thing name: {thing_name!r}")
        attributes = _attributes({}, attribute_payload)
        self._check_type(thing_type_name, attributes)
        async with self.registry.changing:
            found = self.registry.things.get(thing_name)
            if found is None:
                found = Thing(thing_name, str(uuid.uuid4()), thing_type_name, attributes)
                await self.registry.things.put(thing_name, found)
            elif (found.type_name, found.attributes) != (thing_type_name, attributes):
                message = f"Thing {thing_name} already exists in account with different attributes"
                raise exists(message, self.names.arn("thing", thing_name), thing_name)
        return {"thingName": found.name, "thingArn": self.names.arn("thing", found.name), "thingId": found.id}

    def _check_type(self, type_name: str | None, attributes: dict[str, str]) -> None:
        if type_name is None:
            if len(attributes) > MAX_ATTRIBUTES_WITHOUT_TYPE:
                raise invalid(f"A thing without a type has at most {MAX_ATTRIBUTES_WITHOUT_TYPE} attributes")
            return
        kind = self.registry.types.get(type_name)
        if kind is None:
            raise not_found(f"Thing type {type_name} cannot be found.")
        if kind.deprecated is not None:
            raise invalid(f"Thing type {type_name} is deprecated")

    @operation()
    async def describe_thing(self, call: Call, *, thing_name: str) -> Output:
        thing = self.thing(thing_name)
        described = {
            "defaultClientId": thing.name,
            "thingName": thing.name,
            "thingId": thing.id,
            "thingArn": self.names.arn("thing", thing.name),
            "attributes": thing.attributes,
            "version": thing.version,
        }
        return {**described, "thingTypeName": thing.type_name} if thing.type_name else described

    @operation()
    async def update_thing(
        self,
        call: Call,
        *,
        thing_name: str,
        thing_type_name: str | None = None,
        attribute_payload: dict[str, Any] | None = None,
        expected_version: int | None = None,
        remove_thing_type: bool = False,
    ) -> Output:
        if remove_thing_type and thing_type_name is not None:
            raise invalid("A thing type cannot be given and removed at once")
        async with self.registry.changing:
            thing = self.thing(thing_name)
            _check_version(thing, expected_version)
            attributes = (
                thing.attributes if attribute_payload is None else _attributes(thing.attributes, attribute_payload)
            )
            type_name = None if remove_thing_type else thing_type_name or thing.type_name
            if type_name != thing.type_name or len(attributes) > len(thing.attributes):
                self._check_type(type_name, attributes)
            changed = replace(thing, type_name=type_name, attributes=attributes, version=thing.version + 1)
            await self.registry.things.put(thing_name, changed)
        self.registry.changed(self.registry.principals.of_name(thing_name))
        return {}

    @operation()
    async def list_things(
        self,
        call: Call,
        *,
        next_token: str | None = None,
        max_results: int | None = None,
        attribute_name: str | None = None,
        attribute_value: str | None = None,
        thing_type_name: str | None = None,
        use_prefix_attribute_value: bool = False,
    ) -> Output:
        def wanted(thing: Thing) -> bool:
            if thing_type_name is not None and thing.type_name != thing_type_name:
                return False
            if attribute_name is None:
                return True
            value = thing.attributes.get(attribute_name)
            if value is None or attribute_value is None:
                return value is not None
            return value.startswith(attribute_value) if use_prefix_attribute_value else value == attribute_value

        if attribute_value is not None and attribute_name is None:
            raise invalid("attributeValue needs attributeName")
        rows = ((key, thing) for key, thing in self.registry.things.items(pages.after(next_token)) if wanted(thing))
        things, token = pages.page(rows, pages.size(max_results))
        return pages.with_token({"things": [self._listed_thing(thing) for thing in things]}, "nextToken", token)

    def _listed_thing(self, thing: Thing) -> Output:
        listed = {
            "thingName": thing.name,
            "thingArn": self.names.arn("thing", thing.name),
            "attributes": thing.attributes,
            "version": thing.version,
        }
        return {**listed, "thingTypeName": thing.type_name} if thing.type_name else listed

    @operation()
    async def delete_thing(self, call: Call, *, thing_name: str, expected_version: int | None = None) -> Output:
        """The shadow stays: "Deleting a thing object does not delete the corresponding device's shadow"."""
        async with self.registry.changing:
            thing = self.thing(thing_name)
            _check_version(thing, expected_version)
            if self.registry.principals.of_name(thing_name):
                raise invalid(f"Thing {thing_name} is still attached to one or more principals")
            await self.registry.things.delete(thing_name)
        return {}


class ThingTypes(Noun):
    @operation(notes="thingTypeProperties: mqtt5Configuration is refused")
    async def create_thing_type(
        self, call: Call, *, thing_type_name: str, thing_type_properties: dict[str, Any] | None = None
    ) -> Output:
        if not THING_NAME.fullmatch(thing_type_name):
            raise invalid(f"Invalid thing type name: {thing_type_name!r}")
        properties = thing_type_properties or {}
        unknown = set(properties) - {"thingTypeDescription", "searchableAttributes"}
        if unknown:
            raise invalid(f"thingTypeProperties.{min(unknown)} is not supported")
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
            )
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


def _check_version(thing: Thing, expected: int | None) -> None:
    if expected is not None and expected != thing.version:
        raise version_conflict(expected, thing.version)


def _attributes(old: dict[str, str], payload: dict[str, Any] | None) -> dict[str, str]:
    """With ``merge`` the given ones are added, and one with an empty value is removed; else they replace."""
    payload = payload or {}
    merged = {**(old if payload.get("merge") else {}), **payload.get("attributes", {})}
    attributes = {name: value for name, value in merged.items() if value != ""}
    if len(attributes) > MAX_ATTRIBUTES:
        raise invalid(f"A thing has at most {MAX_ATTRIBUTES} attributes")
    return attributes
