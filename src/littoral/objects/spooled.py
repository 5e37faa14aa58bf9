"""Bytes of objects by way of the store's spool (``store.spool``), for who imports or exports on this machine.

    PUT  part   x-littoral-spool: TRAY/NAME   its body is the sums of the file's blocks; the file becomes the part
    HEAD        x-littoral-spool: TRAY/NAME   the answer has the header again where the content lies there then

All else of either request is as ever: who may ask, what is refused, which events there are. What the file holds is said
by who has written it, by CRC64NVME and by the sums, and nobody reads it here: it is the same user, who could as well
write into the store. What is sealed for somebody is refused, and a HEAD of it is answered without the header.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from littoral.net.message import Body, BodyTooLarge
from littoral.net.ongoing import Ongoing
from littoral.objects import etags
from littoral.objects.checksums import Checksum, Stated
from littoral.objects.encryption import Sealing
from littoral.objects.errors import error
from littoral.objects.facts import Content, Piece
from littoral.objects.inline import Received
from littoral.objects.pouring import PUT_LIMIT, too_large
from littoral.objects.room import Room
from littoral.store.contract import Blobs, SpooledBlobs
from littoral.store.spool import NotSpooled, Spool
from littoral.store.sums import BLOCK, WIDTH

MOST_SUMS: Final = PUT_LIMIT // BLOCK * WIDTH  # bytes
EVERY: Final = 60.0  # seconds after which it is looked whether trays are left
log = logging.getLogger("littoral.objects")


class Spooled:
    def __init__(self, blobs: Blobs, spool: Spool | None, room: Room) -> None:
        self._blobs = blobs if isinstance(blobs, SpooledBlobs) else None
        self._spool = spool
        self._room = room

    async def take(self, name: str, body: Body, stated: Stated, named: str, sealing: Sealing | None) -> Received:
        """As blob ``name``. Raises NotSpooled, EntityTooLarge, InternalError; StorageFailed, BodyError."""
        checksum, sums = stated.value, await _sums(body)
        if sealing is not None or checksum is None or not stated.digests().by_checksum:
            raise _refused("What is taken so states a CRC64NVME and has its ETag by that, and is sealed for nobody.")
        if self._blobs is None or self._spool is None:
            raise _refused("The objects of this place lie elsewhere, or sealed.")
        try:
            self._room.check(0)  # it is on this disk already
            info = await self._blobs.take_over(name, self._spool.path(named), sums)
        except NotSpooled as problem:
            raise _refused(f"There is no such file in the spool: {problem}") from problem
        etag = etags.stand_in(checksum, info.size).hex()
        content = Content(info.size, etag, None, (Piece(name, info.size),))
        return Received(content, Checksum(etags.ALGORITHM, checksum))

    async def lay(self, content: Content, named: str) -> bool:
        """The whole of it. False where it cannot be had so."""
        if self._blobs is None or self._spool is None or not content.pieces:
            return False
        try:
            folder = self._spool.path(named)
        except NotSpooled:
            return False
        return await self._blobs.lay_out([piece.blob for piece in content.pieces], folder)


async def _sums(body: Body) -> bytes:
    """Raises EntityTooLarge, for there are as many as what they are of has blocks; BodyError."""
    try:
        return await body.read(MOST_SUMS)
    except BodyTooLarge as problem:
        raise too_large(None) from problem


class Tidying(Ongoing):
    """What somebody left who was killed goes soon: the links to contents, which may have been deleted since, hold their
    bytes on the disk."""

    def __init__(self, spool: Spool | None) -> None:
        self._spool = spool

    async def _work(self) -> None:
        while self._spool is not None:
            await asyncio.sleep(EVERY)
            try:
                await asyncio.to_thread(self._spool.sweep)
            except OSError as problem:
                log.warning("the spool could not be looked at; tried again in %.0f s: %s", EVERY, problem)


def _refused(message: str) -> Exception:
    return error("NotSpooled", message)
