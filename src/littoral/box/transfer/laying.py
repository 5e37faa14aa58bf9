"""Parts that go into a place by its spool: a thread receives, hashes and writes each a stride at a time, past the page
cache, into a file that the place then takes over (``store.spool``).

What is asked of the place is one small request for each part, and it does not read the file. Where it was not heard to
take it, it is asked what it has.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from errno import ENOSPC
from typing import Final

from littoral.box.transfer.asking import Unwell
from littoral.box.transfer.bucket import Bucket, Upload
from littoral.box.transfer.items import Drawer
from littoral.box.transfer.passing import Patiently
from littoral.box.transfer.sums import CRC64, Running, Sum
from littoral.lasting import done_in_thread, until_done
from littoral.store import strides
from littoral.store.past import NewFile
from littoral.store.spool import Tray
from littoral.store.strides import STRIDE
from littoral.store.sums import Summing

TRIES: Final = 3  # of a part that the place did not take, and does not have


class Laying:
    """A file of ``size`` bytes on its way into the tray. A ``receiving.Sink``; ``finish``, ``close`` it. What begins
    anew has another name: who was asked to take the one before, and was not heard, may still do so."""

    def __init__(self, tray: Tray, size: int) -> None:
        self._tray = tray
        self.file = tray.place()
        self.size = size
        self._stride = strides.take()
        self._new: NewFile | None = None
        self._unwritten = 0  # of what is reserved

    def begin(self) -> None:
        """Raises Unwell, as all that writes: the disk may have room later."""
        self._came = self._filled = 0
        self._running, self._summing = Running(CRC64), Summing()
        try:
            self._forget()
            self.file = self._tray.place()
            if not self._tray.reserve(self.size):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
            self._unwritten = self.size
            self._new = NewFile(self.file)
        except OSError as problem:
            raise self._unwell(problem) from problem

    @property
    def left(self) -> int:
        return self.size - self._came

    def room(self, least: int) -> memoryview:
        if STRIDE - self._filled < least:
            self._write()
        return self._stride[self._filled :]

    def came(self, size: int) -> None:
        self._filled += size
        self._came += size
        if self._filled == STRIDE:
            self._write()

    def finish(self) -> tuple[Sum, bytes]:
        """Once nothing is left: its checksum, and those of its blocks."""
        self._write()
        assert self._new is not None
        self._new.close()
        return Sum(CRC64, self._running.digest()), self._summing.finish()

    def close(self) -> None:
        """What nobody has taken is no more."""
        strides.give(self._stride)
        self._forget()

    def _write(self) -> None:
        data = self._stride if self._filled == STRIDE else self._stride[: self._filled]
        self._running.update(data)
        self._summing.update(data)
        assert self._new is not None
        try:
            self._new.write(data)
        except OSError as problem:
            raise self._unwell(problem) from problem
        self._tray.release(len(data))
        self._unwritten -= len(data)
        self._filled = 0

    def _unwell(self, problem: OSError) -> Unwell:
        return Unwell(f"{self.file.parent.parent}: {problem.strerror}")

    def _forget(self) -> None:
        if self._new is not None:
            self._new.close()
        self._tray.release(self._unwritten)
        self._unwritten = 0
        self.file.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Spooling:
    """Of one upload with CRC64NVME."""

    destination: Bucket
    tray: Tray
    key: str
    upload: Upload
    patiently: Patiently

    async def part(self, reader: Drawer, number: int, begin: int, size: int) -> tuple[str, Sum]:
        """Its ETag and its checksum. One that an earlier try brought is not read again: what all parts come to is held
        against what the source says. Raises what reading it does, and Unwell where it cannot go so."""
        if (there := self.upload.held(number, size)) is not None:
            return there
        laying = Laying(self.tray, size)
        try:
            for _ in range(TRIES):
                known, sums = await self._laid(reader, begin, laying)
                etag = await self._taken(laying, number, known, sums)
                if etag is not None:
                    return etag, known
            raise Unwell(f"{self.key}: part {number} was not taken over")
        finally:
            await until_done([asyncio.get_running_loop().run_in_executor(None, laying.close)])

    async def _laid(self, reader: Drawer, begin: int, laying: Laying) -> tuple[Sum, bytes]:
        async def attempt() -> tuple[Sum, bytes]:
            await reader.draw(begin, laying.size, laying)
            finishing = asyncio.get_running_loop().run_in_executor(None, laying.finish)
            return await done_in_thread(finishing, lambda: None)  # nobody closes it under the thread

        laid: tuple[Sum, bytes] = await self.patiently(attempt)
        return laid

    async def _taken(self, laying: Laying, number: int, known: Sum, sums: bytes) -> str | None:
        """The ETag; None where it is to be laid once more."""
        destination, key, upload = self.destination, self.key, self.upload
        etag: str | None = await self.patiently(
            lambda: destination.part_spooled(key, upload, number, laying.file, known, sums)
        )
        if etag is not None:
            return etag
        if laying.file.exists():
            destination.tray = None
            raise Unwell(f"{key}: {destination.place} does not take over what lies in {laying.file.parent}")
        has: Upload = await self.patiently(lambda: destination.resumed(key, upload.id))
        return has.arrived(number, laying.size, known)
