"""A broker without sockets and without waiting: pipes in memory, a clock that is told, a disk that commits when told.

The store is the real one; only its committing thread is replaced. ``Disk.held`` keeps commits back, as a slow disk
would, and ``World.crash`` ends the broker as ``kill -9`` does: what was not committed is gone.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from littoral.store.embedded import EmbeddedStore
from littoral.store.embedded.database import Database
from littoral.things.access import OpenAccess
from littoral.things.broker import Broker, BrokerLimits
from littoral.things.broker.connection import Connection
from littoral.things.message import Publication

T = TypeVar("T")
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # an fsync costs nothing there
PREFIX = "littoral-broker-"


def own_folder() -> Path:
    """In memory, and named by this process: what killed ones left there goes first, what another has stays."""
    base = Path(MEMORY or tempfile.gettempdir())
    for folder in base.glob(f"{PREFIX}*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            with suppress(PermissionError, FileNotFoundError):  # another user's; or another process was first
                shutil.rmtree(folder)
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=base))


class Pipe(asyncio.Transport):
    """Both ends of one connection: the broker's transport, and what its client does."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make: Callable[[], asyncio.Protocol]) -> None:
        super().__init__()
        self._loop = loop
        self._high = 65536
        self._buffer = bytearray()  # not yet read by a client that has stopped reading
        self._wire = bytearray()  # what the client may read
        self._kept: list[bytes] = []  # what the broker does not read now
        self._reading = True
        self._paused = False
        self._closing = False
        self.ended = False  # the broker closed its side
        self.stalled = False
        protocol = make()
        assert isinstance(protocol, Connection)
        self.protocol = protocol
        protocol.connection_made(self)

    # ------------------------------------------------------------------------------- the client's side

    def feed(self, data: bytes) -> None:
        if self._closing or self.ended:
            return
        if self._reading:
            self.protocol.data_received(data)
        else:
            self._kept.append(data)

    def read(self) -> bytes:
        data = bytes(self._wire)
        self._wire.clear()
        return data

    def drop(self) -> None:
        """The client's end is gone, with what it had not read."""
        self._wire.clear()
        self.abort()

    def stall(self) -> None:
        self.stalled = True

    def go_on(self) -> None:
        """The client reads again."""
        self.stalled = False
        self._wire += self._buffer
        self._buffer.clear()
        if self._paused:
            self._paused = False
            if not self._closing:
                self.protocol.resume_writing()
        if self._closing:
            self._end()

    # ------------------------------------------------------------------------------- the broker's side

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.ended:
            return
        if not self.stalled:
            self._wire += data
            return
        self._buffer += data
        if len(self._buffer) > self._high and not self._paused:
            self._paused = True
            self.protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high or 0

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        while self._kept and self._reading and not self._closing:
            self.protocol.data_received(self._kept.pop(0))

    def is_reading(self) -> bool:
        return self._reading

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Here the client closes when it has read to the end."""
        self.close()

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            if not self._buffer:
                self._end()

    def abort(self) -> None:
        self._closing = True
        self._buffer.clear()
        self._end()

    def _end(self) -> None:
        if not self.ended:
            self.ended = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self._closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default


class Disk:
    """Takes the place of the store's committing threads."""

    def __init__(self) -> None:
        self.held = False
        self._due: deque[tuple[Database, Any]] = deque()

    def take_over(self, *databases: Database) -> None:
        for database in databases:
            database._batches.put(None)
            database._thread.join()
            database._batches = _Commits(self, database)  # type: ignore[assignment]
            database._writer.execute("PRAGMA synchronous=OFF")

    def put(self, database: Database, due: Any) -> None:
        self._due.append((database, due))
        if not self.held:
            self.commit()

    def commit(self) -> bool:
        """The oldest that waits; False where nothing does."""
        if not self._due:
            return False
        database, due = self._due.popleft()
        database._commit(*due)
        database._loop.call_soon(database._answer, due[0])
        return True

    def forget(self) -> None:
        self._due.clear()


class _Commits:
    def __init__(self, disk: Disk, database: Database) -> None:
        self._disk, self._database = disk, database

    def put(self, due: Any) -> None:
        if due is not None:
            self._disk.put(self._database, due)


class World:
    """One broker, restarted at will in one folder; nothing happens between two calls."""

    def __init__(self, profile: Any, limits: BrokerLimits, *, durable: bool = True) -> None:
        self.profile, self.limits, self.durable = profile, limits, durable
        self.now = 1_000_000.0
        self.folder = own_folder()
        self.loop = asyncio.SelectorEventLoop()
        self.disk = Disk()
        self.errors: list[str] = []
        self.loop.set_exception_handler(lambda loop, context: self.errors.append(repr(context)))
        self.pipes: list[Pipe] = []
        self._do(self._open())

    def _do(self, step: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(step)

    async def _open(self) -> None:
        stores = {}
        if self.durable:
            self.store = await EmbeddedStore.open(self.folder, clock=lambda: self.now)
            self.databases = (self.store._database, self.store._streams)
            self.disk.take_over(*self.databases)
            stores = {"streams": self.store.streams, "records": self.store.records("broker")}
        self.broker = Broker(
            access=OpenAccess(), clock=lambda: self.now, limits=self.limits, profile=self.profile, **stores
        )
        await self.broker.start()
        assert self.broker._sweeper is not None
        self.broker._sweeper.cancel()
        self._make = self.broker.protocol_factory("memory")

    def pipe(self) -> Pipe:
        made = Pipe(self.loop, self._make)
        self.pipes.append(made)
        return made

    def settle(self) -> None:
        """Until nothing more happens by itself."""

        async def quiet() -> None:
            await asyncio.sleep(0)
            while self.loop._ready:  # type: ignore[attr-defined]
                await asyncio.sleep(0)

        self._do(quiet())
        assert not self.errors, self.errors

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self._do(self._sweep())
        self.settle()

    async def _sweep(self) -> None:
        self.broker.sweep(self.now)

    def feed(self, pipe: Pipe, data: bytes) -> None:
        async def step() -> None:
            pipe.feed(data)

        self._do(step())

    def publish(self, publication: Publication) -> None:
        """By the place itself."""
        self._do(self.broker.publish(publication))

    def restart(self) -> None:
        """In good order."""
        self._do(self._close())
        self._do(self._open())

    async def _close(self) -> None:
        for pipe in self.pipes:
            pipe.go_on()
        await self.broker.close(grace=5.0)
        if self.durable:
            await self.store.close()
        self.pipes.clear()

    def crash(self) -> None:
        self.disk.forget()
        for database in self.databases:
            database._closing = True  # what still runs can write nothing
            database._reader.close(True)
            database._writer.close(True)
        self.store._lock.close()
        for pipe in self.pipes:
            pipe.ended = True
        self.pipes.clear()
        self._do(self._forget_tasks())
        self._do(self._open())

    async def _forget_tasks(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        self.disk.held = False
        while self.disk.commit():
            pass
        self._do(self._close())
        self._do(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)
