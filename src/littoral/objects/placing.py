"""One new object in the index, within a transaction that may place many."""

from __future__ import annotations

from dataclasses import dataclass

import apsw

from littoral.objects.events import Origin
from littoral.objects.facts import Bucket, Content, Facts, Tags, dump_tags
from littoral.objects.locks import Lock
from littoral.objects.replication.rows import PENDING, REPLICA, VERSION, queue
from littoral.objects.replication.rules import targets_of
from littoral.objects.steps import next_id, unreferenced
from littoral.objects.versions import COLUMNS, ENABLED, NULL, make_room, version_of


@dataclass(frozen=True, slots=True)
class New:
    key: str
    content: Content
    facts: Facts


def place(
    connection: apsw.Connection,
    held: Bucket,
    bucket: str,
    new: New,
    tags: Tags,
    locked: Lock | None,
    origin: Origin,
) -> tuple[int, str | None, list[str]]:
    """What is there is replaced or retired. Its id, its version (None where the bucket never kept any), and the blobs
    that went."""
    key, content, facts = new.key, new.content, new.facts
    state = held.versioning
    doomed = make_room(connection, bucket, key, state, origin.now)
    number = next_id(connection)
    version = (origin.replica or version_of(number)) if state == ENABLED else NULL
    sent_to = [] if origin.replica else targets_of(held.replication, key, tags, facts)
    status = REPLICA if origin.replica else PENDING if sent_to else None
    if sent_to:
        queue(connection, sent_to, bucket, key, version, VERSION, origin.now)
    connection.execute(
        f"INSERT INTO objects({COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(number, bucket, key, content.size, content.etag, origin.now),
            *(facts.dump(), dump_tags(tags), content.inline, version),
            *(locked.dump() if locked else None, status),
        ),
    )
    if content.pieces:
        connection.executemany(
            "INSERT INTO pieces VALUES(?, ?, ?, ?)",
            ((number, seq, piece.blob, piece.size) for seq, piece in enumerate(content.pieces)),
        )
    return number, None if state is None else version, unreferenced(connection, doomed) if doomed else []
