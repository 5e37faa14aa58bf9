"""Log groups of functions: what they print, and the platform's START, END and REPORT lines.

Owns: a bounded log per group, in files. Knows no CloudWatch API (a service over this may come).

A group is a folder with two files, ``current`` and ``previous``, of lines ``time stream message``; when ``current``
has half of the group's bytes it becomes ``previous``. Lines are written a quarter of a second behind, without fsync:
a log is not acknowledged, so a killed place may lose the last lines and nothing else. ``read`` writes out what waits
before it reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

log = logging.getLogger(__name__)

FLUSH_AFTER = 0.25  # seconds
TAIL = 4096  # bytes, Lambda's X-Amz-Log-Result


@dataclass(frozen=True, slots=True)
class LogEvent:
    timestamp: float  # Unix seconds
    stream: str
    message: str  # without the line end


class Logs:
    def __init__(self, folder: Path, *, clock: Callable[[], float], bytes_per_group: int) -> None:
        self._folder = folder
        self._clock = clock
        self._half = bytes_per_group // 2
        self._pending: dict[str, list[tuple[float, str, bytes]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._seen: set[str] = set()  # groups that this process has written to

    def append(self, group: str, stream: str, *lines: bytes) -> None:
        """Lines of UTF-8 without their ends. On the way of every invocation, so it does as little as it can."""
        pending = self._pending.get(group)
        if pending is None:
            pending = self._pending[group] = []
        now = self._clock()
        for line in lines:
            pending.append((now, stream, line))
        if self._timer is None and self._writing is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER, self._due)

    async def read(
        self, group: str, *, since: float = 0.0, stream: str | None = None, limit: int = 10_000
    ) -> list[LogEvent]:
        """The latest ``limit`` events of a group from ``since`` on, oldest first; empty for an unknown group."""
        await self.flush()
        folder = self._folder_of(group)

        def load() -> list[LogEvent]:
            events = (event for name in ("previous", "current") for event in _events(folder / name))
            return [event for event in events if event.timestamp >= since and stream in (None, event.stream)][-limit:]

        return await asyncio.to_thread(load)

    async def groups(self) -> list[str]:
        await self.flush()
        return await asyncio.to_thread(
            lambda: sorted(unquote(each.name) for each in self._folder.iterdir()) if self._folder.is_dir() else []
        )

    async def flush(self) -> None:
        """Write what waits; returns when it and every earlier write is in the files."""
        while self._writing is not None or self._pending:
            if self._writing is None:
                self._due()
            await asyncio.shield(self._writing)  # type: ignore[arg-type]

    async def close(self) -> None:
        await self.flush()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        """One batch. What came meanwhile waits its quarter of a second, so that a busy place writes large batches."""
        batch, self._pending = self._pending, {}
        try:
            await asyncio.to_thread(self._store, batch)
        except OSError as error:  # a full disk: functions must go on, their lines are lost
            log.warning("function logs could not be written: %s", error)
        finally:
            self._writing = None
            if self._pending:
                self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER, self._due)

    def _store(self, batch: dict[str, list[tuple[float, str, bytes]]]) -> None:
        for group, events in batch.items():
            folder = self._folder_of(group)
            folder.mkdir(parents=True, exist_ok=True)
            current = folder / "current"
            file = current.open("ab")
            try:
                if group not in self._seen and _is_torn(current):
                    file.write(b"\n")
                self._seen.add(group)
                for timestamp, stream, line in events:
                    record = b"%.3f %s %s\n" % (timestamp, stream.encode(), line)
                    if file.tell() and file.tell() + len(record) > self._half:
                        file.close()
                        current.replace(folder / "previous")
                        file = current.open("ab")
                    file.write(record)
            finally:
                file.close()

    def _folder_of(self, group: str) -> Path:
        return self._folder / quote(group, safe="")


def _events(file: Path) -> Iterator[LogEvent]:
    try:
        *lines, _ = file.read_bytes().split(b"\n")  # the last is empty, or torn when the place was killed
    except FileNotFoundError:
        return
    for line in lines:
        timestamp, _, rest = line.partition(b" ")
        stream, _, message = rest.partition(b" ")
        if timestamp.replace(b".", b"", 1).isdigit():  # else what is left of a line that a kill tore
            yield LogEvent(float(timestamp), stream.decode("utf-8", "replace"), message.decode("utf-8", "replace"))


def _is_torn(file: Path) -> bool:
    """Whether its last line has no end: the place was killed while it wrote."""
    with file.open("rb") as opened:
        size = opened.seek(0, 2)
        opened.seek(max(0, size - 1))
        return size > 0 and opened.read() != b"\n"


class InvocationLog:
    """One execution's part of a log stream: splits what is printed into lines, bounds it, keeps the tail."""

    __slots__ = ("_dropped", "_group", "_left", "_logs", "_partial", "_recent", "_stream")

    def __init__(self, logs: Logs, group: str, stream: str, limit: int) -> None:
        self._logs = logs
        self._group = group
        self._stream = stream
        self._left = limit
        self._dropped = 0
        self._partial = b""
        self._recent: list[bytes] = []

    def printed(self, data: bytes) -> None:
        """Raw bytes from the instance. Beyond the limit they are counted, not kept."""
        if len(data) > self._left:
            self._dropped += len(data) - self._left
            data = data[: self._left]
        self._left -= len(data)
        *lines, rest = (self._partial + data).split(b"\n")
        self._keep(*lines)
        self._partial = rest
        if len(rest) > 262_144:  # CloudWatch's largest event
            self._keep(rest)
            self._partial = b""

    def lines(self, *texts: str) -> None:
        """Lines of the platform: never dropped."""
        if self._partial or self._dropped:
            self.finish_line()
        self._keep(*[text.encode() for text in texts])

    def finish_line(self) -> None:
        if self._partial:
            self._keep(self._partial)
            self._partial = b""
        if self._dropped:
            self._keep(b"[littoral] %d bytes of log beyond the limit were dropped" % self._dropped)
            self._dropped = 0

    @property
    def tail(self) -> bytes:
        """The last of it, each line with its end."""
        tail: list[bytes] = [b""]
        size = 0
        for line in reversed(self._recent):  # only what can be in the tail is joined
            tail.append(line[-TAIL:])
            size += len(line) + 1
            if size >= TAIL:
                break
        return b"\n".join(reversed(tail))[-TAIL:]

    def _keep(self, *lines: bytes) -> None:
        self._recent += lines
        if len(self._recent) > TAIL:  # no more lines than bytes are in a tail
            del self._recent[:-TAIL]
        self._logs.append(self._group, self._stream, *lines)
