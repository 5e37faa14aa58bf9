"""The scrub: once an interval everything that objects consist of is read from the disk and held against its checksums.

::

    due ──▶ blobs, by name ──▶ rows with bytes ──▶ the index's own pages ──▶ mend ──▶ due again, an interval later
             at a pace of bytes a second; how far it is survives a restart

What is found to be damaged is refused to readers (``damage``), told of (log, metrics, ``littoral objects scrub``), and,
where somebody else has the object (``Replica``), mended: a blob is written anew under its name only when the checksums
that it had say that it is the same. ("Checking object integrity in Amazon S3"; S3 does this out of sight.)
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Protocol

from littoral.aws.service import ServiceError
from littoral.net.ongoing import Ongoing
from littoral.objects.conditions import Span
from littoral.objects.content import Shelf, cut
from littoral.objects.encryption import Keys
from littoral.objects.facts import Stored
from littoral.objects.index import Index
from littoral.objects.inline import inline_bytes
from littoral.store.contract import Damaged, NotFound, StoreError

log = logging.getLogger("littoral.objects")
PAGE = 200  # blobs or rows between two notes of how far it is
INTERVAL = 7 * 86400.0  # seconds from one begin to the next
PACE = 32 * 1024 * 1024  # bytes a second
RETRY = 3600.0  # seconds until what is damaged is asked for again


class Replica(Protocol):
    """Who may have an object, too."""

    async def fetch(self, stored: Stored) -> AsyncIterator[bytes] | None:
        """The whole of that version, by its ETag or its checksum; None where it has no such thing or cannot be reached.
        What comes is not trusted."""


@dataclass(frozen=True, slots=True)
class Pass:
    """How far one round is; Unix seconds. ``stage`` is "blobs", "objects", "versions", or "" at its end."""

    began: float = 0.0
    ended: float = 0.0
    stage: str = ""
    after: str | int = ""
    checked: int = 0
    bytes: int = 0
    damaged: int = 0
    mended: int = 0
    index: str = ""  # what SQLite found wrong with its pages


class Scrub(Ongoing):
    """``start`` and ``close`` it. ``replica`` is asked for what is damaged."""

    def __init__(self, index: Index, shelf: Shelf, keys: Keys, replica: Replica, clock: Callable[[], float]) -> None:
        self.interval = INTERVAL
        self.pace = PACE
        self.replica = replica
        self._index, self._shelf, self._keys, self._clock = index, shelf, keys, clock
        self._damage = shelf.damage
        state = index.scrub_state()
        self.current = Pass(**json.loads(state)) if state else Pass()
        self.bytes_total = self.mended_total = 0
        self._asked = asyncio.Event()

    async def close(self) -> None:
        await super().close()
        with suppress(StoreError, ServiceError):
            await self._damage.write(self._clock())

    def now(self) -> None:
        """Begin at once, or go on with the pass that is under way."""
        self._asked.set()

    @property
    def running(self) -> bool:
        return bool(self.current.stage)

    @property
    def known(self) -> frozenset[str]:
        """What is damaged now."""
        return self._damage.known

    def status(self) -> dict[str, object]:
        return {
            **asdict(self.current),
            "running": self.running or self._asked.is_set(),
            "known": sorted(self._damage.known),
        }

    async def _work(self) -> None:
        if not self.current.began:  # a place that is new, or was made before there was a scrub
            await self._note(Pass(began=self._clock()))
        while True:
            due = self.current.began + self.interval - self._clock()
            if not self.running and due > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._asked.wait(), min(due, RETRY))
            try:
                if self.running or self._asked.is_set() or self._clock() >= self.current.began + self.interval:
                    await self.scrub()
                else:
                    await self.mend()
                await self._damage.write(self._clock())
            except (ServiceError, StoreError):
                log.exception("the scrub broke off; it goes on in a while")
                await asyncio.sleep(60)

    # ----------------------------------------------------------------------------------------------- a pass

    async def scrub(self) -> Pass:
        """A pass, or what is left of one that was under way. Raises StorageFailed, ServiceError."""
        if not self.running:
            self.current = Pass(began=self._clock(), stage="blobs")
        self._asked.clear()
        if self.current.stage == "blobs":
            await self._blobs()
        for table in ("objects", "versions"):
            if self.current.stage == table:
                await self._rows(table)
        wrong = await self._index.check_pages()
        if wrong:
            log.error("the index of objects is damaged: %s", wrong)
        await self.mend()
        await self._note(replace(self.current, stage="", after="", ended=self._clock(), index=wrong))
        told = self.current
        log.info(
            "scrub: %d looked at, %d bytes, %d damaged, %d mended", told.checked, told.bytes, told.damaged, told.mended
        )
        return told

    async def _blobs(self) -> None:
        while names := self._index.blob_names(str(self.current.after), PAGE):
            size, bad = 0, 0
            for name in names:
                began = time.monotonic()
                found = await self._look(name)
                bad += found is None
                size += found or 0
                await self._wait(began, found or 0)
            await self._count(names[-1], len(names), size, bad)
        await self._note(replace(self.current, stage="objects", after=0))

    async def _look(self, name: str) -> int | None:
        """Bytes of the blob, None where it is damaged. One that went meanwhile is nothing."""
        size, began = 0, time.monotonic()
        try:
            async for chunk in self._shelf.inspect(name):
                size += len(chunk)
                await self._wait(began, size)
        except (Damaged, NotFound) as problem:
            if not await self._index.removable([name]):  # it may have gone meanwhile, or gone up
                self._damage.found(name, problem)
                return None
        else:
            self._damage.is_whole(name)
        return size

    async def _rows(self, table: str) -> None:
        while page := self._index.inline_rows(table, int(self.current.after), PAGE):
            bad = sum([not self._row_is_whole(stored) for stored in page])
            size = sum(stored.content.size for stored in page)
            began = time.monotonic()
            await self._count(page[-1].id, len(page), size, bad)
            await self._wait(began, size)
        await self._note(replace(self.current, stage="versions" if table == "objects" else "pages", after=0))

    def _row_is_whole(self, stored: Stored) -> bool:
        name = f"row-{stored.id}"
        try:
            inline_bytes(stored.content, self._keys.opened(stored.facts.encryption, None))
        except ServiceError:  # only its customer can open it
            return True
        except Damaged as problem:
            self._damage.found(name, problem)
            return False
        self._damage.is_whole(name)
        return True

    async def _count(self, after: str | int, checked: int, size: int, bad: int) -> None:
        self.bytes_total += size
        now = self.current
        await self._damage.write(self._clock())
        await self._note(
            replace(now, after=after, checked=now.checked + checked, bytes=now.bytes + size, damaged=now.damaged + bad)
        )

    async def _note(self, state: Pass) -> None:
        self.current = state
        await self._index.set_scrub_state(json.dumps(asdict(state)))

    async def _wait(self, began: float, size: int) -> None:
        """Until so many bytes may have been read since then."""
        await asyncio.sleep(max(0.0, began + size / self.pace - time.monotonic()))

    # ------------------------------------------------------------------------------------------------ mending

    async def mend(self) -> None:
        """All that is damaged and that the replica has. Raises StorageFailed."""
        for name in sorted(self._damage.known):
            if not name.startswith("row-") and await self._index.unknown([name]):
                self._damage.is_whole(name)  # nobody has it any more
            elif await self._mend(name):
                log.warning("the stored bytes %s are whole again, from the replica", name)
                self._damage.is_whole(name)
                self.mended_total += 1
                self.current = replace(self.current, mended=self.current.mended + 1)

    async def _mend(self, name: str) -> bool:
        row = name.removeprefix("row-")
        owners = self._index.owners(name) if row == name else self._index.by_id(int(row))
        if not owners and row != name:
            return True  # the object has gone
        for stored in owners:
            with suppress(ServiceError, StoreError):
                key = self._keys.opened(stored.facts.encryption, None)
                chunks = await self.replica.fetch(stored)
                if chunks is not None and await self._write_anew(stored, name, chunks, key):
                    return True
        return False

    async def _write_anew(self, stored: Stored, name: str, chunks: AsyncIterator[bytes], key: bytes | None) -> bool:
        if stored.content.inline is not None:
            return await self._shelf.mend_row(stored, b"".join([chunk async for chunk in chunks]), key)
        begin, size = _place(stored, name)
        return await self._shelf.mend(name, size, _stretch(chunks, begin, size), key)


def _place(stored: Stored, name: str) -> tuple[int, int]:
    """Where in the object the blob is first."""
    at = 0
    for piece, _, _ in cut(stored.content.pieces, Span(0, stored.content.size)):
        if piece.blob == name:
            return at, piece.size
        at += piece.size
    raise NotFound(f"{name} is no longer of {stored.key}")


async def _stretch(chunks: AsyncIterator[bytes], begin: int, size: int) -> AsyncIterator[bytes]:
    at, end = 0, begin + size
    async for chunk in chunks:
        piece = chunk[max(0, begin - at) : max(0, end - at)]
        at += len(chunk)
        if piece:
            yield piece
