"""Large files in parts: what the place above has taken of one stays taken when the link breaks, while the core runs.

An upload goes on as long as the file is what it was when it began, under the key that it began with. One that a stop of
the core cut off is left there unfinished; the file is begun anew.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from littoral.core.answers import between
from littoral.core.upward import Declined, Unreachable, Upward
from littoral.net.message import Headers

PART: Final = 5 * 1024 * 1024  # bytes, the least that S3 takes; more where there would be too many
MOST_PARTS: Final = 10_000
GONE: Final = "NoSuchUpload"

State = tuple[int, int, int, int]


@dataclass(slots=True)
class Upload:
    sequence: int  # of the message that asked for it
    path: str  # /BUCKET/KEY, quoted
    file: State
    identifier: str
    tags: list[str] = field(default_factory=list)  # of the parts that were taken, in order


class Multipart:
    def __init__(self, upward: Upward) -> None:
        self._upward = upward
        self._uploads: dict[str, Upload] = {}  # by export

    async def send(self, export: str, sequence: int, path: str, headers: Mapping[str, str], file: BinaryIO) -> None:
        """The whole file; ``headers`` are the object's. Raises Unreachable: some of it may have been taken, and is not
        sent again; Declined; OSError where the file became shorter."""
        upload = await self._upload(export, sequence, path, headers, _state(file))
        size = upload.file[1]
        part = max(PART, -(-size // MOST_PARTS))
        try:
            while len(upload.tags) * part < size:
                data = await asyncio.to_thread(_read, file, len(upload.tags) * part, min(part, size))
                number = len(upload.tags) + 1
                answered, _ = await self._asked("PUT", upload, f"partNumber={number}&", data)
                upload.tags.append(answered.get("etag") or "")
            _, said = await self._asked("POST", upload, "", _list(upload.tags))
            if b"<Error>" in said:  # S3 begins its answer before it is done
                raise Unreachable(f"{upload.path} is not put together: {said[:200].decode(errors='replace')}")
        except Declined as refused:
            if refused.code == GONE:
                del self._uploads[export]
                raise Unreachable(f"{upload.path}: what was taken of it is gone") from refused
            raise
        del self._uploads[export]

    async def forget(self, export: str) -> None:
        """Nothing comes of it any more. Raises Unreachable, Declined."""
        upload = self._uploads.pop(export, None)
        if upload is not None:
            await self._asked("DELETE", upload, "", b"")

    async def _upload(self, export: str, sequence: int, path: str, headers: Mapping[str, str], state: State) -> Upload:
        """The one that is under way, or a new one."""
        known = self._uploads.get(export)
        if known is not None and (known.sequence, known.file) == (sequence, state):
            return known
        await self.forget(export)
        _, said = await self._upward.object("POST", f"{path}?uploads", Headers.of(list(headers.items())), b"")
        made = self._uploads[export] = Upload(sequence, path, state, between(said.decode(), "UploadId"))
        return made

    async def _asked(self, method: str, upload: Upload, more: str, body: bytes) -> tuple[Headers, bytes]:
        path = f"{upload.path}?{more}uploadId={quote(upload.identifier, safe='-_.~')}"
        return await self._upward.object(method, path, Headers(), body)


def _state(file: BinaryIO) -> State:
    found = os.fstat(file.fileno())
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_dev


def _read(file: BinaryIO, start: int, size: int) -> bytes:
    """Raises OSError."""
    file.seek(start)
    data = file.read(size)
    if not data:
        raise OSError("it became shorter while it was sent")
    return data


def _list(tags: list[str]) -> bytes:
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(tag)}</ETag></Part>"
        for number, tag in enumerate(tags, 1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
