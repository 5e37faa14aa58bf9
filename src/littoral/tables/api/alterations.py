"""What UpdateTable makes of a table, within the transaction: its stream, one of its indexes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import apsw

from littoral.protocols.dynamodb.errors import Invalid
from littoral.tables import changes, entries
from littoral.tables.api.definitions import MOST_GLOBAL, check_unbounded, new_index, stream_view, throughput_of
from littoral.tables.errors import limit, no_such_index
from littoral.tables.table import Table


def label(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def with_stream(connection: apsw.Connection, table: Table, given: dict[str, Any], now: float) -> Table:
    view = stream_view(given)
    if view is not None and table.stream is not None:
        raise Invalid(f"Table already has an enabled stream: TableName: {table.name}")
    if view is None and table.stream is None:
        raise Invalid(f"Table has no stream to disable: TableName: {table.name}")
    if view is None:
        assert table.stream is not None
        ended = replace(table.stream, ended=now)
        kept = [each for each in table.streams if (each.ended or 0.0) > now - changes.DAY]
        return table.changed(stream=None, streams=(*kept, ended))
    return table.changed(stream=changes.begin(connection, table.uid, label(now), view, now))


def check_one_at_a_time(updates: list[dict[str, Any]]) -> None:
    """Raises LimitExceededException, as AWS does where indexes are made and deleted together."""
    if sum(bool({"Create", "Delete"} & set(each)) for each in updates) > 1:
        raise limit("Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table")


def with_index(connection: apsw.Connection, table: Table, given: dict[str, Any], types: dict[str, str]) -> Table:
    if len(given) != 1:
        raise Invalid(
            "One or more parameter values were invalid: each of GlobalSecondaryIndexUpdates has exactly one of Create, "
            "Update and Delete"
        )
    ((what, wanted),) = given.items()
    name = wanted["IndexName"]
    index = table.index(name)
    if what == "Create":
        if index is not None:
            raise Invalid(
                "One or more parameter values were invalid: Attempting to create an index which already exists: "
                f"the index {name} already exists"
            )
        for other, kind in types.items():
            if table.types.get(other, kind) != kind:
                raise Invalid(
                    "One or more parameter values were invalid: Attributes cannot be redefined. Please check that your "
                    f"attribute has the same type as previously defined: {other} is {table.types[other]}, not {kind}"
                )
        if sum(not each.local for each in table.indexes) >= MOST_GLOBAL:
            raise limit(f"A table has at most {MOST_GLOBAL} global secondary indexes")
        known = {**table.types, **types}
        made = new_index(connection, table.id, wanted, types, table.billing)  # what is known already is said again
        used = {n: known[n] for n in (*table.types, *made.schema.names)}
        entries.backfill(connection, table, made)
        return table.changed(indexes=(*table.indexes, made), types=used)
    if index is None or index.local:
        raise no_such_index(name)
    if what == "Update":
        check_unbounded(wanted)
        throughput = wanted.get("ProvisionedThroughput")
        changed = index if throughput is None else replace(index, throughput=throughput_of(throughput))
        return table.changed(indexes=tuple(changed if each is index else each for each in table.indexes))
    entries.clear(connection, index)
    left = tuple(each for each in table.indexes if each is not index)
    used_names = {*table.schema.names, *(n for each in left for n in each.schema.names)}
    return table.changed(indexes=left, types={n: kind for n, kind in table.types.items() if n in used_names})
