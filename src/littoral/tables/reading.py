"""Reads: items by their keys, and pages of items in the order of a table's or an index's key.

A page ends after ``limit`` items, or with the item that makes it 1 MB, before any filter is asked (developer guide,
"Paginating table query results"). A page is of one commit, though it is read in pieces: an item whose index key changes
meanwhile is in it once. Where nothing is found it may be that the table has just been removed: it is looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.keycondition import Span
from littoral.protocols.dynamodb.keys import Key
from littoral.protocols.dynamodb.projections import projection
from littoral.protocols.dynamodb.values import Item, item_size
from littoral.tables.index import Index
from littoral.tables.stored import load
from littoral.tables.table import SecondaryIndex, Table

PAGE = 1024 * 1024
FIRST_ROWS, MOST_ROWS = 16, 64  # read at once
OUTSIDE = "The provided starting key is outside query boundaries based on provided conditions"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to read: a span of one partition, or of all partitions, between two of their bytes."""

    table: Table
    index: SecondaryIndex | None = None
    span: Span | None = None
    partitions: tuple[bytes, bytes | None] = (b"", None)
    forward: bool = True
    after: tuple[bytes, ...] | None = None  # an item's place: hash and range, for an index the table's key after them
    limit: int | None = None
    whole: bool = False  # what a local index does not project, too


@dataclass(frozen=True, slots=True)
class Page:
    items: list[Item]  # for an index: what it has of them
    size: int  # bytes
    more: bool  # whether it ended before all was read


def item(index: Index, table: Table, key: Key) -> tuple[Item | None, int]:
    rows = index.read("SELECT item, size FROM items WHERE tab = ? AND hash = ? AND range = ?", (table.id, *key))
    if not rows:
        index.check_there(table)
        return None, 0
    return load(rows[0][0]), rows[0][1]


def items(index: Index, wanted: Sequence[tuple[Table, Key]]) -> list[tuple[Item | None, int]]:
    """Of one moment, all of them."""
    values = ", ".join("(?, ?, ?, ?)" for _ in wanted)
    params = [value for at, (table, key) in enumerate(wanted) for value in (at, table.id, *key)]
    rows = index.read(
        f"WITH wanted(n, t, h, r) AS (VALUES {values}) SELECT n, item, size FROM wanted CROSS JOIN items"
        " ON tab = t AND hash = h AND range = r",
        params,
    )
    found: list[tuple[Item | None, int]] = [(None, 0)] * len(wanted)
    for at, stored, size in rows:
        found[at] = load(stored), size
    lacking = {table.id: table for (table, _), (one, _) in zip(wanted, found, strict=True) if one is None}
    for table in lacking.values():
        index.check_there(table)
    return found


def page(index: Index, wanted: Wanted) -> Page:
    """Raises ResourceNotFoundException, Invalid where the table or its index has just been removed."""
    with index.moment():
        found = _page(index, wanted)
        if not found.items:
            index.check_there(wanted.table, wanted.index)
    return found


def _page(index: Index, wanted: Wanted) -> Page:
    found: list[Item] = []
    size, count = 0, FIRST_ROWS
    after = wanted.after
    project = None
    if wanted.index is not None and not wanted.whole:
        names = wanted.index.projected(wanted.table.schema)
        project = projection([(name,) for name in names]) if names is not None else None
    while True:
        left = count if wanted.limit is None else min(count, wanted.limit - len(found))
        rows = index.read(*_statement(wanted, after, left))
        for stored, stored_size, *place in rows:
            one = load(stored)
            if project is not None:
                one = project(one)
            found.append(one)
            size += stored_size if project is None else item_size(one)
            after = tuple(place)
            if size >= PAGE or len(found) == wanted.limit:
                return Page(found, size, True)
        if len(rows) < left:
            return Page(found, size, False)
        count = min(MOST_ROWS, count * 2)


def _statement(wanted: Wanted, after: tuple[bytes, ...] | None, limit: int) -> tuple[str, list[Any]]:
    params: list[Any]
    if wanted.index is None:
        places, source = ["hash", "range"], "items"
        where, params = ["tab = ?"], [wanted.table.id]
    else:
        places = ["e.hash", "e.range", "bhash", "brange"]
        source = "entries AS e CROSS JOIN items AS i ON i.tab = ? AND i.hash = bhash AND i.range = brange"
        where, params = ["idx = ?"], [wanted.table.id, wanted.index.id]
    hash_, range_ = places[:2]
    ordered = places
    if wanted.span is not None:
        ordered = places[1:]
        where.append(f"{hash_} = ?")
        params.append(wanted.span.partition)
        low, high = wanted.span.low, wanted.span.high
        if after is not None and wanted.forward:
            low = b""  # what comes after is within: SQLite is to seek by that
        elif after is not None:
            high = None
        _between(where, params, range_, low, high)
        after = after[1:] if after is not None else None
    elif after is None:
        _between(where, params, hash_, *wanted.partitions)
    else:
        _between(where, params, hash_, b"", wanted.partitions[1])
    if after is not None:
        sign = ">" if wanted.forward else "<"
        where.append(f"({', '.join(ordered)}) {sign} ({', '.join('?' for _ in ordered)})")
        params.extend(after)
    direction = "" if wanted.forward else " DESC"
    order = ", ".join(name + direction for name in ordered)
    params.append(limit)
    return (
        f"SELECT item, size, {', '.join(places)} FROM {source} WHERE {' AND '.join(where)} ORDER BY {order} LIMIT ?",
        params,
    )


def _between(where: list[str], params: list[Any], column: str, low: bytes, high: bytes | None) -> None:
    if low:
        where.append(f"{column} >= ?")
        params.append(low)
    if high is not None:
        where.append(f"{column} < ?")
        params.append(high)


def check_within(wanted: Wanted) -> None:
    """Raises Invalid where the start is outside of what is read."""
    if wanted.after is None:
        return
    if wanted.span is None:
        first, last = wanted.partitions
        if wanted.after[0] < first or (last is not None and wanted.after[0] >= last):
            raise Invalid(
                "The provided starting key is invalid: Invalid ExclusiveStartKey. "
                "Please use ExclusiveStartKey with correct Segment."
            )
        return
    low, high = wanted.span.low, wanted.span.high
    place = wanted.after[1]
    if wanted.after[0] != wanted.span.partition or place < low or (high is not None and place >= high):
        raise Invalid(OUTSIDE)
