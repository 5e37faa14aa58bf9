"""The index: buckets, objects, uploads and the outbox of notifications, in one SQLite file of this capability. Buckets
and uploads are in ``bucketrows`` and ``uploadrows``; here are objects, their versions and the outbox.

A change and the notifications it causes are one transaction. Bytes of more than 16 KiB are blobs elsewhere; the
transaction that takes the last reference to a blob names it as doomed, and it is removed after the commit. A crash
between the two, or between a blob's commit and its row, leaves a blob that no row names: ``unknown`` finds those at
the next start.

::

    buckets ──< objects ──< pieces >── (blobs)
       └──────< uploads ──< parts  >── (blobs)          outbox: events that their targets have not been given yet

Knows no HTTP and no bytes. Keys sort by UTF-8 bytes, SQLite's BINARY order of text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw

from littoral.objects import events
from littoral.objects.access.acl import Acl
from littoral.objects.busevents import BUS, bus_event
from littoral.objects.errors import error, is_delete_marker, no_such_key
from littoral.objects.events import Happened, Origin
from littoral.objects.facts import Content, Facts, Piece, Stored, Tags, dump_tags, load_tags
from littoral.objects.locks import Lock, load_lock, locked_at_write
from littoral.objects.placing import New, Placing
from littoral.objects.replication.rows import MARKER, ReplicationRows, queue, queue_change
from littoral.objects.replication.rules import marker_targets_of
from littoral.objects.schema import SCHEMA, upgrade
from littoral.objects.steps import (
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
from littoral.objects.tiering.rows import TierRows
from littoral.objects.versions import (
    ENABLED,
    NULL,
    Removal,
    Removed,
    is_there,
    remove,
)
from littoral.store.embedded.database import Database

# One statement for an object and its pieces: between two a commit may take the pieces away.
READ = (
    "SELECT id, modified, size, etag, inline, facts, tags, version, locked, replication, CASE WHEN inline IS NULL THEN"
    " (SELECT group_concat(blob || ' ' || pieces.size, ',' ORDER BY seq) FROM pieces WHERE object = id) END,"
    " (SELECT versioning FROM buckets WHERE name = bucket), (SELECT lifecycle FROM buckets WHERE name = bucket)"
)
FIND = f"{READ} FROM objects WHERE bucket = ? AND key = ?"
OWNED = READ.replace("SELECT", "SELECT bucket, key,", 1)
HEAVY = 200  # rows in one transaction from which it runs on the writer's thread


class Index(TierRows, ReplicationRows):
    """Open with ``Index.open``."""

    @classmethod
    async def open(cls, path: Path, region: str, account: str, key: bytes | None = None) -> Index:
        """With a ``key`` its file is encrypted."""
        made = cls(await Database.open(path, SCHEMA, key), region, account)
        await made._write(upgrade)
        made.load_guarded()
        return made

    def find(self, bucket: str, key: str) -> Stored | None:
        """Raises NoSuchBucket."""
        found = self.read(FIND, (bucket, key))
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
        where = "bucket = ?1 AND key = ?2 AND version = ?3"
        sql = f"{READ}, NULL FROM objects WHERE {where} UNION ALL {READ}, marker FROM versions WHERE {where}"
        found = self.read(sql, (bucket, key, version))
        if not found:
            self.bucket(bucket)
            raise error("NoSuchVersion", "The specified version does not exist.", Key=key, VersionId=version)
        *row, rules, marker = found[0]
        if marker:
            raise is_delete_marker(version, row[1])
        current = marker is None  # only of the current one it is asked when it expires
        return self._stored(bucket, key, (*row, rules if current else None))

    def _stored(self, bucket: str, key: str, row: tuple[Any, ...]) -> Stored:
        number, modified, size, etag, inline, facts, tags, version, locked, replication, joined, state, rules = row
        content = Content(size, etag, inline, _pieces(joined) if joined else ())
        told = version if state is not None else None
        lock = load_lock(locked)
        known = Facts.load(facts), load_tags(tags)
        return Stored(number, bucket, key, modified, content, *known, told, lock, rules, replication)

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

    def rank(self, bucket: str, key: str, version: str) -> int | None:
        """The row's id of a version of that key; None where it is not there."""
        where = "bucket = ?1 AND key = ?2 AND version = ?3"
        sql = f"SELECT id FROM objects WHERE {where} UNION ALL SELECT id FROM versions WHERE {where}"
        found = self.read(sql, (bucket, key, version))
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
            if origin.replica is not None:
                if state != ENABLED:
                    raise error("InvalidRequest", "The bucket of replicas does not keep versions")
                if is_there(connection, bucket, key, origin.replica):  # it was sent twice
                    blobs = [piece.blob for piece in content.pieces]
                    dropped = [] if upload is None else drop_upload(connection, upload, bucket=bucket, key=key)
                    return [*unreferenced(connection, blobs), *dropped], False, origin.replica
            (new,), doomed = Placing(held, bucket, tags, locked, origin).place(connection, [New(key, content, facts)])
            if upload is not None:
                doomed += drop_upload(connection, upload, bucket=bucket, key=key)
                ended = (upload, bucket, key, content.etag, new.number, new.version, origin.now)
                connection.execute("INSERT INTO completed VALUES(?, ?, ?, ?, ?, ?, ?)", ended)
            happened = Happened(event, bucket, key, new.number, new.version, content)
            return doomed, self._tell(connection, held.notification, origin, happened), new.version

        doomed, told, version = await self._write(work, heavy=len(content.pieces) > HEAVY)
        self._after(bucket, doomed, told)
        return version

    async def put_all(
        self, bucket: str, made: Sequence[New], tags: Tags, lock: Lock | None, origin: Origin, event: str
    ) -> None:
        """All of them or none, in one transaction, which takes the loop for some 15 µs each. Raises NoSuchBucket,
        InvalidRequest."""

        def work(connection: apsw.Connection) -> tuple[list[str], bool]:
            held = bucket_state(connection, bucket)
            locked = locked_at_write(lock, held.lock, origin.now)
            placed, doomed = Placing(held, bucket, tags, locked, origin).place(connection, made)
            told = False
            for new, now in zip(made, placed, strict=True) if held.notification is not None else ():
                happened = Happened(event, bucket, new.key, now.number, now.version, new.content)
                told = self._tell(connection, held.notification, origin, happened) or told
            return doomed, told

        self._after(bucket, *await self._write(work))

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
                    done = remove(connection, bucket, each, held.versioning, origin.now, origin.replica)
                except Exception as refused:  # noqa: BLE001 - one key's refusal; raised again by whoever asked
                    outcomes.append(refused)
                    continue
                outcomes.append(done)
                if done.number is not None:
                    if done.event == "DeleteMarkerCreated" and family == "ObjectRemoved" and not origin.replica:
                        sent_to = marker_targets_of(held.replication, each.key)
                        queue(connection, sent_to, bucket, each.key, done.version or NULL, MARKER, origin.now)
                    sequencer = next_id(connection)
                    happened = Happened(f"{family}:{done.event}", bucket, each.key, sequencer, done.version)
                    told = self._tell(connection, held.notification, origin, happened) or told
            doomed = [blob for done in outcomes if isinstance(done, Removed) for blob in done.doomed]
            return doomed, told, outcomes

        doomed, told, outcomes = await self._write(work, heavy=len(wanted) > HEAVY)
        self._after(bucket, doomed, told)
        return outcomes

    async def set_tags(self, stored: Stored, tags: Tags, origin: Origin) -> None:
        """Raises NoSuchKey where the object has gone."""
        event = "ObjectTagging:Put" if tags else "ObjectTagging:Delete"
        await self._change(stored, "tags", dump_tags(tags), tags, origin, event)

    async def set_acl(self, stored: Stored, acl: Acl | None, origin: Origin) -> None:
        """Raises NoSuchKey where the version has gone."""
        value = replace(stored.facts, acl=acl).dump()
        await self._change(stored, "facts", value, stored.tags, origin, "ObjectAcl:Put")

    async def _change(
        self, stored: Stored, column: str, value: str | None, tags: Tags, origin: Origin, event: str
    ) -> None:
        """That replicas follow; ``tags`` are those that it has from now on. What has been overwritten meanwhile was
        changed just before that, as far as anybody can tell."""

        def work(connection: apsw.Connection) -> bool:
            held = bucket_state(connection, stored.bucket)
            if not _there(connection, stored.id) and rows(connection, FIND, (stored.bucket, stored.key)):
                return False
            _update(connection, stored, column, value)
            queue_change(connection, held.replication, stored, tags, origin.now)
            if held.notification is None:
                return False
            number = next_id(connection)
            happened = Happened(event, stored.bucket, stored.key, number, stored.version, stored.content)
            return self._tell(connection, held.notification, origin, happened)

        self._after(stored.bucket, (), told=await self._write(work))

    async def set_classes(self, classes: Mapping[int, str]) -> None:
        """The storage class of objects and versions by their rows' ids, as far as they are there."""

        def work(connection: apsw.Connection) -> None:
            for number, storage_class in classes.items():
                for table in ("objects", "versions"):
                    for (text,) in rows(connection, f"SELECT facts FROM {table} WHERE id = ?", (number,)):
                        facts = Facts.load(text)
                        changed = replace(facts, headers={**facts.headers, "StorageClass": storage_class}).dump()
                        connection.execute(f"UPDATE {table} SET facts = ? WHERE id = ?", (changed, number))

        await self._write(work, heavy=len(classes) > HEAVY)

    async def set_restored(self, stored: Stored, until: float) -> None:
        """Of this place alone: replicas do not follow. Raises NoSuchKey where the version has gone."""

        def work(connection: apsw.Connection) -> None:
            sql = "SELECT facts FROM objects WHERE id = ?1 UNION ALL SELECT facts FROM versions WHERE id = ?1"
            for (facts,) in rows(connection, sql, (stored.id,))[:1]:
                return _update(connection, stored, "facts", replace(Facts.load(facts), restored=until).dump())
            raise no_such_key(stored.key)

        await self._write(work)

    async def set_lock(self, stored: Stored, change: Callable[[Lock], Lock], now: float) -> None:
        """``change`` is asked in the transaction, and may refuse. Raises NoSuchKey where the version has gone."""

        def work(connection: apsw.Connection) -> None:
            held = bucket_state(connection, stored.bucket)
            sql = "SELECT locked FROM objects WHERE id = ?1 UNION ALL SELECT locked FROM versions WHERE id = ?1"
            for (locked,) in rows(connection, sql, (stored.id,))[:1]:
                _update(connection, stored, "locked", change(load_lock(locked)).dump())
                queue_change(connection, held.replication, stored, stored.tags, now)
                return
            raise no_such_key(stored.key)

        await self._write(work)
        self._after(stored.bucket, (), told=False)

    def inline_rows(self, table: str, after: int, limit: int) -> list[Stored]:
        """Of ``objects`` or ``versions`` those whose bytes lie in the row, by id."""
        found = self.read(
            f"{OWNED} FROM {table} WHERE id > ? AND inline IS NOT NULL AND facts != '' ORDER BY id LIMIT ?",
            (after, limit),
        )
        return [self._stored(bucket, key, tuple(row)) for bucket, key, *row in found]

    def owners(self, blob: str) -> list[Stored]:
        """Objects and versions that consist of it, among others perhaps."""
        return self._owned("id IN (SELECT object FROM pieces WHERE blob = ?1)", blob)

    def by_id(self, number: int) -> list[Stored]:
        """The object or version of that id, if there is one."""
        return self._owned("id = ?1", number)

    def _owned(self, where: str, wanted: str | int) -> list[Stored]:
        """One statement: between two a version may move from the table that is read last to the other."""
        sql = f"{OWNED} FROM objects WHERE {where} UNION ALL {OWNED} FROM versions WHERE {where}"
        return [self._stored(bucket, key, tuple(row)) for bucket, key, *row in self.read(sql, (wanted,))]

    async def mend_row(self, stored: Stored, data: bytes) -> None:
        """The bytes of an object in the index, as they were. Raises NoSuchKey."""
        await self._write(lambda connection: _update(connection, stored, "inline", data))

    # ------------------------------------------------------------------------------------------- the outbox

    def due_events(self, now: float, latest: float, limit: int) -> list[tuple[int, str, str, float, int]]:
        """(id, function, event, made, attempts), the longest due first. What is due later than ``latest`` is so by a
        clock that ran ahead: it is due, too."""
        found = self.read(
            "SELECT id, function, event, made, attempts FROM outbox WHERE due <= ? OR due > ? ORDER BY due, id LIMIT ?",
            (now, latest, limit),
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

    def _after(self, bucket: str, doomed: Sequence[str], told: bool) -> None:
        if bucket in self.replicating:
            self.replicate()
        if doomed:
            self.doomed(doomed)
        if told:
            self.queued()

    def _tell(self, connection: apsw.Connection, notification: str | None, origin: Origin, happened: Happened) -> bool:
        """Put the event into the outbox for the bus and every trigger that wants it; whether any did."""
        if notification is None:
            return False
        wanted = events.loaded(notification)
        told = wanted.bus
        if wanted.bus:
            self._send(connection, BUS, bus_event(origin, happened), origin.now)
        for trigger in wanted.triggers:
            if trigger.wants(happened.event, happened.key):
                made = events.record(trigger, origin, happened, region=self._region, account=self._account)
                self._send(connection, trigger.target, made, origin.now)
                told = True
        return told

    def _send(self, connection: apsw.Connection, target: str, event: dict[str, Any], now: float) -> None:
        connection.execute(
            "INSERT INTO outbox(function, event, made, due, attempts) VALUES(?, ?, ?, ?, 0)",
            (target, json.dumps(event), now, now),
        )


def _pieces(joined: str) -> tuple[Piece, ...]:
    parted = (each.partition(" ") for each in joined.split(","))
    return tuple(Piece(blob, int(size)) for blob, _, size in parted)


def _update(connection: apsw.Connection, stored: Stored, column: str, value: str | bytes | None) -> None:
    """Raises NoSuchKey where it has gone."""
    for table in ("objects", "versions"):
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE id = ?", (value, stored.id))
        if connection.changes():
            return
    raise no_such_key(stored.key)


def _there(connection: apsw.Connection, number: int) -> bool:
    sql = "SELECT EXISTS(SELECT 1 FROM objects WHERE id = ?1) OR EXISTS(SELECT 1 FROM versions WHERE id = ?1)"
    return bool(rows(connection, sql, (number,))[0][0])
