"""Deletes items whose TTL attribute has passed, as writes of DynamoDB's own: their stream records say so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial

import apsw

from littoral.aws.service import ServiceError
from littoral.net.ongoing import Ongoing
from littoral.store.contract import StoreError
from littoral.tables import entries
from littoral.tables.index import Index, current
from littoral.tables.table import Table
from littoral.tables.writing import item_at, write

log = logging.getLogger(__name__)
TOGETHER = 100  # deletes in one transaction
AGAIN = 5.0  # seconds after a disk refused
LONGEST = 600.0  # seconds between two looks at the clock: it may be set


class Expiry(Ongoing):
    def __init__(self, index: Index, clock: Callable[[], float] = time.time) -> None:
        self._index = index
        self._clock = clock

    async def _work(self) -> None:
        while True:
            self._index.expiring.clear()
            try:
                await self.sweep()
                wait = self._until_next()
            except StoreError as error:
                log.warning("expired items cannot be deleted for now: %s", error)
                wait = AGAIN
            try:
                async with asyncio.timeout(wait):
                    await self._index.expiring.wait()
            except TimeoutError:
                continue

    def _until_next(self) -> float:
        rows = self._index.read("SELECT at FROM expiries ORDER BY at LIMIT 1")
        return min(LONGEST, max(0.05, rows[0][0] - self._clock())) if rows else LONGEST

    async def sweep(self) -> int:
        """Delete what is due; how many."""
        gone = 0
        while True:
            now = self._clock()
            by_id = {table.id: table for table in self._index.tables()}
            sql = "SELECT at, tab, hash, range FROM expiries WHERE at <= ? ORDER BY at LIMIT ?"
            due = self._index.read(sql, (int(now), TOGETHER))
            if not due:
                return gone
            tables = {number: by_id[number] for _, number, _, _ in due if number in by_id}
            await self._index.write(partial(_delete, due=due, tables=tables, now=now), *tables.values())
            gone += len(due)


def _delete(
    connection: apsw.Connection, *, due: list[tuple[int, int, bytes, bytes]], tables: dict[int, Table], now: float
) -> None:
    for at, number, hash_, range_ in due:
        connection.execute(
            "DELETE FROM expiries WHERE at = ? AND tab = ? AND hash = ? AND range = ?", (at, number, hash_, range_)
        )
        table = tables.get(number)
        if table is None:
            continue
        try:
            table = current(connection, table)
        except ServiceError:  # it was deleted meanwhile
            continue
        found, _ = item_at(connection, table, (hash_, range_))
        if entries.expiry(table, found) == at and at > now - entries.FIVE_YEARS:
            write(connection, table, (hash_, range_), lambda _: None, now, expired=True)
