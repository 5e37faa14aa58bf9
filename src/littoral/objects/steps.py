"""Steps within a transaction of the index: rows of buckets, pieces, uploads and parts. What they give up they return:
blobs that no row names any more."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from littoral.objects.conditions import matches
from littoral.objects.errors import error, no_such_bucket, no_such_key, no_such_upload, precondition_failed
from littoral.objects.facts import Bucket, Piece


@dataclass(frozen=True, slots=True)
class WriteConditions:
    """``*`` or an ETag for ``if_match``; ``*`` for ``if_none_match``. Checked in the transaction that writes."""

    if_match: str | None = None
    if_none_match: str | None = None


NO_CONDITIONS = WriteConditions()
BUCKET = (
    "SELECT created, notification, tags, versioning, lock, encryption, lifecycle, owner, ownership, acl, policy,"
    " public_block, cors, website, replication, logging, payer FROM buckets WHERE name = ?"
)


def rows(connection: apsw.Connection, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    return list(connection.execute(sql, params))


def bucket_state(connection: apsw.Connection, bucket: str) -> Bucket:
    """Raises NoSuchBucket."""
    found = rows(connection, BUCKET, (bucket,))
    if not found:
        raise no_such_bucket(bucket)
    return Bucket(*found[0])


def check_conditions(connection: apsw.Connection, bucket: str, key: str, conditions: WriteConditions) -> None:
    if conditions.if_match is None and conditions.if_none_match is None:
        return
    found = rows(connection, "SELECT etag FROM objects WHERE bucket = ? AND key = ?", (bucket, key))
    if conditions.if_none_match is not None and found:
        raise precondition_failed("If-None-Match")
    if conditions.if_match is not None:
        if not found:
            raise no_such_key(key)
        if not matches(conditions.if_match, found[0][0]):
            raise precondition_failed("If-Match")


def next_id(connection: apsw.Connection) -> int:
    """The next id of an object, spent: as a sequencer, with which a removal sorts after the write it removes, or for a
    version."""
    return next_ids(connection, 1)[0]


def next_ids(connection: apsw.Connection, count: int) -> range:
    counted = "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'objects' RETURNING seq"
    begun = "INSERT INTO sqlite_sequence(name, seq) VALUES('objects', ?) RETURNING seq"
    last: int = (rows(connection, counted, (count,)) or rows(connection, begun, (count,)))[0][0]
    return range(last - count + 1, last + 1)


def drop_pieces(connection: apsw.Connection, number: int) -> list[str]:
    dropped = rows(connection, "DELETE FROM pieces WHERE object = ? RETURNING blob", (number,))
    return unreferenced(connection, [row[0] for row in dropped])


def drop_upload(connection: apsw.Connection, upload_id: str, *, bucket: str = "", key: str = "") -> list[str]:
    """Raises NoSuchUpload where bucket and key are given and there is none."""
    found = rows(connection, "DELETE FROM uploads WHERE id = ? RETURNING bucket, key", (upload_id,))
    if bucket and found != [(bucket, key)]:
        raise no_such_upload(upload_id)
    blobs = [row[0] for row in rows(connection, "DELETE FROM parts WHERE upload = ? RETURNING blob", (upload_id,))]
    return unreferenced(connection, blobs)


def check_parts(connection: apsw.Connection, upload_id: str, pieces: Iterable[Piece]) -> None:
    """A part sent again meanwhile has another blob; the one that was about to be used is doomed."""
    held = {row[0] for row in rows(connection, "SELECT blob FROM parts WHERE upload = ?", (upload_id,))}
    if not held:
        raise no_such_upload(upload_id)
    if any(piece.blob not in held for piece in pieces):
        raise error("InvalidPart", "One or more of the specified parts was replaced while the upload was completed.")


def unreferenced(connection: apsw.Connection, blobs: Iterable[str]) -> list[str]:
    sql = "SELECT EXISTS(SELECT 1 FROM pieces WHERE blob = ?1) OR EXISTS(SELECT 1 FROM parts WHERE blob = ?1)"
    return [blob for blob in dict.fromkeys(blobs) if not rows(connection, sql, (blob,))[0][0]]
