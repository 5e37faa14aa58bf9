"""What an item means to the secondary indexes and to its expiry: rows beside it, within its transaction."""

from __future__ import annotations

from decimal import Decimal

import apsw

from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.keys import EMPTY, LONGEST_HASH, LONGEST_RANGE, Key, check_value
from littoral.protocols.dynamodb.values import Item, kind
from littoral.tables.stored import load
from littoral.tables.table import SecondaryIndex, Table

FIVE_YEARS = 5 * 366 * 86400  # an item that expired longer ago is left alone (developer guide, "Time to Live")
LATEST = 2**62


def key_in(index: SecondaryIndex, item: Item | None) -> Key | None:
    """None where the item has not all of the index's key: then it is not in it."""
    if item is None or any(name not in item for name in index.schema.names):
        return None
    return index.schema.key(item)


def check(table: Table, item: Item) -> None:
    """An attribute that is an index's key is of its type, not empty and not too long. Raises Invalid."""
    for index in table.indexes:
        _check(index, item)


def _check(index: SecondaryIndex, item: Item) -> None:
    for attribute in index.schema.attributes:
        value = item.get(attribute.name)
        if value is None:
            continue
        if attribute.type not in value:
            raise Invalid(
                "One or more parameter values were invalid: Type mismatch for Index Key "
                f"{attribute.name} Expected: {attribute.type} Actual: {kind(value)} IndexName: {index.name}"
            )
        if not value[attribute.type]:
            raise Invalid(
                "One or more parameter values are not valid. A value specified for a secondary index key is not "
                "supported. The AttributeValue for a key attribute cannot contain an empty "
                f"{EMPTY[attribute.type]} value. IndexName: {index.name}, IndexKey: {attribute.name}"
            )
        check_value(attribute, value, longest=LONGEST_HASH if attribute is index.schema.hash else LONGEST_RANGE)


def expiry(table: Table, item: Item | None) -> int | None:
    """Unix seconds from which it is expired; None for never."""
    if table.ttl is None or item is None:
        return None
    text = item.get(table.ttl, {}).get("N")
    if text is None:
        return None
    at = Decimal(text)
    return int(at) if 0 < at < LATEST else None


def follow(connection: apsw.Connection, table: Table, key: Key, old: Item | None, new: Item | None) -> None:
    """Make the rows beside the item what the new one wants."""
    for index in table.indexes:
        before, after = key_in(index, old), key_in(index, new)
        if before != after:
            if before is not None:
                connection.execute(
                    "DELETE FROM entries WHERE idx = ? AND hash = ? AND range = ? AND bhash = ? AND brange = ?",
                    (index.id, *before, *key),
                )
            if after is not None:
                connection.execute("INSERT INTO entries VALUES(?, ?, ?, ?, ?)", (index.id, *after, *key))
    if table.ttl is not None:
        was, is_now = expiry(table, old), expiry(table, new)
        if was != is_now:
            _expire(connection, table, key, was, is_now)


def _expire(connection: apsw.Connection, table: Table, key: Key, was: int | None, is_now: int | None) -> None:
    if was is not None:
        connection.execute(
            "DELETE FROM expiries WHERE at = ? AND tab = ? AND hash = ? AND range = ?", (was, table.id, *key)
        )
    if is_now is not None:
        connection.execute("INSERT INTO expiries VALUES(?, ?, ?, ?)", (is_now, table.id, *key))


def backfill(connection: apsw.Connection, table: Table, index: SecondaryIndex) -> None:
    """Entries for the items that are there; one that could not be written with this index is left out, as in AWS."""
    for hash_, range_, stored in connection.execute("SELECT hash, range, item FROM items WHERE tab = ?", (table.id,)):
        item = load(stored)
        try:
            _check(index, item)
        except Invalid:
            continue
        key = key_in(index, item)
        if key is not None:
            connection.execute("INSERT INTO entries VALUES(?, ?, ?, ?, ?)", (index.id, *key, hash_, range_))


def clear(connection: apsw.Connection, index: SecondaryIndex) -> None:
    connection.execute("DELETE FROM entries WHERE idx = ?", (index.id,))


def fill_expiries(connection: apsw.Connection, table: Table) -> None:
    """For the items that are there, when the table gets its TTL attribute."""
    for hash_, range_, stored in connection.execute("SELECT hash, range, item FROM items WHERE tab = ?", (table.id,)):
        at = expiry(table, load(stored))
        if at is not None:
            connection.execute("INSERT INTO expiries VALUES(?, ?, ?, ?)", (at, table.id, hash_, range_))
