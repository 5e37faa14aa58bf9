"""While a spool drains the rest of the core has its turns: alarms above all."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from littoral.core.draining import AT_ONCE, MOST_FOR_OTHERS, OTHERS, Draining
from littoral.core.session import Session
from littoral.core.spool import Spooled
from littoral.protocols.mqtt.encode import encode
from littoral.protocols.mqtt.packets import Connack
from tests.core.test_denials import Kept


class Ended(Exception):
    """As much was seen as was wanted."""


class Waiting(Kept):
    async def fetch(self, limit: int, *, wait: float) -> list[Spooled]:
        return self.fetch_now(limit)


class Writer:
    async def drain(self) -> None:
        """Nothing waits for the network here."""


async def paused(messages: int, of_flush: float) -> list[tuple[int, float]]:
    """Messages under way at each pause, and seconds of it, where writing one helping takes so many."""
    now = [1000.0]
    found: list[tuple[int, float]] = []
    session, kept = Session("core", window=1000), Waiting()
    session.begin(0.0)
    session.received(encode(Connack(0, False), 5), 0.0)
    for _ in range(messages):
        kept.put("ward")

    def flush() -> None:
        now[0] += of_flush

    async def sleep(seconds: float) -> None:
        found.append((len(session.handles()), seconds))
        if len(session.handles()) == messages:
            raise Ended

    draining = Draining(kept, session, lambda: 0.0, lambda: now[0], sleep)  # type: ignore[arg-type]
    writer: Any = Writer()
    with pytest.raises(Ended):
        await draining.send(flush, writer)
    return found


def test_after_each_helping_others_have_twice_its_time() -> None:
    found = asyncio.run(paused(2 * AT_ONCE + 7, of_flush=0.002))
    assert [count for count, _ in found] == [AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 7]
    assert [seconds for _, seconds in found] == pytest.approx([0.002 * OTHERS] * 3)


def test_a_machine_that_held_up_a_helping_does_not_hold_up_the_drain_twice() -> None:
    assert asyncio.run(paused(AT_ONCE, of_flush=3.0)) == [(AT_ONCE, MOST_FOR_OTHERS)]


def test_a_helping_that_took_no_time_still_ends_in_a_turn_of_the_loop() -> None:
    assert asyncio.run(paused(AT_ONCE, of_flush=0.0)) == [(AT_ONCE, 0.0)]
