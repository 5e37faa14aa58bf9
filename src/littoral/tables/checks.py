"""Keys and items against a table's schema. Each raises Invalid."""

from __future__ import annotations

from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.keys import LONGEST_HASH, LONGEST_RANGE, Key, Schema, check_value
from littoral.protocols.dynamodb.values import Item, settle
from littoral.tables.table import SecondaryIndex, Table

NO_MATCH = "The provided key element does not match the schema"


def key(table: Table, given: Item) -> Key:
    """Of a Key parameter."""
    for value in given.values():
        settle(value)
    if set(given) != set(table.schema.names):
        raise Invalid(NO_MATCH)
    for attribute in table.schema.attributes:
        if attribute.type not in given[attribute.name]:
            raise Invalid(NO_MATCH)
    _check_sizes(table.schema, given)
    return table.schema.key(given)


def key_of_item(table: Table, item: Item) -> Key:
    for attribute in table.schema.attributes:
        if attribute.name not in item:
            raise Invalid(f"One or more parameter values were invalid: Missing the key {attribute.name} in the item")
    _check_sizes(table.schema, item)
    return table.schema.key(item)


def _check_sizes(schema: Schema, item: Item) -> None:
    check_value(schema.hash, item[schema.hash.name], longest=LONGEST_HASH)
    if schema.range is not None:
        check_value(schema.range, item[schema.range.name], longest=LONGEST_RANGE)


def start(table: Table, index: SecondaryIndex | None, given: Item) -> tuple[bytes, ...]:
    """The place that an ExclusiveStartKey names."""
    wrong = Invalid("The provided starting key is invalid: " + NO_MATCH)
    for value in given.values():
        settle(value)
    schemas = [table.schema] if index is None else [index.schema, table.schema]
    if set(given) != {name for schema in schemas for name in schema.names}:
        raise Invalid("The provided starting key is invalid")
    for schema in schemas:
        for attribute in schema.attributes:
            if not given[attribute.name].get(attribute.type):
                raise wrong
    return tuple(part for schema in schemas for part in schema.key(given))


def end(table: Table, index: SecondaryIndex | None, item: Item) -> Item:
    """LastEvaluatedKey: the key of the last item of a page."""
    own = table.schema.of(item)
    return own if index is None else {**index.schema.of(item), **own}
