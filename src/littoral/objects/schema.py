"""The tables of the index, and how those of an older place become these.

``objects`` has the current object of each key and nothing else, so that what most requests ask for is one row of one
table. ``versions`` has what is behind it in buckets that keep versions, and the delete markers, also where one is the
newest of its key. Ids count up over both: the newest of a key has the greatest, and a row keeps its id (and so its
pieces) when it goes from one table to the other. ``retired`` is when it ceased to be the current one. ``completed`` is
what became of uploads, for those who ask again because they never heard.
"""

from __future__ import annotations

import apsw

SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets(
    name TEXT PRIMARY KEY, created REAL NOT NULL, notification TEXT, tags TEXT, versioning TEXT,
    lock TEXT, encryption TEXT, lifecycle TEXT, owner TEXT, ownership TEXT, acl TEXT, policy TEXT,
    public_block TEXT, cors TEXT, website TEXT, replication TEXT, logging TEXT, payer TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects(
    id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL,
    etag TEXT NOT NULL, modified REAL NOT NULL, facts TEXT NOT NULL, tags TEXT, inline BLOB,
    version TEXT NOT NULL DEFAULT 'null', locked TEXT, replication TEXT, UNIQUE(bucket, key));
CREATE TABLE IF NOT EXISTS versions(
    id INTEGER PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified REAL NOT NULL, facts TEXT NOT NULL, tags TEXT, inline BLOB, version TEXT NOT NULL,
    marker INTEGER NOT NULL DEFAULT 0, retired REAL NOT NULL, locked TEXT, replication TEXT);
CREATE UNIQUE INDEX IF NOT EXISTS versions_by_key ON versions(bucket, key, id DESC);
CREATE TABLE IF NOT EXISTS pieces(
    object INTEGER NOT NULL, seq INTEGER NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL,
    PRIMARY KEY(object, seq)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pieces_by_blob ON pieces(blob);
CREATE TABLE IF NOT EXISTS uploads(
    id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, initiated REAL NOT NULL, facts TEXT NOT NULL,
    tags TEXT, algorithm TEXT, kind TEXT, locked TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads(bucket, key, id);
CREATE TABLE IF NOT EXISTS parts(
    upload TEXT NOT NULL, number INTEGER NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    checksum TEXT, modified REAL NOT NULL, PRIMARY KEY(upload, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS parts_by_blob ON parts(blob);
CREATE TABLE IF NOT EXISTS completed(
    upload TEXT PRIMARY KEY, bucket TEXT NOT NULL, key TEXT NOT NULL, etag TEXT NOT NULL, object INTEGER NOT NULL,
    version TEXT, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS completed_by_time ON completed(at);
CREATE TABLE IF NOT EXISTS outbox(
    id INTEGER PRIMARY KEY AUTOINCREMENT, function TEXT NOT NULL, event TEXT NOT NULL, made REAL NOT NULL,
    due REAL NOT NULL, attempts INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS outbox_by_due ON outbox(due, id);
CREATE TABLE IF NOT EXISTS replications(
    id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL,
    version TEXT NOT NULL, marker INTEGER NOT NULL, made REAL NOT NULL, due REAL NOT NULL, attempts INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS replications_by_key ON replications(target, bucket, key, id);
CREATE TABLE IF NOT EXISTS away(
    blob TEXT PRIMARY KEY, size INTEGER NOT NULL, target TEXT NOT NULL, key TEXT NOT NULL, version TEXT NOT NULL,
    etag TEXT NOT NULL, at INTEGER NOT NULL, sums BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used(blob TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS damaged(name TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scrub(one INTEGER PRIMARY KEY CHECK(one = 1), state TEXT NOT NULL);
"""

ADDED = {  # since the first form
    "buckets": (
        *("versioning TEXT", "lock TEXT", "encryption TEXT", "lifecycle TEXT"),
        *("owner TEXT", "ownership TEXT", "acl TEXT", "policy TEXT", "public_block TEXT", "cors TEXT"),
        *("website TEXT", "replication TEXT", "logging TEXT", "payer TEXT"),
    ),
    "objects": ("version TEXT NOT NULL DEFAULT 'null'", "locked TEXT", "replication TEXT"),
    "versions": ("locked TEXT", "replication TEXT"),
    "uploads": ("locked TEXT",),
}


def upgrade(connection: apsw.Connection) -> None:
    """Add the columns that a place made by an earlier release lacks."""
    for table, columns in ADDED.items():
        there = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for column in columns:
            if column.split()[0] not in there:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column}")
