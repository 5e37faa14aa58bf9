"""New objects in the index, within a transaction: one, or as many as an archive holds with few statements for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from littoral.objects.events import Origin
from littoral.objects.facts import Bucket, Content, Facts, Tags, dump_tags
from littoral.objects.locks import Lock
from littoral.objects.replication.rows import PENDING, REPLICA, VERSION, queue
from littoral.objects.replication.rules import targets_of
from littoral.objects.steps import next_ids, unreferenced
from littoral.objects.versions import COLUMNS, ENABLED, NULL, make_room, version_of

INSERT = f"INSERT INTO objects({COLUMNS}) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, slots=True)
class New:
    key: str
    content: Content
    facts: Facts


@dataclass(frozen=True, slots=True)
class Placed:
    """``version`` is None where the bucket never kept any."""

    number: int
    version: str | None


@dataclass(frozen=True, slots=True)
class Placing:
    """What new objects have alike: ``held`` is their bucket's row."""

    held: Bucket
    bucket: str
    tags: Tags
    locked: Lock | None
    origin: Origin

    def place(self, connection: apsw.Connection, made: Sequence[New]) -> tuple[list[Placed], list[str]]:
        """What is there is replaced or retired. What they are now, in their order, and the blobs that went."""
        placed: list[Placed] = []
        doomed: list[str] = []
        for run in [made] if len(made) == 1 else list(_distinct(made)):
            doomed += self._place(connection, run, placed)
        return placed, unreferenced(connection, doomed) if doomed else []

    def _place(self, connection: apsw.Connection, made: Sequence[New], placed: list[Placed]) -> list[str]:
        """``made`` have keys that differ."""
        state = self.held.versioning
        doomed = make_room(connection, self.bucket, [new.key for new in made], state, self.origin.now)
        inserted = []
        for number, new in zip(next_ids(connection, len(made)), made, strict=True):
            version = (self.origin.replica or version_of(number)) if state == ENABLED else NULL
            placed.append(Placed(number, None if state is None else version))
            inserted.append(self._row(number, new, version, self._replicated(connection, new, version)))
        connection.executemany(INSERT, inserted)
        pieces = [
            (one.number, seq, piece.blob, piece.size)
            for one, new in zip(placed[-len(made) :], made, strict=True)
            for seq, piece in enumerate(new.content.pieces)
        ]
        if pieces:
            connection.executemany("INSERT INTO pieces VALUES(?, ?, ?, ?)", pieces)
        return doomed

    def _replicated(self, connection: apsw.Connection, new: New, version: str) -> str | None:
        """Its state, once its way to every destination is noted."""
        if self.origin.replica:
            return REPLICA
        sent_to = targets_of(self.held.replication, new.key, self.tags, new.facts)
        if not sent_to:
            return None
        queue(connection, sent_to, self.bucket, new.key, version, VERSION, self.origin.now)
        return PENDING

    def _row(self, number: int, new: New, version: str, replication: str | None) -> tuple[Any, ...]:
        content = new.content
        return (
            *(number, self.bucket, new.key, content.size, content.etag, self.origin.now),
            *(new.facts.dump(), dump_tags(self.tags), content.inline, version),
            *(self.locked.dump() if self.locked else None, replication),
        )


def _distinct(made: Sequence[New]) -> Iterator[list[New]]:
    """Runs in which no key comes twice: of those the later one replaces the earlier."""
    run: dict[str, New] = {}
    for new in made:
        if new.key in run:
            yield list(run.values())
            run = {}
        run[new.key] = new
    if run:
        yield list(run.values())
