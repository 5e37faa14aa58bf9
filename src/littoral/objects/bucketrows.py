"""Buckets in the index, and the way to its file that all of it shares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import apsw

from littoral.objects.errors import disk, error, no_such_bucket, refused
from littoral.objects.facts import ENFORCED, Bucket
from littoral.objects.steps import BUCKET, bucket_state, drop_upload, rows
from littoral.objects.versions import ENABLED
from littoral.store.contract import StorageFailed
from littoral.store.embedded.database import Database
from littoral.store.embedded.keys import ceiling

T = TypeVar("T")
GUARDED = "owner IS NOT NULL OR policy IS NOT NULL OR ifnull(ownership, ?1) <> ?1"


class BucketRows:
    """``doomed`` is called with blobs to remove, ``queued`` when the outbox has grown."""

    def __init__(self, database: Database, region: str, account: str) -> None:
        self._database = database
        self._region = region
        self._account = account
        self.guarded: set[str] = set()  # buckets in which the place's own account may not simply do everything
        self.replicating: set[str] = set()  # buckets that replicate to others
        self.logging: dict[str, str] = {}  # buckets with server access logs, and where these go, as kept
        self.doomed: Callable[[Sequence[str]], None] = lambda _: None
        self.queued: Callable[[], None] = lambda: None

    async def close(self) -> None:
        await self._database.close()

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._database.read(sql, params)
        except StorageFailed as problem:  # a ``with`` here took a twentieth of a small GET
            raise refused(problem) from problem

    def moment(self) -> AbstractContextManager[None]:
        """All that is read within is as of one commit; nothing is awaited in it."""
        return self._database.moment()

    async def _write(self, work: Callable[[apsw.Connection], T], *, heavy: bool = False) -> T:
        with disk():
            return await self._database.write(work, heavy=heavy)

    async def _aside(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What takes long to read, in a thread."""
        with disk():
            return await self._database.aside(sql, params)

    def bucket(self, name: str) -> Bucket:
        """Raises NoSuchBucket."""
        found = self.read(BUCKET, (name,))
        if not found:
            raise no_such_bucket(name)
        return Bucket(*found[0])

    def buckets(self, owner: str, prefix: str, after: str, limit: int) -> list[tuple[str, float]]:
        found = self.read(
            "SELECT name, created FROM buckets WHERE name > ? AND name >= ? AND name < ? AND ifnull(owner, ?) = ?"
            " ORDER BY name LIMIT ?",
            (after, prefix, ceiling(prefix), self._account, owner, limit),
        )
        return [(name, created) for name, created in found]

    def lifecycles(self) -> list[tuple[str, str]]:
        """Buckets that have rules, and their rules as kept."""
        found = self.read("SELECT name, lifecycle FROM buckets WHERE lifecycle IS NOT NULL ORDER BY name")
        return [(name, text) for name, text in found]

    def load_guarded(self) -> None:
        self.guarded = {name for (name,) in self.read(f"SELECT name FROM buckets WHERE {GUARDED}", (ENFORCED,))}
        replicating = self.read("SELECT name FROM buckets WHERE replication IS NOT NULL")
        self.replicating = {name for (name,) in replicating}
        self.logging.update(self.read("SELECT name, logging FROM buckets WHERE logging IS NOT NULL"))

    def is_bucket(self, name: str) -> bool:
        return bool(self.read(BUCKET, (name,)))

    async def create_bucket(self, name: str, made: Bucket) -> bool:
        """False where it was there. One with an Object Lock configuration keeps versions."""

        def work(connection: apsw.Connection) -> bool:
            state = None if made.lock is None else ENABLED
            owner = None if made.owner == self._account else made.owner
            connection.execute(
                "INSERT OR IGNORE INTO buckets"
                "(name, created, tags, versioning, lock, owner, ownership, acl, public_block)"
                " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (name, made.created, made.tags, state, made.lock, owner, made.ownership, made.acl, made.public_block),
            )
            return connection.changes() == 1

        done = await self._write(work)
        self._guard(name)
        return done

    def _guard(self, name: str) -> None:
        found = self.read(f"SELECT 1 FROM buckets WHERE name = ?2 AND ({GUARDED})", (ENFORCED, name))
        (self.guarded.add if found else self.guarded.discard)(name)

    async def delete_bucket(self, name: str) -> None:
        """With its unfinished uploads. Raises NoSuchBucket, BucketNotEmpty."""

        def work(connection: apsw.Connection) -> list[str]:
            bucket_state(connection, name)
            held = "SELECT 1 FROM objects WHERE bucket = ?1 UNION ALL SELECT 1 FROM versions WHERE bucket = ?1 LIMIT 1"
            if rows(connection, held, (name,)):
                raise error("BucketNotEmpty", "The bucket you tried to delete is not empty", BucketName=name)
            uploads = [row[0] for row in rows(connection, "SELECT id FROM uploads WHERE bucket = ?", (name,))]
            doomed = [blob for upload in uploads for blob in drop_upload(connection, upload)]
            connection.execute("DELETE FROM buckets WHERE name = ?", (name,))
            return doomed

        self.doomed(await self._write(work, heavy=True))
        self.guarded.discard(name)
        self.replicating.discard(name)
        self.logging.pop(name, None)

    async def set_bucket(
        self, name: str, column: str, value: str | None, *, check: Callable[[Bucket], None] = lambda _: None
    ) -> None:
        """``column`` is one of Bucket's. ``check`` may refuse it for how the bucket is. Raises NoSuchBucket."""

        def work(connection: apsw.Connection) -> None:
            check(bucket_state(connection, name))
            connection.execute(f"UPDATE buckets SET {column} = ? WHERE name = ?", (value, name))

        await self._write(work)
        self._guard(name)
        if column == "replication":
            (self.replicating.discard if value is None else self.replicating.add)(name)
        if column == "logging":
            self.logging.pop(name, None)
            self.logging.update({} if value is None else {name: value})
