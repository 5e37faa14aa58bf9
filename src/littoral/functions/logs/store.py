"""``Logs``: all log groups of a place.

Owns: the batch of lines that waits to be written, the one thread on which files are read and written, and which
groups there are. Knows no CloudWatch API.

Two ways in. What functions print and the platform says of them (``append``, ``channel``) is written a quarter of a
second behind, without fsync: it is not acknowledged to anybody, so a killed place may lose the last lines and nothing
else. What an execution came to is formatted then, too, on the thread. What another program puts (``put``) is
acknowledged, and durable before it is. Every read writes out what waits before.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from littoral.functions import platformlog
from littoral.functions.logs.group import Event, Group, Page, Query, Settings
from littoral.functions.logs.segment import Entry, Run, plain
from littoral.functions.platformlog import Report
from littoral.store.contract import StorageFailed

log = logging.getLogger(__name__)

FLUSH_AFTER = 0.25  # seconds
LONGEST_NAME = 200  # bytes of a folder's name that are made from a group's
TRASH = "deleted-"

T = TypeVar("T")
Said = tuple[float, str, Sequence[bytes]]  # when, stream, lines
Pending = dict[str, list[Said | Report]]


class Channel:
    """The way into one group. ``pending`` is another list after each flush."""

    __slots__ = ("pending",)

    def __init__(self) -> None:
        self.pending: list[Said | Report] = []


class NoGroup(LookupError):
    """There is no such log group."""


class Logs:
    def __init__(self, folder: Path, *, clock: Callable[[], float], bytes_per_group: int) -> None:
        self._folder = folder
        self._clock = clock
        self._bytes = bytes_per_group
        self._channels: dict[str, Channel] = {}
        self.before_flush: Callable[[], None] = _nothing  # who has something to say of what is under way says it
        self.asleep = True  # nothing will be written before somebody calls ``wake``
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="function-logs")
        self._loaded: dict[str, Group] | None = None  # belongs to the thread

    # ------------------------------------------------------------------------------------ functions' lines

    def append(self, group: str, stream: str, *lines: bytes) -> None:
        """Lines of UTF-8 without their ends."""
        if not lines:  # a part of a line has come, or a level lets nothing through
            return
        self.channel(group).pending.append((self._clock(), stream, lines))
        if self.asleep:
            self.wake()

    def channel(self, group: str) -> Channel:
        """Whoever adds to it sees to it that the logs are not asleep."""
        channel = self._channels.get(group)
        if channel is None:
            channel = self._channels[group] = Channel()
        return channel

    def wake(self) -> None:
        self.asleep = False
        self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER, self._due)

    async def flush(self) -> None:
        """Write what waits; returns when it and every earlier write is in the files."""
        while self._writing is not None or self._waits():
            if self._writing is None:
                self._due()
            await asyncio.shield(self._writing)  # type: ignore[arg-type]

    async def close(self) -> None:
        await self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._thread.shutdown()

    def _due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waits():
            self.asleep = True
            return
        self.asleep = False
        batch: Pending = {}
        for name, channel in self._channels.items():
            if channel.pending:
                batch[name], channel.pending = channel.pending, []
        self._writing = asyncio.get_running_loop().create_task(self._write(batch))

    def _waits(self) -> bool:
        self.before_flush()
        return any(channel.pending for channel in self._channels.values())

    async def _write(self, batch: Pending) -> None:
        """One batch. What came meanwhile waits its quarter of a second, so that a busy place writes large batches."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._store, batch)
        except OSError as error:  # a full disk: functions must go on, their lines are lost
            log.warning("function logs could not be written: %s", error)
        finally:
            self._writing = None
            self.wake()

    def _store(self, batch: Pending) -> None:
        now = self._now()
        for name, lines in batch.items():
            runs = _runs(lines, now)
            if runs:  # a level may let nothing through
                group = self._groups().get(name) or self._made(Settings(name, runs[0][0]))
                group.append(runs, durable=False)

    # ------------------------------------------------------------------------------------ for the API

    async def read(
        self, group: str, *, since: float = 0.0, stream: str | None = None, limit: int = 10_000
    ) -> list[Event]:
        """The latest events of a group from ``since`` (Unix seconds) on, oldest first, as many as one answer bears;
        empty for an unknown group."""
        streams = None if stream is None else frozenset((stream,))
        query = Query(start=int(since * 1000), streams=streams, newest=True, limit=limit)
        try:
            return (await self.select(group, query)).events
        except NoGroup:
            return []

    async def groups(self) -> list[str]:
        return await self.run(sorted)

    async def select(self, group: str, query: Query) -> Page:
        """See ``Group.select``. Raises NoGroup."""
        return await self.on(group, lambda found: found.select(query, self._now()))

    async def put(self, group: str, entries: Sequence[Entry]) -> None:
        """Durable when it returns. Raises NoGroup, StorageFailed."""
        await self.on(group, lambda found: found.append([each.alone() for each in entries], durable=True))

    async def create(self, settings: Settings) -> bool:
        """Make a group, durably; False when it was there. Raises StorageFailed."""

        def make(groups: dict[str, Group]) -> bool:
            if settings.name in groups:
                return False
            self._made(settings)
            return True

        return await self.run(make)

    async def delete(self, group: str) -> None:
        """Delete a group and its events, durably. A function that goes on makes it anew. Raises NoGroup."""

        def remove(groups: dict[str, Group]) -> None:
            if group not in groups:
                raise NoGroup(group)
            groups[group].remove(self._folder / f"{TRASH}{secrets.token_hex(8)}")
            del groups[group]

        await self.run(remove)

    async def change(self, group: str, change: Callable[[Settings], T]) -> T:
        """Change what is set of a group, durably or not at all. Raises NoGroup, StorageFailed, what ``change`` does."""

        def work(found: Group) -> T:
            before = found.settings
            found.settings = Settings(before.name, before.created, before.retention, dict(before.tags))
            found.settings.streams = dict(before.streams)
            try:
                result = change(found.settings)
                found.save()
            except BaseException:
                found.settings = before
                raise
            return result

        return await self.on(group, work)

    async def on(self, group: str, work: Callable[[Group], T]) -> T:
        """Run ``work`` on the thread. Raises NoGroup, StorageFailed."""

        def with_group(groups: dict[str, Group]) -> T:
            found = groups.get(group)
            if found is None:
                raise NoGroup(group)
            return work(found)

        return await self.run(with_group)

    async def run(self, work: Callable[[dict[str, Group]], T]) -> T:
        """Run ``work`` over all groups on the thread, after what waits was written. Raises StorageFailed."""
        await self.flush()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(self._groups()))
        except OSError as error:
            raise StorageFailed(f"logs: {error}") from error

    async def sweep(self) -> None:
        """Remove what is past its group's retention."""

        def expire(groups: dict[str, Group]) -> None:
            for group in groups.values():
                group.expire(self._now())

        await self.run(expire)

    def _now(self) -> int:
        return int(self._clock() * 1000)

    # ------------------------------------------------------------------------------------ on the thread

    def _groups(self) -> dict[str, Group]:
        if self._loaded is None:
            self._loaded = {}
            for folder in self._folder.iterdir() if self._folder.is_dir() else ():
                if folder.name.startswith(TRASH):
                    shutil.rmtree(folder, ignore_errors=True)
                    continue
                try:
                    group = Group.load(folder, self._bytes)
                except (OSError, ValueError, KeyError, TypeError) as problem:
                    log.warning("the log group in %s cannot be read: %s", folder, problem)
                else:
                    self._loaded[group.settings.name] = group
        return self._loaded

    def _made(self, settings: Settings) -> Group:
        group = Group(self._folder / _folder_name(settings.name), settings, self._bytes)
        group.save()
        self._groups()[settings.name] = group
        return group


def _runs(entries: Iterable[Said | Report], now: int) -> list[Run]:
    """What one stream got in one millisecond is written at once."""
    runs: list[Run] = []
    moment, last = -1, ""
    texts: list[bytes] = []

    def add(timestamp: int, stream: str, text: bytes) -> None:
        nonlocal moment, last, texts
        if timestamp != moment or stream != last:
            if texts:
                runs.append((moment, now, last, b"\n".join(texts)))
            moment, last, texts = timestamp, stream, []
        texts.append(text)

    for entry in entries:
        if len(entry) == 3:
            add(int(entry[0] * 1000), entry[1], plain(entry[2]))
        else:
            platformlog.tell(entry, add)
    if texts:
        runs.append((moment, now, last, b"\n".join(texts)))
    return runs


def _nothing() -> None:
    """Nobody says anything."""


def _folder_name(group: str) -> str:
    """Never ``..``, never longer than a file system takes."""
    name = quote(group, safe="")
    return f"group-{name}" if len(name) <= LONGEST_NAME else f"hash-{hashlib.sha256(group.encode()).hexdigest()}"
