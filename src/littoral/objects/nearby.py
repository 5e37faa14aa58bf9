"""Bytes of an object that lie on this machine's disk and have to be opened: drawn by a thread that sends them, or
iterated on the loop. ``net.outward`` says which; both go on where the other was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Final

from littoral.lasting import until_done
from littoral.net.unopened import Unopened
from littoral.store.contract import Damaged, NearReader, NotFound

FIRST: Final = 1024 * 1024  # bytes that are looked at before anything is answered, and those of a chunk
PIECES: Final = 64  # that go out unopened by one answer, whose head has a line for each


class Nearby:
    """``readers`` are those of the pieces, each with the piece's name. ``holding`` is left when it is closed."""

    def __init__(
        self,
        readers: Sequence[tuple[str, NearReader]],
        length: int,
        holding: AbstractContextManager[None],
        damaged: Callable[[str, object], None],
    ) -> None:
        self._readers = list(readers)
        self._left = length
        self._holding = holding
        self._damaged = damaged
        self._held = memoryview(b"")  # what was looked at before
        self._problem: tuple[str, Damaged] | None = None
        self._closed = False
        self._begun = False  # some of it was given out
        holding.__enter__()

    async def begin(self) -> None:
        """Before it is given out. Raises NotFound, Damaged: nobody is to close it then."""
        try:
            self._held = memoryview(await self._chunk())
        except BaseException:
            await self.aclose()
            raise
        self._begun = False

    def draw(self, room: memoryview) -> int:
        """See ``outward.Drawn``."""
        self._begun = True
        if self._held:
            size = min(len(room), len(self._held))
            room[:size] = self._held[:size]
            self._held = self._held[size:]
            return size
        return self._read(room)

    async def unopened(self) -> Sequence[Unopened]:
        """See ``unopened.Lying``."""
        if self._begun or len(self._readers) > PIECES:
            return ()
        looking = asyncio.get_running_loop().run_in_executor(None, self._lying)
        await until_done([looking])
        return looking.result()

    def _lying(self) -> Sequence[Unopened]:
        """Empty where one of them cannot be had: who reads on finds out why."""
        try:
            lying = [reader.lies() for _, reader in self._readers]
        except (NotFound, Damaged):
            return ()
        return () if None in lying else [Unopened(*one) for one in lying if one is not None]

    def _read(self, room: memoryview) -> int:
        while self._readers:
            name, reader = self._readers[0]
            try:
                size = reader.read_here(room)
            except Damaged as problem:
                self._problem = name, problem
                raise
            self._left -= size
            if size:
                return size
            self._readers.pop(0)[1].close()
        return 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        data = await self._chunk()
        if not data:
            raise StopAsyncIteration
        return data

    async def _chunk(self) -> bytes:
        self._begun = True
        if self._held:
            held, self._held = self._held, memoryview(b"")
            return bytes(held)
        room = memoryview(bytearray(min(FIRST, self._left)))
        reading = asyncio.get_running_loop().run_in_executor(None, self._read, room)
        await until_done([reading])
        return bytes(room[: reading.result()])

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        for _, reader in self._readers:
            reader.close()
        self._holding.__exit__(None, None, None)
        if self._problem is not None:
            self._damaged(*self._problem)
