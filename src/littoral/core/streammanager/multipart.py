"""Large files in parts: what the place above has taken of one stays taken, whatever breaks: the link, or the core.

An upload goes on as long as the file is what it was when it began, under the key that it began with. Which upload it is
is durable before its first part; which parts of it were taken the place above is asked after a start of the core.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final
from urllib.parse import quote
from xml.sax.saxutils import escape, unescape

from littoral.core.answers import between
from littoral.core.region.state import everything
from littoral.core.upward import Declined, Unreachable, Upward
from littoral.net.message import Headers
from littoral.store.contract import Records
from littoral.store.documents import Document, Documents

log = logging.getLogger(__name__)

KEPT: Final = "streammanager/upload/"
PART: Final = 5 * 1024 * 1024  # bytes, the least that S3 takes; more where there would be too many
MOST_PARTS: Final = 10_000
GONE, DENIED = "NoSuchUpload", "AccessDenied"

_QUOTES: Final = {"&quot;": '"', "&#34;": '"'}
State = tuple[int, int, int]


@dataclass(slots=True)
class Upload:
    sequence: int  # of the message that asked for it
    path: str  # /BUCKET/KEY, quoted
    file: State
    identifier: str
    tags: list[str] = field(default_factory=list)  # of the parts that were taken, in order

    def size_of(self, number: int) -> int:
        """Of the part of that number, from 1 on; 0 behind the last one."""
        whole, usual = self.file[1], max(PART, -(-self.file[1] // MOST_PARTS))
        return max(0, min(usual, whole - (number - 1) * usual))

    @property
    def document(self) -> Document:
        return {"sequence": self.sequence, "path": self.path, "file": self.file, "identifier": self.identifier}


class Multipart:
    """What it keeps of an upload is in ``records``, by export."""

    def __init__(self, upward: Upward, records: Records) -> None:
        self._upward = upward
        self._kept = Documents(records, KEPT)
        self._uploads: dict[str, Upload] = {}  # by export; with what was taken of them

    async def send(self, export: str, sequence: int, path: str, headers: Mapping[str, str], file: BinaryIO) -> None:
        """The whole file; ``headers`` are the object's. Raises Unreachable: some of it may have been taken, and is not
        sent again; Declined; StoreError; OSError where the file became shorter."""
        try:
            upload = await self._upload(export, sequence, path, headers, _state(file))
            start = sum(map(upload.size_of, range(1, len(upload.tags) + 1)))
            while size := upload.size_of(number := len(upload.tags) + 1):
                data = await asyncio.to_thread(_read, file, start, size)
                answered, _ = await self._asked("PUT", upload, f"partNumber={number}&", data)
                upload.tags.append(answered.get("etag") or "")
                start += size
            _, said = await self._asked("POST", upload, "", _list(upload.tags))
        except Declined as refused:
            if refused.code != GONE:
                raise
            await self._forgotten(export)
            raise Unreachable(f"{path}: what was taken of it is gone") from refused
        if b"<Error>" in said:  # S3 begins its answer before it is done
            raise Unreachable(f"{upload.path} is not put together: {said[:200].decode(errors='replace')}")
        await self._forgotten(export)

    async def forget(self, export: str) -> None:
        """Nothing comes of it any more. Raises Unreachable, Declined, StoreError."""
        upload = self._uploads.get(export) or await self._known(export)
        if upload is None:
            return
        try:
            await self._asked("DELETE", upload, "", b"")
        except Declined as refused:
            if refused.code != GONE:
                await self._forgotten(export)
                raise
        await self._forgotten(export)

    async def forget_all_but(self, exports: Collection[str]) -> None:
        """Of those that there are not any more. Raises StoreError."""
        for export, _ in await everything(self._kept):
            if export not in exports:
                try:
                    await self.forget(export)
                except (Unreachable, Declined) as problem:
                    log.warning("parts of a file stay at the place above: %s", problem)

    async def _upload(self, export: str, sequence: int, path: str, headers: Mapping[str, str], state: State) -> Upload:
        """The one that is under way, or a new one."""
        known = self._uploads.get(export) or await self._known(export)
        if known is not None and (known.sequence, known.file) == (sequence, state):
            if export not in self._uploads:
                known.tags = await self._taken(known)
                self._uploads[export] = known
            return known
        await self.forget(export)
        _, said = await self._upward.object("POST", f"{path}?uploads", Headers.of(list(headers.items())), b"")
        made = Upload(sequence, path, state, between(said.decode(), "UploadId"))
        await self._kept.put(export, made.document)
        self._uploads[export] = made
        return made

    async def _known(self, export: str) -> Upload | None:
        found = await self._kept.get(export)
        return None if found is None else Upload(**{**found, "file": tuple(found["file"])})

    async def _forgotten(self, export: str) -> None:
        self._uploads.pop(export, None)
        await self._kept.delete(export)

    async def _taken(self, upload: Upload) -> list[str]:
        """The tags of its parts, up to the first that is not there as it should be; none where a role may not ask."""
        tags: list[str] = []
        while True:
            try:
                _, said = await self._asked("GET", upload, f"part-number-marker={len(tags)}&", b"")
            except Declined as refused:
                if refused.code != DENIED:
                    raise
                log.warning(
                    "%s is sent from its beginning: which parts were taken is not told: %s", upload.path, refused
                )
                return []
            before, text = len(tags), said.decode(errors="replace")
            for number, size, tag in _parts(text):
                if (number, size) != (len(tags) + 1, upload.size_of(number)):
                    return tags
                tags.append(tag)
            if between(text, "IsTruncated") != "true" or len(tags) == before:
                return tags

    async def _asked(self, method: str, upload: Upload, more: str, body: bytes) -> tuple[Headers, bytes]:
        path = f"{upload.path}?{more}uploadId={quote(upload.identifier, safe='-_.~')}"
        return await self._upward.object(method, path, Headers(), body)


def _state(file: BinaryIO) -> State:
    found = os.fstat(file.fileno())
    return found.st_ino, found.st_size, found.st_mtime_ns  # a device's number may be another after a boot


def _read(file: BinaryIO, start: int, size: int) -> bytes:
    """Raises OSError."""
    file.seek(start)
    data = file.read(size)
    if not data:
        raise OSError("it became shorter while it was sent")
    return data


def _parts(text: str) -> Iterator[tuple[int, int, str]]:
    """Number, size and tag of each in a ListPartsResult. Raises Unreachable for what is none."""
    for each in text.split("<Part>")[1:]:
        try:
            yield int(between(each, "PartNumber")), int(between(each, "Size")), unescape(between(each, "ETag"), _QUOTES)
        except ValueError as problem:
            raise Unreachable(f"the list of parts from above cannot be read: {problem}") from problem


def _list(tags: list[str]) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
        for number, tag in enumerate(tags, 1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
