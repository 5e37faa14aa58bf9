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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import apsw

from littoral.objects import events
from littoral.objects.conditions import matches
from littoral.objects.errors import disk, error, no_such_bucket, no_such_key, no_such_upload, precondition_failed
from littoral.objects.events import Origin
from littoral.objects.facts import Content, Facts, Piece, Stored, Tags, Upload, UploadedPart
from littoral.store.embedded.database import Database
from littoral.store.embedded.keys import ceiling

T = TypeVar("T")
HEAVY = 200  # rows in one transaction from which it runs on the writer's thread

SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets(
    name TEXT PRIMARY KEY, created REAL NOT NULL, notification TEXT, tags TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects(
    id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, modified REAL NOT NULL, facts TEXT NOT NULL, tags TEXT, inline BLOB, UNIQUE(bucket, key));
CREATE TABLE IF NOT EXISTS pieces(
    object INTEGER NOT NULL, seq INTEGER NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY(object, seq)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pieces_by_blob ON pieces(blob);
CREATE TABLE IF NOT EXISTS uploads(
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, initiated REAL NOT NULL, facts TEXT NOT NULL,
    tags TEXT, algorithm TEXT, kind TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads(bucket, key, id);
CREATE TABLE IF NOT EXISTS parts(
    upload TEXT NOT NULL, number INTEGER NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    checksum TEXT, modified REAL NOT NULL, PRIMARY KEY(upload, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS parts_by_blob ON parts(blob);
CREATE TABLE IF NOT EXISTS outbox(
    id INTEGER PRIMARY KEY AUTOINCREMENT, function TEXT NOT NULL, event TEXT NOT NULL, made REAL NOT NULL,
    due REAL NOT NULL, attempts INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS outbox_by_due ON outbox(due, id);
"""


@dataclass(frozen=True, slots=True)
class WriteConditions:
    """``*`` or an ETag for ``if_match``; ``*`` for ``if_none_match``. Checked in the transaction that writes."""

    if_match: str | None = None
    if_none_match: str | None = None


NO_CONDITIONS = WriteConditions()


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
        return cls(await Database.open(path, SCHEMA), region, account)

    async def close(self) -> None:
        await self._database.close()

    # ------------------------------------------------------------------------------------------------ buckets

    def bucket(self, name: str) -> tuple[float, str | None, str | None]:
        """When created, its notification configuration and tags as stored. Raises NoSuchBucket."""
        rows = self.read("SELECT created, notification, tags FROM buckets WHERE name = ?", (name,))
        if not rows:
            raise no_such_bucket(name)
        created, notification, tags = rows[0]
        return created, notification, tags

    def buckets(self, prefix: str, after: str, limit: int) -> list[tuple[str, float]]:
        rows = self.read(
            "SELECT name, created FROM buckets WHERE name > ? AND name >= ? AND name < ? ORDER BY name LIMIT ?",
            (after, prefix, ceiling(prefix), limit),
        )
        return [(name, created) for name, created in rows]

    async def create_bucket(self, name: str, now: float) -> bool:
        """False where it was there."""

        def work(connection: apsw.Connection) -> bool:
            connection.execute("INSERT OR IGNORE INTO buckets(name, created) VALUES(?, ?)", (name, now))
            return connection.changes() == 1

        return await self._write(work)

    async def delete_bucket(self, name: str) -> None:
        """With its unfinished uploads. Raises NoSuchBucket, BucketNotEmpty."""

        def work(connection: apsw.Connection) -> list[str]:
            _notification(connection, name)
            if _rows(connection, "SELECT 1 FROM objects WHERE bucket = ? LIMIT 1", (name,)):
                raise error("BucketNotEmpty", "The bucket you tried to delete is not empty", BucketName=name)
            uploads = [row[0] for row in _rows(connection, "SELECT id FROM uploads WHERE bucket = ?", (name,))]
            doomed = [blob for upload in uploads for blob in _drop_upload(connection, upload)]
            connection.execute("DELETE FROM buckets WHERE name = ?", (name,))
            return doomed

        self.doomed(await self._write(work, heavy=True))

    async def set_bucket(self, name: str, column: str, value: str | None) -> None:
        """``column`` is notification or tags. Raises NoSuchBucket."""

        def work(connection: apsw.Connection) -> None:
            _notification(connection, name)
            connection.execute(f"UPDATE buckets SET {column} = ? WHERE name = ?", (value, name))

        await self._write(work)

    # ------------------------------------------------------------------------------------------------ objects

    def find(self, bucket: str, key: str) -> Stored | None:
        """Raises NoSuchBucket."""
        rows = self.read(
            "SELECT id, modified, size, etag, inline, facts, tags FROM objects WHERE bucket = ? AND key = ?",
            (bucket, key),
        )
        if not rows:
            self.bucket(bucket)
            return None
        number, modified, size, etag, inline, facts, tags = rows[0]
        pieces: tuple[Piece, ...] = ()
        if inline is None:
            found = self.read("SELECT blob, size FROM pieces WHERE object = ? ORDER BY seq", (number,))
            pieces = tuple(Piece(blob, length) for blob, length in found)
        content = Content(size, etag, inline, pieces)
        return Stored(number, bucket, key, modified, content, Facts.load(facts), load_tags(tags))

    def get(self, bucket: str, key: str) -> Stored:
        """Raises NoSuchBucket, NoSuchKey."""
        found = self.find(bucket, key)
        if found is None:
            raise no_such_key(key)
        return found

    def page(self, bucket: str, start: str, end: str | bytes, limit: int) -> list[tuple[Any, ...]]:
        """(key, size, etag, modified, facts) with start <= key < end, in order."""
        return self.read(
            "SELECT key, size, etag, modified, facts FROM objects WHERE bucket = ? AND key >= ? AND key < ?"
            " ORDER BY key LIMIT ?",
            (bucket, start, end, limit),
        )

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
    ) -> None:
        """Replace what is there. ``source`` is the id of the object whose blobs are shared: where it is gone
        meanwhile NoSuchKey is raised. ``upload`` is consumed. Raises NoSuchBucket, PreconditionFailed."""

        def work(connection: apsw.Connection) -> tuple[list[str], bool]:
            notification = _notification(connection, bucket)
            _check(connection, bucket, key, conditions)
            if source is not None and not _rows(connection, "SELECT 1 FROM objects WHERE id = ?", (source,)):
                raise no_such_key(key)
            if upload is not None:
                _check_parts(connection, upload, content.pieces)
            old = _rows(connection, "DELETE FROM objects WHERE bucket = ? AND key = ? RETURNING id", (bucket, key))
            connection.execute(
                "INSERT INTO objects(bucket, key, size, etag, modified, facts, tags, inline)"
                " VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                (bucket, key, content.size, content.etag, origin.now, facts.dump(), dump_tags(tags), content.inline),
            )
            number = connection.last_insert_rowid()
            rows = ((number, seq, piece.blob, piece.size) for seq, piece in enumerate(content.pieces))
            connection.executemany("INSERT INTO pieces VALUES(?, ?, ?, ?)", rows)
            doomed = [blob for row in old for blob in _drop_pieces(connection, row[0])]
            if upload is not None:
                doomed += _drop_upload(connection, upload, bucket=bucket, key=key)
            told = self._tell(connection, notification, origin, event, bucket, key, number, content)
            return doomed, told

        doomed, told = await self._write(work, heavy=len(content.pieces) > HEAVY)
        self._after(doomed, told)

    async def delete(
        self,
        bucket: str,
        wanted: Sequence[tuple[str, Callable[[str, int, float], None] | None]],
        origin: Origin,
    ) -> list[Exception | None]:
        """Delete keys; what is not there counts as deleted. Each may come with a check of (etag, size, modified),
        whose refusal is the outcome for that key. Raises NoSuchBucket."""

        def work(connection: apsw.Connection) -> tuple[list[str], bool, list[Exception | None]]:
            notification = _notification(connection, bucket)
            doomed: list[str] = []
            told = False
            outcomes: list[Exception | None] = []
            for key, check in wanted:
                try:
                    number = _delete_one(connection, bucket, key, check)
                except Exception as refused:  # noqa: BLE001 - one key's refusal; raised again by whoever asked
                    outcomes.append(refused)
                    continue
                outcomes.append(None)
                if number is not None:
                    doomed += _drop_pieces(connection, number)
                    event = "ObjectRemoved:Delete"
                    told = self._tell(connection, notification, origin, event, bucket, key, _next(connection)) or told
            return doomed, told, outcomes

        doomed, told, outcomes = await self._write(work, heavy=len(wanted) > HEAVY)
        self._after(doomed, told)
        return outcomes

    async def set_tags(self, stored: Stored, tags: Tags) -> None:
        """Raises NoSuchKey where the object has gone or been replaced meanwhile."""

        def work(connection: apsw.Connection) -> None:
            connection.execute("UPDATE objects SET tags = ? WHERE id = ?", (dump_tags(tags), stored.id))
            if connection.changes() == 0:
                raise no_such_key(stored.key)

        await self._write(work)

    # ------------------------------------------------------------------------------------------------ uploads

    async def create_upload(self, upload: Upload) -> None:
        def work(connection: apsw.Connection) -> None:
            _notification(connection, upload.bucket)
            connection.execute(
                "INSERT INTO uploads VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    upload.id,
                    upload.bucket,
                    upload.key,
                    upload.initiated,
                    upload.facts.dump(),
                    dump_tags(upload.tags),
                    upload.algorithm,
                    upload.kind,
                ),
            )

        await self._write(work)

    def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Raises NoSuchBucket, NoSuchUpload."""
        rows = self.read(
            "SELECT initiated, facts, tags, algorithm, kind FROM uploads WHERE id = ? AND bucket = ? AND key = ?",
            (upload_id, bucket, key),
        )
        if not rows:
            self.bucket(bucket)
            raise no_such_upload(upload_id)
        initiated, facts, tags, algorithm, kind = rows[0]
        return Upload(upload_id, bucket, key, initiated, Facts.load(facts), load_tags(tags), algorithm, kind)

    def uploads(self, bucket: str, start: str, end: str | bytes) -> list[tuple[Any, ...]]:
        """(key, id, initiated, algorithm, kind) with start <= key < end, by key, then as begun."""
        return self.read(
            "SELECT key, id, initiated, algorithm, kind FROM uploads WHERE bucket = ? AND key >= ? AND key < ?"
            " ORDER BY key, id",
            (bucket, start, end),
        )

    async def put_part(self, upload_id: str, part: UploadedPart) -> None:
        """Raises NoSuchUpload where it has been aborted or completed meanwhile."""

        def work(connection: apsw.Connection) -> list[str]:
            if not _rows(connection, "SELECT 1 FROM uploads WHERE id = ?", (upload_id,)):
                raise no_such_upload(upload_id)
            sql = "SELECT blob FROM parts WHERE upload = ? AND number = ?"
            old = [row[0] for row in _rows(connection, sql, (upload_id, part.number))]
            connection.execute(
                "INSERT OR REPLACE INTO parts VALUES(?, ?, ?, ?, ?, ?, ?)",
                (upload_id, part.number, part.piece.blob, part.piece.size, part.etag, part.checksum, part.modified),
            )
            return _unreferenced(connection, old)

        self.doomed(await self._write(work))

    def parts(self, upload_id: str, after: int = 0, limit: int = 10_000) -> list[UploadedPart]:
        rows = self.read(
            "SELECT number, blob, size, etag, checksum, modified FROM parts WHERE upload = ? AND number > ?"
            " ORDER BY number LIMIT ?",
            (upload_id, after, limit),
        )
        return [UploadedPart(n, Piece(b, size), etag, checksum, at) for n, b, size, etag, checksum, at in rows]

    async def drop_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """Raises NoSuchUpload."""
        self.doomed(await self._write(lambda c: _drop_upload(c, upload_id, bucket=bucket, key=key), heavy=True))

    # ------------------------------------------------------------------------------------------- the outbox

    def due_events(self, now: float, limit: int) -> list[tuple[int, str, str, float, int]]:
        """(id, function, event, made, attempts), the longest due first."""
        rows = self.read(
            "SELECT id, function, event, made, attempts FROM outbox WHERE due <= ? ORDER BY due, id LIMIT ?",
            (now, limit),
        )
        return [(number, function, event, made, attempts) for number, function, event, made, attempts in rows]

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
        return await self._write(lambda connection: _unreferenced(connection, blobs))

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

    def _tell(
        self,
        connection: apsw.Connection,
        notification: str | None,
        origin: Origin,
        event: str,
        bucket: str,
        key: str,
        sequencer: int,
        content: Content | None = None,
    ) -> bool:
        """Put the event into the outbox for every trigger that wants it; whether any did."""
        if notification is None:
            return False
        told = False
        for trigger in events.loaded(notification):
            if trigger.wants(event, key):
                made = events.record(
                    trigger,
                    origin,
                    event,
                    region=self._region,
                    account=self._account,
                    bucket=bucket,
                    key=key,
                    sequencer=sequencer,
                    size=content.size if content else None,
                    etag=content.etag if content else None,
                )
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


# ------------------------------------------------------------------------------ steps within a transaction


def _rows(connection: apsw.Connection, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    return list(connection.execute(sql, params))


def _notification(connection: apsw.Connection, bucket: str) -> str | None:
    rows = _rows(connection, "SELECT notification FROM buckets WHERE name = ?", (bucket,))
    if not rows:
        raise no_such_bucket(bucket)
    return rows[0][0]  # type: ignore[no-any-return]


def _check(connection: apsw.Connection, bucket: str, key: str, conditions: WriteConditions) -> None:
    if conditions.if_match is None and conditions.if_none_match is None:
        return
    rows = _rows(connection, "SELECT etag FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
    if conditions.if_none_match is not None and rows:
        raise precondition_failed("If-None-Match")
    if conditions.if_match is not None:
        if not rows:
            raise no_such_key(key)
        if not matches(conditions.if_match, rows[0][0]):
            raise precondition_failed("If-Match")


def _next(connection: apsw.Connection) -> int:
    """The next id of an object, spent as a sequencer: a removal sorts after the write it removes."""
    connection.execute("UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = 'objects'")
    return _rows(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'objects'", ())[0][0]  # type: ignore[no-any-return]


def _delete_one(
    connection: apsw.Connection, bucket: str, key: str, check: Callable[[str, int, float], None] | None
) -> int | None:
    sql = "SELECT id, etag, size, modified FROM objects WHERE bucket = ? AND key = ?"
    rows = _rows(connection, sql, (bucket, key))
    if not rows:
        if check is not None:
            raise no_such_key(key)
        return None
    number, etag, size, modified = rows[0]
    if check is not None:
        check(etag, size, modified)
    connection.execute("DELETE FROM objects WHERE id = ?", (number,))
    return int(number)


def _drop_pieces(connection: apsw.Connection, number: int) -> list[str]:
    return _unreferenced(
        connection,
        [row[0] for row in _rows(connection, "DELETE FROM pieces WHERE object = ? RETURNING blob", (number,))],
    )


def _drop_upload(connection: apsw.Connection, upload_id: str, *, bucket: str = "", key: str = "") -> list[str]:
    """Raises NoSuchUpload where bucket and key are given and there is none."""
    rows = _rows(connection, "DELETE FROM uploads WHERE id = ? RETURNING bucket, key", (upload_id,))
    if bucket and rows != [(bucket, key)]:
        raise no_such_upload(upload_id)
    blobs = [row[0] for row in _rows(connection, "DELETE FROM parts WHERE upload = ? RETURNING blob", (upload_id,))]
    return _unreferenced(connection, blobs)


def _check_parts(connection: apsw.Connection, upload_id: str, pieces: Iterable[Piece]) -> None:
    """A part sent again meanwhile has another blob; the one that was about to be used is doomed."""
    held = {row[0] for row in _rows(connection, "SELECT blob FROM parts WHERE upload = ?", (upload_id,))}
    if not held:
        raise no_such_upload(upload_id)
    if any(piece.blob not in held for piece in pieces):
        raise error("InvalidPart", "One or more of the specified parts was replaced while the upload was completed.")


def _unreferenced(connection: apsw.Connection, blobs: Iterable[str]) -> list[str]:
    sql = "SELECT EXISTS(SELECT 1 FROM pieces WHERE blob = ?1) OR EXISTS(SELECT 1 FROM parts WHERE blob = ?1)"
    return [blob for blob in dict.fromkeys(blobs) if not _rows(connection, sql, (blob,))[0][0]]
