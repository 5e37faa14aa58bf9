"""The queue of what is to be replicated: a row for each version and destination, written with the version itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import apsw

from littoral.objects.facts import Stored, Tags
from littoral.objects.replication.rules import targets_of
from littoral.objects.uploadrows import UploadRows

PENDING, COMPLETED, FAILED, REPLICA = "PENDING", "COMPLETED", "FAILED", "REPLICA"
LONGEST = 300.0  # seconds until the next try: what is due later than that was written by a clock that ran ahead
VERSION, MARKER, CHANGE = 0, 1, 2  # what a row of the queue is of: a change is of the tags and the lock of a version


@dataclass(frozen=True, slots=True)
class Due:
    """``kind`` is VERSION, MARKER or CHANGE."""

    id: int
    target: str
    bucket: str
    key: str
    version: str
    kind: int
    made: float
    attempts: int


def queue(
    connection: apsw.Connection, targets: Iterable[str], bucket: str, key: str, version: str, kind: int, now: float
) -> None:
    """Within the transaction that makes or changes the version."""
    connection.executemany(
        "INSERT INTO replications(target, bucket, key, version, marker, made, due, attempts)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, 0)",
        ((target, bucket, key, version, kind, now, now) for target in targets),
    )


class ReplicationRows(UploadRows):
    """``replicate`` is called when there is something new."""

    replicate: Callable[[], None] = staticmethod(lambda: None)

    def replication_targets(self) -> list[str]:
        return [target for (target,) in self.read("SELECT DISTINCT target FROM replications")]

    def replications(self, target: str, now: float, limit: int) -> list[Due]:
        """What is due, of each key the oldest only: versions arrive in the order in which they were made."""
        found = self.read(
            "SELECT id, target, bucket, key, version, marker, made, attempts FROM replications AS mine"
            " WHERE target = ?1 AND (due <= ?2 OR due > ?4) AND NOT EXISTS(SELECT 1 FROM replications AS older WHERE"
            " older.target = ?1 AND older.bucket = mine.bucket AND older.key = mine.key AND older.id < mine.id)"
            " ORDER BY id LIMIT ?3",
            (target, now, limit, now + LONGEST),
        )
        return [
            Due(number, to, bucket, key, version, kind, made, attempts)
            for number, to, bucket, key, version, kind, made, attempts in found
        ]

    def next_replication(self) -> float | None:
        return self.read("SELECT min(due) FROM replications")[0][0]  # type: ignore[no-any-return]

    async def replicated(self, due: Due) -> None:
        """It is there, or nothing is left to send. The version is COMPLETED where no destination lacks it."""

        def work(connection: apsw.Connection) -> None:
            connection.execute("DELETE FROM replications WHERE id = ?", (due.id,))
            sql = "SELECT 1 FROM replications WHERE bucket = ? AND key = ? AND version = ?"
            if not list(connection.execute(sql, (due.bucket, due.key, due.version))):
                _mark(connection, due, COMPLETED)

        await self._write(work)

    async def not_replicated(self, due: Due, again: float | None) -> None:
        """It was refused: FAILED, and tried again at that time, or never."""

        def work(connection: apsw.Connection) -> None:
            _mark(connection, due, FAILED)
            if again is None:
                connection.execute("DELETE FROM replications WHERE id = ?", (due.id,))
            else:
                sql = "UPDATE replications SET due = ?, attempts = attempts + 1 WHERE id = ?"
                connection.execute(sql, (again, due.id))

        await self._write(work)


def queue_change(connection: apsw.Connection, replication: str | None, stored: Stored, tags: Tags, now: float) -> None:
    """Within the transaction that changes it: of a version that was replicated, or is about to be."""
    if stored.replication in (None, REPLICA) or stored.version is None:
        return
    targets = targets_of(replication, stored.key, tags, stored.facts)
    queue(connection, targets, stored.bucket, stored.key, stored.version, CHANGE, now)
    if targets:
        for table in ("objects", "versions"):
            connection.execute(f"UPDATE {table} SET replication = ? WHERE id = ?", (PENDING, stored.id))


def _mark(connection: apsw.Connection, due: Due, status: str) -> None:
    for table in ("objects", "versions"):
        sql = f"UPDATE {table} SET replication = ? WHERE bucket = ? AND key = ? AND version = ?"
        connection.execute(sql, (status, due.bucket, due.key, due.version))
