"""The spool's way up: what is fetched as there is room for it, and what becomes of it once it is answered.

The spool is drained in windows: as much is fetched as may be unacknowledged. What the place above acknowledges is
acknowledged in the spool, several at once; a crash between the two sends it again under the same message id.

What the place above refuses for good (no valid topic, too large, no valid payload) is set aside (``rejected``), so that
it holds up nothing; what it refuses for now is sent again. What it does not authorise is ``denials``' to decide: held
until it is sent again or set aside, which comes back once its topic is allowed. What outlived its message expiry in the
spool is not sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from littoral.core.denials import Decision, Denials, Target
from littoral.core.rejected import SetAside
from littoral.core.session import Session
from littoral.core.spool import Spool, Spooled
from littoral.protocols.mqtt.reasons import Reason
from littoral.store.contract import StoreError

log = logging.getLogger(__name__)

AGAIN = 1.5  # seconds until a disk that refused is tried again
AT_ONCE = 200  # messages taken from the spool before others of the core have their turn, alarms among them
OTHERS = 2.0  # seconds that are then theirs, for each second that those messages took
MOST_FOR_OTHERS = 0.02  # seconds: where a helping took long because the machine is busy, waiting longer helps nobody
LOOK = 5.0  # seconds until the spool is asked again
WAIT = 0.5  # seconds until it is asked again whether a message may be set aside
DENIED = "not authorised"  # the reason of what may be allowed one day


class Draining:
    """``settle_all`` outlives connections; ``send`` is of one."""

    def __init__(
        self,
        spool: Spool,
        session: Session,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._spool = spool
        self._session = session
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self.denials = Denials()
        for each in spool.set_aside.facts():
            if each.reason == DENIED:
                self.denials.restore(each.target)
        self._held: list[Spooled] = []  # in order; to be decided upon before anything is fetched
        self._allowed: list[Target] = []  # that were denied; what was set aside of them is not yet put back
        self._acknowledged: list[int] = []  # by the place above, and not yet in the spool
        self._refused: list[tuple[Spooled, str]] = []  # and why; not yet set aside
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

    # ----------------------------------------------------------------------------- what the place above says

    def accepted(self, found: Sequence[Spooled]) -> None:
        """By the place above."""
        self.sent += len(found)
        self._acknowledged += [spooled.sequence for spooled in found]
        if not self.denials.quiet:
            for spooled in found:
                if self.denials.accepted(spooled, self._monotonic()):
                    log.warning("the place above takes messages to %s again", spooled.topic)
                    self._allowed.append(spooled.target)
        self._session.alone = self.denials.alone
        self._settle.set()

    def answered(self, spooled: Spooled, reason: int) -> None:
        """By the place above."""
        if reason < Reason.UNSPECIFIED_ERROR:
            self.accepted([spooled])
        elif reason == Reason.NOT_AUTHORIZED:
            self.denials.refused(spooled, self._monotonic())
            self._hold([spooled])
            self._decide()
        else:
            self._refuse(spooled, f"reason 0x{reason:02x}")
        self._session.alone = self.denials.alone
        self._settle.set()

    def cut(self) -> None:
        """The connection was ended as not authorised; call before the next begins."""
        under_way = [each for each in self._session.handles() if isinstance(each, Spooled)]
        only = self._session.only()
        denied = self.denials.cut(under_way, only, self._monotonic())
        if denied is not None:
            log.error("the place above ends the link at a message to %s: it is denied", denied[0])
            self._hold(self._session.withdraw(lambda each: isinstance(each, Spooled) and each.target == denied))
        self._session.alone = self.denials.alone

    def forget(self, topics: Sequence[str]) -> None:
        """These may be denied no more."""
        self.denials.forget(topics)
        self.more()

    def _hold(self, found: list[Spooled]) -> None:
        self._held = sorted([*self._held, *found])  # by their sequence
        self.more()

    def _refuse(self, spooled: Spooled, reason: str) -> None:
        self.denials.dropped(spooled)
        self._refused.append((spooled, reason))
        self._settle.set()

    # -------------------------------------------------------------------------------------------- the way up

    async def send(self, flush: Callable[[], None], writer: asyncio.StreamWriter) -> None:
        """Until cancelled. The time that the core had no processor counts as time taken: where all want one, and where
        the machine is slow, the drain holds back so that alarms are in time."""
        while True:
            while not self._session.room:
                self._room.clear()
                await self._room.wait()
            # No await between this fetch and all of it being taken: a cancelled link must lose none.
            found = None if self._held else await self._spool.fetch(min(self._session.room, AT_ONCE), wait=LOOK)
            began = self._monotonic()
            waits = False
            if found is None:
                waits = not self._decide()
            else:
                self.take(found)
            flush()
            took = self._monotonic() - began
            await writer.drain()
            await self._sleep(WAIT if waits else min(took * OTHERS, MOST_FOR_OTHERS))  # also 0: a turn for the loop

    def take(self, found: list[Spooled]) -> None:
        """The next of the spool."""
        if self.denials.quiet and not self._held:
            for spooled in found:
                self._send(spooled)
        else:
            self._hold(found)
            self._decide()

    def _decide(self) -> bool:
        """Upon what is held, as far as there is room; False where the first must wait."""
        while self._held and self._session.room:
            spooled = self._held[0]
            decision = self.denials.decide(spooled.target, self._monotonic())
            if decision is Decision.WAIT:
                return False
            del self._held[0]
            if decision is Decision.ASIDE:
                self._refuse(spooled, DENIED)
                continue
            if decision is Decision.TRY:
                self.denials.trying(spooled)
                self._session.alone = True
            self._send(spooled)
        return True

    def _send(self, spooled: Spooled) -> None:
        block = spooled.block(self._clock())
        if block is None:
            self.expired += 1
            self._acknowledged.append(spooled.sequence)
            self.denials.dropped(spooled)
            self._settle.set()
        elif self._session.fits(spooled.topic, spooled.payload, block):
            self._session.send(spooled, spooled.topic, spooled.payload, block, retain=spooled.retain)
            return
        else:
            self._refuse(spooled, "larger than the place above takes")
        self._session.alone = self.denials.alone

    # --------------------------------------------------------------------------------------------- the spool

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
            log.error("%s to %s is set aside: %s", spooled.message_id, spooled.topic, reason)
            await self._spool.reject(spooled, reason)
            del self._refused[0]
        while self._allowed:
            target = self._allowed[0]
            await self._spool.retry(partial(_was_denied, target))
            del self._allowed[0]


def _was_denied(target: Target, each: SetAside) -> bool:
    return each.reason == DENIED and each.target == target
