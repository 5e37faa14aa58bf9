"""The index: buckets, objects, uploads and the outbox of notifications, in one SQLite file of this capability.

A change and the notifications it causes are one transaction. Bytes of more than 16 KiB are blobs elsewhere; the
transaction that takes the last reference to a blob names it as doomed, and it is removed after the commit. A crash
between the two, or between a blob's commit and its row, leaves a blob that no row names: ``unknown`` finds those at
the next start.

::

    buckets ──< objects ──< pieces >── (blobs)
       └──────< uploads ──< parts  >── (blobs)          outbox: events that a function has not been given yet

Knows no HTTP and no bytes. Keys sort by UTF-8 bytes, SQLite's BINARY order of text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import apsw

from littoral.objects import events
from littoral.objects.errors import disk, error, is_delete_marker, no_such_bucket, no_such_key, no_such_upload
from littoral.objects.events import Happened, Origin
from littoral.objects.facts import Bucket, Content, Facts, Piece, Stored, Tags, Upload, UploadedPart
from littoral.objects.locks import Lock, load_lock, locked_at_write
from littoral.objects.schema import SCHEMA, upgrade
from littoral.objects.steps import (
    BUCKET,
    NO_CONDITIONS,
    WriteConditions,
    bucket_state,
    check_conditions,
    check_parts,
    drop_upload,
    next_id,
    rows,
    unreferenced,
)
from littoral.objects.versions import COLUMNS, ENABLED, NULL, Removal, Removed, make_room, remove, version_of
from littoral.store.embedded.database import Database
from littoral.store.embedded.keys import ceiling

T = TypeVar("T")
READ = (
    "SELECT id, modified, size, etag, inline, facts, tags, version, locked,"
    " (SELECT versioning FROM buckets WHERE name = bucket)"
)
WIDTH = 10  # columns of READ
HEAVY = 200  # rows in one transaction from which it runs on the writer's thread


class Index:
    """Open with ``Index.open``. ``doomed`` is called with blobs to remove, ``queued`` when the outbox has grown."""

    def __init__(self, database: Database, region: str, account: str) -> None:
        self._database = database
        self._region = region
        self._account = account
        self.doomed: Callable[[Sequence[str]], None] = lambda _: None
        self.queued: Callable[[], None] = lambda: None

    @classmethod
    async def open(cls, path: Path, region: str, account: str) -> Index:
        made = cls(await Database.open(path, SCHEMA), region, account)
        await made._write(upgrade)
        return made

    async def close(self) -> None:
        await self._database.close()

    # ------------------------------------------------------------------------------------------------ buckets

    def bucket(self, name: str) -> Bucket:
        """Raises NoSuchBucket."""
        found = self.read(BUCKET, (name,))
        if not found:
            raise no_such_bucket(name)
        return Bucket(*found[0])

    def buckets(self, prefix: str, after: str, limit: int) -> list[tuple[str, float]]:
        found = self.read(
            "SELECT name, created FROM buckets WHERE name > ? AND name >= ? AND name < ? ORDER BY name LIMIT ?",
            (after, prefix, ceiling(prefix), limit),
        )
        return [(name, created) for name, created in found]

    def lifecycles(self) -> list[tuple[str, str]]:
        """Buckets that have rules, and their rules as kept."""
        found = self.read("SELECT name, lifecycle FROM buckets WHERE lifecycle IS NOT NULL ORDER BY name")
        return [(name, text) for name, text in found]

    async def create_bucket(self, name: str, now: float, *, lock: str | None = None) -> bool:
        """False where it was there. One with an Object Lock configuration keeps versions."""

        def work(connection: apsw.Connection) -> bool:
            state = None if lock is None else ENABLED
            sql = "INSERT OR IGNORE INTO buckets(name, created, versioning, lock) VALUES(?, ?, ?, ?)"
            connection.execute(sql, (name, now, state, lock))
            return connection.changes() == 1

        return await self._write(work)

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

    async def set_bucket(
        self, name: str, column: str, value: str | None, *, check: Callable[[Bucket], None] = lambda _: None
    ) -> None:
        """``column`` is notification, tags, versioning, lock, encryption or lifecycle. ``check`` may refuse it for
        how the bucket is. Raises NoSuchBucket."""

        def work(connection: apsw.Connection) -> None:
            check(bucket_state(connection, name))
            connection.execute(f"UPDATE buckets SET {column} = ? WHERE name = ?", (value, name))

        await self._write(work)

    # ------------------------------------------------------------------------------------------------ objects

    def find(self, bucket: str, key: str) -> Stored | None:
        """Raises NoSuchBucket."""
        found = self.read(f"{READ} FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
        if not found:
            self.bucket(bucket)
            return None
        return self._stored(bucket, key, found[0])

    def get(self, bucket: str, key: str, version: str | None = None) -> Stored:
        """The current object, or a version of it. Raises NoSuchBucket, NoSuchKey, NoSuchVersion, and MethodNotAllowed
        for a version that is a delete marker."""
        if version is not None:
            return self._version(bucket, key, version)
        found = self.find(bucket, key)
        if found is None:
            sql = "SELECT version FROM versions WHERE bucket = ? AND key = ? AND marker = 1 ORDER BY id DESC LIMIT 1"
            marker = self.read(sql, (bucket, key))
            raise no_such_key(key, marker[0][0] if marker else None)
        return found

    def _version(self, bucket: str, key: str, version: str) -> Stored:
        wanted = (bucket, key, version)
        found = self.read(f"{READ} FROM objects WHERE bucket = ? AND key = ? AND version = ?", wanted)
        if not found:
            found = self.read(f"{READ}, marker FROM versions WHERE bucket = ? AND key = ? AND version = ?", wanted)
        if not found:
            self.bucket(bucket)
            raise error("NoSuchVersion", "The specified version does not exist.", Key=key, VersionId=version)
        row = found[0]
        if len(row) > WIDTH and row[WIDTH]:
            raise is_delete_marker(version)
        return self._stored(bucket, key, row[:WIDTH])

    def _stored(self, bucket: str, key: str, row: tuple[Any, ...]) -> Stored:
        number, modified, size, etag, inline, facts, tags, version, locked, state = row
        pieces: tuple[Piece, ...] = ()
        if inline is None:
            found = self.read("SELECT blob, size FROM pieces WHERE object = ? ORDER BY seq", (number,))
            pieces = tuple(Piece(blob, length) for blob, length in found)
        content = Content(size, etag, inline, pieces)
        told = version if state is not None else None
        lock = load_lock(locked)
        return Stored(number, bucket, key, modified, content, Facts.load(facts), load_tags(tags), told, lock)

    def page(self, bucket: str, start: str, end: str | bytes, limit: int) -> list[tuple[Any, ...]]:
        """(key, size, etag, modified, facts) with start <= key < end, in order."""
        return self.read(
            "SELECT key, size, etag, modified, facts FROM objects WHERE bucket = ? AND key >= ? AND key < ?"
            " ORDER BY key LIMIT ?",
            (bucket, start, end, limit),
        )

    def versions(
        self, bucket: str, start: str, rank: int | None, end: str | bytes, limit: int
    ) -> list[tuple[Any, ...]]:
        """(key, id, version, size, etag, modified, facts, marker, tags, retired) of all versions with
        start <= key < end, by key, the newest first; of the key ``start`` only those with an id below ``rank``."""
        where = "bucket = ?1 AND key >= ?2 AND key < ?3 AND (?4 IS NULL OR key > ?2 OR id < ?4)"
        return self.read(
            f"SELECT key, id, version, size, etag, modified, facts, 0, tags, NULL FROM objects WHERE {where} UNION ALL"
            f" SELECT key, id, version, size, etag, modified, facts, marker, tags, retired FROM versions WHERE {where}"
            " ORDER BY 1, 2 DESC LIMIT ?5",
            (bucket, start, end, rank, limit),
        )

    def rank_of_null(self, bucket: str, key: str) -> int | None:
        """The id of the version "null" of that key."""
        where = "bucket = ?1 AND key = ?2 AND version = 'null'"
        found = self.read(
            f"SELECT id FROM objects WHERE {where} UNION ALL SELECT id FROM versions WHERE {where}", (bucket, key)
        )
        return found[0][0] if found else None

    async def put(
        self,
        bucket: str,
        key: str,
        content: Content,
        facts: Facts,
        tags: Tags,
        origin: Origin,
        event: str,
        *,
        conditions: WriteConditions = NO_CONDITIONS,
        source: int | None = None,
        upload: str | None = None,
        lock: Lock | None = None,
    ) -> str | None:
        """Replace what is there, or keep it as a version; the new one's version, None where none are kept. ``source``
        is the id of the object whose blobs are shared: where it is gone meanwhile NoSuchKey is raised. ``upload`` is
        consumed. ``lock`` is what the writer asks for. Raises NoSuchBucket, PreconditionFailed, InvalidRequest."""

        def work(connection: apsw.Connection) -> tuple[list[str], bool, str | None]:
            held = bucket_state(connection, bucket)
            state = held.versioning
            locked = locked_at_write(lock, held.lock, origin.now)
            check_conditions(connection, bucket, key, conditions)
            if source is not None and not _there(connection, source):
                raise no_such_key(key)
            if upload is not None:
                check_parts(connection, upload, content.pieces)
            doomed = make_room(connection, bucket, key, state, origin.now)
            number = next_id(connection)
            version = version_of(number) if state == ENABLED else NULL
            connection.execute(
                f"INSERT INTO objects({COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(number, bucket, key, content.size, content.etag, origin.now),
                    *(facts.dump(), dump_tags(tags), content.inline, version, locked.dump() if locked else None),
                ),
            )
            connection.executemany(
                "INSERT INTO pieces VALUES(?, ?, ?, ?)",
                ((number, seq, piece.blob, piece.size) for seq, piece in enumerate(content.pieces)),
            )
            doomed = unreferenced(connection, doomed)
            if upload is not None:
                doomed += drop_upload(connection, upload, bucket=bucket, key=key)
            told = None if state is None else version
            happened = Happened(event, bucket, key, number, told, content)
            return doomed, self._tell(connection, held.notification, origin, happened), told

        doomed, told, version = await self._write(work, heavy=len(content.pieces) > HEAVY)
        self._after(doomed, told)
        return version

    async def delete(
        self, bucket: str, wanted: Sequence[Removal], origin: Origin, *, family: str = "ObjectRemoved"
    ) -> list[Removed | Exception]:
        """Remove keys or versions of them; what is not there counts as removed. What a check refuses is the outcome
        for that one. ``family`` is of the events. Raises NoSuchBucket."""

        def work(connection: apsw.Connection) -> tuple[list[str], bool, list[Removed | Exception]]:
            held = bucket_state(connection, bucket)
            told = False
            outcomes: list[Removed | Exception] = []
            for each in wanted:
                try:
                    done = remove(connection, bucket, each, held.versioning, origin.now)
                except Exception as refused:  # noqa: BLE001 - one key's refusal; raised again by whoever asked
                    outcomes.append(refused)
                    continue
                outcomes.append(done)
                if done.number is not None:
                    sequencer = next_id(connection)
                    happened = Happened(f"{family}:{done.event}", bucket, each.key, sequencer, done.version)
                    told = self._tell(connection, held.notification, origin, happened) or told
            doomed = [blob for done in outcomes if isinstance(done, Removed) for blob in done.doomed]
            return doomed, told, outcomes

        doomed, told, outcomes = await self._write(work, heavy=len(wanted) > HEAVY)
        self._after(doomed, told)
        return outcomes

    async def set_tags(self, stored: Stored, tags: Tags) -> None:
        """Raises NoSuchKey where the object has gone or been replaced meanwhile."""

        def work(connection: apsw.Connection) -> None:
            for table in ("objects", "versions"):
                connection.execute(f"UPDATE {table} SET tags = ? WHERE id = ?", (dump_tags(tags), stored.id))
                if connection.changes():
                    return
            raise no_such_key(stored.key)

        await self._write(work)

    async def set_lock(self, stored: Stored, change: Callable[[Lock], Lock]) -> None:
        """``change`` is asked in the transaction, and may refuse. Raises NoSuchKey where the version has gone."""

        def work(connection: apsw.Connection) -> None:
            for table in ("objects", "versions"):
                found = rows(connection, f"SELECT locked FROM {table} WHERE id = ?", (stored.id,))
                if found:
                    changed = change(load_lock(found[0][0])).dump()
                    connection.execute(f"UPDATE {table} SET locked = ? WHERE id = ?", (changed, stored.id))
                    return
            raise no_such_key(stored.key)

        await self._write(work)

    # ------------------------------------------------------------------------------------------------ uploads

    async def create_upload(self, upload: Upload) -> None:
        def work(connection: apsw.Connection) -> None:
            bucket_state(connection, upload.bucket)
            connection.execute(
                "INSERT INTO uploads(id, bucket, key, initiated, facts, tags, algorithm, kind, locked)"
                " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    upload.id,
                    upload.bucket,
                    upload.key,
                    upload.initiated,
                    upload.facts.dump(),
                    dump_tags(upload.tags),
                    upload.algorithm,
                    upload.kind,
                    upload.lock.dump() if upload.lock is not None else None,
                ),
            )

        await self._write(work)

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Raises NoSuchBucket, NoSuchUpload."""
        found = self.read(
            "SELECT initiated, facts, tags, algorithm, kind, locked FROM uploads"
            " WHERE id = ? AND bucket = ? AND key = ?",
            (upload_id, bucket, key),
        )
        if not found:
            self.bucket(bucket)
            raise no_such_upload(upload_id)
        initiated, facts, tags, algorithm, kind, locked = found[0]
        lock = None if locked is None else load_lock(locked)
        return Upload(upload_id, bucket, key, initiated, Facts.load(facts), load_tags(tags), algorithm, kind, lock)

    def uploads(self, bucket: str, start: str, last: str | None, end: str | bytes, limit: int) -> list[tuple[Any, ...]]:
        """(key, id, initiated, algorithm, kind) with start <= key < end, by key, then as begun; of the key ``start``
        only those behind the id ``last``."""
        return self.read(
            "SELECT key, id, initiated, algorithm, kind FROM uploads WHERE bucket = ?1 AND key >= ?2 AND key < ?3"
            " AND (?4 IS NULL OR key > ?2 OR id > ?4) ORDER BY key, id LIMIT ?5",
            (bucket, start, end, last, limit),
        )

    async def put_part(self, upload_id: str, part: UploadedPart) -> None:
        """Raises NoSuchUpload where it has been aborted or completed meanwhile."""

        def work(connection: apsw.Connection) -> list[str]:
            if not rows(connection, "SELECT 1 FROM uploads WHERE id = ?", (upload_id,)):
                raise no_such_upload(upload_id)
            sql = "SELECT blob FROM parts WHERE upload = ? AND number = ?"
            old = [row[0] for row in rows(connection, sql, (upload_id, part.number))]
            connection.execute(
                "INSERT OR REPLACE INTO parts VALUES(?, ?, ?, ?, ?, ?, ?)",
                (upload_id, part.number, part.piece.blob, part.piece.size, part.etag, part.checksum, part.modified),
            )
            return unreferenced(connection, old)

        self.doomed(await self._write(work))

    def parts(self, upload_id: str, after: int = 0, limit: int = 10_000) -> list[UploadedPart]:
        found = self.read(
            "SELECT number, blob, size, etag, checksum, modified FROM parts WHERE upload = ? AND number > ?"
            " ORDER BY number LIMIT ?",
            (upload_id, after, limit),
        )
        return [UploadedPart(n, Piece(b, size), etag, checksum, at) for n, b, size, etag, checksum, at in found]

    async def drop_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Raises NoSuchUpload."""
        self.doomed(await self._write(lambda c: drop_upload(c, upload_id, bucket=bucket, key=key), heavy=True))

    # ------------------------------------------------------------------------------------------- the outbox

    def due_events(self, now: float, limit: int) -> list[tuple[int, str, str, float, int]]:
        """(id, function, event, made, attempts), the longest due first."""
        found = self.read(
            "SELECT id, function, event, made, attempts FROM outbox WHERE due <= ? ORDER BY due, id LIMIT ?",
            (now, limit),
        )
        return [(number, function, event, made, attempts) for number, function, event, made, attempts in found]

    def next_due(self) -> float | None:
        return self.read("SELECT min(due) FROM outbox")[0][0]  # type: ignore[no-any-return]

    async def settle_events(self, done: Sequence[int], later: Sequence[tuple[float, int]]) -> None:
        """Forget those that are done; try the others again, as (due, id)."""

        def work(connection: apsw.Connection) -> None:
            connection.executemany("DELETE FROM outbox WHERE id = ?", ((number,) for number in done))
            connection.executemany("UPDATE outbox SET due = ?, attempts = attempts + 1 WHERE id = ?", later)

        await self._write(work)

    # ------------------------------------------------------------------------------------------------ blobs

    async def unknown(self, blobs: Sequence[str]) -> list[str]:
        """Which of these no row names, as of all writes that were asked for before."""
        return await self._write(lambda connection: unreferenced(connection, blobs))

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with disk():
            return self._database.read(sql, params)

    async def _write(self, work: Callable[[apsw.Connection], T], *, heavy: bool = False) -> T:
        with disk():
            return await self._database.write(work, heavy=heavy)

    def _after(self, doomed: Sequence[str], told: bool) -> None:
        if doomed:
            self.doomed(doomed)
        if told:
            self.queued()

    def _tell(self, connection: apsw.Connection, notification: str | None, origin: Origin, happened: Happened) -> bool:
        """Put the event into the outbox for every trigger that wants it; whether any did."""
        if notification is None:
            return False
        told = False
        for trigger in events.loaded(notification):
            if trigger.wants(happened.event, happened.key):
                made = events.record(trigger, origin, happened, region=self._region, account=self._account)
                connection.execute(
                    "INSERT INTO outbox(function, event, made, due, attempts) VALUES(?, ?, ?, ?, 0)",
                    (trigger.function, json.dumps(made), origin.now, origin.now),
                )
                told = True
        return told


def dump_tags(tags: Tags) -> str | None:
    return json.dumps(tags) if tags else None


def load_tags(text: str | None) -> Tags:
    return tuple((name, value) for name, value in json.loads(text)) if text else ()


def _there(connection: apsw.Connection, number: int) -> bool:
    sql = "SELECT EXISTS(SELECT 1 FROM objects WHERE id = ?1) OR EXISTS(SELECT 1 FROM versions WHERE id = ?1)"
    return bool(rows(connection, sql, (number,))[0][0])
