"""One write within a transaction: look at the table, read what is there, decide, write, follow with all beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import apsw

from littoral.protocols.dynamodb.errors import Invalid
from littoral.protocols.dynamodb.keys import Key
from littoral.protocols.dynamodb.values import LARGEST_ITEM, Item, item_size
from littoral.tables import changes, entries
from littoral.tables.index import current
from littoral.tables.stored import dump, load
from littoral.tables.table import Table

# what is there → what is to be there; None is nothing. Raises what refuses the write.
Decide = Callable[[Item | None], Item | None]


@dataclass(frozen=True, slots=True)
class Written:
    old: Item | None
    new: Item | None
    old_size: int
    new_size: int
    table: Table  # as it was at that moment

    @property
    def size(self) -> int:
        """What the write is counted by: the larger of both."""
        return max(self.old_size, self.new_size)


def write(
    connection: apsw.Connection, table: Table, key: Key, decide: Decide, now: float, *, expired: bool = False
) -> Written:
    """Raises ResourceNotFoundException, Invalid, and what ``decide`` raises."""
    table = current(connection, table)
    old, old_size = item_at(connection, table, key)
    new = decide(old)
    if new is None:
        if old is not None:
            connection.execute("DELETE FROM items WHERE tab = ? AND hash = ? AND range = ?", (table.id, *key))
        new_size = 0
    else:
        new_size = item_size(new)
        if new_size > LARGEST_ITEM:
            raise Invalid("Item size has exceeded the maximum allowed size")
        if new == old:
            return Written(old, new, old_size, new_size, table)
        if table.indexes:
            entries.check(table, new)
        connection.execute("INSERT OR REPLACE INTO items VALUES(?, ?, ?, ?, ?)", (table.id, *key, new_size, dump(new)))
    if old is None and new is None:
        return Written(None, None, 0, 0, table)
    if table.indexes or table.ttl is not None:
        entries.follow(connection, table, key, old, new)
    connection.execute(
        "UPDATE tables SET items = items + ?, bytes = bytes + ? WHERE id = ?",
        ((new is not None) - (old is not None), new_size - old_size, table.id),
    )
    if table.stream is not None:
        changes.append(connection, table, table.stream, old, new, now, expired=expired)
    return Written(old, new, old_size, new_size, table)


def item_at(connection: apsw.Connection, table: Table, key: Key) -> tuple[Item | None, int]:
    sql = "SELECT item, size FROM items WHERE tab = ? AND hash = ? AND range = ?"
    for stored, size in connection.execute(sql, (table.id, *key)):
        return load(stored), size
    return None, 0
