"""Log files to the place above, every so often and at each connect; what was sent is behind a durable position.

A log is ``NAME.log`` and, older, ``NAME.log.1``; positions are by the files' identity (inode and beginning, for an
inode is used again), so a file that was renamed goes on where it was. A batch that was taken and not yet noted when the
power went is sent again. With the cable out the files wait, as long as their limits allow.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from littoral.core.logmanager.configuration import Settings, Upload, settings_of
from littoral.core.logmanager.events import LARGEST, MOST_EVENTS, LogEvent, batches_of, events_of
from littoral.core.logmanager.speakers import Speakers
from littoral.core.logmanager.systemlog import FILE, SystemLog
from littoral.core.upward import Declined, Unreachable, Upward
from littoral.store.contract import Records, StoreError
from littoral.store.documents import Documents

log = logging.getLogger(__name__)

CHUNK: Final = 1024 * 1024  # bytes read at once
HEAD: Final = 1024  # bytes that tell one file from another
WORDS: Final = "words/"  # before the name of a function's component: how far its words are uploaded
SYSTEM: Final = "System"  # the group of the core's own log
Position = dict[str, int]
"""How many bytes of each file are done, by its identity."""


class LogManager:
    """``folder`` is where the logs are."""

    def __init__(
        self,
        records: Records,
        upward: Upward,
        folder: Path,
        thing: str,
        region: str,
        form: logging.Formatter,
        speakers: Speakers,
    ) -> None:
        self._positions = Documents(records, "logmanager/")
        self._upward = upward
        self._folder = folder
        self._thing = thing
        self._region = region
        self._speakers = speakers
        self._system = SystemLog(folder, form)
        self._settings: Settings | None = None
        self._task: asyncio.Task[None] | None = None
        self._now = asyncio.Event()
        self._problem = ""
        self._warned: set[str] = set()  # names of functions

    async def play(self, configuration: Mapping[str, Any] | None) -> None:
        settings = None if configuration is None else settings_of(configuration)
        if settings == self._settings:
            return
        await self.close()
        self._settings = settings
        if settings is not None:
            if settings.system is not None:
                self._system.start()
            self._task = asyncio.ensure_future(self._follow(settings))

    async def close(self) -> None:
        self._settings = None
        self._system.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def connected(self) -> None:
        """The link is back: what waits goes now."""
        self._now.set()

    async def _follow(self, settings: Settings) -> None:
        while True:
            self._now.clear()
            await self._upload_all(settings)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(settings.interval):
                    await self._now.wait()

    async def _upload_all(self, settings: Settings) -> None:
        groups = {name: ("UserComponent", name, upload) for name, upload in settings.components.items()}
        if settings.system is not None:
            groups[FILE] = ("GreengrassSystemComponent", SYSTEM, settings.system)
        for file, (kind, name, upload) in groups.items():
            group = f"/aws/greengrass/{kind}/{self._region}/{name}"
            try:
                await self._upload(file, group, upload)
            except (Declined, StoreError, OSError) as problem:
                self._tell(f"the log of {name} was not uploaded: {problem}")
            except Unreachable as problem:
                self._tell(f"logs wait: {problem}")
                return

    def _tell(self, problem: str) -> None:
        if problem != self._problem:
            self._problem = problem
            log.warning("%s", problem)

    # ------------------------------------------------------------------------------------------------ one log

    async def _upload(self, name: str, group: str, upload: Upload) -> None:
        """Raises Declined, Unreachable, StoreError, OSError."""
        if self._speakers.known(name):
            await self._upload_words(name, group, upload)
            return
        position: Position = await self._positions.get(name) or {}
        there = {}
        for file in (self._folder / f"{name}.log.1", self._folder / f"{name}.log"):
            with contextlib.suppress(FileNotFoundError), file.open("rb") as opened:
                there[_identity(opened)] = file
        position = {identity: done for identity, done in position.items() if identity in there}
        for identity, file in there.items():
            await self._upload_file(name, group, upload, file, identity, position)
        self._make_room(name, upload, position)

    async def _upload_words(self, name: str, group: str, upload: Upload) -> None:
        """Of a function."""
        if (upload.deletes or upload.limit is not None) and name not in self._warned:
            self._warned.add(name)
            log.warning("diskSpaceLimit and deleteLogFileAfterCloudUpload mean nothing for the function %s", name)
        key = f"{WORDS}{name}"
        after = str((await self._positions.get(key) or {}).get("after", ""))
        while words := await self._speakers.words(name, after, MOST_EVENTS):
            events = [event for word in words for event in events_of(word.text.encode(), upload, word.at)]
            for day, batch in batches_of(events):
                await self._put(group, f"/{day}/thing/{self._thing}", batch)
            after = words[-1].mark
            await self._positions.put(key, {"after": after})

    async def _upload_file(
        self, name: str, group: str, upload: Upload, file: Path, identity: str, position: Position
    ) -> None:
        while True:
            done = position.get(identity, 0)
            data = await asyncio.to_thread(_read, file, identity, done)
            whole = _whole_lines(data, closed=file.name.endswith(".1"))
            if not whole:
                return
            for day, batch in batches_of(events_of(whole, upload, int(time.time() * 1000))):
                await self._put(group, f"/{day}/thing/{self._thing}", batch)
            position[identity] = done + len(whole)
            await self._positions.put(name, position)

    async def _put(self, group: str, stream: str, batch: list[LogEvent]) -> None:
        """Durable there. Group and stream are made when they are not."""
        events = [{"timestamp": each.at, "message": each.message} for each in batch]
        members = {"logGroupName": group, "logStreamName": stream, "logEvents": events}
        try:
            await self._upward.call("logs", "PutLogEvents", members)
        except Declined as problem:
            if problem.code != "ResourceNotFoundException":
                raise
            await self._make("CreateLogGroup", {"logGroupName": group})
            await self._make("CreateLogStream", {"logGroupName": group, "logStreamName": stream})
            await self._upward.call("logs", "PutLogEvents", members)

    async def _make(self, operation: str, members: Mapping[str, str]) -> None:
        try:
            await self._upward.call("logs", operation, members)
        except Declined as problem:
            if problem.code != "ResourceAlreadyExistsException":
                raise

    def _make_room(self, name: str, upload: Upload, position: Position) -> None:
        """The older file goes when it was sent and is not to stay, or when both take more than they may."""
        older, newer = self._folder / f"{name}.log.1", self._folder / f"{name}.log"
        try:
            with older.open("rb") as opened:
                size = os.fstat(opened.fileno()).st_size
                sent = position.get(_identity(opened), 0) >= size
        except FileNotFoundError:
            return
        size += newer.stat().st_size if newer.exists() else 0
        if (sent and upload.deletes) or (upload.limit is not None and size > upload.limit):
            older.unlink(missing_ok=True)
            if not sent:
                log.warning("%s goes before it was uploaded: the log is at its limit", older.name)


def _read(file: Path, identity: str, start: int) -> bytes:
    """Nothing where the file was renamed meanwhile. Raises OSError."""
    with file.open("rb") as opened:
        if _identity(opened) != identity:
            return b""
        opened.seek(start)
        return opened.read(CHUNK)


def _identity(file: BinaryIO) -> str:
    """Its inode, and its first line as soon as it has one, which does not change."""
    head = file.read(HEAD)
    line, newline, _ = head.partition(b"\n")
    begins = hashlib.sha256(line).hexdigest()[:16] if newline or len(head) == HEAD else ""
    return f"{os.fstat(file.fileno()).st_ino}.{begins}"


def _whole_lines(data: bytes, *, closed: bool) -> bytes:
    """Up to the last line's end; what is too long for an event, or will not go on, as it is."""
    end = data.rfind(b"\n") + 1
    return data if end == 0 and (closed or len(data) > LARGEST) else data[:end]
