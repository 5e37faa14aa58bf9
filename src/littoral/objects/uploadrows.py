"""Multipart uploads and their parts in the index."""

from __future__ import annotations

from typing import Any

import apsw

from littoral.objects.damagerows import DamageRows
from littoral.objects.errors import no_such_upload
from littoral.objects.facts import Completed, Facts, Piece, Upload, UploadedPart, dump_tags, load_tags
from littoral.objects.locks import load_lock
from littoral.objects.steps import bucket_state, drop_upload, rows, unreferenced


class UploadRows(DamageRows):
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

    def completed(self, bucket: str, key: str, upload_id: str) -> Completed | None:
        """What became of an upload, for as long as that is kept."""
        sql = "SELECT etag, object, version FROM completed WHERE upload = ? AND bucket = ? AND key = ?"
        found = self.read(sql, (upload_id, bucket, key))
        return Completed(*found[0]) if found else None

    async def forget_completed(self, before: float) -> None:
        await self._write(lambda connection: connection.execute("DELETE FROM completed WHERE at < ?", (before,)))

    def uploads(self, bucket: str, start: str, last: str | None, end: str | bytes, limit: int) -> list[tuple[Any, ...]]:
        """(key, id, initiated, algorithm, kind, facts) with start <= key < end, by key, then as begun; of the key
        ``start`` only those behind the id ``last``."""
        return self.read(
            "SELECT key, id, initiated, algorithm, kind, facts FROM uploads WHERE bucket = ?1 AND key >= ?2"
            " AND key < ?3 AND (?4 IS NULL OR key > ?2 OR id > ?4) ORDER BY key, id LIMIT ?5",
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
