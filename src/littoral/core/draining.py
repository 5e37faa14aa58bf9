"""The spool's way up: what is fetched as there is room for it, and what becomes of it once it is answered.

The spool is drained in windows: as much is fetched as may be unacknowledged. What the place above acknowledges is
acknowledged in the spool, several at once; a crash between the two sends it again under the same message id.

What the place above refuses for good (no valid topic, too large, no valid payload) is set aside in the spool's
``rejected`` stream, so that it holds up nothing; what it refuses for now is sent again. What outlived its message
expiry in the spool is not sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from littoral.core.session import Session
from littoral.core.spool import Spool, Spooled
from littoral.protocols.mqtt.reasons import Reason
from littoral.store.contract import StoreError

log = logging.getLogger(__name__)

AGAIN = 1.5  # seconds until a disk that refused is tried again


class Draining:
    """``settle_all`` outlives connections; ``send`` is of one."""

    def __init__(self, spool: Spool, session: Session, clock: Callable[[], float] = time.time) -> None:
        self._spool = spool
        self._session = session
        self._clock = clock
        self._acknowledged: list[int] = []  # by the place above, and not yet in the spool
        self._refused: list[tuple[Spooled, str]] = []  # for good, and why; not yet set aside
        self._settle = asyncio.Event()  # there is something in one of these
        self._room = asyncio.Event()  # for more publishes
        self.sent = 0  # acknowledged by the place above
        self.expired = 0  # not sent: they had waited longer than their message expiry

    def online(self, online: bool) -> None:
        """Whether there is a link."""
        self._spool.online = online
        self.more()

    def more(self) -> None:
        """There may be room again."""
        self._room.set()

    def answered(self, spooled: Spooled, reason: int) -> None:
        """By the place above."""
        if reason < Reason.UNSPECIFIED_ERROR:
            self.sent += 1
            self._acknowledged.append(spooled.sequence)
        else:
            self._refused.append((spooled, f"reason 0x{reason:02x}"))
        self._settle.set()

    async def send(self, flush: Callable[[], None], writer: asyncio.StreamWriter) -> None:
        while True:
            while not self._session.room:
                self._room.clear()
                await self._room.wait()
            # No await between this fetch and the session's taking all of it: a cancelled link must lose none.
            for spooled in await self._spool.fetch(self._session.room, wait=3600.0):
                self._send(spooled)
            flush()
            await writer.drain()

    def _send(self, spooled: Spooled) -> None:
        block = spooled.block(self._clock())
        if block is None:
            self.expired += 1
            self._acknowledged.append(spooled.sequence)
            self._settle.set()
        elif self._session.fits(spooled.topic, spooled.payload, block):
            self._session.send(spooled, spooled.topic, spooled.payload, block, retain=spooled.retain)
        else:
            self._refused.append((spooled, "larger than the place above takes"))
            self._settle.set()

    async def settle_all(self) -> None:
        """Tell the spool; what comes while that is written is told together."""
        while True:
            await self._settle.wait()
            self._settle.clear()
            try:
                await self.settle()
            except StoreError as problem:
                log.warning("the spool could not be told what arrived: %s", problem)
                await asyncio.sleep(AGAIN)
                self._settle.set()

    async def settle(self) -> None:
        """Raises StoreError."""
        while self._acknowledged:
            count = len(self._acknowledged)
            await self._spool.ack(self._acknowledged[:count])
            del self._acknowledged[:count]
        while self._refused:
            spooled, reason = self._refused[0]
            log.error("%s to %s is refused for good: %s", spooled.message_id, spooled.topic, reason)
            await self._spool.reject(spooled, reason)
            del self._refused[0]
