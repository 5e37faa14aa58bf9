"""Versions of a key, within a transaction of the index: what a write and a removal do to them. ("Using versioning in S3
buckets" of the S3 user guide)

======================  ==============================  ==========================================================
the bucket              a write                         a removal that names no version
======================  ==============================  ==========================================================
never kept versions     replaces the object             removes the object
Enabled                 retires the current object      retires the current object, adds a delete marker
Suspended               replaces the version "null",    removes the version "null", retires any other, adds the
                        retires any other               delete marker "null"
======================  ==============================  ==========================================================

A removal that names a version removes it, and the newest that is left becomes the current one, unless it is a marker.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apsw

from littoral.objects.errors import invalid_argument, no_such_key
from littoral.objects.locks import load_lock
from littoral.objects.steps import drop_pieces, next_id, rows

NULL = "null"
ENABLED, SUSPENDED = "Enabled", "Suspended"
COLUMNS = "id, bucket, key, size, etag, modified, facts, tags, inline, version, locked, replication"
LENGTH = 24  # bytes of a version id before they are written as 32 characters: 8 are the row's id
_FORM = re.compile(r"[A-Za-z0-9_-]{32}")

Check = Callable[[str, int, float], None]
"""Takes ETag, size and time of modification; raises what refuses the removal."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be removed: the object as it is now, or one ``version`` of it, with ``bypass`` also one under
    GOVERNANCE; ``older``: only while that is not the current one."""

    key: str
    version: str | None = None
    check: Check | None = None
    bypass: bool = False
    older: bool = False


@dataclass(frozen=True, slots=True)
class Removed:
    """``version`` is that of the marker that was added, or the one that was removed; None where none are kept.
    ``marker``: a delete marker was added, or removed. ``number`` is None where nothing was there to remove, ``size``
    where nothing went that has one."""

    version: str | None = None
    marker: bool = False
    number: int | None = None
    event: str = "Delete"
    doomed: tuple[str, ...] = ()
    size: int | None = None


def version_of(number: int) -> str:
    """An id for a version; nobody can guess it."""
    return base64.urlsafe_b64encode(number.to_bytes(8) + secrets.token_bytes(LENGTH - 8)).decode()


def check_version(version: str | None) -> None:
    """Raises InvalidArgument."""
    if version is not None and version != NULL and not _FORM.fullmatch(version):
        raise invalid_argument("Invalid version id specified", "versionId", version)


def rank_of(version: str) -> int:
    """The row's id in a version's id: the newer is the greater. "null" has none."""
    return int.from_bytes(base64.urlsafe_b64decode(version)[:8])


def make_room(
    connection: apsw.Connection, bucket: str, keys: Sequence[str], state: str | None, now: float
) -> list[str]:
    """Before a write of each: what is there is removed or retired. The blobs that went."""
    if state is None:
        return _remove_current(connection, bucket, keys)
    return [blob for key in keys for blob in _retire(connection, bucket, key, state, now)]


def _retire(connection: apsw.Connection, bucket: str, key: str, state: str, now: float) -> list[str]:
    doomed = remove_null(connection, bucket, key) if state == SUSPENDED else []
    retire(connection, bucket, key, now)
    return doomed


def remove(
    connection: apsw.Connection,
    bucket: str,
    wanted: Removal,
    state: str | None,
    now: float,
    replica: str | None = None,
) -> Removed:
    """``replica`` is the version that a delete marker has elsewhere, and is to have here. Raises what the check does,
    and NoSuchKey where there is nothing to check."""
    if wanted.version is not None:
        return _remove_version(connection, bucket, wanted, wanted.version, now)
    sql = "SELECT id, etag, size, modified FROM objects WHERE bucket = ? AND key = ?"
    found = rows(connection, sql, (bucket, wanted.key))
    if wanted.check is not None:
        if not found:
            raise no_such_key(wanted.key)
        wanted.check(*found[0][1:])
    if state is None:
        if not found:
            return Removed()
        number, _, size, _ = found[0]
        return Removed(number=number, doomed=tuple(_remove_current(connection, bucket, [wanted.key])), size=size)
    if replica is not None and is_there(connection, bucket, wanted.key, replica):
        return Removed(replica, True)
    doomed = make_room(connection, bucket, [wanted.key], state, now)
    number = next_id(connection)
    version = (replica or version_of(number)) if state == ENABLED else NULL
    connection.execute(
        "INSERT INTO versions(id, bucket, key, size, etag, modified, facts, version, marker, retired)"
        " VALUES(?, ?, ?, 0, '', ?, '', ?, 1, ?)",
        (number, bucket, wanted.key, now, version, now),
    )
    return Removed(version, True, number, "DeleteMarkerCreated", tuple(doomed))


def is_there(connection: apsw.Connection, bucket: str, key: str, version: str) -> bool:
    where = "bucket = ?1 AND key = ?2 AND version = ?3"
    sql = f"SELECT 1 FROM objects WHERE {where} UNION ALL SELECT 1 FROM versions WHERE {where}"
    return bool(rows(connection, sql, (bucket, key, version)))


def retire(connection: apsw.Connection, bucket: str, key: str, now: float) -> None:
    """The current object, if there is one, becomes an older version."""
    sql = f"INSERT INTO versions({COLUMNS}, retired) SELECT {COLUMNS}, ? FROM objects WHERE bucket = ? AND key = ?"
    connection.execute(sql, (now, bucket, key))
    if connection.changes():
        connection.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", (bucket, key))


def remove_null(connection: apsw.Connection, bucket: str, key: str) -> list[str]:
    """The version "null", wherever it is; a write or a marker follows. The blobs that went."""
    gone = [
        row[0]
        for table in ("objects", "versions")
        for row in rows(
            connection,
            f"DELETE FROM {table} WHERE bucket = ? AND key = ? AND version = 'null' RETURNING id",
            (bucket, key),
        )
    ]
    return [blob for number in gone for blob in drop_pieces(connection, number)]


def _remove_current(connection: apsw.Connection, bucket: str, keys: Sequence[str]) -> list[str]:
    which, asked = ("= ?", keys[0]) if len(keys) == 1 else ("IN (SELECT value FROM json_each(?))", json.dumps(keys))
    gone = rows(connection, f"DELETE FROM objects WHERE bucket = ? AND key {which} RETURNING id", (bucket, asked))
    return [blob for row in gone for blob in drop_pieces(connection, row[0])]


def _remove_version(connection: apsw.Connection, bucket: str, wanted: Removal, version: str, now: float) -> Removed:
    """A version that is not there counts as removed, as S3 has it. Raises AccessDenied for what is locked."""
    for table, marker in (("objects", "0"), ("versions", "marker"))[wanted.older :]:
        columns = f"id, {marker}, locked, etag, size, modified"
        sql = f"SELECT {columns} FROM {table} WHERE bucket = ? AND key = ? AND version = ?"
        found = rows(connection, sql, (bucket, wanted.key, version))
        if found:
            number, is_marker, locked, *facts = found[0]
            load_lock(locked).check_removal(now, bypass=wanted.bypass)
            if wanted.check is not None:
                wanted.check(*facts)
            connection.execute(f"DELETE FROM {table} WHERE id = ?", (number,))
            doomed = drop_pieces(connection, number)
            _promote(connection, bucket, wanted.key)
            size = None if is_marker else facts[1]
            return Removed(version, bool(is_marker), number, doomed=tuple(doomed), size=size)
    return Removed(version)


def _promote(connection: apsw.Connection, bucket: str, key: str) -> None:
    """Where a key has no current object, its newest version becomes it, unless that is a marker."""
    if rows(connection, "SELECT 1 FROM objects WHERE bucket = ? AND key = ?", (bucket, key)):
        return
    sql = "SELECT id, marker FROM versions WHERE bucket = ? AND key = ? ORDER BY id DESC LIMIT 1"
    newest = rows(connection, sql, (bucket, key))
    if newest and not newest[0][1]:
        number = newest[0][0]
        connection.execute(f"INSERT INTO objects({COLUMNS}) SELECT {COLUMNS} FROM versions WHERE id = ?", (number,))
        connection.execute("DELETE FROM versions WHERE id = ?", (number,))
