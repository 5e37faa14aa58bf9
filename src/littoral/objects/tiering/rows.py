"""Rows of blobs whose bytes are not here any more, and of when the others were last asked for.

A row of ``away`` says where a blob's bytes are: of that version above, from ``offset`` on. It is written before the
file goes and removed after the file has come back, so that at every moment the index names a place that has them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import apsw

from littoral.objects.replication.rows import COMPLETED, PENDING
from littoral.objects.steps import rows
from littoral.objects.uploadrows import UploadRows

HERE = "blob NOT IN (SELECT blob FROM away)"
OWNERS = "SELECT object FROM pieces WHERE blob = ?"
COLD = f"""
SELECT blob, max(pieces.size), ifnull((SELECT at FROM used WHERE used.blob = pieces.blob), max(modified)) AS last
FROM pieces JOIN (
    SELECT id, modified, replication FROM objects UNION ALL SELECT id, modified, replication FROM versions
) ON id = object WHERE {HERE} AND blob NOT IN (SELECT blob FROM parts)
GROUP BY blob HAVING min(ifnull(replication, '') = '{COMPLETED}') = 1 ORDER BY last
"""
STRANDED = f"""
SELECT DISTINCT away.blob FROM away JOIN pieces ON pieces.blob = away.blob JOIN (
    SELECT id, replication FROM objects UNION ALL SELECT id, replication FROM versions
) ON id = object WHERE ifnull(replication, '') NOT IN ('{COMPLETED}', '{PENDING}')
"""


@dataclass(frozen=True, slots=True)
class Away:
    """``sums`` are of its bytes as readers get them, a CRC-32C for each block; ``version`` and ``etag`` are those
    above."""

    blob: str
    size: int
    target: str
    key: str
    version: str
    etag: str
    offset: int
    sums: bytes


def above_by_target(file: Path) -> list[tuple[str, int, int]]:
    """(bucket elsewhere, blobs, bytes) that lie there only, by an index that no place has open: a copy's."""
    connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        found = rows(connection, "SELECT target, count(*), sum(size) FROM away GROUP BY target ORDER BY target", ())
        return [(target, blobs, size) for target, blobs, size in found]
    finally:
        connection.close()


class TierRows(UploadRows):
    def away(self, blob: str) -> Away | None:
        found = self.read("SELECT blob, size, target, key, version, etag, at, sums FROM away WHERE blob = ?", (blob,))
        return Away(*found[0]) if found else None

    def away_targets(self) -> set[str]:
        return {target for (target,) in self.read("SELECT DISTINCT target FROM away")}

    async def tier_totals(self) -> tuple[int, int, int]:
        """Bytes of blobs here; blobs above and their bytes. Takes long where there is much: in a thread."""
        here = f"SELECT ifnull(sum(size), 0) FROM (SELECT max(size) AS size FROM pieces WHERE {HERE} GROUP BY blob)"
        found = await self._aside(f"SELECT ({here}), count(*), ifnull(sum(size), 0) FROM away", ())
        return found[0]

    async def coldest(self) -> list[tuple[str, int]]:
        """(blob, size) of those that all their objects have above, too, the longest unused first."""
        return [(blob, size) for blob, size, _ in await self._aside(COLD, ())]

    async def stranded(self) -> list[str]:
        """Blobs above that are also of an object that does not go up: a copy, whose bytes are above as its source's."""
        return [blob for (blob,) in await self._aside(STRANDED, ())]

    async def moved(self, away: Away) -> None:
        """The same bytes, at another place above."""
        sql = "UPDATE away SET target = ?, key = ?, version = ?, etag = ?, at = ? WHERE blob = ?"
        where = (away.target, away.key, away.version, away.etag, away.offset, away.blob)
        await self._write(lambda connection: connection.execute(sql, where) and None)

    async def let_go(self, away: Away, owners: Collection[int]) -> bool:
        """False where it has become another's, too, meanwhile: nothing is changed then."""

        def work(connection: apsw.Connection) -> bool:
            now = {row[0] for row in rows(connection, OWNERS, (away.blob,))}
            if not now or now != set(owners) or rows(connection, "SELECT 1 FROM parts WHERE blob = ?", (away.blob,)):
                return False
            where = (away.target, away.key, away.version, away.etag, away.offset, away.sums)
            connection.execute("INSERT INTO away VALUES(?, ?, ?, ?, ?, ?, ?, ?)", (away.blob, away.size, *where))
            return True

        return await self._write(work)

    async def came_back(self, blobs: Sequence[str]) -> None:
        """They are here again, or nobody's."""
        sql = "DELETE FROM away WHERE blob = ?"
        await self._write(lambda connection: connection.executemany(sql, ((blob,) for blob in blobs)) and None)

    async def forget_ownerless(self) -> None:
        """What a crash left of blobs that are nobody's."""

        def work(connection: apsw.Connection) -> None:
            for table in ("away", "used"):
                connection.execute(f"DELETE FROM {table} WHERE blob NOT IN (SELECT blob FROM pieces)")

        await self._write(work, heavy=True)

    async def note_used(self, used: Mapping[str, float]) -> None:
        def work(connection: apsw.Connection) -> None:
            connection.executemany("INSERT OR REPLACE INTO used VALUES(?, ?)", used.items())

        await self._write(work)

    async def removable(self, blobs: Sequence[str]) -> list[str]:
        """Which of these files may go: nobody's, or above. As of all writes that were asked for before."""
        sql = (
            "SELECT EXISTS(SELECT 1 FROM away WHERE blob = ?1) OR NOT (EXISTS(SELECT 1 FROM pieces WHERE blob = ?1)"
            " OR EXISTS(SELECT 1 FROM parts WHERE blob = ?1))"
        )
        return await self._write(lambda connection: [blob for blob in blobs if rows(connection, sql, (blob,))[0][0]])
