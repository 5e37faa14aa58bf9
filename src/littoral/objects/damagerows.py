"""Rows of what is damaged, and of how far the scrub is."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from littoral.objects.bucketrows import BucketRows
from littoral.objects.errors import disk


class DamageRows(BucketRows):
    def damaged(self) -> list[str]:
        return [row[0] for row in self.read("SELECT name FROM damaged")]

    async def set_damaged(self, found: Iterable[str], whole: Iterable[str], now: float) -> None:
        def work(connection: apsw.Connection) -> None:
            connection.executemany("INSERT OR IGNORE INTO damaged VALUES(?, ?)", [(name, now) for name in found])
            connection.executemany("DELETE FROM damaged WHERE name = ?", [(name,) for name in whole])

        await self._write(work)

    def scrub_state(self) -> str | None:
        found = self.read("SELECT state FROM scrub")
        return found[0][0] if found else None

    async def set_scrub_state(self, state: str) -> None:
        def work(connection: apsw.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO scrub VALUES(1, ?)", (state,))

        await self._write(work)

    async def check_pages(self) -> str:
        """What is wrong with the index's own file; "" where all is well. Raises InternalError."""
        with disk():
            return await self._database.check_pages()

    def blob_names(self, after: str, limit: int) -> list[str]:
        """Of the blobs here that objects and parts consist of, in order."""
        sql = "SELECT blob FROM pieces WHERE blob > ?1 UNION SELECT blob FROM parts WHERE blob > ?1"
        sql = f"SELECT blob FROM ({sql}) WHERE blob NOT IN (SELECT blob FROM away) ORDER BY blob LIMIT ?2"
        return [row[0] for row in self.read(sql, (after, limit))]
