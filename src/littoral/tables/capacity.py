"""Consumed capacity: counted as DynamoDB counts; nothing is throttled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from littoral.tables import entries
from littoral.tables.table import SecondaryIndex, Table
from littoral.tables.writing import Written

READ_UNIT, WRITE_UNIT = 4096, 1024


def read_units(size: int, *, consistent: bool, transactional: bool = False) -> float:
    """A read of nothing counts as the smallest."""
    units = max(1, -(-size // READ_UNIT))
    return units * (2.0 if transactional else 1.0 if consistent else 0.5)


def write_units(size: int, *, transactional: bool = False) -> float:
    return max(1, -(-size // WRITE_UNIT)) * (2.0 if transactional else 1.0)


def written(kind: str | None, done: Iterable[Written], *, transactional: bool = False) -> dict[str, Any] | None:
    """ConsumedCapacity of writes to one table; None where it was not asked for."""
    if kind not in {"INDEXES", "TOTAL"}:
        return None
    writes = list(done)
    table = writes[0].table
    own = sum(write_units(each.size, transactional=transactional) for each in writes)
    indexes = {index.name: sum(_entry_units(index, each) for each in writes) for index in table.indexes}
    return shown(kind, table, own, {name: units for name, units in indexes.items() if units})


def _entry_units(index: SecondaryIndex, done: Written) -> float:
    """One for each entry that was written or taken out."""
    before, after = entries.key_in(index, done.old), entries.key_in(index, done.new)
    if before == after:
        return 0.0 if done.old == done.new or before is None else 1.0
    return float((before is not None) + (after is not None))


def shown(kind: str | None, table: Table, own: float, indexes: dict[str, float] | None = None) -> dict[str, Any] | None:
    """ConsumedCapacity; None where it was not asked for."""
    if kind not in {"INDEXES", "TOTAL"}:
        return None
    indexes = indexes or {}
    found: dict[str, Any] = {"TableName": table.name, "CapacityUnits": own + sum(indexes.values())}
    if kind == "INDEXES":
        found["Table"] = {"CapacityUnits": own}
        for member, local in (("GlobalSecondaryIndexes", False), ("LocalSecondaryIndexes", True)):
            of_kind = {
                index.name: {"CapacityUnits": indexes[index.name]}
                for index in table.indexes
                if index.local is local and index.name in indexes
            }
            if of_kind:
                found[member] = of_kind
    return found
