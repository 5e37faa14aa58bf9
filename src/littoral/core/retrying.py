"""What an operator sees of the messages that the place above did not take, and may do with them.

::

    GET  /rejected                     what is set aside, the oldest first
    GET  /rejected/NUMBER              the payload of one
    POST /rejected/retry?topic=FILTER  sent again, behind what waits in the spool
    POST /rejected/drop?topic=FILTER
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from littoral.core.draining import DENIED, Draining
from littoral.core.refusal import Refused
from littoral.core.rejected import SetAside
from littoral.core.spool import Spool
from littoral.protocols.mqtt.topics import BadTopic, check_filter, matches
from littoral.store.contract import StoreError

log = logging.getLogger(__name__)

LOOK = 1.0  # seconds between looks for topics whose time has come
PATH = re.compile(r"/rejected(?:/(retry|drop|\d{1,18}))?")


class Retrying:
    def __init__(self, spool: Spool, draining: Draining) -> None:
        self._spool = spool
        self._draining = draining

    def summary(self) -> dict[str, Any]:
        """Of the spool's status."""
        return {
            "setAside": len(self._spool.set_aside),
            "setAsideLost": self._spool.set_aside.lost,
            "denied": self._draining.denials.denied,
        }

    def listed(self) -> list[dict[str, Any]]:
        return [asdict(each) for each in self._spool.set_aside.facts()]

    async def payload(self, number: int) -> bytes:
        """Raises Refused."""
        for fact in self._spool.set_aside.chosen(lambda each: each.sequence == number):
            message = await self._spool.set_aside.message(fact)
            if message is not None:
                return message.data
        raise Refused(404, f"no message {number} is set aside")

    async def retry(self, filter: str) -> int:
        """Those whose topics match; their topics are tried at once. Raises Refused."""
        which = _matching(filter)
        self._draining.forget([each.topic for each in self._spool.set_aside.chosen(which)])
        return await self._done(self._spool.retry, which)

    async def keep_trying(self) -> None:
        """Of a denied topic a message that is set aside is tried when its time has come, should nothing new come. As
        often is counted what the spool dropped."""
        while True:
            await asyncio.sleep(LOOK)
            with contextlib.suppress(StoreError):  # counted by the next look
                await self._spool.look()
            if not self._spool.online:
                continue
            for target in self._draining.denials.due(time.monotonic()):
                first = next(
                    (each for each in self._spool.set_aside.facts() if (each.target, each.reason) == (target, DENIED)),
                    None,
                )
                if first is not None:
                    await self._put_back(first)

    async def _put_back(self, fact: SetAside) -> None:
        try:
            await self._spool.retry(lambda each: each.sequence == fact.sequence)
        except StoreError as problem:
            log.warning("a message to %s, which is set aside, is not tried again: %s", fact.topic, problem)

    async def drop(self, filter: str) -> int:
        """Raises Refused."""
        return await self._done(self._spool.drop, _matching(filter))

    async def _done(
        self,
        action: Callable[[Callable[[SetAside], bool]], Awaitable[int]],
        which: Callable[[SetAside], bool],
    ) -> int:
        try:
            return await action(which)
        except StoreError as problem:
            raise Refused(503, f"{problem}; {len(self._spool.set_aside)} are still set aside") from problem


def _matching(filter: str) -> Callable[[SetAside], bool]:
    """Raises Refused."""
    try:
        check_filter(filter)
    except BadTopic as problem:
        raise Refused(400, f"topic: {problem}") from problem
    return lambda each: matches(filter, each.topic)
