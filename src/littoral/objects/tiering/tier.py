"""The tier: what is here beyond ``keep`` bytes goes, the longest unused first, once the place above proves to have it.

::

    replicated ──▶ above says: same version, same checksum ──▶ row of ``away`` ──▶ the file goes
                                                                                      │ a read
    here again ◀── row removed ◀── file written anew ◀── bytes from above, held against their sums

Only what a bucket's replication has carried to another endpoint can go. Each step is durable before the next, so a
crash leaves bytes in both places, never in neither. A copy shares its source's bytes, and so the version above that has
them: where that is removed, the copy's own is asked for; what is copied to where nothing goes up comes back, however
little is to stay. While the place above is away its objects are 503
ServiceUnavailable, which AWS's clients try again; all others are served. Objects of few bytes, which lie in the index,
stay.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import Protocol

from littoral.aws.service import ServiceError
from littoral.net.ongoing import Ongoing
from littoral.objects.conditions import Span
from littoral.objects.content import Shelf
from littoral.objects.encryption import Keys
from littoral.objects.facts import Stored
from littoral.objects.index import Index
from littoral.objects.replication.rules import targets_of
from littoral.objects.tiering.rows import Away
from littoral.store.contract import NotFound, StorageAway, StoreError
from littoral.store.sums import BLOCK, Summing, Sums

log = logging.getLogger("littoral.objects")
INTERVAL = 30.0  # seconds between two looks
AGAIN = 3600.0  # seconds until what the place above did not confirm is asked for again


class Far(Protocol):
    """A bucket elsewhere. Raises StorageAway where it cannot be reached."""

    async def reach(self) -> None:
        """It answers, and is there."""

    async def confirm(self, stored: Stored) -> tuple[str, str] | None:
        """The version's id and ETag there, where it is the same by its checksum."""

    def span(self, away: Away, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Of the bytes of that very version. Raises NotFound where it is no more."""


class Tier(Ongoing):
    """``start`` and ``close`` it. ``keep`` is None where all stays. Implements the shelf's ``Above``."""

    def __init__(self, index: Index, shelf: Shelf, keys: Keys, clock: Callable[[], float]) -> None:
        self.keep: int | None = None  # bytes
        self.far: Mapping[str, Far] = {}
        self.interval = INTERVAL
        self._index, self._shelf, self._keys, self._clock = index, shelf, keys, clock
        self._used: dict[str, float] = {}
        self._wanted: dict[str, None] = {}  # asked for though they are above, in that order
        # what was not confirmed, and when it is asked for again; as ``_due`` of the clock that nobody sets
        self._refused: dict[str, float] = {}
        self._asked = asyncio.Event()
        self._turn = asyncio.Lock()
        self._due = 0.0  # when room is made the next time
        self.here_bytes = self.away_bytes = self.away_blobs = 0
        self.let_go_total = self.recalled_total = self.read_through_total = 0
        self.problem: Exception | None = None  # why nothing goes on

    async def close(self) -> None:
        await super().close()
        with suppress(StoreError, ServiceError):
            await self._note_used()

    def status(self) -> dict[str, object]:
        return {
            "keepBytes": self.keep,
            "hereBytes": self.here_bytes,
            "aboveBytes": self.away_bytes,
            "aboveBlobs": self.away_blobs,
            "letGo": self.let_go_total,
            "recalled": self.recalled_total,
            "readThrough": self.read_through_total,
            "waiting": str(self.problem or ""),
        }

    async def make_room(self) -> None:
        """Now. Raises StorageAway, StoreError, ServiceError."""
        async with self._turn:
            await self._note_used()
            for blob in await self._index.stranded():
                if self._refused.get(blob, 0.0) <= time.monotonic() and not await self._take_back(blob):
                    self._refused[blob] = time.monotonic() + AGAIN
            await self.count()
            if self.keep is not None and self.here_bytes > self.keep:
                await self._let_go_of(self.here_bytes - self.keep)
                await self.count()
            self.problem = None
            if self.keep is not None:
                await self.reach()  # where there was nothing to ask above, too: what is read next may be

    async def reach(self) -> None:
        """Whether the places above answer. Raises StorageAway."""
        try:
            for far in self.far.values():
                await far.reach()
        except StorageAway as problem:
            self.problem = problem
            raise
        if isinstance(self.problem, StorageAway):
            self.problem = None

    async def _work(self) -> None:
        while True:
            self._asked.clear()
            try:
                await self._look()
            except StorageAway as problem:
                self.problem = problem
            except (ServiceError, StoreError) as problem:
                self.problem = problem
                log.exception("the tier broke off; it goes on in a while")
            idle = self.keep is None or not self.far
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), None if idle else self.interval)

    async def _look(self) -> None:
        """What was asked for comes back; where it is time, what is too much goes."""
        await self._recall()
        if self.far and time.monotonic() >= self._due:  # a place without a tier has no work of it
            self._due = math.inf if self.keep is None else time.monotonic() + self.interval
            await self.make_room()

    async def count(self) -> None:
        """What is here and what above. Raises ServiceError."""
        self.here_bytes, self.away_blobs, self.away_bytes = await self._index.tier_totals()

    async def _note_used(self) -> None:
        used, self._used = self._used, {}
        if used:
            await self._index.note_used(used)

    # ------------------------------------------------------------------------------------------------ upwards

    async def _let_go_of(self, excess: int) -> None:
        now = time.monotonic()
        for blob, size in await self._index.coldest():
            if excess <= 0:
                return
            if self._refused.get(blob, 0.0) <= now and blob not in self._wanted and await self._let_go(blob):
                excess -= size

    async def _let_go(self, blob: str) -> bool:
        """Raises StorageAway."""
        try:
            away = await self._proved(blob)
        except ServiceError as problem:  # it cannot be read here
            away = None
            log.warning("blob %s: %s", blob, problem)
        if away is None:
            self._refused[blob] = time.monotonic() + AGAIN
            return False
        self._refused.pop(blob, None)
        self._shelf.remove([blob])
        self.let_go_total += 1
        return True

    async def _proved(self, blob: str) -> Away | None:
        """For all whose it is; the row is then written. Raises StorageAway, ServiceError."""
        owners = self._index.owners(blob)
        away = None
        for stored in owners:
            proved = await self._confirmed(blob, stored)
            if proved is None:
                log.warning("%s of %s stays here: the place above does not prove to have it", stored.key, stored.bucket)
                return None
            offset = proved.offset
            sums = await self._sums(stored, Span(offset, proved.size)) if away is None else away.sums
            away = replace(proved, sums=sums)
        gone = away is not None and await self._index.let_go(away, {stored.id for stored in owners})
        return away if gone else None

    async def _confirmed(self, blob: str, stored: Stored) -> Away | None:
        """Where above, by what it says itself; without sums. Raises StorageAway, ServiceError."""
        held = self._index.bucket(stored.bucket).replication
        target = next((one for one in targets_of(held, stored.key, stored.tags, stored.facts) if one in self.far), None)
        there = None if target is None else await self.far[target].confirm(stored)
        if target is None or there is None:
            return None
        offset = 0
        for piece in stored.content.pieces:
            if piece.blob == blob:
                return Away(blob, piece.size, target, stored.key, *there, offset, b"")
            offset += piece.size
        return None

    async def _sums(self, stored: Stored, span: Span) -> bytes:
        """Of what readers get: read here once more."""
        summing = Summing()
        async for chunk in self._shelf.read(stored.content, span, self._keys.opened(stored.facts.encryption, None)):
            summing.update(chunk)
        return summing.finish()

    # ------------------------------------------------------------------------------------------------ reads

    def touched(self, blobs: list[str]) -> None:
        if self.keep is not None:
            self._used.update(dict.fromkeys(blobs, self._clock()))

    async def read(self, blob: str, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """From above, block by block, each held against its sum. Raises NotFound, StorageAway."""
        away = self._index.away(blob)
        if away is None:
            raise NotFound(blob)
        self.read_through_total += 1
        self._wanted[blob] = None
        self._asked.set()
        at, end = offset - offset % BLOCK, offset + length
        async with aclosing(self._blocks(away, at, min(away.size, -(-end // BLOCK) * BLOCK))) as blocks:
            async for block in blocks:
                yield block[max(0, offset - at) : end - at]
                at += len(block)

    async def _blocks(self, away: Away, at: int, end: int) -> AsyncGenerator[bytes, None]:
        """Whole ones, from the begin of one to the end of one; where the version is gone, those of another."""
        try:
            async with aclosing(self._of_version(away, at, end)) as blocks:
                async for block in blocks:
                    yield block
                    at += len(block)
        except NotFound:
            other = await self._other(away)
            if other is None:
                raise
            async with aclosing(self._of_version(other, at, end)) as blocks:
                async for block in blocks:
                    yield block

    async def _other(self, away: Away) -> Away | None:
        """Where above the blob is, too, as part of another object or version; remembered. Raises StorageAway."""
        for stored in self._index.owners(away.blob):
            with suppress(ServiceError):  # its bucket is just being removed
                found = await self._confirmed(away.blob, stored)
                if found is not None and (found.key, found.version) != (away.key, away.version):
                    log.warning(
                        "%s %s is no more in %s; %s has the bytes", away.key, away.version, away.target, found.key
                    )
                    found = replace(found, sums=away.sums)
                    await self._index.moved(found)
                    return found
        return None

    async def _of_version(self, away: Away, at: int, end: int) -> AsyncGenerator[bytes, None]:
        if away.target not in self.far:
            raise StorageAway(f"the bytes lie in {away.target}, which replicas does not name")
        sums, held = Sums(away.size, away.sums), bytearray()
        async with aclosing(self.far[away.target].span(away, at, end - at)) as chunks:
            async for chunk in chunks:
                held += chunk
                while len(held) >= min(BLOCK, end - at) > 0:
                    block = bytes(held[: min(BLOCK, end - at)])
                    del held[: len(block)]
                    if not sums.sound(at // BLOCK, block):
                        raise StorageAway(f"what {away.target} sent of {away.key} is not what was sent there")
                    yield block
                    at += len(block)
        if at < end:
            raise StorageAway(f"{away.target} broke off")

    # ------------------------------------------------------------------------------------------------ downwards

    async def _recall(self) -> None:
        """What was read is wanted again, as a rule. Raises StorageAway."""
        while self._wanted:
            blob = next(iter(self._wanted))
            del self._wanted[blob]  # whatever comes of it: who reads it again wants it again
            away = self._index.away(blob)
            if away is not None and self.keep is not None and away.size <= self.keep:
                await self._take_back(blob)

    async def _take_back(self, blob: str) -> bool:
        """False where nobody has it any more, here or above. Raises StorageAway, StoreError, ServiceError."""
        away, owner = self._index.away(blob), next(filter(_opens, self._index.owners(blob)), None)
        if away is None or owner is None:
            return False
        key = self._keys.opened(owner.facts.encryption, None)
        try:
            done = await self._shelf.take_back(blob, away.size, self._blocks(away, 0, away.size), key)
        except NotFound as problem:
            log.warning("blob %s of %s: %s", blob, owner.key, problem)
            return False
        if done:
            self.recalled_total += 1
            self._used[blob] = self._clock()
        return done


def _opens(stored: Stored) -> bool:
    """Without its customer's key."""
    encryption = stored.facts.encryption
    return encryption is None or encryption.key_md5 is None
