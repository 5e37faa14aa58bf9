"""Things."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

from littoral.aws.service import Call, Output, operation
from littoral.things.control import pages
from littoral.things.control.base import Noun
from littoral.things.control.errors import exists, invalid, not_found, version_conflict
from littoral.things.names import THING_NAME
from littoral.things.registry import Thing

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
        billing_group_name: str | None = None,
    ) -> Output:
        """Making a thing again with the same configuration succeeds; with another one it already exists."""
        if not THING_NAME.fullmatch(thing_name):
            raise invalid(f"Invalid thing name: {thing_name!r}")
        attributes = merged_attributes({}, attribute_payload)
        self._check_type(thing_type_name, attributes)
        async with self.registry.changing:
            if billing_group_name is not None and billing_group_name not in self.registry.billing_groups:
                raise not_found(f"Billing group {billing_group_name} cannot be found.")
            found = self.registry.things.get(thing_name)
            if found is None:
                found = Thing(thing_name, str(uuid.uuid4()), thing_type_name, attributes)
                if billing_group_name is not None:  # first: a name without its thing is found nowhere
                    await self.registry.billed.add(thing_name, billing_group_name)
                await self.registry.things.put(thing_name, found)
            elif (found.type_name, found.attributes) != (thing_type_name, attributes):
                message = f"Thing {thing_name} already exists in account with different attributes"
                raise exists(message, self.names.arn("thing", thing_name), thing_name)
        self.registry.fleet_changed(thing_name)
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
        described: Output = {
            "defaultClientId": thing.name,
            "thingName": thing.name,
            "thingId": thing.id,
            "thingArn": self.names.arn("thing", thing.name),
            "attributes": thing.attributes,
            "version": thing.version,
        }
        if thing.type_name:
            described["thingTypeName"] = thing.type_name
        for group in self.registry.billed.of_holder(thing_name):
            described["billingGroupName"] = group
        return described

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
                thing.attributes
                if attribute_payload is None
                else merged_attributes(thing.attributes, attribute_payload)
            )
            type_name = None if remove_thing_type else thing_type_name or thing.type_name
            if type_name != thing.type_name or len(attributes) > len(thing.attributes):
                self._check_type(type_name, attributes)
            changed = replace(thing, type_name=type_name, attributes=attributes, version=thing.version + 1)
            await self.registry.things.put(thing_name, changed)
        self.registry.changed(self.registry.principals.of_name(thing_name))
        self.registry.fleet_changed(thing_name)
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
            for pairs in (self.registry.members, self.registry.billed):
                for group in pairs.of_holder(thing_name):
                    await pairs.remove(thing_name, group)
            await self.registry.things.delete(thing_name)
        self.registry.fleet_changed(thing_name)
        return {}


def _check_version(thing: Thing, expected: int | None) -> None:
    if expected is not None and expected != thing.version:
        raise version_conflict(expected, thing.version)


def merged_attributes(old: dict[str, str], payload: dict[str, Any] | None) -> dict[str, str]:
    """With ``merge`` the given ones are added, and one with an empty value is removed; else they replace."""
    payload = payload or {}
    merged = {**(old if payload.get("merge") else {}), **payload.get("attributes", {})}
    attributes = {name: value for name, value in merged.items() if value != ""}
    if len(attributes) > MAX_ATTRIBUTES:
        raise invalid(f"A thing has at most {MAX_ATTRIBUTES} attributes")
    return attributes
