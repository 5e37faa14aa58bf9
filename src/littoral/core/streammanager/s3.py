"""Uploads of files to buckets of the place above: each message of the stream is a task, an S3ExportTaskDefinition.

A file is one PutObject, or an upload in parts from the export's ``sizeThresholdForMultipartUploadBytes`` on
(``multipart.py``). Only files in components' work folders are sent: the core reads them by its
own rights, and a component must not get at the core's keys by them. How a task goes is told in the export's status
stream, where it has one, as AWS's stream manager does; what cannot be done is told there, and the next has its turn.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import os
import re
import stat
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote, unquote, urlsplit

from littoral.core.streammanager.exports import Done
from littoral.core.streammanager.log import Kept
from littoral.core.streammanager.multipart import Multipart
from littoral.core.streammanager.streams import MessageStream, MessageStreams
from littoral.core.upward import Declined, Unreachable, Upward
from littoral.net.message import Headers
from littoral.protocols.streammanager.definition import Export, Level
from littoral.protocols.streammanager.wire import Refused
from littoral.store.contract import Records, StoreError

log = logging.getLogger(__name__)

SUCCESS, FAILURE, IN_PROGRESS = 0, 1, 2
CHUNK = 256 * 1024
# What passes when the clock, the credentials or the policies are put right: the task waits for it.
PASSING: Final = frozenset(
    ("403", "AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "RequestTimeTooSkewed", "SignatureDoesNotMatch")
)
_STAMP: Final = re.compile(r"!\{timestamp:([a-zA-Z/]+)\}")
_PARTS: Final = {"yyyy": "%Y", "YYYY": "%Y", "MM": "%m", "dd": "%d", "DD": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}


class BadTask(Exception):
    """It will never be done."""


@dataclass(frozen=True, slots=True)
class Task:
    file: Path
    bucket: str
    key: str
    metadata: Mapping[str, str]


def task_of(payload: bytes, now: float) -> Task:
    """Raises BadTask."""
    try:
        given = json.loads(payload)
        address, bucket, key = (str(given[member]) for member in ("inputUrl", "bucket", "key"))
        metadata = {str(name): str(value) for name, value in (given.get("userMetadata") or {}).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise BadTask(f"this is no S3ExportTaskDefinition: {problem!r}") from problem
    parts = urlsplit(address)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        raise BadTask(f"inputUrl must be file:/path, not {address}")
    return Task(Path(unquote(parts.path)), bucket, _stamped(key, now), metadata)


def _stamped(key: str, now: float) -> str:
    """With the moment instead of ``!{timestamp:yyyy/MM/dd}``. Raises BadTask."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)

    def written(found: re.Match[str]) -> str:
        letters = re.findall(r"([a-zA-Z])(\1*)|(/)", found[1])
        groups = [first + more or slash for first, more, slash in letters]
        if unknown := [each for each in groups if each not in _PARTS and each != "/"]:
            raise BadTask(f"the key's timestamp has {unknown[0]}, which is none of {', '.join(_PARTS)}")
        return moment.strftime("".join(_PARTS.get(each, each) for each in groups))

    return _STAMP.sub(written, key)


def opened(path: Path, folder: Path) -> BinaryIO:
    """A regular file within ``folder``, wherever links lead: what counts is what was opened. Raises BadTask."""
    try:
        file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    except OSError as problem:
        raise BadTask(f"{path} cannot be read: {problem.strerror}") from problem
    actual = Path(f"/proc/self/fd/{file.fileno()}").readlink()
    if actual.is_relative_to(folder.resolve()) and stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise BadTask(f"{path} is no file in a component's work folder; this core uploads nothing else")


class S3Tasks:
    """``folder`` is where files may be; uploads that go on after a start of the core are in ``records``."""

    def __init__(self, upward: Upward, streams: MessageStreams, folder: Path, records: Records) -> None:
        self._upward = upward
        self._streams = streams
        self._folder = folder
        self._multipart = Multipart(upward, records)
        self._begun: dict[str, int] = {}  # by export: the task whose begin was told
        self._swept = False

    async def send(self, stream: MessageStream, export: Export, batch: Sequence[Kept]) -> Done:
        message = batch[0]
        key = stream.key_of(export)
        await self._sweep()
        try:
            task = task_of(message.payload, time.time())
            if self._begun.get(key) != message.sequence:
                self._begun[key] = message.sequence
                await self._tell(stream, export, message, IN_PROGRESS, Level.INFO, "")
            await self._upload(task, export, key, message.sequence)
        except BadTask as problem:
            await self._given_up(key)
            await self._tell(stream, export, message, FAILURE, Level.ERROR, str(problem))
            return Done(1, str(problem))
        await self._tell(stream, export, message, SUCCESS, Level.INFO, "")
        return Done(1)

    async def _upload(self, task: Task, export: Export, name: str, sequence: int) -> None:
        """``name`` of the export. Raises BadTask, Unreachable."""
        with await asyncio.to_thread(opened, task.file, self._folder) as file:
            size = os.fstat(file.fileno()).st_size
            described = {f"x-amz-meta-{each}": value for each, value in task.metadata.items()}
            path = f"/{task.bucket}/{quote(task.key, safe='/-_.~')}"
            try:
                if size > export.in_parts_from:
                    await self._multipart.send(name, sequence, path, described, file)
                else:
                    headers = Headers.of([("content-length", str(size)), *described.items()])
                    await self._upward.put(path, headers, _read(file, size))
            except Declined as refused:
                if refused.code in PASSING:
                    raise Unreachable(str(refused)) from refused
                raise BadTask(str(refused)) from refused
            except (ValueError, OSError) as problem:
                raise BadTask(f"{task.file} cannot be sent: {problem}") from problem

    async def _sweep(self) -> None:
        """Once, what an earlier run of the core began for streams that are deleted. Raises StoreError."""
        if not self._swept:
            self._swept = True
            there = self._streams.all.values()
            await self._multipart.forget_all_but(
                {each.key_of(one) for each in there for one in each.definition.exports}
            )

    async def _given_up(self, export: str) -> None:
        try:
            await self._multipart.forget(export)
        except (Unreachable, Declined) as problem:
            log.warning("parts of a file stay at the place above: %s", problem)

    async def _tell(
        self, stream: MessageStream, export: Export, message: Kept, status: int, level: Level, text: str
    ) -> None:
        """A StatusMessage, where somebody wants to know so much."""
        if export.status_stream is None or level > export.status_level:
            return
        context: dict[str, Any] = {
            "exportIdentifier": export.identifier,
            "streamName": stream.definition.name,
            "sequenceNumber": message.sequence,
        }
        try:
            context["s3ExportTaskDefinition"] = json.loads(message.payload)
        except ValueError:
            text = text or "this is no S3ExportTaskDefinition"
        told = {
            "eventType": 0,
            "statusLevel": int(level),
            "status": status,
            "statusContext": context,
            "message": text,
            "timestampEpochMs": int(time.time() * 1000),
        }
        try:
            await self._streams.append(export.status_stream, json.dumps(told).encode())
        except (Refused, StoreError) as problem:
            log.warning("the status of export %s cannot be told: %s", export.identifier, problem)


async def _read(file: BinaryIO, size: int) -> AsyncIterator[bytes]:
    """So many bytes, however the file grows meanwhile. Raises OSError where it has shrunk."""
    while size:
        chunk = await asyncio.to_thread(file.read, min(CHUNK, size))
        if not chunk:
            raise OSError("it became shorter while it was sent")
        size -= len(chunk)
        yield chunk
