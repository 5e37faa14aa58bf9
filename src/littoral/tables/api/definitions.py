"""What CreateTable and UpdateTable say a table and its indexes are, checked."""

from __future__ import annotations

from typing import Any

import apsw

from littoral.aws.service import ServiceError
from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.keys import Attribute, Schema
from littoral.tables.api.parts import NAME
from littoral.tables.table import SecondaryIndex, Throughput

WRONG = "One or more parameter values were invalid: "
PROJECTIONS = ("ALL", "KEYS_ONLY", "INCLUDE")
MOST_LOCAL, MOST_GLOBAL, MOST_INCLUDED = 5, 20, 100


class Definition:
    """Of a new table. Raises Invalid."""

    def __init__(
        self,
        attributes: list[dict[str, str]] | None,
        keys: list[dict[str, str]] | None,
        local: list[dict[str, Any]] | None,
        global_: list[dict[str, Any]] | None,
        billing: str | None,
        throughput: dict[str, int] | None,
    ) -> None:
        self.types = _types(attributes or [])
        self.schema = schema_of(keys or [], self.types)
        self.billing = _billing(billing, throughput)
        self.throughput = throughput_of(throughput)
        self.indexes = [*({**each, "Local": True} for each in local or []), *(global_ or [])]
        _check_counts(local, global_)
        self._check_indexes()
        self._check_used()

    def _check_indexes(self) -> None:
        names = [each["IndexName"] for each in self.indexes]
        for name in names:
            if names.count(name) > 1:
                raise Invalid(f"{WRONG}Duplicate index name: {name}")
        for each in self.indexes:
            if each.get("Local"):
                if self.schema.range is None:
                    raise Invalid(
                        f"{WRONG}Table KeySchema does not have a range key, "
                        "which is required when specifying a LocalSecondaryIndex"
                    )
                schema = schema_of(each["KeySchema"], self.types)
                if schema.hash != self.schema.hash:
                    raise Invalid(
                        f"{WRONG}Index KeySchema does not have the same leading hash key as table KeySchema for index: "
                        f"{each['IndexName']}. index hash key: {schema.hash.name}, "
                        f"table hash key: {self.schema.hash.name}"
                    )
                if schema.range is None:
                    raise Invalid(f"{WRONG}Index KeySchema does not have a range key for index: {each['IndexName']}")

    def _check_used(self) -> None:
        schemas = [self.schema, *(schema_of(each["KeySchema"], self.types) for each in self.indexes)]
        used = {name for schema in schemas for name in schema.names}
        if used != set(self.types):
            raise Invalid(
                f"{WRONG}Number of attributes in KeySchema does not exactly match number of attributes defined in "
                f"AttributeDefinitions: unused are {sorted(set(self.types) - used)}"
            )


def _check_counts(local: list[Any] | None, global_: list[Any] | None) -> None:
    for given, what, most in (
        (local, "LocalSecondaryIndex", MOST_LOCAL),
        (global_, "GlobalSecondaryIndex", MOST_GLOBAL),
    ):
        if given is not None and not given:
            raise Invalid(f"{WRONG}List of {what}es is empty")
        if len(given or []) > most:
            raise Invalid(f"{WRONG}{what} count exceeds the per-table limit of {most}")


def _types(attributes: list[dict[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in attributes:
        name, kind = each["AttributeName"], each["AttributeType"]
        if name in found:
            raise Invalid(f"{WRONG}Duplicate AttributeName in AttributeDefinitions: {name}")
        found[name] = kind
    return found


def schema_of(keys: list[dict[str, str]], types: dict[str, str]) -> Schema:
    """Raises Invalid."""
    if not 1 <= len(keys) <= 2:
        raise Invalid(
            f"1 validation error detected: 'keySchema' failed to satisfy constraint: 1 or 2 members, not {len(keys)}"
        )
    for each, wanted in zip(keys, ("HASH", "RANGE"), strict=False):
        if each["KeyType"] != wanted:
            which = "first" if wanted == "HASH" else "second"
            raise Invalid(f"Invalid KeySchema: The {which} KeySchemaElement is not a {wanted} key type")
    names = [each["AttributeName"] for each in keys]
    if len(set(names)) != len(names):
        raise Invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name")
    for name in names:
        if name not in types:
            raise Invalid(
                f"{WRONG}Some index key attributes are not defined in AttributeDefinitions. Keys: {names}, "
                f"AttributeDefinitions: {sorted(types)}"
            )
    found = [Attribute(name, types[name]) for name in names]
    return Schema(found[0], found[1] if len(found) > 1 else None)


def new_index(
    connection: apsw.Connection, table: int, given: dict[str, Any], types: dict[str, str], billing: str
) -> SecondaryIndex:
    """Raises Invalid."""
    name = given["IndexName"]
    if not NAME.fullmatch(name):
        raise Invalid(
            "Invalid table/index name.  Table/index names must be between 3 and 255 characters long, and may contain "
            f"only the characters a-z, A-Z, 0-9, '_', '-', and '.': {name[:300]}"
        )
    projection = given.get("Projection") or {}
    kind = projection.get("ProjectionType")
    included = projection.get("NonKeyAttributes")
    if kind not in PROJECTIONS:
        raise Invalid(f"{WRONG}Unknown ProjectionType: {kind}")
    if (kind == "INCLUDE") != bool(included):
        raise Invalid(
            f"{WRONG}ProjectionType is {kind}, but NonKeyAttributes is {'not ' if not included else ''}specified"
        )
    if len(included or []) > MOST_INCLUDED or len(set(included or [])) != len(included or []):
        raise Invalid(f"{WRONG}NonKeyAttributes has too many or duplicate members")
    check_unbounded(given)
    throughput = given.get("ProvisionedThroughput")
    if throughput is not None and billing == "PAY_PER_REQUEST":
        raise Invalid(
            f"{WRONG}ProvisionedThroughput should not be specified for index: {name} "
            "when BillingMode is PAY_PER_REQUEST"
        )
    schema = schema_of(given["KeySchema"], types)
    connection.execute("INSERT INTO indexes(tab) VALUES(?)", (table,))
    return SecondaryIndex(
        connection.last_insert_rowid(),
        name,
        schema,
        bool(given.get("Local")),
        kind,
        tuple(included or ()),
        throughput_of(throughput),
    )


def check_unbounded(index: dict[str, Any]) -> None:
    """As of a table, whose OnDemandThroughput the signature refuses: nothing here keeps to it. Raises ServiceError."""
    if index.get("OnDemandThroughput"):
        message = f"OnDemandThroughput of index {index['IndexName'][:255]} is not implemented here."
        raise ServiceError("NotImplemented", message, status=501)


def throughput_of(given: dict[str, int] | None) -> Throughput:
    """Raises Invalid."""
    if given is None:
        return Throughput()
    found = Throughput(given["ReadCapacityUnits"], given["WriteCapacityUnits"])
    if found.read < 1 or found.write < 1:
        raise Invalid(f"{WRONG}Read and write capacity units are at least 1")
    return found


def _billing(mode: str | None, throughput: dict[str, int] | None) -> str:
    if mode == "PAY_PER_REQUEST":
        if throughput is not None:
            raise Invalid(
                f"{WRONG}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified "
                "when BillingMode is PAY_PER_REQUEST"
            )
        return mode
    if throughput is None:
        raise Invalid(
            f"{WRONG}ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
        )
    return "PROVISIONED"


def stream_view(given: dict[str, Any] | None) -> str | None:
    """The view of a StreamSpecification; None where none is wanted. Raises Invalid."""
    if given is None:
        return None
    enabled, view = given["StreamEnabled"], given.get("StreamViewType")
    if not enabled:
        if view is not None:
            raise Invalid(f"{WRONG}StreamViewType is given, but StreamEnabled is false")
        return None
    if view is None:
        raise Invalid(f"{WRONG}StreamViewType is needed where StreamEnabled is true")
    return str(view)
